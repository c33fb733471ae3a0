//! **fold_linear**: merges neighbouring linear operators and brings the graph into normal form.
//!
//! Does: writes the operand of every activation, and the output, as a sum of chains
//! `source -> Linear -> Linear ...`, each source the input or an activation. `Conv` followed by a
//! per-channel `Affine` becomes one `Conv`; neighbouring `Affine`s, `Slice`s, `Pad`s, `Reshape`s
//! merge; operators that do nothing go; a linear operator behind an `Add` moves in front of it. What
//! cannot be multiplied into one operator (pool, reshape, Gemm; slice, pad) stays a chain, which later
//! passes treat as one matrix. Sorts and names the nodes by structure alone, so that equivalent
//! exports of a network give equal graphs.
//!
//! Does not: touch activations, choose layouts, multiply general matrices.
//!
//! In: a verified nn graph. Out: a verified nn graph, where an `Add` has chains, activations, the
//! input, or an `Add` as operands, every `Linear` has one user, and nodes are numbered in execution
//! order. Keeps the graph's meaning up to f32 rounding of folded weights, in the rounding that
//! exporters use (weight times gamma/sqrt(var + eps), one f32 product).
//!
//! Depth: every path between two activations becomes one level. Rotations: never more diagonals than
//! before, except that a linear operator behind an `Add` is computed once per addend.
//!
//! Test: `folding_keeps_the_meaning`, `exports_become_equal` in `tests/folding.rs`.

use std::collections::BTreeMap;
use std::sync::Arc;

use hecc_ir::nn::{Graph, Linear, Op, Shape, ValueId};
use petgraph::visit::Topo;

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
/// Stages and constants that all sums together may hold, so that a small file cannot make a large graph:
/// a value with many users is folded into each.
const MAX_STAGES: usize = 1 << 18;
const MAX_CONSTANTS: usize = 1 << 27;

/// One linear operator of a chain.
#[derive(Clone, Debug)]
struct Stage {
    op: Arc<Linear>,
    shape: Shape,
    name: String,
}

/// `stages` applied to the value of the node `source`.
#[derive(Clone, Debug)]
struct Chain {
    source: ValueId,
    /// Shape of the source.
    shape: Shape,
    stages: Vec<Stage>,
}

impl Chain {
    /// Shape after the last stage.
    fn output(&self) -> Shape {
        self.stages.last().map_or(self.shape, |stage| stage.shape)
    }

