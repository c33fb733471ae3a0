//! The bootstrappers of a program: one for each distinct change of twist, alive while in use.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hecc_ckks::{BootstrapShape, Bootstrapper, Context};
use hecc_ir::layout::Layout;
use hecc_ir::params::Bootstrap;
use hecc_ir::program::{Op, Program};

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

/// Bootstrappers by permutation: built at the first use, dropped after the last, for each holds
/// transforms of a gigabyte or two.
pub struct Bootstraps {
    shape: BootstrapShape,
    last_use: BTreeMap<Permutation, usize>,
    alive: BTreeMap<Permutation, Bootstrapper>,
}

impl Bootstraps {
    /// None built yet.
    pub fn new(program: &Program, bootstrap: &Bootstrap) -> Self {
        let mut last_use = BTreeMap::new();
        for (index, node) in program.nodes.iter().enumerate() {
            if let Op::Activate { x, .. } = node.op {
                let input = &program.nodes[x].layout;
                last_use.insert(Permutation::between(input, &node.layout), index);
            }
        }
        let shape = BootstrapShape {
            stc: bootstrap.stc.clone(),
            cts: bootstrap.cts.clone(),
            cos_degree: bootstrap.cos_degree,
            double_angles: bootstrap.double_angles,
            range: bootstrap.range,
        };
        Self {
            shape,
            last_use,
            alive: BTreeMap::new(),
        }
    }

    /// Builds the bootstrapper of a permutation unless it is alive.
    pub fn build(
        &mut self,
        context: &Arc<Context>,
        permutation: Permutation,
    ) -> Result<(), hecc_ckks::Error> {
        if let Entry::Vacant(entry) = self.alive.entry(permutation) {
            let table = permutation.table();
            entry.insert(Bootstrapper::new(context, self.shape.clone(), table)?);
        }
        Ok(())
    }

    /// The bootstrapper of a permutation, if alive.
    pub fn get(&self, permutation: Permutation) -> Option<&Bootstrapper> {
        self.alive.get(&permutation)
    }

    /// Drops what no node after `node` uses.
    pub fn retire(&mut self, node: usize) {
        self.alive
            .retain(|permutation, _| self.last_use.get(permutation).is_some_and(|&l| l > node));
    }
}

/// Rotations of one bootstrap: babies and giants of every group, and the trace.
pub fn bootstrap_rotations(bootstrap: &Bootstrap, log_n: u32) -> usize {
    let half = 1usize << (log_n - 2);
    let group = |radix: u32, stride: usize, wraps: bool| {
        let giant = stride << (if wraps { radix } else { radix + 1 }).div_ceil(2);
        let reach = 1usize << radix;
        let offsets: Vec<usize> = if wraps {
            (0..reach).map(|k| k * stride % half).collect()
        } else {
            let back = (1..reach).map(|k| (half - k * stride % half) % half);
            (0..reach).map(|k| k * stride % half).chain(back).collect()
        };
        baby_giant_rotations(offsets, giant)
    };
    let (mut total, mut done) = (1, 0);
    for (i, &radix) in bootstrap.cts.iter().enumerate() {
        done += radix;
        total += group(radix, half >> done, i == 0);
    }
    done = 0;
    for (i, &radix) in bootstrap.stc.iter().enumerate() {
        total += group(radix, 1 << done, i + 1 == bootstrap.stc.len());
        done += radix;
    }
    total
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
