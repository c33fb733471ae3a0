//! Arithmetic on ciphertexts.

use crate::ciphertext::Ciphertext;
use crate::keys::{EvaluationKeys, SwitchingKey};
use crate::poly::{Evaluations, Limbs};
use crate::ring::{Modulus, kernels};
use crate::{Complex64, Context, Error};
use rayon::prelude::*;
use std::sync::Arc;

/// Relative difference of scales that additions accept: far below the noise.
const SCALE_TOLERANCE: f64 = 1e-9;

/// Evaluates on ciphertexts with public keys. Cheap to clone.
#[derive(Clone)]
pub struct Evaluator {
    context: Arc<Context>,
    keys: Arc<EvaluationKeys>,
}

/// A ciphertext of degree 2, before relinearisation: c0 + c1 s + c2 s^2.
pub(crate) struct Product {
    pub halves: [Evaluations; 3],
    pub scale: f64,
}

impl Evaluator {
    /// An evaluator with these keys.
    pub fn new(context: Arc<Context>, keys: Arc<EvaluationKeys>) -> Self {
        Self { context, keys }
    }

    /// The parameters and tables.
    pub fn context(&self) -> &Arc<Context> {
        &self.context
    }

    /// The keys.
    pub fn keys(&self) -> &EvaluationKeys {
        &self.keys
    }

    /// Sum of two ciphertexts of equal scale, at the lower of their levels.
    ///
    /// # Errors
    /// When the scales differ.
    pub fn add(&self, x: &Ciphertext, y: &Ciphertext) -> Result<Ciphertext, Error> {
        same_scale("add", x.scale, y.scale)?;
        let mut out = x.clone();
        out.drop_to(y.level());
        self.zip(&mut out.c0, &y.c0, kernels::add_assign);
        self.zip(&mut out.c1, &y.c1, kernels::add_assign);
        Ok(out)
    }

    /// Difference of two ciphertexts of equal scale, at the lower of their levels.
    ///
    /// # Errors
    /// When the scales differ.
    pub fn sub(&self, x: &Ciphertext, y: &Ciphertext) -> Result<Ciphertext, Error> {
        same_scale("sub", x.scale, y.scale)?;
        let mut out = x.clone();
        out.drop_to(y.level());
        self.zip(&mut out.c0, &y.c0, kernels::sub_assign);
        self.zip(&mut out.c1, &y.c1, kernels::sub_assign);
        Ok(out)
    }

    /// Adds one real number per slot, encoded at the ciphertext's scale.
    ///
    /// # Errors
    /// When there are not N/2 values, or they do not fit the encoding.
    pub fn add_plain(&self, x: &mut Ciphertext, values: &[f64]) -> Result<(), Error> {
        let values: Vec<Complex64> = values.iter().map(|&v| v.into()).collect();
        let integers = self.context.embedding().encode(&values, x.scale)?;
        let plain = self.context.lift(&integers, x.level(), 0);
        self.zip(&mut x.c0, &plain, kernels::add_assign);
        Ok(())
    }

    /// Adds the same real number to every slot, exactly.
    pub fn add_const(&self, x: &mut Ciphertext, value: f64) {
        self.add_integer(&mut x.c0, (value * x.scale).round() as i128);
    }

    /// Adds an integer to every slot of an unscaled half.
    pub(crate) fn add_integer(&self, half: &mut Evaluations, integer: i128) {
        let basis = self.context.basis(half.0.count() - 1, 0);
        half.0.par_iter_mut().zip(basis).for_each(|(limb, table)| {
            let m = table.modulus();
            let residue = m.reduce_i128(integer);
            limb.iter_mut().for_each(|x| *x = m.add(*x, residue));
        });
    }

    /// Multiplies by a real constant and rescales, so that the result has scale `scale` exactly.
    ///
    /// # Errors
    /// At level 0.
    pub fn mul_const(&self, x: &Ciphertext, factor: f64, scale: f64) -> Result<Ciphertext, Error> {
        needs_level("mul_const", x.level(), 1)?;
        let integer =
            (factor * scale * self.context.q(x.level()).value() as f64 / x.scale).round() as i128;
        let mut out = x.clone();
        for half in [&mut out.c0, &mut out.c1] {
            self.scale_half(half, integer);
        }
        self.rescale(out).map(|mut out| {
            out.scale = scale;
            out
        })
    }