    /// Appends a stage, merging it with the stages before it as long as that is possible. `made`
    /// counts the constants of the products.
    fn push(&mut self, stage: Stage, made: &mut usize) {
        let input = self.output();
        if algebra::is_identity(&stage.op, input, stage.shape) {
            return;
        }
        let merged = self.stages.last().and_then(|previous| {
            let op = algebra::compose(&previous.op, &stage.op, input)?;
            // The name of the heavier operator says more: Conv over BatchNormalization.
            let heavier = algebra::weight_count(&previous.op) >= algebra::weight_count(&stage.op);
            let name = if heavier { &previous.name } else { &stage.name };
            Some(Stage {
                op: Arc::new(op),
                shape: stage.shape,
                name: name.clone(),
            })
        });
        match merged {
            Some(merged) => {
                *made += algebra::weight_count(&merged.op);
                self.stages.pop();
                self.push(merged, made);
            }
            None => self.stages.push(stage),
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

/// Runs the pass.
///
/// # Errors
/// [`PassError::Cycle`], [`PassError::TooManyAddends`] and [`PassError::FoldsTooMuch`].
pub fn fold_linear(graph: &Graph) -> Result<Folded, PassError> {
    let sums = sums(graph)?;
    let order = canonical_order(graph, &sums);
    Ok(rebuild(graph, &sums, &order))
}

/// The affine form of every value, over the input and the activations.
fn sums(graph: &Graph) -> Result<BTreeMap<ValueId, Sum>, PassError> {
    let mut sums: BTreeMap<ValueId, Sum> = BTreeMap::new();
    let mut walk = Topo::new(&graph.nodes);
    let (mut seen, mut stages, mut made) = (0, 0, 0);
    while let Some(id) = walk.next(&graph.nodes) {
        seen += 1;
        let node = &graph.nodes[id];
        let operands = graph.operands(id);
        let sum = match &node.op {
            Op::Input => Sum {
                addends: Vec::new(),
                name: node.name.clone(),
            },
            Op::Relu => sums_of(&sums, graph, operands[0]),
            Op::Linear(linear) => {
                let mut sum = sums_of(&sums, graph, operands[0]);
                // The constant part of an affine map belongs to one addend only.
                let whole = Arc::new(linear.clone());
                let bare = Arc::new(algebra::without_bias(linear));
                for (position, chain) in sum.addends.iter_mut().enumerate() {
                    let op = if position == 0 { &whole } else { &bare };
                    let stage = Stage {
                        op: Arc::clone(op),
                        shape: node.shape,
                        name: node.name.clone(),
                    };
                    chain.push(stage, &mut made);
                }
                sum
            }
            Op::Add => {
                let mut sum = sums_of(&sums, graph, operands[0]);
                sum.addends
                    .extend(sums_of(&sums, graph, operands[1]).addends);
                sum.name.clone_from(&node.name);
                sum
            }
        };
        if sum.addends.len() > MAX_ADDENDS {
            return Err(PassError::TooManyAddends {
                name: node.name.clone(),
                addends: sum.addends.len(),
                limit: MAX_ADDENDS,
            });
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
    if seen != graph.nodes.node_count() {
        return Err(PassError::Cycle);
    }
    Ok(sums)
}

/// What a user of `id` sees: the value itself for the input and activations, its sum otherwise.
fn sums_of(sums: &BTreeMap<ValueId, Sum>, graph: &Graph, id: ValueId) -> Sum {
    match graph.nodes[id].op {
        Op::Input | Op::Relu => Sum {
            addends: vec![Chain {
                source: id,
                shape: graph.nodes[id].shape,
                stages: Vec::new(),
            }],
            name: graph.nodes[id].name.clone(),
        },
        Op::Linear(_) | Op::Add => sums[&id].clone(),
    }
}

/// Activations in execution order: depth first from the output, addends in canonical order.
fn canonical_order(graph: &Graph, sums: &BTreeMap<ValueId, Sum>) -> Vec<ValueId> {
    let keys = structure_keys(graph, sums);
    let mut order = Vec::new();
    let mut placed = std::collections::BTreeSet::new();
    // An explicit stack: a graph as deep as its node count must not exhaust the thread's.
    let mut stack = vec![(graph.output, false)];
    while let Some((id, done)) = stack.pop() {
        if done {
            if matches!(graph.nodes[id].op, Op::Relu) && placed.insert(id) {
                order.push(id);
            }
            continue;
        }
        if placed.contains(&id) {
            continue;
        }
        stack.push((id, true));
        for chain in sorted(&sums[&id].addends, &keys).into_iter().rev() {
            if chain.source != id {
                stack.push((chain.source, false));
            }
        }
        if matches!(graph.nodes[id].op, Op::Relu) {
            continue;
        }
    }
    order
}

/// What orders addends: deeper sources first, then longer chains, then a hash of the structure.
type Key = (usize, u64);

fn structure_keys(graph: &Graph, sums: &BTreeMap<ValueId, Sum>) -> BTreeMap<ValueId, Key> {
    let mut keys = BTreeMap::new();
    let mut walk = Topo::new(&graph.nodes);
    while let Some(id) = walk.next(&graph.nodes) {
        let key = match graph.nodes[id].op {
            Op::Input => (0, 1),
            Op::Relu => {
                let addends = &sums[&id].addends;
                let depth = addends
                    .iter()
                    .map(|c| keys.get(&c.source).map_or(0, |k: &Key| k.0))
                    .max();
                let mut hashes: Vec<u64> = addends.iter().map(|c| chain_hash(c, &keys)).collect();
                hashes.sort_unstable();
                (depth.unwrap_or(0) + 1, hashes.into_iter().fold(2, mix))
            }
            Op::Linear(_) | Op::Add => continue,
        };
        keys.insert(id, key);
    }
    keys
}

fn chain_hash(chain: &Chain, keys: &BTreeMap<ValueId, Key>) -> u64 {
    let start = keys.get(&chain.source).map_or(0, |k| k.1);
    chain.stages.iter().fold(start, |hash, stage| {
        let shape = stage.shape;
        let kind = stage
            .op
            .name()
            .bytes()
            .fold(hash, |h, b| mix(h, u64::from(b)));
        [shape.c, shape.h, shape.w]
            .into_iter()
            .fold(kind, |h, n| mix(h, n as u64))
    })
}

/// FNV-1a on whole words: stable between builds, which the standard hasher does not promise.
fn mix(hash: u64, word: u64) -> u64 {
    (hash ^ word)
        .wrapping_mul(0x0000_0100_0000_01b3)
        .rotate_left(23)
}

fn sorted<'a>(addends: &'a [Chain], keys: &BTreeMap<ValueId, Key>) -> Vec<&'a Chain> {
    let mut chains: Vec<&Chain> = addends.iter().collect();
    chains.sort_by_key(|c| {
        let depth = keys.get(&c.source).map_or(0, |k| k.0);
        (
            std::cmp::Reverse(depth),
            std::cmp::Reverse(c.stages.len()),
            chain_hash(c, keys),
        )
    });
    chains
}

struct Rebuilt {
    graph: Graph,
    origins: BTreeMap<String, String>,
    counts: BTreeMap<&'static str, usize>,
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

    fn sum(
        &mut self,
        old: &Graph,
        sum: &Sum,
        keys: &BTreeMap<ValueId, Key>,
        placed: &BTreeMap<ValueId, ValueId>,
    ) -> ValueId {
        let mut total: Option<ValueId> = None;
        for chain in sorted(&sum.addends, keys) {
            let mut value = placed[&chain.source];
            let mut shape = old.nodes[chain.source].shape;
            for stage in &chain.stages {
                let kind = stage.op.name();
                value = self.push(
                    Op::Linear((*stage.op).clone()),
                    kind,
                    &stage.name,
                    stage.shape,
                    &[value],
                );
                shape = stage.shape;
            }
            total = Some(match total {
                None => value,
                Some(left) => self.push(Op::Add, "add", &sum.name, shape, &[left, value]),
            });
        }
        total.expect("a sum has at least one addend")
    }
}

fn rebuild(old: &Graph, sums: &BTreeMap<ValueId, Sum>, order: &[ValueId]) -> Folded {
    let keys = structure_keys(old, sums);
    let input = &old.nodes[old.input];
    let graph = Graph::new("input", input.shape);
    let origins = BTreeMap::from([("input".to_string(), input.name.clone())]);
    let mut new = Rebuilt {
        graph,
        origins,
        counts: BTreeMap::new(),
    };
    let mut placed = BTreeMap::from([(old.input, new.graph.input)]);
    for &relu in order {
        let node = &old.nodes[relu];
        let operand = new.sum(old, &sums[&relu], &keys, &placed);
        let id = new.push(Op::Relu, "relu", &node.name, node.shape, &[operand]);
        placed.insert(relu, id);
    }
    new.graph.output = match placed.get(&old.output) {
        Some(&id) => id,
        None => new.sum(old, &sums[&old.output], &keys, &placed),
    };
    Folded {
        graph: new.graph,
        origins: new.origins,
    }
}
