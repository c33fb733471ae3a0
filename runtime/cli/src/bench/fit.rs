//! Prices of a map's parts from the seconds of whole maps: least squares without negative prices.

/// Unknowns of a fit at most: all subsets of them are tried.
const MOST: usize = 8;

/// Non-negative `x` of least `sum_i ((counts_i . x - seconds_i) / seconds_i)^2`: relative errors, so that
/// short measurements count as much as long ones. None when no subset of the unknowns is determined.
///
/// Prices of zero would be a surprise to whoever divides by them: `least` is the smallest one given.
pub fn prices<const K: usize>(samples: &[([f64; K], f64)], least: f64) -> Option<[f64; K]> {
    const { assert!(K <= MOST) };
    let solve = |subset: usize| {
        let chosen: Vec<usize> = (0..K).filter(|k| subset >> k & 1 == 1).collect();
        let x = least_squares(samples, &chosen)?;
        if x.iter().any(|&price| price < 0.0) {
            return None;
        }
        let mut full = [0.0; K];
        chosen
            .iter()
            .zip(&x)
            .for_each(|(&k, &price)| full[k] = price);
        Some((misfit(samples, &full), full))
    };
    let best = (1..1 << K).filter_map(solve);
    let (_, best) = best.min_by(|a, b| a.0.total_cmp(&b.0))?;
    Some(best.map(|price| price.max(least)))
}

/// The sum that is minimised.
pub fn misfit<const K: usize>(samples: &[([f64; K], f64)], x: &[f64; K]) -> f64 {
    let error = |(counts, seconds): &([f64; K], f64)| {
        let model: f64 = counts
            .iter()
            .zip(x)
            .map(|(count, price)| count * price)
            .sum();
        (model / seconds - 1.0).powi(2)
    };
    samples.iter().map(error).sum()
}

/// Of the chosen unknowns, by normal equations; None when they are not determined.
fn least_squares<const K: usize>(
    samples: &[([f64; K], f64)],
    chosen: &[usize],
) -> Option<Vec<f64>> {
    let n = chosen.len();
    let mut rows = vec![vec![0.0; n + 1]; n];
    for (counts, seconds) in samples {
        let scaled = |i: usize| counts[chosen[i]] / seconds;
        for (i, row) in rows.iter_mut().enumerate() {
            (0..n).for_each(|j| row[j] += scaled(i) * scaled(j));
            row[n] += scaled(i);
        }
    }
    let scale: Vec<f64> = (0..n).map(|i| rows[i][i]).collect();
    for k in 0..n {
        let pivot = (k..n).max_by(|&a, &b| rows[a][k].abs().total_cmp(&rows[b][k].abs()))?;
        rows.swap(k, pivot);
        if rows[k][k].abs() <= 1e-9 * scale[k] {
            return None;
        }
        let (done, rest) = rows.split_at_mut(k + 1);
        for row in rest {
            let factor = row[k] / done[k][k];
            (k..=n).for_each(|j| row[j] -= factor * done[k][j]);
        }
    }
    let mut x = vec![0.0; n];
    for k in (0..n).rev() {
        let known: f64 = (k + 1..n).map(|j| rows[k][j] * x[j]).sum();
        x[k] = (rows[k][n] - known) / rows[k][k];
    }
    Some(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_come_back_and_are_never_negative() {
        let counts = [
            [1.0, 0.0, 1.0],
            [1.0, 8.0, 8.0],
            [1.0, 8.0, 64.0],
            [1.0, 16.0, 64.0],
        ];
        let seconds =
            |x: [f64; 3]| counts.map(|c| (c, c.iter().zip(x).map(|(c, x)| c * x).sum::<f64>()));
        let close = |found: [f64; 3], expect: [f64; 3]| {
            let off = found.iter().zip(expect).map(|(f, e)| (f - e).abs());
            assert!(off.fold(0.0, f64::max) < 1e-9, "{found:?}, {expect:?}");
        };
        let x = [0.02, 3e-3, 5e-4];
        close(prices(&seconds(x), 1e-7).unwrap(), x);
        // An output cheaper than nothing is noise.
        let found = prices(&seconds([-1e-4, 3e-3, 5e-4]), 1e-7).unwrap();
        assert!(
            found[0] == 1e-7 && found[1] > 2e-3 && found[2] > 4e-4,
            "{found:?}"
        );
        assert_eq!(prices(&[([0.0; 3], 1.0)], 1e-7), None);
    }
}
