//! The time a search has, and what it is kept for.

use std::time::{Duration, Instant};

/// Counts from the start of the command.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    begun: Instant,
    budget: Duration,
}

impl Clock {
    /// From now on.
    pub fn start(budget: Duration) -> Self {
        Self {
            begun: Instant::now(),
            budget,
        }
    }

    /// All there was at the start.
    pub fn budget(&self) -> Duration {
        self.budget
    }

    /// Spent so far.
    pub fn spent(&self) -> Duration {
        self.begun.elapsed()
    }

    /// What is left; zero when it is overdrawn.
    pub fn left(&self) -> Duration {
        self.budget.saturating_sub(self.begun.elapsed())
    }
}
