//! **fold_linear**: merges neighbouring linear operators and brings the graph into normal form.
//!
//! Does: writes every operand of an activation or a product, and the output, as a sum of chains
//! `hub -> Linear -> Linear ...`. Hubs are the input, the results of activations and products, and every
//! other value that more than one operator reads: it is computed once. Only a short chain that merely
//! moves or scales the elements of one hub is repeated for each of its readers. `Conv` followed by a
//! per-channel `Affine` becomes one `Conv`; neighbouring scalings, `Slice`s, `Pad`s, `Gather`s,
//! `Reshape`s merge; a selection in front of a `Gemm` becomes a selection of its columns, channels added
//! or taken away around a `Conv` become rows or columns of its weight; operators that do nothing go; a
//! linear operator behind an `Add` moves in front of it. What cannot be multiplied into one operator
//! (pool and Gemm, slice and pad) stays a chain, which later passes treat as one matrix. Sorts and names
//! the nodes by structure alone, so that equivalent exports of a network give equal graphs.
//!
//! Does not: touch activations, choose layouts, multiply general matrices.
//!
//! In: a verified nn graph. Out: a verified nn graph, where the operands of an `Add` are chains, hubs or
//! an `Add` with that one reader, the operand of a `Linear` is a hub or a `Linear` with that one reader,
//! and nodes are numbered in execution order; what the output does not need is gone. Folding it again
//! changes nothing. Keeps the graph's meaning up to f32 rounding of folded weights, in the rounding
//! that exporters use (weight times gamma/sqrt(var + eps), one f32 product).
//!
//! Depth: every path between two hubs becomes one level. Rotations: never more diagonals than before,
//! except that a linear operator behind an `Add` is computed once per addend.
//!
//! Test: `folding_keeps_the_meaning`, `exports_become_equal` in `tests/folding.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hecc_ir::nn::{Graph, Linear, Op, Shape, ValueId};
use petgraph::algo::toposort;

use crate::PassError;
use crate::algebra;

/// The folded graph, and where its nodes come from.
#[derive(Clone, Debug)]
pub struct Folded {
    /// In normal form, with canonical names.
    pub graph: Graph,
    /// Canonical name to ONNX name, for messages.
    pub origins: BTreeMap<String, String>,
}

/// Addends one value may have; a graph that needs more is refused.
const MAX_ADDENDS: usize = 64;
/// Stages of a chain that is repeated for each of its readers.
const MAX_REPEATED: usize = 3;
/// Stages and constants that all sums together may hold, so that a small file cannot make a large graph.
const MAX_STAGES: usize = 1 << 18;
const MAX_CONSTANTS: usize = 1 << 27;

/// One linear operator of a chain.
#[derive(Clone, Debug)]
struct Stage {
    op: Arc<Linear>,
    shape: Shape,
    name: String,
}

/// `stages` applied to the value of the hub `source`.
#[derive(Clone, Debug)]
struct Chain {
    source: ValueId,
    /// Shape of the source.
    shape: Shape,
    stages: Vec<Stage>,
}

impl Chain {
    /// Shape after the first `stages` stages.
    fn shape_after(&self, stages: usize) -> Shape {
        match stages.checked_sub(1) {
            Some(last) => self.stages[last].shape,
            None => self.shape,
        }
    }

    /// Appends a stage, merging it with the stages before it as long as that is possible. `made`
    /// counts the constants of the products.
    fn push(&mut self, mut stage: Stage, made: &mut usize) {
        loop {
            let count = self.stages.len();
            let middle = self.shape_after(count);
            if let Some(simpler) = algebra::simplest(&stage.op, middle) {
                stage.op = Arc::new(simpler);
            }
            if algebra::is_identity(&stage.op, middle, stage.shape) {
                return;
            }
            let Some(merged) = self.merged(count, &stage) else {
                break;
            };
            *made += algebra::weight_count(&merged.op);
            self.stages.pop();
            stage = merged;
        }
        // A mean of shifted and scaled values is the shifted and scaled mean: what stands before the
        // pool may absorb the affine map.
        let count = self.stages.len();
        if let (Linear::Affine { .. }, [.., _, pool]) = (&*stage.op, self.stages.as_slice()) {
            let moved = Stage {
                shape: self.shape_after(count - 1),
                ..stage.clone()
            };
            if matches!(*pool.op, Linear::AveragePool { .. })
                && let Some(merged) = self.merged(count - 1, &moved)
            {
                *made += algebra::weight_count(&merged.op);
                self.stages[count - 2] = merged;
                return;
            }
        }
        self.stages.push(stage);
    }

