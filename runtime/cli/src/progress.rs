//! Progress bars, on standard error and only on a terminal.

use std::time::{Duration, Instant};

use hecc_runtime::{Observer, Progress};
use indicatif::{ProgressBar, ProgressStyle};

/// Steps of a bar that shows a share.
const STEPS: u64 = 1000;
/// Below this share of the work the plan's prediction is the better guess.
const EARLY: f64 = 0.05;

fn style(template: &str) -> ProgressStyle {
    // The templates are constants of this file; a wrong one shows as indicatif's default.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// A bar over bytes, with speed and remaining time.
pub fn bytes_bar(what: &'static str, total: u64) -> ProgressBar {
    ProgressBar::new(total)
        .with_style(style(
            "{msg} {wide_bar} {bytes} of {total_bytes}, {eta} left",
        ))
        .with_message(what)
}

/// A bar over steps that take different times.
pub fn steps_bar(what: &'static str, total: u64) -> ProgressBar {
    let bar = ProgressBar::new(total)
        .with_style(style("{wide_bar} {pos} of {len} {elapsed} {msg}"))
        .with_message(what);
    bar.enable_steady_tick(Duration::from_millis(250));
    bar
}

/// The bar of an evaluation.
pub struct EvalBar {
    bar: ProgressBar,
    predicted: f64,
    nodes: usize,
    begun: Option<Instant>,
}

impl EvalBar {
    /// A bar for `nodes` nodes, predicted to take this many seconds.
    pub fn new(predicted: f64, nodes: usize) -> Self {
        let bar = ProgressBar::new(STEPS).with_style(style("{wide_bar} {elapsed} {msg}"));
        bar.enable_steady_tick(Duration::from_millis(250));
        Self {
            bar,
            predicted,
            nodes,
            begun: None,
        }
    }

    /// Says what is being done outside of the program.
    pub fn message(&self, message: &'static str) {
        self.bar.set_message(message);
    }
}

impl Observer for EvalBar {
    /// Shows the node that begins.
    fn progress(&mut self, progress: Progress) {
        let begun = *self.begun.get_or_insert_with(Instant::now);
        let share = progress.share;
        let left = if share < EARLY {
            self.predicted * (1.0 - share)
        } else {
            begun.elapsed().as_secs_f64() * (1.0 - share) / share
        };
        self.bar.set_position((share * STEPS as f64) as u64);
        let (node, nodes, name) = (progress.node, self.nodes, progress.name);
        self.bar
            .set_message(format!("{node}/{nodes}, {left:.0} s left: {name}"));
    }
}

impl Drop for EvalBar {
    /// Removes the bar, also before an error is printed.
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Bytes for people.
pub fn readable_bytes(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["B", "KiB", "MiB", "GiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 {
        format!("{bytes} B")
    } else {
        format!("{value:.2} {}", UNITS[unit])
    }
}
