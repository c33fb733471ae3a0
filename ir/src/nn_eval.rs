//! The meaning of the nn language in f32.

use crate::kernel;
use crate::nn::{Graph, Op, ValueId};
use crate::nn_verify::VerifyError;

/// Why a graph has no value on an image.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvalError {
    /// The graph breaks a rule of its language.
    #[error(transparent)]
    Graph(#[from] VerifyError),
    /// The image does not fit.
    #[error("the image has {got} values, the input takes {expected}")]
    Image {
        /// Elements of the input.
        expected: usize,
        /// Values given.
        got: usize,
    },
}

/// The output for one image (c-major, normalised). `activation` gets the node of every `Activation`
/// and its operand in place, in dataflow order, and turns it into the result: [`exact`] gives the
/// network itself.
///
/// # Errors
/// When the graph breaks a rule, or the image has the wrong length.
pub fn evaluate(
    graph: &Graph,
    image: &[f32],
    activation: &mut dyn FnMut(ValueId, &mut [f32]),
) -> Result<Vec<f32>, EvalError> {
    evaluate_observed(graph, image, activation, &mut |_, _| ())
}

/// As [`evaluate`]; `observe` sees every value once it is computed, the image and the output included.
///
/// # Errors
/// As [`evaluate`].
pub fn evaluate_observed(
    graph: &Graph,
    image: &[f32],
    activation: &mut dyn FnMut(ValueId, &mut [f32]),
    observe: &mut dyn FnMut(ValueId, &[f32]),
) -> Result<Vec<f32>, EvalError> {
    graph.verify()?;
    let expected = graph.nodes[graph.input].shape.elements();
    if image.len() != expected {
        return Err(EvalError::Image {
            expected,
            got: image.len(),
        });
    }
    let mut values: Vec<Vec<f32>> = vec![Vec::new(); graph.nodes.node_count()];
    let mut readers: Vec<usize> = graph
        .nodes
        .node_indices()
        .map(|id| graph.nodes.neighbors(id).count())
        .collect();
    // Verified above: without a cycle.
    for id in petgraph::algo::toposort(&graph.nodes, None).unwrap_or_default() {
        let node = &graph.nodes[id];
        let operands = graph.operands(id);
        let value = match &node.op {
            Op::Input => image.to_vec(),
            Op::Linear(linear) => {
                let (x, input) = (&values[operands[0].index()], graph.nodes[operands[0]].shape);
                kernel::apply(linear, input, node.shape, x, true)
            }
            Op::Activation(_) => {
                let mut x = values[operands[0].index()].clone();
                activation(id, &mut x);
                x
            }
            Op::Add => {
                let (x, y) = (&values[operands[0].index()], &values[operands[1].index()]);
                x.iter().zip(y).map(|(x, y)| x + y).collect()
            }
            Op::Mul => {
                let (x, y) = (&values[operands[0].index()], &values[operands[1].index()]);
                x.iter().zip(y).map(|(x, y)| x * y).collect()
            }
        };
        observe(id, &value);
        values[id.index()] = value;
        for operand in operands {
            readers[operand.index()] -= 1;
            if readers[operand.index()] == 0 && operand != graph.output {
                values[operand.index()] = Vec::new();
            }
        }
    }
    Ok(std::mem::take(&mut values[graph.output.index()]))
}

/// The activations of the network itself, for [`evaluate`] of the same graph.
pub fn exact(graph: &Graph) -> impl Fn(ValueId, &mut [f32]) {
    |id, x| {
        if let Op::Activation(function) = &graph.nodes[id].op {
            let shape = graph.nodes[id].shape;
            function.apply_all(shape.h * shape.w, x);
        }
    }
}

