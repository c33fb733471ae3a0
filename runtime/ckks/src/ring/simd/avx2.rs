//! Four lanes of AVX2, with products from the fused multiply-add of f64.

use super::{MASK_52, Simd};
use std::arch::x86_64::*;

/// Proof of AVX2, FMA and BMI2.
#[derive(Clone, Copy, Debug)]
pub(in crate::ring) struct Avx2(());

impl Avx2 {
    pub(super) fn detect() -> Option<Avx2> {
        let has = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("bmi2");
        has.then_some(Avx2(()))
    }
}

/// The f64 2^52, 2^52 + 2^51 and 2^104: their units in the last place are 1, 1 and 2^52.
const TWO_52: f64 = (1u64 << 52) as f64;
const MIDDLE_52: f64 = 1.5 * TWO_52;
const TWO_104: f64 = TWO_52 * TWO_52;

/// (high, low) with x y = 2^52 high + low, high an integer plus 2^104, and low in [-2^51, 2^51]; x, y below 2^52.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn product(x: __m256i, y: __m256i) -> (__m256d, __m256d) {
    let (x, y) = (to_f64(x), to_f64(y));
    let high = _mm256_fmadd_pd(x, y, _mm256_set1_pd(TWO_104));
    let low = _mm256_fmadd_pd(x, y, _mm256_sub_pd(_mm256_set1_pd(TWO_104), high));
    (high, low)
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn to_f64(x: __m256i) -> __m256d {
    let magic = _mm256_set1_pd(TWO_52);
    _mm256_sub_pd(
        _mm256_castsi256_pd(_mm256_or_si256(x, _mm256_castpd_si256(magic))),
        magic,
    )
}

/// A method of a few intrinsics.
macro_rules! lanes {
    ($(fn $name:ident $(<const $b:ident: usize>)? ($($arg:ident: $ty:ty),*) -> $out:ty $body:block)*) => {$(
        #[inline(always)]
        fn $name $(<const $b: usize>)? (self, $($arg: $ty),*) -> $out {
            // SAFETY: `self` proves the features; the loads and stores go through references of 32 bytes, or of as
            // many as a bounds check made sure of.
            unsafe { $body }
        }
    )*};
}

impl Simd for Avx2 {
    type V = __m256i;
    type Chunk = [u64; 4];
    const LANES: usize = 4;
    const MULTIPLIES_52: bool = false;

    #[inline(always)]
    fn chunks(self, a: &[u64]) -> (&[[u64; 4]], &[u64]) {
        a.as_chunks()
    }

    #[inline(always)]
    fn chunks_mut(self, a: &mut [u64]) -> (&mut [[u64; 4]], &mut [u64]) {
        a.as_chunks_mut()
    }

