//! Recycled memory for limbs.
//!
//! Fresh pages from the operating system cost more than the transforms that fill them: 0.4 s a
//! gigabyte in huge pages, ten times that in small ones (two cores of a virtual Zen 4). So memory is
//! mapped in large pieces that ask for huge pages, cut into buffers of one length, and kept by length
//! for ever. A polynomial is one buffer for each limb: whatever its level, it reuses what another
//! polynomial has left.

use crate::ring::AlignedWords;
use memmap2::{Advice, MmapMut};
use rayon::prelude::*;
use std::collections::HashMap;
use std::ops::{Deref, DerefMut};
use std::sync::{LazyLock, Mutex, MutexGuard};

/// Free buffers by length.
type Pool = HashMap<usize, Vec<&'static mut [u64]>>;

static POOL: LazyLock<Mutex<Pool>> = LazyLock::new(Default::default);

/// Bytes of a huge page.
const HUGE: usize = 1 << 21;
/// Bytes of a mapping, at least one buffer.
const MAPPING: usize = 1 << 26;
/// Words of a small page.
const PAGE: usize = (1 << 12) / size_of::<u64>();
/// Words between two buffers of a mapping. Without them the limbs of a polynomial lie a power of two
/// apart, hence all in one set of the cache.
const GAP: usize = 72;

/// Words that go back to a shared pool when dropped. Never holds secrets: the pool does not wipe.
pub struct Buffer(&'static mut [u64]);

impl Buffer {
    /// `len` words of unspecified content.
    pub fn dirty(len: usize) -> Self {
        let mut pool = pool();
        let kept = pool.entry(len).or_default();
        if kept.is_empty() {
            kept.extend(cut(mapping((len + GAP) * size_of::<u64>()), len));
        }
        Self(kept.pop().unwrap_or_default())
    }

    /// Lays up about `bytes` of memory for buffers of `len` words, and touches it on all threads: for
    /// work that follows, and should not wait for the operating system page by page.
    pub fn reserve(len: usize, bytes: u64) {
        let mappings = bytes / MAPPING as u64;
        let touched: Vec<_> = (0..mappings)
            .into_par_iter()
            .map(|_| {
                let words = mapping((len + GAP) * size_of::<u64>());
                words.iter_mut().step_by(PAGE).for_each(|word| *word = 0);
                cut(words, len)
            })
            .collect();
        pool()
            .entry(len)
            .or_default()
            .extend(touched.into_iter().flatten());
    }

    /// `len` zeros.
    pub fn zeroed(len: usize) -> Self {
        let mut buffer = Self::dirty(len);
        buffer.fill(0);
        buffer
    }
}

fn pool() -> MutexGuard<'static, Pool> {
    POOL.lock().unwrap_or_else(|e| e.into_inner())
}

/// Buffers of `len` words out of a mapping, the last one first.
fn cut(words: &'static mut [u64], len: usize) -> Vec<&'static mut [u64]> {
    let pieces = words.chunks_exact_mut(len + GAP);
    pieces.map(|piece| &mut piece[..len]).rev().collect()
}

/// Fresh words, at least `bytes`, that are never given back.
fn mapping(bytes: usize) -> &'static mut [u64] {
    let bytes = bytes.max(MAPPING);
    match MmapMut::map_anon(bytes + HUGE) {
        Ok(map) => {
            #[cfg(target_os = "linux")]
            let _ = map.advise(Advice::HugePage);
            let map = Box::leak(Box::new(map));
            let start = map.as_ptr().align_offset(HUGE).min(HUGE);
            bytemuck::cast_slice_mut(&mut map[start..][..bytes])
        }
        // Where a mapping is refused the heap serves as well, only slower.
        Err(_) => &mut Box::leak(Box::new(AlignedWords::zeros(bytes / size_of::<u64>())))[..],
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let words = std::mem::take(&mut self.0);
        pool().entry(words.len()).or_default().push(words);
    }
}

impl Deref for Buffer {
    type Target = [u64];
    fn deref(&self) -> &[u64] {
        self.0
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u64] {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With a length that nothing else has: the pool is the whole process's.
    #[test]
    fn what_is_reserved_is_used() {
        let len = 1000;
        Buffer::reserve(len, 2 * MAPPING as u64 + 1);
        let kept = |len| pool().get(&len).map_or(0, Vec::len);
        let each = MAPPING / size_of::<u64>() / (len + GAP);
        assert_eq!(kept(len), 2 * each);
        let buffer = Buffer::zeroed(len);
        assert_eq!((buffer.len(), kept(len)), (len, 2 * each - 1));
        drop(buffer);
        assert_eq!(kept(len), 2 * each);
    }
}
