//! R-CCDE: coefficients of a composition by regularised cooperative coevolution, every group of them
//! (the coefficients of a polynomial, or the scale between two) by differential evolution [AB24].
//!
//! As published, and where the paper is silent, as its code does: composition p_K(..p_1(x) / s_1..) / 1
//! of odd Chebyshev series, target sgn(x) / 2 with a slope of 1/0.02 within 0.01, mean absolute error on
//! 100 uniform points of [-1, 1] drawn anew every cycle and both ends; 0.01 s^2 is added for a scale.
//! DE/rand/1/bin, 20 individuals a coefficient and 20 for a scale, F = 0.5 (coefficients) or 0.1
//! (scales) dithered up to 1, CR = 0.5; one generation a coefficient and cycle; at most 100 cycles, until
//! 20 in a row gain nothing; the best of 10 restarts by mean absolute error of the ReLU.
//!
//! Different: fitness is found again when a group's turn comes, for the points and the other groups are
//! new by then. All functions are odd, so points are taken from [0, 1].

use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::odd;

/// Largest degree of a polynomial.
pub(super) const MAX_DEGREE: usize = 7;
/// Terms of an odd polynomial of [`MAX_DEGREE`].
const TERMS: usize = MAX_DEGREE.div_ceil(2);
/// Neighbours are merged up to this degree.
const MERGED: usize = 31;
const PER_COEFFICIENT: usize = 20;
const COEFFICIENTS: (f64, f64) = (-5.0, 5.0);
const SCALES: (f64, f64) = (1.0, 5.0);
const CROSSOVER: f64 = 0.5;
const REGULARISATION: f64 = 0.01;
const SLACK: f64 = 0.01;
const CYCLES: usize = 100;
const PATIENCE: usize = 20;
/// 100 points and an end.
const POINTS: usize = 101;

/// Degrees after neighbours are merged, as long as the product of degrees is at most 31.
pub(super) fn merged(degrees: &[usize]) -> Vec<usize> {
    let mut result: Vec<usize> = Vec::new();
    for &degree in degrees {
        match result.last_mut() {
            Some(last) if *last * degree <= MERGED => *last *= degree,
            _ => result.push(degree),
        }
    }
    result
}

/// Odd polynomials of [`merged`] degrees whose composition approximates sgn(x): the best of `restarts`.
/// `degrees` are odd, at most [`MAX_DEGREE`].
pub(super) fn rccde(degrees: &[usize], restarts: u64, seed: u64) -> Option<Vec<Vec<f64>>> {
    (0..restarts)
        .map(|restart| {
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            random.set_stream(restart);
            merge(&Colony::new(degrees, &mut random).evolve(&mut random))
        })
        .map(|found| (relu_error(&found), found))
        .filter(|(error, _)| error.is_finite())
        .min_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, found)| found)
}

/// Mean absolute error of x (1 + p(x)) / 2 as a ReLU, on [0, 1].
pub(super) fn relu_error(polynomials: &[Vec<f64>]) -> f64 {
    /// Points of the published measure, on both halves.
    const GRID: usize = 500;
    let error = |i: usize| {
        let x = (i as f64 + 0.5) / GRID as f64;
        0.5 * x * (odd::composed(polynomials, x) - 1.0).abs()
    };
    (0..GRID).map(error).sum::<f64>() / GRID as f64
}

/// Neighbours multiplied together; sgn(x) / 2 becomes sgn(x).
fn merge(polynomials: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let degrees: Vec<usize> = polynomials.iter().map(|p| odd::degree(p)).collect();
    let mut rest = polynomials;
    let mut result: Vec<Vec<f64>> = Vec::new();
    for degree in merged(&degrees) {
        let mut taken = 0;
        let mut product = 1;
        while product < degree || taken == 0 {
            product *= odd::degree(&rest[taken]);
            taken += 1;
        }
        // Factors of degree 1 behind it belong to it too.
        taken += rest[taken..].iter().take_while(|p| p.len() == 1).count();
        let (parts, after) = rest.split_at(taken);
        result.push(match parts {
            [one] => one.clone(),
            parts => odd::interpolate(degree.div_ceil(2), |x| odd::composed(parts, x)),
        });
        rest = after;
    }
    if let Some(last) = result.last_mut() {
        last.iter_mut().for_each(|c| *c *= 2.0);
    }
    odd::normalise(&mut result);
    result
}

/// A polynomial over its scale, in powers, for speed: x (a_0 + a_1 x^2 + ..).
type Powers = [f64; TERMS];

/// Chebyshev coefficients over a scale as powers.
fn powers(coefficients: &[f64], scale: f64) -> Powers {
    const T: [Powers; TERMS] = [
        [1.0, 0.0, 0.0, 0.0],
        [-3.0, 4.0, 0.0, 0.0],
        [5.0, -20.0, 16.0, 0.0],
        [-7.0, 56.0, -112.0, 64.0],
    ];
    let mut result = [0.0; TERMS];
    for (c, t) in coefficients.iter().zip(T) {
        result
            .iter_mut()
            .zip(t)
            .for_each(|(r, t)| *r += c / scale * t);
    }
    result
}

