//! How much every alternative of every activation costs when it alone is inexact, and the genomes that
//! follow from it.
//!
//! The model is additive: the divergence of a genome is the sum of the divergences measured one by
//! one. A divergence is quadratic in small errors, and errors of different activations are nearly
//! uncorrelated, so that for good genomes this is close; broken ones saturate. With it the best genome
//! for a price of a nat in seconds is a shortest path, which [`Planner::best`] finds exactly, together
//! with levels and bootstraps.

use serde::{Deserialize, Serialize};

use crate::error::SearchError;
use crate::objective::{Genome, Objective};
use crate::planner::Planner;
use crate::state::Record;

/// Nats of an alternative that could not be measured: never chosen where another is.
const UNKNOWN: f64 = 1e3;

/// What one replacement at a time does to the network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sensitivities {
    /// The genome around the replacements: the dearest alternative everywhere.
    pub base: Genome,
    /// Accuracy of the base.
    pub accuracy: f64,
    /// `[activation][alternative]`: accuracy lost against the base; None where it cannot be run.
    pub loss: Vec<Vec<Option<f64>>>,
    /// `[activation][alternative]`: divergence added to that of the base, in nats, not negative.
    pub divergence: Vec<Vec<Option<f64>>>,
}

impl Sensitivities {
    /// Evaluates the base and all its single replacements, activation by activation; `progress` gets
    /// the number of activations done. With them the records, to be given to [`crate::State::record`].
    ///
    /// # Errors
    /// [`SearchError::Genome`] when the base cannot be run, and what the objective reports.
    pub fn measure(
        objective: &dyn Objective,
        progress: &mut dyn FnMut(usize),
    ) -> Result<(Self, Vec<Record>), SearchError> {
        let sizes = objective.sizes();
        let base: Genome = sizes.iter().map(|&s| (s - 1) as u8).collect();
        let mut records = Vec::new();
        let mut judge = |genomes: Vec<Genome>| -> Result<Vec<_>, SearchError> {
            let scores = objective.evaluate(&genomes)?;
            let new = genomes.into_iter().zip(scores.iter().copied());
            records.extend(new.map(|(genome, score)| Record { genome, score }));
            Ok(scores)
        };
        let exact = judge(vec![base.clone()])?[0].ok_or_else(|| SearchError::Genome {
            genome: format!("{base:?}"),
            what: "the most accurate alternatives everywhere cannot be run; relax the constraints \
                   on ring, security or precision"
                .into(),
        })?;
        let mut result = Self {
            base: base.clone(),
            accuracy: exact.accuracy,
            loss: Vec::new(),
            divergence: Vec::new(),
        };
        for (place, &size) in sizes.iter().enumerate() {
            let replaced = |k: usize| {
                let mut genome = base.clone();
                genome[place] = k as u8;
                genome
            };
            let mut scores = judge((0..size - 1).map(replaced).collect())?;
            scores.push(Some(exact));
            let loss = |s: &Option<_>| s.map(|s: crate::Score| exact.accuracy - s.accuracy);
            let added =
                |s: &Option<_>| s.map(|s: crate::Score| (s.divergence - exact.divergence).max(0.0));
            result.loss.push(scores.iter().map(loss).collect());
            result.divergence.push(scores.iter().map(added).collect());
            progress(place + 1);
        }
        Ok((result, records))
    }

    /// The errors of the additive model, in nats.
    pub fn errors(&self) -> Vec<Vec<f64>> {
        let known = |row: &Vec<Option<f64>>| row.iter().map(|d| d.unwrap_or(UNKNOWN)).collect();
        self.divergence.iter().map(known).collect()
    }

    /// The divergence of a genome by the additive model, in nats.
    pub fn predict(&self, genome: &[u8]) -> f64 {
        let at = |(row, &gene): (&Vec<Option<f64>>, &u8)| row[usize::from(gene)].unwrap_or(UNKNOWN);
        self.divergence.iter().zip(genome).map(at).sum()
    }
}

/// Seconds that a nat may cost at the cheap and at the exact end of the sweep.
const PRICES: [f64; 2] = [1e-3, 1e7];

/// Seeds for the first generation: the best genomes of the additive model for prices of a nat from
/// both ends inwards, the interval between two different genomes halved until `calls` placements are
/// made. In the order found, each once.
///
/// # Errors
/// What the planner reports.
pub fn seeds(
    planner: &dyn Planner,
    sensitivities: &Sensitivities,
    calls: usize,
) -> Result<Vec<Genome>, SearchError> {
    let errors = sensitivities.errors();
    let best = |logarithm: f64| planner.best(&errors, logarithm.exp());
    let [low, high] = PRICES.map(f64::ln);
    let mut genomes: Vec<Genome> = Vec::new();
    let mut keep = |genome: &Genome| {
        if !genomes.contains(genome) {
            genomes.push(genome.clone());
        }
    };
    let (cheap, exact) = (best(low)?, best(high)?);
    keep(&cheap);
    keep(&exact);
    let mut open = std::collections::VecDeque::from([((low, cheap), (high, exact))]);
    for _ in 2..calls {
        let Some((left, right)) = open.pop_front() else {
            break;
        };
        let price = f64::midpoint(left.0, right.0);
        let middle = (price, best(price)?);
        keep(&middle.1);
        for (left, right) in [(left, middle.clone()), (middle, right)] {
            // Equal at both ends: equal between. A ratio of prices below a percent tells nothing more.
            if left.1 != right.1 && right.0 - left.0 > 0.01 {
                open.push_back((left, right));
            }
        }
    }
    Ok(genomes)
}
