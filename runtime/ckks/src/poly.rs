//! Polynomials of Z[X]/(X^N + 1) in residue form: coefficients and evaluations are different types.

use crate::buffer::Buffer;
use crate::ring::NttTable;
use rayon::prelude::*;

/// Limbs of N words each, residues in [0, q_i).
pub struct Limbs {
    n: usize,
    limbs: Vec<Buffer>,
}

impl Limbs {
    /// `count` limbs of unspecified content.
    pub fn dirty(n: usize, count: usize) -> Self {
        let limbs = (0..count).map(|_| Buffer::dirty(n)).collect();
        Self { n, limbs }
    }

    /// `count` limbs of zeros.
    pub fn zeroed(n: usize, count: usize) -> Self {
        let mut out = Self::dirty(n, count);
        out.par_iter_mut().for_each(|limb| limb.fill(0));
        out
    }

    /// Ring degree N.
    pub fn n(&self) -> usize {
        self.n
    }

    /// Number of limbs.
    pub fn count(&self) -> usize {
        self.limbs.len()
    }

    /// Drops all but the first `count` limbs.
    pub fn truncate(&mut self, count: usize) {
        self.limbs.truncate(count);
    }

    /// Limb `i`.
    pub fn limb(&self, i: usize) -> &[u64] {
        &self.limbs[i]
    }

    /// Limb `i`.
    pub fn limb_mut(&mut self, i: usize) -> &mut [u64] {
        &mut self.limbs[i]
    }

    /// Limbs in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u64]> {
        self.limbs.iter().map(|limb| &**limb)
    }

    /// Limbs in order, in parallel.
    pub fn par_iter_mut(&mut self) -> impl IndexedParallelIterator<Item = &mut [u64]> {
        self.limbs.par_iter_mut().map(|limb| &mut **limb)
    }

    /// Limbs in order.
    pub fn iter_mut(&mut self) -> impl ExactSizeIterator<Item = &mut [u64]> {
        self.limbs.iter_mut().map(|limb| &mut **limb)
    }
}

impl Clone for Limbs {
    fn clone(&self) -> Self {
        let mut copy = Self::dirty(self.n, self.count());
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
