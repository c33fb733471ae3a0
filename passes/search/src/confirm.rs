//! The front on images that the search has not seen.
//!
//! Among hundreds of genomes the best on the search's images owe a part of it to those images. Judged
//! on others, some of the front fall behind genomes that were just below it: so these are judged too.

use crate::dominance::{Limits, front};
use crate::error::SearchError;
use crate::evolution::select;
use crate::network_objective::{NetworkObjective, Verdict};
use crate::objective::{Genome, Score};
use crate::planner::{Cost, Planner};
use crate::state::State;

/// A genome of the front, confirmed.
#[derive(Clone, Debug, PartialEq)]
pub struct Confirmed {
    /// Index of the alternative of every activation.
    pub genome: Genome,
    /// Of the images of the objective that confirms.
    pub verdict: Verdict,
    /// On the search's images, 0 to 1.
    pub searched: f64,
    /// Predicted.
    pub cost: Cost,
}

impl Confirmed {
    /// As a front orders it.
    pub fn score(&self) -> Score {
        self.verdict.score(&self.cost)
    }
}

/// Judges the `count` best genomes of a search, by layers of dominance, on the images of `objective`
/// (another one than the search's, see [`NetworkObjective::on`]), and keeps those that nothing beats
/// there, within `limits`: by ascending seconds and descending loss. None within the limits: empty.
///
/// # Errors
/// What the objective reports.
pub fn confirm<P: Planner>(
    objective: &NetworkObjective<P>,
    state: &State,
    count: usize,
    limits: &Limits,
) -> Result<Vec<Confirmed>, SearchError> {
    let known = state.archive().iter().filter(|r| r.score.is_some());
    let genomes = select(state, known.map(|r| r.genome.clone()).collect(), count);
    let verdicts = objective.verdicts(&genomes)?;
    let mut confirmed = Vec::new();
    let mut scores = Vec::new();
    for (genome, verdict) in genomes.into_iter().zip(verdicts) {
        let (Some(cost), Some(Some(score))) =
            (objective.planner().predict(&genome)?, state.score(&genome))
        else {
            continue;
        };
        let one = Confirmed {
            genome,
            verdict,
            searched: score.accuracy,
            cost,
        };
        scores.push(Some(one.score()));
        confirmed.push(one);
    }
    let front = front(&scores, limits).into_iter();
    Ok(front.map(|i| confirmed[i].clone()).collect())
}