fn apply(powers: &Powers, values: &mut [f64; POINTS]) {
    let [a, b, c, d] = *powers;
    for x in values {
        let y = *x * *x;
        *x *= a + y * (b + y * (c + y * d));
    }
}

/// One cycle's points and what they should become.
struct Sample {
    x: [f64; POINTS],
    target: [f64; POINTS],
}

impl Sample {
    fn new(random: &mut ChaCha8Rng) -> Self {
        let mut x = [1.0; POINTS];
        x[1..].fill_with(|| random.random());
        Self {
            x,
            target: x.map(|x| 0.5 * (x / SLACK).min(1.0)),
        }
    }
}

/// Candidates for one group of variables.
struct Population {
    individuals: Vec<Vec<f64>>,
    fitness: Vec<f64>,
    factor: f64,
    bounds: (f64, f64),
}

impl Population {
    /// A Latin hypercube over `start`.
    fn new(
        size: usize,
        variables: usize,
        start: (f64, f64),
        bounds: (f64, f64),
        factor: f64,
        random: &mut ChaCha8Rng,
    ) -> Self {
        let mut individuals = vec![vec![0.0; variables]; size];
        for variable in 0..variables {
            let mut cells: Vec<usize> = (0..size).collect();
            cells.shuffle(random);
            for (individual, cell) in individuals.iter_mut().zip(cells) {
                let at = (cell as f64 + random.random::<f64>()) / size as f64;
                individual[variable] = start.0 + (start.1 - start.0) * at;
            }
        }
        Self {
            fitness: vec![f64::INFINITY; size],
            individuals,
            factor,
            bounds,
        }
    }

    /// A generation a variable; the best individual and its error.
    fn evolve(
        &mut self,
        error: impl Fn(&[f64]) -> f64,
        random: &mut ChaCha8Rng,
    ) -> (Vec<f64>, f64) {
        for (individual, fitness) in self.individuals.iter().zip(&mut self.fitness) {
            *fitness = error(individual);
        }
        let size = self.individuals.len();
        for _ in 0..self.individuals[0].len() {
            let trials: Vec<Vec<f64>> = (0..size).map(|i| self.trial(i, random)).collect();
            for (i, trial) in trials.into_iter().enumerate() {
                let found = error(&trial);
                if found <= self.fitness[i] {
                    self.fitness[i] = found;
                    self.individuals[i] = trial;
                }
            }
        }
        let best = (0..size)
            .min_by(|&a, &b| self.fitness[a].total_cmp(&self.fitness[b]))
            .unwrap_or(0);
        (self.individuals[best].clone(), self.fitness[best])
    }

    /// DE/rand/1/bin.
    fn trial(&self, target: usize, random: &mut ChaCha8Rng) -> Vec<f64> {
        let size = self.individuals.len();
        let mut chosen = [target; 4];
        for k in 1..4 {
            while chosen[..k].contains(&chosen[k]) {
                chosen[k] = random.random_range(0..size);
            }
        }
        let [own, a, b, c] = chosen.map(|i| &self.individuals[i]);
        let factor = self.factor + (1.0 - self.factor) * random.random::<f64>();
        let always = random.random_range(0..own.len());
        let variable = |k: usize, random: &mut ChaCha8Rng| {
            if random.random::<f64>() >= CROSSOVER && k != always {
                return own[k];
            }
            let moved = a[k] + factor * (b[k] - c[k]);
            let (low, high) = self.bounds;
            // Back from a bound to between it and where the move began.
            match moved {
                moved if moved < low => low + random.random::<f64>() * (a[k] - low),
                moved if moved > high => high - random.random::<f64>() * (high - a[k]),
                moved => moved,
            }
        };
        (0..own.len()).map(|k| variable(k, random)).collect()
    }
}

/// All groups and the individuals that represent them.
struct Colony {
    coefficients: Vec<Population>,
    scales: Vec<Population>,
    polynomials: Vec<Vec<f64>>,
    /// One a polynomial; the last stays 1.
    scale: Vec<f64>,
}

impl Colony {
    fn new(degrees: &[usize], random: &mut ChaCha8Rng) -> Self {
        let mut coefficients = Vec::new();
        let mut scales = Vec::new();
        for &degree in degrees {
            let n = degree.div_ceil(2);
            let size = PER_COEFFICIENT * n;
            let start = (-1.0, 1.0);
            coefficients.push(Population::new(size, n, start, COEFFICIENTS, 0.5, random));
        }
        for _ in 1..degrees.len() {
            scales.push(Population::new(
                PER_COEFFICIENT,
                1,
                SCALES,
                SCALES,
                0.1,
                random,
            ));
        }
        // A Latin hypercube's first individual is as random as any.
        let polynomials = coefficients.iter().map(|p| p.individuals[0].clone());
        let scale = scales.iter().map(|s| s.individuals[0][0]).chain([1.0]);
        Self {
            polynomials: polynomials.collect(),
            scale: scale.collect(),
            coefficients,
            scales,
        }
    }

