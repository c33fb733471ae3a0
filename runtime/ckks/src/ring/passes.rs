//! The butterflies of the transform, on lanes.
//!
//! Harvey's lazy butterflies [Har14] in passes of up to four layers, each of which reads and writes every element once.
//! Blocks go depth first, so that from some depth on all passes of a block hit the nearest cache, whatever its size.

use super::lanes::Lanes;
use super::simd::{Columns, Simd};
use super::twiddles::{Pass, Twiddles};

/// Whether moduli of this size transform with less reductions: 33 q <= 2^52, for up to 16 layers. The passes for them are
/// those with `SMALL`.
pub(super) fn is_small(q: u64, log_n: u32) -> bool {
    log_n <= 16 && 33 * q <= 1 << 52
}

/// Forward butterfly: x, y in [0, 4q) to x + w y, x - w y in [0, 4q); `SMALL`: from [0, b) to [0, b + 2q) where b <= 31q,
/// which is all that 16 layers need.
/// sub, min; then madd52hi, madd52lo, madd52lo, and; then add, sub, add.
#[inline(always)]
fn forward_butterfly<S: Simd, const SMALL: bool>(
    l: &Lanes<S>,
    [x, y]: [S::V; 2],
    (w, w_shoup): (S::V, S::V),
) -> [S::V; 2] {
    let x = if SMALL { x } else { l.s.reduce(x, l.two_q) };
    let t = l.mul_shoup_lazy(y, w, w_shoup);
    [l.s.add(x, t), l.s.sub(l.s.add(x, l.two_q), t)]
}

/// Inverse butterfly: x, y in [0, 2q) to x + y, w (x - y) in [0, 2q).
#[inline(always)]
fn inverse_butterfly<S: Simd>(l: &Lanes<S>, [x, y]: [S::V; 2], w: (S::V, S::V)) -> [S::V; 2] {
    let [sum, product] = inverse_butterfly_lazy(l, [x, y], w, l.two_q);
    [l.s.reduce(sum, l.two_q), product]
}

/// Inverse butterfly without a reduction: x, y in [0, b) to x + y in [0, 2b) and w (x - y) in [0, 2q), for 2b <= 2^52.
#[inline(always)]
fn inverse_butterfly_lazy<S: Simd>(
    l: &Lanes<S>,
    [x, y]: [S::V; 2],
    (w, w_shoup): (S::V, S::V),
    b: S::V,
) -> [S::V; 2] {
    let difference = l.s.sub(l.s.add(x, b), y);
    [l.s.add(x, y), l.mul_shoup_lazy(difference, w, w_shoup)]
}

/// [0, q) to [0, q).
#[inline(always)]
pub(super) fn forward_on<S: Simd, const SMALL: bool>(
    l: &Lanes<S>,
    twiddles: &Twiddles,
    a: &mut [u64],
) {
    assert_eq!(
        twiddles.lanes(),
        S::LANES,
        "tables for another instruction set"
    );
    let a = l.s.chunks_mut(a).0;
    let group = 1 << twiddles.passes.last().map_or(0, |pass| pass.log_rows);
    for at in (0..a.len()).step_by(group) {
        // All blocks that start here, the largest first.
        let mut size = a.len();
        for pass in &twiddles.passes {
            if at & (size - 1) == 0 {
                let (block, index) = (&mut a[at..at + size], at >> size.trailing_zeros());
                match pass.log_rows {
                    1 => forward_columns::<S, 2, SMALL>(l, pass, index, block),
                    2 => forward_columns::<S, 4, SMALL>(l, pass, index, block),
                    3 => forward_columns::<S, 8, SMALL>(l, pass, index, block),
                    _ => forward_columns::<S, 16, SMALL>(l, pass, index, block),
                }
            }
            size >>= pass.log_rows;
        }
        forward_within::<S, SMALL>(
            l,
            twiddles.within(at / group, group),
            &mut a[at..at + group],
        );
    }
}

