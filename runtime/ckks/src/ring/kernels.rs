//! Element-wise operations and sums of products on residues in [0, q). Slices have equal lengths, of any size; vectors
//! that start at a multiple of 64 bytes are fastest.

use super::Modulus;
use super::lanes::Lanes;
use super::products::sum_products;
use super::simd::{Simd, as_words, simd};

/// A modulus above which words reduce in the lanes.
const LEAST_LANE_MODULUS: u64 = 1 << 12;

simd! {
    /// a += b.
    pub fn add_assign(s, m: &Modulus, a: &mut [u64], b: &[u64]) {
        let l = Lanes::new(s, m);
        update(s, a, b, #[inline(always)] |x, y| l.add(x, y));
    }

    /// a -= b.
    pub fn sub_assign(s, m: &Modulus, a: &mut [u64], b: &[u64]) {
        let l = Lanes::new(s, m);
        update(s, a, b, #[inline(always)] |x, y| l.sub(x, y));
    }

    /// a = -a.
    pub fn neg_assign(s, m: &Modulus, a: &mut [u64]) {
        let l = Lanes::new(s, m);
        let zero = s.splat(0);
        each(s, a, #[inline(always)] |x| l.sub(zero, x));
    }

    /// out = a b.
    pub fn mul(s, m: &Modulus, a: &[u64], b: &[u64], out: &mut [u64]) {
        let l = Lanes::new(s, m);
        update2(s, out, a, b, #[inline(always)] |_, x, y| l.mul(x, y));
    }

    /// a *= b.
    pub fn mul_assign(s, m: &Modulus, a: &mut [u64], b: &[u64]) {
        let l = Lanes::new(s, m);
        update(s, a, b, #[inline(always)] |x, y| l.mul(x, y));
    }

    /// acc += a b.
    pub fn mul_add_assign(s, m: &Modulus, acc: &mut [u64], a: &[u64], b: &[u64]) {
        let l = Lanes::new(s, m);
        update2(s, acc, a, b, #[inline(always)] |z, x, y| l.add(z, l.mul(x, y)));
    }

    /// a *= w, a residue.
    pub fn mul_scalar_assign(s, m: &Modulus, a: &mut [u64], w: u64) {
        let l = Lanes::new(s, m);
        let (w, w_shoup) = (s.splat(w), s.splat(m.shoup(w)));
        each(s, a, #[inline(always)] |x| l.reduce_from_2q(l.mul_shoup_lazy(x, w, w_shoup)));
    }

    /// acc += w a, with a residue w.
    pub fn mul_scalar_add_assign(s, m: &Modulus, acc: &mut [u64], a: &[u64], w: u64) {
        let l = Lanes::new(s, m);
        let (w, w_shoup) = (s.splat(w), s.splat(m.shoup(w)));
        update(s, acc, a, #[inline(always)] |z, x| {
            l.reduce_from_4q(s.add(z, l.mul_shoup_lazy(x, w, w_shoup)))
        });
    }

    /// a = (a - b) w, with a residue w: the tail of a rescaling and of a division by P.
    pub fn sub_mul_scalar(s, m: &Modulus, a: &mut [u64], b: &[u64], w: u64) {
        let l = Lanes::new(s, m);
        let (w, w_shoup) = (s.splat(w), s.splat(m.shoup(w)));
        update(s, a, b, #[inline(always)] |x, y| {
            let difference = s.sub(s.add(x, l.q), y);
            l.reduce_from_2q(l.mul_shoup_lazy(difference, w, w_shoup))
        });
    }

    /// Of values `low` and the values `high` that mirror them (the last belongs to the first of `low`): sums
    /// low + mirrored high, and differences (low - mirrored high) w for a residue w, each in the order of `low` and
    /// mirrored. Lengths are multiples of 8.
    pub fn unfold(
        s, m: &Modulus, w: u64, low: &[u64], high: &[u64], sums: [&mut [u64]; 2], differences: [&mut [u64]; 2],
    ) {
        let (len, l) = (low.len(), Lanes::new(s, m));
        assert!(len.is_multiple_of(8) && high.len() == len);
        assert!(sums.iter().chain(&differences).all(|out| out.len() == len));
        let (w, w_shoup) = (s.splat(w), s.splat(m.shoup(w)));
        let [sums, mirrored_sums] = sums.map(|out| s.chunks_mut(out).0);
        let [differences, mirrored_differences] = differences.map(|out| s.chunks_mut(out).0);
        let (low, high) = (s.chunks(low).0, s.chunks(high).0);
        for (i, x) in low.iter().enumerate() {
            let j = low.len() - 1 - i;
            let (x, y) = (s.load(x), s.reverse(s.load(&high[j])));
            let sum = l.add(x, y);
            let difference = s.sub(s.add(x, l.q), y);
            let difference = l.reduce_from_2q(l.mul_shoup_lazy(difference, w, w_shoup));
            s.store(&mut sums[i], sum);
            s.store(&mut differences[i], difference);
            s.store(&mut mirrored_sums[j], s.reverse(sum));
            s.store(&mut mirrored_differences[j], s.reverse(difference));
        }
    }

    /// dst = src mod q, of any words.
    pub fn reduce_into(s, m: &Modulus, src: &[u64], dst: &mut [u64]) {
        if m.value() < LEAST_LANE_MODULUS {
            assert_eq!(dst.len(), src.len());
            return dst.iter_mut().zip(src).for_each(|(x, y)| *x = m.reduce_u64(*y));
        }
        let l = Lanes::new(s, m);
        update(s, dst, src, #[inline(always)] |_, x| l.reduce_from_4q(l.reduce_word_lazy(x)));
    }

    /// dst = src mod q, of any signed integers.
    pub fn reduce_i64_into(s, m: &Modulus, src: &[i64], dst: &mut [u64]) {
        if m.value() < LEAST_LANE_MODULUS {
            assert_eq!(dst.len(), src.len());
            return dst.iter_mut().zip(src).for_each(|(x, y)| *x = m.reduce_i64(*y));
        }
        // c + 2^63 is a word.
        let l = Lanes::new(s, m);
        let (top, minus_top) = (s.splat(1 << 63), s.splat(m.neg(m.reduce_u64(1 << 63))));
        update(s, dst, as_words(src), #[inline(always)] |_, x| {
            l.reduce_from_4q(s.add(l.reduce_word_lazy(s.xor(x, top)), minus_top))
        });
    }

    /// dst = the centred representative of src mod `m_src`, reduced mod `m_dst`.
    pub fn centred_reduce_into(s, m_src: &Modulus, m_dst: &Modulus, src: &[u64], dst: &mut [u64]) {
        if m_dst.value() < LEAST_LANE_MODULUS {
            assert_eq!(dst.len(), src.len());
            return dst.iter_mut().zip(src).for_each(|(x, y)| *x = m_dst.reduce_i64(m_src.centre(*y)));
        }
        // x + h mod m_src for h = floor(m_src / 2) is the representative plus h, in [0, m_src).
        let (from, to) = (Lanes::new(s, m_src), Lanes::new(s, m_dst));
        let half = m_src.value() / 2;
        let (half, minus_half) = (s.splat(half), s.splat(m_dst.neg(m_dst.reduce_u64(half))));
        update(s, dst, src, #[inline(always)] |_, x| {
            let shifted = to.reduce_word_lazy(from.add(x, half));
            to.reduce_from_4q(s.add(shifted, minus_half))
        });
    }
}

simd! {
    /// out = sum_i a_i b_i, at most 2^10 terms; 0 for none.
    pub fn dot(s, m: &Modulus, terms: &[(&[u64], &[u64])], out: &mut [u64]) {
        let l = Lanes::new(s, m);
        sum_products(l, terms.len(), #[inline(always)] |i: usize| (terms[i].0, [terms[i].1]), [out], false);
    }

    /// out0 = sum_i s_i x_i and out1 = sum_i s_i y_i over the terms (s_i, x_i, y_i), at most 2^10.
    pub fn dot_pair(
        s, m: &Modulus, terms: &[(&[u64], &[u64], &[u64])], out0: &mut [u64], out1: &mut [u64],
    ) {
        let l = Lanes::new(s, m);
        sum_products(l, terms.len(), #[inline(always)] |i: usize| (terms[i].0, [terms[i].1, terms[i].2]), [out0, out1], false);
    }

    /// out0 += sum_i s_i x_i and out1 += sum_i s_i y_i over the terms (s_i, x_i, y_i), at most 2^10.
    pub fn dot_pair_add(
        s, m: &Modulus, terms: &[(&[u64], &[u64], &[u64])], out0: &mut [u64], out1: &mut [u64],
    ) {
        let l = Lanes::new(s, m);
        sum_products(l, terms.len(), #[inline(always)] |i: usize| (terms[i].0, [terms[i].1, terms[i].2]), [out0, out1], true);
    }

    /// out = sum_i w_i a_i with scalars w_i in [0, q), at most 2^10 terms; the a_i are anything below 2^50, so also
    /// residues of other moduli.
    pub fn dot_scalars(s, m: &Modulus, terms: &[(&[u64], u64)], out: &mut [u64]) {
        let l = Lanes::new(s, m);
        sum_products(l, terms.len(), #[inline(always)] |i: usize| (terms[i].1, [terms[i].0]), [out], false);
    }
}

/// a = f(a).
#[inline(always)]
pub(super) fn each<S: Simd>(s: S, a: &mut [u64], f: impl Fn(S::V) -> S::V) {
    let (chunks, rest) = s.chunks_mut(a);
    for x in chunks {
        s.store(x, f(s.load(x)));
    }
    if !rest.is_empty() {
        unpad(s, rest, f(pad(s, rest)));
    }
}

/// a = f(a, b).
#[inline(always)]
fn update<S: Simd>(s: S, a: &mut [u64], b: &[u64], f: impl Fn(S::V, S::V) -> S::V) {
    assert_eq!(a.len(), b.len());
    let ((a, a_rest), (b, b_rest)) = (s.chunks_mut(a), s.chunks(b));
    for (x, y) in a.iter_mut().zip(b) {
        s.store(x, f(s.load(x), s.load(y)));
    }
    if !a_rest.is_empty() {
        unpad(s, a_rest, f(pad(s, a_rest), pad(s, b_rest)));
    }
}

/// a = f(a, b, c).
#[inline(always)]
fn update2<S: Simd>(
    s: S,
    a: &mut [u64],
    b: &[u64],
    c: &[u64],
    f: impl Fn(S::V, S::V, S::V) -> S::V,
) {
    assert!(a.len() == b.len() && a.len() == c.len());
    let ((a, a_rest), (b, b_rest), (c, c_rest)) = (s.chunks_mut(a), s.chunks(b), s.chunks(c));
    for ((x, y), z) in a.iter_mut().zip(b).zip(c) {
        s.store(x, f(s.load(x), s.load(y), s.load(z)));
    }
    if !a_rest.is_empty() {
        unpad(s, a_rest, f(pad(s, a_rest), pad(s, b_rest), pad(s, c_rest)));
    }
}

/// Less than a vector, filled up with zeros.
#[inline(always)]
pub(super) fn pad<S: Simd>(s: S, rest: &[u64]) -> S::V {
    let mut chunk = S::Chunk::default();
    chunk.as_mut()[..rest.len()].copy_from_slice(rest);
    s.load(&chunk)
}

/// The first lanes, to less than a vector.
#[inline(always)]
pub(super) fn unpad<S: Simd>(s: S, rest: &mut [u64], x: S::V) {
    let mut chunk = S::Chunk::default();
    s.store(&mut chunk, x);
    rest.copy_from_slice(&chunk.as_ref()[..rest.len()]);
}
