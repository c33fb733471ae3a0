//! Where a chain of linear operators becomes several maps.

use hecc_ir::linear::MAX_STAGES;
use hecc_ir::nn::{Linear, Shape};
use hecc_ir::sparse;

use super::Stage;
use crate::cost::{Prices, cheapest_map};
use crate::layout_candidates::{plain_candidates, total_stride};
use crate::relation::Relation;

/// Slots of the ciphertexts for which the maps are compared.
const SLOTS: usize = 1 << 14;
/// Most entries of a matrix that stages can be multiplied into.
const MAX_STORED: usize = 1 << 24;
/// Longest part of a chain that is weighed as one map, unless it is the whole chain.
const MAX_WEIGHED: usize = 6;

/// How many stages go into each map but the last, in order; none for a chain that stays whole.
///
/// Weighs the maps by their diagonals and rotations between dense layouts of 2^14 slots, and every cut
/// at the price of a level. A depthwise and a 1x1 convolution of n channels are cut (9 + n diagonals
/// against 9n), a pool before a convolution is; a global pool before a Gemm, or a slice before a pad, is
/// not.
pub fn cuts(stages: &[Stage], input: Shape, prices: &Prices) -> Vec<usize> {
    let count = stages.len();
    if count < 2 {
        return Vec::new();
    }
    let shape = |at: usize| at.checked_sub(1).map_or(input, |last| stages[last].shape);
    let cost = |from: usize, to: usize| -> Option<f64> {
        let ops = || stages[from..to].iter().map(|s| &s.op);
        map_cost(ops(), to - from, shape(from), shape(to), prices)
    };
    let whole = cost(0, count);
    // Cutting saves less than the whole map.
    if whole.is_some_and(|whole| whole <= prices.level) {
        return Vec::new();
    }
    // Cheapest way to reach every stage, and where its last map begins.
    let mut best: Vec<(f64, usize)> = vec![(0.0, 0)];
    for to in 1..=count {
        let ways = (to.saturating_sub(MAX_WEIGHED)..to).map(|from| {
            let level = if from > 0 { prices.level } else { 0.0 };
            // A single operator is never refused here, whatever it costs.
            let map = cost(from, to).unwrap_or(match to - from {
                1 => 1e6,
                _ => f64::INFINITY,
            });
            (best[from].0 + level + map, from)
        });
        let way = ways.min_by(|a, b| a.0.total_cmp(&b.0));
        best.push(way.unwrap_or((f64::INFINITY, to - 1)));
    }
    if whole.is_some_and(|whole| whole <= best[count].0) {
        return Vec::new();
    }
    let mut ends = Vec::new();
    let mut at = count;
    while at > 0 {
        let from = best[at].1;
        ends.push(at - from);
        at = from;
    }
    ends.reverse();
    ends.pop();
    ends
}

/// The cheapest single map from a dense layout; `None` where the stages cannot be multiplied.
fn map_cost<'a>(
    ops: impl Iterator<Item = &'a Linear> + Clone,
    count: usize,
    input: Shape,
    output: Shape,
    prices: &Prices,
) -> Option<f64> {
    if count > 1 && (count > MAX_STAGES || !can_be_stored(ops.clone(), input)) {
        return None;
    }
    let relation = Relation::new(ops.clone(), input, output);
    let stride = total_stride(ops, input);
    let mut best: Option<f64> = None;
    for from in plain_candidates(input, SLOTS, &[], "").ok()? {
        let inherited = [(from.clone(), stride)];
        for to in plain_candidates(output, SLOTS, &inherited, "").ok()? {
            let cost = cheapest_map(&relation, &from, &to, prices).cost;
            best = Some(best.map_or(cost, |b| b.min(cost)));
        }
    }
    best.filter(|cost| cost.is_finite())
}

/// Whether every operator, and every product up to it, has few enough entries.
fn can_be_stored<'a>(ops: impl Iterator<Item = &'a Linear> + Clone, input: Shape) -> bool {
    let mut shape = input;
    for (index, op) in ops.clone().enumerate() {
        let Ok(next) = op.output_shape(shape) else {
            return false;
        };
        let alone = sparse::entry_bound(op, shape, next);
        let product = Relation::new(ops.clone().take(index + 1), input, next).entries();
        if alone.max(product) > MAX_STORED {
            return false;
        }
        shape = next;
    }
    true
}
