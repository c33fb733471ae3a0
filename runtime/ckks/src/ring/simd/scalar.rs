//! One lane, on any machine.

use super::{MASK_52, Simd};

/// Plain u64.
#[derive(Clone, Copy, Debug)]
pub(in crate::ring) struct Scalar;

impl Simd for Scalar {
    type V = u64;
    type Chunk = [u64; 1];
    const LANES: usize = 1;
    const MULTIPLIES_52: bool = true;

    #[inline(always)]
    fn chunks(self, a: &[u64]) -> (&[[u64; 1]], &[u64]) {
        a.as_chunks()
    }

    #[inline(always)]
    fn chunks_mut(self, a: &mut [u64]) -> (&mut [[u64; 1]], &mut [u64]) {
        a.as_chunks_mut()
    }

    #[inline(always)]
    fn load(self, from: &[u64; 1]) -> u64 {
        from[0]
    }

    #[inline(always)]
    fn store(self, to: &mut [u64; 1], x: u64) {
        to[0] = x;
    }

    #[inline(always)]
    fn splat(self, x: u64) -> u64 {
        x
    }

    #[inline(always)]
    fn add(self, x: u64, y: u64) -> u64 {
        x.wrapping_add(y)
    }

    #[inline(always)]
    fn sub(self, x: u64, y: u64) -> u64 {
        x.wrapping_sub(y)
    }

    #[inline(always)]
    fn and(self, x: u64, y: u64) -> u64 {
        x & y
    }

    #[inline(always)]
    fn xor(self, x: u64, y: u64) -> u64 {
        x ^ y
    }

    #[inline(always)]
    fn shl(self, x: u64, count: u32) -> u64 {
        x << count
    }

    #[inline(always)]
    fn shr(self, x: u64, count: u32) -> u64 {
        x >> count
    }

    #[inline(always)]
    fn reduce(self, x: u64, y: u64) -> u64 {
        x.min(x.wrapping_sub(y))
    }

    #[inline(always)]
    fn mul_add_low(self, acc: u64, x: u64, y: u64) -> u64 {
        acc.wrapping_add(x.wrapping_mul(y) & MASK_52)
    }

    #[inline(always)]
    fn mul_add_high(self, acc: u64, x: u64, y: u64) -> u64 {
        acc.wrapping_add(((u128::from(x) * u128::from(y)) >> 52) as u64)
    }

    #[inline(always)]
    fn f64_from(self, x: u64) -> u64 {
        (x as f64).to_bits()
    }

    #[inline(always)]
    fn f64_to(self, x: u64) -> u64 {
        // The unit in the last place of 2^52 is 1.
        (f64::from_bits(x) + (1u64 << 52) as f64).to_bits() & MASK_52
    }

    #[inline(always)]
    fn f64_add(self, x: u64, y: u64) -> u64 {
        (f64::from_bits(x) + f64::from_bits(y)).to_bits()
    }

    #[inline(always)]
    fn f64_mul(self, x: u64, y: u64) -> u64 {
        (f64::from_bits(x) * f64::from_bits(y)).to_bits()
    }

    #[inline(always)]
    fn f64_mul_sub(self, x: u64, y: u64, z: u64) -> u64 {
        f64::from_bits(x)
            .mul_add(f64::from_bits(y), -f64::from_bits(z))
            .to_bits()
    }

    #[inline(always)]
    fn f64_sub_mul(self, z: u64, x: u64, y: u64) -> u64 {
        f64::from_bits(x)
            .mul_add(-f64::from_bits(y), f64::from_bits(z))
            .to_bits()
    }

    #[inline(always)]
    fn f64_round(self, x: u64) -> u64 {
        f64::from_bits(x).round_ties_even().to_bits()
    }

    #[inline(always)]
    fn f64_add_if_negative(self, x: u64, y: u64) -> u64 {
        if f64::from_bits(x) < 0.0 {
            self.f64_add(x, y)
        } else {
            x
        }
    }

    #[inline(always)]
    fn split<const B: usize>(self, x: u64, y: u64) -> (u64, u64) {
        (x, y)
    }

    #[inline(always)]
    fn join<const B: usize>(self, x: u64, y: u64) -> (u64, u64) {
        (x, y)
    }

    #[inline(always)]
    fn order(self, x: u64, y: u64) -> (u64, u64) {
        (x, y)
    }

    #[inline(always)]
    fn reverse(self, x: u64) -> u64 {
        x
    }

    #[inline(always)]
    fn load_cyclic<const B: usize>(self, from: &[u64]) -> u64 {
        from[0]
    }

    #[inline(always)]
    fn permute(self, from: &[u64; 8], index: &[u64; 8], to: &mut [u64; 8]) {
        for (x, i) in to.iter_mut().zip(index) {
            *x = from[(*i & 7) as usize];
        }
    }
}
