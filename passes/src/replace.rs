//! **replace**: other operators in the place of activations.
//!
//! An activation of a folded graph has alternatives: a polynomial, a series, or an affine map, with
//! which the linear operators around it merge once the graph is folded again.

use hecc_ir::nn::{Graph, Op, ValueId};
use petgraph::algo::toposort;

/// The activations of a graph in dataflow order, that of [`hecc_ir::nn_eval::evaluate`]; none of a
/// graph with a cycle.
pub fn activations(graph: &Graph) -> Vec<ValueId> {
    let order = toposort(&graph.nodes, None).unwrap_or_default();
    let is_activation = |id: &ValueId| matches!(graph.nodes[*id].op, Op::Activation(_));
    order.into_iter().filter(is_activation).collect()
}

/// The graph with `ops` instead of its activations, in the order of [`activations`]. Names, shapes and
/// edges stay; to make one map of what became linear, fold it again.
///
/// # Panics
/// Unless there is one operator for each activation.
pub fn apply(graph: &Graph, ops: &[Op]) -> Graph {
    let ids = activations(graph);
    assert_eq!(ids.len(), ops.len(), "one operator for each activation");
    let mut edited = graph.clone();
    for (id, op) in ids.into_iter().zip(ops) {
        edited.nodes[id].op = op.clone();
    }
    edited
}

#[cfg(test)]
mod tests {
    use super::*;
    use hecc_ir::function::Function;
    use hecc_ir::nn::{Linear, Shape};
    use hecc_ir::nn_eval::{evaluate, exact};

    /// The branches are pushed in the opposite order of their use.
    #[test]
    fn operators_take_the_places_that_evaluation_visits() {
        let shape = Shape::new(2, 1, 1);
        let mut graph = Graph::new("image", shape);
        let x = graph.input;
        let late = graph.push(Op::Activation(Function::Abs), "late", shape, &[]);
        let early = graph.push(Op::Activation(Function::Relu), "early", shape, &[x]);
        graph.nodes.add_edge(early, late, 0);
        graph.output = graph.push(Op::Mul, "product", shape, &[late, early]);
        let mut seen = Vec::new();
        let mut see = |id, values: &mut [f32]| {
            seen.push(id);
            exact(&graph)(id, values);
        };
        assert_eq!(evaluate(&graph, &[-2.0, 3.0], &mut see), Ok(vec![0.0, 9.0]));
        assert_eq!(activations(&graph), seen);
        let line = Op::Linear(Linear::Affine {
            scale: vec![1.0, 2.0],
            shift: vec![1.0, 0.0],
        });
        let square = Op::Activation(Function::Power { exponent: 2 });
        let edited = apply(&graph, &[line, square]);
        let output = evaluate(&edited, &[-2.0, 3.0], &mut exact(&edited));
        assert_eq!(output, Ok(vec![-1.0, 216.0]));
    }
}
