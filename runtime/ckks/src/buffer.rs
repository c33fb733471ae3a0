//! Recycled memory for limbs.
//!
//! A ciphertext at the top of the chain is some ten megabytes; fresh pages from the operating
//! system cost as much as the transform that fills them, so freed buffers are kept by length. Large
//! ones ask for huge pages: keys and diagonals are gigabytes that stream past.

use crate::ring::AlignedWords;
use memmap2::{Advice, MmapMut};
use std::collections::HashMap;
use std::ops::{Deref, DerefMut};
use std::sync::{LazyLock, Mutex};

static POOL: LazyLock<Mutex<HashMap<usize, Vec<Words>>>> = LazyLock::new(Default::default);

/// Words from which on a buffer is a mapping of its own: one huge page.
const MAPPED: usize = 1 << 18;

enum Words {
    Heap(AlignedWords),
    Mapped(MmapMut),
}

impl Words {
    fn zeroed(len: usize) -> Self {
        if len < MAPPED {
            return Self::Heap(AlignedWords::zeros(len));
        }
        // Where a mapping is refused the heap serves as well, only slower.
        match MmapMut::map_anon(len * size_of::<u64>()) {
            Ok(map) => {
                #[cfg(target_os = "linux")]
                let _ = map.advise(Advice::HugePage);
                Self::Mapped(map)
            }
            Err(_) => Self::Heap(AlignedWords::zeros(len)),
        }
    }
}

/// Words that go back to a shared pool when dropped. Never holds secrets: the pool does not wipe.
pub struct Buffer(Words);

impl Buffer {
    /// `len` words of unspecified content.
    pub fn dirty(len: usize) -> Self {
        let kept = POOL
            .lock()
            .unwrap_or_else(|e| e.into_inner())
            .get_mut(&len)
            .and_then(Vec::pop);
        Self(kept.unwrap_or_else(|| Words::zeroed(len)))
    }

    /// `len` zeros.
    pub fn zeroed(len: usize) -> Self {
        let mut buffer = Self::dirty(len);
        buffer.fill(0);
        buffer
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let len = self.len();
        let words = std::mem::replace(&mut self.0, Words::Heap(AlignedWords::zeros(0)));
        POOL.lock()
            .unwrap_or_else(|e| e.into_inner())
            .entry(len)
            .or_default()
            .push(words);
    }
}

impl Deref for Buffer {
    type Target = [u64];
    fn deref(&self) -> &[u64] {
        match &self.0 {
            Words::Heap(words) => words,
            Words::Mapped(map) => bytemuck::cast_slice(map),
        }
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u64] {
        match &mut self.0 {
            Words::Heap(words) => words,
            Words::Mapped(map) => bytemuck::cast_slice_mut(map),
        }
    }
}
