//! Matrices times slots: baby-step giant-step with hoisted rotations [BMTH21].
//!
//! A tensor may span several ciphertexts, its parts. A [`LinearTransform`] gives one part of the
//! result: out = sum over parts p and offsets d of diagonal_(p, d) times p rotated by d. The
//! rotations of the operand are shared: by all offsets with the same baby step, and, through
//! [`Rotated`], by all parts of the result.
//!
//! High in the chain, hoisting is double: rotations and diagonals stay modulo Q P, and one division
//! by P serves a whole giant step. Low in the chain the special primes outnumber the limbs, so that
//! multiplying modulo Q P would cost more than a division for each rotation: there both live modulo
//! Q.

mod apply;
mod hoisting;

pub use hoisting::Rotated;

use crate::buffer::Buffer;
use crate::poly::Evaluations;
use crate::{Complex64, Context, Error};
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// A matrix from the slots of one or several ciphertexts to those of one, as encoded generalised
/// diagonals, grouped by giant step:
/// out = sum_g rotate( sum_(p, b) diagonal_(p, g + b) shifted by -g * rotate(in_p, b), g ).
pub struct LinearTransform {
    level: usize,
    scale: f64,
    /// (part, baby step), sorted.
    operands: Vec<(usize, usize)>,
    /// By giant step.
    blocks: Vec<Block>,
    diagonals: Diagonals,
}

struct Block {
    giant: usize,
    /// Index of its first diagonal; the others follow.
    first: usize,
    /// For each of its diagonals an index into the operands.
    operands: Vec<usize>,
}

/// What a diagonal is multiplied with and added to.
struct Term {
    /// Index of its block.
    block: usize,
    /// Index of its operand.
    operand: usize,
}

/// Rotations of the operand that are multiplied with all their diagonals before others are: tiles of
/// them stay in a cache.
const NEIGHBOURS: usize = 16;

enum Diagonals {
    /// Residues modulo Q and this many special primes: all, or none.
    Lifted(usize, Vec<Evaluations>),
    /// Integer coefficients of v + i w for two real diagonals v and w at half the scale, and the
    /// terms of all diagonals. Their residues are made limb by limb when needed, with one transform
    /// for the two: on the conjugate root the polynomial takes the value of v - i w.
    Folded(Vec<Term>, Vec<Buffer>),
}

impl Diagonals {
    fn len(&self) -> usize {
        match self {
            Diagonals::Lifted(_, plain) => plain.len(),
            Diagonals::Folded(terms, _) => terms.len(),
        }
    }
}

/// Pairs of diagonals that one thread encodes at a time, some milliseconds.
const PIECE: usize = 8;

impl LinearTransform {
    /// A complex matrix on one ciphertext, encoded for repeated use:
    /// out\[s\] = sum_d diagonal_d\[s\] * in\[s + d\], at plaintext scale `scale`, for an operand at
    /// `level` or above. Offsets are split as d = `giant` * j + baby. It takes 8 N bytes a diagonal
    /// and limb.
    ///
    /// # Errors
    /// When `level` or an offset does not exist, a diagonal has not N/2 values, or one does not fit
    /// the encoding.
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
        let diagonals = diagonals.into_iter().map(|(d, values)| ((0, d), values));
        let grid = Grid::new(context, diagonals, giant, level)?;
        let specials = if level < 2 * context.specials() {
            0
        } else {
            context.specials()
        };
        let encode = |(shift, mut values): (usize, Vec<Complex64>)| {
            values.rotate_right(shift);
            let integers = context.embedding().encode(&values, scale)?;
            Ok(context.lift(&integers, level, specials))
        };
        let lifted = grid.diagonals.into_par_iter().map(encode);
        Ok(Self {
            level,
            scale,
            operands: grid.operands,
            blocks: grid.blocks,
            diagonals: Diagonals::Lifted(specials, lifted.collect::<Result<_, Error>>()?),
        })
    }

    /// A real matrix on the parts of a tensor, for one use:
    /// out\[s\] = sum_(p, d) diagonal_(p, d)\[s\] * in_p\[s + d\] for diagonals keyed by (part p,
    /// offset d), at plaintext scale `scale`, for operands at `level` or above. Offsets are split as
    /// d = `giant` * j + baby. There may be no diagonal at all: the result is then zero. It takes
    /// 4 N bytes a diagonal, whatever the level.
    ///
    /// # Errors
    /// As [`LinearTransform::new`].
    pub fn real<D, V>(
        context: &Context,
        diagonals: D,
        giant: usize,
        level: usize,
        scale: f64,
    ) -> Result<Self, Error>
    where
        D: IntoIterator<Item = ((usize, usize), V)>,
        V: AsRef<[f64]> + Send + Sync,
    {
        let grid = Grid::new(context, diagonals, giant, level)?;
        let slots = context.slots();
        let encode = |pair: &[(usize, V)]| {
            let mut scratch = Buffer::dirty(context.n());
            let values: &mut [Complex64] = bytemuck::cast_slice_mut(&mut scratch);
            values.fill(Complex64::ZERO);
            for (k, (shift, diagonal)) in pair.iter().enumerate() {
                let (low, high) = diagonal.as_ref().split_at(slots - shift);
                let turned = high.iter().chain(low);
                if k == 0 {
                    values.iter_mut().zip(turned).for_each(|(z, &v)| z.re = v);
                } else {
                    values.iter_mut().zip(turned).for_each(|(z, &v)| z.im = v);
                }
            }
            let mut integers = Buffer::dirty(context.n());
            context.embedding().encode_in_place(
                values,
                scale / 2.0,
                bytemuck::cast_slice_mut(&mut integers),
            )?;
            Ok(integers)
        };
        let (terms, diagonals) = by_neighbours(&grid.blocks, grid.diagonals);
        // Often beside other work: small pieces go to whoever is free.
        let pairs = diagonals.par_chunks(2).with_max_len(PIECE);
        let folded = pairs.map(encode).collect::<Result<_, Error>>()?;
        Ok(Self {
            level,
            scale,
            operands: grid.operands,
            blocks: grid.blocks,
            diagonals: Diagonals::Folded(terms, folded),
        })
    }

    /// Level of the operands: the result is one below.
    pub fn level(&self) -> usize {
        self.level
    }

    /// The rotations of the operand that it multiplies: (part, steps), steps of 0 included.
    pub fn babies(&self) -> BTreeSet<(usize, usize)> {
        self.operands.iter().copied().collect()
    }

    /// The rotations it needs keys for, at its level.
    pub fn rotations(&self) -> BTreeSet<usize> {
        let giants = self.blocks.iter().map(|block| block.giant);
        let babies = self.operands.iter().map(|(_, steps)| *steps);
        babies.chain(giants).filter(|&steps| steps != 0).collect()
    }
}

