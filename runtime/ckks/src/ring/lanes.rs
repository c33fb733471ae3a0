//! Modular arithmetic on vectors of residues, from the 52-bit multiplier alone: every product is a pair of its low and
//! high 52 bits, and a quotient estimate needs high parts only. Integers of lazy ranges stay below 4q < 2^52.

use super::Modulus;
use super::simd::{MASK_52, Simd};

const TWO_TO_MINUS_52: f64 = 1.0 / (1u64 << 52) as f64;

/// A modulus with its constants splat over the lanes.
#[derive(Clone, Copy)]
pub(super) struct Lanes<S: Simd> {
    pub s: S,
    m: Modulus,
    pub q: S::V,
    pub two_q: S::V,
    /// -q mod 2^52
    minus_q: S::V,
    mask: S::V,
    zero: S::V,
}

/// low + 2^52 high: a sum of products, not yet reduced.
#[derive(Clone, Copy)]
pub(super) struct Wide<S: Simd> {
    low: S::V,
    high: S::V,
}

impl<S: Simd> Lanes<S> {
    #[inline(always)]
    pub fn new(s: S, m: &Modulus) -> Self {
        let q = m.value();
        Lanes {
            s,
            m: *m,
            q: s.splat(q),
            two_q: s.splat(2 * q),
            minus_q: s.splat((1 << 52) - q),
            mask: s.splat(MASK_52),
            zero: s.splat(0),
        }
    }

    /// [0, 2q) to [0, q).
    #[inline(always)]
    pub fn reduce_from_2q(&self, x: S::V) -> S::V {
        self.s.reduce(x, self.q)
    }

    /// [0, 4q) to [0, q).
    #[inline(always)]
    pub fn reduce_from_4q(&self, x: S::V) -> S::V {
        self.reduce_from_2q(self.s.reduce(x, self.two_q))
    }

    /// [0, 2^52) to [0, q).
    #[inline(always)]
    pub fn reduce_from_2_52(&self, x: S::V) -> S::V {
        // floor(x floor(2^52 / q) / 2^52) is short by less than 2.
        let quotient = self
            .s
            .mul_add_high(self.zero, x, self.s.splat(self.m.shoup_of_2_52().2));
        self.reduce_from_2q(
            self.s
                .sub(x, self.s.mul_add_low(self.zero, quotient, self.q)),
        )
    }

    #[inline(always)]
    pub fn add(&self, x: S::V, y: S::V) -> S::V {
        self.reduce_from_2q(self.s.add(x, y))
    }

    #[inline(always)]
    pub fn sub(&self, x: S::V, y: S::V) -> S::V {
        self.reduce_from_2q(self.s.sub(self.s.add(x, self.q), y))
    }

    /// x w mod q in [0, 2q), of any x < 2^52 and a residue w with w_shoup = floor(2^52 w / q) [Har14].
    #[inline(always)]
    pub fn mul_shoup_lazy(&self, x: S::V, w: S::V, w_shoup: S::V) -> S::V {
        if !S::MULTIPLIES_52 {
            return self.mul_shoup_lazy_f64(x, w, w_shoup);
        }
        // madd52hi, madd52lo, madd52lo (of 2^52 - q, onto the one before), and: exact mod 2^52, and 2q < 2^52.
        let quotient = self.s.mul_add_high(self.zero, x, w_shoup);
        let product = self.s.mul_add_low(self.zero, x, w);
        self.s.and(
            self.s.mul_add_low(product, quotient, self.minus_q),
            self.mask,
        )
    }

    /// x y mod q in [0, q), of residues.
    #[inline(always)]
    pub fn mul(&self, x: S::V, y: S::V) -> S::V {
        if !S::MULTIPLIES_52 {
            return self.mul_f64(x, y);
        }
        // Barrett, with k bits in q: high = floor(x y / 2^k) and quotient = floor(2 high floor(2^(51 + k) / q) / 2^52)
        // < 2^52 is short by less than 3.5, so that the rest is below 3.5 q < 2^52.
        let s = self.s;
        let high = s.mul_add_high(self.zero, s.shl(x, 52 - self.m.bits()), y);
        let low = s.mul_add_low(self.zero, x, y);
        let quotient = s.mul_add_high(self.zero, s.add(high, high), s.splat(self.m.barrett_52()));
        self.reduce_from_4q(s.and(s.mul_add_low(low, quotient, self.minus_q), self.mask))
    }

