//! **approximate**: the cosine series that stands for an activation.
//!
//! Does: for one activation and its calibrated statistics, finds the coefficients of
//! `P(cos theta) = sum_k c_k cos(k theta)`, theta = (pi/2)(1 + rho x), closest to ReLU by weighted
//! least squares over the whole of theta in [0, pi]. x is the network's value over the range B,
//! and P's value is again in units of B. The weight is the calibrated histogram plus a floor. The part of
//! the half circle beyond B (a share 1 - rho) is a smooth roll-off with slope 0 at theta = pi, where
//! every cosine series has slope 0: a target left free there lets the series blow up.
//!
//! Does not: choose the degree (`choose_degree`), search coefficients against the network's output.
//!
//! In: statistics with at least one finite sample; degree 1..=127; margin >= 1; 0 < rho <= 1.
//! Out: degree + 1 finite coefficients.
//!
//! Depth: ceil(log2(degree + 1)) levels of the bootstrap. Rotations: none.
//!
//! Source: functional bootstrapping as a cosine series [AKP24]; least squares by the normal equations,
//! which are Toeplitz plus Hankel for cosines and well conditioned down to the floor's weight.
//!
//! Test: `residual_is_minimal`, `relu_error_by_degree` below.

use std::f64::consts::PI;

use hecc_ir::calibration::ActivationStatistics;
use hecc_ir::program_eval::activate;

use crate::PassError;

/// An activation ready to be fused into a bootstrap.
#[derive(Clone, Debug, PartialEq)]
pub struct Activation {
    /// B: network value at |x| = 1; the unit of operand and result.
    pub range: f64,
    /// Share of the half circle that [-B, B] fills.
    pub rho: f64,
    /// c_0.. of P in the Chebyshev basis.
    pub coefficients: Vec<f64>,
}

/// Weight of the least squares where the histogram is empty, relative to its mean over [-B, B].
const FLOOR: f64 = 0.02;

/// Points of the grid on [0, pi]; at least 16 a period of the highest cosine.
const GRID: usize = 2048;

impl Activation {
    /// What the bootstrap computes for the network value `value`.
    pub fn apply(&self, value: f64) -> f64 {
        self.range * activate(&self.coefficients, self.rho, value / self.range)
    }

    /// Degree of P.
    pub fn degree(&self) -> usize {
        self.coefficients.len() - 1
    }
}

/// Fits ReLU on the calibrated distribution; see the module's documentation.
///
/// # Errors
/// [`PassError::Option`] for a degree, margin or rho out of range, [`PassError::Calibration`] for
/// statistics that are not finite.
pub fn fit(
    statistics: &ActivationStatistics,
    degree: usize,
    margin: f64,
    rho: f64,
) -> Result<Activation, PassError> {
    check_options(degree, margin, rho)?;
    let largest = largest(statistics);
    if !largest.is_finite() {
        return Err(PassError::Calibration(format!(
            "activation {} has a range of {largest}; calibrate again with finite data",
            statistics.name
        )));
    }
    // An activation that never saw anything but zero keeps a range that divides safely.
    let range = if largest > 0.0 { margin * largest } else { 1.0 };
    let weight = weights(statistics, range, rho);
    let coefficients = least_squares(degree, &weight, |x| relu_with_roll_off(x, 1.0 / rho), rho);
    Ok(Activation {
        range,
        rho,
        coefficients,
    })
}

/// Weights of the grid points: the calibrated density over x, mean 1 on [-1, 1], plus the floor.
fn weights(statistics: &ActivationStatistics, range: f64, rho: f64) -> Vec<f64> {
    let largest = largest(statistics);
    let bins = statistics.histogram.len();
    let total: f64 = statistics.histogram.iter().map(|&n| n as f64).sum();
    let unit = if total > 0.0 && largest > 0.0 {
        bins as f64 * range / (largest * total)
    } else {
        0.0
    };
    let density = |value: f64| {
        // Linear between the centres of bins.
        let at = 0.5 * (value / largest + 1.0) * bins as f64 - 0.5;
        let (below, part) = (at.floor(), at - at.floor());
        let count = |i: f64| {
            let inside = i >= 0.0 && i < bins as f64;
            if inside {
                statistics.histogram[i as usize] as f64
            } else {
                0.0
            }
        };
        count(below) * (1.0 - part) + count(below + 1.0) * part
    };
    (0..GRID)
        .map(|j| {
            let value = range * position(angle(j, GRID), rho);
            FLOOR
                + if unit > 0.0 {
                    unit * density(value)
                } else {
                    0.0
                }
        })
        .collect()
}

