//! Random errors from tables of quantiles: a quarter of a random word each.
//!
//! A table holds 2^16 equally likely values of mean 0 and variance 1. Its tails end where the
//! distribution's 2^-17 quantiles are (Laplace: 8 standard deviations), beyond which ciphertexts go
//! once in 10^5 slots.

use std::f64::consts::FRAC_PI_2;

use rand::RngCore;
use rand_chacha::ChaCha8Rng;

/// Values of a table.
const SIZE: usize = 1 << 16;
/// Values a random word selects.
const PER_WORD: usize = 4;

/// A distribution of mean 0 and variance 1.
#[derive(Clone, Debug)]
pub struct Table(Vec<f32>);

/// The distributions of errors.
#[derive(Clone, Debug)]
pub struct Tables {
    /// Fresh encryptions: sums of N independent terms.
    pub normal: Table,
    /// Roundings: a slot of r1 s is a product of two complex normal numbers, and the real part of
    /// that has a Laplace distribution (kurtosis 6, as measured).
    pub laplace: Table,
    /// The cosine of the bootstrap, but for the factor of its last double angle: a rounding times the
    /// derivatives of the cosine and of two double angles, each the cosine of a random angle. Its
    /// kurtosis of 20 becomes 30 over all angles of the last one; 28 was measured.
    pub cosine: Table,
}

impl Tables {
    /// Computes the tables, some milliseconds.
    pub fn new() -> Self {
        let share = |i: usize, n: usize| (i as f64 + 0.5) / n as f64;
        // Box-Muller on a grid: 2^10 radii, 2^6 directions.
        let normal = |i: usize| {
            let angle = std::f64::consts::TAU * share(i % 64, 64);
            (-2.0 * share(i / 64, SIZE / 64).ln()).sqrt() * angle.cos()
        };
        let laplace = |p: f64| match p < 0.5 {
            true => (2.0 * p).ln(),
            false => -(2.0 - 2.0 * p).ln(),
        };
        // Four angles of a quarter turn have the second and fourth moments of all.
        let turned = |i: usize| (FRAC_PI_2 * share(i % 4, 4)).cos();
        let cosine = |i: usize| {
            laplace(share(i / 64, SIZE / 64)) * turned(i) * turned(i / 4) * turned(i / 16)
        };
        Self {
            normal: Table::new(normal),
            laplace: Table::new(|i| laplace(share(i, SIZE))),
            cosine: Table::new(cosine),
        }
    }
}

impl Table {
    /// Of these values, brought to variance 1.
    fn new(value: impl Fn(usize) -> f64) -> Self {
        let values: Vec<f64> = (0..SIZE).map(value).collect();
        let square: f64 = values.iter().map(|v| v * v).sum();
        let sd = (square / SIZE as f64).sqrt();
        Self(values.into_iter().map(|v| (v / sd) as f32).collect())
    }

    /// `add(i, e)` for i = 0, 1, .. `count - 1`, with independent e.
    #[inline(always)]
    pub fn for_each(&self, count: usize, random: &mut ChaCha8Rng, mut add: impl FnMut(usize, f32)) {
        for first in (0..count).step_by(PER_WORD) {
            let mut word = random.next_u64();
            for i in first..count.min(first + PER_WORD) {
                add(i, self.0[word as u16 as usize]);
                word >>= 16;
            }
        }
    }

    /// Adds errors of standard deviation `sd`.
    pub fn add(&self, values: &mut [f32], sd: f64, random: &mut ChaCha8Rng) {
        let sd = sd as f32;
        self.for_each(values.len(), random, |i, error| values[i] += sd * error);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn moments() {
        let tables = Tables::new();
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let mut check = |table: &Table, kurtosis: f64, largest: f32| {
            let mut values = vec![0.0; 400_001];
            table.add(&mut values, 2.0, &mut random);
            let moment = |k: i32| {
                let sum: f64 = values.iter().map(|&v| f64::from(v / 2.0).powi(k)).sum();
                sum / values.len() as f64
            };
            let top = values.iter().fold(0.0, |m: f32, v| m.max(v.abs())) / 2.0;
            assert!(moment(1).abs() < 0.01 && (moment(2) - 1.0).abs() < 0.03);
            assert!((moment(4) / kurtosis - 1.0).abs() < 0.15, "{}", moment(4));
            assert!((top / largest - 1.0).abs() < 0.1, "{top}");
        };
        check(&tables.normal, 3.0, 3.9);
        check(&tables.laplace, 6.0, 8.3);
        check(&tables.cosine, 20.0, 13.0);
    }
}
