//! Polynomials of Z[X]/(X^N + 1) in residue form: coefficients and evaluations are different types.

use crate::buffer::Buffer;
use crate::ring::NttTable;
use rayon::prelude::*;

/// Limb after limb, N words each, residues in [0, q_i).
pub struct Limbs {
    n: usize,
    count: usize,
    words: Buffer,
}

impl Limbs {
    /// `count` limbs of unspecified content.
    pub fn dirty(n: usize, count: usize) -> Self {
        Self {
            n,
            count,
            words: Buffer::dirty(n * count),
        }
    }

    /// `count` limbs of zeros.
    pub fn zeroed(n: usize, count: usize) -> Self {
        Self {
            n,
            count,
            words: Buffer::zeroed(n * count),
        }
    }

    /// Ring degree N.
    pub fn n(&self) -> usize {
        self.n
    }

    /// Number of limbs.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Forgets all but the first `count` limbs; their memory stays with the buffer.
    pub fn truncate(&mut self, count: usize) {
        self.count = self.count.min(count);
    }

    /// Limb `i`.
    pub fn limb(&self, i: usize) -> &[u64] {
        debug_assert!(i < self.count);
        &self.words[i * self.n..(i + 1) * self.n]
    }

    /// Limb `i`.
    pub fn limb_mut(&mut self, i: usize) -> &mut [u64] {
        &mut self.words[i * self.n..(i + 1) * self.n]
    }

    /// Limbs in order.
    pub fn iter(&self) -> impl Iterator<Item = &[u64]> {
        self.words[..self.count * self.n].chunks_exact(self.n)
    }

    /// Limbs in order, in parallel.
    pub fn par_iter_mut(&mut self) -> rayon::slice::ChunksExactMut<'_, u64> {
        self.words[..self.count * self.n].par_chunks_exact_mut(self.n)
    }

    /// Limbs in order.
    pub fn iter_mut(&mut self) -> std::slice::ChunksExactMut<'_, u64> {
        self.words[..self.count * self.n].chunks_exact_mut(self.n)
    }
}

impl Clone for Limbs {
    fn clone(&self) -> Self {
        let mut copy = Self::dirty(self.n, self.count);
        copy.par_iter_mut()
            .enumerate()
            .for_each(|(i, limb)| limb.copy_from_slice(self.limb(i)));
        copy
    }
}

/// Values at the roots of X^N + 1, in bit-reversed order (see [`NttTable::forward`]).
#[derive(Clone)]
pub struct Evaluations(pub Limbs);

/// Coefficients, constant term first.
#[derive(Clone)]
pub struct Coefficients(pub Limbs);

impl Coefficients {
    /// Forward transform; `tables[i]` belongs to limb i.
    pub fn into_evaluations(mut self, tables: &[&NttTable]) -> Evaluations {
        debug_assert_eq!(tables.len(), self.0.count());
        self.0
            .par_iter_mut()
            .zip(tables)
            .for_each(|(limb, table)| table.forward(limb));
        Evaluations(self.0)
    }
}

impl Evaluations {
    /// Inverse transform; `tables[i]` belongs to limb i.
    pub fn into_coefficients(mut self, tables: &[&NttTable]) -> Coefficients {
        debug_assert_eq!(tables.len(), self.0.count());
        self.0
            .par_iter_mut()
            .zip(tables)
            .for_each(|(limb, table)| table.inverse(limb));
        Coefficients(self.0)
    }
}
