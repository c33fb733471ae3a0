//! Results that depend on nothing measured, found once a process.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// Results by key.
pub(super) struct Memo<K, V>(Mutex<BTreeMap<K, Arc<OnceLock<V>>>>);

impl<K: Ord, V: Clone> Memo<K, V> {
    pub(super) const fn new() -> Self {
        Self(Mutex::new(BTreeMap::new()))
    }

    /// The result of `find`, which runs once a key. Others who want it wait: `find` must not use the
    /// thread pool, or a thread that waits for the pool might be given this very task.
    pub(super) fn get(&self, key: K, find: impl FnOnce() -> V) -> V {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let cell = all.entry(key).or_default().clone();
        drop(all);
        cell.get_or_init(find).clone()
    }
}