    fn scale_half(&self, half: &mut Evaluations, integer: i128) {
        let basis = self.context.basis(half.0.count() - 1, 0);
        half.0.par_iter_mut().zip(basis).for_each(|(limb, table)| {
            kernels::mul_scalar_assign(table.modulus(), limb, table.modulus().reduce_i128(integer));
        });
    }

    /// Multiplies by i in every slot: by X^(N/2), exactly and for free.
    pub fn mul_i(&self, x: &mut Ciphertext) {
        let basis = self.context.basis(x.level(), 0);
        for half in [&mut x.c0, &mut x.c1] {
            half.0.par_iter_mut().zip(&basis).for_each(|(limb, table)| {
                // psi^(N/2 (2j + 1)) = +-i alternates with the parity of j, the top bit of the slot's index.
                let m = table.modulus();
                let i = m.pow_vartime(table.root(), limb.len() as u64 / 2);
                let (low, high) = limb.split_at_mut(limb.len() / 2);
                kernels::mul_scalar_assign(m, low, i);
                kernels::mul_scalar_assign(m, high, m.neg(i));
            });
        }
    }

    /// Divides by the top prime, rounding: one level down.
    ///
    /// # Errors
    /// At level 0.
    pub fn rescale(&self, x: Ciphertext) -> Result<Ciphertext, Error> {
        let level = x.level();
        needs_level("rescale", level, 1)?;
        let scale = x.scale / self.context.q(level).value() as f64;
        let halves = [x.c0.0, x.c1.0];
        let [c0, c1] = self.context.divide_both(halves, level, 1, 0);
        Ok(Ciphertext::new(c0, c1, scale))
    }

    /// Product with relinearisation and rescale, at one below the lower of the two levels.
    ///
    /// # Errors
    /// At level 0, or without a relinearisation key of that level.
    pub fn mul(&self, x: &Ciphertext, y: &Ciphertext) -> Result<Ciphertext, Error> {
        self.relinearise_rescale(self.tensor(x, y))
    }

    /// Square with relinearisation and rescale.
    ///
    /// # Errors
    /// As [`Evaluator::mul`].
    pub fn square(&self, x: &Ciphertext) -> Result<Ciphertext, Error> {
        self.mul(x, x)
    }

    /// 2 x^2 - 1, one level down.
    ///
    /// # Errors
    /// As [`Evaluator::mul`].
    pub fn double_angle(&self, x: &Ciphertext) -> Result<Ciphertext, Error> {
        let mut product = self.tensor(x, x);
        self.double(&mut product);
        self.add_integer(&mut product.halves[0], -(product.scale.round() as i128));
        self.relinearise_rescale(product)
    }

    /// Doubles a product in place.
    pub(crate) fn double(&self, product: &mut Product) {
        let basis = self.context.basis(product.halves[0].0.count() - 1, 0);
        for half in &mut product.halves {
            half.0.par_iter_mut().zip(&basis).for_each(|(limb, table)| {
                kernels::mul_scalar_assign(table.modulus(), limb, 2);
            });
        }
    }

    /// The product at the lower of the two levels, of degree 2.
    pub(crate) fn tensor(&self, x: &Ciphertext, y: &Ciphertext) -> Product {
        let level = x.level().min(y.level());
        let basis = self.context.basis(level, 0);
        let mut out = [(); 3].map(|()| Limbs::dirty(self.context.n(), level + 1));
        let [d0, d1, d2] = &mut out;
        d0.par_iter_mut()
            .zip(d1.par_iter_mut())
            .zip(d2.par_iter_mut())
            .zip(basis)
            .enumerate()
            .for_each(|(i, (((d0, d1), d2), table))| {
                let m = table.modulus();
                let [x0, x1, y0, y1] = [&x.c0, &x.c1, &y.c0, &y.c1].map(|half| half.0.limb(i));
                kernels::mul(m, x0, y0, d0);
                kernels::dot(m, &[(x0, y1), (x1, y0)], d1);
                kernels::mul(m, x1, y1, d2);
            });
        Product {
            halves: out.map(Evaluations),
            scale: x.scale * y.scale,
        }
    }