/// [0, q) to [0, q).
#[inline(always)]
pub(super) fn inverse_on<S: Simd, const SMALL: bool>(
    l: &Lanes<S>,
    twiddles: &Twiddles,
    a: &mut [u64],
) {
    assert_eq!(
        twiddles.lanes(),
        S::LANES,
        "tables for another instruction set"
    );
    let a = l.s.chunks_mut(a).0;
    let group = 1 << twiddles.passes.last().map_or(0, |pass| pass.log_rows);
    for at in (0..a.len()).step_by(group) {
        inverse_within(
            l,
            twiddles.within(at / group, group),
            &mut a[at..at + group],
        );
        // All blocks that end here, the smallest first.
        let (end, mut size) = (at + group, 1);
        for pass in twiddles.passes.iter().rev() {
            size <<= pass.log_rows;
            if end & (size - 1) != 0 {
                break;
            }
            let (block, index) = (&mut a[end - size..end], (end >> size.trailing_zeros()) - 1);
            match pass.log_rows {
                1 => inverse_columns::<S, 2, SMALL>(l, pass, index, block),
                2 => inverse_columns::<S, 4, SMALL>(l, pass, index, block),
                3 => inverse_columns::<S, 8, SMALL>(l, pass, index, block),
                _ => inverse_columns::<S, 16, SMALL>(l, pass, index, block),
            }
        }
    }
}

/// log2 R layers on block `index` of its size.
#[inline(always)]
fn forward_columns<S: Simd, const R: usize, const SMALL: bool>(
    l: &Lanes<S>,
    pass: &Pass,
    index: usize,
    block: &mut [S::Chunk],
) {
    let roots = pass.roots::<R>(index);
    let mut columns = Columns::<S, R>::new(block);
    for i in 0..columns.width() {
        let mut v = columns.load(l.s, i);
        forward_layer::<S, R, 8, SMALL>(l, roots, &mut v);
        forward_layer::<S, R, 4, SMALL>(l, roots, &mut v);
        forward_layer::<S, R, 2, SMALL>(l, roots, &mut v);
        forward_layer::<S, R, 1, SMALL>(l, roots, &mut v);
        columns.store(l.s, i, v);
    }
}

/// log2 R layers on block `index` of its size; the last layer of the whole also scales, and reduces to [0, q).
#[inline(always)]
fn inverse_columns<S: Simd, const R: usize, const SMALL: bool>(
    l: &Lanes<S>,
    pass: &Pass,
    index: usize,
    block: &mut [S::Chunk],
) {
    let roots = pass.roots::<R>(index);
    let whole = pass.is_whole();
    let mut columns = Columns::<S, R>::new(block);
    for i in 0..columns.width() {
        let mut v = columns.load(l.s, i);
        inverse_layer::<S, R, 1, SMALL>(l, roots, &mut v, whole);
        inverse_layer::<S, R, 2, SMALL>(l, roots, &mut v, whole);
        inverse_layer::<S, R, 4, SMALL>(l, roots, &mut v, whole);
        inverse_layer::<S, R, 8, SMALL>(l, roots, &mut v, whole);
        if SMALL && !whole {
            reduce_sums::<S, R, 3>(l, &mut v);
            reduce_sums::<S, R, 2>(l, &mut v);
            reduce_sums::<S, R, 1>(l, &mut v);
            reduce_sums::<S, R, 0>(l, &mut v);
        }
        columns.store(l.s, i, v);
    }
}

/// [0, 4q 2^k) to [0, 2q 2^k), for the vectors that were sums in more than k layers since they were last products.
#[inline(always)]
fn reduce_sums<S: Simd, const R: usize, const K: u32>(l: &Lanes<S>, v: &mut [S::V; R]) {
    let bound = l.s.shl(l.two_q, K);
    for x in v.iter_mut().take(R >> (K + 1)) {
        *x = l.s.reduce(*x, bound);
    }
}

type Roots<'a, const R: usize> = (&'a [u64; R], &'a [u64; R]);

/// The layer that pairs vectors at distance HALF.
#[inline(always)]
fn forward_layer<S: Simd, const R: usize, const HALF: usize, const SMALL: bool>(
    l: &Lanes<S>,
    roots: Roots<R>,
    v: &mut [S::V; R],
) {
    if R <= HALF {
        return;
    }
    let blocks = R / (2 * HALF);
    for b in 0..blocks {
        let w = splat_root(l.s, roots, blocks + b);
        for i in 2 * HALF * b..2 * HALF * b + HALF {
            [v[i], v[i + HALF]] = forward_butterfly::<S, SMALL>(l, [v[i], v[i + HALF]], w);
        }
    }
}

