//! Hybrid key switching [HK20]: decompose, inner product with the key, divide by the special primes.

use crate::Context;
use crate::buffer::Buffer;
use crate::keys::SwitchingKey;
use crate::poly::{Evaluations, Limbs};
use crate::ring::{BaseConversion, kernels};
use rayon::prelude::*;

impl Context {
    /// The digits of `c` modulo q_0..q_level, each extended to all of q_0..q_level and `specials` special
    /// primes, in evaluation form.
    pub(crate) fn decompose(&self, c: &Evaluations, level: usize, specials: usize) -> Vec<Limbs> {
        let basis = self.basis(level, specials);
        let n = self.n();
        let mut coefficients = Limbs::dirty(n, level + 1);
        coefficients
            .par_iter_mut()
            .zip(&basis)
            .enumerate()
            .for_each(|(i, (limb, table))| {
                limb.copy_from_slice(c.0.limb(i));
                table.inverse(limb);
            });
        let prepared: Vec<_> = (0..self.digits(level))
            .into_par_iter()
            .map(|d| {
                let own = self.digit_range(d, level);
                let conversion = self.raise(d, level, specials);
                let src: Vec<&[u64]> = own.clone().map(|i| coefficients.limb(i)).collect();
                let (scaled, quotient) = prepare(&conversion, &src);
                (own, conversion, scaled, quotient)
            })
            .collect();
        let mut digits: Vec<Limbs> = prepared
            .iter()
            .map(|_| Limbs::dirty(n, basis.len()))
            .collect();
        let jobs: Vec<_> = digits
            .iter_mut()
            .zip(&prepared)
            .flat_map(|(digit, prepared)| {
                digit
                    .iter_mut()
                    .enumerate()
                    .map(move |(i, out)| (i, out, prepared))
            })
            .collect();
        jobs.into_par_iter()
            .for_each(|(i, out, (own, conversion, scaled, quotient))| {
                if own.contains(&i) {
                    out.copy_from_slice(c.0.limb(i));
                } else {
                    let target = if i < own.start { i } else { i - own.len() };
                    let scaled: Vec<&[u64]> = scaled.iter().collect();
                    conversion.convert_limb(target, &scaled, quotient, out);
                    basis[i].forward(out);
                }
            });
        digits
    }

    /// Sum over the digits of digit times key, both halves, modulo q_0..q_level and the special primes.
    pub(crate) fn key_product(
        &self,
        digits: &[Limbs],
        key: &SwitchingKey,
        level: usize,
    ) -> [Limbs; 2] {
        let specials = key.shape().specials;
        let basis = self.basis(level, specials);
        let mut out0 = Limbs::dirty(self.n(), basis.len());
        let mut out1 = Limbs::dirty(self.n(), basis.len());
        out0.par_iter_mut()
            .zip(out1.par_iter_mut())
            .zip(&basis)
            .enumerate()
            .for_each(|(i, ((o0, o1), table))| {
                self.key_product_limb(digits, key, level, i, table.modulus(), o0, o1);
            });
        [out0, out1]
    }

    /// One limb of [`Context::key_product`].
    pub(crate) fn key_product_limb(
        &self,
        digits: &[Limbs],
        key: &SwitchingKey,
        level: usize,
        i: usize,
        m: &crate::ring::Modulus,
        out0: &mut [u64],
        out1: &mut [u64],
    ) {
        let at = key.limb_index(i, level);
        let terms: Vec<_> = digits
            .iter()
            .zip(&key.digits)
            .map(|(digit, [b, a])| (digit.limb(i), b.limb(at), a.limb(at)))
            .collect();
        kernels::dot_pair(m, &terms, out0, out1);
    }

    /// Divides by the top `dropped` ciphertext primes and all `specials` special primes at once,
    /// rounding: key switching's mod-down and the rescale in one step.
    pub(crate) fn divide(
        &self,
        mut x: Limbs,
        level: usize,
        dropped: usize,
        specials: usize,
    ) -> Evaluations {
        debug_assert_eq!(x.count(), level + 1 + specials);
        let basis = self.basis(level, specials);
        let kept = level + 1 - dropped;
        if dropped + specials == 0 {
            return Evaluations(x);
        }
        let division = self.division(level, dropped, specials);
        let n = self.n();
        x.par_iter_mut()
            .zip(&basis)
            .skip(kept)
            .for_each(|(limb, table)| table.inverse(limb));
        let src: Vec<&[u64]> = (kept..x.count()).map(|i| x.limb(i)).collect();
        let (scaled, quotient) = prepare(&division.conversion, &src);
        let scaled: Vec<&[u64]> = scaled.iter().collect();
        x.truncate(kept);
        x.par_iter_mut()
            .zip(&basis)
            .enumerate()
            .for_each(|(i, (limb, table))| {
                let mut remainder = Buffer::dirty(n);
                division
                    .conversion
                    .convert_limb(i, &scaled, &quotient, &mut remainder);
                table.forward(&mut remainder);
                kernels::sub_mul_scalar(table.modulus(), limb, &remainder, division.inverse[i]);
            });
        Evaluations(x)
    }

    /// [`Context::divide`] of both halves, side by side.
    pub(crate) fn divide_both(
        &self,
        [x0, x1]: [Limbs; 2],
        level: usize,
        dropped: usize,
        specials: usize,
    ) -> [Evaluations; 2] {
        let (c0, c1) = rayon::join(
            || self.divide(x0, level, dropped, specials),
            || self.divide(x1, level, dropped, specials),
        );
        [c0, c1]
    }

    /// Adds P * c to the ciphertext limbs of `x`, P the product of the special primes.
    pub(crate) fn add_raised(&self, x: &mut Limbs, c: &Evaluations, specials: usize) {
        let basis = self.basis(x.count() - specials - 1, 0);
        x.par_iter_mut()
            .zip(&basis)
            .enumerate()
            .for_each(|(i, (limb, table))| {
                let m = table.modulus();
                kernels::mul_scalar_add_assign(
                    m,
                    limb,
                    c.0.limb(i),
                    self.special_product(m, specials),
                );
            });
    }

    /// The product of the special primes modulo `m`.
    pub fn special_product(&self, m: &crate::ring::Modulus, specials: usize) -> u64 {
        self.basis(0, specials)[1..]
            .iter()
            .fold(1, |x, p| m.mul(x, m.reduce_u64(p.modulus().value())))
    }
}

/// Words that one thread prepares at a time.
const PREPARED: usize = 1 << 12;

/// What a conversion of `src` needs for each target, in parallel: scaled limbs and the quotient.
fn prepare(conversion: &BaseConversion, src: &[&[u64]]) -> (Limbs, Buffer) {
    let n = src[0].len();
    let (mut scaled, mut quotient) = (Limbs::dirty(n, src.len()), Buffer::dirty(n));
    let mut jobs: Vec<(Vec<&mut [u64]>, &mut [u64])> = quotient
        .chunks_mut(PREPARED)
        .map(|quotient| (Vec::with_capacity(src.len()), quotient))
        .collect();
    for limb in scaled.iter_mut() {
        for ((parts, _), part) in jobs.iter_mut().zip(limb.chunks_mut(PREPARED)) {
            parts.push(part);
        }
    }
    jobs.into_par_iter()
        .enumerate()
        .for_each(|(i, (mut scaled, quotient))| {
            let range = i * PREPARED..i * PREPARED + quotient.len();
            let src: Vec<&[u64]> = src.iter().map(|limb| &limb[range.clone()]).collect();
            conversion.prepare(&src, &mut scaled, quotient);
        });
    (scaled, quotient)
}
