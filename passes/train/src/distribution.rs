//! What enters an activation: moments per channel, and the histogram that approximations are fitted to.

use hecc_batch::Batch;
use hecc_ir::calibration::{ActivationStatistics, BINS};
use hecc_ir::function::{Approximation, Function};

/// Bins kept while measuring.
const FINE: usize = 16 * BINS;
/// Weight of a ridge on normalised coefficients: a channel that hardly varies fits anything.
const RIDGE: f64 = 1e-4;

/// Counts in equal bins over [-range, range]; the range doubles when a value lies beyond.
pub(crate) struct Histogram {
    min: f32,
    max: f32,
    range: f32,
    counts: Vec<u64>,
}

impl Histogram {
    pub fn new() -> Self {
        Self {
            min: f32::INFINITY,
            max: f32::NEG_INFINITY,
            range: f32::EPSILON,
            counts: vec![0; FINE],
        }
    }

    /// Counts the values of a batch; `false`, and nothing counted, where one is not finite.
    pub fn add(&mut self, batch: &Batch) -> bool {
        if !batch.data.iter().all(|v| v.is_finite()) {
            return false;
        }
        for v in &batch.data {
            self.min = self.min.min(*v);
            self.max = self.max.max(*v);
        }
        while self.range < self.largest() && self.range < f32::MAX / 4.0 {
            let mut counts = vec![0; FINE];
            for (i, pair) in self.counts.chunks(2).enumerate() {
                counts[FINE / 4 + i] = pair.iter().sum();
            }
            (self.counts, self.range) = (counts, 2.0 * self.range);
        }
        let scale = FINE as f32 / 2.0 / self.range;
        for v in &batch.data {
            let bin = ((v + self.range) * scale) as usize;
            self.counts[bin.min(FINE - 1)] += 1;
        }
        true
    }

    /// Largest magnitude seen.
    pub fn largest(&self) -> f32 {
        self.min.abs().max(self.max.abs())
    }

    /// In [`BINS`] bins over [-m, m], m the largest magnitude.
    pub fn statistics(&self, name: &str) -> ActivationStatistics {
        let m = self.largest().max(f32::MIN_POSITIVE);
        let mut histogram = vec![0; BINS];
        for (i, count) in self.counts.iter().enumerate() {
            let centre = ((i as f32 + 0.5) / FINE as f32 * 2.0 - 1.0) * self.range;
            let bin = (centre / m + 1.0) * (BINS as f32 / 2.0);
            histogram[(bin.max(0.0) as usize).min(BINS - 1)] += count;
        }
        ActivationStatistics {
            name: name.to_string(),
            min: f64::from(self.min),
            max: f64::from(self.max),
            histogram,
        }
    }
}

/// Per channel: sums of x^k, k = 0..4, and of f(x) x^k, k = 0..2.
pub(crate) struct PowerSums {
    powers: Vec<[f64; 5]>,
    products: Vec<[f64; 3]>,
}

impl PowerSums {
    pub fn new(channels: usize) -> Self {
        Self {
            powers: vec![[0.0; 5]; channels],
            products: vec![[0.0; 3]; channels],
        }
    }

    /// Adds operands `x` and results `f` of the function.
    pub fn add(&mut self, x: &Batch, f: &Batch) {
        let c = self.powers.len();
        for (x, f) in x.data.chunks_exact(c).zip(f.data.chunks_exact(c)) {
            for (channel, (&x, &f)) in x.iter().zip(f).enumerate() {
                let (x, mut power) = (f64::from(x), 1.0);
                for k in 0..5 {
                    self.powers[channel][k] += power;
                    if let Some(product) = self.products[channel].get_mut(k) {
                        *product += f64::from(f) * power;
                    }
                    power *= x;
                }
            }
        }
    }

    /// Mean and standard deviation of every channel; deviation 1 for one that does not vary.
    pub fn normal(&self) -> (Vec<f32>, Vec<f32>) {
        let one = |p: &[f64; 5]| {
            let count = p[0].max(1.0);
            let mean = p[1] / count;
            let sigma = (p[2] / count - mean * mean).max(0.0).sqrt() as f32;
            let varies = sigma > f32::MIN_POSITIVE.sqrt();
            (mean as f32, if varies { sigma } else { 1.0 })
        };
        self.powers.iter().map(one).unzip()
    }

