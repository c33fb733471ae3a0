//! The evaluation keys a program needs, each at the highest level it is used at.
//!
//! A key used at 4 limbs is generated at 4 limbs: a twelfth of the bytes of one at the top.

use std::collections::{BTreeMap, BTreeSet};

use hecc_ir::linear::Offsets;
use hecc_ir::params::Parameters;
use hecc_ir::plan::{KeyManifest, RotationKey};
use hecc_ir::program::{Op, Program};

/// Offsets of each map's diagonals, in the order of [`Program::maps`].
pub type MapOffsets = Vec<Offsets>;

/// The manifest of `program`: rotations of maps, folds and bootstraps merged.
pub fn manifest(program: &Program, parameters: &Parameters, offsets: &MapOffsets) -> KeyManifest {
    let mut rotations = Rotations::default();
    for node in &program.nodes {
        if let Op::Linear { x, map } = node.op {
            let giant = program.maps[map].giant;
            rotations.baby_giant(&offsets[map].offsets, giant, program.nodes[x].level);
            for &step in &offsets[map].folds {
                rotations.need(step, node.level);
            }
        }
    }
    let mut keys = KeyManifest::default();
    if program
        .nodes
        .iter()
        .any(|node| matches!(node.op, Op::Activate { .. }))
    {
        for key in parameters.bootstrap_rotations() {
            rotations.need(key.steps, key.level);
        }
        // The first products come right after coefficients-to-slots, which real parts follow.
        let after = parameters.top() - parameters.bootstrap.cts.len();
        keys.conjugation = Some(after);
        keys.relinearisation = Some(after);
        keys.encapsulation = true;
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

    fn baby_giant(&mut self, offsets: &BTreeSet<usize>, giant: usize, level: usize) {
        for offset in offsets {
            self.need(offset % giant, level);
            self.need(offset - offset % giant, level);
        }
    }
}
