//! The negacyclic number theoretic transform.

use super::lanes::Lanes;
use super::passes::{forward_on, inverse_on, is_small};
use super::simd::{Level, Scalar, simd};
use super::twiddles::Twiddles;
use super::{Modulus, kernels};

/// Roots of unity for the transform of Z_q[X]/(X^N + 1).
#[derive(Clone, Debug)]
pub struct NttTable {
    modulus: Modulus,
    log_n: u32,
    psi: u64,
    forward: Twiddles,
    inverse: Twiddles,
}

impl NttTable {
    /// `None` when q is not a prime = 1 mod 2N, or log_n is outside 3..=20.
    pub fn new(modulus: Modulus, log_n: u32) -> Option<NttTable> {
        let q = modulus.value();
        if !(3..=20).contains(&log_n) || q % (2 << log_n) != 1 || !modulus.is_prime_vartime() {
            return None;
        }
        let n = 1u64 << log_n;
        let psi = (2..q)
            .map(|g| modulus.pow_vartime(g, (q - 1) / (2 * n)))
            .find(|&psi| modulus.pow_vartime(psi, n) == q - 1)?;
        let lanes = lanes(1 << log_n, Level::current().lanes());
        let inverse_psi = modulus.inv_vartime(psi)?;
        Some(NttTable {
            modulus,
            log_n,
            psi,
            forward: Twiddles::new(&modulus, log_n, lanes, psi, 1),
            inverse: Twiddles::new(&modulus, log_n, lanes, inverse_psi, modulus.inv_vartime(n)?),
        })
    }

    /// The prime q.
    pub fn modulus(&self) -> &Modulus {
        &self.modulus
    }

    /// log2 of the ring degree N.
    pub fn log_n(&self) -> u32 {
        self.log_n
    }

    /// psi, the root of X^N + 1 behind slot 0.
    pub fn root(&self) -> u64 {
        self.psi
    }

    /// Coefficients to evaluations, in place, both in [0, q): slot i becomes a(psi^(2 brv(i) + 1)).
    pub fn forward(&self, a: &mut [u64]) {
        assert_eq!(a.len(), 1 << self.log_n);
        forward(&self.modulus, &self.forward, a);
    }

    /// The inverse of [`NttTable::forward`].
    pub fn inverse(&self, a: &mut [u64]) {
        assert_eq!(a.len(), 1 << self.log_n);
        inverse(&self.modulus, &self.inverse, a);
    }

    /// Reduces integers |c| < 2^62 mod q and transforms them: `out` gets the evaluations.
    pub fn forward_from_i64(&self, coeffs: &[i64], out: &mut [u64]) {
        kernels::reduce_i64_into(&self.modulus, coeffs, out);
        self.forward(out);
    }
}

/// Lanes of the vectors that transform n elements: the passes need two vectors.
fn lanes(n: usize, widest: usize) -> usize {
    if n < 2 * widest { 1 } else { widest }
}

simd! {
    fn forward(s, m: &Modulus, twiddles: &Twiddles, a: &mut [u64]) {
        if lanes(a.len(), S::LANES) == 1 {
            forward_on::<Scalar, false>(&Lanes::new(Scalar, m), twiddles, a);
        } else if is_small(m.value(), a.len().ilog2()) {
            forward_on::<S, true>(&Lanes::new(s, m), twiddles, a);
        } else {
            forward_on::<S, false>(&Lanes::new(s, m), twiddles, a);
        }
    }

    fn inverse(s, m: &Modulus, twiddles: &Twiddles, a: &mut [u64]) {
        if lanes(a.len(), S::LANES) == 1 {
            inverse_on::<Scalar, false>(&Lanes::new(Scalar, m), twiddles, a);
        } else if is_small(m.value(), a.len().ilog2()) {
            inverse_on::<S, true>(&Lanes::new(s, m), twiddles, a);
        } else {
            inverse_on::<S, false>(&Lanes::new(s, m), twiddles, a);
        }
    }
}
