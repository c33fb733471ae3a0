//! Primes for number-theoretic transforms: p = 1 modulo 2N, below a power of two.

/// For each entry of `bits`, a prime below 2^bits that is 1 modulo 2^(log_n + 1); all distinct, the
/// largest first. `None` when one size runs out of primes above half its power of two.
pub fn below_powers(bits: &[u32], log_n: u32) -> Option<Vec<u64>> {
    let step = 1u64 << (log_n + 1);
    let mut found: Vec<u64> = Vec::with_capacity(bits.len());
    for &b in bits {
        // Continue below the last prime of the same size.
        let last = found.iter().copied().filter(|p| p.ilog2() + 1 == b).min();
        let mut candidate = last.unwrap_or((1u64 << b) + 1);
        loop {
            candidate = candidate.checked_sub(step).filter(|&p| p > 1 << (b - 1))?;
            if is_prime(candidate) {
                break;
            }
        }
        found.push(candidate);
    }
    Some(found)
}

/// Miller-Rabin with the first twelve primes as bases: exact below 2^64.
fn is_prime(n: u64) -> bool {
    const BASES: [u64; 12] = [2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37];
    if n < 2 {
        return false;
    }
    if let Some(small) = BASES.into_iter().find(|&p| n.is_multiple_of(p)) {
        return n == small;
    }
    let twos = (n - 1).trailing_zeros();
    let odd = (n - 1) >> twos;
    BASES.into_iter().all(|base| {
        let mut x = power(base, odd, n);
        if x == 1 || x == n - 1 {
            return true;
        }
        (1..twos).any(|_| {
            x = multiply(x, x, n);
            x == n - 1
        })
    })
}

fn multiply(a: u64, b: u64, n: u64) -> u64 {
    (u128::from(a) * u128::from(b) % u128::from(n)) as u64
}

fn power(mut base: u64, mut exponent: u64, n: u64) -> u64 {
    let mut result = 1;
    while exponent > 0 {
        if exponent & 1 == 1 {
            result = multiply(result, base, n);
        }
        base = multiply(base, base, n);
        exponent >>= 1;
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_trial_division() {
        for n in 0..5000u64 {
            let expect = n > 1 && (2..n).take_while(|d| d * d <= n).all(|d| n % d != 0);
            assert_eq!(is_prime(n), expect, "{n}");
        }
        assert!(is_prime((1 << 61) - 1) && !is_prime(3_215_031_751));
    }
}
