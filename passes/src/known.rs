//! What has been found out about linear maps, shared between networks and threads.
//!
//! Which maps lie between two layouts depends on the geometry of a chain alone, and networks that
//! differ in their activations have most chains in common: relations, distances, options, costs and
//! cuts are worked out once. Everything kept is a function of its key, so that a result does not depend
//! on what was asked before, or on threads. Memory is bounded: what is full starts afresh.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use hecc_ir::costs::MapCounts;
use hecc_ir::layout::Layout;
use hecc_ir::nn::{Linear, Shape};

use crate::cost::{MapChoice, MapOptions, Prices};
use crate::geometry;
use crate::layout_candidates::Candidate;
use crate::relation::{self, Distances, Relation};

/// Bytes that the relations, the distances, the options and the cells may take, each.
const BYTES: usize = 64 << 20;
/// Entries of the smaller maps.
const ENTRIES: usize = 1 << 15;

/// A map from keys to values that are worked out once.
#[derive(Debug)]
pub struct Memo<K, V> {
    kept: RwLock<Kept<K, V>>,
    most: usize,
    size: fn(&K, &V) -> usize,
}

#[derive(Debug)]
struct Kept<K, V> {
    values: HashMap<K, V>,
    size: usize,
}

impl<K: Hash + Eq, V: Clone> Memo<K, V> {
    /// An empty one that keeps up to so many values.
    pub fn new(most: usize) -> Self {
        Self::sized(most, |_, _| 1)
    }

    /// An empty one that keeps values of this total size.
    fn sized(most: usize, size: fn(&K, &V) -> usize) -> Self {
        let kept = Kept {
            values: HashMap::new(),
            size: 0,
        };
        Self {
            kept: RwLock::new(kept),
            most,
            size,
        }
    }

    /// The value of a key, from `make` unless it is there. Two threads may both make it; the first is
    /// kept.
    pub fn of(&self, key: K, make: impl FnOnce(&K) -> V) -> V {
        // Values are whole whenever the lock is free: a panic elsewhere breaks none.
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = kept.values.get(&key) {
            return value.clone();
        }
        drop(kept);
        let value = make(&key);
        let size = (self.size)(&key, &value);
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = kept.values.get(&key) {
            return value.clone();
        }
        if kept.size.saturating_add(size) > self.most {
            kept.values.clear();
            kept.size = 0;
        }
        kept.size += size;
        kept.values.insert(key, value.clone());
        value
    }
}

/// A value with a number of its own: equal numbers, equal values.
#[derive(Clone, Debug)]
pub struct Numbered<T> {
    /// Never given twice.
    pub number: usize,
    /// What it is the number of.
    pub value: Arc<T>,
}

/// Edges of one relation between equal candidates, at equal prices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClassKey {
    /// Number of the relation.
    pub relation: usize,
    /// Number of the source's candidates.
    pub source: usize,
    /// Number of the target's candidates.
    pub target: usize,
    /// Whether nothing happens when the layouts are equal.
    pub plain: bool,
    /// Number of the prices.
    pub prices: usize,
}

/// How an addend is computed; no map when it is only scaled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cell {
    /// The map.
    pub map: Option<MapChoice>,
    /// Seconds.
    pub cost: f64,
}

/// One cell for each candidate of the source and of the target, filled when it is asked for.
pub type Cells = Arc<[OnceLock<Cell>]>;

type MapKey = (usize, Layout, Layout);

/// All that is remembered.
#[derive(Debug)]
pub struct Known {
    numbers: AtomicUsize,
    geometries: Memo<(Vec<u32>, Shape), Numbered<Relation>>,
    relations: Memo<Arc<Relation>, usize>,
    distances: Memo<MapKey, Arc<Vec<Distances>>>,
    options: Memo<MapKey, Arc<MapOptions>>,
    /// By map, fold and giant step.
    counts: Memo<(MapKey, (bool, usize)), Option<MapCounts>>,
    lists: Memo<Vec<Layout>, Numbered<Vec<Candidate>>>,
    prices: Memo<[u64; 7], usize>,
    classes: Memo<ClassKey, Cells>,
    /// Where chains are cut at the reference prices, by geometry.
    pub cuts: Memo<Vec<u32>, Vec<usize>>,
}

