//! An answer for people: a headline, aligned rows, aligned tables.

use super::{Paint, clean};

/// An answer being drawn.
pub(in crate::cli) struct Page {
    paint: Paint,
    text: String,
}

impl Page {
    /// An empty page.
    pub(in crate::cli) fn new(paint: Paint) -> Self {
        Self { paint, text: String::new() }
    }

    /// What was drawn.
    pub(in crate::cli) fn text(&self) -> &str {
        &self.text
    }

    /// The colours of this page.
    pub(in crate::cli) fn paint(&self) -> Paint {
        self.paint
    }

    /// The first line: what was done, to what.
    pub(in crate::cli) fn title(&mut self, text: &str) {
        self.text.push_str(&self.paint.bold(&clean(text)));
        self.text.push('\n');
    }

    /// A line of its own.
    pub(in crate::cli) fn line(&mut self, text: &str) {
        self.text.push_str(&clean(text));
        self.text.push('\n');
    }

    /// A line of the program's own words, with colour.
    pub(in crate::cli) fn painted(&mut self, text: &str) {
        self.text.push_str(text);
        self.text.push('\n');
    }

    /// A line after a coloured label.
    pub(in crate::cli) fn labelled(&mut self, label: &str, text: &str) {
        self.text.push_str(&format!("  {label}  {}\n", clean(text)));
    }

    /// An empty line.
    pub(in crate::cli) fn gap(&mut self) {
        self.text.push('\n');
    }

    /// Labels with what stands for each, in two columns.
    pub(in crate::cli) fn rows(&mut self, rows: &[(&str, String)]) {
        let width = rows.iter().map(|(label, _)| label.chars().count()).max().unwrap_or(0);
        for (label, value) in rows {
            let space = " ".repeat(width - label.chars().count());
            self.text.push_str(&format!("  {}{space}  {}\n", self.paint.dim(label), clean(value)));
        }
    }

    /// Columns under their names. The last is not padded.
    pub(in crate::cli) fn table(&mut self, head: &[&str], rows: &[Vec<String>]) {
        let rows: Vec<Vec<String>> =
            rows.iter().map(|row| row.iter().map(|cell| clean(cell)).collect()).collect();
        let width = |column: usize| {
            let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
            cells.chain(head.get(column).map(|name| name.chars().count())).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..head.len()).map(width).collect();
        let pad = |cells: Vec<&str>| {
            let last = cells.len().saturating_sub(1);
            let mut line = String::from(" ");
            for (column, cell) in cells.into_iter().enumerate() {
                line.push(' ');
                line.push_str(cell);
                if column < last {
                    line.push_str(&" ".repeat(widths[column].saturating_sub(cell.chars().count()) + 1));
                }
            }
            line.trim_end().to_owned()
        };
        self.text.push_str(&self.paint.dim(&pad(head.to_vec())));
        self.text.push('\n');
        for row in &rows {
            self.text.push_str(&pad(row.iter().take(head.len()).map(String::as_str).collect()));
            self.text.push('\n');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_no_line_ends_in_spaces() {
        let mut page = Page::new(Paint::new(false));
        page.rows(&[("key", "a".to_owned()), ("public", "b".to_owned())]);
        page.table(
            &["image", "size"],
            &[vec!["längeres".to_owned(), "1".to_owned()], vec!["x".to_owned(), String::new()]],
        );
        assert_eq!(page.text(), "  key     a\n  public  b\n  image     size\n  längeres  1\n  x\n");
    }
}
