//! Chebyshev polynomials on ciphertexts: depth-optimal Paterson-Stockmeyer with exact scales.
//!
//! The wanted (level, scale) of the result is fixed first and propagated backwards: in
//! p = quotient * T_g + remainder, all at level l before the rescale and at scale S, the quotient is
//! evaluated at level l + 1 for scale S / scale(T_g) after its own rescale. So every addition sees
//! equal scales, and no precision goes into corrections [BMTH21, section 3].

use crate::Error;
use crate::ciphertext::Ciphertext;
use crate::evaluator::{Evaluator, Product, needs_level};
use crate::poly::{Evaluations, Limbs};
use crate::ring::kernels;
use rayon::prelude::*;
use std::collections::BTreeMap;

/// Levels a series of `degree` consumes: the bit length of the degree.
pub fn depth(degree: usize) -> usize {
    (usize::BITS - degree.leading_zeros()) as usize
}

/// Powers T_k(x), computed when asked for.
struct Powers<'e> {
    evaluator: &'e Evaluator,
    known: BTreeMap<usize, Ciphertext>,
}

impl Powers<'_> {
    fn level_of(&self, k: usize) -> usize {
        self.known[&1].level() - k.next_power_of_two().trailing_zeros() as usize
    }

    /// T_{a+b} = 2 T_a T_b - T_{|a-b|}, with a the largest power of two below k.
    fn compute(&mut self, k: usize) -> Result<(), Error> {
        if self.known.contains_key(&k) {
            return Ok(());
        }
        let a = k.next_power_of_two() / 2;
        let b = k - a;
        self.compute(a)?;
        self.compute(b)?;
        if a != b {
            self.compute(a - b)?;
        }
        let evaluator = self.evaluator;
        let mut product = evaluator.tensor(&self.known[&a], &self.known[&b]);
        evaluator.double(&mut product);
        if a == b {
            evaluator.add_integer(&mut product.halves[0], -(product.scale.round() as i128));
        } else {
            let other = &self.known[&(a - b)];
            let factor = (product.scale / other.scale()).round() as i128;
            evaluator.add_multiple(&mut product, other, -factor);
        }
        let power = evaluator.relinearise_rescale(product)?;
        self.known.insert(k, power);
        Ok(())
    }
}

impl Evaluator {
    /// p(x) for p = sum_k c_k T_k, |x| <= 1, exactly at scale `scale`, [`depth`] levels down.
    ///
    /// # Errors
    /// When the degree is 0, there are not enough levels, or the relinearisation key is missing.
    pub fn chebyshev(
        &self,
        x: &Ciphertext,
        coefficients: &[f64],
        scale: f64,
    ) -> Result<Ciphertext, Error> {
        let degree = coefficients.iter().rposition(|&c| c != 0.0).unwrap_or(0);
        if degree == 0 {
            return Err(Error::Parameters(
                "a constant is no polynomial to evaluate".into(),
            ));
        }
        let depth = depth(degree);
        needs_level("chebyshev", x.level(), depth)?;
        let mut powers = Powers {
            evaluator: self,
            known: BTreeMap::from([(1, x.clone())]),
        };
        let level = x.level() + 1 - depth;
        let target = scale * self.context().q(level).value() as f64;
        let leaf = if degree < 32 { 4 } else { 8 };
        let product = self.series(&mut powers, &coefficients[..=degree], leaf, level, target)?;
        self.finish(product, scale)
    }

    /// An even series of x, as a series of half the degree in T_2(x).
    ///
    /// # Errors
    /// As [`Evaluator::chebyshev`].
    pub fn chebyshev_even(
        &self,
        x: &Ciphertext,
        coefficients: &[f64],
        scale: f64,
    ) -> Result<Ciphertext, Error> {
        let mut powers = Powers {
            evaluator: self,
            known: BTreeMap::from([(1, x.clone())]),
        };
        needs_level("chebyshev_even", x.level(), 2)?;
        powers.compute(2)?;
        let even: Vec<f64> = coefficients.iter().copied().step_by(2).collect();
        self.chebyshev(&powers.known[&2], &even, scale)
    }

    /// The sum before its rescale, at `level` and scale `scale`.
    fn series(
        &self,
        powers: &mut Powers<'_>,
        coefficients: &[f64],
        leaf: usize,
        level: usize,
        scale: f64,
    ) -> Result<Partial, Error> {
        let degree = coefficients.len() - 1;
        let reachable = (1..=degree).all(|k| coefficients[k] == 0.0 || powers.level_of(k) >= level);
        if degree < leaf && reachable {
            return self.leaf(powers, coefficients, level, scale);
        }
        let split = (degree + 1).next_power_of_two() / 2;
        let (quotient, remainder) = divide(coefficients, split);
        powers.compute(split)?;
        let giant_scale = powers.known[&split].scale();
        let q = self.context().q(level + 1).value() as f64;
        let quotient = self.series(powers, &quotient, leaf, level + 1, scale / giant_scale * q)?;
        let quotient = self.finish(quotient, scale / giant_scale)?;
        let mut product = self.tensor(&quotient, &powers.known[&split]);
        product.scale = scale;
        match self.series(powers, &remainder, leaf, level, scale)? {
            Partial::Linear(remainder) => {
                let [d0, d1, _] = &mut product.halves;
                self.zip(d0, &remainder.c0, kernels::add_assign);
                self.zip(d1, &remainder.c1, kernels::add_assign);
            }
            Partial::Quadratic(remainder) => {
                for (half, other) in product.halves.iter_mut().zip(&remainder.halves) {
                    self.zip(half, other, kernels::add_assign);
                }
            }
        }
        Ok(Partial::Quadratic(product))
    }

