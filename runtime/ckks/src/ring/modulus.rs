//! An odd modulus below 2^50 with the constants of its reductions.

use super::primes::is_prime;

/// Moduli are below 2 to this power, so that a lazy value below 4q fits the 52-bit multiplier of AVX-512 IFMA.
pub const MAX_MODULUS_BITS: u32 = 50;

/// An odd q with 2 < q < 2^50. All methods but the `_vartime` ones run in constant time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Modulus {
    q: u64,
    bits: u32,
    /// floor(2^(bits + 61) / q)
    barrett_wide: u64,
    /// floor(2^64 / q)
    barrett_word: u64,
    /// 2^64 mod q
    word: u64,
    /// 2^52 mod q and its Shoup quotient
    r: u64,
    r_shoup: u64,
}

impl Modulus {
    /// `None` unless q is odd and 2 < q < 2^50.
    pub fn new(q: u64) -> Option<Modulus> {
        if q <= 2 || q.is_multiple_of(2) || q >> MAX_MODULUS_BITS != 0 {
            return None;
        }
        let bits = 64 - q.leading_zeros();
        let r = (1 << 52) % q;
        Some(Modulus {
            q,
            bits,
            barrett_wide: ((1u128 << (bits + 61)) / u128::from(q)) as u64,
            barrett_word: ((1u128 << 64) / u128::from(q)) as u64,
            word: ((1u128 << 64) % u128::from(q)) as u64,
            r,
            r_shoup: ((u128::from(r) << 52) / u128::from(q)) as u64,
        })
    }

    /// q.
    #[inline(always)]
    pub fn value(&self) -> u64 {
        self.q
    }

    /// Bit length of q.
    #[inline(always)]
    pub fn bits(&self) -> u32 {
        self.bits
    }

    /// [0, 2q) to [0, q).
    #[inline(always)]
    fn reduce_once(&self, x: u64) -> u64 {
        debug_assert!(x < 2 * self.q);
        x.min(x.wrapping_sub(self.q))
    }

    /// a + b mod q, of residues.
    #[inline(always)]
    pub fn add(&self, a: u64, b: u64) -> u64 {
        debug_assert!(a < self.q && b < self.q);
        self.reduce_once(a + b)
    }

    /// a - b mod q, of residues.
    #[inline(always)]
    pub fn sub(&self, a: u64, b: u64) -> u64 {
        debug_assert!(a < self.q && b < self.q);
        self.reduce_once(a + self.q - b)
    }

    /// -a mod q, of a residue.
    #[inline(always)]
    pub fn neg(&self, a: u64) -> u64 {
        debug_assert!(a < self.q);
        self.reduce_once(self.q - a)
    }

    /// a b mod q, of residues.
    #[inline(always)]
    pub fn mul(&self, a: u64, b: u64) -> u64 {
        debug_assert!(a < self.q && b < self.q);
        // Barrett: the quotient is short by less than 1.5, for a shift by bits - 2.
        let product = u128::from(a) * u128::from(b);
        let high = (product >> (self.bits - 2)) as u64;
        let quotient = ((u128::from(high) * u128::from(self.barrett_wide)) >> 63) as u64;
        self.reduce_once((product as u64).wrapping_sub(quotient.wrapping_mul(self.q)))
    }

    /// a^e mod q, of a residue; the time depends on e.
    pub fn pow_vartime(&self, a: u64, mut e: u64) -> u64 {
        let (mut base, mut power) = (a, 1);
        while e != 0 {
            if e & 1 == 1 {
                power = self.mul(power, base);
            }
            base = self.mul(base, base);
            e >>= 1;
        }
        power
    }

    /// The inverse of a residue, `None` where there is none; the time depends on a.
    pub fn inv_vartime(&self, a: u64) -> Option<u64> {
        let (mut r0, mut r1) = (self.q as i64, a as i64);
        let (mut t0, mut t1) = (0i64, 1i64);
        while r1 != 0 {
            let quotient = r0 / r1;
            (r0, r1) = (r1, r0 - quotient * r1);
            (t0, t1) = (t1, t0 - quotient * t1);
        }
        (r0 == 1).then(|| self.reduce_i64(t0))
    }

    /// Any word to [0, q).
    #[inline(always)]
    pub fn reduce_u64(&self, x: u64) -> u64 {
        let quotient = ((u128::from(x) * u128::from(self.barrett_word)) >> 64) as u64;
        self.reduce_once(x - quotient * self.q)
    }

    /// Any double word to [0, q).
    #[inline(always)]
    pub fn reduce_u128(&self, x: u128) -> u64 {
        let high = self.mul(self.reduce_u64((x >> 64) as u64), self.word);
        self.add(high, self.reduce_u64(x as u64))
    }

