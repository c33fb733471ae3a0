//! Matrices times slots: baby-step giant-step with hoisted rotations [BMTH21].
//!
//! High in the chain, hoisting is double: baby rotations and diagonals stay modulo Q P, and one
//! division by P serves a whole giant step. Low in the chain the special primes outnumber the
//! limbs, so that encoding and multiplying diagonals modulo Q P would cost more than a division for
//! each baby rotation: there the diagonals live modulo Q.

use crate::buffer::Buffer;
use crate::ciphertext::Ciphertext;
use crate::evaluator::{Evaluator, needs_level};
use crate::keys::SwitchingKey;
use crate::poly::{Evaluations, Limbs};
use crate::ring::{Modulus, NttPermutation, kernels};
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
    /// How many special primes the diagonals are encoded at: all, or none.
    specials: usize,
    babies: Vec<usize>,
    blocks: Vec<Block>,
}

struct Block {
    giant: usize,
    /// Index into `babies`, and the encoded diagonal.
    diagonals: Vec<(usize, Evaluations)>,
}

impl LinearTransform {
    /// Encodes `diagonals`: out[s] = sum_d diagonal_d[s] * in[s + d], for an operand at `level`, at
    /// plaintext scale `scale`. Offsets are split as d = `giant` * j + baby.
    ///
    /// # Errors
    /// When `level` does not exist, there is no diagonal, or a value does not fit the encoding.
    pub fn new<D>(
        context: &Context,
        diagonals: D,
        giant: usize,
        level: usize,
        scale: f64,
    ) -> Result<Self, Error>
    where
        D: IntoIterator<Item = (usize, Vec<Complex64>)>,
    {
        let slots = context.slots();
        if level == 0 || level > context.top() || giant == 0 {
            return Err(Error::Parameters(format!(
                "no linear transform at level {level} with giant step {giant}"
            )));
        }
        let specials = if level < 2 * context.specials() {
            0
        } else {
            context.specials()
        };
        let diagonals: Vec<_> = diagonals.into_iter().collect();
        if diagonals.is_empty()
            || diagonals
                .iter()
                .any(|(d, values)| *d >= slots || values.len() != slots)
        {
            return Err(Error::Parameters(format!(
                "diagonals need offsets below {slots} and {slots} values"
            )));
        }
        let babies: Vec<usize> = diagonals
            .iter()
            .map(|(d, _)| d % giant)
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect();
        let encoded: Vec<_> = diagonals
            .into_par_iter()
            .map(|(d, mut values)| {
                let baby = d % giant;
                values.rotate_right(d - baby);
                let integers = context.embedding().encode(&values, scale)?;
                let plain = context.lift(&integers, level, specials);
                Ok((d - baby, babies.binary_search(&baby).unwrap_or(0), plain))
            })
            .collect::<Result<_, Error>>()?;
        let mut blocks: BTreeMap<usize, Block> = BTreeMap::new();
        for (giant, baby, plain) in encoded {
            let block = blocks.entry(giant).or_insert_with(|| Block {
                giant,
                diagonals: Vec::new(),
            });
            block.diagonals.push((baby, plain));
        }
        Ok(Self {
            level,
            scale,
            specials,
            babies,
            blocks: blocks.into_values().collect(),
        })
    }