/// Diagonals that multiply [`NEIGHBOURS`] operands, block by block, then those of the next operands.
fn by_neighbours<V>(blocks: &[Block], diagonals: Vec<V>) -> (Vec<Term>, Vec<V>) {
    let terms = blocks.iter().enumerate().flat_map(|(block, of)| {
        let term = move |&operand: &usize| Term { block, operand };
        of.operands.iter().map(term)
    });
    let mut sorted: Vec<(Term, V)> = terms.zip(diagonals).collect();
    sorted.sort_by_key(|(term, _)| (term.operand / NEIGHBOURS, term.block));
    sorted.into_iter().unzip()
}

/// Diagonals in the order of giant, part and baby step.
struct Grid<V> {
    operands: Vec<(usize, usize)>,
    blocks: Vec<Block>,
    /// The giant step to shift the values by, and the values.
    diagonals: Vec<(usize, V)>,
}

impl<V> Grid<V> {
    fn new<T>(
        context: &Context,
        diagonals: impl IntoIterator<Item = ((usize, usize), V)>,
        giant: usize,
        level: usize,
    ) -> Result<Self, Error>
    where
        V: AsRef<[T]>,
    {
        let slots = context.slots();
        if level == 0 || level > context.top() || giant == 0 {
            return Err(Error::Parameters(format!(
                "no linear transform at level {level} with giant step {giant}"
            )));
        }
        let mut sorted: Vec<_> = diagonals
            .into_iter()
            .map(|((part, d), values)| (d - d % giant, (part, d % giant), values))
            .collect();
        if sorted.iter().any(|(giant, (_, baby), values)| {
            giant + baby >= slots || values.as_ref().len() != slots
        }) {
            return Err(Error::Parameters(format!(
                "diagonals need offsets below {slots} and {slots} values"
            )));
        }
        sorted.sort_by_key(|(giant, operand, _)| (*giant, *operand));
        let operands: BTreeMap<(usize, usize), usize> = sorted
            .iter()
            .map(|(_, operand, _)| *operand)
            .collect::<BTreeSet<_>>()
            .into_iter()
            .zip(0..)
            .collect();
        let mut blocks: Vec<Block> = Vec::new();
        let mut diagonals = Vec::with_capacity(sorted.len());
        for (index, (giant, operand, values)) in sorted.into_iter().enumerate() {
            if blocks.last().is_none_or(|block| block.giant != giant) {
                blocks.push(Block {
                    giant,
                    first: index,
                    operands: Vec::new(),
                });
            }
            if let Some(block) = blocks.last_mut() {
                block.operands.push(operands[&operand]);
            }
            diagonals.push((giant, values));
        }
        Ok(Self {
            operands: operands.into_keys().collect(),
            blocks,
            diagonals,
        })
    }
}
