//! Least squares over all coefficients of a composition of odd polynomials at once, by the damped
//! Gauss-Newton method of Levenberg and Marquardt.

use super::odd;
use crate::least_squares::cholesky_solve;

/// Steps tried.
const STEPS: usize = 40;
/// Relative gain at which the search ends.
const ENOUGH: f64 = 1e-4;

/// Points of (0, 1] with their weights.
pub(super) type Weighted = [(f64, f64)];

/// Weighted mean square of 1 - composition.
pub(super) fn square_error(polynomials: &[Vec<f64>], points: &Weighted) -> f64 {
    let one = |&(x, w): &(f64, f64)| w * (1.0 - odd::composed(polynomials, x)).powi(2);
    points.iter().map(one).sum()
}

/// Lowers [`square_error`] from where `polynomials` start, never raises it.
pub(super) fn gauss_newton(mut polynomials: Vec<Vec<f64>>, points: &Weighted) -> Vec<Vec<f64>> {
    let mut error = square_error(&polynomials, points);
    let mut damping = 1e-3;
    let mut normal = normal_equations(&polynomials, points);
    for _ in 0..STEPS {
        let step = step(&normal, damping);
        let mut moved = polynomials.clone();
        let coefficients = moved.iter_mut().flatten();
        coefficients.zip(&step).for_each(|(c, s)| *c += s);
        let found = square_error(&moved, points);
        if found < error {
            let gain = (error - found) / error;
            (polynomials, error) = (moved, found);
            if gain < ENOUGH {
                break;
            }
            damping = (0.2 * damping).max(1e-12);
            normal = normal_equations(&polynomials, points);
        } else {
            damping *= 8.0;
            if damping > 1e8 {
                break;
            }
        }
    }
    polynomials
}

/// J^T W J, its lower half by rows, and J^T W r.
struct Normal {
    matrix: Vec<Vec<f64>>,
    right: Vec<f64>,
}

fn normal_equations(polynomials: &[Vec<f64>], points: &Weighted) -> Normal {
    let count = polynomials.iter().map(Vec::len).sum();
    let mut normal = Normal {
        matrix: vec![vec![0.0; count]; count],
        right: vec![0.0; count],
    };
    let mut row = vec![0.0; count];
    let mut slopes = vec![0.0; polynomials.len()];
    for &(x, w) in points {
        let residual = 1.0 - derivatives(polynomials, x, &mut row, &mut slopes);
        for (i, (line, right)) in normal.matrix.iter_mut().zip(&mut normal.right).enumerate() {
            let factor = w * row[i];
            *right += factor * residual;
            let line = line.iter_mut().zip(&row).take(i + 1);
            line.for_each(|(m, r)| *m += factor * r);
        }
    }
    normal
}

/// The composition's value; `row`: its derivatives by every coefficient.
fn derivatives(polynomials: &[Vec<f64>], x: f64, row: &mut [f64], slopes: &mut [f64]) -> f64 {
    let (mut x, mut at) = (x, 0);
    for (polynomial, slope) in polynomials.iter().zip(slopes.iter_mut()) {
        // The recurrence of the values and its derivative.
        let step = 4.0 * x * x - 2.0;
        let (mut before, mut now) = (x, x);
        let (mut slope_before, mut slope_now) = (1.0, 1.0);
        let mut sum = 0.0;
        *slope = 0.0;
        for c in polynomial {
            row[at] = now;
            at += 1;
            sum += c * now;
            *slope += c * slope_now;
            (slope_before, slope_now) =
                (slope_now, step * slope_now + 8.0 * x * now - slope_before);
            (before, now) = (now, step * now - before);
        }
        x = sum;
    }
    let mut chain = 1.0;
    for (polynomial, slope) in polynomials.iter().zip(slopes.iter()).rev() {
        at -= polynomial.len();
        row[at..at + polynomial.len()]
            .iter_mut()
            .for_each(|d| *d *= chain);
        chain *= slope;
    }
    x
}

/// The damped step; coefficients are measured by their influence.
fn step(normal: &Normal, damping: f64) -> Vec<f64> {
    let unit: Vec<f64> = (0..normal.right.len())
        .map(|i| normal.matrix[i][i].max(f64::MIN_POSITIVE).sqrt())
        .collect();
    let right: Vec<f64> = normal.right.iter().zip(&unit).map(|(r, u)| r / u).collect();
    let scaled = |i: usize, j: usize| {
        let (i, j) = (i.max(j), i.min(j));
        let damped = if i == j { damping } else { 0.0 };
        normal.matrix[i][j] / (unit[i] * unit[j]) + damped
    };
    let step = cholesky_solve(scaled, right);
    step.iter().zip(&unit).map(|(s, u)| s / u).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points() -> Vec<(f64, f64)> {
        (1..=200)
            .map(|i| f64::from(i) / 200.0)
            .map(|x| (x, x * x * (-8.0 * x).exp()))
            .collect()
    }

    /// One polynomial is a linear problem: a dense one.
    #[test]
    fn one_polynomial_is_the_dense_solution() {
        let points = points();
        let got = gauss_newton(vec![vec![1.0, 0.0, 0.0, 0.0]], &points);
        let basis = |k: usize, x: f64| ((2 * k + 1) as f64 * x.acos()).cos();
        for k in 0..4 {
            // The residual is orthogonal to every term.
            let dot: f64 = points
                .iter()
                .map(|&(x, w)| w * (1.0 - odd::value(&got[0], x)) * basis(k, x))
                .sum();
            let norm: f64 = points.iter().map(|&(x, w)| w * basis(k, x).abs()).sum();
            assert!(dot.abs() < 1e-4 * norm, "{k}: {dot} of {norm}");
        }
    }

    #[test]
    fn derivatives_are_quotients_of_differences() {
        let polynomials = vec![vec![0.75, -0.25], vec![1.0, 0.5, -0.125]];
        let (mut row, mut slopes) = (vec![0.0; 5], vec![0.0; 2]);
        for x in [0.1, 0.5, 0.9] {
            let value = derivatives(&polynomials, x, &mut row, &mut slopes);
            assert!((value - odd::composed(&polynomials, x)).abs() < 1e-12);
            let step = 1e-6;
            for (i, &d) in row.iter().enumerate() {
                let mut moved = polynomials.clone();
                *moved.iter_mut().flatten().nth(i).unwrap() += step;
                let expect = (odd::composed(&moved, x) - value) / step;
                assert!((d - expect).abs() < 1e-4, "{x}, {i}: {d}, {expect}");
            }
        }
    }

    #[test]
    fn errors_fall() {
        let points = points();
        let start = vec![vec![1.0, -0.2], vec![1.2, -0.2, 0.0]];
        let before = square_error(&start, &points);
        let after = square_error(&gauss_newton(start, &points), &points);
        assert!(after < 0.2 * before, "{before}, {after}");
    }
}
