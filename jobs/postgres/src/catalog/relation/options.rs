//! Storage parameters: `reloptions`, `attoptions`.

use crate::quote;

/// `name='value', ...` for the inside of `WITH (...)` or `SET (...)`; `prefix` is put before
/// each name (`toast.`).
pub(super) fn list(options: &[String], prefix: &str) -> String {
    let option = |option: &String| {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        // A name may be qualified by an extension's namespace, dot and all, as one word.
        format!("{prefix}{}={}", quote::quote_ident(name), quote::quote_literal(value))
    };
    options.iter().map(option).collect::<Vec<_>>().join(", ")
}

/// Appends `lead` and `WITH (...)`, if there is anything to say.
pub(super) fn push_with(sql: &mut String, lead: &str, own: &[String], toast: &[String]) {
    let lists = [list(own, ""), list(toast, "toast.")];
    let said: Vec<&str> =
        lists.iter().map(String::as_str).filter(|list| !list.is_empty()).collect();
    if !said.is_empty() {
        sql.push_str(&format!("{lead}WITH ({})", said.join(", ")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_of_a_table_and_its_toast_table_share_one_list() {
        let mut sql = String::new();
        push_with(&mut sql, " ", &["fillfactor=70".into()], &["autovacuum_enabled=false".into()]);
        assert_eq!(sql, " WITH (fillfactor='70', toast.autovacuum_enabled='false')");
    }

    #[test]
    fn no_options_say_nothing() {
        let mut sql = String::new();
        push_with(&mut sql, " ", &[], &[]);
        assert_eq!(sql, "");
    }
}
