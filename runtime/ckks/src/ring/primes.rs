//! Primes with the roots of unity that a negacyclic NTT needs.

use super::modulus::MAX_MODULUS_BITS;

/// Deterministic Miller-Rabin; the first twelve primes as bases decide every 64-bit integer [SW17].
pub fn is_prime(n: u64) -> bool {
    const BASES: [u64; 12] = [2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37];
    if n < 2 {
        return false;
    }
    if let Some(p) = BASES.iter().find(|p| n.is_multiple_of(**p)) {
        return n == *p;
    }
    let mul = |a: u64, b: u64| (u128::from(a) * u128::from(b) % u128::from(n)) as u64;
    let twos = (n - 1).trailing_zeros();
    BASES.iter().all(|&base| {
        let (mut square, mut power, mut e) = (base, 1, (n - 1) >> twos);
        while e != 0 {
            if e & 1 == 1 {
                power = mul(power, square);
            }
            square = mul(square, square);
            e >>= 1;
        }
        if power == 1 {
            return true;
        }
        (0..twos).any(|_| {
            let found = power == n - 1;
            power = mul(power, power);
            found
        })
    })
}

/// The `count` primes q = 1 mod 2^(log_n + 1) nearest to 2^bits, alternating above and below it, without those in
/// `avoid`. All lie in (2^(bits - 1), 2^(bits + 1)) and below 2^50; when one side has no more, the other goes on.
/// `None` when there are not enough.
pub fn ntt_primes(bits: u32, log_n: u32, count: usize, avoid: &[u64]) -> Option<Vec<u64>> {
    if !(2..=MAX_MODULUS_BITS).contains(&bits) {
        return None;
    }
    let (centre, step) = (1u64 << bits, 1u64 << (log_n + 1));
    let top = (2 * centre).min(1 << MAX_MODULUS_BITS);
    let usable = |q: &u64| !avoid.contains(q) && is_prime(*q);
    let mut above = (0..)
        .map(|i| centre + 1 + i * step)
        .take_while(|&q| q < top)
        .filter(usable);
    let mut below = (1..).map_while(|i| (centre + 1).checked_sub(i * step));
    let mut below = below
        .by_ref()
        .take_while(|&q| q > centre / 2)
        .filter(usable);
    let mut primes = Vec::with_capacity(count);
    while primes.len() < count {
        let pair = [above.next(), below.next()];
        if pair == [None, None] {
            return None;
        }
        primes.extend(pair.into_iter().flatten());
    }
    primes.truncate(count);
    Some(primes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_a_sieve() {
        let mut composite = vec![false; 1 << 16];
        for n in 2..composite.len() {
            assert_eq!(is_prime(n as u64), !composite[n], "{n}");
            if !composite[n] {
                (2 * n..composite.len())
                    .step_by(n)
                    .for_each(|m| composite[m] = true);
            }
        }
    }

    #[test]
    fn strong_pseudoprimes_are_composite() {
        // The least composites that pass for the first 2, 4, 7, 9 and 11 prime bases (OEIS A014233).
        for n in [
            1_373_653,
            3_215_031_751,
            341_550_071_728_321,
            3_825_123_056_546_413_051,
        ] {
            assert!(!is_prime(n));
        }
        assert!(is_prime(u64::MAX - 58) && !is_prime(u64::MAX));
    }

    #[test]
    fn primes_alternate_around_the_power_of_two() {
        let primes = ntt_primes(40, 15, 6, &[]).expect("enough");
        for (i, q) in primes.iter().enumerate() {
            assert_eq!(q % (1 << 16), 1);
            assert_eq!(*q > 1 << 40, i % 2 == 0);
        }
        let rest = ntt_primes(40, 15, 4, &primes[..2]).expect("enough");
        assert_eq!(rest, primes[2..]);
        assert!(
            ntt_primes(50, 16, 20, &[])
                .expect("enough")
                .iter()
                .all(|&q| q < 1 << 50)
        );
        assert_eq!(ntt_primes(17, 16, 3, &[]), None);
    }
}
