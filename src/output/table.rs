//! Columns of text.

/// Rows under a headline, each column as wide as its widest cell.
#[derive(Debug)]
pub struct Table {
    rows: Vec<Vec<String>>,
    right: Vec<bool>,
}

impl Table {
    /// A table with these columns; those that begin with `>` stand on the right.
    pub fn new(headline: &[&str]) -> Self {
        let right = headline.iter().map(|name| name.starts_with('>')).collect();
        let names = headline.iter().map(|name| name.trim_start_matches('>').to_owned());
        Self { rows: vec![names.collect()], right }
    }

    /// Adds a row with a cell for each column.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// Whether there is nothing but the headline.
    pub fn is_empty(&self) -> bool {
        self.rows.len() == 1
    }

    /// The table as lines, without blanks at their ends.
    pub fn render(&self) -> String {
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.right.len()).map(width).collect();
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for ((cell, width), right) in row.iter().zip(&widths).zip(&self.right) {
                let blanks = " ".repeat(width.saturating_sub(cell.chars().count()));
                let (before, after) = if *right { (&*blanks, "") } else { ("", &*blanks) };
                line.push_str(&format!("{before}{cell}{after}  "));
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::Table;

    #[test]
    fn columns_are_aligned() {
        let mut table = Table::new(&["id", ">size", "note"]);
        table.row(["a".into(), "10 B".into(), "é".into()]);
        table.row(["long".into(), "1 B".into(), String::new()]);
        assert_eq!(table.render(), "id    size  note\na     10 B  é\nlong   1 B\n");
    }
}
