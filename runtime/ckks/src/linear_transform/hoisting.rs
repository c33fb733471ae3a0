//! The operand's side: one decomposition for all baby rotations of a part.

use crate::buffer::Buffer;
use crate::ciphertext::Ciphertext;
use crate::evaluator::{Evaluator, needs_level, same_scale};
use crate::keys::SwitchingKey;
use crate::poly::{Evaluations, Limbs};
use crate::ring::{NttPermutation, kernels};
use crate::{Context, Error};
use rayon::prelude::*;
use std::collections::BTreeSet;
use std::sync::Arc;

/// A rotation by key, ready to be applied limb by limb.
pub(super) struct Step<'k> {
    pub key: &'k SwitchingKey,
    pub permutation: Arc<NttPermutation>,
}

/// Baby rotations of the parts of a tensor, ready for the transforms of all parts of a result.
///
/// They take 16 N bytes for each rotation, part and limb: at N = 2^16 with 40 limbs and 7 special
/// primes 49 MB a rotation. For a result of one part [`Evaluator::transform_parts`] does without.
pub struct Rotated {
    pub(super) level: usize,
    pub(super) scale: f64,
    /// Special primes that the rotations are modulo: all, times P; or none.
    pub(super) specials: usize,
    /// (part, steps), sorted.
    pub(super) operands: Vec<(usize, usize)>,
    pub(super) halves: Vec<[Limbs; 2]>,
}

/// Parts and their digits, from which any limb of any rotation follows.
pub(super) struct Hoisted<'a> {
    context: &'a Context,
    level: usize,
    inputs: &'a [Ciphertext],
    /// For each part; empty for one that is not rotated.
    digits: Vec<Vec<Limbs>>,
    steps: Vec<(usize, Option<Step<'a>>)>,
}

impl Rotated {
    /// Level of the transforms it is for.
    pub fn level(&self) -> usize {
        self.level
    }
}

impl Evaluator {
    /// Rotates the parts `inputs` by all `babies`, (part, steps), for transforms at `level` that
    /// have `diagonals` diagonals in all: their number decides where hoisting stops.
    ///
    /// # Errors
    /// When a part is missing or below `level`, scales differ, or a rotation key is missing.
    pub fn prepare(
        &self,
        inputs: &[Ciphertext],
        babies: &BTreeSet<(usize, usize)>,
        level: usize,
        diagonals: usize,
    ) -> Result<Rotated, Error> {
        let operands: Vec<_> = babies.iter().copied().collect();
        let specials = self.hoisted_specials(&operands, level, diagonals);
        self.prepare_at(inputs, operands, level, specials)
    }

    pub(super) fn prepare_at(
        &self,
        inputs: &[Ciphertext],
        operands: Vec<(usize, usize)>,
        level: usize,
        specials: usize,
    ) -> Result<Rotated, Error> {
        let scale = common_scale(inputs)?;
        let hoisted = self.hoist(inputs, &operands, level)?;
        let halves = if specials == 0 {
            // Side by side, for there are few limbs.
            let rotations = (0..operands.len()).into_par_iter();
            rotations.map(|k| hoisted.divided(k)).collect()
        } else {
            hoisted.raised()
        };
        Ok(Rotated {
            level,
            scale,
            specials,
            operands,
            halves,
        })
    }

    /// Digits of the parts that `operands` rotate.
    pub(super) fn hoist<'a>(
        &'a self,
        inputs: &'a [Ciphertext],
        operands: &[(usize, usize)],
        level: usize,
    ) -> Result<Hoisted<'a>, Error> {
        let context = self.context();
        let steps = operands
            .iter()
            .map(|&(part, steps)| {
                let input = inputs.get(part).ok_or_else(|| {
                    Error::Parameters(format!(
                        "a transform of part {part}, the operand has {} parts",
                        inputs.len()
                    ))
                })?;
                needs_level("transform", input.level(), level)?;
                Ok((part, self.step(steps, level)?))
            })
            .collect::<Result<Vec<_>, Error>>()?;
        let digits = inputs
            .iter()
            .enumerate()
            .map(|(part, input)| {
                if steps.iter().any(|(p, step)| *p == part && step.is_some()) {
                    context.decompose(&input.c1, level, context.specials())
                } else {
                    Vec::new()
                }
            })
            .collect();
        Ok(Hoisted {
            context,
            level,
            inputs,
            digits,
            steps,
        })
    }

    /// The special primes that rotations and diagonals should keep: all, or none, where dividing
    /// every rotation by P takes less work than lifting the diagonals to the special primes and
    /// dividing every sum of a giant step. In transforms of a limb: a division takes one for each
    /// limb and special prime and most of one for converting each limb; a diagonal half of one, for
    /// two share a transform, and as much for its products.
    pub(super) fn hoisted_specials(
        &self,
        operands: &[(usize, usize)],
        level: usize,
        diagonals: usize,
    ) -> usize {
        let specials = self.context().specials();
        let division = specials + 5 * (level + 1) / 3;
        let rotations = operands.iter().filter(|(_, steps)| *steps != 0).count();
        let giants = diagonals / operands.len().max(1);
        let divided = 2 * rotations * division;
        let raised = diagonals * specials + giants * division;
        if divided < raised { 0 } else { specials }
    }

    pub(super) fn step(&self, steps: usize, level: usize) -> Result<Option<Step<'_>>, Error> {
        if steps == 0 {
            return Ok(None);
        }
        let key = self.rotation_key(steps, level)?;
        let permutation = self
            .context()
            .permutation(self.context().rotation_element(steps));
        Ok(Some(Step { key, permutation }))
    }
}

