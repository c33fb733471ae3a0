//! What an evaluation will take: seconds by a cost table, bytes by counting residues.

use hecc_ir::bootstrappers::Lifetimes;
use hecc_ir::costs::{CostTable, MapCounts};
use hecc_ir::params::Parameters;
use hecc_ir::plan::{KeyManifest, Prediction};
use hecc_ir::program::{Op, Program};

use crate::keys::{MapOffsets, enters_at};
use crate::memory;

/// The prediction for `program` with these keys.
pub fn predict(
    program: &Program,
    parameters: &Parameters,
    offsets: &MapOffsets,
    keys: &KeyManifest,
    costs: &CostTable,
) -> Prediction {
    let seconds = |node: &hecc_ir::program::Node| {
        let level = enters_at(node, parameters);
        let parts = node.layout.parts as f64;
        match &node.op {
            Op::Input => 0.0,
            Op::Linear { x, map } => {
                let (inputs, outputs) = (program.nodes[*x].layout.parts, node.layout.parts);
                let giant = program.maps[*map].giant;
                let counts = MapCounts::of(&offsets[*map], giant, inputs, outputs);
                costs.map(parameters, level, &counts)
            }
            Op::MulConst { .. } => parts * costs.mul_const(parameters, level),
            Op::Add { .. } => parts * costs.add(parameters, level),
            Op::Mul { .. } => parts * costs.mul(parameters, level),
            Op::Polynomial { coefficients, .. } => {
                parts * costs.polynomial(parameters, level, coefficients.len() - 1)
            }
            Op::Activate { coefficients, .. } => {
                parts * costs.bootstrap(parameters, coefficients.len() - 1)
            }
        }
    };
    let bootstrappers = Lifetimes::of(program);
    let groups = parameters.bootstrap.as_ref().map_or(1, |b| b.cts.len());
    Prediction {
        nodes: program.nodes.iter().map(seconds).collect(),
        setup: bootstrappers.encoded(groups) * costs.bootstrap_setup(parameters),
        threads: costs.threads,
        machine: costs.machine.clone(),
        peak_bytes: memory::peak_bytes(program, parameters, offsets, keys, &bootstrappers),
        key_bytes: memory::key_bytes(parameters, keys),
    }
}