#[inline(always)]
fn inverse_layer<S: Simd, const R: usize, const HALF: usize, const SMALL: bool>(
    l: &Lanes<S>,
    roots: Roots<R>,
    v: &mut [S::V; R],
    whole: bool,
) {
    if R <= HALF {
        return;
    }
    let blocks = R / (2 * HALF);
    // `SMALL`: the inputs of the layer are below 2q HALF <= 16q.
    let bound = if SMALL {
        l.s.shl(l.two_q, HALF.trailing_zeros())
    } else {
        l.two_q
    };
    for b in 0..blocks {
        for i in 2 * HALF * b..2 * HALF * b + HALF {
            let p = [v[i], v[i + HALF]];
            [v[i], v[i + HALF]] = if whole && blocks == 1 {
                // s (x + y) and s w (x - y): the table has s at 0 and s w at 1.
                let (scale, [sum, product]) = (
                    splat_root(l.s, roots, 0),
                    inverse_butterfly_lazy(l, p, splat_root(l.s, roots, 1), bound),
                );
                [
                    l.reduce_from_2q(l.mul_shoup_lazy(sum, scale.0, scale.1)),
                    l.reduce_from_2q(product),
                ]
            } else if SMALL {
                inverse_butterfly_lazy(l, p, splat_root(l.s, roots, blocks + b), bound)
            } else {
                inverse_butterfly(l, p, splat_root(l.s, roots, blocks + b))
            };
        }
    }
}

#[inline(always)]
fn splat_root<S: Simd, const R: usize>(s: S, roots: Roots<R>, node: usize) -> (S::V, S::V) {
    (s.splat(roots.0[node]), s.splat(roots.1[node]))
}

/// What the last forward butterflies leave, to [0, q).
#[inline(always)]
fn reduce_forward<S: Simd, const SMALL: bool>(l: &Lanes<S>, x: S::V) -> S::V {
    if SMALL {
        l.reduce_from_2_52(x)
    } else {
        l.reduce_from_4q(x)
    }
}

/// Pairs of vectors that the layers below take at a time: one alone is a chain of dependent instructions longer than
/// the scheduler looks ahead (12 cycles for a butterfly, against 8 for four pairs).
const PAIRS: usize = 4;

/// The layers at distances below a vector, on a group of the last pass, to [0, q).
#[inline(always)]
fn forward_within<S: Simd, const SMALL: bool>(l: &Lanes<S>, roots: &[u64], group: &mut [S::Chunk]) {
    let pairs = group.len() / 2;
    let (fours, rest) = group.as_chunks_mut::<{ 2 * PAIRS }>();
    for (i, four) in fours.iter_mut().enumerate() {
        forward_pairs::<S, PAIRS, SMALL>(l, roots, pairs, PAIRS * i, four);
    }
    for (i, pair) in rest.as_chunks_mut::<2>().0.iter_mut().enumerate() {
        forward_pairs::<S, 1, SMALL>(l, roots, pairs, PAIRS * fours.len() + i, pair);
    }
}

/// The layers at distances below a vector, on a group of the last pass, to [0, 2q).
#[inline(always)]
fn inverse_within<S: Simd>(l: &Lanes<S>, roots: &[u64], group: &mut [S::Chunk]) {
    let pairs = group.len() / 2;
    let (fours, rest) = group.as_chunks_mut::<{ 2 * PAIRS }>();
    for (i, four) in fours.iter_mut().enumerate() {
        inverse_pairs::<S, PAIRS>(l, roots, pairs, PAIRS * i, four);
    }
    for (i, pair) in rest.as_chunks_mut::<2>().0.iter_mut().enumerate() {
        inverse_pairs::<S, 1>(l, roots, pairs, PAIRS * fours.len() + i, pair);
    }
}

