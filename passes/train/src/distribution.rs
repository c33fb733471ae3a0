//! What enters an activation: moments per channel, and what polynomials follow from them.

use hecc_batch::Batch;
use hecc_ir::function::{Approximation, Function};

/// Weight of a ridge on normalised coefficients: a channel that hardly varies fits anything.
const RIDGE: f64 = 1e-4;

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
}