    /// The rotations it needs keys for, at its level.
    pub fn rotations(&self) -> BTreeSet<usize> {
        let giants = self.blocks.iter().map(|block| block.giant);
        self.babies
            .iter()
            .copied()
            .chain(giants)
            .filter(|&steps| steps != 0)
            .collect()
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
    pub fn transform(
        &self,
        transform: &LinearTransform,
        x: &Ciphertext,
    ) -> Result<Ciphertext, Error> {
        let (context, level) = (self.context(), transform.level);
        needs_level("transform", x.level(), level)?;
        let specials = context.specials();
        let babies = transform
            .babies
            .iter()
            .map(|&b| self.step(b, level))
            .collect::<Result<Vec<_>, _>>()?;
        let digits = context.decompose(&x.c1, level, specials);
        let sums = if transform.specials == 0 {
            self.inner_sums(transform, &self.rotations(x, &digits, &babies, level))
        } else {
            self.inner_sums_raised(transform, x, &digits, &babies)
        };
        drop(digits);

        let mut out: Option<[Limbs; 2]> = None;
        for (block, [u0, u1]) in transform.blocks.iter().zip(sums) {
            let term = match (self.step(block.giant, level)?, transform.specials) {
                (None, 0) => [u0, u1].map(|u| self.raise(u, level)),
                (None, _) => [u0, u1],
                (Some(step), 0) => {
                    self.rotate_sum(self.raise(u0, level), Evaluations(u1), &step, level)
                }
                (Some(step), _) => {
                    self.rotate_sum(u0, context.divide(u1, level, 0, specials), &step, level)
                }
            };
            out = Some(match out {
                None => term,
                Some(sum) => self.add_raised_pair(sum, &term, level),
            });
        }
        let [c0, c1] = out
            .ok_or_else(|| Error::Parameters("an empty transform".into()))?
            .map(|u| context.divide(u, level, 1, specials));
        Ok(Ciphertext::new(
            c0,
            c1,
            x.scale * transform.scale / context.q(level).value() as f64,
        ))
    }

    /// P u, modulo Q P.
    fn raise(&self, u: Limbs, level: usize) -> Limbs {
        let specials = self.context().specials();
        let mut out = Limbs::zeroed(u.n(), level + 1 + specials);
        self.context()
            .add_raised(&mut out, &Evaluations(u), specials);
        out
    }

    /// Both halves of every baby rotation of `x`, modulo Q.
    fn rotations(
        &self,
        x: &Ciphertext,
        digits: &[Limbs],
        babies: &[Option<Step<'_>>],
        level: usize,
    ) -> Vec<[Limbs; 2]> {
        let (context, specials) = (self.context(), self.context().specials());
        babies
            .iter()
            .map(|step| match step {
                None => [&x.c0, &x.c1].map(|half| {
                    let mut copy = half.0.clone();
                    copy.truncate(level + 1);
                    copy
                }),
                Some(step) => {
                    let [mut u0, u1] = context.key_product(digits, step.key, level);
                    context.add_raised(&mut u0, &x.c0, specials);
                    [u0, u1].map(|u| self.turn(&context.divide(u, level, 0, specials).0, step))
                }
            })
            .collect()
    }

    /// The automorphism of `step`, without the key.
    fn turn(&self, u: &Limbs, step: &Step<'_>) -> Limbs {
        let mut out = Limbs::dirty(u.n(), u.count());
        out.par_iter_mut()
            .enumerate()
            .for_each(|(i, limb)| step.permutation.apply(u.limb(i), limb));
        out
    }

    /// For each block the sum over its diagonals, modulo Q.
    fn inner_sums(&self, transform: &LinearTransform, rotated: &[[Limbs; 2]]) -> Vec<[Limbs; 2]> {
        self.each_limb(transform, |i, _, sums| {
            let halves: Vec<[&[u64]; 2]> = rotated
                .iter()
                .map(|[r0, r1]| [r0.limb(i), r1.limb(i)])
                .collect();
            self.multiply_limb(transform, i, &halves, sums);
        })
    }

    /// Allocates the sums of all blocks and fills them limb by limb, in parallel.
    fn each_limb(
        &self,
        transform: &LinearTransform,
        fill: impl Fn(usize, &Modulus, Vec<[&mut [u64]; 2]>) + Sync,
    ) -> Vec<[Limbs; 2]> {
        let (context, level) = (self.context(), transform.level);
        let (n, basis) = (context.n(), context.basis(level, transform.specials));
        let mut sums: Vec<[Limbs; 2]> = transform
            .blocks
            .iter()
            .map(|_| [(); 2].map(|()| Limbs::dirty(n, basis.len())))
            .collect();
        let mut jobs: Vec<Vec<[&mut [u64]; 2]>> = basis
            .iter()
            .map(|_| Vec::with_capacity(sums.len()))
            .collect();
        for [sum0, sum1] in &mut sums {
            for (job, (limb0, limb1)) in jobs.iter_mut().zip(sum0.iter_mut().zip(sum1.iter_mut())) {
                job.push([limb0, limb1]);
            }
        }
        jobs.into_par_iter()
            .enumerate()
            .for_each(|(i, sums)| fill(i, basis[i].modulus(), sums));
        sums
    }

    /// One limb of every block's sum, from that limb of every baby rotation.
    fn multiply_limb(
        &self,
        transform: &LinearTransform,
        i: usize,
        rotated: &[[&[u64]; 2]],
        mut sums: Vec<[&mut [u64]; 2]>,
    ) {
        let (n, basis) = (
            self.context().n(),
            self.context().basis(transform.level, transform.specials),
        );
        for start in (0..n).step_by(TILE) {
            let tile = start..n.min(start + TILE);
            for (block, [sum0, sum1]) in transform.blocks.iter().zip(&mut sums) {
                let terms: Vec<(&[u64], &[u64], &[u64])> = block
                    .diagonals
                    .iter()
                    .map(|(baby, plain)| {
                        let [r0, r1] = rotated[*baby];
                        (
                            &plain.0.limb(i)[tile.clone()],
                            &r0[tile.clone()],
                            &r1[tile.clone()],
                        )
                    })
                    .collect();
                kernels::dot_pair(
                    basis[i].modulus(),
                    &terms,
                    &mut sum0[tile.clone()],
                    &mut sum1[tile.clone()],
                );
            }
        }
    }

    fn step(&self, steps: usize, level: usize) -> Result<Option<Step<'_>>, Error> {
        if steps == 0 {
            return Ok(None);
        }
        let key = self.rotation_key(steps, level)?;
        let permutation = self
            .context()
            .permutation(self.context().rotation_element(steps));
        Ok(Some(Step { key, permutation }))
    }

    /// For each block the sum over its diagonals, modulo Q P. Limb by limb: all baby rotations of
    /// one limb stay in cache while the diagonals stream past.
    fn inner_sums_raised(
        &self,
        transform: &LinearTransform,
        x: &Ciphertext,
        digits: &[Limbs],
        babies: &[Option<Step<'_>>],
    ) -> Vec<[Limbs; 2]> {
        let (context, level) = (self.context(), transform.level);
        self.each_limb(transform, |i, m, sums| {
            let p = context.special_product(m, context.specials());
            let [mut t0, mut t1] = [(); 2].map(|()| Buffer::dirty(context.n()));
            let rotated: Vec<[Buffer; 2]> = babies
                .iter()
                .map(|step| {
                    let mut out = [(); 2].map(|()| Buffer::zeroed(context.n()));
                    let [u0, u1] = &mut out;
                    match step {
                        None if i <= level => {
                            kernels::mul_scalar_add_assign(m, u0, x.c0.0.limb(i), p);
                            kernels::mul_scalar_add_assign(m, u1, x.c1.0.limb(i), p);
                        }
                        None => {}
                        Some(step) => {
                            context
                                .key_product_limb(digits, step.key, level, i, m, &mut t0, &mut t1);
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
            let halves: Vec<[&[u64]; 2]> = rotated.iter().map(|[r0, r1]| [&**r0, &**r1]).collect();
            self.multiply_limb(transform, i, &halves, sums);
        })
    }

    /// Rotates a sum whose first half is modulo Q P and whose second is modulo Q; the result is
    /// modulo Q P.
    fn rotate_sum(&self, u0: Limbs, c1: Evaluations, step: &Step<'_>, level: usize) -> [Limbs; 2] {
        let (context, specials) = (self.context(), self.context().specials());
        let digits = context.decompose(&c1, level, specials);
        let product = context.key_product(&digits, step.key, level);
        let basis = context.basis(level, specials);
        let [mut v0, v1] = product;
        v0.par_iter_mut()
            .zip(&basis)
            .enumerate()
            .for_each(|(i, (limb, table))| {
                kernels::add_assign(table.modulus(), limb, u0.limb(i));
            });
        [self.turn(&v0, step), self.turn(&v1, step)]
    }

    fn add_raised_pair(&self, mut sum: [Limbs; 2], term: &[Limbs; 2], level: usize) -> [Limbs; 2] {
        let basis = self.context().basis(level, self.context().specials());
        for (sum, term) in sum.iter_mut().zip(term) {
            sum.par_iter_mut()
                .zip(&basis)
                .enumerate()
                .for_each(|(i, (limb, table))| {
                    kernels::add_assign(table.modulus(), limb, term.limb(i));
                });
        }
        sum
    }
}
