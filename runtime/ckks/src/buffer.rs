//! Recycled memory for limbs.
//!
//! Fresh pages from the operating system cost more than the transforms that fill them: 0.4 s a
//! gigabyte in huge pages, ten times that in small ones (two cores of a virtual Zen 4). So memory is
//! mapped in large pieces that ask for huge pages, cut into buffers of one length, and kept by length
//! for ever. A polynomial is one buffer for each limb: whatever its level, it reuses what another
//! polynomial has left.

use crate::ring::AlignedWords;
use memmap2::{Advice, MmapMut};
use std::collections::HashMap;
use std::ops::{Deref, DerefMut};
use std::sync::{LazyLock, Mutex};

/// Free buffers by length.
type Pool = HashMap<usize, Vec<&'static mut [u64]>>;

static POOL: LazyLock<Mutex<Pool>> = LazyLock::new(Default::default);

/// Bytes of a huge page.
const HUGE: usize = 1 << 21;
/// Bytes of a mapping, at least one buffer.
const MAPPING: usize = 1 << 26;
/// Words between two buffers of a mapping. Without them the limbs of a polynomial lie a power of two
/// apart, hence all in one set of the cache.
const GAP: usize = 72;

/// Words that go back to a shared pool when dropped. Never holds secrets: the pool does not wipe.
pub struct Buffer(&'static mut [u64]);

impl Buffer {
    /// `len` words of unspecified content.
    pub fn dirty(len: usize) -> Self {
        let mut pool = POOL.lock().unwrap_or_else(|e| e.into_inner());
        let kept = pool.entry(len).or_default();
        if let Some(words) = kept.pop() {
            return Self(words);
        }
        let mut rest = mapping((len + GAP) * size_of::<u64>());
        while rest.len() >= len + GAP {
            let (words, after) = rest.split_at_mut(len + GAP);
            kept.push(&mut words[..len]);
            rest = after;
        }
        kept.reverse();
        Self(kept.pop().unwrap_or_default())
    }

    /// `len` zeros.
    pub fn zeroed(len: usize) -> Self {
        let mut buffer = Self::dirty(len);
        buffer.fill(0);
        buffer
    }
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
        POOL.lock()
            .unwrap_or_else(|e| e.into_inner())
            .entry(words.len())
            .or_default()
            .push(words);
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