    /// The polynomial of `terms` coefficients closest to f on every channel's distribution, as rows of
    /// coefficients of powers of x.
    pub fn fit(&self, terms: usize) -> Vec<Vec<f32>> {
        let rms = |p: &[f64; 5]| (p[2] / p[0].max(1.0)).sqrt().max(1e-18);
        let sigma: Vec<f64> = self.powers.iter().map(rms).collect();
        let channels = self.powers.iter().zip(&self.products).zip(sigma);
        channels
            .map(|((powers, products), sigma)| {
                let count = powers[0].max(1.0);
                let unit = |k: usize| sigma.powi(k as i32) * count;
                let matrix = |i: usize, j: usize| {
                    powers[i + j] / unit(i + j) + if i == j { RIDGE } else { 0.0 }
                };
                let right = |i: usize| products[i] / unit(i);
                let c = solve(terms, matrix, right);
                let back = |(k, c): (usize, f64)| (c / sigma.powi(k as i32)) as f32;
                c.into_iter().enumerate().map(back).collect()
            })
            .collect()
    }
}

/// Gaussian elimination of a small positive definite system.
fn solve(n: usize, matrix: impl Fn(usize, usize) -> f64, right: impl Fn(usize) -> f64) -> Vec<f64> {
    let mut rows: Vec<Vec<f64>> = (0..n)
        .map(|i| (0..n).map(|j| matrix(i, j)).chain([right(i)]).collect())
        .collect();
    for k in 0..n {
        let (above, below) = rows.split_at_mut(k + 1);
        for row in below {
            let factor = row[k] / above[k][k];
            let head = above[k].iter();
            row.iter_mut().zip(head).for_each(|(v, h)| *v -= factor * h);
        }
    }
    let mut x = vec![0.0; n];
    for k in (0..n).rev() {
        let known: f64 = (k + 1..n).map(|j| rows[k][j] * x[j]).sum();
        x[k] = (rows[k][n] - known) / rows[k][k];
    }
    x
}

/// Whether all rows are the same: then nobody chose them per channel.
pub(crate) fn uniform(rows: &[Vec<f32>]) -> bool {
    rows.windows(2).all(|pair| pair[0] == pair[1])
}

/// Whether an approximation is one series, which can be fitted again.
pub(crate) fn is_series(function: &Function) -> bool {
    let Function::Approximated(approximation) = function else {
        return false;
    };
    match approximation {
        Approximation::Fused { .. } => true,
        Approximation::Levelled {
            polynomials,
            times_x,
            ..
        } => polynomials.len() == 1 && !times_x,
        Approximation::Square { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use hecc_ir::nn::Shape;
    use hecc_ir::testing::Random;

    use super::*;

    fn batch(data: Vec<f32>) -> Batch {
        let shape = Shape::new(2, 1, 1);
        Batch {
            n: data.len() / 2,
            shape,
            data,
        }
    }

    #[test]
    fn quadratics_are_found_again() {
        let x = batch(
            Random::new(1)
                .floats(2000)
                .iter()
                .map(|x| 3.0 * x)
                .collect(),
        );
        let rows = Function::Polynomial {
            coefficients: vec![vec![0.5, -1.0, 2.0], vec![0.0, 0.25, -0.5]],
        };
        let mut f = x.clone();
        for (i, v) in f.data.iter_mut().enumerate() {
            *v = rows.apply(i % 2, f64::from(*v)) as f32;
        }
        let mut sums = PowerSums::new(2);
        sums.add(&x, &f);
        let fit = sums.fit(3);
        let Function::Polynomial { coefficients } = rows else {
            unreachable!("made above");
        };
        for (a, b) in fit.iter().flatten().zip(coefficients.iter().flatten()) {
            assert!((a - b).abs() < 5e-3, "{fit:?}");
        }
        let (mean, sigma) = sums.normal();
        assert!(mean.iter().all(|m| m.abs() < 0.2));
        assert!(sigma.iter().all(|s| (s - 3f32.sqrt()).abs() < 0.1));
        assert_eq!(PowerSums::new(1).normal(), (vec![0.0], vec![1.0]));
    }

    #[test]
    fn histograms_grow_with_their_values() {
        let mut histogram = Histogram::new();
        assert!(histogram.add(&batch(vec![0.5, -0.5])));
        assert!(histogram.add(&batch(vec![4.0, -0.01])));
        assert!(!histogram.add(&batch(vec![f32::NAN, 9.0])));
        let statistics = histogram.statistics("a");
        assert_eq!((statistics.min, statistics.max), (-0.5, 4.0));
        assert_eq!(statistics.histogram.iter().sum::<u64>(), 4);
        assert_eq!(statistics.histogram[BINS - 1], 1);
        // At the end of its bin when it came, and still.
        assert_eq!(statistics.histogram[BINS / 2 + 15], 1);
    }
}