    /// `stage` behind the first `count` stages, merged with the last of these.
    fn merged(&self, count: usize, stage: &Stage) -> Option<Stage> {
        let previous = &self.stages[count.checked_sub(1)?];
        let shapes = algebra::Shapes {
            input: self.shape_after(count - 1),
            middle: previous.shape,
            output: stage.shape,
        };
        let op = algebra::compose(&previous.op, &stage.op, shapes)?;
        Some(self.named(previous, stage, op))
    }

    /// The name of the heavier operator says more: Conv over BatchNormalization.
    fn named(&self, first: &Stage, second: &Stage, op: Linear) -> Stage {
        let heavier = algebra::weight_count(&first.op) >= algebra::weight_count(&second.op);
        let name = if heavier { &first.name } else { &second.name };
        Stage {
            op: Arc::new(op),
            shape: second.shape,
            name: name.clone(),
        }
    }

    /// Zero channels around the last operator become rows of zeros; not before the chain ends, because an
    /// operator that follows may do without them.
    fn finish(&mut self, made: &mut usize) {
        if let [.., first, second] = self.stages.as_slice()
            && let Some(op) = algebra::widened(&first.op, &second.op)
        {
            *made += algebra::weight_count(&op);
            let wide = self.named(first, second, op);
            self.stages.truncate(self.stages.len() - 2);
            self.stages.push(wide);
        }
    }
}

/// A sum of chains, as one value.
#[derive(Clone, Debug)]
struct Sum {
    addends: Vec<Chain>,
    /// Name of the outermost `Add`.
    name: String,
}

impl Sum {
    /// The hub itself.
    fn of(graph: &Graph, id: ValueId) -> Self {
        Self {
            addends: vec![Chain {
                source: id,
                shape: graph.nodes[id].shape,
                stages: Vec::new(),
            }],
            name: graph.nodes[id].name.clone(),
        }
    }

    /// Whether repeating it for every reader costs next to nothing.
    fn is_light(&self) -> bool {
        let light = |chain: &Chain| {
            chain.stages.len() <= MAX_REPEATED
                && chain.stages.iter().all(|s| algebra::is_light(&s.op))
        };
        self.addends.len() == 1 && self.addends.iter().all(light)
    }
}

/// The sums that every hub, and the output, is made of: one, two for a product, none for the input.
#[derive(Default)]
struct Hubs {
    sums: BTreeMap<ValueId, Vec<Sum>>,
    keys: Keys,
}

impl Hubs {
    fn insert(&mut self, graph: &Graph, id: ValueId, sums: Vec<Sum>) {
        let key = structure_key(&graph.nodes[id].op, &sums, &self.keys);
        self.keys.insert(id, key);
        self.sums.insert(id, sums);
    }
}

/// Runs the pass.
///
/// # Errors
/// [`PassError::Cycle`], [`PassError::TooManyAddends`] and [`PassError::FoldsTooMuch`].
pub fn fold_linear(graph: &Graph) -> Result<Folded, PassError> {
    let hubs = hubs(graph)?;
    let order = canonical_order(graph, &hubs);
    Ok(rebuild(graph, &hubs, &order))
}

/// How often every value is read on the way to the output.
fn readers(graph: &Graph) -> Vec<usize> {
    let mut counts = vec![0; graph.nodes.node_count()];
    let mut seen = BTreeSet::from([graph.output]);
    let mut open = vec![graph.output];
    while let Some(id) = open.pop() {
        for operand in graph.operands(id) {
            counts[operand.index()] += 1;
            if seen.insert(operand) {
                open.push(operand);
            }
        }
    }
    counts
}

