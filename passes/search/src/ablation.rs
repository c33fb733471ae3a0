//! What evolution is worth: random search and a greedy walk with as many evaluations.

use std::collections::{BTreeMap, BTreeSet};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::dominance::{Limits, front};
use crate::error::SearchError;
use crate::hypervolume::{Reference, hypervolume};
use crate::objective::{Genome, Objective, Score};
use crate::planner::Planner;
use crate::sensitivity::Sensitivities;
use crate::state::State;
use crate::variation;

/// Points of a curve of hypervolumes.
const SAMPLES: usize = 20;
/// Genomes evaluated together.
const PART: usize = 40;
/// Logarithm of the factor by which further greedy walks see errors differently.
const JITTER: f64 = 0.5;

/// Three ways to spend the same number of evaluations.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ablation {
    /// Evaluations that each was allowed.
    pub evaluations: usize,
    /// Corner of the hypervolumes.
    pub reference: Reference,
    /// Genomes drawn uniformly.
    pub random: Course,
    /// Walks from the most accurate genome down, each step where the additive model loses least for a
    /// second saved; the second and further ones with errors changed at random.
    pub greedy: Course,
    /// The search itself, with its seeds.
    pub evolution: Course,
}

/// How one of them went.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Course {
    /// Different genomes it evaluated; fewer than allowed when it found no more.
    pub evaluations: usize,
    /// Hypervolume at the end, 0 to 1.
    pub hypervolume: f64,
    /// (evaluations, hypervolume) on the way.
    pub curve: Vec<(usize, f64)>,
    /// (seconds, accuracy) of its front at the end, by ascending seconds.
    pub front: Vec<(f64, f64)>,
}

impl Course {
    fn new(scores: &[Option<Score>], reference: &Reference) -> Self {
        let after = |count: usize| hypervolume(&scores[..count], reference);
        let count = scores.len();
        let samples: BTreeSet<usize> = (1..=SAMPLES).map(|s| count * s / SAMPLES).collect();
        let point = |i: usize| scores[i].map(|s| (s.seconds, s.accuracy));
        Self {
            evaluations: count,
            hypervolume: after(count),
            curve: samples.into_iter().map(|n| (n, after(n))).collect(),
            front: front(scores, &Limits::default())
                .into_iter()
                .filter_map(point)
                .collect(),
        }
    }
}

impl Ablation {
    /// Compares `state`, a search that has begun, with the others at `evaluations` each (at most those
    /// of the search). `planner` says what an alternative costs alone. Genomes that the search has
    /// evaluated are not evaluated again. `progress` gets evaluations done, of both others together.
    ///
    /// # Errors
    /// [`SearchError::Setting`] when the search has not begun, and what the objective reports.
    pub fn run(
        objective: &dyn Objective,
        planner: &dyn Planner,
        state: &State,
        sensitivities: &Sensitivities,
        evaluations: usize,
        progress: &mut dyn FnMut(usize),
    ) -> Result<Self, SearchError> {
        let begun = !state.history().is_empty();
        let Some(reference) = state.reference().filter(|_| begun) else {
            return Err(SearchError::Setting {
                name: "generations before an ablation",
                expected: "1 or more",
                got: "0".into(),
            });
        };
        let evaluations = evaluations.min(state.archive().len());
        let mut rng = ChaCha8Rng::seed_from_u64(state.settings().seed);
        // No generation has this stream.
        rng.set_stream(u64::MAX);
        let mut cache = Cache {
            objective,
            state,
            more: BTreeMap::new(),
        };
        let drawn = random(&mut rng, state.sizes(), evaluations);
        let random = cache.scores(&drawn, &mut |done| progress(done))?;
        let prices = prices(planner, state.sizes())?;
        let walked = walks(&mut rng, &sensitivities.errors(), &prices, evaluations);
        let greedy = cache.scores(&walked, &mut |done| progress(drawn.len() + done))?;
        let records = state.archive().iter().take(evaluations);
        let evolution: Vec<_> = records.map(|r| r.score).collect();
        Ok(Self {
            evaluations,
            reference,
            random: Course::new(&random, &reference),
            greedy: Course::new(&greedy, &reference),
            evolution: Course::new(&evolution, &reference),
        })
    }
}

struct Cache<'a> {
    objective: &'a dyn Objective,
    state: &'a State,
    more: BTreeMap<Genome, Option<Score>>,
}

