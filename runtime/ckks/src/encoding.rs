//! The canonical embedding: slots to polynomial coefficients and back [CKKS17].

use crate::poly::{Evaluations, Limbs};
use crate::{Context, Error};
use num_complex::Complex64;
use rayon::prelude::*;
use std::f64::consts::PI;

/// The special FFT of the 2N-th roots zeta^(5^j): slot j holds m(zeta^(5^j)).
pub struct Embedding {
    n: usize,
    /// For each half-length k = 1, 2, 4, ..: the k twiddles of that butterfly stage, at k..2k.
    roots: Vec<Complex64>,
}

/// Twiddles of the butterfly stage of half-length `half`: exp(2 pi i (5^j mod 8 half) / (8 half)).
pub fn stage_roots(half: usize) -> Vec<Complex64> {
    let order = 8 * half;
    let mut power = 1;
    (0..half)
        .map(|_| {
            let root = Complex64::from_polar(1.0, 2.0 * PI * power as f64 / order as f64);
            power = power * 5 % order;
            root
        })
        .collect()
}

impl Embedding {
    pub(crate) fn new(log_n: u32) -> Self {
        let n = 1 << log_n;
        let mut roots = vec![Complex64::ONE];
        let mut half = 1;
        while half < n / 2 {
            roots.extend(stage_roots(half));
            half *= 2;
        }
        Self { n, roots }
    }

    /// Slots, N/2.
    pub fn slots(&self) -> usize {
        self.n / 2
    }

    /// Coefficients, as complex pairs (k, k + N/2), to slots, in place.
    fn forward(&self, a: &mut [Complex64]) {
        bit_reverse(a);
        let mut half = 1;
        while half < a.len() {
            for block in a.chunks_exact_mut(2 * half) {
                let (low, high) = block.split_at_mut(half);
                for ((x, y), root) in low.iter_mut().zip(high).zip(&self.roots[half..]) {
                    let t = *y * root;
                    (*x, *y) = (*x + t, *x - t);
                }
            }
            half *= 2;
        }
    }

    /// The inverse of `forward`.
    fn inverse(&self, a: &mut [Complex64]) {
        let mut half = a.len() / 2;
        while half > 0 {
            for block in a.chunks_exact_mut(2 * half) {
                let (low, high) = block.split_at_mut(half);
                for ((x, y), root) in low.iter_mut().zip(high).zip(&self.roots[half..]) {
                    (*x, *y) = (*x + *y, (*x - *y) * root.conj());
                }
            }
            half /= 2;
        }
        bit_reverse(a);
        let factor = 1.0 / a.len() as f64;
        a.iter_mut().for_each(|x| *x *= factor);
    }

    /// The N integer coefficients of the polynomial whose slots are `values * scale`, rounded.
    ///
    /// # Errors
    /// When there are not N/2 values, or a coefficient does not fit 62 bits.
    pub fn encode(&self, values: &[Complex64], scale: f64) -> Result<Vec<i64>, Error> {
        let mut integers = vec![0; self.n];
        self.encode_in_place(&mut values.to_vec(), scale, &mut integers)?;
        Ok(integers)
    }

    /// As [`Embedding::encode`], without memory of its own: overwrites `values`.
    ///
    /// # Errors
    /// As [`Embedding::encode`].
    pub fn encode_in_place(
        &self,
        values: &mut [Complex64],
        scale: f64,
        integers: &mut [i64],
    ) -> Result<(), Error> {
        if values.len() != self.slots() {
            return Err(Error::Encoding(format!(
                "{} values for {} slots",
                values.len(),
                self.slots()
            )));
        }
        self.inverse(values);
        let limit = (1i64 << 62) as f64;
        let mut fit = true;
        let mut round = |x: f64| {
            // To the nearest: without SSE 4.1, `round` is a call.
            let y = x * scale;
            let y = y + 0.5f64.copysign(y);
            // NaN does not fit either.
            fit &= y.abs() < limit;
            y as i64
        };
        let (re, im) = integers.split_at_mut(values.len());
        for ((z, re), im) in values.iter().zip(re).zip(im) {
            (*re, *im) = (round(z.re), round(z.im));
        }
        if fit {
            Ok(())
        } else {
            let what = format!("a coefficient at scale {scale:e} does not fit 62 bits");
            Err(Error::Encoding(what))
        }
    }

    /// The slots of the polynomial with these real coefficients, divided by `scale`.
    pub fn decode(&self, coefficients: &[f64], scale: f64) -> Vec<Complex64> {
        let (re, im) = coefficients.split_at(self.slots());
        let mut a: Vec<_> = re
            .iter()
            .zip(im)
            .map(|(&re, &im)| Complex64::new(re, im) / scale)
            .collect();
        self.forward(&mut a);
        a
    }
}

fn bit_reverse(a: &mut [Complex64]) {
    let shift = usize::BITS - a.len().trailing_zeros();
    if a.len() > 1 {
        for i in 0..a.len() {
            let j = i.reverse_bits() >> shift;
            if i < j {
                a.swap(i, j);
            }
        }
    }
}

impl Context {
    /// Integer coefficients as residues at `level`, extended by `specials` special primes.
    pub fn lift(&self, coefficients: &[i64], level: usize, specials: usize) -> Evaluations {
        let basis = self.basis(level, specials);
        let mut limbs = Limbs::dirty(self.n(), basis.len());
        limbs
            .par_iter_mut()
            .zip(basis)
            .for_each(|(limb, table)| table.forward_from_i64(coefficients, limb));
        Evaluations(limbs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_values_at_the_roots() {
        let embedding = Embedding::new(4);
        let coefficients: Vec<f64> = (0..16)
            .map(|k| ((k * k * 7 + 3) % 11) as f64 - 5.0)
            .collect();
        let slots = embedding.decode(&coefficients, 1.0);
        let mut exponent = 1;
        for slot in &slots {
            let zeta = Complex64::from_polar(1.0, PI * exponent as f64 / 16.0);
            let direct: Complex64 = coefficients
                .iter()
                .rev()
                .fold(Complex64::ZERO, |x, &c| x * zeta + c);
            assert!((slot - direct).norm() < 1e-9, "{slot} {direct}");
            exponent = exponent * 5 % 32;
        }
        let back = embedding.encode(&slots, 1.0).unwrap();
        assert_eq!(
            back,
            coefficients.iter().map(|&c| c as i64).collect::<Vec<_>>()
        );
    }
}