/// The scale of all parts.
pub(super) fn common_scale(inputs: &[Ciphertext]) -> Result<f64, Error> {
    let first = inputs
        .first()
        .ok_or_else(|| Error::Parameters("a transform of a tensor without parts".into()))?;
    for input in inputs {
        same_scale("transform", first.scale, input.scale)?;
    }
    Ok(first.scale)
}

impl Hoisted<'_> {
    /// Number of rotations.
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// Limb `i` of rotation `k`, times P, modulo Q and all special primes.
    pub fn limb(&self, k: usize, i: usize, [out0, out1]: [&mut [u64]; 2]) {
        let (context, level, specials) = (self.context, self.level, self.context.specials());
        let (part, step) = &self.steps[k];
        let m = *context.basis(level, specials)[i].modulus();
        let p = context.special_product(&m, specials);
        let x = &self.inputs[*part];
        let Some(step) = step else {
            for (out, half) in [(out0, &x.c0), (out1, &x.c1)] {
                if i <= level {
                    out.copy_from_slice(half.0.limb(i));
                    kernels::mul_scalar_assign(&m, out, p);
                } else {
                    out.fill(0);
                }
            }
            return;
        };
        let [mut t0, mut t1] = [(); 2].map(|()| Buffer::dirty(context.n()));
        context.key_product_limb(
            &self.digits[*part],
            step.key,
            level,
            i,
            &m,
            &mut t0,
            &mut t1,
        );
        if i <= level {
            kernels::mul_scalar_add_assign(&m, &mut t0, x.c0.0.limb(i), p);
        }
        step.permutation.apply(&t0, out0);
        step.permutation.apply(&t1, out1);
    }

    /// All rotations, times P, modulo Q and all special primes.
    fn raised(&self) -> Vec<[Limbs; 2]> {
        let context = self.context;
        let count = self.level + 1 + context.specials();
        let dirty = || Limbs::dirty(context.n(), count);
        let mut halves: Vec<_> = (0..self.len()).map(|_| [dirty(), dirty()]).collect();
        let mut jobs = Vec::with_capacity(self.len() * count);
        for (k, [half0, half1]) in halves.iter_mut().enumerate() {
            let limbs = half0.iter_mut().zip(half1.iter_mut()).enumerate();
            jobs.extend(limbs.map(|(i, (limb0, limb1))| (k, i, limb0, limb1)));
        }
        jobs.into_par_iter()
            .for_each(|(k, i, limb0, limb1)| self.limb(k, i, [limb0, limb1]));
        halves
    }

    /// Rotation `k` modulo Q.
    fn divided(&self, k: usize) -> [Limbs; 2] {
        let (context, level, specials) = (self.context, self.level, self.context.specials());
        let (part, step) = &self.steps[k];
        let x = &self.inputs[*part];
        let Some(step) = step else {
            return x.halves().map(|half| {
                let mut copy = Limbs::dirty(context.n(), level + 1);
                copy.par_iter_mut()
                    .enumerate()
                    .for_each(|(i, limb)| limb.copy_from_slice(half.0.limb(i)));
                copy
            });
        };
        let [mut u0, u1] = context.key_product(&self.digits[*part], step.key, level);
        context.add_raised(&mut u0, &x.c0, specials);
        [u0, u1].map(|u| {
            let Evaluations(u) = context.divide(u, level, 0, specials);
            let mut out = Limbs::dirty(context.n(), u.count());
            out.par_iter_mut()
                .enumerate()
                .for_each(|(i, limb)| step.permutation.apply(u.limb(i), limb));
            out
        })
    }
}
