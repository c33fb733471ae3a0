//! The negacyclic number theoretic transform.

use super::Modulus;

/// Roots of unity for the transform of Z_q[X]/(X^N + 1).
#[derive(Clone, Debug)]
pub struct NttTable {
    modulus: Modulus,
    log_n: u32,
    /// psi^brv(i)
    roots: Vec<u64>,
    /// psi^-brv(i)
    inverse_roots: Vec<u64>,
    n_inverse: u64,
}

impl NttTable {
    /// `None` when q is not a prime = 1 mod 2N, or N is below 2^3.
    pub fn new(modulus: Modulus, log_n: u32) -> Option<NttTable> {
        let (q, two_n) = (modulus.value(), 2u64 << log_n);
        if log_n < 3 || q % two_n != 1 || !modulus.is_prime_vartime() {
            return None;
        }
        let psi = (2..q)
            .map(|g| modulus.pow_vartime(g, (q - 1) / two_n))
            .find(|&psi| modulus.pow_vartime(psi, two_n / 2) == q - 1)?;
        let powers = |base: u64| {
            let mut table = vec![0; 1 << log_n];
            let mut power = 1;
            for i in 0..1usize << log_n {
                table[i.reverse_bits() >> (usize::BITS - log_n)] = power;
                power = modulus.mul(power, base);
            }
            table
        };
        Some(NttTable {
            modulus,
            log_n,
            roots: powers(psi),
            inverse_roots: powers(modulus.inv_vartime(psi)?),
            n_inverse: modulus.inv_vartime(two_n / 2 % q)?,
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

    /// The root psi of X^N + 1 behind slot 0.
    pub fn root(&self) -> u64 {
        self.roots[1 << (self.log_n - 1)]
    }

    /// Coefficients to evaluations, in place, both in [0, q): slot i becomes a(psi^(2 brv(i) + 1)).
    pub fn forward(&self, a: &mut [u64]) {
        let m = &self.modulus;
        let mut half = a.len() / 2;
        while half > 0 {
            for (node, block) in (a.len() / (2 * half)..).zip(a.chunks_exact_mut(2 * half)) {
                let (low, high) = block.split_at_mut(half);
                for (x, y) in low.iter_mut().zip(high) {
                    let t = m.mul(*y, self.roots[node]);
                    (*x, *y) = (m.add(*x, t), m.sub(*x, t));
                }
            }
            half /= 2;
        }
    }

    /// The inverse of [`NttTable::forward`].
    pub fn inverse(&self, a: &mut [u64]) {
        let m = &self.modulus;
        let mut half = 1;
        while half < a.len() {
            for (node, block) in (a.len() / (2 * half)..).zip(a.chunks_exact_mut(2 * half)) {
                let (low, high) = block.split_at_mut(half);
                for (x, y) in low.iter_mut().zip(high) {
                    let difference = m.sub(*x, *y);
                    (*x, *y) = (m.add(*x, *y), m.mul(difference, self.inverse_roots[node]));
                }
            }
            half *= 2;
        }
        for x in a {
            *x = m.mul(*x, self.n_inverse);
        }
    }

    /// Reduces integers |c| < 2^62 mod q and transforms them: `out` gets the evaluations.
    pub fn forward_from_i64(&self, coeffs: &[i64], out: &mut [u64]) {
        assert_eq!(coeffs.len(), out.len());
        for (x, c) in out.iter_mut().zip(coeffs) {
            *x = self.modulus.reduce_i64(*c);
        }
        self.forward(out);
    }
}
