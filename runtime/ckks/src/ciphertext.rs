//! Ciphertexts.

use crate::packing::{pack, packed_len, unpack};
use crate::poly::{Evaluations, Limbs};
use crate::uniform::{self, Seed};
use crate::{Context, Error};
use rayon::prelude::*;

/// A pair (c0, c1) with c0 + c1 s = scale * message + error, modulo q_0..q_level.
#[derive(Clone)]
pub struct Ciphertext {
    pub(crate) c0: Evaluations,
    pub(crate) c1: Evaluations,
    pub(crate) scale: f64,
}

impl Ciphertext {
    /// From its two halves, of equally many limbs.
    pub fn new(c0: Evaluations, c1: Evaluations, scale: f64) -> Self {
        debug_assert_eq!(c0.0.count(), c1.0.count());
        Self { c0, c1, scale }
    }

    /// Index of the topmost limb.
    pub fn level(&self) -> usize {
        self.c0.0.count() - 1
    }

    /// Encoding scale.
    pub fn scale(&self) -> f64 {
        self.scale
    }

    /// The same message read at another scale: multiplies it by old / new, exactly and for free.
    pub fn set_scale(&mut self, scale: f64) {
        self.scale = scale;
    }

    /// The two halves.
    pub fn halves(&self) -> [&Evaluations; 2] {
        [&self.c0, &self.c1]
    }

    /// Drops limbs; the message and the scale stay.
    pub fn drop_to(&mut self, level: usize) {
        self.c0.0.truncate(level + 1);
        self.c1.0.truncate(level + 1);
    }

    /// Bytes of [`Ciphertext::to_bytes`] at `level`.
    pub fn byte_len(context: &Context, level: usize) -> usize {
        2 * limbs_len(context, level, 0)
    }

    /// Packed residues of c0, then c1.
    pub fn to_bytes(&self, context: &Context) -> Vec<u8> {
        let mut out = Vec::with_capacity(Self::byte_len(context, self.level()));
        for half in self.halves() {
            pack_limbs(context, &half.0, self.level(), &mut out);
        }
        out
    }

    /// The inverse of [`Ciphertext::to_bytes`].
    ///
    /// # Errors
    /// When the length is not that of `level`, or a residue is out of range.
    pub fn from_bytes(
        context: &Context,
        level: usize,
        scale: f64,
        bytes: &[u8],
    ) -> Result<Self, Error> {
        check_level(context, level, scale)?;
        let half = limbs_len(context, level, 0);
        check_len("ciphertext", bytes.len(), 2 * half)?;
        let c0 = unpack_limbs(context, level, 0, &bytes[..half])?;
        let c1 = unpack_limbs(context, level, 0, &bytes[half..])?;
        Ok(Self::new(Evaluations(c0), Evaluations(c1), scale))
    }
}

/// A fresh symmetric encryption: c0, and the seed of the uniform c1. Half the bytes.
#[derive(Clone)]
pub struct SeededCiphertext {
    c0: Evaluations,
    seed: Seed,
    scale: f64,
}

impl SeededCiphertext {
    /// From c0 and the seed that [`SeededCiphertext::mask`] expands.
    pub fn new(c0: Evaluations, seed: Seed, scale: f64) -> Self {
        Self { c0, seed, scale }
    }

    /// The uniform half that `seed` stands for at `level`.
    pub fn mask(context: &Context, level: usize, seed: &Seed) -> Evaluations {
        Evaluations(uniform_limbs(context, level, 0, seed, 0))
    }

    /// The full ciphertext.
    pub fn expand(self, context: &Context) -> Ciphertext {
        let c1 = Self::mask(context, self.c0.0.count() - 1, &self.seed);
        Ciphertext::new(self.c0, c1, self.scale)
    }

    /// Bytes of [`SeededCiphertext::to_bytes`] at `level`.
    pub fn byte_len(context: &Context, level: usize) -> usize {
        32 + limbs_len(context, level, 0)
    }

    /// The seed, then the packed residues of c0.
    pub fn to_bytes(&self, context: &Context) -> Vec<u8> {
        let mut out = self.seed.to_vec();
        pack_limbs(context, &self.c0.0, self.c0.0.count() - 1, &mut out);
        out
    }

    /// The inverse of [`SeededCiphertext::to_bytes`].
    ///
    /// # Errors
    /// When the length is not that of `level`, or a residue is out of range.
    pub fn from_bytes(
        context: &Context,
        level: usize,
        scale: f64,
        bytes: &[u8],
    ) -> Result<Self, Error> {
        check_level(context, level, scale)?;
        check_len(
            "seeded ciphertext",
            bytes.len(),
            Self::byte_len(context, level),
        )?;
        let (seed, body) = bytes.split_first_chunk().expect("length checked");
        Ok(Self {
            c0: Evaluations(unpack_limbs(context, level, 0, body)?),
            seed: *seed,
            scale,
        })
    }
}

pub(crate) fn check_len(what: &str, got: usize, expected: usize) -> Result<(), Error> {
    if got == expected {
        return Ok(());
    }
    Err(Error::Malformed(format!(
        "{what} of {got} bytes, expected {expected}"
    )))
}

fn check_level(context: &Context, level: usize, scale: f64) -> Result<(), Error> {
    if level > context.top() || !(scale.is_finite() && scale >= 1.0) {
        return Err(Error::Malformed(format!(
            "level {level} at scale {scale} does not exist here"
        )));
    }
    Ok(())
}

/// Bytes of packed limbs over q_0..q_level and `specials` special primes.
pub(crate) fn limbs_len(context: &Context, level: usize, specials: usize) -> usize {
    context
        .basis(level, specials)
        .iter()
        .map(|t| packed_len(context.n(), t.modulus()))
        .sum()
}

pub(crate) fn pack_limbs(context: &Context, limbs: &Limbs, level: usize, out: &mut Vec<u8>) {
    let specials = limbs.count() - level - 1;
    for (limb, table) in limbs.iter().zip(context.basis(level, specials)) {
        pack(table.modulus(), limb, out);
    }
}

pub(crate) fn unpack_limbs(
    context: &Context,
    level: usize,
    specials: usize,
    bytes: &[u8],
) -> Result<Limbs, Error> {
    let basis = context.basis(level, specials);
    let mut limbs = Limbs::dirty(context.n(), basis.len());
    let mut rest = bytes;
    let mut parts = Vec::with_capacity(basis.len());
    for table in &basis {
        let (part, tail) = rest
            .split_at_checked(packed_len(context.n(), table.modulus()))
            .ok_or_else(|| Error::Malformed("limbs cut short".into()))?;
        parts.push((part, *table.modulus()));
        rest = tail;
    }
    limbs
        .par_iter_mut()
        .zip(parts)
        .try_for_each(|(limb, (part, m))| unpack(&m, part, limb))?;
    Ok(limbs)
}

/// Uniform limbs over q_0..q_level and `specials` special primes; limb i is stream (domain, i).
pub(crate) fn uniform_limbs(
    context: &Context,
    level: usize,
    specials: usize,
    seed: &Seed,
    domain: u32,
) -> Limbs {
    let basis = context.basis(level, specials);
    let mut limbs = Limbs::dirty(context.n(), basis.len());
    limbs
        .par_iter_mut()
        .zip(basis)
        .enumerate()
        .for_each(|(i, (limb, table))| {
            uniform::fill(
                seed,
                u64::from(domain) << 32 | i as u64,
                table.modulus(),
                limb,
            );
        });
    limbs
}
