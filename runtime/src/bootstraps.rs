//! The bootstrappers of a program: one for each distinct change of twist, alive while needed.

use std::collections::BTreeMap;
use std::sync::Arc;

use hecc_ckks::{BootstrapShape, Bootstrapper, Context};
use hecc_ir::layout::Layout;
use hecc_ir::params::Bootstrap;
use hecc_ir::program::{Node, Op, Program};

/// What a change of twist does to the slots, apart from where elements sit: copy k is rotated by
/// `k * by` slots inside its region of `stride` slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Turn {
    stride: usize,
    by: usize,
}

impl Turn {
    fn between(input: &Layout, output: &Layout) -> Self {
        let stride = input.stride();
        match (input.twist + stride - output.twist) % stride {
            // The stride is then of no account: all such activations share a bootstrapper.
            0 => Self { stride: 0, by: 0 },
            by => Self { stride, by },
        }
    }
}

/// What distinguishes one bootstrapper from another: everything its encoded transforms depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Variant {
    turn: Turn,
    /// Bits of rho and of the operand's scale, both positive.
    rho: u64,
    input_scale: u64,
}

impl Variant {
    /// What the activation that defines `output` on `input` with this `rho` needs.
    pub fn of(input: &Node, output: &Node, rho: f64) -> Self {
        Self {
            turn: Turn::between(&input.layout, &output.layout),
            rho: rho.to_bits(),
            input_scale: input.scale.to_bits(),
        }
    }
}

/// Bootstrappers by variant: built at the first use, dropped after the last, for each holds
/// encoded transforms of a gigabyte or two.
pub struct Bootstraps<'a> {
    parameters: Option<&'a Bootstrap>,
    last_use: BTreeMap<Variant, usize>,
    alive: BTreeMap<Variant, Bootstrapper>,
}

impl<'a> Bootstraps<'a> {
    /// None built yet. `parameters` are the bootstrap's shape, None for a plan without one.
    pub fn new(program: &Program, parameters: Option<&'a Bootstrap>) -> Self {
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

    /// The bootstrapper for the activation that defines `output` on `input`.
    ///
    /// # Errors
    /// When the parameters have no bootstrap, or one that does not fit the ring.
    pub fn get(
        &mut self,
        context: &Arc<Context>,
        input: &Node,
        output: &Node,
        rho: f64,
    ) -> Result<&Bootstrapper, hecc_ckks::Error> {
        let variant = Variant::of(input, output, rho);
        let bootstrapper = match self.alive.remove(&variant) {
            Some(bootstrapper) => bootstrapper,
            None => self.build(context, input, output, rho)?,
        };
        Ok(self.alive.entry(variant).or_insert(bootstrapper))
    }

    /// Builds a bootstrapper, from a living one that differs in the permutation only if there is.
    fn build(
        &self,
        context: &Arc<Context>,
        input: &Node,
        output: &Node,
        rho: f64,
    ) -> Result<Bootstrapper, hecc_ckks::Error> {
        let parameters = self.parameters.ok_or_else(|| {
            let what = "an activation, and parameters without a bootstrap";
            hecc_ckks::Error::Parameters(what.into())
        })?;
        let turns = Turn::between(&input.layout, &output.layout).by != 0;
        let table = turns.then(|| input.layout.retwist(output.layout.twist));
        let shape = BootstrapShape {
            stc: parameters.stc.clone(),
            cts: parameters.cts.clone(),
            cos_degree: parameters.cos_degree,
            double_angles: parameters.double_angles,
            range: parameters.range,
            rho,
            input_scale: input.scale,
        };
        match self.alive.values().find(|other| *other.shape() == shape) {
            Some(relative) => relative.permuted(table.as_deref()),
            None => Bootstrapper::new(context, shape, table.as_deref()),
        }
    }

    /// Drops what no node after `node` uses. The memory stays with the process: the next
    /// bootstrapper is of the same size.
    pub fn retire(&mut self, node: usize) {
        self.alive
            .retain(|variant, _| self.last_use.get(variant).is_some_and(|&last| last > node));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hecc_ir::nn::Shape;

    /// Activations that share a bootstrapper need the same permutation, others another.
    #[test]
    fn equal_turns_are_equal_permutations() {
        let layout = |copies, twist| Layout {
            slots: 512,
            parts: 1,
            shape: Shape::new(2, 4, 4),
            gap: 1,
            rows: 4,
            cols: 4,
            copies,
            twist,
        };
        let identity: Vec<usize> = (0..512).collect();
        let seen: Vec<(Turn, Vec<usize>)> = [(8, 0), (8, 16), (4, 0), (4, 64), (2, 240), (2, 16)]
            .into_iter()
            .flat_map(|(copies, twist)| [(copies, twist, 0), (copies, 0, twist)])
            .map(|(copies, from, to)| {
                let (input, output) = (layout(copies, from), layout(copies, to));
                (Turn::between(&input, &output), input.retwist(to))
            })
            .collect();
        for (turn, table) in &seen {
            assert_eq!(turn.by == 0, *table == identity);
            for (other, other_table) in &seen {
                assert_eq!(turn == other, table == other_table, "{turn:?} {other:?}");
            }
        }
    }
}
