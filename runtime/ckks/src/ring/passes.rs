//! The butterflies of the transform, on lanes.
//!
//! Harvey's lazy butterflies [Har14] in passes of up to four layers, each pass reading and writing every element once.
//! The layers at distances below a vector come in one pass with the last four above it, in registers. Blocks go depth
//! first, so that from some depth on all passes of a block hit the nearest cache, whatever its size.

use super::lanes::Lanes;
use super::ntt::Roots;
use super::simd::Simd;

/// Layers of a pass: its 16 vectors leave 16 registers for constants and temporaries.
const PASS: u32 = 4;

/// Forward butterfly: x, y in [0, 4q) to x + w y, x - w y in [0, 4q).
/// sub, min; then madd52hi, madd52lo, madd52lo, and; then add, sub, add.
#[inline(always)]
fn forward_butterfly<S: Simd>(
    l: &Lanes<S>,
    [x, y]: [S::V; 2],
    (w, w_shoup): (S::V, S::V),
) -> [S::V; 2] {
    let x = l.s.reduce(x, l.two_q);
    let t = l.mul_shoup_lazy(y, w, w_shoup);
    [l.s.add(x, t), l.s.sub(l.s.add(x, l.two_q), t)]
}

/// Inverse butterfly: x, y in [0, 2q) to x + y, w (x - y) in [0, 2q).
#[inline(always)]
fn inverse_butterfly<S: Simd>(
    l: &Lanes<S>,
    [x, y]: [S::V; 2],
    (w, w_shoup): (S::V, S::V),
) -> [S::V; 2] {
    let difference = l.s.sub(l.s.add(x, l.two_q), y);
    [
        l.s.reduce(l.s.add(x, y), l.two_q),
        l.mul_shoup_lazy(difference, w, w_shoup),
    ]
}

/// The passes of more than a vector's distance before the last one: log2 of how many blocks each makes of one.
struct Plan {
    /// log2 of the vectors that the last forward pass takes into registers.
    last: u32,
    passes: [u32; 4],
    count: usize,
}

impl Plan {
    fn new(vectors: usize) -> Plan {
        let log = vectors.trailing_zeros();
        let last = log.min(PASS);
        let count = (log - last).div_ceil(PASS);
        let mut plan = Plan {
            last,
            passes: [0; 4],
            count: count as usize,
        };
        for i in 0..count {
            // As even as can be, the larger ones first.
            plan.passes[i as usize] = (log - last + count - 1 - i) / count;
        }
        plan
    }
}

/// [0, q) to [0, q), at least 2 vectors.
#[inline(always)]
pub(super) fn forward_on<S: Simd>(l: &Lanes<S>, roots: &Roots, a: &mut [u64]) {
    let a = l.s.chunks_mut(a).0;
    let n = a.len();
    let plan = Plan::new(a.len());
    let leaf = 1 << plan.last;
    for at in (0..a.len()).step_by(leaf) {
        // All blocks that start here, the largest first.
        let mut size = a.len();
        for &log in &plan.passes[..plan.count] {
            if at % size == 0 {
                let (block, node) = (&mut a[at..at + size], (n + at) / size);
                match log {
                    1 => forward_columns::<S, 2>(l, roots, node, block),
                    2 => forward_columns::<S, 4>(l, roots, node, block),
                    3 => forward_columns::<S, 8>(l, roots, node, block),
                    _ => forward_columns::<S, 16>(l, roots, node, block),
                }
            }
            size >>= log;
        }
        let (block, node) = (&mut a[at..at + leaf], (n + at) / leaf);
        match plan.last {
            0 => forward_last::<S, 1>(l, roots, node, block),
            1 => forward_last::<S, 2>(l, roots, node, block),
            2 => forward_last::<S, 4>(l, roots, node, block),
            3 => forward_last::<S, 8>(l, roots, node, block),
            _ => forward_last::<S, 16>(l, roots, node, block),
        }
    }
}

