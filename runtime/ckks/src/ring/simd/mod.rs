//! Vectors of 64-bit lanes: one trait, one file of short methods for each instruction set, one place of detection.
//!
//! `HECC_SIMD=scalar|avx2|avx512` holds the level down (it never raises it above what the machine has).

#![allow(unsafe_code)]

mod aligned;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod columns;
mod scalar;

pub use aligned::AlignedWords;
pub(super) use aligned::as_words;
#[cfg(target_arch = "x86_64")]
pub(super) use avx2::Avx2;
#[cfg(target_arch = "x86_64")]
pub(super) use avx512::Avx512;
pub(super) use columns::Columns;
pub(super) use scalar::Scalar;

use std::sync::OnceLock;

/// The low 52 bits.
pub(super) const MASK_52: u64 = (1 << 52) - 1;

/// A proof that the machine has an instruction set, with its operations on vectors of u64 lanes.
pub(super) trait Simd: Copy {
    /// One vector.
    type V: Copy;
    /// One vector in memory: `[u64; LANES]`, of any alignment.
    type Chunk: Copy + Default + AsRef<[u64]> + AsMut<[u64]>;
    /// Lanes of a vector.
    const LANES: usize;
    /// Whether products of 52 bits are cheaper than fused multiply-adds of f64.
    const MULTIPLIES_52: bool;

    /// Whole chunks, and the rest.
    fn chunks(self, a: &[u64]) -> (&[Self::Chunk], &[u64]);
    /// Whole chunks, and the rest.
    fn chunks_mut(self, a: &mut [u64]) -> (&mut [Self::Chunk], &mut [u64]);
    fn load(self, from: &Self::Chunk) -> Self::V;
    fn store(self, to: &mut Self::Chunk, x: Self::V);
    fn splat(self, x: u64) -> Self::V;

    /// x + y mod 2^64.
    fn add(self, x: Self::V, y: Self::V) -> Self::V;
    /// x - y mod 2^64.
    fn sub(self, x: Self::V, y: Self::V) -> Self::V;
    fn and(self, x: Self::V, y: Self::V) -> Self::V;
    fn xor(self, x: Self::V, y: Self::V) -> Self::V;
    fn shl(self, x: Self::V, count: u32) -> Self::V;
    fn shr(self, x: Self::V, count: u32) -> Self::V;
    /// x - y where x >= y, else x; both below 2^63.
    fn reduce(self, x: Self::V, y: Self::V) -> Self::V;
    /// acc + the low 52 bits of x y, for x and y below 2^52.
    fn mul_add_low(self, acc: Self::V, x: Self::V, y: Self::V) -> Self::V;
    /// acc + floor(x y / 2^52), for x and y below 2^52.
    fn mul_add_high(self, acc: Self::V, x: Self::V, y: Self::V) -> Self::V;

    /// An integer in [0, 2^52) as f64. The bits 0 are 0.
    fn f64_from(self, x: Self::V) -> Self::V;
    /// The nearest integer of an f64 in [0, 2^52), ties to even.
    fn f64_to(self, x: Self::V) -> Self::V;
    fn f64_add(self, x: Self::V, y: Self::V) -> Self::V;
    fn f64_mul(self, x: Self::V, y: Self::V) -> Self::V;
    /// x y - z, rounded once.
    fn f64_mul_sub(self, x: Self::V, y: Self::V, z: Self::V) -> Self::V;
    /// z - x y, rounded once.
    fn f64_sub_mul(self, z: Self::V, x: Self::V, y: Self::V) -> Self::V;
    /// The nearest integer of an f64 in [0, 2^52), ties to even, as f64.
    fn f64_round(self, x: Self::V) -> Self::V;
    /// x + y where x is negative, else x.
    fn f64_add_if_negative(self, x: Self::V, y: Self::V) -> Self::V;

    /// Of two vectors that `split::<2B>` gave, or for B = LANES / 2 of two vectors in a row: partners at distance B into
    /// the same lanes of x and y. The blocks of 2B elements then come in bit-reversed order, again and again.
    fn split<const B: usize>(self, x: Self::V, y: Self::V) -> (Self::V, Self::V);
    /// The inverse of `split::<B>`.
    fn join<const B: usize>(self, x: Self::V, y: Self::V) -> (Self::V, Self::V);
    /// What `split::<1>` gave as two vectors in a row, or the reverse, which is the same.
    fn order(self, x: Self::V, y: Self::V) -> (Self::V, Self::V);
    /// The first LANES / B words, again and again.
    fn load_cyclic<const B: usize>(self, from: &[u64]) -> Self::V;
    /// The lanes in the opposite order.
    fn reverse(self, x: Self::V) -> Self::V;
    /// Nothing, but the compiler has all of `v` at hand before what follows: it may not take one vector through many
    /// layers before the next.
    #[inline(always)]
    fn fence<const R: usize>(self, _v: &mut [Self::V; R]) {}
    /// `to[i] = from[index[i]]`, index below 8.
    fn permute(self, from: &[u64; 8], index: &[u64; 8], to: &mut [u64; 8]);
}

