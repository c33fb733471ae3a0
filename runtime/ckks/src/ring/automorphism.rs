//! The Galois automorphisms X -> X^g of Z_q[X]/(X^N + 1), g odd.

use super::Modulus;

/// X -> X^g on evaluations in the order of [`super::NttTable::forward`]: a permutation of the slots.
#[derive(Clone, Debug)]
pub struct NttPermutation {
    log_n: u32,
    galois: u64,
    source: Vec<u32>,
}

impl NttPermutation {
    /// For an odd g, taken mod 2N.
    pub fn new(log_n: u32, galois: u64) -> Self {
        assert!(galois % 2 == 1, "Galois element {galois} is even");
        let mask = (2usize << log_n) - 1;
        let brv = |i: usize| i.reverse_bits() >> (usize::BITS - log_n);
        // (sigma a)(psi^e) = a(psi^(g e))
        let source = (0..1usize << log_n)
            .map(|i| {
                let exponent = (2 * brv(i) + 1).wrapping_mul(galois as usize) & mask;
                brv(exponent >> 1) as u32
            })
            .collect();
        NttPermutation {
            log_n,
            galois: galois & mask as u64,
            source,
        }
    }

    /// `dst` = X -> X^g of `src`.
    pub fn apply(&self, src: &[u64], dst: &mut [u64]) {
        assert!(src.len() == self.source.len() && dst.len() == self.source.len());
        for (x, &from) in dst.iter_mut().zip(&self.source) {
            *x = src[from as usize];
        }
    }

    /// X -> X^(1/g).
    pub fn inverse(&self) -> Self {
        // Newton: each step doubles the number of correct low bits, g g = 1 mod 8.
        let g = self.galois;
        let inverse = (0..5).fold(g, |x, _| {
            x.wrapping_mul(2u64.wrapping_sub(g.wrapping_mul(x)))
        });
        NttPermutation::new(self.log_n, inverse)
    }
}

/// X -> X^g on coefficients, g odd: `dst` = `src`(X^g).
pub fn automorphism_coeffs(m: &Modulus, galois: u64, src: &[u64], dst: &mut [u64]) {
    let n = src.len();
    assert!(n.is_power_of_two() && dst.len() == n && galois % 2 == 1);
    for (i, &x) in src.iter().enumerate() {
        let exponent = i.wrapping_mul(galois as usize) & (2 * n - 1);
        dst[exponent & (n - 1)] = if exponent < n { x } else { m.neg(x) };
    }
}
