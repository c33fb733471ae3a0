//! A block of chunks as rows of equal length, taken by columns.

use super::Simd;
use std::marker::PhantomData;

/// `R` rows that lie one after the other.
pub(in crate::ring) struct Columns<'a, S: Simd, const R: usize> {
    start: *mut S::Chunk,
    width: usize,
    rows: PhantomData<&'a mut [S::Chunk]>,
}

impl<'a, S: Simd, const R: usize> Columns<'a, S, R> {
    /// Leaves out the rest of a block whose length is no multiple of R.
    #[inline(always)]
    pub fn new(block: &'a mut [S::Chunk]) -> Self {
        Columns {
            start: block.as_mut_ptr(),
            width: block.len() / R,
            rows: PhantomData,
        }
    }

    /// How many columns there are.
    #[inline(always)]
    pub fn width(&self) -> usize {
        self.width
    }

    /// Column i.
    #[inline(always)]
    pub fn load(&self, s: S, i: usize) -> [S::V; R] {
        assert!(i < self.width);
        let mut column = [s.splat(0); R];
        for (r, x) in column.iter_mut().enumerate() {
            // SAFETY: i + r width < R width, which is at most the length of the block.
            *x = s.load(unsafe { &*self.start.add(i + r * self.width) });
        }
        column
    }

    /// Overwrites column i.
    #[inline(always)]
    pub fn store(&mut self, s: S, i: usize, column: [S::V; R]) {
        assert!(i < self.width);
        for (r, x) in column.into_iter().enumerate() {
            // SAFETY: as in `load`, and `self` holds the exclusive borrow of the block.
            s.store(unsafe { &mut *self.start.add(i + r * self.width) }, x);
        }
    }
}