    /// sum_k c_k T_k by integer multiples of the powers.
    fn leaf(
        &self,
        powers: &mut Powers<'_>,
        coefficients: &[f64],
        level: usize,
        scale: f64,
    ) -> Result<Partial, Error> {
        let mut terms = Vec::new();
        for (k, &c) in coefficients
            .iter()
            .enumerate()
            .skip(1)
            .filter(|(_, c)| **c != 0.0)
        {
            powers.compute(k)?;
            terms.push((k, (c * scale / powers.known[&k].scale()).round() as i128));
        }
        let context = self.context();
        let basis = context.basis(level, 0);
        let combine = |half: fn(&Ciphertext) -> &Evaluations| {
            let mut out = Limbs::zeroed(context.n(), level + 1);
            out.par_iter_mut()
                .zip(&basis)
                .enumerate()
                .for_each(|(i, (limb, table))| {
                    let m = table.modulus();
                    let scaled: Vec<(&[u64], u64)> = terms
                        .iter()
                        .map(|&(k, integer)| {
                            (half(&powers.known[&k]).0.limb(i), m.reduce_i128(integer))
                        })
                        .collect();
                    if !scaled.is_empty() {
                        kernels::dot_scalars(m, &scaled, limb);
                    }
                });
            Evaluations(out)
        };
        let mut sum = Ciphertext::new(combine(|x| &x.c0), combine(|x| &x.c1), scale);
        self.add_const(&mut sum, coefficients[0]);
        Ok(Partial::Linear(sum))
    }

    fn finish(&self, partial: Partial, scale: f64) -> Result<Ciphertext, Error> {
        let mut out = match partial {
            Partial::Linear(sum) => self.rescale(sum)?,
            Partial::Quadratic(product) => self.relinearise_rescale(product)?,
        };
        out.set_scale(scale);
        Ok(out)
    }

    /// product += factor * other, read at the product's scale.
    fn add_multiple(&self, product: &mut Product, other: &Ciphertext, factor: i128) {
        let basis = self.context().basis(product.halves[0].0.count() - 1, 0);
        for (half, other) in product.halves.iter_mut().zip(other.halves()) {
            half.0
                .par_iter_mut()
                .zip(&basis)
                .enumerate()
                .for_each(|(i, (limb, table))| {
                    let m = table.modulus();
                    kernels::mul_scalar_add_assign(m, limb, other.0.limb(i), m.reduce_i128(factor));
                });
        }
    }
}

enum Partial {
    Linear(Ciphertext),
    Quadratic(Product),
}

/// p = quotient * T_split + remainder, for split <= degree < 2 split.
fn divide(coefficients: &[f64], split: usize) -> (Vec<f64>, Vec<f64>) {
    let (low, high) = coefficients.split_at(split);
    let mut remainder = low.to_vec();
    // T_{split + j} = 2 T_split T_j - T_{split - j}
    let mut quotient = vec![high[0]];
    for (j, &c) in high.iter().enumerate().skip(1) {
        quotient.push(2.0 * c);
        remainder[split - j] -= c;
    }
    (quotient, remainder)
}

/// p(x) in f64, by Clenshaw's recurrence.
pub fn chebyshev_value(coefficients: &[f64], x: f64) -> f64 {
    let (mut b1, mut b2) = (0.0, 0.0);
    for &c in coefficients.iter().skip(1).rev() {
        (b1, b2) = (c + 2.0 * x * b1 - b2, b1);
    }
    coefficients.first().copied().unwrap_or(0.0) + x * b1 - b2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn division_is_exact() {
        let p: Vec<f64> = (0..27).map(|k| ((k * 13 + 5) % 17) as f64 - 8.0).collect();
        let (quotient, remainder) = divide(&p, 16);
        let t16: Vec<f64> = (0..=16).map(|k| f64::from(u8::from(k == 16))).collect();
        for x in [-1.0, -0.3, 0.0, 0.7, 1.0] {
            let whole = chebyshev_value(&quotient, x) * chebyshev_value(&t16, x)
                + chebyshev_value(&remainder, x);
            assert!((whole - chebyshev_value(&p, x)).abs() < 1e-9);
        }
        assert_eq!([1, 2, 3, 15, 16, 31, 63].map(depth), [1, 2, 2, 4, 5, 5, 6]);
    }
}
