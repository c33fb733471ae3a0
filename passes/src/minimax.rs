//! Composite minimax polynomials for the sign function [LLL+21].
//!
//! Each polynomial is odd and best on the range that the one before leaves: p_1 on [epsilon, 1], p_2 on
//! the image of p_1, and so on; images are scaled to end at 1. Found by the exchange algorithm of
//! Remez in the basis of odd Chebyshev polynomials.

/// Points at which the error is looked at.
const GRID: usize = 4000;
/// Exchanges; convergence is quadratic, some ten suffice.
const EXCHANGES: usize = 40;

/// Chebyshev coefficients of odd polynomials of `degrees` whose composition p approximates sgn(x) on
/// epsilon <= |x| <= 1, best for x (1 + p(x)) / 2 as a ReLU: its error is p's, halved, at |x| = 1 and
/// about epsilon / 8 around 0, so p's error is made epsilon / 4.
pub fn composite_sign(degrees: &[usize]) -> Vec<Vec<f64>> {
    compose(degrees, balanced_epsilon(degrees)).0
}

/// The epsilon of [`composite_sign`].
pub fn balanced_epsilon(degrees: &[usize]) -> f64 {
    let (mut low, mut high) = (1e-9f64.ln(), 0.9f64.ln());
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        match compose(degrees, middle.exp()).1 > 0.25 * middle.exp() {
            true => low = middle,
            false => high = middle,
        }
    }
    high.exp()
}

/// The composition that starts on [epsilon, 1], and its error there.
pub fn compose(degrees: &[usize], epsilon: f64) -> (Vec<Vec<f64>>, f64) {
    let mut from = epsilon;
    let mut polynomials = Vec::new();
    let mut error = 1.0;
    for (i, &degree) in degrees.iter().enumerate() {
        let (mut polynomial, worst) = odd_minimax(degree, from);
        error = worst;
        if i + 1 < degrees.len() {
            polynomial.iter_mut().for_each(|c| *c /= 1.0 + worst);
            from = (1.0 - worst) / (1.0 + worst);
        }
        polynomials.push(polynomial);
    }
    (polynomials, error)
}

/// The odd polynomial of `degree` closest to 1 on [from, 1], in the Chebyshev basis, and its error.
fn odd_minimax(degree: usize, from: f64) -> (Vec<f64>, f64) {
    let terms = degree.div_ceil(2);
    // Extrema cluster at both ends: a grid of cosines.
    let at = |i: usize, n: usize| {
        let t = 0.5 - 0.5 * (std::f64::consts::PI * i as f64 / n as f64).cos();
        from + (1.0 - from) * t
    };
    let mut reference: Vec<f64> = (0..=terms).map(|i| at(i, terms)).collect();
    let mut best = (vec![0.0; terms], 1.0);
    for _ in 0..EXCHANGES {
        let rows: Vec<Vec<f64>> = reference
            .iter()
            .enumerate()
            .map(|(i, &x)| {
                let sign = if i % 2 == 0 { 1.0 } else { -1.0 };
                odd_chebyshev(terms, x)
                    .into_iter()
                    .chain([sign, 1.0])
                    .collect()
            })
            .collect();
        let solution = solve(rows);
        let error = |x: f64| {
            let p: f64 = odd_chebyshev(terms, x)
                .iter()
                .zip(&solution)
                .map(|(t, c)| t * c)
                .sum();
            p - 1.0
        };
        let errors: Vec<(f64, f64)> = (0..=GRID)
            .map(|i| (at(i, GRID), error(at(i, GRID))))
            .collect();
        let worst = errors.iter().fold(0.0f64, |w, (_, e)| w.max(e.abs()));
        let levelled = solution[terms].abs();
        best = (solution[..terms].to_vec(), worst);
        if worst - levelled <= 1e-9 * worst.max(1e-12) {
            break;
        }
        let extrema = alternating(&errors);
        if extrema.len() < terms + 1 {
            break;
        }
        reference = strongest(extrema, terms + 1);
    }
    let mut coefficients = vec![0.0; degree + 1];
    for (k, c) in best.0.into_iter().enumerate() {
        coefficients[2 * k + 1] = c;
    }
    (coefficients, best.1)
}

/// The largest error of every run of one sign, as (position, error).
fn alternating(errors: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mut runs: Vec<(f64, f64)> = Vec::new();
    for &(x, e) in errors {
        match runs.last_mut() {
            Some(last) if last.1.signum() == e.signum() => {
                if e.abs() > last.1.abs() {
                    *last = (x, e);
                }
            }
            _ => runs.push((x, e)),
        }
    }
    runs
}

/// `count` neighbouring extrema that leave out the weakest at the ends.
fn strongest(mut extrema: Vec<(f64, f64)>, count: usize) -> Vec<f64> {
    while extrema.len() > count {
        let last = extrema.len() - 1;
        match extrema[0].1.abs() < extrema[last].1.abs() {
            true => extrema.remove(0),
            false => extrema.remove(last),
        };
    }
    extrema.into_iter().map(|(x, _)| x).collect()
}

/// T_1(x), T_3(x), ...
fn odd_chebyshev(terms: usize, x: f64) -> Vec<f64> {
    // T_{k+2} = (4 x^2 - 2) T_k - T_{k-2}, and T_{-1} = T_1.
    let step = 4.0 * x * x - 2.0;
    let (mut previous, mut current) = (x, x);
    (0..terms)
        .map(|_| {
            let value = current;
            (previous, current) = (current, step * current - previous);
            value
        })
        .collect()
}

/// Gaussian elimination with pivots; every row ends with its right-hand side.
fn solve(mut rows: Vec<Vec<f64>>) -> Vec<f64> {
    let n = rows.len();
    for column in 0..n {
        let pivot = (column..n)
            .max_by(|&a, &b| rows[a][column].abs().total_cmp(&rows[b][column].abs()))
            .unwrap_or(column);
        rows.swap(column, pivot);
        let (above, below) = rows.split_at_mut(column + 1);
        let head = &above[column];
        for row in below {
            let factor = row[column] / head[column];
            row.iter_mut()
                .zip(head)
                .skip(column)
                .for_each(|(v, h)| *v -= factor * h);
        }
    }
    let mut solution = vec![0.0; n];
    for row in (0..n).rev() {
        let known: f64 = (row + 1..n).map(|k| rows[row][k] * solution[k]).sum();
        solution[row] = (rows[row][n] - known) / rows[row][row];
    }
    solution
}

#[cfg(test)]
mod tests {
    use hecc_ir::program_eval::chebyshev;

    use super::*;

    #[test]
    fn published_composites_reach_their_precision() {
        // [LLL+21]: degrees 15, 15 and 27 make a ReLU precise to some 2^-13.
        let check = |degrees: &[usize], bits: f64| {
            let polynomials = composite_sign(degrees);
            let worst = (-4000..=4000)
                .map(|i| f64::from(i) / 4000.0)
                .map(|x| {
                    let sign = polynomials.iter().fold(x, |x, p| chebyshev(p, x));
                    (0.5 * x * (1.0 + sign) - x.max(0.0)).abs()
                })
                .fold(0.0, f64::max);
            let found = -worst.log2();
            assert!(
                found > bits && found < bits + 1.5,
                "{degrees:?}: 2^-{found:.2}"
            );
        };
        check(&[7], 4.5);
        check(&[7, 7], 6.5);
        check(&[15, 15], 8.2);
        check(&[15, 15, 27], 12.0);
    }
}