/// [0, q) to [0, q), at least 2 vectors.
#[inline(always)]
pub(super) fn inverse_on<S: Simd>(l: &Lanes<S>, roots: &Roots, a: &mut [u64]) {
    let a = l.s.chunks_mut(a).0;
    let n = a.len();
    let plan = Plan::new(a.len());
    let leaf = 1 << plan.last;
    for at in (0..a.len()).step_by(leaf) {
        let (block, node) = (&mut a[at..at + leaf], (n + at) / leaf);
        match plan.last {
            0 => inverse_first::<S, 1>(l, roots, node, block),
            1 => inverse_first::<S, 2>(l, roots, node, block),
            2 => inverse_first::<S, 4>(l, roots, node, block),
            3 => inverse_first::<S, 8>(l, roots, node, block),
            _ => inverse_first::<S, 16>(l, roots, node, block),
        }
        // All blocks that end here, the smallest first.
        let (end, mut size) = (at + leaf, leaf);
        for &log in plan.passes[..plan.count].iter().rev() {
            size <<= log;
            if end % size != 0 {
                break;
            }
            let (block, node) = (&mut a[end - size..end], (n + end) / size - 1);
            match log {
                1 => inverse_columns::<S, 2>(l, roots, node, block),
                2 => inverse_columns::<S, 4>(l, roots, node, block),
                3 => inverse_columns::<S, 8>(l, roots, node, block),
                _ => inverse_columns::<S, 16>(l, roots, node, block),
            }
        }
    }
}

/// log2 R layers on a block, on R vectors at equal distances at a time.
#[inline(always)]
fn forward_columns<S: Simd, const R: usize>(
    l: &Lanes<S>,
    roots: &Roots,
    node: usize,
    block: &mut [S::Chunk],
) {
    let stride = block.len() / R;
    for i in 0..stride {
        let mut v = load_column::<S, R>(l.s, block, i, stride);
        forward_layers(l, roots, node, &mut v);
        for (r, x) in v.into_iter().enumerate() {
            l.s.store(&mut block[i + r * stride], x);
        }
    }
}

#[inline(always)]
fn inverse_columns<S: Simd, const R: usize>(
    l: &Lanes<S>,
    roots: &Roots,
    node: usize,
    block: &mut [S::Chunk],
) {
    let stride = block.len() / R;
    for i in 0..stride {
        let mut v = load_column::<S, R>(l.s, block, i, stride);
        inverse_layers(l, roots, node, &mut v);
        for (r, x) in v.into_iter().enumerate() {
            l.s.store(&mut block[i + r * stride], x);
        }
    }
}

#[inline(always)]
fn load_column<S: Simd, const R: usize>(
    s: S,
    block: &[S::Chunk],
    i: usize,
    stride: usize,
) -> [S::V; R] {
    let mut v = [s.splat(0); R];
    for (r, x) in v.iter_mut().enumerate() {
        *x = s.load(&block[i + r * stride]);
    }
    v
}

/// The layers of R vectors, at distances R/2 to 1.
#[inline(always)]
fn forward_layers<S: Simd, const R: usize>(
    l: &Lanes<S>,
    roots: &Roots,
    node: usize,
    v: &mut [S::V; R],
) {
    forward_layer::<S, R, 8>(l, roots, node, v);
    forward_layer::<S, R, 4>(l, roots, node, v);
    forward_layer::<S, R, 2>(l, roots, node, v);
    forward_layer::<S, R, 1>(l, roots, node, v);
}

#[inline(always)]
fn inverse_layers<S: Simd, const R: usize>(
    l: &Lanes<S>,
    roots: &Roots,
    node: usize,
    v: &mut [S::V; R],
) {
    inverse_layer::<S, R, 1>(l, roots, node, v);
    inverse_layer::<S, R, 2>(l, roots, node, v);
    inverse_layer::<S, R, 4>(l, roots, node, v);
    inverse_layer::<S, R, 8>(l, roots, node, v);
}

#[inline(always)]
fn forward_layer<S: Simd, const R: usize, const HALF: usize>(
    l: &Lanes<S>,
    roots: &Roots,
    node: usize,
    v: &mut [S::V; R],
) {
    if R <= HALF {
        return;
    }
    for block in 0..R / (2 * HALF) {
        let w = splat_root(l.s, roots, node * (R / (2 * HALF)) + block);
        for i in 2 * HALF * block..2 * HALF * block + HALF {
            [v[i], v[i + HALF]] = forward_butterfly(l, [v[i], v[i + HALF]], w);
        }
    }
}

