//! The evaluation keys a program needs, each at the highest level it is used at.
//!
//! A key used at 4 limbs is generated at 4 limbs: a twelfth of the bytes of one at the top. Operands are
//! dropped before an operator runs, so its keys are needed at the level where it takes them.

use std::collections::BTreeMap;

use hecc_ir::linear::Offsets;
use hecc_ir::params::{Parameters, depth};
use hecc_ir::plan::{KeyManifest, RotationKey};
use hecc_ir::program::{Node, Op, Program};

/// Offsets of each map's diagonals, in the order of [`Program::maps`].
pub type MapOffsets = Vec<Offsets>;

/// The level at which a node takes its operands. A verified program activates only with a bootstrap.
pub fn enters_at(node: &Node, parameters: &Parameters) -> usize {
    node.enters_at(parameters).unwrap_or(node.level)
}

/// The manifest of `program`: rotations of maps, folds and bootstraps merged, products of all kinds.
pub fn manifest(program: &Program, parameters: &Parameters, offsets: &MapOffsets) -> KeyManifest {
    let mut rotations = Rotations::default();
    let mut keys = KeyManifest::default();
    for node in &program.nodes {
        let level = enters_at(node, parameters);
        match &node.op {
            Op::Input | Op::MulConst { .. } | Op::Add { .. } => {}
            Op::Linear { map, .. } => {
                for steps in offsets[*map].rotations(program.maps[*map].giant) {
                    rotations.need(steps, level);
                }
                for &steps in &offsets[*map].folds {
                    rotations.need(steps, node.level);
                }
            }
            Op::Mul { .. } => keys.relinearisation = keys.relinearisation.max(Some(level)),
            Op::Polynomial { coefficients, .. } => {
                // A line multiplies by a constant only.
                if depth(coefficients.len() - 1) > 1 {
                    keys.relinearisation = keys.relinearisation.max(Some(level));
                }
            }
            Op::Activate { .. } => keys.encapsulation = true,
        }
    }
    if keys.encapsulation {
        for key in parameters.bootstrap_rotations() {
            rotations.need(key.steps, key.level);
        }
        // The first products come right after coefficients-to-slots, which real parts follow.
        keys.conjugation = parameters.bootstrap_products();
        keys.relinearisation = keys.relinearisation.max(keys.conjugation);
    }
    keys.rotations = rotations
        .0
        .into_iter()
        .map(|(steps, level)| RotationKey { steps, level })
        .collect();
    keys
}

#[derive(Default)]
struct Rotations(BTreeMap<usize, usize>);

impl Rotations {
    fn need(&mut self, steps: usize, level: usize) {
        if steps != 0 {
            let highest = self.0.entry(steps).or_insert(level);
            *highest = level.max(*highest);
        }
    }
}
