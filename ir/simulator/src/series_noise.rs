//! The noise of a Chebyshev series, by first-order propagation through the very evaluation that
//! ciphertexts get: powers by T_{a+b} = 2 T_a T_b - T_{a-b}, Paterson-Stockmeyer with leaves of low
//! degree, a rounding after every product [BMTH21, section 3].
//!
//! The noise depends on where in [-1, 1] the operand is, since every doubling T_{2a} = 2 T_a^2 - 1
//! multiplies an error by 4 T_a. It is computed on a grid.

use std::collections::BTreeMap;

use hecc_ir::params::{Parameters, depth};

use crate::noise::Model;

/// Points of the grid over [-1, 1].
const POINTS: usize = 129;

/// Standard deviation of a series' own noise, as a function of the operand.
#[derive(Clone, Debug)]
pub struct SeriesNoise {
    grid: Vec<f32>,
}

impl SeriesNoise {
    /// `coefficients` c_0.. of degree 1 or more, on an operand of scale `scale_in`, with the result at
    /// `level` and `scale_out`.
    pub fn new(
        parameters: &Parameters,
        coefficients: &[f64],
        level: usize,
        scale_in: f64,
        scale_out: f64,
    ) -> Self {
        let degree = coefficients.iter().rposition(|&c| c != 0.0).unwrap_or(0);
        let at = |i: usize| {
            let x = 2.0 * i as f64 / (POINTS - 1) as f64 - 1.0;
            let mut trace = Trace {
                parameters,
                model: Model::new(parameters),
                operand_level: level + depth(degree),
                leaf: if degree < 32 { 4 } else { 8 },
                sources: 0,
                powers: BTreeMap::from([(1, (Noisy::exact(x), scale_in))]),
            };
            let above = level + 1;
            let target = scale_out * parameters.q[above] as f64;
            let sum = trace.series(&coefficients[..=degree], above, target);
            trace.rounded(sum, above, scale_out).sd() as f32
        };
        let grid = match degree {
            0 => vec![0.0; POINTS],
            _ => (0..POINTS).map(at).collect(),
        };
        Self { grid }
    }

    /// Near the operand `x`; operands outside [-1, 1] count as its ends.
    #[inline]
    pub fn at(&self, x: f32) -> f32 {
        let middle = (POINTS / 2) as f32;
        // A cast of what is not a number gives 0, one of what is too large the largest index.
        let index = (x * middle + middle + 0.5) as usize;
        self.grid[index.min(POINTS - 1)]
    }

    /// Root mean square over [-1, 1].
    pub fn mean(&self) -> f64 {
        let squares: f64 = self.grid.iter().map(|&v| f64::from(v).powi(2)).sum();
        (squares / POINTS as f64).sqrt()
    }
}

/// A value and its first-order dependence on every rounding so far, in standard deviations.
#[derive(Clone)]
struct Noisy {
    value: f64,
    parts: Vec<f64>,
}

impl Noisy {
    fn exact(value: f64) -> Self {
        let parts = Vec::new();
        Self { value, parts }
    }

    /// `a self + b other`, plus `constant`.
    fn combine(&self, a: f64, other: &Self, b: f64, constant: f64) -> Self {
        let part = |of: &Self, i: usize| of.parts.get(i).copied().unwrap_or(0.0);
        let parts = 0..self.parts.len().max(other.parts.len());
        Self {
            value: a * self.value + b * other.value + constant,
            parts: parts
                .map(|i| a * part(self, i) + b * part(other, i))
                .collect(),
        }
    }

    fn product(&self, other: &Self) -> Self {
        let mut product = self.combine(other.value, other, self.value, 0.0);
        product.value = self.value * other.value;
        product
    }

    fn sd(&self) -> f64 {
        self.parts.iter().map(|p| p * p).sum::<f64>().sqrt()
    }
}

/// An evaluation at one operand.
struct Trace<'p> {
    parameters: &'p Parameters,
    model: Model<'p>,
    operand_level: usize,
    leaf: usize,
    /// Roundings so far.
    sources: usize,
    /// T_k with its scale.
    powers: BTreeMap<usize, (Noisy, f64)>,
}

