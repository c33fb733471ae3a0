//! Algebra of polynomials in the Chebyshev basis: `c_0 + c_1 T_1(x) + c_2 T_2(x) + ...`

/// Sum.
pub(super) fn add(a: &[f64], b: &[f64]) -> Vec<f64> {
    let at = |p: &[f64], k: usize| p.get(k).copied().unwrap_or(0.0);
    (0..a.len().max(b.len()))
        .map(|k| at(a, k) + at(b, k))
        .collect()
}

/// Product, by 2 T_a T_b = T_{a+b} + T_{|a-b|}.
pub(super) fn multiply(a: &[f64], b: &[f64]) -> Vec<f64> {
    let mut product = vec![0.0; a.len() + b.len() - 1];
    for (i, &x) in a.iter().enumerate() {
        for (j, &y) in b.iter().enumerate() {
            let half = 0.5 * x * y;
            product[i + j] += half;
            product[i.abs_diff(j)] += half;
        }
    }
    product
}

/// The coefficients of the powers of x.
pub(super) fn powers(p: &[f64]) -> Vec<f64> {
    let mut sum = vec![0.0; p.len()];
    // T_{k+1} = 2 x T_k - T_{k-1}.
    let (mut previous, mut current) = (vec![0.0; p.len()], vec![0.0; p.len()]);
    current[0] = 1.0;
    for (k, &c) in p.iter().enumerate() {
        for (s, t) in sum.iter_mut().zip(&current) {
            *s += c * t;
        }
        let factor = if k == 0 { 1.0 } else { 2.0 };
        let mut next: Vec<f64> = previous.iter().map(|t| -t).collect();
        if k == 0 {
            next.fill(0.0);
        }
        for i in 1..next.len() {
            next[i] += factor * current[i - 1];
        }
        (previous, current) = (current, next);
    }
    sum
}

/// Position of the last coefficient that is not 0.
pub(super) fn degree(p: &[f64]) -> usize {
    p.iter().rposition(|&c| c != 0.0).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_and_powers() {
        // T_2 T_3 = (T_5 + T_1) / 2; T_3 = 4 x^3 - 3 x.
        let (t2, t3) = ([0.0, 0.0, 1.0], [0.0, 0.0, 0.0, 1.0]);
        assert_eq!(multiply(&t2, &t3), [0.0, 0.5, 0.0, 0.0, 0.0, 0.5]);
        assert_eq!(powers(&t3), [0.0, -3.0, 0.0, 4.0]);
        assert_eq!(powers(&[2.0, 1.0]), [2.0, 1.0]);
        assert_eq!(add(&[1.0], &t2), [1.0, 0.0, 1.0]);
        assert_eq!(degree(&[1.0, 2.0, 0.0]), 1);
    }
}
