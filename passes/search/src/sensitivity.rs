//! How much every alternative of every activation costs when it alone is inexact, and the genomes that
//! follow from it.
//!
//! The model is additive: the divergence of a genome is the sum of the divergences measured one by
//! one. A divergence is quadratic in small errors, and errors of different activations are nearly
//! uncorrelated, so that for good genomes this is close; broken ones saturate. With it the best genome
//! for a price of a nat in seconds is a shortest path, which [`Planner::best`] finds exactly, together
//! with levels and bootstraps.

use std::collections::{BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use crate::error::SearchError;
use crate::objective::{Genome, Judgement, Objective};
use crate::planner::Planner;

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
    /// `[activation][alternative]`: accuracy lost against the base; None where it cannot be judged.
    pub loss: Vec<Vec<Option<f64>>>,
    /// `[activation][alternative]`: divergence added to that of the base, in nats, not negative.
    pub divergence: Vec<Vec<Option<f64>>>,
}

impl Sensitivities {
    /// Judges the base and all its single replacements, activation by activation; `progress` gets the
    /// number of activations done.
    ///
    /// # Errors
    /// [`SearchError::Genome`] when the base cannot be judged, and what the objective reports.
    pub fn measure(
        objective: &dyn Objective,
        progress: &mut dyn FnMut(usize),
    ) -> Result<Self, SearchError> {
        let sizes = objective.sizes();
        let base: Genome = sizes.iter().map(|&s| (s - 1) as u8).collect();
        let exact = objective.judge(std::slice::from_ref(&base))?[0];
        let exact = exact.ok_or_else(|| SearchError::Genome {
            genome: format!("{base:?}"),
            what: "the dearest alternatives everywhere cannot be judged".into(),
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
            let genomes: Vec<Genome> = (0..size - 1).map(replaced).collect();
            let mut judged = objective.judge(&genomes)?;
            judged.push(Some(exact));
            let loss = |j: &Option<Judgement>| j.map(|j| exact.accuracy - j.accuracy);
            let added =
                |j: &Option<Judgement>| j.map(|j| (j.divergence - exact.divergence).max(0.0));
            result.loss.push(judged.iter().map(loss).collect());
            result.divergence.push(judged.iter().map(added).collect());
            progress(place + 1);
        }
        Ok(result)
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

/// For [`crate::State::stepping`]: the alternatives of every activation that no other one of it beats in
/// the divergence it adds and in `prices`, seconds alike; of equals the first.
pub fn worthwhile(sensitivities: &Sensitivities, prices: &[Vec<f64>]) -> Vec<Vec<u8>> {
    let row = |(errors, prices): (Vec<f64>, &Vec<f64>)| {
        let worth: Vec<(f64, f64)> = errors.into_iter().zip(prices.iter().copied()).collect();
        let beaten = |k: usize| {
            let (error, price) = worth[k];
            let beats = |(other, &(e, p)): (usize, &(f64, f64))| {
                e <= error && p <= price && ((e, p) != (error, price) || other < k)
            };
            worth.iter().enumerate().any(beats)
        };
        (0..worth.len())
            .filter(|&k| !beaten(k))
            .map(|k| k as u8)
            .collect()
    };
    let rows = sensitivities.errors().into_iter().zip(prices);
    rows.map(row).collect()
}

/// Seconds that a nat may cost at the cheap and at the exact end of the sweep.
const PRICES: [f64; 2] = [1e-3, 1e7];

/// Powers of the errors that are added: their energy, and their amplitude. Where many errors pile up,
/// they do worse than their sum; the second model spreads them thinner.
const POWERS: [f64; 2] = [1.0, 0.5];

/// Most genomes between two neighbours of a sweep.
const BETWEEN: usize = 6;

/// Seeds for the first generation: by either model, the best genomes for prices of an error from both
/// ends inwards, the interval between two different genomes halved until `calls` placements are made,
/// half of them for each model; then genomes on the way from each to its neighbour, since prices
/// reach the corners of a front only [Glo97]. In the order found, each once.
///
/// # Errors
/// What the planner reports.
pub fn seeds(
    planner: &dyn Planner,
    sensitivities: &Sensitivities,
    calls: usize,
) -> Result<Vec<Genome>, SearchError> {
    let mut corners: Vec<Genome> = Vec::new();
    let mut ways: Vec<Genome> = Vec::new();
    for power in POWERS {
        let mut errors = sensitivities.errors();
        errors.iter_mut().flatten().for_each(|e| *e = e.powf(power));
        let found = sweep(planner, &errors, calls / POWERS.len())?;
        for pair in found.windows(2) {
            ways.extend(way(&pair[0], &pair[1], &errors));
        }
        corners.extend(found);
    }
    corners.extend(ways);
    let mut met = BTreeSet::new();
    corners.retain(|genome| met.insert(genome.clone()));
    Ok(corners)
}

/// Genomes from `cheap` to `exact`, both left out: gene by gene, first what takes most error away.
fn way(cheap: &[u8], exact: &[u8], errors: &[Vec<f64>]) -> Vec<Genome> {
    let gain = |i: &usize| errors[*i][usize::from(cheap[*i])] - errors[*i][usize::from(exact[*i])];
    let mut order: Vec<usize> = (0..cheap.len()).filter(|&i| cheap[i] != exact[i]).collect();
    order.sort_by(|a, b| gain(b).total_cmp(&gain(a)).then(a.cmp(b)));
    let mut genome = cheap.to_vec();
    let mut steps = Vec::new();
    for &i in order.iter().take(order.len().saturating_sub(1)) {
        genome[i] = exact[i];
        steps.push(genome.clone());
    }
    let every = steps.len().div_ceil(BETWEEN).max(1);
    steps.into_iter().skip(every / 2).step_by(every).collect()
}

/// By one model: its best genomes by ascending price of an error, each once.
pub(crate) fn sweep(
    planner: &dyn Planner,
    errors: &[Vec<f64>],
    calls: usize,
) -> Result<Vec<Genome>, SearchError> {
    let best = |logarithm: f64| planner.best(errors, logarithm.exp());
    let [low, high] = PRICES.map(f64::ln);
    let (cheap, exact) = (best(low)?, best(high)?);
    let mut found = vec![(low, cheap.clone()), (high, exact.clone())];
    let mut open = VecDeque::from([((low, cheap), (high, exact))]);
    for _ in 2..calls {
        let Some((left, right)) = open.pop_front() else {
            break;
        };
        let price = f64::midpoint(left.0, right.0);
        let middle = (price, best(price)?);
        found.push(middle.clone());
        for (left, right) in [(left, middle.clone()), (middle, right)] {
            // Equal at both ends: equal between. A ratio of prices below a percent tells nothing more.
            if left.1 != right.1 && right.0 - left.0 > 0.01 {
                open.push_back((left, right));
            }
        }
    }
    found.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    let mut genomes: Vec<Genome> = found.into_iter().map(|(_, genome)| genome).collect();
    genomes.dedup();
    Ok(genomes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_beaten_in_both_is_not_worthwhile() {
        let known = |row: &[f64]| row.iter().map(|&e| Some(e)).collect::<Vec<_>>();
        let sensitivities = Sensitivities {
            base: vec![4, 1],
            accuracy: 1.0,
            loss: Vec::new(),
            divergence: vec![known(&[9.0, 3.0, 4.0, 0.5, 0.5]), vec![None, Some(0.0)]],
        };
        let prices = [vec![1.0, 2.0, 2.0, 7.0, 7.0], vec![1.0, 0.5]];
        let expect = [vec![0, 1, 3], vec![1]];
        assert_eq!(worthwhile(&sensitivities, &prices), expect);
    }

    #[test]
    fn a_way_takes_most_error_away_first() {
        let errors = vec![
            vec![0.5, 0.25],
            vec![0.875, 0.0],
            vec![1.0, 1.0],
            vec![0.125, 0.0],
        ];
        let expect = [[0, 1, 0, 0], [1, 1, 0, 0]].map(|g| g.to_vec());
        assert_eq!(way(&[0; 4], &[1, 1, 0, 1], &errors), expect);
        assert!(way(&[0; 4], &[0; 4], &errors).is_empty());
        assert!(way(&[0; 4], &[0, 0, 1, 0], &errors).is_empty());
        let many = vec![vec![1.0, 0.0]; 40];
        assert!((4..=BETWEEN).contains(&way(&[0; 40], &[1; 40], &many).len()));
    }
}
