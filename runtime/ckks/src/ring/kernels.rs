//! Element-wise operations and sums of products on residues.

use super::Modulus;

/// a += b.
pub fn add_assign(m: &Modulus, a: &mut [u64], b: &[u64]) {
    assert_eq!(a.len(), b.len());
    a.iter_mut().zip(b).for_each(|(x, y)| *x = m.add(*x, *y));
}

/// a -= b.
pub fn sub_assign(m: &Modulus, a: &mut [u64], b: &[u64]) {
    assert_eq!(a.len(), b.len());
    a.iter_mut().zip(b).for_each(|(x, y)| *x = m.sub(*x, *y));
}

/// a = -a.
pub fn neg_assign(m: &Modulus, a: &mut [u64]) {
    a.iter_mut().for_each(|x| *x = m.neg(*x));
}

/// out = a b.
pub fn mul(m: &Modulus, a: &[u64], b: &[u64], out: &mut [u64]) {
    assert!(a.len() == b.len() && a.len() == out.len());
    for (i, x) in out.iter_mut().enumerate() {
        *x = m.mul(a[i], b[i]);
    }
}

/// a *= b.
pub fn mul_assign(m: &Modulus, a: &mut [u64], b: &[u64]) {
    assert_eq!(a.len(), b.len());
    a.iter_mut().zip(b).for_each(|(x, y)| *x = m.mul(*x, *y));
}

/// acc += a b.
pub fn mul_add_assign(m: &Modulus, acc: &mut [u64], a: &[u64], b: &[u64]) {
    assert!(a.len() == b.len() && a.len() == acc.len());
    for (i, x) in acc.iter_mut().enumerate() {
        *x = m.add(*x, m.mul(a[i], b[i]));
    }
}

/// a *= s.
pub fn mul_scalar_assign(m: &Modulus, a: &mut [u64], s: u64) {
    a.iter_mut().for_each(|x| *x = m.mul(*x, s));
}

/// acc += s a.
pub fn mul_scalar_add_assign(m: &Modulus, acc: &mut [u64], a: &[u64], s: u64) {
    assert_eq!(acc.len(), a.len());
    acc.iter_mut()
        .zip(a)
        .for_each(|(x, y)| *x = m.add(*x, m.mul(*y, s)));
}

/// a = (a - b) s: the tail of a rescaling and of a division by P.
pub fn sub_mul_scalar(m: &Modulus, a: &mut [u64], b: &[u64], s: u64) {
    assert_eq!(a.len(), b.len());
    a.iter_mut()
        .zip(b)
        .for_each(|(x, y)| *x = m.mul(m.sub(*x, *y), s));
}

/// dst = src mod q, of any words.
pub fn reduce_into(m: &Modulus, src: &[u64], dst: &mut [u64]) {
    assert_eq!(src.len(), dst.len());
    dst.iter_mut()
        .zip(src)
        .for_each(|(x, y)| *x = m.reduce_u64(*y));
}

/// dst = the centred representative of src mod `m_src`, reduced mod `m_dst`.
pub fn centred_reduce_into(m_src: &Modulus, m_dst: &Modulus, src: &[u64], dst: &mut [u64]) {
    assert_eq!(src.len(), dst.len());
    dst.iter_mut()
        .zip(src)
        .for_each(|(x, y)| *x = m_dst.reduce_i64(m_src.centre(*y)));
}

/// out = sum_i a_i b_i, at most 2^10 terms; 0 for none.
pub fn dot(m: &Modulus, terms: &[(&[u64], &[u64])], out: &mut [u64]) {
    assert!(
        terms
            .iter()
            .all(|(a, b)| a.len() == out.len() && b.len() == out.len())
    );
    for (i, x) in out.iter_mut().enumerate() {
        let sum = terms
            .iter()
            .map(|(a, b)| u128::from(a[i]) * u128::from(b[i]))
            .sum();
        *x = m.reduce_u128(sum);
    }
}

/// out0 = sum_i s_i x_i and out1 = sum_i s_i y_i over the terms (s_i, x_i, y_i), at most 2^10.
pub fn dot_pair(
    m: &Modulus,
    terms: &[(&[u64], &[u64], &[u64])],
    out0: &mut [u64],
    out1: &mut [u64],
) {
    out0.fill(0);
    out1.fill(0);
    dot_pair_add(m, terms, out0, out1);
}

/// out0 += sum_i s_i x_i and out1 += sum_i s_i y_i over the terms (s_i, x_i, y_i), at most 2^10.
pub fn dot_pair_add(
    m: &Modulus,
    terms: &[(&[u64], &[u64], &[u64])],
    out0: &mut [u64],
    out1: &mut [u64],
) {
    for (s, x, y) in terms {
        mul_add_assign(m, out0, s, x);
        mul_add_assign(m, out1, s, y);
    }
}

/// out = sum_i s_i a_i with scalars s_i, at most 2^10 terms; the a_i may be residues of other moduli below 2^50.
pub fn dot_scalars(m: &Modulus, terms: &[(&[u64], u64)], out: &mut [u64]) {
    assert!(terms.iter().all(|(a, _)| a.len() == out.len()));
    for (i, x) in out.iter_mut().enumerate() {
        let sum = terms
            .iter()
            .map(|(a, s)| u128::from(a[i]) * u128::from(*s))
            .sum();
        *x = m.reduce_u128(sum);
    }
}
