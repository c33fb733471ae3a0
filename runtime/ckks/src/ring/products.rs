//! Sums of products: key inner products, plaintext diagonals, base conversions. The sums of a block of vectors stay in
//! registers, as low and high 52 bits, over some terms and in the nearest cache over all; they are reduced once.

use super::kernels::{pad, unpad};
use super::lanes::{Lanes, Wide};
use super::simd::Simd;
use std::ops::Range;

/// Terms whose sum needs no reduction of its high half.
const SHORT: usize = 15;
/// Most terms of one sum.
const LONG: usize = 1 << 10;
/// Vectors of a block: with two outputs, their low and high sums take 16 of 32 registers.
const BLOCK: usize = 4;
/// Terms over which the sums of a block stay in registers: all, if they are few, else 4, or 2 with two outputs. The limbs
/// of a polynomial lie a power of two apart, hence all in one set of an 8-way cache, and more streams at once evict what
/// was fetched ahead (on Zen 4 and limbs of 2^15 words, 16 terms with two outputs: 0.52 ms, against 0.97 ms ungrouped; 5
/// terms: 69 us, against 61 us ungrouped).
const FEW: usize = 6;
const GROUP: usize = 4;
/// Vectors that one group of terms treats before the next group.
const TILE: usize = 32;

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
    let mut sums = [[l.wide_zero(); TILE]; OUT];
    let group = if count <= FEW { FEW } else { GROUP / OUT };
    for tile in (0..vectors).step_by(TILE) {
        let end = vectors.min(tile + TILE);
        // At least one group, to give the empty sum.
        for first in (0..count.max(1)).step_by(group) {
            let mut part = Group {
                terms: first..count.min(first + group),
                count,
                add,
                at: tile,
            };
            while part.at + BLOCK <= end {
                part.block::<S, A, OUT, BLOCK>(l, &term, &mut outs, &mut sums);
                part.at += BLOCK;
            }
            while part.at < end {
                part.block::<S, A, OUT, 1>(l, &term, &mut outs, &mut sums);
                part.at += 1;
            }
        }
    }
    if !len.is_multiple_of(S::LANES) {
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

/// Some terms of the sums of some vectors.
struct Group {
    terms: Range<usize>,
    /// Terms in all.
    count: usize,
    add: bool,
    /// The first vector.
    at: usize,
}

impl Group {
    /// `U` vectors of every output, with their `sums` so far, or, after the last term, to the output.
    #[inline(always)]
    fn block<'a, S: Simd, A: Factor, const OUT: usize, const U: usize>(
        &self,
        l: Lanes<S>,
        term: &impl Fn(usize) -> (A, [&'a [u64]; OUT]),
        outs: &mut [&mut [u64]; OUT],
        sums: &mut [[Wide<S>; TILE]; OUT],
    ) {
        let (s, at) = (l.s, self.at);
        let kept = at % TILE..at % TILE + U;
        let mut block = [[l.wide_zero(); U]; OUT];
        if self.terms.start > 0 {
            for (block, sums) in block.iter_mut().zip(&*sums) {
                block.copy_from_slice(&sums[kept.clone()]);
            }
        } else if self.add {
            for (block, out) in block.iter_mut().zip(&*outs) {
                for (sum, chunk) in block.iter_mut().zip(&s.chunks(out).0[at..at + U]) {
                    *sum = l.widen(s.load(chunk));
                }
            }
        }
        for i in self.terms.clone() {
            let (a, b) = term(i);
            let a = a.load::<S, U>(s, at);
            for (block, b) in block.iter_mut().zip(b) {
                let b = b.load::<S, U>(s, at);
                for (k, sum) in block.iter_mut().enumerate() {
                    *sum = l.wide_mul_add(*sum, a[k], b[k]);
                }
            }
        }
        if self.terms.end < self.count {
            for (block, sums) in block.iter().zip(sums) {
                sums[kept.clone()].copy_from_slice(block);
            }
        } else {
            for (block, out) in block.iter().zip(outs) {
                for (sum, chunk) in block.iter().zip(&mut s.chunks_mut(out).0[at..at + U]) {
                    s.store(chunk, reduce(l, *sum, self.count));
                }
            }
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