/// Position of the largest value; the first of equals, 0 where there is none. What is not a number is
/// never the largest, unless it is the first.
pub fn class<T: PartialOrd>(logits: &[T]) -> usize {
    let better = |best: usize, i: usize| if logits[i] > logits[best] { i } else { best };
    (1..logits.len()).fold(0, better)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::function::Function;
    use crate::nn::{Linear, Shape, Window};
    use crate::testing::{Random, conv};

    #[test]
    fn first_of_the_largest() {
        assert_eq!(class(&[1.0, 3.0, 3.0, f32::NAN]), 1);
        assert_eq!(class::<f64>(&[]), 0);
    }

    #[test]
    fn a_residual_block_in_dataflow_order() {
        let mut random = Random::new(2);
        let shape = Shape::new(4, 6, 6);
        let mut graph = Graph::new("image", shape);
        let (a, b) = (
            conv(&mut random, [4, 4], Window::same(3, 1)),
            conv(&mut random, [4, 4], Window::same(1, 1)),
        );
        let first = graph.push(Op::Linear(a.clone()), "a", shape, &[graph.input]);
        let active = graph.push(Op::Activation(Function::Relu), "relu", shape, &[first]);
        let second = graph.push(Op::Linear(b.clone()), "b", shape, &[active]);
        let sum = graph.push(Op::Add, "add", shape, &[second, active]);
        let flat = Shape::new(144, 1, 1);
        graph.output = graph.push(
            Op::Linear(Linear::Reshape { shape: flat }),
            "flat",
            flat,
            &[sum],
        );
        let image = random.floats(shape.elements());

        let mut hidden = kernel::apply(&a, shape, shape, &image, true);
        hidden.iter_mut().for_each(|x| *x = x.max(0.0));
        let expect: Vec<f32> = kernel::apply(&b, shape, shape, &hidden, true)
            .iter()
            .zip(&hidden)
            .map(|(x, y)| x + y)
            .collect();
        let mut seen = Vec::new();
        let mut activation = |id: ValueId, x: &mut [f32]| {
            seen.push(id);
            exact(&graph)(id, x);
        };
        assert_eq!(evaluate(&graph, &image, &mut activation).unwrap(), expect);
        assert_eq!(seen, [active]);
        assert_eq!(
            evaluate(&graph, &image[1..], &mut exact(&graph)),
            Err(EvalError::Image {
                expected: 144,
                got: 143
            })
        );
        let dump = graph.dump();
        let line = dump.lines().nth(1).unwrap();
        assert!(
            line.starts_with("v1 = conv v0 kernel 3x3 pads 1x1x1x1 weight 144#"),
            "{line}"
        );
        assert!(
            line.ends_with(" : 4x6x6  // a") && dump.ends_with("return v5\n"),
            "{dump}"
        );
    }

    #[test]
    fn products_functions_and_every_value_are_observed() {
        let shape = Shape::new(2, 1, 2);
        let mut graph = Graph::new("image", shape);
        let rows = Function::Polynomial {
            coefficients: vec![vec![0.0, 1.0], vec![1.0, 2.0]],
        };
        let x = graph.input;
        let a = graph.push(Op::Activation(rows), "rows", shape, &[x]);
        let b = graph.push(Op::Mul, "mul", shape, &[a, x]);
        graph.output = graph.push(Op::Activation(Function::Relu), "relu", shape, &[b]);
        let mut seen = Vec::new();
        let output = evaluate_observed(
            &graph,
            &[1.0, 2.0, -0.25, 3.0],
            &mut exact(&graph),
            &mut |id, values| seen.push((id, values.to_vec())),
        );
        let expect = [
            (x, vec![1.0, 2.0, -0.25, 3.0]),
            (a, vec![1.0, 2.0, 0.5, 7.0]),
            (b, vec![1.0, 4.0, -0.125, 21.0]),
            (graph.output, vec![1.0, 4.0, 0.0, 21.0]),
        ];
        assert_eq!(seen, expect);
        assert_eq!(output, Ok(expect[3].1.clone()));
        let dump = graph.dump();
        assert!(
            dump.contains("v1 = polynomial v0 coefficients 2x2#"),
            "{dump}"
        );
        assert!(dump.contains("v2 = mul v1 v0 : 2x1x2  // mul"), "{dump}");
    }
}
