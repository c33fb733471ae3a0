//! Baby steps and giant steps of a map's diagonals.

use std::collections::BTreeSet;

use super::{Offsets, Place};

/// Rotations: the part that is rotated, and by how many slots to the left.
pub type Steps = BTreeSet<(usize, usize)>;

impl Offsets {
    /// Nonzero rotations of the operand that a giant step of `giant` needs.
    pub fn rotations(&self, giant: usize) -> BTreeSet<usize> {
        let (babies, giants) = baby_giant(&self.offsets, giant);
        let steps = babies.union(&giants).map(|&(_, step)| step);
        steps.filter(|&step| step != 0).collect()
    }
}

/// Splits every offset into `giant * j + baby`: all babies, each with the input part that it rotates,
/// and all `giant * j`, each with the output part whose partial sum it rotates; steps of zero included.
/// A `giant` of 0 counts as 1.
pub fn baby_giant(offsets: &BTreeSet<Place>, giant: usize) -> (Steps, Steps) {
    let giant = giant.max(1);
    let split = |p: &Place| {
        let baby = p.offset % giant;
        ((p.input, baby), (p.output, p.offset - baby))
    };
    offsets.iter().map(split).unzip()
}

/// The giant step of least `cost(babies, giants)`, the smallest of several: the rotations by nonzero
/// steps of input parts and of partial sums, as [`baby_giant`] splits `offsets`.
pub fn best_giant(
    offsets: &BTreeSet<Place>,
    slots: usize,
    cost: impl Fn(usize, usize) -> f64,
) -> usize {
    let parts = offsets.iter().map(|p| p.input.max(p.output) + 1).max();
    let mut babies = Distinct::new(parts.unwrap_or(0) * slots);
    let mut giants = babies.clone();
    // Offsets are sums of few multiples of powers of two: steps in between cut their patterns.
    let steps = (0..slots.ilog2()).flat_map(|i| [1, 3, 5, 7].map(|odd| odd << i));
    let priced = steps.filter(|&step| step == 1 || step < slots).map(|step| {
        babies.clear();
        giants.clear();
        for place in offsets {
            let baby = place.offset % step;
            if baby != 0 {
                babies.insert(place.input * slots + baby);
            }
            if baby != place.offset {
                giants.insert(place.output * slots + place.offset - baby);
            }
        }
        (cost(babies.count, giants.count), step)
    });
    priced
        .min_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)))
        .map_or(1, |(_, step)| step)
}

/// Counts distinct numbers, again and again.
#[derive(Clone)]
struct Distinct {
    /// The round in which a number was last seen.
    seen: Vec<u32>,
    round: u32,
    count: usize,
}

impl Distinct {
    fn new(bound: usize) -> Self {
        Self {
            seen: vec![0; bound],
            round: 0,
            count: 0,
        }
    }

    fn clear(&mut self) {
        self.round += 1;
        self.count = 0;
    }

    fn insert(&mut self, number: usize) {
        if std::mem::replace(&mut self.seen[number], self.round) != self.round {
            self.count += 1;
        }
    }
}
