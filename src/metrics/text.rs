//! Prometheus's text format, 0.0.4.

use std::fmt::Write as _;

/// All our names begin so.
const PREFIX: &str = "aidp_backup_";

/// What a number does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Goes up and down.
    Gauge,
    /// Goes up until the process ends.
    Counter,
}

/// Metrics, each with its samples together, in the order in which they first came.
#[derive(Debug, Default)]
pub struct Page(Vec<Family>);

#[derive(Debug)]
struct Family {
    name: String,
    kind: Kind,
    help: String,
    samples: String,
}

impl Page {
    /// Adds a sample.
    pub fn add(&mut self, name: &str, kind: Kind, help: &str, labels: &[(&str, &str)], value: f64) {
        let at = self.0.iter().position(|family| family.name == name).unwrap_or_else(|| {
            let (name, help) = (name.to_owned(), help.to_owned());
            self.0.push(Family { name, kind, help, samples: String::new() });
            self.0.len() - 1
        });
        let Some(family) = self.0.get_mut(at) else { return };
        let labels: Vec<String> =
            labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        let labels =
            if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        // A String takes everything.
        let _ = writeln!(family.samples, "{PREFIX}{name}{labels} {value}");
    }

    /// The page.
    pub fn render(&self) -> String {
        let mut text = String::new();
        for Family { name, kind, help, samples } in &self.0 {
            let kind = match kind {
                Kind::Gauge => "gauge",
                Kind::Counter => "counter",
            };
            let head = format!("# HELP {PREFIX}{name} {help}\n# TYPE {PREFIX}{name} {kind}\n");
            text.push_str(&head);
            text.push_str(samples);
        }
        text
    }
}

/// A label's value between its quotes.
fn escaped(value: &str) -> String {
    value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_of_one_name_stand_together_and_labels_are_escaped() {
        let mut page = Page::default();
        page.add("a", Kind::Gauge, "One.", &[("x", "q\"\\\n")], 1.5);
        page.add("b_total", Kind::Counter, "Two.", &[], 12345678901.0);
        page.add("a", Kind::Gauge, "One.", &[("x", "y")], 2.0);
        assert_eq!(
            page.render(),
            "# HELP aidp_backup_a One.\n# TYPE aidp_backup_a gauge\n\
             aidp_backup_a{x=\"q\\\"\\\\\\n\"} 1.5\naidp_backup_a{x=\"y\"} 2\n\
             # HELP aidp_backup_b_total Two.\n# TYPE aidp_backup_b_total counter\n\
             aidp_backup_b_total 12345678901\n"
        );
    }
}