    /// As `mul_shoup_lazy`, with 53 bits of f64.
    #[inline(always)]
    fn mul_shoup_lazy_f64(&self, x: S::V, w: S::V, w_shoup: S::V) -> S::V {
        // The quotient x w_shoup / 2^52 < 2^52 errs by (-1.75, 0.75]: x / 2^52 < 1 for the rounding of w_shoup, 1/4 for
        // that of the product, 1/2 for that to an integer. All else is exact: x w = high + low, and high - quotient q,
        // a multiple of its unit in the last place, is small.
        let s = self.s;
        let (x, w) = (s.f64_from(x), s.f64_from(w));
        let w_shoup = s.f64_mul(s.f64_from(w_shoup), s.splat(TWO_TO_MINUS_52.to_bits()));
        self.f64_rest(x, w, s.f64_round(s.f64_mul(x, w_shoup)))
    }

    /// As `mul`, with 53 bits of f64.
    #[inline(always)]
    fn mul_f64(&self, x: S::V, y: S::V) -> S::V {
        // The quotient, below 2^50, errs by three roundings of 2^-53 and one of 1/2: by less than 1.
        let s = self.s;
        let (x, y) = (s.f64_from(x), s.f64_from(y));
        let reciprocal = s.splat((1.0 / self.m.value() as f64).to_bits());
        self.f64_rest(x, y, s.f64_round(s.f64_mul(s.f64_mul(x, y), reciprocal)))
    }

    /// x y - quotient q, plus q where that is negative; the quotient is short by less than 2 and over by less than 1.
    #[inline(always)]
    fn f64_rest(&self, x: S::V, y: S::V, quotient: S::V) -> S::V {
        let (s, q) = (self.s, self.s.f64_from(self.q));
        let high = s.f64_mul(x, y);
        let low = s.f64_mul_sub(x, y, high);
        let rest = s.f64_add(s.f64_sub_mul(high, quotient, q), low);
        s.f64_to(s.f64_add_if_negative(rest, q))
    }

    /// Any x to [0, 3q), for q > 2^12.
    #[inline(always)]
    pub fn reduce_word_lazy(&self, x: S::V) -> S::V {
        // quotient = floor(floor(x / 2^12) floor(2^64 / q) / 2^52) is short by less than 3.
        let s = self.s;
        let quotient = s.mul_add_high(self.zero, s.shr(x, 12), s.splat(self.m.barrett_word()));
        s.and(s.mul_add_low(x, quotient, self.minus_q), self.mask)
    }

    #[inline(always)]
    pub fn wide_zero(&self) -> Wide<S> {
        Wide {
            low: self.zero,
            high: self.zero,
        }
    }

    /// A residue as a sum of products.
    #[inline(always)]
    pub fn widen(&self, x: S::V) -> Wide<S> {
        Wide {
            low: x,
            high: self.zero,
        }
    }

    /// sum + x y, of x and y below 2^50: exact for up to 2^10 terms.
    #[inline(always)]
    pub fn wide_mul_add(&self, sum: Wide<S>, x: S::V, y: S::V) -> Wide<S> {
        Wide {
            low: self.s.mul_add_low(sum.low, x, y),
            high: self.s.mul_add_high(sum.high, x, y),
        }
    }

    /// A sum of products mod q in [0, q). `LONG` allows 2^10 terms, else there are at most 15.
    #[inline(always)]
    pub fn wide_reduce<const LONG: bool>(&self, sum: Wide<S>) -> S::V {
        let s = self.s;
        let mut high = s.add(sum.high, s.shr(sum.low, 52));
        let low = s.and(sum.low, self.mask);
        if LONG && self.m.bits() > 40 {
            high = self.reduce_word_lazy(high);
        }
        // high 2^52 + low = high r + low with r = 2^52 mod q, both products by their Shoup quotients: the rest is
        // below 4q.
        let (r, r_shoup, one_shoup) = self.m.shoup_of_2_52();
        if !S::MULTIPLIES_52 {
            let high = self.mul_shoup_lazy(high, s.splat(r), s.splat(r_shoup));
            return self.reduce_from_4q(s.add(
                high,
                self.mul_shoup_lazy(low, s.splat(1), s.splat(one_shoup)),
            ));
        }
        let quotient = s.mul_add_high(self.zero, high, s.splat(r_shoup));
        let quotient = s.mul_add_high(quotient, low, s.splat(one_shoup));
        let quotient = s.and(quotient, self.mask);
        let rest = s.mul_add_low(low, high, s.splat(r));
        self.reduce_from_4q(s.and(s.mul_add_low(rest, quotient, self.minus_q), self.mask))
    }
}