/// Largest magnitude that entered the activation: half the histogram's span.
fn largest(statistics: &ActivationStatistics) -> f64 {
    statistics.min.abs().max(statistics.max.abs())
}

/// Checks the numbers a user may give.
///
/// # Errors
/// [`PassError::Option`].
pub fn check_options(degree: usize, margin: f64, rho: f64) -> Result<(), PassError> {
    let option = |name: &str, expected: &str, got: f64| {
        Err(PassError::Option {
            name: name.to_string(),
            expected: expected.to_string(),
            got: got.to_string(),
        })
    };
    if !(1..=127).contains(&degree) {
        return option("degree", "1 to 127", degree as f64);
    }
    if !(1.0..=100.0).contains(&margin) {
        return option("margin", "1 to 100", margin);
    }
    if !(rho > 0.0 && rho <= 1.0) {
        return option("rho", "more than 0, at most 1", rho);
    }
    Ok(())
}

/// ReLU up to x = 1, then a parabola whose slope reaches 0 at x = `end`.
fn relu_with_roll_off(x: f64, end: f64) -> f64 {
    let beyond = (x - 1.0).max(0.0);
    let roll_off = if end > 1.0 {
        beyond * beyond / (2.0 * (end - 1.0))
    } else {
        0.0
    };
    x.max(0.0) - roll_off
}

/// Coefficients of the cosine series closest to `target` under `weight`, both functions of x.
///
/// With S_m = sum_j w_j cos(m theta_j), the normal matrix is A_kl = (S_{k+l} + S_{|k-l|}) / 2.
fn least_squares(degree: usize, weight: &[f64], target: impl Fn(f64) -> f64, rho: f64) -> Vec<f64> {
    let mut moments = vec![0.0; 2 * degree + 1];
    let mut right = vec![0.0; degree + 1];
    for (j, &w) in weight.iter().enumerate() {
        let theta = angle(j, weight.len());
        let value = w * target(position(theta, rho));
        // cos(m theta) by its three-term recurrence; exact enough for 255 steps.
        let step = 2.0 * theta.cos();
        let (mut previous, mut current) = (theta.cos(), 1.0);
        for (m, moment) in moments.iter_mut().enumerate() {
            *moment += w * current;
            if let Some(r) = right.get_mut(m) {
                *r += value * current;
            }
            (previous, current) = (current, step * current - previous);
        }
    }
    let matrix = |k: usize, l: usize| 0.5 * (moments[k + l] + moments[k.abs_diff(l)]);
    cholesky_solve(matrix, right)
}

/// Solves A x = b for a symmetric positive definite A.
fn cholesky_solve(matrix: impl Fn(usize, usize) -> f64, mut b: Vec<f64>) -> Vec<f64> {
    let n = b.len();
    let mut lower = vec![vec![0.0; n]; n];
    for i in 0..n {
        for j in 0..=i {
            let dot: f64 = lower[i][..j]
                .iter()
                .zip(&lower[j][..j])
                .map(|(a, b)| a * b)
                .sum();
            let rest = matrix(i, j) - dot;
            // The floor keeps the matrix far from singular; the bound is for rounding only.
            lower[i][j] = if i == j {
                rest.max(f64::MIN_POSITIVE).sqrt()
            } else {
                rest / lower[j][j]
            };
        }
    }
    for i in 0..n {
        let dot: f64 = lower[i][..i].iter().zip(&b).map(|(a, b)| a * b).sum();
        b[i] = (b[i] - dot) / lower[i][i];
    }
    for i in (0..n).rev() {
        let dot: f64 = (i + 1..n).map(|k| lower[k][i] * b[k]).sum();
        b[i] = (b[i] - dot) / lower[i][i];
    }
    b
}

/// Midpoint j of `points` on [0, pi].
fn angle(j: usize, points: usize) -> f64 {
    PI * (j as f64 + 0.5) / points as f64
}