    /// Any signed integer to its residue in [0, q).
    #[inline(always)]
    pub fn reduce_i64(&self, x: i64) -> u64 {
        // x = unsigned(x) - 2^64 [x < 0]
        let negative = (x >> 63) as u64;
        self.sub(self.reduce_u64(x as u64), self.word & negative)
    }

    /// Any signed integer to its residue in [0, q).
    #[inline(always)]
    pub fn reduce_i128(&self, x: i128) -> u64 {
        let high = self.mul(self.reduce_i64((x >> 64) as i64), self.word);
        self.add(high, self.reduce_u64(x as u64))
    }

    /// A residue to its representative of least absolute value, in (-q/2, q/2].
    #[inline(always)]
    pub fn centre(&self, x: u64) -> i64 {
        debug_assert!(x < self.q);
        let above = (((self.q / 2).wrapping_sub(x) as i64) >> 63) as u64;
        x.wrapping_sub(self.q & above) as i64
    }

    /// Whether q is prime; the time depends on q.
    pub fn is_prime_vartime(&self) -> bool {
        is_prime(self.q)
    }

    /// floor(2^(bits + 51) / q) < 2^52.
    #[inline(always)]
    pub(super) fn barrett_52(&self) -> u64 {
        self.barrett_wide >> 10
    }

    /// floor(2^64 / q).
    #[inline(always)]
    pub(super) fn barrett_word(&self) -> u64 {
        self.barrett_word
    }

    /// 2^52 mod q, its Shoup quotient, and that of 1.
    #[inline(always)]
    pub(super) fn shoup_of_2_52(&self) -> (u64, u64, u64) {
        (self.r, self.r_shoup, self.barrett_word >> 12)
    }

    /// floor(2^52 w / q): makes a product by the residue w cheap [Har14].
    #[inline(always)]
    pub(super) fn shoup(&self, w: u64) -> u64 {
        debug_assert!(w < self.q);
        ((u128::from(w) << 52) / u128::from(self.q)) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn moduli() -> impl Strategy<Value = Modulus> {
        (2u32..=50, any::<u64>()).prop_map(|(bits, random)| {
            let q = (random >> (64 - bits)) | 1 | 1 << (bits - 1);
            Modulus::new(q).expect("odd and in range")
        })
    }

    #[test]
    fn range_of_moduli() {
        for q in [0, 1, 2, 4, 1 << 50, (1 << 50) + 1, u64::MAX] {
            assert_eq!(Modulus::new(q), None);
        }
        assert!(Modulus::new(3).is_some() && Modulus::new((1 << 50) - 1).is_some());
    }

    proptest! {
        #[test]
        fn residues_agree_with_division(m in moduli(), a: u64, b: u64, edge in 0usize..5) {
            let q = m.value();
            let (a, b) = match edge {
                0 => (q - 1, q - 1),
                1 => (0, q - 1),
                2 => (0, 0),
                _ => (a % q, b % q),
            };
            prop_assert_eq!(m.add(a, b), (a + b) % q);
            prop_assert_eq!(m.sub(a, b), (a + q - b) % q);
            prop_assert_eq!(m.neg(a), (q - a) % q);
            prop_assert_eq!(u128::from(m.mul(a, b)), u128::from(a) * u128::from(b) % u128::from(q));
            if let Some(inverse) = m.inv_vartime(a) {
                prop_assert_eq!(m.mul(a, inverse), 1);
            }
            let centred = m.centre(a);
            prop_assert!(2 * centred <= q as i64 && 2 * centred > -(q as i64));
            prop_assert_eq!(m.reduce_i64(centred), a);
        }

        #[test]
        fn reductions_agree_with_division(m in moduli(), x: u128, shift in 0u32..128) {
            let (q, x) = (m.value(), x >> shift);
            let (wide, signed) = (u128::from(q), i128::from(q));
            prop_assert_eq!(m.reduce_u64(x as u64), x as u64 % q);
            prop_assert_eq!(u128::from(m.reduce_u128(x)), x % wide);
            prop_assert_eq!(m.reduce_i64(x as i64), (x as i64).rem_euclid(q as i64) as u64);
            prop_assert_eq!(i128::from(m.reduce_i128(x as i128)), (x as i128).rem_euclid(signed));
            prop_assert_eq!(m.reduce_u128(u128::MAX), (u128::MAX % wide) as u64);
            prop_assert_eq!(i128::from(m.reduce_i128(i128::MIN)), i128::MIN.rem_euclid(signed));
            prop_assert_eq!(m.reduce_i64(i64::MIN), i64::MIN.rem_euclid(q as i64) as u64);
        }
    }
}
