//! Sums over the diagonals, rotations of the sums, and one division at the end.

use super::hoisting::{Hoisted, Rotated, Step, common_scale};
use super::{Block, Diagonals, LinearTransform, Term};
use crate::buffer::Buffer;
use crate::ciphertext::Ciphertext;
use crate::evaluator::Evaluator;
use crate::poly::{Evaluations, Limbs};
use crate::ring::{Modulus, NttTable, kernels};
use crate::{Context, Error};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::ops::Range;

/// Words of every rotation that stay in L2 while all diagonals stream past: 16 rotations of two
/// halves take 256 KiB of the 1 MiB.
const TILE: usize = 1024;

/// The same where two tiles that mirror each other go together, with their diagonals: 16 rotations take
/// 128 KiB, the diagonals of a group 256 KiB.
const FOLDED_TILE: usize = 256;

/// Diagonals that are transformed before they are multiplied, an even number: those of several blocks
/// and of neighbouring rotations, so that a tile of a rotation comes from memory once for all these
/// blocks (two cores of Zen 4, N = 2^15, the 6000 diagonals of a residual network: 1.6 s of processor
/// for their products, against 2.9 s in groups of 32 diagonals of one block).
const FOLDED_GROUP: usize = 64;

/// Diagonals of a block that are multiplied at once, at most 2^10.
const GROUP: usize = 512;

/// Words of the sums of blocks that are alive at once, at least one block.
const SUMS: usize = 1 << 25;

/// Limbs below which the rotations of sums run side by side.
const FEW_LIMBS: usize = 16;

/// The rotations that a transform multiplies, in its order.
enum Operands<'a> {
    /// All limbs at hand.
    Stored(Vec<&'a [Limbs; 2]>),
    /// Made limb by limb.
    Hoisted(Hoisted<'a>),
}

impl Operands<'_> {
    /// Limb `i` of both halves of each.
    fn with_limb(&self, n: usize, i: usize, f: impl FnOnce(&[[&[u64]; 2]])) {
        match self {
            Operands::Stored(halves) => {
                let limbs: Vec<_> = halves
                    .iter()
                    .map(|[half0, half1]| [half0.limb(i), half1.limb(i)])
                    .collect();
                f(&limbs);
            }
            Operands::Hoisted(hoisted) => {
                let made: Vec<[Buffer; 2]> = (0..hoisted.len())
                    .map(|k| {
                        let mut out = [(); 2].map(|()| Buffer::dirty(n));
                        hoisted.limb(k, i, out.each_mut().map(|half| &mut **half));
                        out
                    })
                    .collect();
                let limbs: Vec<_> = made
                    .iter()
                    .map(|[half0, half1]| [&**half0, &**half1])
                    .collect();
                f(&limbs);
            }
        }
    }
}

impl Evaluator {
    /// Applies a transform of one ciphertext and rescales: one level below the transform's, scale
    /// times the transform's / the prime. The operand may be above the transform's level.
    ///
    /// # Errors
    /// When the ciphertext is below the transform's level, or a rotation key is missing.
    pub fn transform(
        &self,
        transform: &LinearTransform,
        x: &Ciphertext,
    ) -> Result<Ciphertext, Error> {
        self.transform_parts(transform, std::slice::from_ref(x))
    }

    /// Applies a transform of the parts `inputs` and rescales. For several transforms of the same
    /// parts see [`Evaluator::prepare`].
    ///
    /// # Errors
    /// When a part is missing or below the transform's level, scales differ, or a rotation key is
    /// missing.
    pub fn transform_parts(
        &self,
        transform: &LinearTransform,
        inputs: &[Ciphertext],
    ) -> Result<Ciphertext, Error> {
        let (operands, level) = (&transform.operands, transform.level);
        let specials = match transform.diagonals {
            Diagonals::Lifted(specials, _) => specials,
            Diagonals::Folded(..) => {
                self.hoisted_specials(operands, level, transform.diagonals.len())
            }
        };
        if specials == 0 {
            let rotated = self.prepare_at(inputs, operands.clone(), level, 0)?;
            return self.apply(&rotated, transform);
        }
        let scale = common_scale(inputs)?;
        let operands = Operands::Hoisted(self.hoist(inputs, operands, level)?);
        self.multiply(transform, specials, scale, operands)
    }