/// The affine form of everything that the output needs, over the hubs, in execution order.
fn hubs(graph: &Graph) -> Result<Hubs, PassError> {
    let order = toposort(&graph.nodes, None).map_err(|_| PassError::Cycle)?;
    let readers = readers(graph);
    let mut hubs = Hubs::default();
    let mut sums: BTreeMap<ValueId, Sum> = BTreeMap::new();
    let (mut stages, mut made) = (0, 0);
    for id in order {
        let (node, count) = (&graph.nodes[id], readers[id.index()]);
        if count == 0 && id != graph.output {
            continue;
        }
        let operands: Vec<Sum> = graph
            .operands(id)
            .into_iter()
            .map(|operand| match readers[operand.index()] {
                1 => sums.remove(&operand),
                _ => sums.get(&operand).cloned(),
            })
            .map(|sum| sum.expect("operands come first"))
            .collect();
        let mut sum = match &node.op {
            Op::Input | Op::Activation(_) | Op::Mul => {
                let operands = operands.into_iter().map(|sum| finished(sum, &mut made));
                hubs.insert(graph, id, operands.collect());
                Sum::of(graph, id)
            }
            Op::Linear(linear) => {
                let stage = Stage {
                    op: Arc::new(linear.clone()),
                    shape: node.shape,
                    name: node.name.clone(),
                };
                applied(operands, &stage, &hubs.keys, &mut made)
            }
            Op::Add => added(operands, &node.name),
        };
        if sum.addends.len() > MAX_ADDENDS {
            return Err(PassError::TooManyAddends {
                name: node.name.clone(),
                addends: sum.addends.len(),
                limit: MAX_ADDENDS,
            });
        }
        let ends = id == graph.output && !hubs.sums.contains_key(&id);
        if ends || count > 1 && !sum.is_light() {
            hubs.insert(graph, id, vec![finished(sum, &mut made)]);
            sum = Sum::of(graph, id);
        }
        stages += sum
            .addends
            .iter()
            .map(|c| 1 + c.stages.len())
            .sum::<usize>();
        if stages > MAX_STAGES || made > MAX_CONSTANTS {
            return Err(PassError::FoldsTooMuch {
                name: node.name.clone(),
            });
        }
        sums.insert(id, sum);
    }
    Ok(hubs)
}

fn finished(mut sum: Sum, made: &mut usize) -> Sum {
    sum.addends.iter_mut().for_each(|chain| chain.finish(made));
    sum
}

/// `stage` behind every addend of the one operand.
fn applied(mut operands: Vec<Sum>, stage: &Stage, keys: &Keys, made: &mut usize) -> Sum {
    let mut sum = operands.remove(0);
    // The constant part of an affine map belongs to one addend only: the first in canonical order.
    let ranks = sum.addends.iter().map(|chain| rank(chain, keys));
    let first = ranks.enumerate().min_by(|a, b| a.1.cmp(&b.1));
    let first = first.map_or(0, |(position, _)| position);
    let bare = match sum.addends.len() {
        1 => Arc::clone(&stage.op),
        _ => Arc::new(algebra::without_bias(&stage.op)),
    };
    for (position, chain) in sum.addends.iter_mut().enumerate() {
        let op = if position == first { &stage.op } else { &bare };
        let stage = Stage {
            op: Arc::clone(op),
            ..stage.clone()
        };
        chain.push(stage, made);
    }
    sum
}

fn added(operands: Vec<Sum>, name: &str) -> Sum {
    Sum {
        addends: operands.into_iter().flat_map(|s| s.addends).collect(),
        name: name.to_string(),
    }
}

/// Hubs in execution order: depth first from the output, addends in canonical order.
fn canonical_order(graph: &Graph, hubs: &Hubs) -> Vec<ValueId> {
    let keys = &hubs.keys;
    let mut order = Vec::new();
    let mut placed = BTreeSet::new();
    // An explicit stack: a graph as deep as its node count must not exhaust the thread's.
    let mut stack = vec![(graph.output, false)];
    while let Some((id, done)) = stack.pop() {
        if placed.contains(&id) {
            continue;
        }
        if done {
            placed.insert(id);
            order.push(id);
            continue;
        }
        stack.push((id, true));
        let sums = sorted_sums(&hubs.sums[&id], keys);
        let chains: Vec<&Chain> = sums
            .into_iter()
            .flat_map(|sum| sorted(&sum.addends, keys))
            .collect();
        stack.extend(chains.into_iter().rev().map(|c| (c.source, false)));
    }
    order
}

/// What orders addends: deeper sources first, then longer chains, then a hash of the structure.
type Key = (usize, u64);
type Keys = BTreeMap<ValueId, Key>;

/// Depth in hubs, and a hash of the structure, of a hub made of `sums`.
fn structure_key(op: &Op, sums: &[Sum], keys: &Keys) -> Key {
    let kind = match op {
        Op::Input => "input",
        Op::Linear(_) | Op::Add => "sum",
        Op::Mul => "mul",
        Op::Activation(function) => function.name(),
    };
    let chains = || sums.iter().flat_map(|sum| &sum.addends);
    let depth = chains()
        .map(|c| keys.get(&c.source).map_or(0, |k| k.0 + 1))
        .max();
    let mut hashes: Vec<u64> = chains().map(|c| chain_hash(c, keys)).collect();
    hashes.sort_unstable();
    let start = kind.bytes().fold(2, |h, b| mix(h, u64::from(b)));
    (depth.unwrap_or(0), hashes.into_iter().fold(start, mix))
}

