//! The butterflies of the transform, on lanes.
//!
//! Harvey's lazy butterflies [Har14] in passes of up to four layers, each of which reads and writes every element once.
//! Blocks go depth first, so that from some depth on all passes of a block hit the nearest cache, whatever its size.

use super::lanes::Lanes;
use super::simd::{Columns, Simd};
use super::twiddles::{Pass, Twiddles};

/// Whether moduli of this size transform with fewer reductions: 33 q <= 2^52, for up to 16 layers. The passes for them are
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
    let rows = twiddles.last_rows();
    for at in (0..a.len()).step_by(rows) {
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
        let block = &mut a[at..at + rows];
        match rows {
            2 => forward_within::<S, 2, SMALL>(l, twiddles, at, block),
            4 => forward_within::<S, 4, SMALL>(l, twiddles, at, block),
            _ => forward_within::<S, 8, SMALL>(l, twiddles, at, block),
        }
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
    let rows = twiddles.last_rows();
    for at in (0..a.len()).step_by(rows) {
        let block = &mut a[at..at + rows];
        match rows {
            2 => inverse_within::<S, 2>(l, twiddles, at, block),
            4 => inverse_within::<S, 4>(l, twiddles, at, block),
            _ => inverse_within::<S, 8>(l, twiddles, at, block),
        }
        // All blocks that end here, the smallest first.
        let (end, mut size) = (at + rows, 1);
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
        forward_layers::<S, R, SMALL>(l, roots, &mut v);
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
        inverse_layers::<S, R, SMALL>(l, roots, &mut v, whole);
        columns.store(l.s, i, v);
    }
}

type Roots<'a, const R: usize> = (&'a [u64; R], &'a [u64; R]);

/// The layers that pair whole vectors.
#[inline(always)]
fn forward_layers<S: Simd, const R: usize, const SMALL: bool>(
    l: &Lanes<S>,
    roots: Roots<R>,
    v: &mut [S::V; R],
) {
    forward_layer::<S, R, 8, SMALL>(l, roots, v);
    forward_layer::<S, R, 4, SMALL>(l, roots, v);
    forward_layer::<S, R, 2, SMALL>(l, roots, v);
    forward_layer::<S, R, 1, SMALL>(l, roots, v);
}

/// The layers that pair whole vectors, from [0, 2q) to [0, 2q), or to [0, q) if they are the last of all.
#[inline(always)]
fn inverse_layers<S: Simd, const R: usize, const SMALL: bool>(
    l: &Lanes<S>,
    roots: Roots<R>,
    v: &mut [S::V; R],
    whole: bool,
) {
    inverse_layer::<S, R, 1, SMALL>(l, roots, v, whole);
    inverse_layer::<S, R, 2, SMALL>(l, roots, v, whole);
    inverse_layer::<S, R, 4, SMALL>(l, roots, v, whole);
    inverse_layer::<S, R, 8, SMALL>(l, roots, v, whole);
    if SMALL && !whole {
        reduce_sums::<S, R, 3>(l, v);
        reduce_sums::<S, R, 2>(l, v);
        reduce_sums::<S, R, 1>(l, v);
        reduce_sums::<S, R, 0>(l, v);
    }
}

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

/// [0, 4q 2^k) to [0, 2q 2^k), for the vectors that were sums in more than k layers since they were last products.
#[inline(always)]
fn reduce_sums<S: Simd, const R: usize, const K: u32>(l: &Lanes<S>, v: &mut [S::V; R]) {
    let bound = l.s.shl(l.two_q, K);
    for x in v.iter_mut().take(R >> (K + 1)) {
        *x = l.s.reduce(*x, bound);
    }
}

