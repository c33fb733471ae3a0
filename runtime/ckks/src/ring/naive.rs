//! The ring by its definitions, slowly: the oracle of the tests.

use super::Modulus;

/// a b mod X^N + 1.
pub fn negacyclic_product(m: &Modulus, a: &[u64], b: &[u64]) -> Vec<u64> {
    let n = a.len();
    let mut product = vec![0; n];
    for (i, &x) in a.iter().enumerate() {
        for (j, &y) in b.iter().enumerate() {
            let (k, term) = ((i + j) % n, m.mul(x, y));
            product[k] = if i + j < n {
                m.add(product[k], term)
            } else {
                m.sub(product[k], term)
            };
        }
    }
    product
}

/// a(x).
pub fn evaluate(m: &Modulus, a: &[u64], x: u64) -> u64 {
    a.iter()
        .rev()
        .fold(0, |value, &c| m.add(m.mul(value, x), c))
}

/// The evaluation a(psi^(2 brv(i) + 1)).
pub fn slot(m: &Modulus, psi: u64, a: &[u64], i: usize) -> u64 {
    let reversed = i.reverse_bits() >> (usize::BITS - a.len().trailing_zeros());
    evaluate(m, a, m.pow_vartime(psi, 2 * reversed as u64 + 1))
}