    /// The polynomials over their scales when no cycle gains any more.
    fn evolve(mut self, random: &mut ChaCha8Rng) -> Vec<Vec<f64>> {
        let (mut least, mut waited) = (f64::INFINITY, 0);
        for _ in 0..CYCLES {
            let error = self.cycle(random);
            waited += 1;
            if error < least {
                (least, waited) = (error, 0);
            }
            if waited > PATIENCE {
                break;
            }
        }
        let scaled = |(p, s): (Vec<f64>, f64)| p.into_iter().map(|c| c / s).collect();
        self.polynomials
            .into_iter()
            .zip(self.scale)
            .map(scaled)
            .collect()
    }

    /// A turn of every group; the last group's error.
    fn cycle(&mut self, random: &mut ChaCha8Rng) -> f64 {
        let sample = Sample::new(random);
        let mut chain: Vec<Powers> = self
            .polynomials
            .iter()
            .zip(&self.scale)
            .map(|(p, &s)| powers(p, s))
            .collect();
        let mut before = sample.x;
        let mut error = f64::INFINITY;
        for i in 0..self.polynomials.len() {
            let after = &chain[i + 1..];
            let of = |own: &Powers| -> f64 {
                let mut values = before;
                apply(own, &mut values);
                after.iter().for_each(|p| apply(p, &mut values));
                let difference = values
                    .iter()
                    .zip(&sample.target)
                    .map(|(v, t)| (v - t).abs());
                let mean = difference.sum::<f64>() / POINTS as f64;
                if mean.is_finite() {
                    mean
                } else {
                    f64::INFINITY
                }
            };
            let scale = self.scale[i];
            let (best, found) = self.coefficients[i].evolve(|c| of(&powers(c, scale)), random);
            error = found;
            self.polynomials[i] = best;
            if let Some(population) = self.scales.get_mut(i) {
                let own = &self.polynomials[i];
                let regularised = |s: &[f64]| of(&powers(own, s[0])) + REGULARISATION * s[0] * s[0];
                (self.scale[i], error) = {
                    let (best, found) = population.evolve(regularised, random);
                    (best[0], found)
                };
            }
            chain[i] = powers(&self.polynomials[i], self.scale[i]);
            apply(&chain[i], &mut before);
        }
        error
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_merge() {
        let check = |degrees: &[usize], expect: &[usize]| assert_eq!(merged(degrees), expect);
        check(&[7, 7], &[7, 7]);
        check(&[5, 3, 5, 3], &[15, 15]);
        check(&[3, 3, 3, 3, 3, 3], &[27, 27]);
        check(&[1, 5, 1, 5, 7], &[25, 7]);
    }

    #[test]
    fn merging_keeps_the_composition() {
        let parts = [
            vec![0.9, 0.2],
            vec![0.8],
            vec![0.7, -0.1, 0.1],
            vec![0.5, 0.1],
        ];
        let merged = merge(&parts);
        assert_eq!(
            merged.iter().map(|p| odd::degree(p)).collect::<Vec<_>>(),
            [15, 3]
        );
        for x in [0.0, 0.3, -0.8, 1.0] {
            let expect = 2.0 * odd::composed(&parts, x);
            assert!((odd::composed(&merged, x) - expect).abs() < 1e-10);
        }
    }

    #[test]
    fn powers_are_chebyshev_series() {
        let series = [0.5, -1.0, 0.25, 2.0];
        let mut values = [0.0; POINTS];
        (values[0], values[1]) = (0.3, 1.0);
        apply(&powers(&series, 2.0), &mut values);
        for (got, x) in values.iter().zip([0.3, 1.0, 0.0]) {
            assert!((got - odd::value(&series, x) / 2.0).abs() < 1e-12);
        }
    }

    #[test]
    fn evolution_beats_its_start_and_repeats() {
        let start = {
            let mut random = ChaCha8Rng::seed_from_u64(7);
            relu_error(&merge(&Colony::new(&[3, 3], &mut random).polynomials))
        };
        let found = rccde(&[3, 3], 2, 7).unwrap();
        // A single polynomial of degree 9 is no better than 0.012.
        assert!(relu_error(&found) < 0.025 && relu_error(&found) < 0.3 * start);
        assert_eq!(rccde(&[3, 3], 2, 7).unwrap(), found);
        assert_ne!(rccde(&[3, 3], 2, 8).unwrap(), found);
        let one = relu_error(&rccde(&[3, 3], 1, 7).unwrap());
        assert!(relu_error(&found) <= one);
    }

    #[test]
    fn evolution_beats_minimax_on_its_own_measure() {
        let minimax = crate::minimax::composite_sign(&[7, 7]);
        let minimax: Vec<Vec<f64>> = minimax.iter().map(|p| odd::of_series(p)).collect();
        let found = rccde(&[7, 7], 10, 0).unwrap();
        assert!(relu_error(&found) < 0.7 * relu_error(&minimax));
    }
}
