//! The namespaces that the rules mean.

use temporal::Namespace;
use temporal::connect::Connection;

use super::NamespaceRule;
use crate::Error;

/// Namespaces with their rules.
#[derive(Debug)]
pub struct Chosen {
    /// Each with the first rule that names it.
    pub namespaces: Vec<(Namespace, NamespaceRule)>,
    /// Those named one by one that cannot be had, with the reason.
    pub missing: Vec<(String, Error)>,
}

/// Asks the server for the namespaces that the rules name. Only patterns need the right to list
/// namespaces, which Temporal Cloud does not give to everyone.
pub async fn choose(connection: &Connection, rules: &[NamespaceRule]) -> Result<Chosen, Error> {
    let mut chosen = Chosen { namespaces: Vec::new(), missing: Vec::new() };
    if rules.iter().any(|rule| rule.pattern.exact().is_none()) {
        let all = connection.namespaces().await.map_err(Error::temporal)?;
        for namespace in all.into_iter().filter(|namespace| !namespace.deleted) {
            let rule = rules.iter().find(|rule| rule.pattern.matches(&namespace.name));
            chosen.namespaces.extend(rule.map(|rule| (namespace, rule.clone())));
        }
    }
    for rule in rules {
        let Some(name) = rule.pattern.exact() else { continue };
        if chosen.namespaces.iter().any(|(namespace, _)| namespace.name == name) {
            continue;
        }
        match connection.namespace(name).await {
            Ok(namespace) => chosen.namespaces.push((namespace, rule.clone())),
            Err(error) => chosen.missing.push((name.to_owned(), Error::temporal(error))),
        }
    }
    if chosen.namespaces.is_empty() && chosen.missing.is_empty() {
        let patterns: Vec<String> = rules.iter().map(|rule| rule.pattern.to_string()).collect();
        return Err(Error::Refused {
            what: format!("no namespace is named {}", patterns.join(" or ")),
            hint: "`temporal operator namespace list` shows what there is; check --namespace"
                .into(),
        });
    }
    Ok(chosen)
}
