//! Evaluation keys: public material only.

use crate::ciphertext::{check_len, limbs_len, pack_limbs, uniform_limbs, unpack_limbs};
use crate::poly::Limbs;
use crate::uniform::Seed;
use crate::{Context, Error};
use std::collections::BTreeMap;

/// What the digits of a switching key stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gadget {
    /// One digit for each group of `Parameters::digit` primes [HK20].
    Hybrid,
    /// One digit in all: for inputs that are small integers at a high modulus, as after a mod-raise.
    Flat,
}

/// Where a switching key lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyShape {
    /// Highest level it serves.
    pub level: usize,
    /// How many special primes it uses.
    pub specials: usize,
    /// Its digits.
    pub gadget: Gadget,
}

impl KeyShape {
    /// A hybrid key with all special primes.
    pub fn hybrid(context: &Context, level: usize) -> Self {
        Self {
            level,
            specials: context.specials(),
            gadget: Gadget::Hybrid,
        }
    }

    /// The key dense -> sparse of the mod-raise: at q_0 p_0 only [BTH22].
    pub fn to_sparse() -> Self {
        Self {
            level: 0,
            specials: 1,
            gadget: Gadget::Flat,
        }
    }

    /// The keys sparse -> dense after the mod-raise: flat, since the input stays below q_0.
    pub fn to_dense(context: &Context) -> Self {
        Self {
            level: context.top(),
            specials: context.specials(),
            gadget: Gadget::Flat,
        }
    }

    /// Number of digits.
    pub fn digits(&self, context: &Context) -> usize {
        match self.gadget {
            Gadget::Hybrid => context.digits(self.level),
            Gadget::Flat => 1,
        }
    }

    /// The primes that carry P times the source secret in digit `d`.
    pub fn digit_range(&self, context: &Context, d: usize) -> std::ops::Range<usize> {
        match self.gadget {
            Gadget::Hybrid => context.digit_range(d, self.level),
            Gadget::Flat => 0..self.level + 1,
        }
    }

    /// Bytes of a key of this shape.
    pub fn byte_len(&self, context: &Context) -> usize {
        32 + self.digits(context) * limbs_len(context, self.level, self.specials)
    }

    /// The uniform half of digit `d`.
    pub fn mask(&self, context: &Context, seed: &Seed, d: usize) -> Limbs {
        uniform_limbs(context, self.level, self.specials, seed, d as u32)
    }
}

/// Switches a ciphertext half from one secret to another: for each digit d a pair (b_d, a_d) with
/// b_d + a_d s = P g_d s' + e, limbs q_0..q_level then the special primes.
///
/// A Galois key for X -> X^g switches from s to the inverse image of s; the automorphism is
/// applied afterwards, so that one decomposition serves many rotations (hoisting).
pub struct SwitchingKey {
    shape: KeyShape,
    seed: Seed,
    pub(crate) digits: Vec<[Limbs; 2]>,
}

impl SwitchingKey {
    /// From the computed halves b_d; the uniform ones come from `seed`.
    pub fn new(context: &Context, shape: KeyShape, seed: Seed, b: Vec<Limbs>) -> Self {
        debug_assert_eq!(b.len(), shape.digits(context));
        let digits = b
            .into_iter()
            .enumerate()
            .map(|(d, b)| [b, shape.mask(context, &seed, d)])
            .collect();
        Self {
            shape,
            seed,
            digits,
        }
    }

    /// Where it lives.
    pub fn shape(&self) -> KeyShape {
        self.shape
    }

    /// The seed, then the packed halves b_d.
    pub fn to_bytes(&self, context: &Context) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.shape.byte_len(context));
        out.extend_from_slice(&self.seed);
        for [b, _] in &self.digits {
            pack_limbs(context, b, self.shape.level, &mut out);
        }
        out
    }

    /// The inverse of [`SwitchingKey::to_bytes`].
    ///
    /// # Errors
    /// When the length is not that of `shape`, or a residue is out of range.
    pub fn from_bytes(context: &Context, shape: KeyShape, bytes: &[u8]) -> Result<Self, Error> {
        if shape.level > context.top() || shape.specials > context.specials() {
            return Err(Error::Malformed(format!(
                "a key at level {} does not exist here",
                shape.level
            )));
        }
        check_len("key", bytes.len(), shape.byte_len(context))?;
        let (seed, body) = bytes.split_first_chunk().expect("length checked");
        let digit_len = limbs_len(context, shape.level, shape.specials);
        let b = body
            .chunks_exact(digit_len)
            .map(|part| unpack_limbs(context, shape.level, shape.specials, part))
            .collect::<Result<_, _>>()?;
        Ok(Self::new(context, shape, *seed, b))
    }

    /// Limb of the key for limb `i` of an operand at `level`: its special primes follow its own top.
    pub(crate) fn limb_index(&self, i: usize, level: usize) -> usize {
        if i <= level {
            i
        } else {
            i - level + self.shape.level
        }
    }
}

/// Everything an evaluator may hold.
#[derive(Default)]
pub struct EvaluationKeys {
    /// From s^2 to s.
    pub relinearisation: Option<SwitchingKey>,
    /// By steps of left rotation of the N/2 slots.
    pub rotations: BTreeMap<usize, SwitchingKey>,
    /// Complex conjugation.
    pub conjugation: Option<SwitchingKey>,
    /// The three keys of the mod-raise.
    pub encapsulation: Option<Encapsulation>,
}

/// Keys of the sparse-secret encapsulation around a mod-raise [BTH22].
pub struct Encapsulation {
    /// Dense to sparse at q_0 p_0.
    pub to_sparse: SwitchingKey,
    /// Sparse to dense at the top.
    pub to_dense: SwitchingKey,
    /// Sparse to dense followed by X -> -X: the other half of the trace to Z[X^2].
    pub to_dense_negated: SwitchingKey,
}
