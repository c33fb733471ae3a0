//! The negacyclic number theoretic transform.

use super::lanes::Lanes;
use super::passes::{forward_on, inverse_on};
use super::simd::{AlignedWords, Scalar, simd};
use super::{Modulus, kernels};

/// Roots of unity for the transform of Z_q[X]/(X^N + 1), N in 2^3..=2^20.
#[derive(Clone, Debug)]
pub struct NttTable {
    modulus: Modulus,
    log_n: u32,
    forward: Roots,
    inverse: Roots,
}

/// Powers psi^brv(i), each with its Shoup quotient. Entry `node` belongs to the block `node` of the tree of butterflies:
/// the whole polynomial is block 1, and block k splits into 2k and 2k + 1.
#[derive(Clone, Debug)]
pub(super) struct Roots {
    pub w: AlignedWords,
    pub w_shoup: AlignedWords,
}

impl Roots {
    fn new(m: &Modulus, log_n: u32, psi: u64) -> Roots {
        let mut roots = Roots {
            w: AlignedWords::zeros(1 << log_n),
            w_shoup: AlignedWords::zeros(1 << log_n),
        };
        let mut power = 1;
        for i in 0..1usize << log_n {
            roots.set(m, i.reverse_bits() >> (usize::BITS - log_n), power);
            power = m.mul(power, psi);
        }
        roots
    }

    fn set(&mut self, m: &Modulus, node: usize, w: u64) {
        (self.w[node], self.w_shoup[node]) = (w, m.shoup(w));
    }
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
        // The last layer of the inverse also divides by N.
        let n_inverse = modulus.inv_vartime(n)?;
        let mut inverse = Roots::new(&modulus, log_n, modulus.inv_vartime(psi)?);
        inverse.set(&modulus, 1, modulus.mul(inverse.w[1], n_inverse));
        inverse.set(&modulus, 0, n_inverse);
        Some(NttTable {
            modulus,
            log_n,
            forward: Roots::new(&modulus, log_n, psi),
            inverse,
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
        self.forward.w[1 << (self.log_n - 1)]
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

simd! {
    fn forward(s, m: &Modulus, roots: &Roots, a: &mut [u64]) {
        if a.len() < 2 * S::LANES {
            forward_on(&Lanes::new(Scalar, m), roots, a);
        } else {
            forward_on(&Lanes::new(s, m), roots, a);
        }
    }

    fn inverse(s, m: &Modulus, roots: &Roots, a: &mut [u64]) {
        if a.len() < 2 * S::LANES {
            inverse_on(&Lanes::new(Scalar, m), roots, a);
        } else {
            inverse_on(&Lanes::new(s, m), roots, a);
        }
    }
}
