//! **allocate_levels**: slots become ciphertexts with a level and an exact scale.
//!
//! Does: gives every value its level and scale under one activation per bootstrap. The input and
//! every activation's result stand one level above the one at which the bootstrap takes its
//! operand; each `Linear` and `Scale` (now `MulConst`) takes that one level. All values have the
//! same scale, so that sums and skips agree exactly: the runtime picks each constant's scale as
//! (result's scale) * (prime of the level) / (operand's scale).
//!
//! Does not: place bootstraps freely; a graph that needs two levels between activations is refused,
//! which `fold_linear` never makes.
//!
//! In: a verified slots graph. Out: a verified program. Keeps values, layouts and units.
//!
//! Depth: the whole of the program's, fixed here. Rotations: none added.
//!
//! Test: `levels_of_a_residual_block` below, and the plan's independent checker.

use hecc_ir::params::Parameters;
use hecc_ir::program::{self, Program};
use hecc_ir::slots::{Graph, Op};

use crate::PassError;

/// log2 of the scale of every ciphertext of a program. It is that of the primes below the
/// activations: the bits a linear map's plaintexts carry.
pub const LOG_SCALE: i32 = 30;

/// Runs the pass.
///
/// # Errors
/// [`PassError::Level`] for an operator whose operands stand at the wrong level.
pub fn allocate_levels(graph: Graph, parameters: &Parameters) -> Result<Program, PassError> {
    let scale = f64::from(LOG_SCALE).exp2();
    let enter = parameters.activation_in();
    let mut nodes: Vec<program::Node> = Vec::with_capacity(graph.nodes.len());
    for (value, node) in graph.nodes.into_iter().enumerate() {
        let wrong = |expected: usize, got: usize| PassError::Level {
            value,
            name: node.name.clone(),
            expected,
            got,
        };
        let down = |x: usize| {
            if nodes[x].level == 0 {
                Err(wrong(1, 0))
            } else {
                Ok(nodes[x].level - 1)
            }
        };
        let (op, level) = match node.op {
            Op::Input => (program::Op::Input, enter + 1),
            Op::Linear { x, map } => (program::Op::Linear { x, map }, down(x)?),
            Op::Scale { x, factor } => (program::Op::MulConst { x, factor }, down(x)?),
            Op::Add { x, y } => {
                if nodes[x].level != nodes[y].level {
                    return Err(wrong(nodes[x].level, nodes[y].level));
                }
                (program::Op::Add { x, y }, nodes[x].level)
            }
            Op::Activate {
                x,
                coefficients,
                rho,
            } => {
                if nodes[x].level != enter {
                    return Err(wrong(enter, nodes[x].level));
                }
                (
                    program::Op::Activate {
                        x,
                        coefficients,
                        rho,
                    },
                    enter + 1,
                )
            }
        };
        nodes.push(program::Node {
            op,
            name: node.name,
            layout: node.layout,
            level,
            scale,
            unit: node.unit,
        });
    }
    Ok(Program {
        nodes,
        maps: graph.maps,
    })
}

#[cfg(test)]
mod tests {
    use hecc_ir::layout::Layout;
    use hecc_ir::nn::Shape;

    use super::*;

    /// Input, an activation on it, and the sum of both: `relu(x) + skip`.
    fn block(skip: usize) -> Graph {
        let layout = Layout {
            slots: 1 << 10,
            shape: Shape::new(4, 8, 8),
            gap: 1,
            rows: 8,
            cols: 8,
            copies: 4,
            twist: 0,
        };
        let mut graph = Graph::default();
        let mut push = |op| graph.push(op, "node", layout.clone(), 1.0);
        let activate = |x| Op::Activate {
            x,
            coefficients: vec![0.5; 16],
            rho: 0.9,
        };
        push(Op::Input);
        push(Op::Scale { x: 0, factor: 1.0 });
        push(activate(1));
        push(Op::Scale { x: 2, factor: 1.0 });
        push(Op::Add { x: 3, y: skip });
        push(activate(4));
        graph
    }

    #[test]
    fn levels_of_a_residual_block() {
        let parameters = Parameters::fused(11, 15);
        let program = allocate_levels(block(1), &parameters).unwrap();
        program.verify(&parameters).unwrap();
        let levels: Vec<usize> = program.nodes.iter().map(|n| n.level).collect();
        assert_eq!(levels, [3, 2, 3, 2, 2, 3]);
        // A skip that nobody brought down a level.
        let error = allocate_levels(block(2), &parameters).unwrap_err();
        let expect = PassError::Level {
            value: 4,
            name: "node".to_string(),
            expected: 2,
            got: 3,
        };
        assert_eq!(error, expect);
    }
}
