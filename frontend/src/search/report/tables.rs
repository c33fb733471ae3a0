//! Tables as Markdown has them.

/// Rows under titles.
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// Without rows.
    pub fn new(titles: &[&str]) -> Self {
        Self {
            rows: vec![titles.iter().map(|t| t.to_string()).collect()],
        }
    }

    /// One cell a title.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows
            .push(cells.into_iter().map(|cell| plain(&cell)).collect());
    }

    /// The table and an empty line.
    pub fn write(&self, out: &mut String) {
        for (place, row) in self.rows.iter().enumerate() {
            out.push_str(&format!("| {} |\n", row.join(" | ")));
            if place == 0 {
                out.push_str(&format!("|{}\n", "---|".repeat(row.len())));
            }
        }
        out.push('\n');
    }
}

/// Text that is nothing but text in Markdown, whatever a model's nodes are called.
pub fn plain(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '|' | '\\' | '<' | '>' | '[' | ']' | '`' | '*' | '#' => {
                out.push('\\');
                out.push(c);
            }
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_stay_cells() {
        let mut table = Table::new(&["a", "b"]);
        table.row(["x|y\n".to_string(), "<b>".to_string()]);
        let mut out = String::new();
        table.write(&mut out);
        assert_eq!(out, "| a | b |\n|---|---|\n| x\\|y  | \\<b\\> |\n\n");
    }
}
