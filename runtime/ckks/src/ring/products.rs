//! Sums of products: key inner products, plaintext diagonals, base conversions. The sums of a block of vectors stay in
//! registers over all terms, as low and high 52 bits, and are reduced once.

use super::kernels::{pad, unpad};
use super::lanes::{Lanes, Wide};
use super::simd::Simd;

/// Terms whose sum needs no reduction of its high half.
const SHORT: usize = 15;
/// Most terms of one sum.
const LONG: usize = 1 << 10;
/// Vectors of a block: with two outputs, 16 sums in 32 registers.
const BLOCK: usize = 4;

/// The factor that all outputs of a term share: a slice, or one scalar.
pub(super) trait Factor: Copy {
    fn len(self) -> Option<usize>;
    /// `U` vectors from vector `at` on.
    fn load<S: Simd, const U: usize>(self, s: S, at: usize) -> [S::V; U];
    /// What is left after the last whole vector.
    fn rest<S: Simd>(self, s: S) -> S::V;
}

impl Factor for &[u64] {
    #[inline(always)]
    fn len(self) -> Option<usize> {
        Some(<[u64]>::len(self))
    }

    #[inline(always)]
    fn load<S: Simd, const U: usize>(self, s: S, at: usize) -> [S::V; U] {
        let mut vectors = [s.splat(0); U];
        for (x, chunk) in vectors.iter_mut().zip(&s.chunks(self).0[at..at + U]) {
            *x = s.load(chunk);
        }
        vectors
    }

    #[inline(always)]
    fn rest<S: Simd>(self, s: S) -> S::V {
        pad(s, s.chunks(self).1)
    }
}

impl Factor for u64 {
    #[inline(always)]
    fn len(self) -> Option<usize> {
        None
    }

    #[inline(always)]
    fn load<S: Simd, const U: usize>(self, s: S, _: usize) -> [S::V; U] {
        [s.splat(self); U]
    }

    #[inline(always)]
    fn rest<S: Simd>(self, s: S) -> S::V {
        s.splat(self)
    }
}

/// outs[o] (+)= sum_i a_i b_io over `count` terms (a_i, [b_i0, ...]): values below 2^50, at most 2^10 terms.
#[inline(always)]
pub(super) fn sum_products<'a, S: Simd, A: Factor, const OUT: usize>(
    l: Lanes<S>,
    count: usize,
    term: impl Fn(usize) -> (A, [&'a [u64]; OUT]),
    mut outs: [&mut [u64]; OUT],
    add: bool,
) {
    assert!(count <= LONG, "{count} terms");
    let len = outs[0].len();
    assert!(outs.iter().all(|out| out.len() == len));
    for i in 0..count {
        let (a, b) = term(i);
        assert!(a.len().is_none_or(|n| n == len) && b.iter().all(|b| b.len() == len));
    }
    let vectors = len / S::LANES;
    let mut at = 0;
    while at + BLOCK <= vectors {
        block::<S, A, OUT, BLOCK>(l, count, &term, &mut outs, add, at);
        at += BLOCK;
    }
    while at < vectors {
        block::<S, A, OUT, 1>(l, count, &term, &mut outs, add, at);
        at += 1;
    }
    if len % S::LANES != 0 {
        for (o, out) in outs.iter_mut().enumerate() {
            let rest = l.s.chunks_mut(out).1;
            let mut sum = if add {
                l.widen(pad(l.s, rest))
            } else {
                l.wide_zero()
            };
            for i in 0..count {
                let (a, b) = term(i);
                sum = l.wide_mul_add(sum, a.rest(l.s), b[o].rest(l.s));
            }
            unpad(l.s, rest, reduce(l, sum, count));
        }
    }
}

/// `U` vectors of every output, from vector `at` on.
#[inline(always)]
fn block<'a, S: Simd, A: Factor, const OUT: usize, const U: usize>(
    l: Lanes<S>,
    count: usize,
    term: &impl Fn(usize) -> (A, [&'a [u64]; OUT]),
    outs: &mut [&mut [u64]; OUT],
    add: bool,
    at: usize,
) {
    let s = l.s;
    let mut sums = [[l.wide_zero(); U]; OUT];
    if add {
        for (sums, out) in sums.iter_mut().zip(&*outs) {
            for (sum, chunk) in sums.iter_mut().zip(&s.chunks(out).0[at..at + U]) {
                *sum = l.widen(s.load(chunk));
            }
        }
    }
    for i in 0..count {
        let (a, b) = term(i);
        let a = a.load::<S, U>(s, at);
        for (sums, b) in sums.iter_mut().zip(b) {
            let b = b.load::<S, U>(s, at);
            for (k, sum) in sums.iter_mut().enumerate() {
                *sum = l.wide_mul_add(*sum, a[k], b[k]);
            }
        }
    }
    for (out, sum) in outs.iter_mut().zip(sums) {
        for (chunk, sum) in s.chunks_mut(out).0[at..at + U].iter_mut().zip(sum) {
            s.store(chunk, reduce(l, sum, count));
        }
    }
}

#[inline(always)]
fn reduce<S: Simd>(l: Lanes<S>, sum: Wide<S>, count: usize) -> S::V {
    if count <= SHORT {
        l.wide_reduce::<false>(sum)
    } else {
        l.wide_reduce::<true>(sum)
    }
}