impl Trace<'_> {
    fn level_of(&self, k: usize) -> usize {
        self.operand_level - k.next_power_of_two().trailing_zeros() as usize
    }

    /// After the division that leads from `level` to scale `scale`.
    fn rounded(&mut self, mut value: Noisy, level: usize, scale: f64) -> Noisy {
        value.parts.resize(self.sources, 0.0);
        value.parts.push(self.model.step(level, scale));
        self.sources += 1;
        value
    }

    fn power(&mut self, k: usize) -> (Noisy, f64) {
        if let Some(known) = self.powers.get(&k) {
            return known.clone();
        }
        let a = k.next_power_of_two() / 2;
        let ((x, scale_x), (y, scale_y)) = (self.power(a), self.power(k - a));
        let (product, level) = (x.product(&y), self.level_of(k) + 1);
        let doubled = match 2 * a == k {
            true => product.combine(2.0, &Noisy::exact(0.0), 0.0, -1.0),
            false => product.combine(2.0, &self.power(2 * a - k).0, -1.0, 0.0),
        };
        let scale = scale_x * scale_y / self.parameters.q[level] as f64;
        let power = (self.rounded(doubled, level, scale), scale);
        self.powers.insert(k, power.clone());
        power
    }

    /// The sum before its rescale, at `level` and scale `scale`.
    fn series(&mut self, coefficients: &[f64], level: usize, scale: f64) -> Noisy {
        let degree = coefficients.len() - 1;
        let reachable = (1..=degree).all(|k| coefficients[k] == 0.0 || self.level_of(k) >= level);
        if degree < self.leaf && reachable {
            let constant = Noisy::exact(coefficients[0]);
            return (1..=degree)
                .filter(|&k| coefficients[k] != 0.0)
                .fold(constant, |sum, k| {
                    sum.combine(1.0, &self.power(k).0, coefficients[k], 0.0)
                });
        }
        let split = (degree + 1).next_power_of_two() / 2;
        let (quotient, remainder) = divide(coefficients, split);
        let (giant, giant_scale) = self.power(split);
        let above = scale / giant_scale * self.parameters.q[level + 1] as f64;
        let quotient = self.series(&quotient, level + 1, above);
        let quotient = self.rounded(quotient, level + 1, scale / giant_scale);
        let remainder = self.series(&remainder, level, scale);
        quotient.product(&giant).combine(1.0, &remainder, 1.0, 0.0)
    }
}

/// p = quotient * T_split + remainder, for split <= degree < 2 split.
fn divide(coefficients: &[f64], split: usize) -> (Vec<f64>, Vec<f64>) {
    let (low, high) = coefficients.split_at(split);
    let mut remainder = low.to_vec();
    // T_{split + j} = 2 T_split T_j - T_{split - j}
    let mut quotient = vec![high[0]];
    for (j, &c) in high.iter().enumerate().skip(1) {
        quotient.push(2.0 * c);
        remainder[split - j] -= c;
    }
    (quotient, remainder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::{FRAC_PI_2, PI};

    /// A function of x as a series in cos((pi/2)(1 + 0.92 x)), by projection.
    fn series(degree: usize, function: fn(f64) -> f64) -> Vec<f64> {
        let theta = |j: usize| PI * (j as f64 + 0.5) / 4096.0;
        (0..=degree)
            .map(|k| {
                let sum: f64 = (0..4096)
                    .map(|j| {
                        let x = (theta(j) / FRAC_PI_2 - 1.0) / 0.92;
                        function(x) * (k as f64 * theta(j)).cos()
                    })
                    .sum();
                sum * if k == 0 { 1.0 } else { 2.0 } / 4096.0
            })
            .collect()
    }

    /// The figures are what `cargo run --release -p hecc-client --example noise` printed for P alone:
    /// N = 2^15, y at level 7 and scale 2^34, result at scale 2^30.
    #[test]
    fn propagation_gives_what_was_measured() {
        let parameters = Parameters::fused(15, 15);
        let measured = [
            (1, [5.064e-6, 5.110e-6]),
            (7, [6.591e-6, 6.554e-6]),
            (15, [8.097e-6, 7.501e-6]),
        ];
        for (degree, figures) in measured {
            let functions: [fn(f64) -> f64; 2] = [|x| x, |x| x.max(0.0)];
            for (function, figure) in functions.into_iter().zip(figures) {
                let (level, series) = (7 - depth(degree), series(degree, function));
                let (low, high) = (2f64.powi(30), 2f64.powi(34));
                let noise = SeriesNoise::new(&parameters, &series, level, high, low);
                // x uniform in [-1, 1], as measured.
                let squares = (0..1000).map(|i| {
                    let x = i as f64 / 499.5 - 1.0;
                    f64::from(noise.at((FRAC_PI_2 * (1.0 + 0.92 * x)).cos() as f32)).powi(2)
                });
                let ratio = (squares.sum::<f64>() / 1000.0).sqrt() / figure;
                assert!(ratio < 1.3 && ratio > 1.0 / 1.3, "degree {degree}: {ratio}");
            }
        }
    }

    #[test]
    fn errors_grow_towards_the_ends() {
        let parameters = Parameters::fused(15, 15);
        let mut power = vec![0.0; 9];
        power[8] = 1.0;
        let scale = 2f64.powi(35);
        let noise = SeriesNoise::new(&parameters, &power, 10, scale, scale);
        assert!(noise.at(1.0) > 2.0 * noise.at(0.6), "{noise:?}");
        assert_eq!(noise.at(f32::INFINITY), noise.at(1.0));
        assert_eq!(noise.at(-7.0), noise.at(-1.0));
        assert!(noise.at(f32::NAN) > 0.0 && noise.mean() > 0.0);
    }
}
