//! How the search stands, on standard error: a plot and the time left on a terminal, lines elsewhere.

use super::clock::Clock;
use super::plot::plot;
use crate::print::note;
use hecc_search::{Generation, State};
use indicatif::{ProgressBar, ProgressStyle};
use std::time::{Duration, Instant};

/// Time between two lines where there is no terminal.
const QUIET: Duration = Duration::from_secs(10);

/// Shows one search.
pub struct Progress {
    bar: ProgressBar,
    /// When the last line was printed.
    last: Option<Instant>,
}

impl Progress {
    /// Nothing shown yet.
    pub fn new() -> Self {
        // The template is a constant; a wrong one would show as indicatif's default.
        let style = ProgressStyle::with_template("{msg}")
            .unwrap_or_else(|_| ProgressStyle::default_spinner());
        Self {
            bar: ProgressBar::new_spinner().with_style(style),
            last: None,
        }
    }

    /// A step that takes some seconds.
    pub fn phase(&mut self, what: &str) {
        self.show(what.to_string(), true);
    }

    /// How far a step is.
    pub fn step(&mut self, what: &str, done: usize, of: usize) {
        self.show(format!("{what}: {done} of {of}"), false);
    }

    /// After a generation.
    pub fn generation(&mut self, state: &State, generation: &Generation, clock: &Clock) {
        let front = state.front();
        let points: Vec<(f64, f64)> = front.iter().map(|(_, s)| (s.seconds, s.accuracy)).collect();
        let line = format!(
            "{}, {} left",
            summary(generation, &points),
            words(clock.left())
        );
        if self.bar.is_hidden() {
            return self.show(line, false);
        }
        let columns = console::Term::stderr().size().1;
        let mut text = plot(&points, usize::from(columns).saturating_sub(1)).join("\n");
        if !text.is_empty() {
            text.push('\n');
        }
        text.extend(line.chars().take(usize::from(columns).saturating_sub(1)));
        self.bar.set_message(text);
    }

    /// Something to be read, above what is shown.
    pub fn note(&self, text: &str) {
        self.bar.suspend(|| note!("note: {text}"));
    }

    /// Takes what is shown away.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }

    fn show(&mut self, line: String, important: bool) {
        if !self.bar.is_hidden() {
            self.bar.set_message(line);
            return;
        }
        let due = self.last.is_none_or(|last| last.elapsed() >= QUIET);
        if important || due {
            self.last = Some(Instant::now());
            note!("{line}");
        }
    }
}

/// One line about a generation; `points` are (seconds, accuracy) of the front, ascending.
fn summary(generation: &Generation, points: &[(f64, f64)]) -> String {
    let mut line = format!(
        "generation {}, {} candidates, {} points",
        generation.number, generation.evaluations, generation.front
    );
    if let (Some(first), Some(last)) = (points.first(), points.last()) {
        line += &format!(
            ": {:.1} s {:.1} % to {:.1} s {:.1} %",
            first.0,
            100.0 * first.1,
            last.0,
            100.0 * last.1
        );
    }
    line
}

/// A time for people: `9 s`, `14 min`.
pub fn words(time: Duration) -> String {
    match time.as_secs() {
        seconds if seconds < 600 => format!("{seconds} s"),
        seconds if seconds < 7200 => format!("{} min", seconds / 60),
        seconds => format!("{:.1} h", seconds as f64 / 3600.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_short() {
        let generation = Generation {
            number: 12,
            evaluations: 480,
            seconds: 60.0,
            hypervolume: 0.5,
            front: 2,
        };
        let line = summary(&generation, &[(4.0, 0.85), (12.25, 0.9175)]);
        let expect = "generation 12, 480 candidates, 2 points: 4.0 s 85.0 % to 12.2 s 91.8 %";
        assert_eq!(line, expect);
        assert_eq!(words(Duration::from_secs(599)), "599 s");
        assert_eq!(words(Duration::from_secs(600)), "10 min");
        assert_eq!(words(Duration::from_secs(9000)), "2.5 h");
    }
}
