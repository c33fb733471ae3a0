//! Recycled memory for limbs.
//!
//! A ciphertext at the top of the chain is some ten megabytes; fresh pages from the operating
//! system cost as much as the transform that fills them, so freed buffers are kept by length.

use std::collections::HashMap;
use std::ops::{Deref, DerefMut};
use std::sync::{LazyLock, Mutex};

static POOL: LazyLock<Mutex<HashMap<usize, Vec<Vec<u64>>>>> = LazyLock::new(Default::default);

/// Words that go back to a shared pool when dropped. Never holds secrets: the pool does not wipe.
pub struct Buffer(Vec<u64>);

impl Buffer {
    /// `len` words of unspecified content.
    pub fn dirty(len: usize) -> Self {
        let kept = POOL.lock().unwrap_or_else(|e| e.into_inner()).get_mut(&len).and_then(Vec::pop);
        Self(kept.unwrap_or_else(|| vec![0; len]))
    }

    /// `len` zeros.
    pub fn zeroed(len: usize) -> Self {
        let mut buffer = Self::dirty(len);
        buffer.fill(0);
        buffer
    }

    /// Gives all kept memory back to the allocator.
    pub fn release_pool() {
        POOL.lock().unwrap_or_else(|e| e.into_inner()).clear();
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let words = std::mem::take(&mut self.0);
        POOL.lock().unwrap_or_else(|e| e.into_inner()).entry(words.len()).or_default().push(words);
    }
}

impl Clone for Buffer {
    fn clone(&self) -> Self {
        let mut copy = Self::dirty(self.len());
        copy.copy_from_slice(self);
        copy
    }
}

impl Deref for Buffer {
    type Target = [u64];
    fn deref(&self) -> &[u64] {
        &self.0
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u64] {
        &mut self.0
    }
}