impl Cache<'_> {
    fn scores(
        &mut self,
        genomes: &[Genome],
        progress: &mut dyn FnMut(usize),
    ) -> Result<Vec<Option<Score>>, SearchError> {
        let mut scores = Vec::with_capacity(genomes.len());
        for part in genomes.chunks(PART) {
            let known = |g: &Genome| self.state.score(g).is_some() || self.more.contains_key(g);
            let new: Vec<Genome> = part.iter().filter(|g| !known(g)).cloned().collect();
            let found = self.objective.evaluate(&new)?;
            self.more.extend(new.into_iter().zip(found));
            let score = |g: &Genome| self.state.score(g).unwrap_or_else(|| self.more[g]);
            scores.extend(part.iter().map(score));
            progress(scores.len());
        }
        Ok(scores)
    }
}

fn random(rng: &mut ChaCha8Rng, sizes: &[usize], count: usize) -> Vec<Genome> {
    let mut met = BTreeSet::new();
    let mut genomes = Vec::new();
    // Twice as many draws: a small space has no more.
    for _ in 0..2 * count {
        let genome = variation::random(rng, sizes);
        if genomes.len() < count && met.insert(genome.clone()) {
            genomes.push(genome);
        }
    }
    genomes
}

/// Seconds of every alternative where all others are the cheapest; infinite where that cannot be run.
fn prices(planner: &dyn Planner, sizes: &[usize]) -> Result<Vec<Vec<f64>>, SearchError> {
    let price = |place: usize, k: usize| -> Result<f64, SearchError> {
        let mut genome = vec![0; sizes.len()];
        genome[place] = k as u8;
        Ok(planner
            .predict(&genome)?
            .map_or(f64::INFINITY, |c| c.seconds))
    };
    let row = |(place, &size): (usize, &usize)| (0..size).map(|k| price(place, k)).collect();
    let places: Vec<(usize, &usize)> = sizes.iter().enumerate().collect();
    places.into_par_iter().map(row).collect()
}

/// Greedy walks until `count` genomes are met, or further walks find nothing new.
fn walks(
    rng: &mut ChaCha8Rng,
    errors: &[Vec<f64>],
    prices: &[Vec<f64>],
    count: usize,
) -> Vec<Genome> {
    let mut met = BTreeSet::new();
    let mut genomes = Vec::new();
    let mut barren = 0;
    let mut seen = errors.to_vec();
    while genomes.len() < count && barren < 5 {
        let before = genomes.len();
        for genome in walk(&seen, prices) {
            if genomes.len() < count && met.insert(genome.clone()) {
                genomes.push(genome);
            }
        }
        barren = if genomes.len() == before {
            barren + 1
        } else {
            0
        };
        for (seen, exact) in seen.iter_mut().flatten().zip(errors.iter().flatten()) {
            let change = JITTER * (2.0 * rng.random::<f64>() - 1.0);
            *seen = exact * change.exp();
        }
    }
    genomes
}

/// From the alternatives of the least error to those of the least price; every step is the one, of one
/// activation, that adds the least error for a second saved.
fn walk(errors: &[Vec<f64>], prices: &[Vec<f64>]) -> Vec<Genome> {
    let least = |(errors, prices): (&Vec<f64>, &Vec<f64>)| {
        let worth = |&k: &usize| (errors[k], prices[k]);
        let better = |a: &usize, b: &usize| {
            let ((e, p), (f, q)) = (worth(a), worth(b));
            e.total_cmp(&f).then(p.total_cmp(&q))
        };
        (0..errors.len()).min_by(better).unwrap_or(0) as u8
    };
    let mut genome: Genome = errors.iter().zip(prices).map(least).collect();
    let mut path = vec![genome.clone()];
    loop {
        let mut best: Option<(f64, usize, usize)> = None;
        for (place, &gene) in genome.iter().enumerate() {
            let (errors, prices) = (&errors[place], &prices[place]);
            let now = usize::from(gene);
            for k in (0..errors.len()).filter(|&k| prices[k] < prices[now]) {
                let slope = (errors[k] - errors[now]) / (prices[now] - prices[k]);
                if best.is_none_or(|(least, _, _)| slope < least) {
                    best = Some((slope, place, k));
                }
            }
        }
        let Some((_, place, k)) = best else {
            return path;
        };
        genome[place] = k as u8;
        path.push(genome.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_loses_least_for_a_second() {
        // The third alternative of the first is dearer than the last and worse: never met.
        let errors = [vec![5.0, 1.0, 0.5, 0.0], vec![0.5, 0.0]];
        let prices = [vec![1.0, 2.0, 9.0, 3.0], vec![1.0, 2.0]];
        let expect = [[3, 1], [3, 0], [1, 0], [0, 0]].map(|g| g.to_vec());
        assert_eq!(walk(&errors, &prices), expect);
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        assert!(walks(&mut rng, &errors, &prices, 100).len() >= 4);
        assert_eq!(walks(&mut rng, &errors, &prices, 3), expect[..3]);
    }
}
