//! Weighted least squares in the Chebyshev basis: sum_k c_k cos(k theta) on a grid of theta in [0, pi].

use std::f64::consts::PI;

/// Points of the grid on [0, pi]; at least 16 a period of the highest cosine.
pub const GRID: usize = 2048;

/// Midpoint j of the grid.
pub fn angle(j: usize) -> f64 {
    PI * (j as f64 + 0.5) / GRID as f64
}

/// c_0..c_degree of the series closest to `target` under `weight`, both one value per grid point.
///
/// With S_m = sum_j w_j cos(m theta_j), the normal matrix is A_kl = (S_{k+l} + S_{|k-l|}) / 2.
pub fn cosine_series(degree: usize, weight: &[f64], target: &[f64]) -> Vec<f64> {
    let mut moments = vec![0.0; 2 * degree + 1];
    let mut right = vec![0.0; degree + 1];
    for (j, (&w, &value)) in weight.iter().zip(target).enumerate() {
        // cos(m theta) by its three-term recurrence; exact enough for 255 steps.
        let cosine = angle(j).cos();
        let (mut previous, mut current) = (cosine, 1.0);
        for (m, moment) in moments.iter_mut().enumerate() {
            *moment += w * current;
            if let Some(r) = right.get_mut(m) {
                *r += w * value * current;
            }
            (previous, current) = (current, 2.0 * cosine * current - previous);
        }
    }
    cholesky_solve(
        |k, l| 0.5 * (moments[k + l] + moments[k.abs_diff(l)]),
        right,
    )
}

/// Solves A x = b for a symmetric positive definite A.
pub(crate) fn cholesky_solve(matrix: impl Fn(usize, usize) -> f64, mut b: Vec<f64>) -> Vec<f64> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn residual_is_orthogonal_to_every_cosine() {
        let weight: Vec<f64> = (0..GRID).map(|j| 0.1 + (j % 97) as f64).collect();
        let target: Vec<f64> = (0..GRID).map(|j| (angle(j) - 1.0).max(0.0)).collect();
        let norm: f64 = weight.iter().sum();
        for degree in [1, 15, 63] {
            let c = cosine_series(degree, &weight, &target);
            let value =
                |theta: f64| -> f64 { (0..=degree).map(|k| c[k] * (k as f64 * theta).cos()).sum() };
            for k in 0..=degree {
                let dot: f64 = (0..GRID)
                    .map(|j| {
                        weight[j] * (value(angle(j)) - target[j]) * (k as f64 * angle(j)).cos()
                    })
                    .sum();
                assert!(
                    dot.abs() < 1e-9 * norm,
                    "degree {degree}, cosine {k}: {dot}"
                );
            }
        }
    }
}