impl Default for Known {
    fn default() -> Self {
        let of_options = |_: &_, options: &Arc<MapOptions>| options.size();
        let of_cells = |_: &_, cells: &Cells| size_of_val::<[_]>(cells);
        Self {
            numbers: AtomicUsize::new(0),
            geometries: Memo::sized(BYTES, |key, r| 4 * key.0.len() + r.value.size()),
            relations: Memo::sized(BYTES, |r, _| r.size()),
            distances: Memo::sized(BYTES, |_, d| d.iter().map(Distances::size).sum()),
            options: Memo::sized(BYTES, of_options),
            counts: Memo::new(ENTRIES),
            lists: Memo::new(ENTRIES),
            prices: Memo::new(ENTRIES),
            classes: Memo::sized(BYTES, of_cells),
            cuts: Memo::new(ENTRIES),
        }
    }
}

impl Known {
    /// A number that nobody has.
    fn number(&self) -> usize {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// The relation of a chain, see [`Relation::new`].
    pub fn relation<'a>(
        &self,
        stages: impl Iterator<Item = &'a Linear> + Clone,
        input: Shape,
        output: Shape,
    ) -> Numbered<Relation> {
        let key = (geometry::encode(stages.clone(), input), output);
        self.geometries.of(key, |_| {
            let value = Arc::new(Relation::new(stages, input, output));
            Numbered {
                number: self.relations.of(Arc::clone(&value), |_| self.number()),
                value,
            }
        })
    }

    /// The ways to compute a map of this relation between two layouts.
    pub fn options(
        &self,
        relation: &Numbered<Relation>,
        input: &Layout,
        output: &Layout,
    ) -> Arc<MapOptions> {
        let key = (relation.number, input.clone(), output.clone());
        self.options.of(key, |_| {
            // Candidates that differ in copies and twist share distances.
            let single = [input, output].map(relation::single);
            let [from, to] = single.clone();
            let distances = self.distances.of((relation.number, from, to), |_| {
                Arc::new(relation.value.distances(&single[0], &single[1]))
            });
            let entries = relation.value.entries();
            Arc::new(MapOptions::new(&distances, entries, [input, output]))
        })
    }

    /// The cheapest of these ways.
    pub fn cheapest(
        &self,
        relation: &Numbered<Relation>,
        input: &Layout,
        output: &Layout,
        prices: &Prices,
    ) -> MapChoice {
        self.options(relation, input, output).cheapest(prices)
    }

    /// The true counts of a map of this relation between two layouts, with this fold and giant step; `count`
    /// finds them.
    pub fn counts(
        &self,
        relation: &Numbered<Relation>,
        input: &Layout,
        output: &Layout,
        split: (bool, usize),
        count: impl FnOnce() -> Option<MapCounts>,
    ) -> Option<MapCounts> {
        let key = (relation.number, input.clone(), output.clone());
        self.counts.of((key, split), |_| count())
    }

    /// A list of candidates, numbered.
    pub fn list(&self, candidates: Vec<Candidate>) -> Numbered<Vec<Candidate>> {
        let both = candidates
            .iter()
            .flat_map(|c| [c.plain.clone(), c.seen.clone()]);
        self.lists.of(both.collect(), |_| Numbered {
            number: self.number(),
            value: Arc::new(candidates),
        })
    }

    /// A number for the prices of linear maps.
    pub fn prices(&self, prices: &Prices) -> usize {
        let map = &prices.map;
        let all = [
            map.input,
            map.output,
            map.baby,
            map.giant,
            map.diagonal,
            map.fold,
            prices.scale,
        ];
        self.prices.of(all.map(f64::to_bits), |_| self.number())
    }

    /// The cells of a class with so many of them.
    pub fn class(&self, key: ClassKey, cells: usize) -> Cells {
        self.classes
            .of(key, |_| (0..cells).map(|_| OnceLock::new()).collect())
    }
}
