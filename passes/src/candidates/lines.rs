//! Weighted least squares by polynomials of low degree.

use crate::least_squares::cholesky_solve;

/// c_0..c_degree of the polynomial closest to `target` on `points` in [-1, 1] under `weights`.
///
/// In powers of x about the mean over the standard deviation: distributions are often far narrower than
/// the range.
pub(super) fn least_squares(
    degree: usize,
    points: &[f64],
    weights: &[f64],
    target: &[f64],
) -> Vec<f64> {
    let mean: f64 = points.iter().zip(weights).map(|(x, w)| w * x).sum();
    let spread: f64 = points
        .iter()
        .zip(weights)
        .map(|(x, w)| w * (x - mean).powi(2))
        .sum();
    // One value only: any polynomial through it will do.
    let spread = if spread > 0.0 { spread.sqrt() } else { 1.0 };
    let mut moments = vec![0.0; 2 * degree + 1];
    let mut right = vec![0.0; degree + 1];
    for ((&x, &w), &y) in points.iter().zip(weights).zip(target) {
        let mut power = w;
        for (k, moment) in moments.iter_mut().enumerate() {
            *moment += power;
            if let Some(r) = right.get_mut(k) {
                *r += power * y;
            }
            power *= (x - mean) / spread;
        }
    }
    // Fewer values than coefficients: the least one.
    let ridge = |k: usize, l: usize| {
        if k == l {
            1e-14 * moments[2 * k] + 1e-300
        } else {
            0.0
        }
    };
    let about_mean = cholesky_solve(|k, l| moments[k + l] + ridge(k, l), right);
    // Horner in (x - mean) / spread.
    let mut result = vec![0.0; degree + 1];
    for &c in about_mean.iter().rev() {
        let mut carry = 0.0;
        for r in &mut result {
            let value = *r;
            *r = (carry - mean * value) / spread;
            carry = value;
        }
        result[0] += c;
    }
    result
}
