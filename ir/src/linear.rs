//! Every linear operator as a matrix between two layouts, stored as generalised diagonals.

use std::collections::BTreeMap;

/// `out[s] = sum_d diagonals[d][s] * in[(s + d) mod slots]`, plus `bias[s]`.
#[derive(Clone, Debug)]
pub struct Diagonals {
    /// Slots.
    pub slots: usize,
    /// Offset to values, one per output slot.
    pub diagonals: BTreeMap<usize, Vec<f64>>,
    /// One per output slot, added after the fold.
    pub bias: Vec<f64>,
    /// Left rotations applied in turn after the sum: x += rotate(x, r).
    pub folds: Vec<usize>,
}
