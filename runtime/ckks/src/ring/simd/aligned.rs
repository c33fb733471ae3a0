//! Memory that starts at a cache line.

use std::ops::{Deref, DerefMut};

/// Eight words in one cache line.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(64))]
struct Line([u64; 8]);

/// A slice of words that starts at a multiple of 64 bytes, so that no vector of it straddles two cache lines.
#[derive(Clone, Debug, Default)]
pub struct AlignedWords {
    lines: Vec<Line>,
    len: usize,
}

impl AlignedWords {
    /// `len` zeros.
    pub fn zeros(len: usize) -> Self {
        AlignedWords {
            lines: vec![Line::default(); len.div_ceil(8)],
            len,
        }
    }
}

impl From<&[u64]> for AlignedWords {
    fn from(words: &[u64]) -> Self {
        let mut aligned = AlignedWords::zeros(words.len());
        aligned.copy_from_slice(words);
        aligned
    }
}

impl Deref for AlignedWords {
    type Target = [u64];

    fn deref(&self) -> &[u64] {
        // SAFETY: the lines are contiguous, without padding, and hold at least `len` words.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.len) }
    }
}

impl DerefMut for AlignedWords {
    fn deref_mut(&mut self) -> &mut [u64] {
        // SAFETY: as in `deref`, and `self` is borrowed exclusively.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.len) }
    }
}

/// Two's complement.
pub(in crate::ring) fn as_words(integers: &[i64]) -> &[u64] {
    // SAFETY: the types have the same size and alignment, and all bits are allowed in both.
    unsafe { std::slice::from_raw_parts(integers.as_ptr().cast(), integers.len()) }
}
