//! Small random polynomials.

use rand::{CryptoRng, RngCore};
use zeroize::Zeroizing;

/// Coefficients that no one else may learn.
pub type SmallPoly = Zeroizing<Vec<i64>>;

/// Uniform in {-1, 0, 1}. Rejected draws are independent of the accepted ones.
pub fn ternary(rng: &mut impl CryptoRng, n: usize) -> SmallPoly {
    let (mut word, mut left) = (0u64, 0);
    let coefficient = |_| loop {
        if left == 0 {
            (word, left) = (rng.next_u64(), 32);
        }
        let pair = (word & 3) as i64;
        word >>= 2;
        left -= 1;
        if pair < 3 {
            break pair - 1;
        }
    };
    Zeroizing::new((0..n).map(coefficient).collect())
}

/// `weight` coefficients +-1 at uniform positions, the others 0. The memory it touches depends on
/// the positions: on the client's own machine only.
pub fn sparse_ternary_vartime(rng: &mut impl CryptoRng, n: usize, weight: usize) -> SmallPoly {
    assert!(weight <= n && n.is_power_of_two());
    let mut coefficients = Zeroizing::new(vec![0; n]);
    let mut placed = 0;
    while placed < weight {
        let word = rng.next_u64();
        let at = (word >> 1) as usize & (n - 1);
        if coefficients[at] == 0 {
            coefficients[at] = 1 - 2 * (word & 1) as i64;
            placed += 1;
        }
    }
    coefficients
}

/// Centred binomial of 42 bits: variance 10.5, sigma 3.24; constant time.
pub fn error(rng: &mut impl RngCore, n: usize) -> SmallPoly {
    let half = (1u64 << 21) - 1;
    let coefficient = |_| {
        let word = rng.next_u64();
        i64::from((word & half).count_ones()) - i64::from(((word >> 21) & half).count_ones())
    };
    Zeroizing::new((0..n).map(coefficient).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha20Rng;

    #[test]
    fn distributions() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let n = 1 << 16;
        let variance = |p: &SmallPoly| p.iter().map(|&x| (x * x) as f64).sum::<f64>() / n as f64;
        assert!((variance(&error(&mut rng, n)) - 10.5).abs() < 0.3);
        assert!((variance(&ternary(&mut rng, n)) - 2.0 / 3.0).abs() < 0.02);
        assert_eq!(
            sparse_ternary_vartime(&mut rng, n, 32)
                .iter()
                .map(|x| x.abs())
                .sum::<i64>(),
            32
        );
    }
}
