//! Which values stand at a program's scale, and which can be made at any.

use hecc_ir::function::Approximation;
use hecc_ir::slots::{Graph, Node, Op};

/// Whether a value can be made at any scale without a cost: its operator encodes a constant, and the
/// one reader asks for it.
pub(super) struct Scales {
    pub settable: Vec<bool>,
    /// Products that a multiplication by 1 brings to S.
    pub mended: Vec<bool>,
    /// Whether the value stands at S, or at what its one reader asks for; not so for a product that
    /// only linear maps read.
    pub exact: Vec<bool>,
}

impl Scales {
    /// Of the values of a graph.
    pub fn of(graph: &Graph) -> Self {
        let mut readers = vec![Vec::new(); graph.nodes.len()];
        for (value, node) in graph.nodes.iter().enumerate() {
            let mut operands = node.op.operands();
            operands.dedup();
            operands.into_iter().for_each(|x| readers[x].push(value));
        }
        let mut scales = Self {
            settable: Vec::with_capacity(graph.nodes.len()),
            mended: Vec::with_capacity(graph.nodes.len()),
            exact: Vec::with_capacity(graph.nodes.len()),
        };
        for (value, node) in graph.nodes.iter().enumerate() {
            let readers = &readers[value];
            let alone = readers.len() == 1;
            let settable = &scales.settable;
            let free = match &node.op {
                Op::Mul { x, y } => Some(settable[*x] || settable[*y]),
                Op::Activation { x, .. } if is_product(node) => Some(settable[*x]),
                Op::Input
                | Op::Linear { .. }
                | Op::Scale { .. }
                | Op::Add { .. }
                | Op::Activation { .. } => None,
            };
            let corrects = |reader: &usize| {
                matches!(
                    graph.nodes[*reader].op,
                    Op::Linear { .. } | Op::Scale { .. }
                )
            };
            let asked = readers.is_empty() || !readers.iter().all(corrects);
            let makes_any = match &node.op {
                Op::Input | Op::Mul { .. } => false,
                Op::Linear { .. } | Op::Scale { .. } => alone,
                Op::Add { x, y } => alone && settable[*x] && settable[*y],
                Op::Activation { .. } => alone && free.is_none(),
            };
            scales.settable.push(makes_any);
            scales.mended.push(free == Some(false) && asked);
            scales.exact.push(free != Some(false) || asked);
        }
        scales
    }
}

/// Whether the node multiplies, or may, by a square.
fn is_product(node: &Node) -> bool {
    match &node.op {
        Op::Mul { .. } => true,
        Op::Activation { ways, .. } => ways
            .iter()
            .any(|way| matches!(way, Approximation::Square { .. })),
        Op::Input | Op::Linear { .. } | Op::Scale { .. } | Op::Add { .. } => false,
    }
}
