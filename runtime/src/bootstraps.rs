//! The bootstrappers of a program: one for each distinct change of twist, alive while needed.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hecc_ckks::{BootstrapShape, Bootstrapper, Buffer, Context};
use hecc_ir::layout::Layout;
use hecc_ir::params::Bootstrap;
use hecc_ir::program::{Node, Op, Program};

/// Which permutation of the slots an activation does on the way: copy k is rotated by `k * by`
/// slots inside its region of `stride` slots. Two layouts that differ in twist need no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Permutation {
    slots: usize,
    stride: usize,
    by: usize,
}

impl Permutation {
    /// What takes `input` to `output`, layouts that differ in twist only.
    pub fn between(input: &Layout, output: &Layout) -> Self {
        let stride = input.stride();
        let by = (input.twist % stride + stride - output.twist % stride) % stride;
        // Without a rotation the stride is of no account: such activations share a bootstrapper.
        let stride = if by == 0 { input.slots } else { stride };
        Self {
            slots: input.slots,
            stride,
            by,
        }
    }

    /// `perm[s]` = the input slot that output slot s takes; None for the identity.
    pub fn table(&self) -> Option<Vec<usize>> {
        (self.by != 0).then(|| {
            (0..self.slots)
                .map(|slot| {
                    let (copy, inside) = (slot / self.stride, slot % self.stride);
                    copy * self.stride + (inside + copy * self.by) % self.stride
                })
                .collect()
        })
    }
}

/// What distinguishes one bootstrapper from another: everything its encoded transforms depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Variant {
    permutation: Permutation,
    /// Bits of rho and of the operand's scale, both positive.
    rho: u64,
    input_scale: u64,
}

impl Variant {
    /// What the activation that defines `output` on `input` with this `rho` needs.
    pub fn of(input: &Node, output: &Node, rho: f64) -> Self {
        Self {
            permutation: Permutation::between(&input.layout, &output.layout),
            rho: rho.to_bits(),
            input_scale: input.scale.to_bits(),
        }
    }
}

/// Bootstrappers by variant: built at the first use, dropped after the last, for each holds
/// encoded transforms of a gigabyte or two.
pub struct Bootstraps<'a> {
    parameters: &'a Bootstrap,
    last_use: BTreeMap<Variant, usize>,
    alive: BTreeMap<Variant, Bootstrapper>,
}

impl<'a> Bootstraps<'a> {
    /// None built yet.
    pub fn new(program: &Program, parameters: &'a Bootstrap) -> Self {
        let mut last_use = BTreeMap::new();
        for (index, node) in program.nodes.iter().enumerate() {
            if let Op::Activate { x, rho, .. } = node.op {
                last_use.insert(Variant::of(&program.nodes[x], node, rho), index);
            }
        }
        Self {
            parameters,
            last_use,
            alive: BTreeMap::new(),
        }
    }

    /// Builds the bootstrapper of a variant unless it is alive.
    pub fn build(
        &mut self,
        context: &Arc<Context>,
        variant: Variant,
    ) -> Result<(), hecc_ckks::Error> {
        if let Entry::Vacant(entry) = self.alive.entry(variant) {
            let shape = BootstrapShape {
                stc: self.parameters.stc.clone(),
                cts: self.parameters.cts.clone(),
                cos_degree: self.parameters.cos_degree,
                double_angles: self.parameters.double_angles,
                range: self.parameters.range,
                rho: f64::from_bits(variant.rho),
                input_scale: f64::from_bits(variant.input_scale),
            };
            let table = variant.permutation.table();
            entry.insert(Bootstrapper::new(context, shape, table.as_deref())?);
        }
        Ok(())
    }

    /// The bootstrapper of a variant, if alive.
    pub fn get(&self, variant: Variant) -> Option<&Bootstrapper> {
        self.alive.get(&variant)
    }

    /// Drops what no node after `node` uses.
    pub fn retire(&mut self, node: usize) {
        let before = self.alive.len();
        self.alive
            .retain(|variant, _| self.last_use.get(variant).is_some_and(|&last| last > node));
        if self.alive.len() < before {
            // Its limbs would wait in the pool for another use.
            Buffer::release_pool();
        }
    }
}

/// Rotations of a baby-step giant-step sum over these offsets: distinct babies and giants, zero
/// not counted.
pub fn baby_giant_rotations(offsets: impl IntoIterator<Item = usize>, giant: usize) -> usize {
    let (mut babies, mut giants) = (BTreeSet::new(), BTreeSet::new());
    for offset in offsets {
        babies.insert(offset % giant);
        giants.insert(offset - offset % giant);
    }
    babies.remove(&0);
    giants.remove(&0);
    babies.len() + giants.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hecc_ir::nn::Shape;

    /// The permutation agrees with the layouts' own account of where elements sit.
    #[test]
    fn permutation_moves_elements_between_twists() {
        let layout = |copies, twist| Layout {
            slots: 512,
            shape: Shape::new(4, 4, 4),
            gap: 1,
            rows: 4,
            cols: 4,
            copies,
            twist,
        };
        for (copies, from, to) in [(8, 0, 16), (4, 32, 0), (4, 0, 64), (2, 16, 240), (8, 0, 0)] {
            let (input, output) = (layout(copies, from), layout(copies, to));
            let permutation = Permutation::between(&input, &output);
            let table = permutation.table().unwrap_or((0..512).collect());
            for (c, y, x, k) in
                (0..4 * 4 * 4 * copies).map(|i| (i % 4, i / 4 % 4, i / 16 % 4, i / 64))
            {
                let (s, from) = (output.slot(c, y, x, k), input.slot(c, y, x, k));
                assert_eq!(table[s], from, "{copies} copies, element {c},{y},{x},{k}");
            }
            let mut sorted = table;
            sorted.sort_unstable();
            assert!(sorted.into_iter().eq(0..512));
        }
    }

    #[test]
    fn counts_rotations() {
        assert_eq!(baby_giant_rotations([0, 1, 2, 3, 4, 5, 6, 7], 4), 3 + 1);
        assert_eq!(baby_giant_rotations([0, 4, 9], 4), 1 + 2);
    }
}
