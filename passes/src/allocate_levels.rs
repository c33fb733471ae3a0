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
