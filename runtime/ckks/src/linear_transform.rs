//! Matrices times slots: double-hoisted baby-step giant-step [BMTH21].

use crate::buffer::Buffer;
use crate::ciphertext::Ciphertext;
use crate::evaluator::{Evaluator, needs_level};
use crate::keys::SwitchingKey;
use crate::poly::{Evaluations, Limbs};
use crate::ring::{NttPermutation, kernels};
use crate::{Complex64, Context, Error};
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Words of every baby rotation that stay in L2 while all diagonals stream past: 16 babies of two
/// halves take 256 KiB of the 1 MiB.
const TILE: usize = 1024;

/// A matrix as encoded generalised diagonals, grouped by giant step:
/// out = sum_g rotate( sum_b diagonal(g + b) shifted by -g * rotate(in, b), g ).
pub struct LinearTransform {
    level: usize,
    scale: f64,
    babies: Vec<usize>,
    blocks: Vec<Block>,
}

struct Block {
    giant: usize,
    /// Index into `babies`, and the encoded diagonal over q_0..q_level and all special primes.
    diagonals: Vec<(usize, Evaluations)>,
}

impl LinearTransform {
    /// Encodes `diagonals`: out[s] = sum_d diagonal_d[s] * in[s + d], for an operand at `level`, at
    /// plaintext scale `scale`. Offsets are split as d = `giant` * j + baby.
    ///
    /// # Errors
    /// When `level` does not exist, there is no diagonal, or a value does not fit the encoding.
    pub fn new<D>(context: &Context, diagonals: D, giant: usize, level: usize, scale: f64) -> Result<Self, Error>
    where
        D: IntoIterator<Item = (usize, Vec<Complex64>)>,
    {
        let slots = context.slots();
        if level == 0 || level > context.top() || giant == 0 {
            return Err(Error::Parameters(format!("no linear transform at level {level} with giant step {giant}")));
        }
        let diagonals: Vec<_> = diagonals.into_iter().collect();
        if diagonals.is_empty() || diagonals.iter().any(|(d, values)| *d >= slots || values.len() != slots) {
            return Err(Error::Parameters(format!("diagonals need offsets below {slots} and {slots} values")));
        }
        let babies: Vec<usize> =
            diagonals.iter().map(|(d, _)| d % giant).collect::<BTreeSet<_>>().into_iter().collect();
        let encoded: Vec<_> = diagonals
            .into_par_iter()
            .map(|(d, mut values)| {
                let baby = d % giant;
                values.rotate_right(d - baby);
                let integers = context.embedding().encode(&values, scale)?;
                let plain = context.lift(&integers, level, context.specials());
                Ok((d - baby, babies.binary_search(&baby).unwrap_or(0), plain))
            })
            .collect::<Result<_, Error>>()?;
        let mut blocks: BTreeMap<usize, Block> = BTreeMap::new();
        for (giant, baby, plain) in encoded {
            let block = blocks.entry(giant).or_insert_with(|| Block { giant, diagonals: Vec::new() });
            block.diagonals.push((baby, plain));
        }
        Ok(Self { level, scale, babies, blocks: blocks.into_values().collect() })
    }

    /// The rotations it needs keys for, at its level.
    pub fn rotations(&self) -> BTreeSet<usize> {
        let giants = self.blocks.iter().map(|block| block.giant);
        self.babies.iter().copied().chain(giants).filter(|&steps| steps != 0).collect()
    }
}

/// A rotation by key, ready to be applied limb by limb.
struct Step<'k> {
    key: &'k SwitchingKey,
    permutation: Arc<NttPermutation>,
}

impl Evaluator {
    /// Applies `transform` and rescales: one level down, scale times the transform's / the prime.
    ///
    /// # Errors
    /// When the ciphertext is below the transform's level, or a rotation key is missing.
    pub fn transform(&self, transform: &LinearTransform, x: &Ciphertext) -> Result<Ciphertext, Error> {
        let (context, level) = (self.context(), transform.level);
        needs_level("transform", x.level(), level)?;
        let specials = context.specials();
        let babies = transform.babies.iter().map(|&b| self.step(b, level)).collect::<Result<Vec<_>, _>>()?;
        let digits = context.decompose(&x.c1, level, specials);
        let mut sums = self.inner_sums(transform, x, &digits, &babies);
        drop(digits);

        let mut out: Option<[Limbs; 2]> = None;
        for (block, [u0, u1]) in transform.blocks.iter().zip(sums.drain(..)) {
            let rotated = match self.step(block.giant, level)? {
                None => [u0, u1],
                Some(step) => self.rotate_raised(u0, u1, &step, level),
            };
            out = Some(match out {
                None => rotated,
                Some(sum) => self.add_raised_pair(sum, &rotated, level),
            });
        }
        let [c0, c1] = out
            .ok_or_else(|| Error::Parameters("an empty transform".into()))?
            .map(|u| context.divide(u, level, 1, specials));
        Ok(Ciphertext::new(c0, c1, x.scale * transform.scale / context.q(level).value() as f64))
    }