/// `P` pairs of a group of `pairs`, from pair `first` on.
#[inline(always)]
fn forward_pairs<S: Simd, const P: usize, const SMALL: bool>(
    l: &Lanes<S>,
    roots: &[u64],
    pairs: usize,
    first: usize,
    chunks: &mut [S::Chunk],
) {
    let s = l.s;
    let mut v = [[s.splat(0); 2]; P];
    for (p, chunk) in v.iter_mut().zip(chunks.as_chunks::<2>().0) {
        *p = [s.load(&chunk[0]), s.load(&chunk[1])];
    }
    forward_distance::<S, P, 4, SMALL>(l, roots, pairs, first, &mut v);
    forward_distance::<S, P, 2, SMALL>(l, roots, pairs, first, &mut v);
    forward_distance::<S, P, 1, SMALL>(l, roots, pairs, first, &mut v);
    for (p, chunk) in v.iter().zip(chunks.as_chunks_mut::<2>().0) {
        let (x, y) = s.interleave(p[0], p[1]);
        s.store(&mut chunk[0], reduce_forward::<S, SMALL>(l, x));
        s.store(&mut chunk[1], reduce_forward::<S, SMALL>(l, y));
    }
}

#[inline(always)]
fn inverse_pairs<S: Simd, const P: usize>(
    l: &Lanes<S>,
    roots: &[u64],
    pairs: usize,
    first: usize,
    chunks: &mut [S::Chunk],
) {
    let s = l.s;
    let mut v = [[s.splat(0); 2]; P];
    for (p, chunk) in v.iter_mut().zip(chunks.as_chunks::<2>().0) {
        *p = s.deinterleave(s.load(&chunk[0]), s.load(&chunk[1])).into();
    }
    inverse_distance::<S, P, 1>(l, roots, pairs, first, &mut v);
    inverse_distance::<S, P, 2>(l, roots, pairs, first, &mut v);
    inverse_distance::<S, P, 4>(l, roots, pairs, first, &mut v);
    for (p, chunk) in v.iter().zip(chunks.as_chunks_mut::<2>().0) {
        s.store(&mut chunk[0], p[0]);
        s.store(&mut chunk[1], p[1]);
    }
}

/// The layer at distance B on pairs of vectors in a row. Partners at distance 2B lie in the same lanes of the two before
/// it (for the largest B they lie in order), and those at distance B after it.
#[inline(always)]
fn forward_distance<S: Simd, const P: usize, const B: usize, const SMALL: bool>(
    l: &Lanes<S>,
    roots: &[u64],
    pairs: usize,
    first: usize,
    v: &mut [[S::V; 2]; P],
) {
    if B >= S::LANES {
        return;
    }
    for (i, p) in v.iter_mut().enumerate() {
        let (x, y) = l.s.transpose::<B>(p[0], p[1]);
        *p = forward_butterfly::<S, SMALL>(
            l,
            [x, y],
            repeated::<S, B>(l.s, roots, pairs, first + i),
        );
    }
}

/// The mirror image of [`forward_distance`].
#[inline(always)]
fn inverse_distance<S: Simd, const P: usize, const B: usize>(
    l: &Lanes<S>,
    roots: &[u64],
    pairs: usize,
    first: usize,
    v: &mut [[S::V; 2]; P],
) {
    if B >= S::LANES {
        return;
    }
    for (i, p) in v.iter_mut().enumerate() {
        let [x, y] = inverse_butterfly(l, *p, repeated::<S, B>(l.s, roots, pairs, first + i));
        *p = l.s.transpose::<B>(x, y).into();
    }
}

/// Roots and quotients for pair i of a group at distance B, each B times.
#[inline(always)]
fn repeated<S: Simd, const B: usize>(s: S, roots: &[u64], pairs: usize, i: usize) -> (S::V, S::V) {
    let per_pair = S::LANES / B;
    // The roots at distances LANES / 2 to 2B come first.
    let before = 2 * pairs * (per_pair - 2);
    let (w, w_shoup) = roots[before + 2 * per_pair * i..][..2 * per_pair].split_at(per_pair);
    (s.load_repeated::<B>(w), s.load_repeated::<B>(w_shoup))
}
