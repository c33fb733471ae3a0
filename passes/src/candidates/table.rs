//! Candidates as data for a report.

use serde::{Deserialize, Serialize};

use super::{Candidate, Kind, Method, Trial};

/// One candidate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// What it is.
    pub kind: Kind,
    /// Levels it takes; those of P for a fused one.
    pub depth: usize,
    /// Root mean square error on the measured distribution, over the range.
    pub error: f64,
    /// The method used, the one of the least error.
    pub winner: Method,
    /// Errors of all methods tried, the least first.
    pub trials: Vec<Trial>,
}

/// A row per candidate, in their order.
pub fn describe(candidates: &[Candidate]) -> Vec<Row> {
    candidates
        .iter()
        .map(|c| Row {
            kind: c.kind.clone(),
            depth: c.kind.depth(),
            error: c.error,
            winner: c.method,
            trials: c.trials.clone(),
        })
        .collect()
}
