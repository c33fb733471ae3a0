//! Chebyshev series and the cosine of the bootstrap on vectors of f32, in blocks that stay in
//! registers.

use std::f32::consts::TAU;

/// Elements computed together: four SSE registers for each of three vectors.
const LANES: usize = 16;

/// `x <- sum_k c_k T_k(x)` [Cle55].
pub fn chebyshev(coefficients: &[f32], x: &mut [f32]) {
    let (blocks, rest) = x.as_chunks_mut::<LANES>();
    blocks
        .iter_mut()
        .for_each(|block| clenshaw(coefficients, block));
    let mut last = [0.0; LANES];
    last[..rest.len()].copy_from_slice(rest);
    clenshaw(coefficients, &mut last);
    rest.copy_from_slice(&last[..rest.len()]);
}

fn clenshaw(coefficients: &[f32], x: &mut [f32; LANES]) {
    let Some((&constant, higher)) = coefficients.split_first() else {
        x.fill(0.0);
        return;
    };
    let (mut b1, mut b2) = ([0.0; LANES], [0.0; LANES]);
    for &c in higher.iter().rev() {
        for i in 0..LANES {
            let b = c + 2.0 * x[i] * b1[i] - b2[i];
            b2[i] = b1[i];
            b1[i] = b;
        }
    }
    for i in 0..LANES {
        x[i] = constant + x[i] * b1[i] - b2[i];
    }
}

/// `x <- cos((pi/2)(1 + rho x))`, within 2^-20 for |x| up to 4.
pub fn cosine(rho: f32, x: &mut [f32]) {
    /// Adding and subtracting it rounds to an integer: 1.5 * 2^23.
    const ROUND: f32 = 12_582_912.0;
    for x in x {
        let turns = 0.25 + 0.25 * rho * *x;
        let turns = turns - ((turns + ROUND) - ROUND);
        // cos(2 pi t) = sin(2 pi (1/4 - |t|)), and now the angle is within a quarter of a turn.
        let z = TAU * (0.25 - turns.abs());
        let s = z * z;
        let series = [
            -1.0 / 6.0,
            1.0 / 120.0,
            -1.0 / 5040.0,
            1.0 / 362_880.0,
            -1.0 / 39_916_800.0,
        ];
        *x = z + z * s * series.iter().rev().fold(0.0, |sum, c| sum * s + c);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hecc_ir::program_eval::activate;

    #[test]
    fn agree_with_the_language_in_f64() {
        let coefficients: Vec<f64> = (0..16).map(|k| 0.5 / (1.0 + f64::from(k))).collect();
        let narrow: Vec<f32> = coefficients.iter().map(|&c| c as f32).collect();
        let x: Vec<f32> = (0..401).map(|i| i as f32 / 50.0 - 4.0).collect();
        let mut y = x.clone();
        cosine(0.92, &mut y);
        chebyshev(&narrow, &mut y);
        for (&x, &y) in x.iter().zip(&y) {
            let expect = activate(&coefficients, 0.92, f64::from(x));
            assert!((f64::from(y) - expect).abs() < 3e-5, "{x}: {y}, {expect}");
        }
        let mut lost = [f32::NAN, f32::INFINITY, 1e30];
        cosine(0.92, &mut lost);
        assert!(lost[0].is_nan() && lost[1].is_nan());
        let mut none = [1.0];
        chebyshev(&[], &mut none);
        assert_eq!(none, [0.0]);
    }
}