/// An instruction set that the machine has.
#[derive(Clone, Copy, Debug)]
pub(super) enum Level {
    Scalar(Scalar),
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512),
}

impl Level {
    /// All levels of this machine, the widest last.
    pub(super) fn available() -> Vec<Level> {
        let mut levels = vec![Level::Scalar(Scalar)];
        #[cfg(target_arch = "x86_64")]
        levels.extend(Avx2::detect().map(Level::Avx2));
        #[cfg(target_arch = "x86_64")]
        levels.extend(Avx512::detect().map(Level::Avx512));
        levels
    }

    /// As in `HECC_SIMD`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Level::Scalar(_) => "scalar",
            #[cfg(target_arch = "x86_64")]
            Level::Avx2(_) => "avx2",
            #[cfg(target_arch = "x86_64")]
            Level::Avx512(_) => "avx512",
        }
    }

    /// Lanes of its vectors.
    pub(super) fn lanes(self) -> usize {
        match self {
            Level::Scalar(_) => Scalar::LANES,
            #[cfg(target_arch = "x86_64")]
            Level::Avx2(_) => Avx2::LANES,
            #[cfg(target_arch = "x86_64")]
            Level::Avx512(_) => Avx512::LANES,
        }
    }

    /// The level in use.
    #[inline]
    pub(super) fn current() -> Level {
        #[cfg(test)]
        if let Some(level) = FORCED.get() {
            return level;
        }
        static DETECTED: OnceLock<Level> = OnceLock::new();
        *DETECTED.get_or_init(|| {
            const NAMES: [&str; 3] = ["scalar", "avx2", "avx512"];
            let rank = |name: &str| NAMES.iter().position(|n| *n == name);
            let highest = std::env::var("HECC_SIMD").map_or(NAMES.len(), |name| {
                rank(&name).unwrap_or_else(|| panic!("HECC_SIMD={name} is none of {NAMES:?}"))
            });
            let usable = |level: &Level| rank(level.name()).is_some_and(|r| r <= highest);
            *Level::available()
                .iter()
                .rfind(|level| usable(level))
                .expect("scalar is always there")
        })
    }
}

#[cfg(test)]
thread_local! {
    static FORCED: std::cell::Cell<Option<Level>> = const { std::cell::Cell::new(None) };
}

/// Runs `f` on this thread once for each level of the machine.
#[cfg(test)]
pub(super) fn on_every_level(f: impl Fn()) {
    for level in Level::available() {
        FORCED.set(Some(level));
        f();
    }
    FORCED.set(None);
}

/// Defines a function whose body, generic over the instruction set `$s`, is compiled for each and chosen by
/// [`Level::current`].
macro_rules! simd {
    ($($(#[$meta:meta])* $vis:vis fn $name:ident($s:ident, $($arg:ident: $ty:ty),* $(,)?) $body:block)*) => {$(
        $(#[$meta])*
        $vis fn $name($($arg: $ty),*) {
            #[inline(always)]
            fn generic<S: $crate::ring::simd::Simd>($s: S, $($arg: $ty),*) $body

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma,bmi2")]
            fn avx2(s: $crate::ring::simd::Avx2, $($arg: $ty),*) {
                generic(s, $($arg),*);
            }

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma,fma,bmi2")]
            fn avx512(s: $crate::ring::simd::Avx512, $($arg: $ty),*) {
                generic(s, $($arg),*);
            }

            match $crate::ring::simd::Level::current() {
                $crate::ring::simd::Level::Scalar(s) => generic(s, $($arg),*),
                // SAFETY: the token exists only where the features were detected.
                #[cfg(target_arch = "x86_64")]
                #[allow(unsafe_code)]
                $crate::ring::simd::Level::Avx2(s) => unsafe { avx2(s, $($arg),*) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                #[allow(unsafe_code)]
                $crate::ring::simd::Level::Avx512(s) => unsafe { avx512(s, $($arg),*) },
            }
        }
    )*};
}
pub(super) use simd;