#[inline(always)]
fn inverse_layer<S: Simd, const R: usize, const HALF: usize>(
    l: &Lanes<S>,
    roots: &Roots,
    node: usize,
    v: &mut [S::V; R],
) {
    if R <= HALF {
        return;
    }
    if node == 1 && R == 2 * HALF {
        // The last layer of all: (x + y) / N, w (x - y) / N with w / N in the table, in [0, q).
        let (by_n, w) = (splat_root(l.s, roots, 0), splat_root(l.s, roots, 1));
        for i in 0..HALF {
            let (x, y) = (v[i], v[i + HALF]);
            let difference = l.s.sub(l.s.add(x, l.two_q), y);
            v[i] = l.reduce_from_2q(l.mul_shoup_lazy(l.s.add(x, y), by_n.0, by_n.1));
            v[i + HALF] = l.reduce_from_2q(l.mul_shoup_lazy(difference, w.0, w.1));
        }
        return;
    }
    for block in 0..R / (2 * HALF) {
        let w = splat_root(l.s, roots, node * (R / (2 * HALF)) + block);
        for i in 2 * HALF * block..2 * HALF * block + HALF {
            [v[i], v[i + HALF]] = inverse_butterfly(l, [v[i], v[i + HALF]], w);
        }
    }
}

#[inline(always)]
fn splat_root<S: Simd>(s: S, roots: &Roots, node: usize) -> (S::V, S::V) {
    (s.splat(roots.w[node]), s.splat(roots.w_shoup[node]))
}

/// All layers that are left on R vectors in a row, to [0, q).
#[inline(always)]
fn forward_last<S: Simd, const R: usize>(
    l: &Lanes<S>,
    roots: &Roots,
    node: usize,
    block: &mut [S::Chunk],
) {
    let s = l.s;
    let mut v = load_column::<S, R>(s, block, 0, 1);
    forward_layers(l, roots, node, &mut v);
    for (i, pair) in v.as_chunks_mut::<2>().0.iter_mut().enumerate() {
        // The tree's block of LANES elements where the pair starts.
        let node = node * R + 2 * i;
        let mut p = *pair;
        p = forward_within::<S, 4>(l, roots, node, p);
        p = forward_within::<S, 2>(l, roots, node, p);
        p = forward_within::<S, 1>(l, roots, node, p);
        *pair = s.interleave(p[0], p[1]).into();
    }
    for (chunk, x) in block.iter_mut().zip(v) {
        s.store(chunk, l.reduce_from_4q(x));
    }
}

/// The first layers of the inverse, on R vectors in a row.
#[inline(always)]
fn inverse_first<S: Simd, const R: usize>(
    l: &Lanes<S>,
    roots: &Roots,
    node: usize,
    block: &mut [S::Chunk],
) {
    let s = l.s;
    let mut v = load_column::<S, R>(s, block, 0, 1);
    for (i, pair) in v.as_chunks_mut::<2>().0.iter_mut().enumerate() {
        let node = node * R + 2 * i;
        let mut p = s.deinterleave(pair[0], pair[1]).into();
        p = inverse_within::<S, 1>(l, roots, node, p);
        p = inverse_within::<S, 2>(l, roots, node, p);
        p = inverse_within::<S, 4>(l, roots, node, p);
        *pair = p;
    }
    inverse_layers(l, roots, node, &mut v);
    for (chunk, x) in block.iter_mut().zip(v) {
        s.store(chunk, x);
    }
}

/// The layer at distance B < LANES, of two vectors in a row whose partners at distance 2B lie in the same lanes (or
/// which lie in order, for the largest B): it leaves those at distance B in the same lanes.
#[inline(always)]
fn forward_within<S: Simd, const B: usize>(
    l: &Lanes<S>,
    roots: &Roots,
    node: usize,
    p: [S::V; 2],
) -> [S::V; 2] {
    if B >= S::LANES {
        return p;
    }
    let (x, y) = l.s.transpose::<B>(p[0], p[1]);
    forward_butterfly(l, [x, y], repeat_roots::<S, B>(l.s, roots, node))
}

/// The mirror image of [`forward_within`].
#[inline(always)]
fn inverse_within<S: Simd, const B: usize>(
    l: &Lanes<S>,
    roots: &Roots,
    node: usize,
    p: [S::V; 2],
) -> [S::V; 2] {
    if B >= S::LANES {
        return p;
    }
    let [x, y] = inverse_butterfly(l, p, repeat_roots::<S, B>(l.s, roots, node));
    l.s.transpose::<B>(x, y).into()
}

#[inline(always)]
fn repeat_roots<S: Simd, const B: usize>(s: S, roots: &Roots, node: usize) -> (S::V, S::V) {
    let first = node * (S::LANES / (2 * B)).max(1);
    (
        s.load_repeated::<B>(&roots.w[first..]),
        s.load_repeated::<B>(&roots.w_shoup[first..]),
    )
}
