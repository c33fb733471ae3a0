//! The bootstrappers of a program, alive while needed: see [`hecc_ir::bootstrappers`].

use std::collections::BTreeMap;
use std::sync::Arc;

use hecc_ckks::{BootstrapShape, Bootstrapper, Context, Error};
use hecc_ir::bootstrappers::{Lifetimes, Variant};
use hecc_ir::params::Bootstrap;
use hecc_ir::program::{Op, Program};

/// Bootstrappers by variant: built at the first use, dropped after the last, for each holds
/// encoded transforms of a gigabyte or two.
pub struct Bootstraps<'a> {
    program: &'a Program,
    parameters: Option<&'a Bootstrap>,
    lifetimes: Lifetimes,
    alive: BTreeMap<Variant, Bootstrapper>,
}

impl<'a> Bootstraps<'a> {
    /// None built yet. `parameters` are the bootstrap's shape, None for a plan without one.
    pub fn new(program: &'a Program, parameters: Option<&'a Bootstrap>) -> Self {
        Self {
            program,
            parameters,
            lifetimes: Lifetimes::of(program),
            alive: BTreeMap::new(),
        }
    }

    /// The bootstrapper for the activation that is this node.
    ///
    /// # Errors
    /// For another node, and when the parameters have no bootstrap, or one that does not fit the ring.
    pub fn get(&mut self, context: &Arc<Context>, node: usize) -> Result<&Bootstrapper, Error> {
        let variant = Variant::of(self.program, node)
            .ok_or_else(|| Error::Parameters("a bootstrap of no activation".into()))?;
        let bootstrapper = match self.alive.remove(&variant) {
            Some(bootstrapper) => bootstrapper,
            None => self.build(context, node, &variant)?,
        };
        Ok(self.alive.entry(variant).or_insert(bootstrapper))
    }

    /// Builds a bootstrapper, from a living one that differs in the permutation only if there is.
    fn build(
        &self,
        context: &Arc<Context>,
        node: usize,
        variant: &Variant,
    ) -> Result<Bootstrapper, Error> {
        let output = &self.program.nodes[node];
        let (Op::Activate { x, rho, .. }, Some(parameters)) = (&output.op, self.parameters) else {
            let what = "an activation, and parameters without a bootstrap";
            return Err(Error::Parameters(what.into()));
        };
        let input = &self.program.nodes[*x];
        let table = variant
            .turns()
            .then(|| input.layout.retwist(output.layout.twist));
        let mut alive = self.alive.iter();
        match alive.find(|(other, _)| other.family() == variant.family()) {
            Some((_, relative)) => relative.permuted(table.as_deref()),
            None => {
                let shape = BootstrapShape {
                    stc: parameters.stc.clone(),
                    cts: parameters.cts.clone(),
                    cos_degree: parameters.cos_degree,
                    double_angles: parameters.double_angles,
                    range: parameters.range,
                    rho: *rho,
                    input_scale: input.scale,
                };
                Bootstrapper::new(context, shape, table.as_deref())
            }
        }
    }

    /// Drops what no node after `node` uses. The memory stays with the process: the next
    /// bootstrapper is of the same size.
    pub fn retire(&mut self, node: usize) {
        let lifetimes = &self.lifetimes;
        self.alive
            .retain(|variant, _| lifetimes.last_use(variant).is_some_and(|last| last > node));
    }
}