    lanes! {
        fn load(from: &[u64; 4]) -> __m256i { _mm256_loadu_si256(from.as_ptr().cast()) }
        fn store(to: &mut [u64; 4], x: __m256i) -> () { _mm256_storeu_si256(to.as_mut_ptr().cast(), x) }
        fn splat(x: u64) -> __m256i { _mm256_set1_epi64x(x as i64) }
        fn add(x: __m256i, y: __m256i) -> __m256i { _mm256_add_epi64(x, y) }
        fn sub(x: __m256i, y: __m256i) -> __m256i { _mm256_sub_epi64(x, y) }
        fn and(x: __m256i, y: __m256i) -> __m256i { _mm256_and_si256(x, y) }
        fn xor(x: __m256i, y: __m256i) -> __m256i { _mm256_xor_si256(x, y) }
        fn shl(x: __m256i, count: u32) -> __m256i { _mm256_sll_epi64(x, _mm_cvtsi32_si128(count as i32)) }
        fn shr(x: __m256i, count: u32) -> __m256i { _mm256_srl_epi64(x, _mm_cvtsi32_si128(count as i32)) }
        fn reduce(x: __m256i, y: __m256i) -> __m256i {
            let difference = _mm256_castsi256_pd(_mm256_sub_epi64(x, y));
            _mm256_castpd_si256(_mm256_blendv_pd(difference, _mm256_castsi256_pd(x), difference))
        }
        fn mul_add_low(acc: __m256i, x: __m256i, y: __m256i) -> __m256i {
            let shifted = _mm256_add_pd(product(x, y).1, _mm256_set1_pd(MIDDLE_52));
            let low = _mm256_sub_epi64(_mm256_castpd_si256(shifted), _mm256_set1_epi64x(MIDDLE_52.to_bits() as i64));
            _mm256_add_epi64(acc, _mm256_and_si256(low, _mm256_set1_epi64x(MASK_52 as i64)))
        }
        fn mul_add_high(acc: __m256i, x: __m256i, y: __m256i) -> __m256i {
            let (high, low) = product(x, y);
            let negative = _mm256_srli_epi64::<63>(_mm256_castpd_si256(low));
            let high = _mm256_sub_epi64(_mm256_castpd_si256(high), _mm256_set1_epi64x(TWO_104.to_bits() as i64));
            _mm256_add_epi64(acc, _mm256_sub_epi64(high, negative))
        }
        fn f64_from(x: __m256i) -> __m256i { _mm256_castpd_si256(to_f64(x)) }
        fn f64_to(x: __m256i) -> __m256i {
            let magic = _mm256_set1_pd(TWO_52);
            let shifted = _mm256_castpd_si256(_mm256_add_pd(_mm256_castsi256_pd(x), magic));
            _mm256_xor_si256(shifted, _mm256_castpd_si256(magic))
        }
        fn f64_add(x: __m256i, y: __m256i) -> __m256i {
            _mm256_castpd_si256(_mm256_add_pd(_mm256_castsi256_pd(x), _mm256_castsi256_pd(y)))
        }
        fn f64_mul(x: __m256i, y: __m256i) -> __m256i {
            _mm256_castpd_si256(_mm256_mul_pd(_mm256_castsi256_pd(x), _mm256_castsi256_pd(y)))
        }
        fn f64_mul_sub(x: __m256i, y: __m256i, z: __m256i) -> __m256i {
            let (x, y, z) = (_mm256_castsi256_pd(x), _mm256_castsi256_pd(y), _mm256_castsi256_pd(z));
            _mm256_castpd_si256(_mm256_fmsub_pd(x, y, z))
        }
        fn f64_sub_mul(z: __m256i, x: __m256i, y: __m256i) -> __m256i {
            let (x, y, z) = (_mm256_castsi256_pd(x), _mm256_castsi256_pd(y), _mm256_castsi256_pd(z));
            _mm256_castpd_si256(_mm256_fnmadd_pd(x, y, z))
        }
        fn f64_round(x: __m256i) -> __m256i {
            const NEAREST: i32 = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
            _mm256_castpd_si256(_mm256_round_pd::<NEAREST>(_mm256_castsi256_pd(x)))
        }
        fn f64_add_if_negative(x: __m256i, y: __m256i) -> __m256i {
            let (x, y) = (_mm256_castsi256_pd(x), _mm256_castsi256_pd(y));
            _mm256_castpd_si256(_mm256_blendv_pd(x, _mm256_add_pd(x, y), x))
        }
        // Lanes of two vectors of elements 0..4 and 4..8, after the splits:
        // 2: 0 4 1 5 and 2 6 3 7
        // 1: 0 4 2 6 and 1 5 3 7
        fn split<const B: usize>(x: __m256i, y: __m256i) -> (__m256i, __m256i) {
            let (x, y) = match B {
                1 => (x, y),
                2 => (_mm256_unpacklo_epi64(x, y), _mm256_unpackhi_epi64(x, y)),
                _ => unreachable!("blocks of {B} in 4 lanes"),
            };
            (_mm256_permute2x128_si256::<0x20>(x, y), _mm256_permute2x128_si256::<0x31>(x, y))
        }
        fn join<const B: usize>(x: __m256i, y: __m256i) -> (__m256i, __m256i) {
            let (x, y) = (_mm256_permute2x128_si256::<0x20>(x, y), _mm256_permute2x128_si256::<0x31>(x, y));
            match B {
                1 => (x, y),
                2 => (_mm256_unpacklo_epi64(x, y), _mm256_unpackhi_epi64(x, y)),
                _ => unreachable!("blocks of {B} in 4 lanes"),
            }
        }
        fn order(x: __m256i, y: __m256i) -> (__m256i, __m256i) {
            (_mm256_unpacklo_epi64(x, y), _mm256_unpackhi_epi64(x, y))
        }
        fn reverse(x: __m256i) -> __m256i { _mm256_permute4x64_epi64::<0x1b>(x) }
        fn load_cyclic<const B: usize>(from: &[u64]) -> __m256i {
            let from = from[..4 / B].as_ptr();
            match B {
                1 => _mm256_loadu_si256(from.cast()),
                2 => _mm256_broadcastsi128_si256(_mm_loadu_si128(from.cast())),
                _ => unreachable!("blocks of {B} in 4 lanes"),
            }
        }
    }

    #[inline(always)]
    fn permute(self, from: &[u64; 8], index: &[u64; 8], to: &mut [u64; 8]) {
        super::Scalar.permute(from, index, to);
    }
}