    /// Back to degree 1, one level down: P and the top prime are divided away in one rounding.
    pub(crate) fn relinearise_rescale(&self, product: Product) -> Result<Ciphertext, Error> {
        let [d0, d1, d2] = product.halves;
        let level = d0.0.count() - 1;
        needs_level("relinearise", level, 1)?;
        let key = self.key_at("relinearisation", self.keys.relinearisation.as_ref(), level)?;
        let specials = key.shape().specials;
        let digits = self.context.decompose(&d2, level, specials);
        let [mut u0, mut u1] = self.context.key_product(&digits, key, level);
        drop(digits);
        self.context.add_raised(&mut u0, &d0, specials);
        self.context.add_raised(&mut u1, &d1, specials);
        let [c0, c1] = self.context.divide_both([u0, u1], level, 1, specials);
        Ok(Ciphertext::new(
            c0,
            c1,
            product.scale / self.context.q(level).value() as f64,
        ))
    }

    /// Rotates the N/2 slots to the left: slot s takes slot s + steps.
    ///
    /// # Errors
    /// Without the rotation key for `steps` at this level.
    pub fn rotate(&self, x: &Ciphertext, steps: usize) -> Result<Ciphertext, Error> {
        let steps = steps % self.context.slots();
        if steps == 0 {
            return Ok(x.clone());
        }
        let key = self.rotation_key(steps, x.level())?;
        Ok(self.automorphism(x, key, self.context.rotation_element(steps)))
    }

    /// Complex conjugate in every slot.
    ///
    /// # Errors
    /// Without a conjugation key of this level.
    pub fn conjugate(&self, x: &Ciphertext) -> Result<Ciphertext, Error> {
        let key = self.key_at("conjugation", self.keys.conjugation.as_ref(), x.level())?;
        Ok(self.automorphism(x, key, self.context.conjugation_element()))
    }

    fn automorphism(&self, x: &Ciphertext, key: &SwitchingKey, galois: u64) -> Ciphertext {
        let (level, specials) = (x.level(), key.shape().specials);
        let digits = self.context.decompose(&x.c1, level, specials);
        let [mut u0, u1] = self.context.key_product(&digits, key, level);
        self.context.add_raised(&mut u0, &x.c0, specials);
        let [c0, c1] = self
            .context
            .divide_both([u0, u1], level, 0, specials)
            .map(|c| self.permute(&c, galois));
        Ciphertext::new(c0, c1, x.scale)
    }

    /// X -> X^galois on evaluations.
    pub(crate) fn permute(&self, x: &Evaluations, galois: u64) -> Evaluations {
        let permutation = self.context.permutation(galois);
        let mut out = Limbs::dirty(self.context.n(), x.0.count());
        out.par_iter_mut()
            .enumerate()
            .for_each(|(i, limb)| permutation.apply(x.0.limb(i), limb));
        Evaluations(out)
    }

    /// The rotation key for `steps`, good at `level`.
    pub(crate) fn rotation_key(&self, steps: usize, level: usize) -> Result<&SwitchingKey, Error> {
        self.key_at(
            &format!("rotation by {steps}"),
            self.keys.rotations.get(&steps),
            level,
        )
    }

    fn key_at<'k>(
        &self,
        name: &str,
        key: Option<&'k SwitchingKey>,
        level: usize,
    ) -> Result<&'k SwitchingKey, Error> {
        key.filter(|key| key.shape().level >= level)
            .ok_or_else(|| Error::MissingKey(format!("{name} at level {level}")))
    }

    /// x <- f(x, y) limb by limb, over the limbs of x.
    pub(crate) fn zip(
        &self,
        x: &mut Evaluations,
        y: &Evaluations,
        f: fn(&Modulus, &mut [u64], &[u64]),
    ) {
        let basis = self.context.basis(x.0.count() - 1, 0);
        x.0.par_iter_mut()
            .zip(basis)
            .enumerate()
            .for_each(|(i, (limb, table))| f(table.modulus(), limb, y.0.limb(i)));
    }
}

pub(crate) fn needs_level(operation: &'static str, got: usize, least: usize) -> Result<(), Error> {
    if got >= least {
        return Ok(());
    }
    Err(Error::Level {
        operation,
        expected: format!("at least level {least}"),
        got,
    })
}

pub(crate) fn same_scale(operation: &'static str, left: f64, right: f64) -> Result<(), Error> {
    if (left / right - 1.0).abs() <= SCALE_TOLERANCE {
        return Ok(());
    }
    Err(Error::Scale {
        operation,
        left: left.log2(),
        right: right.log2(),
    })
}
