//! Columns of text.

/// Rows under a headline, each column as wide as its widest cell.
#[derive(Debug)]
pub struct Table {
    rows: Vec<Vec<String>>,
    right: Vec<bool>,
    /// Of what was printed already.
    widths: Vec<usize>,
}

impl Table {
    /// A table with these columns; those that begin with `>` stand on the right.
    pub fn new(headline: &[&str]) -> Self {
        let right = headline.iter().map(|name| name.starts_with('>')).collect();
        let names = headline.iter().map(|name| name.trim_start_matches('>').to_owned());
        let widths = vec![0; headline.len()];
        Self { rows: vec![names.collect()], right, widths }
    }

    /// Adds a row with a cell for each column.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// Whether there is nothing but the headline.
    pub fn is_empty(&self) -> bool {
        self.rows.len() == 1
    }

    /// Rows that are held.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// The rows so far, which are then held no longer: for tables of any length. Columns never
    /// become narrower.
    pub fn take(&mut self) -> String {
        self.widths = self.widths();
        let text = self.render();
        self.rows.clear();
        text
    }

    fn widths(&self) -> Vec<usize> {
        let width = |(column, least): (usize, &usize)| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0).max(*least)
        };
        self.widths.iter().enumerate().map(width).collect()
    }

    /// The table as lines, without blanks at their ends.
    pub fn render(&self) -> String {
        let widths = self.widths();
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
    fn a_table_goes_on_as_it_began() {
        let mut table = Table::new(&["id", ">size"]);
        table.row(["long".into(), "10 B".into()]);
        assert_eq!(table.take(), "id    size\nlong  10 B\n");
        table.row(["a".into(), "1 B".into()]);
        assert_eq!(table.take(), "a      1 B\n");
        assert_eq!(table.take(), "");
    }

    #[test]
    fn columns_are_aligned() {
        let mut table = Table::new(&["id", ">size", "note"]);
        table.row(["a".into(), "10 B".into(), "é".into()]);
        table.row(["long".into(), "1 B".into(), String::new()]);
        assert_eq!(table.render(), "id    size  note\na     10 B  é\nlong   1 B\n");
    }
}
