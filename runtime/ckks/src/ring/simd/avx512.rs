//! Eight lanes of AVX-512 with the 52-bit multiplier (IFMA).

use super::Simd;
use std::arch::asm;
use std::arch::x86_64::*;

/// Proof of AVX-512 F, DQ, VL and IFMA.
#[derive(Clone, Copy, Debug)]
pub(in crate::ring) struct Avx512(());

impl Avx512 {
    pub(super) fn detect() -> Option<Avx512> {
        let has = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512ifma")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("bmi2");
        has.then_some(Avx512(()))
    }
}

/// Lanes of x (0..8) and y (8..16).
#[inline]
#[target_feature(enable = "avx512f")]
fn pick(x: __m512i, y: __m512i, lanes: [i64; 8]) -> __m512i {
    let [a, b, c, d, e, f, g, h] = lanes;
    _mm512_permutex2var_epi64(x, _mm512_setr_epi64(a, b, c, d, e, f, g, h), y)
}

/// All of `v` in registers.
#[inline]
#[target_feature(enable = "avx512f")]
fn fence([a, b, c, d, e, f, g, h]: &mut [__m512i; 8]) {
    // SAFETY: a comment has no effect.
    unsafe {
        asm!(
            "/* {0} {1} {2} {3} {4} {5} {6} {7} */",
            inout(zmm_reg) * a,
            inout(zmm_reg) * b,
            inout(zmm_reg) * c,
            inout(zmm_reg) * d,
            inout(zmm_reg) * e,
            inout(zmm_reg) * f,
            inout(zmm_reg) * g,
            inout(zmm_reg) * h,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
}

/// A method of one or two intrinsics.
macro_rules! lanes {
    ($(fn $name:ident $(<const $b:ident: usize>)? ($($arg:ident: $ty:ty),*) -> $out:ty $body:block)*) => {$(
        #[inline(always)]
        fn $name $(<const $b: usize>)? (self, $($arg: $ty),*) -> $out {
            // SAFETY: `self` proves the features; the loads and stores go through references of 64 bytes, or of as
            // many as a bounds check made sure of.
            unsafe { $body }
        }
    )*};
}

impl Simd for Avx512 {
    type V = __m512i;
    type Chunk = [u64; 8];
    const LANES: usize = 8;
    const MULTIPLIES_52: bool = true;

    #[inline(always)]
    fn chunks(self, a: &[u64]) -> (&[[u64; 8]], &[u64]) {
        a.as_chunks()
    }

    #[inline(always)]
    fn chunks_mut(self, a: &mut [u64]) -> (&mut [[u64; 8]], &mut [u64]) {
        a.as_chunks_mut()
    }

    lanes! {
        fn load(from: &[u64; 8]) -> __m512i { _mm512_loadu_si512(from.as_ptr().cast()) }
        fn store(to: &mut [u64; 8], x: __m512i) -> () { _mm512_storeu_si512(to.as_mut_ptr().cast(), x) }
        fn splat(x: u64) -> __m512i { _mm512_set1_epi64(x as i64) }
        fn add(x: __m512i, y: __m512i) -> __m512i { _mm512_add_epi64(x, y) }
        fn sub(x: __m512i, y: __m512i) -> __m512i { _mm512_sub_epi64(x, y) }
        fn and(x: __m512i, y: __m512i) -> __m512i { _mm512_and_si512(x, y) }
        fn xor(x: __m512i, y: __m512i) -> __m512i { _mm512_xor_si512(x, y) }
        fn shl(x: __m512i, count: u32) -> __m512i { _mm512_sll_epi64(x, _mm_cvtsi32_si128(count as i32)) }
        fn shr(x: __m512i, count: u32) -> __m512i { _mm512_srl_epi64(x, _mm_cvtsi32_si128(count as i32)) }
        fn reduce(x: __m512i, y: __m512i) -> __m512i { _mm512_min_epu64(x, _mm512_sub_epi64(x, y)) }
        fn mul_add_low(acc: __m512i, x: __m512i, y: __m512i) -> __m512i { _mm512_madd52lo_epu64(acc, x, y) }
        fn mul_add_high(acc: __m512i, x: __m512i, y: __m512i) -> __m512i { _mm512_madd52hi_epu64(acc, x, y) }
        fn f64_from(x: __m512i) -> __m512i { _mm512_castpd_si512(_mm512_cvtepu64_pd(x)) }
        fn f64_to(x: __m512i) -> __m512i { _mm512_cvtpd_epu64(_mm512_castsi512_pd(x)) }
        fn f64_add(x: __m512i, y: __m512i) -> __m512i {
            _mm512_castpd_si512(_mm512_add_pd(_mm512_castsi512_pd(x), _mm512_castsi512_pd(y)))
        }
        fn f64_mul(x: __m512i, y: __m512i) -> __m512i {
            _mm512_castpd_si512(_mm512_mul_pd(_mm512_castsi512_pd(x), _mm512_castsi512_pd(y)))
        }
        fn f64_mul_sub(x: __m512i, y: __m512i, z: __m512i) -> __m512i {
            _mm512_castpd_si512(_mm512_fmsub_pd(_mm512_castsi512_pd(x), _mm512_castsi512_pd(y), _mm512_castsi512_pd(z)))
        }
        fn f64_sub_mul(z: __m512i, x: __m512i, y: __m512i) -> __m512i {
            _mm512_castpd_si512(_mm512_fnmadd_pd(_mm512_castsi512_pd(x), _mm512_castsi512_pd(y), _mm512_castsi512_pd(z)))
        }
        fn f64_round(x: __m512i) -> __m512i {
            _mm512_castpd_si512(_mm512_roundscale_pd::<0>(_mm512_castsi512_pd(x)))
        }
        fn f64_add_if_negative(x: __m512i, y: __m512i) -> __m512i {
            let (x, y) = (_mm512_castsi512_pd(x), _mm512_castsi512_pd(y));
            let negative = _mm512_movepi64_mask(_mm512_castpd_si512(x));
            _mm512_castpd_si512(_mm512_mask_add_pd(x, negative, x, y))
        }
        // Lanes of two vectors of elements 0..8 and 8..16, after the splits:
        // 4: 0 8 1 9 2 10 3 11  and  4 12 5 13 6 14 7 15
        // 2: 0 8 4 12 1 9 5 13  and  2 10 6 14 3 11 7 15
        // 1: 0 8 4 12 2 10 6 14 and  1 9 5 13 3 11 7 15
        fn split<const B: usize>(x: __m512i, y: __m512i) -> (__m512i, __m512i) {
            match B {
                1 => (_mm512_shuffle_i64x2::<0x44>(x, y), _mm512_shuffle_i64x2::<0xee>(x, y)),
                2 => (pick(x, y, [0, 1, 8, 9, 2, 3, 10, 11]), pick(x, y, [4, 5, 12, 13, 6, 7, 14, 15])),
                4 => (pick(x, y, [0, 8, 1, 9, 2, 10, 3, 11]), pick(x, y, [4, 12, 5, 13, 6, 14, 7, 15])),
                _ => unreachable!("blocks of {B} in 8 lanes"),
            }
        }
        fn join<const B: usize>(x: __m512i, y: __m512i) -> (__m512i, __m512i) {
            match B {
                1 => (_mm512_shuffle_i64x2::<0x44>(x, y), _mm512_shuffle_i64x2::<0xee>(x, y)),
                2 => (pick(x, y, [0, 1, 4, 5, 8, 9, 12, 13]), pick(x, y, [2, 3, 6, 7, 10, 11, 14, 15])),
                4 => (pick(x, y, [0, 2, 4, 6, 8, 10, 12, 14]), pick(x, y, [1, 3, 5, 7, 9, 11, 13, 15])),
                _ => unreachable!("blocks of {B} in 8 lanes"),
            }
        }
        fn order(x: __m512i, y: __m512i) -> (__m512i, __m512i) {
            (pick(x, y, [0, 8, 4, 12, 2, 10, 6, 14]), pick(x, y, [1, 9, 5, 13, 3, 11, 7, 15]))
        }
        fn reverse(x: __m512i) -> __m512i { pick(x, x, [7, 6, 5, 4, 3, 2, 1, 0]) }
        fn load_cyclic<const B: usize>(from: &[u64]) -> __m512i {
            let from = from[..8 / B].as_ptr();
            match B {
                1 => _mm512_loadu_si512(from.cast()),
                2 => _mm512_broadcast_i64x4(_mm256_loadu_si256(from.cast())),
                4 => _mm512_broadcast_i64x2(_mm_loadu_si128(from.cast())),
                _ => unreachable!("blocks of {B} in 8 lanes"),
            }
        }
    }

    #[inline(always)]
    fn fence<const R: usize>(self, v: &mut [__m512i; R]) {
        for v in v.as_chunks_mut::<8>().0 {
            // SAFETY: `self` proves the features.
            unsafe { fence(v) }
        }
    }

    #[inline(always)]
    fn permute(self, from: &[u64; 8], index: &[u64; 8], to: &mut [u64; 8]) {
        let (x, index) = (self.load(from), self.load(index));
        // SAFETY: `self` proves the features.
        self.store(to, unsafe { _mm512_permutexvar_epi64(index, x) });
    }
}