    /// Applies a transform to rotations made for it, and rescales: one level below the transform's,
    /// scale times the transform's / the prime.
    ///
    /// # Errors
    /// When the rotations are at another level, hoisted otherwise, or lack one that the transform
    /// uses; when a rotation key is missing.
    pub fn apply(
        &self,
        rotated: &Rotated,
        transform: &LinearTransform,
    ) -> Result<Ciphertext, Error> {
        let level = transform.level;
        if rotated.level != level {
            return Err(Error::Level {
                operation: "apply",
                expected: format!("rotations at level {level}"),
                got: rotated.level,
            });
        }
        if let Diagonals::Lifted(specials, _) = transform.diagonals
            && specials != rotated.specials
        {
            return Err(Error::Parameters(format!(
                "diagonals modulo {specials} special primes, rotations modulo {}",
                rotated.specials
            )));
        }
        let operands = transform
            .operands
            .iter()
            .map(|operand| match rotated.operands.binary_search(operand) {
                Ok(k) => Ok(&rotated.halves[k]),
                Err(_) => Err(Error::Parameters(format!(
                    "part {} rotated by {} was not prepared",
                    operand.0, operand.1
                ))),
            })
            .collect::<Result<_, _>>()?;
        let operands = Operands::Stored(operands);
        self.multiply(transform, rotated.specials, rotated.scale, operands)
    }

    fn multiply(
        &self,
        transform: &LinearTransform,
        specials: usize,
        scale: f64,
        operands: Operands<'_>,
    ) -> Result<Ciphertext, Error> {
        let (context, level) = (self.context(), transform.level);
        let (n, all) = (context.n(), context.specials());
        let scale = scale * transform.scale / context.q(level).value() as f64;
        let steps = transform
            .blocks
            .iter()
            .map(|block| self.step(block.giant, level))
            .collect::<Result<Vec<_>, _>>()?;
        // Rotations that are made limb by limb would be made again for every group of blocks.
        let group = match operands {
            Operands::Stored(_) => (SUMS / (2 * n * (level + 1 + specials))).max(1),
            Operands::Hoisted(_) => transform.blocks.len().max(1),
        };
        // Few limbs do not keep the threads busy: then each takes sums of its own.
        let limbs = level + 1 + all;
        let alone = if limbs < FEW_LIMBS { 1 } else { usize::MAX };
        let basis = context.basis(level, specials);
        let zero = || [(); 2].map(|()| Limbs::zeroed(n, limbs));
        let mut out = None;
        for (first, steps) in (0..).step_by(group).zip(steps.chunks(group)) {
            let blocks = first..first + steps.len();
            let sums = inner_sums(context, transform, blocks, &basis, &operands);
            let rotated = sums
                .into_par_iter()
                .zip(steps)
                .with_min_len(alone)
                .fold(zero, |out, (sum, step)| match step {
                    None => add(context, out, &sum, level, specials),
                    Some(step) => add_rotated(context, out, sum, step, level, specials),
                })
                .chain(out)
                .reduce_with(|out, sum| add(context, out, &sum, level, all));
            out = rotated;
        }
        let [c0, c1] = context.divide_both(out.unwrap_or_else(zero), level, 1, all);
        Ok(Ciphertext::new(c0, c1, scale))
    }
}

/// Adds a sum modulo Q and `specials` special primes to `out`, which is modulo Q P and times P.
fn add(
    context: &Context,
    mut out: [Limbs; 2],
    sum: &[Limbs; 2],
    level: usize,
    specials: usize,
) -> [Limbs; 2] {
    let all = context.specials();
    for (out, sum) in out.iter_mut().zip(sum) {
        out.par_iter_mut()
            .zip(context.basis(level, specials))
            .enumerate()
            .for_each(|(i, (limb, table))| {
                let m = table.modulus();
                if specials > 0 {
                    kernels::add_assign(m, limb, sum.limb(i));
                } else {
                    let p = context.special_product(m, all);
                    kernels::mul_scalar_add_assign(m, limb, sum.limb(i), p);
                }
            });
    }
    out
}

