//! Where a chain of linear operators becomes several maps.

use hecc_ir::layout::Layout;
use hecc_ir::linear::{MAX_STAGES, MAX_STORED, MAX_VISITED, MAX_WORK};
use hecc_ir::nn::{Linear, Shape};
use hecc_ir::sparse;

use super::Stage;
use crate::cost::Prices;
use crate::geometry;
use crate::known::Known;
use crate::layout_candidates::{Twist, plain_candidates, total_stride, with_copies, with_twists};
use crate::relation::Relation;

/// Slots of the ciphertexts for which the maps are compared.
const SLOTS: usize = 1 << 14;
/// Seconds that one level more costs everything around it.
const LEVEL: f64 = 0.15;
/// Longest part of a chain that is weighed as one map, unless it is the whole chain.
const MAX_WEIGHED: usize = 6;

/// How many stages go into each map but the last, in order; none for a chain that stays whole.
///
/// Weighs the maps by their diagonals and rotations between dense layouts of 2^14 slots, and every cut
/// at the price of a level. A depthwise and a 1x1 convolution of n channels are cut (9 + n diagonals
/// against 9n), a pool before a convolution is; a global pool before a Gemm, or a slice before a pad, is
/// not.
pub fn cuts(stages: &[Stage], input: Shape, prices: &Prices, known: &Known) -> Vec<usize> {
    if stages.len() < 2 {
        return Vec::new();
    }
    let key = geometry::encode(stages.iter().map(|s| &s.op), input);
    known
        .cuts
        .of(key, |_| weighed(stages, input, prices, known))
}

fn weighed(stages: &[Stage], input: Shape, prices: &Prices, known: &Known) -> Vec<usize> {
    let count = stages.len();
    let shape = |at: usize| at.checked_sub(1).map_or(input, |last| stages[last].shape);
    let ops = |from: usize, to: usize| stages[from..to].iter().map(|s| &s.op);
    let layouts: Vec<Vec<Layout>> = (0..=count)
        .map(|at| candidates(input, ops(0, at), shape(at), at < count, known))
        .collect();
    let maps = Maps { prices, known };
    let whole = maps.between(
        ops(0, count),
        input,
        shape(count),
        &layouts[0],
        &layouts[count],
    );
    let whole = whole.map(|costs| costs.into_iter().flatten().fold(f64::INFINITY, f64::min));
    // Cutting saves less than the whole map.
    if whole.is_some_and(|whole| whole <= LEVEL) {
        return Vec::new();
    }
    // Cheapest way to reach every layout behind every stage, and where its last map begins.
    let mut best: Vec<Vec<Way>> = vec![vec![
        Way {
            cost: 0.0,
            from: (0, 0)
        };
        layouts[0].len()
    ]];
    for to in 1..=count {
        let mut reached = vec![
            Way {
                cost: f64::INFINITY,
                from: (0, 0)
            };
            layouts[to].len()
        ];
        for from in to.saturating_sub(MAX_WEIGHED)..to {
            let level = if from > 0 { LEVEL } else { 0.0 };
            let (a, b) = (&layouts[from], &layouts[to]);
            let Some(costs) = maps.between(ops(from, to), shape(from), shape(to), a, b) else {
                continue;
            };
            for (i, costs) in costs.iter().enumerate() {
                for (way, cost) in reached.iter_mut().zip(costs) {
                    let cost = best[from][i].cost + level + cost;
                    if cost < way.cost {
                        *way = Way {
                            cost,
                            from: (from, i),
                        };
                    }
                }
            }
        }
        best.push(reached);
    }
    let last = best[count].iter().enumerate();
    let Some((at, end)) = last.min_by(|a, b| a.1.cost.total_cmp(&b.1.cost)) else {
        return Vec::new();
    };
    // Nothing is better than a whole map, unless that is impossible: then every stage has its own.
    if whole.is_some_and(|whole| whole <= end.cost) {
        return Vec::new();
    }
    if end.cost.is_infinite() {
        return vec![1; count - 1];
    }
    let mut ends = Vec::new();
    let mut at = (count, at);
    while at.0 > 0 {
        let from = best[at.0][at.1].from;
        ends.push(at.0 - from.0);
        at = from;
    }
    ends.reverse();
    ends.pop();
    ends
}

/// The cheapest way to a layout: seconds, and stage and layout where its last map begins.
#[derive(Clone, Copy)]
struct Way {
    cost: f64,
    from: (usize, usize),
}

/// Layouts behind `ops`; twisted ones as well where something follows.
fn candidates<'a>(
    input: Shape,
    ops: impl Iterator<Item = &'a Linear> + Clone,
    shape: Shape,
    inner: bool,
    known: &Known,
) -> Vec<Layout> {
    let stride = total_stride(ops.clone(), input);
    let entries = known.relation(ops, input, shape).value.entries();
    let copies = MAX_VISITED / entries.max(1);
    let first = plain_candidates(input, SLOTS, &[], "").unwrap_or_default();
    let inherited: Vec<_> = first.into_iter().map(|l| (l, stride)).collect();
    let plain = plain_candidates(shape, SLOTS, &inherited, "").unwrap_or_default();
    let twist = match inner {
        true => Twist::ByMaps,
        false => Twist::Free { granularity: 0 },
    };
    let all = plain
        .into_iter()
        .flat_map(|l| with_twists(with_copies(l, copies), twist));
    all.map(|c| c.seen).collect()
}

/// Counts the maps that parts of the chain would be.
struct Maps<'a> {
    prices: &'a Prices,
    known: &'a Known,
}

impl Maps<'_> {
    /// Seconds from every layout to every layout; `None` where the operators cannot be multiplied.
    fn between<'a>(
        &self,
        ops: impl Iterator<Item = &'a Linear> + Clone,
        input: Shape,
        output: Shape,
        from: &[Layout],
        to: &[Layout],
    ) -> Option<Vec<Vec<f64>>> {
        let count = ops.clone().count();
        if count > 1 && (count > MAX_STAGES || !can_be_stored(ops.clone(), input)) {
            return None;
        }
        let relation = self.known.relation(ops, input, output);
        let row = |a: &Layout| -> Vec<f64> {
            let cost = |b| self.known.cheapest(&relation, a, b, self.prices).cost;
            to.iter().map(cost).collect()
        };
        Some(from.iter().map(row).collect())
    }
}

/// Whether every operator, and every product up to it, has few enough entries, and the products are
/// multiplied soon enough: by half of what is allowed, for the work is known of whole rows only.
fn can_be_stored<'a>(ops: impl Iterator<Item = &'a Linear> + Clone, input: Shape) -> bool {
    let mut shape = input;
    // Entries of the product so far, and the work behind it.
    let (mut before, mut work) = (0, 0usize);
    for (index, op) in ops.clone().enumerate() {
        let Ok(next) = op.output_shape(shape) else {
            return false;
        };
        let alone = sparse::entry_bound(op, shape, next);
        let product = Relation::new(ops.clone().take(index + 1), input, next).entries();
        if index > 0 {
            let terms = alone.saturating_mul(before) / shape.elements().max(1);
            work = work.saturating_add(sparse::work(terms, alone, input.elements()));
        }
        if alone.max(product) > MAX_STORED || work > MAX_WORK / 2 {
            return false;
        }
        (shape, before) = (next, product);
    }
    true
}