fn chain_hash(chain: &Chain, keys: &Keys) -> u64 {
    let start = keys.get(&chain.source).map_or(0, |k| k.1);
    chain.stages.iter().fold(start, |hash, stage| {
        let kind = stage
            .op
            .name()
            .bytes()
            .fold(hash, |h, b| mix(h, u64::from(b)));
        let axes = stage.shape.axes();
        axes.into_iter().fold(kind, |h, n| mix(h, n as u64))
    })
}

/// FNV-1a on whole words: stable between builds, which the standard hasher does not promise.
fn mix(hash: u64, word: u64) -> u64 {
    (hash ^ word)
        .wrapping_mul(0x0000_0100_0000_01b3)
        .rotate_left(23)
}

type Rank = (std::cmp::Reverse<usize>, std::cmp::Reverse<usize>, u64);

fn rank(chain: &Chain, keys: &Keys) -> Rank {
    let depth = keys.get(&chain.source).map_or(0, |k| k.0);
    (
        std::cmp::Reverse(depth),
        std::cmp::Reverse(chain.stages.len()),
        chain_hash(chain, keys),
    )
}

fn sorted<'a>(addends: &'a [Chain], keys: &Keys) -> Vec<&'a Chain> {
    let mut chains: Vec<&Chain> = addends.iter().collect();
    chains.sort_by_cached_key(|c| rank(c, keys));
    chains
}

/// The factors of a product in canonical order.
fn sorted_sums<'a>(sums: &'a [Sum], keys: &Keys) -> Vec<&'a Sum> {
    let mut sums: Vec<&Sum> = sums.iter().collect();
    sums.sort_by_cached_key(|sum| {
        let chains = sorted(&sum.addends, keys);
        chains
            .into_iter()
            .map(|c| rank(c, keys))
            .collect::<Vec<_>>()
    });
    sums
}

struct Rebuilt {
    graph: Graph,
    origins: BTreeMap<String, String>,
    counts: BTreeMap<&'static str, usize>,
    /// Hubs of the old graph in the new one.
    placed: BTreeMap<ValueId, ValueId>,
}

impl Rebuilt {
    fn push(
        &mut self,
        op: Op,
        kind: &'static str,
        origin: &str,
        shape: Shape,
        operands: &[ValueId],
    ) -> ValueId {
        let count = self.counts.entry(kind).or_insert(0);
        *count += 1;
        let name = format!("{kind}{count}");
        self.origins.insert(name.clone(), origin.to_string());
        self.graph.push(op, &name, shape, operands)
    }

    fn sum(&mut self, sum: &Sum, keys: &Keys) -> ValueId {
        let mut total: Option<ValueId> = None;
        for chain in sorted(&sum.addends, keys) {
            let mut value = self.placed[&chain.source];
            for stage in &chain.stages {
                let op = Op::Linear((*stage.op).clone());
                value = self.push(op, stage.op.name(), &stage.name, stage.shape, &[value]);
            }
            let shape = chain.shape_after(chain.stages.len());
            total = Some(match total {
                None => value,
                Some(left) => self.push(Op::Add, "add", &sum.name, shape, &[left, value]),
            });
        }
        total.expect("a sum has at least one addend")
    }
}

fn rebuild(old: &Graph, hubs: &Hubs, order: &[ValueId]) -> Folded {
    let input = &old.nodes[old.input];
    let mut new = Rebuilt {
        graph: Graph::new("input", input.shape),
        origins: BTreeMap::from([("input".to_string(), input.name.clone())]),
        counts: BTreeMap::new(),
        placed: BTreeMap::new(),
    };
    new.placed.insert(old.input, new.graph.input);
    for &hub in order {
        let node = &old.nodes[hub];
        let operands: Vec<ValueId> = sorted_sums(&hubs.sums[&hub], &hubs.keys)
            .into_iter()
            .map(|sum| new.sum(sum, &hubs.keys))
            .collect();
        let id = match &node.op {
            Op::Input => new.graph.input,
            Op::Linear(_) | Op::Add => operands[0],
            Op::Mul => new.push(Op::Mul, "mul", &node.name, node.shape, &operands),
            Op::Activation(function) => {
                let op = Op::Activation(function.clone());
                new.push(op, function.name(), &node.name, node.shape, &operands)
            }
        };
        new.placed.insert(hub, id);
    }
    new.graph.output = new.placed[&old.output];
    Folded {
        graph: new.graph,
        origins: new.origins,
    }
}
