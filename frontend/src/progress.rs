//! A progress bar with the remaining time, on standard error and only on a terminal.

use indicatif::{ProgressBar, ProgressStyle};
use std::time::Duration;

/// A bar over `total` steps, called `what`.
pub fn bar(what: &'static str, total: usize) -> ProgressBar {
    // The template is a constant; a wrong one would show as indicatif's default.
    let style = ProgressStyle::with_template("{msg} {wide_bar} {pos} of {len}, {eta} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(total as u64)
        .with_style(style)
        .with_message(what);
    bar.enable_steady_tick(Duration::from_millis(250));
    bar
}