/// Adds a rotated sum: its second half divided by P if it has special primes, decomposed, multiplied
/// by the key, and the automorphism at last.
fn add_rotated(
    context: &Context,
    [mut out0, mut out1]: [Limbs; 2],
    [u0, u1]: [Limbs; 2],
    step: &Step<'_>,
    level: usize,
    specials: usize,
) -> [Limbs; 2] {
    let (n, all) = (context.n(), context.specials());
    let c1 = context.divide(u1, level, 0, specials);
    let digits = context.decompose(&c1, level, all);
    drop(c1);
    out0.par_iter_mut()
        .zip(out1.par_iter_mut())
        .zip(context.basis(level, all))
        .enumerate()
        .for_each(|(i, ((out0, out1), table))| {
            let m = table.modulus();
            let [mut t0, mut t1] = [(); 2].map(|()| Buffer::dirty(n));
            context.key_product_limb(&digits, step.key, level, i, m, &mut t0, &mut t1);
            if specials > 0 {
                kernels::add_assign(m, &mut t0, u0.limb(i));
            } else if i <= level {
                let p = context.special_product(m, all);
                kernels::mul_scalar_add_assign(m, &mut t0, u0.limb(i), p);
            }
            step.permutation.apply_add(m, &t0, out0);
            step.permutation.apply_add(m, &t1, out1);
        });
    [out0, out1]
}

/// For each block the sum over its diagonals, modulo Q and `specials` special primes: limb by limb,
/// so that all rotations of one limb stay in cache while the diagonals stream past.
fn inner_sums(
    context: &Context,
    transform: &LinearTransform,
    blocks: Range<usize>,
    basis: &[&NttTable],
    operands: &Operands<'_>,
) -> Vec<[Limbs; 2]> {
    let n = context.n();
    let mut sums: Vec<[Limbs; 2]> = blocks
        .clone()
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
    // A limb takes long: each goes to the thread that is free next.
    let jobs = jobs.into_par_iter().enumerate().with_max_len(1);
    jobs.for_each(|(i, sums)| {
        operands.with_limb(n, i, |operands| match &transform.diagonals {
            Diagonals::Lifted(_, plain) => {
                let blocks = &transform.blocks[blocks.clone()];
                multiply_lifted(basis[i], blocks, i, plain, operands, sums);
            }
            Diagonals::Folded(terms, pairs) => {
                multiply_folded(basis[i], blocks.clone(), terms, pairs, operands, sums);
            }
        });
    });
    sums
}

/// One limb of every block's sum, from that limb of every rotation and diagonal.
fn multiply_lifted(
    table: &NttTable,
    blocks: &[Block],
    i: usize,
    plain: &[Evaluations],
    operands: &[[&[u64]; 2]],
    mut sums: Vec<[&mut [u64]; 2]>,
) {
    let n = 1 << table.log_n();
    for start in (0..n).step_by(TILE) {
        let tile = start..n.min(start + TILE);
        for (block, [sum0, sum1]) in blocks.iter().zip(&mut sums) {
            let (sum0, sum1) = (&mut sum0[tile.clone()], &mut sum1[tile.clone()]);
            let plain = &plain[block.first..][..block.operands.len()];
            let groups = block.operands.chunks(GROUP).zip(plain.chunks(GROUP));
            for (group, (operands_of_group, plain)) in groups.enumerate() {
                let terms: Vec<_> = operands_of_group
                    .iter()
                    .zip(plain)
                    .map(|(&operand, plain)| {
                        let [r0, r1] = operands[operand].map(|half| &half[tile.clone()]);
                        (&plain.0.limb(i)[tile.clone()], r0, r1)
                    })
                    .collect();
                dot_pair(table.modulus(), group > 0, &terms, sum0, sum1);
            }
        }
    }
}

