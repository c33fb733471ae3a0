//! Odd polynomials as coefficients of T_1, T_3, T_5, ..

use std::f64::consts::PI;

/// The polynomial's degree.
pub(super) fn degree(odd: &[f64]) -> usize {
    2 * odd.len() - 1
}

/// The value at x.
pub(super) fn value(odd: &[f64], x: f64) -> f64 {
    // T_{k+2} = (4 x^2 - 2) T_k - T_{k-2}, and T_{-1} = T_1.
    let step = 4.0 * x * x - 2.0;
    let (mut previous, mut current, mut sum) = (x, x, 0.0);
    for c in odd {
        sum += c * current;
        (previous, current) = (current, step * current - previous);
    }
    sum
}

/// The composition's value at x, the first polynomial applied first.
pub(super) fn composed(polynomials: &[Vec<f64>], x: f64) -> f64 {
    polynomials.iter().fold(x, |x, p| value(p, x))
}

/// The odd polynomial with the values of `f`, itself one with at most that many terms.
pub(super) fn interpolate(terms: usize, f: impl Fn(f64) -> f64) -> Vec<f64> {
    let nodes = 2 * terms;
    let angle = |j: usize| PI * (j as f64 + 0.5) / nodes as f64;
    let values: Vec<f64> = (0..nodes).map(|j| f(angle(j).cos())).collect();
    (0..terms)
        .map(|k| {
            let cosine = |j: usize| ((2 * k + 1) as f64 * angle(j)).cos();
            let sum: f64 = values.iter().enumerate().map(|(j, v)| v * cosine(j)).sum();
            2.0 * sum / nodes as f64
        })
        .collect()
}

/// Scales every polynomial but the last so that |x| <= 1 stays within [-1, 1] all the way, and undoes it
/// in the next one: the same composition.
pub(super) fn normalise(polynomials: &mut [Vec<f64>]) {
    /// Points on which the largest value is looked for.
    const POINTS: usize = 2000;
    let mut values: Vec<f64> = (0..=POINTS).map(|i| i as f64 / POINTS as f64).collect();
    for i in 0..polynomials.len().saturating_sub(1) {
        values
            .iter_mut()
            .for_each(|x| *x = value(&polynomials[i], *x));
        // A little more than what is found between points.
        let largest = 1.001 * values.iter().fold(0.0f64, |m, x| m.max(x.abs()));
        if largest > 0.0 && largest.is_finite() {
            polynomials[i].iter_mut().for_each(|c| *c /= largest);
            let next = &polynomials[i + 1];
            polynomials[i + 1] = interpolate(next.len(), |x| value(next, largest * x));
            values.iter_mut().for_each(|x| *x /= largest);
        }
    }
}

/// All coefficients of the Chebyshev series.
pub(super) fn series(odd: &[f64]) -> Vec<f64> {
    odd.iter().flat_map(|&c| [0.0, c]).collect()
}

/// The odd coefficients of a Chebyshev series.
pub(super) fn of_series(series: &[f64]) -> Vec<f64> {
    series.iter().skip(1).step_by(2).copied().collect()
}

#[cfg(test)]
mod tests {
    use hecc_ir::program_eval::chebyshev;

    use super::*;

    #[test]
    fn compositions_are_kept() {
        let mut polynomials = vec![vec![3.0, -0.5, 0.25], vec![0.5, 0.125, -0.0625, 0.25]];
        let before = polynomials.clone();
        normalise(&mut polynomials);
        let merged = interpolate(18, |x| composed(&polynomials, x));
        for i in -20..=20 {
            let x = f64::from(i) / 20.0;
            let expect = before.iter().fold(x, |x, p| chebyshev(&series(p), x));
            let scale = 1.0 + expect.abs();
            assert!((composed(&polynomials, x) - expect).abs() < 1e-9 * scale);
            assert!((value(&merged, x) - expect).abs() < 1e-9 * scale);
            assert!(value(&polynomials[0], x).abs() <= 1.0);
        }
        assert_eq!(of_series(&series(&before[1])), before[1]);
        assert_eq!(degree(&before[1]), 7);
    }
}