    fn step(&self, steps: usize, level: usize) -> Result<Option<Step<'_>>, Error> {
        if steps == 0 {
            return Ok(None);
        }
        let key = self.rotation_key(steps, level)?;
        let permutation = self.context().permutation(self.context().rotation_element(steps));
        Ok(Some(Step { key, permutation }))
    }

    /// For each block the sum over its diagonals, modulo Q P. Limb by limb: all baby rotations of
    /// one limb stay in cache while the diagonals stream past.
    fn inner_sums(
        &self,
        transform: &LinearTransform,
        x: &Ciphertext,
        digits: &[Limbs],
        babies: &[Option<Step<'_>>],
    ) -> Vec<[Limbs; 2]> {
        let (context, level) = (self.context(), transform.level);
        let (n, basis) = (context.n(), context.basis(level, context.specials()));
        let mut sums: Vec<[Limbs; 2]> =
            transform.blocks.iter().map(|_| [(); 2].map(|()| Limbs::dirty(n, basis.len()))).collect();
        let mut jobs: Vec<Vec<[&mut [u64]; 2]>> = basis.iter().map(|_| Vec::with_capacity(sums.len())).collect();
        for [sum0, sum1] in &mut sums {
            for (job, (limb0, limb1)) in jobs.iter_mut().zip(sum0.iter_mut().zip(sum1.iter_mut())) {
                job.push([limb0, limb1]);
            }
        }
        jobs.into_par_iter().enumerate().for_each(|(i, sums)| {
            let m = basis[i].modulus();
            let p = context.special_product(m, context.specials());
            let [mut t0, mut t1] = [(); 2].map(|()| Buffer::dirty(n));
            let rotated: Vec<[Buffer; 2]> = babies
                .iter()
                .map(|step| {
                    let mut out = [(); 2].map(|()| Buffer::zeroed(n));
                    let [u0, u1] = &mut out;
                    match step {
                        None if i <= level => {
                            kernels::mul_scalar_add_assign(m, u0, x.c0.0.limb(i), p);
                            kernels::mul_scalar_add_assign(m, u1, x.c1.0.limb(i), p);
                        }
                        None => {}
                        Some(step) => {
                            context.key_product_limb(digits, step.key, level, i, m, &mut t0, &mut t1);
                            if i <= level {
                                kernels::mul_scalar_add_assign(m, &mut t0, x.c0.0.limb(i), p);
                            }
                            step.permutation.apply(&t0, u0);
                            step.permutation.apply(&t1, u1);
                        }
                    }
                    out
                })
                .collect();
            let mut sums = sums;
            for start in (0..n).step_by(TILE) {
                let tile = start..n.min(start + TILE);
                for (block, [sum0, sum1]) in transform.blocks.iter().zip(&mut sums) {
                    let terms: Vec<(&[u64], &[u64], &[u64])> = block
                        .diagonals
                        .iter()
                        .map(|(baby, plain)| {
                            let [r0, r1] = &rotated[*baby];
                            (&plain.0.limb(i)[tile.clone()], &r0[tile.clone()], &r1[tile.clone()])
                        })
                        .collect();
                    kernels::dot_pair(m, &terms, &mut sum0[tile.clone()], &mut sum1[tile.clone()]);
                }
            }
        });
        sums
    }

    /// Rotates (u0, u1) modulo Q P: only the second half goes down to Q and through the key.
    fn rotate_raised(&self, u0: Limbs, u1: Limbs, step: &Step<'_>, level: usize) -> [Limbs; 2] {
        let (context, specials) = (self.context(), self.context().specials());
        let c1 = context.divide(u1, level, 0, specials);
        let digits = context.decompose(&c1, level, specials);
        let [mut v0, v1] = context.key_product(&digits, step.key, level);
        let basis = context.basis(level, specials);
        v0.par_iter_mut().zip(&basis).enumerate().for_each(|(i, (limb, table))| {
            kernels::add_assign(table.modulus(), limb, u0.limb(i));
        });
        [v0, v1].map(|v| {
            let mut out = Limbs::dirty(context.n(), v.count());
            out.par_iter_mut().enumerate().for_each(|(i, limb)| step.permutation.apply(v.limb(i), limb));
            out
        })
    }

    fn add_raised_pair(&self, mut sum: [Limbs; 2], term: &[Limbs; 2], level: usize) -> [Limbs; 2] {
        let basis = self.context().basis(level, self.context().specials());
        for (sum, term) in sum.iter_mut().zip(term) {
            sum.par_iter_mut().zip(&basis).enumerate().for_each(|(i, (limb, table))| {
                kernels::add_assign(table.modulus(), limb, term.limb(i));
            });
        }
        sum
    }
}