/// out0 (+)= sum of s x and out1 (+)= sum of s y over the terms (s, x, y).
fn dot_pair(
    m: &Modulus,
    add: bool,
    terms: &[(&[u64], &[u64], &[u64])],
    out0: &mut [u64],
    out1: &mut [u64],
) {
    if add {
        kernels::dot_pair_add(m, terms, out0, out1);
    } else {
        kernels::dot_pair(m, terms, out0, out1);
    }
}

/// As [`multiply_lifted`], from the integers of pairs of diagonals.
///
/// With u = v + i w, slot j of the transform of u's polynomial and the slot N - 1 - j of the
/// conjugate root: their sum is twice v, their difference 2 i w, in both slots; for w the difference
/// is divided by i, the value of X^(N/2) in the lower half of the slots.
fn multiply_folded(
    table: &NttTable,
    blocks: Range<usize>,
    terms: &[Term],
    pairs: &[Buffer],
    operands: &[[&[u64]; 2]],
    mut sums: Vec<[&mut [u64]; 2]>,
) {
    let m = table.modulus();
    let n = 1 << table.log_n();
    let minus_i = m.neg(m.pow_vartime(table.root(), n as u64 / 2));
    let width = FOLDED_TILE.min(n / 2);
    let mut begun = vec![false; blocks.len()];
    let needed: Vec<(&[Term], &Buffer)> = terms
        .chunks(2)
        .zip(pairs)
        .filter(|(terms, _)| terms.iter().any(|term| blocks.contains(&term.block)))
        .collect();
    for group in needed.chunks(FOLDED_GROUP / 2) {
        let mut lifted = Limbs::dirty(n, group.len());
        for (limb, (_, pair)) in lifted.iter_mut().zip(group) {
            table.forward_from_i64(bytemuck::cast_slice(pair), limb);
        }
        let runs = runs(group, &blocks);
        // For each pair: of the first diagonal the tile and its mirror image, then of the second.
        let mut unfolded = Limbs::dirty(4 * width, group.len());
        for start in (0..n / 2).step_by(width) {
            let low = start..start + width;
            let high = n - low.end..n - low.start;
            for (limb, out) in lifted.iter().zip(unfolded.iter_mut()) {
                let (v, w) = out.split_at_mut(2 * width);
                let [v, w] = [v, w].map(|out| out.split_at_mut(width).into());
                kernels::unfold(m, minus_i, &limb[low.clone()], &limb[high.clone()], v, w);
            }
            for (block, run) in &runs {
                let [sum0, sum1] = &mut sums[*block];
                for (k, tile) in [&low, &high].into_iter().enumerate() {
                    let terms: Vec<_> = run
                        .iter()
                        .map(|&(diagonal, operand)| {
                            let at = (2 * (diagonal % 2) + k) * width;
                            let plain = unfolded.limb(diagonal / 2);
                            let [r0, r1] = operands[operand].map(|half| &half[tile.clone()]);
                            (&plain[at..][..width], r0, r1)
                        })
                        .collect();
                    let (sum0, sum1) = (&mut sum0[tile.clone()], &mut sum1[tile.clone()]);
                    dot_pair(m, begun[*block], &terms, sum0, sum1);
                }
            }
        }
        runs.iter().for_each(|(block, _)| begun[*block] = true);
    }
}

/// For each of `blocks` that a group of pairs has diagonals of: its place among them, and its diagonals
/// with their operands. Diagonals are numbered inside the group, two for a pair.
fn runs(group: &[(&[Term], &Buffer)], blocks: &Range<usize>) -> Vec<(usize, Vec<(usize, usize)>)> {
    let mut runs = BTreeMap::<usize, Vec<(usize, usize)>>::new();
    for (pair, (terms, _)) in group.iter().enumerate() {
        for (half, term) in terms.iter().enumerate() {
            if blocks.contains(&term.block) {
                let run = runs.entry(term.block - blocks.start).or_default();
                run.push((2 * pair + half, term.operand));
            }
        }
    }
    runs.into_iter().collect()
}
