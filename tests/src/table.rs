//! Two columns of text.

/// Rows `(what, value)` under each other, columns aligned.
pub fn table(rows: &[(String, String)]) -> String {
    let width = rows.iter().map(|(what, _)| what.chars().count()).max();
    let width = width.unwrap_or(0);
    rows.iter()
        .map(|(what, value)| format!("{what:width$}  {value}\n"))
        .collect()
}

/// Bytes as megabytes.
pub fn megabytes(bytes: u64) -> String {
    format!("{:.2} MB", bytes as f64 / 1e6)
}
