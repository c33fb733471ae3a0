//! Primes for number-theoretic transforms.

/// Whether `n` is prime; right for every 64-bit number.
pub fn is_prime(n: u64) -> bool {
    // These bases are proven to suffice below 2^64 [SW17].
    const BASES: [u64; 12] = [2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37];
    if n < 2 {
        return false;
    }
    if let Some(&base) = BASES.iter().find(|&&base| n.is_multiple_of(base)) {
        return n == base;
    }
    let twos = (n - 1).trailing_zeros();
    let odd = (n - 1) >> twos;
    BASES.iter().all(|&base| {
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

/// Distinct primes of the sizes `bits` (each 20 to 50), all 1 mod `2^log_order` and none in `taken`.
///
/// Each is as near to 2^bits as can be: below, or above where the product of all chosen so far stays
/// at most 2^(sum of bits); so the product hugs its size from below, and security tables hold as
/// written. A size that would run out of primes yields fewer primes than asked.
pub fn ntt_primes(bits: &[u32], log_order: u32, taken: &[u64]) -> Vec<u64> {
    let mut primes: Vec<u64> = Vec::with_capacity(bits.len());
    let mut excess = 0.0;
    for &size in bits {
        let step = 1u64 << log_order;
        let centre = 1u64 << size;
        let free = |p: &u64| is_prime(*p) && !primes.contains(p) && !taken.contains(p);
        let beyond = |p: u64| (p as f64).log2() - f64::from(size);
        let above = (0..centre / 8 / step)
            .map(|i| centre + 1 + i * step)
            .find(free);
        let below = (1..centre / 8 / step)
            .map(|i| centre + 1 - i * step)
            .find(free);
        // 2^50 is the limit of the transform's arithmetic.
        let above = above.filter(|&p| excess + beyond(p) <= 0.0 && size < 50);
        if let Some(prime) = above.or(below) {
            excess += beyond(prime);
            primes.push(prime);
        }
    }
    primes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_prime_agrees_with_trial_division() {
        let divides = |n: u64| {
            (2..)
                .take_while(|d| d * d <= n)
                .any(|d| n.is_multiple_of(d))
        };
        for n in (0..2000).chain(1 << 30..(1 << 30) + 500) {
            assert_eq!(is_prime(n), n > 1 && !divides(n), "{n}");
        }
        // Carmichael numbers, a strong pseudoprime to the bases 2 to 31, and the largest 64-bit prime.
        for n in [561, 1_122_004_669_633, 3_825_123_056_546_413_051] {
            assert!(!is_prime(n));
        }
        assert!(is_prime(18_446_744_073_709_551_557));
    }

    #[test]
    fn primes_are_of_their_size_and_distinct() {
        let bits = [32, 30, 30, 30, 34, 34, 34, 35, 35, 35, 48, 48];
        for log_order in [12, 16, 17] {
            let primes = ntt_primes(&bits, log_order, &[]);
            assert_eq!(primes.len(), bits.len());
            let mut total = 0.0;
            for (i, (&p, &size)) in primes.iter().zip(&bits).enumerate() {
                assert!(is_prime(p) && p % (1 << log_order) == 1 && !primes[..i].contains(&p));
                let off = (p as f64).log2() - f64::from(size);
                assert!(off.abs() < 0.01, "{p}: {off}");
                total += off;
            }
            assert!((-0.01..=0.0).contains(&total), "{total}");
        }
        assert!(ntt_primes(&[34], 16, &ntt_primes(&[34], 16, &[]))[0] > 1 << 33);
    }
}