/// x at theta.
fn position(theta: f64, rho: f64) -> f64 {
    (2.0 * theta / PI - 1.0) / rho
}

#[cfg(test)]
mod tests {
    use hecc_ir::calibration::BINS;
    use hecc_ir::program_eval::chebyshev;

    use super::*;

    /// A bell of standard deviation `sigma` times the span, centred a little below zero.
    fn bell(sigma: f64) -> ActivationStatistics {
        let histogram = (0..BINS)
            .map(|i| {
                let x = (2.0 * (i as f64 + 0.5) / BINS as f64 - 1.0 + 0.1) / sigma;
                (1e6 * (-0.5 * x * x).exp()) as u64
            })
            .collect();
        ActivationStatistics {
            name: "relu1".into(),
            min: -6.0,
            max: 8.0,
            histogram,
        }
    }

    /// Root mean square error under the bell, and the largest error on the whole half circle,
    /// both relative to B.
    fn errors(activation: &Activation, statistics: &ActivationStatistics) -> (f64, f64) {
        let (mut square, mut total, mut worst) = (0.0, 0.0, 0.0f64);
        for (i, &count) in statistics.histogram.iter().enumerate() {
            let value = 8.0 * (2.0 * (i as f64 + 0.5) / BINS as f64 - 1.0);
            let error = (activation.apply(value) - value.max(0.0)) / activation.range;
            square += count as f64 * error * error;
            total += count as f64;
        }
        for j in 0..4000 {
            let x = position(PI * j as f64 / 3999.0, activation.rho);
            let target = relu_with_roll_off(x, 1.0 / activation.rho);
            let error = activation.apply(x * activation.range) / activation.range - target;
            worst = worst.max(error.abs());
        }
        ((square / total).sqrt(), worst)
    }

    #[test]
    fn relu_error_by_degree() {
        let check = |degree: usize, rms: f64, worst: f64| {
            let statistics = bell(0.15);
            let activation = fit(&statistics, degree, 1.25, 0.92).unwrap();
            assert_eq!(activation.degree(), degree);
            assert!((activation.range - 10.0).abs() < 1e-12);
            let got = errors(&activation, &statistics);
            assert!(
                got.0 < rms && got.1 < worst,
                "degree {degree}: {got:?}, expected below {rms}, {worst}"
            );
        };
        check(7, 2e-2, 0.15);
        check(15, 1e-2, 0.08);
        check(31, 5e-3, 0.04);
        check(63, 2.5e-3, 0.02);
        check(127, 1.2e-3, 0.01);
    }

    #[test]
    fn residual_is_minimal() {
        let statistics = bell(0.2);
        let (degree, rho) = (31, 0.92);
        let activation = fit(&statistics, degree, 1.25, rho).unwrap();
        let weight = weights(&statistics, activation.range, rho);
        let norm: f64 = weight.iter().sum();
        // At the minimum the residual is orthogonal to every cosine.
        for k in 0..=degree {
            let dot: f64 = (0..GRID)
                .map(|j| {
                    let theta = angle(j, GRID);
                    let residual = chebyshev(&activation.coefficients, theta.cos())
                        - relu_with_roll_off(position(theta, rho), 1.0 / rho);
                    weight[j] * residual * (k as f64 * theta).cos()
                })
                .sum();
            assert!(dot.abs() < 1e-9 * norm, "cosine {k}: {dot}");
        }
    }

    #[test]
    fn bad_statistics() {
        let mut dead = bell(0.1);
        (dead.min, dead.max, dead.histogram) = (0.0, 0.0, vec![0; BINS]);
        assert!(
            fit(&dead, 15, 1.25, 0.92)
                .unwrap()
                .coefficients
                .iter()
                .all(|c| c.is_finite())
        );
        dead.max = f64::INFINITY;
        assert!(fit(&dead, 15, 1.25, 0.92).is_err());
        for (degree, margin, rho) in [
            (0, 1.25, 0.92),
            (128, 1.25, 0.92),
            (15, 0.9, 0.92),
            (15, 1.25, 0.0),
        ] {
            assert!(fit(&bell(0.1), degree, margin, rho).is_err());
        }
    }
}