/// The layers at distances below a vector, on a block of the last pass by R vectors from vector `at` on, to [0, q). Eight
/// vectors are four pairs, taken layer by layer: one pair alone would be a chain of dependent instructions longer than the
/// scheduler of the machine looks ahead.
#[inline(always)]
fn forward_within<S: Simd, const R: usize, const SMALL: bool>(
    l: &Lanes<S>,
    twiddles: &Twiddles,
    at: usize,
    block: &mut [S::Chunk],
) {
    for (i, rows) in block.chunks_exact_mut(R).enumerate() {
        let within = twiddles.within::<R>(at / R + i);
        let mut rows = Columns::<S, R>::new(rows);
        let mut v = rows.load(l.s, 0);
        forward_distance::<S, R, 4, SMALL>(l, within, &mut v);
        l.s.fence(&mut v);
        forward_distance::<S, R, 2, SMALL>(l, within, &mut v);
        l.s.fence(&mut v);
        forward_distance::<S, R, 1, SMALL>(l, within, &mut v);
        l.s.fence(&mut v);
        for k in (0..R).step_by(2) {
            let (x, y) = l.s.order(v[k], v[k + 1]);
            v[k] = reduce_forward::<S, SMALL>(l, x);
            v[k + 1] = reduce_forward::<S, SMALL>(l, y);
        }
        rows.store(l.s, 0, v);
    }
}

/// The mirror image of [`forward_within`], from [0, q) to [0, 2q).
#[inline(always)]
fn inverse_within<S: Simd, const R: usize>(
    l: &Lanes<S>,
    twiddles: &Twiddles,
    at: usize,
    block: &mut [S::Chunk],
) {
    for (i, rows) in block.chunks_exact_mut(R).enumerate() {
        let within = twiddles.within::<R>(at / R + i);
        let mut rows = Columns::<S, R>::new(rows);
        let mut v = rows.load(l.s, 0);
        for k in (0..R).step_by(2) {
            (v[k], v[k + 1]) = l.s.order(v[k], v[k + 1]);
        }
        l.s.fence(&mut v);
        inverse_distance::<S, R, 1>(l, within, &mut v);
        l.s.fence(&mut v);
        inverse_distance::<S, R, 2>(l, within, &mut v);
        l.s.fence(&mut v);
        inverse_distance::<S, R, 4>(l, within, &mut v);
        rows.store(l.s, 0, v);
    }
}

/// The layer at distance B < LANES, on each pair of vectors in a row.
#[inline(always)]
fn forward_distance<S: Simd, const R: usize, const B: usize, const SMALL: bool>(
    l: &Lanes<S>,
    within: &[u64],
    v: &mut [S::V; R],
) {
    if B >= S::LANES {
        return;
    }
    for i in (0..R).step_by(2) {
        let (x, y) = l.s.split::<B>(v[i], v[i + 1]);
        [v[i], v[i + 1]] =
            forward_butterfly::<S, SMALL>(l, [x, y], cyclic_roots::<S, R, B>(l.s, within, i / 2));
    }
}

/// The mirror image of [`forward_distance`].
#[inline(always)]
fn inverse_distance<S: Simd, const R: usize, const B: usize>(
    l: &Lanes<S>,
    within: &[u64],
    v: &mut [S::V; R],
) {
    if B >= S::LANES {
        return;
    }
    for i in (0..R).step_by(2) {
        let [x, y] = inverse_butterfly(
            l,
            [v[i], v[i + 1]],
            cyclic_roots::<S, R, B>(l.s, within, i / 2),
        );
        (v[i], v[i + 1]) = l.s.join::<B>(x, y);
    }
}

/// Roots and quotients for one of R / 2 pairs at distance B.
#[inline(always)]
fn cyclic_roots<S: Simd, const R: usize, const B: usize>(
    s: S,
    within: &[u64],
    pair: usize,
) -> (S::V, S::V) {
    let count = S::LANES / B;
    // Those at distances LANES / 2 to 2B come first.
    let before = R * (count - 2);
    let (w, w_shoup) = within[before + 2 * count * pair..][..2 * count].split_at(count);
    (s.load_cyclic::<B>(w), s.load_cyclic::<B>(w_shoup))
}
