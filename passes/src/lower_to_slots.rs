//! **lower_to_slots**: tensors become packed vectors.
//!
//! Does: writes the steps of the folded graph as slots operators: one `Linear` per addend, a `Scale`
//! for a hub that keeps its layout and changes its unit, nothing for one that keeps both, an identity
//! `Linear` for one that changes its layout, `Add`s, `Mul`s, and an `Activation` with all the ways it
//! can be computed and the function of the network that it stands for.
//!
//! Does not: choose layouts, units or coefficients, know levels or scales.
//!
//! In: steps, layouts of `choose_layouts`, units, the ways of every activation. Out: a verified slots
//! graph. Keeps the meaning: network value = slot value * unit.
//!
//! Depth: one `Linear` or `Scale` between two hubs, or none. Rotations: those of the chosen maps.
//!
//! Test: `slots_agree_with_tensors` in `tests/lowering.rs`.

use hecc_ir::function::{Approximation, Function};
use hecc_ir::layout::Layout;
use hecc_ir::program::{LinearMap, Target, Value};
use hecc_ir::slots::{Graph, Op};

use crate::choose_layouts::Layouts;
use crate::cost::MapChoice;
use crate::steps::{Addend, HubKind, Steps};

/// Network value of a slot that holds 1, for everything that is not derived. All positive.
#[derive(Clone, Debug, PartialEq)]
pub struct Units {
    /// The input's.
    pub input: f64,
    /// One per sum; an activation's operand has the range of its ways.
    pub sums: Vec<f64>,
    /// One per activation, in their order: the result's.
    pub activations: Vec<f64>,
}

/// Unit of an activation's result that stays within the operand's range: the range, or its square when
/// one way is the square.
pub fn result_unit(ways: &[Approximation]) -> f64 {
    let range = ways.first().map_or(1.0, Approximation::range);
    match ways
        .iter()
        .any(|w| matches!(w, Approximation::Square { .. }))
    {
        true => range * range,
        false => range,
    }
}

/// Runs the pass; `ways[i]` belongs to the activation i of [`Steps::activations`].
///
/// # Panics
/// When units, ways or layouts are fewer than sums, activations or hubs.
pub fn lower_to_slots(
    steps: &Steps,
    layouts: &Layouts,
    units: &Units,
    ways: &[Vec<Approximation>],
) -> Graph {
    let mut lowering = Lowering {
        layouts,
        units,
        steps,
        graph: Graph::default(),
        hubs: Vec::new(),
    };
    let mut activations = ways.iter().zip(&units.activations);
    for (hub, layout) in steps.hubs.iter().zip(&layouts.hubs) {
        let value = match &hub.kind {
            HubKind::Input => {
                let seen = layout.seen.clone();
                lowering.graph.push(Op::Input, &hub.name, seen, units.input)
            }
            HubKind::Sum { x } => lowering.sum(*x, &layout.sum),
            HubKind::Mul { x, y } => {
                let (x, y) = (lowering.sum(*x, &layout.sum), lowering.sum(*y, &layout.sum));
                let unit = lowering.unit(x) * lowering.unit(y);
                let op = Op::Mul { x, y };
                lowering
                    .graph
                    .push(op, &hub.name, layout.seen.clone(), unit)
            }
            HubKind::Activation { x, function } => {
                let x = lowering.sum(*x, &layout.sum);
                let (ways, unit) = activations.next().expect("ways for every activation");
                // Only a bootstrap changes the twist.
                let turns = layout.seen.twist != layout.sum.twist;
                let fused = |way: &&Approximation| matches!(way, Approximation::Fused { .. });
                let kept = ways.iter().filter(|way| !turns || fused(way));
                let op = Op::Activation {
                    x,
                    ways: kept.cloned().collect(),
                };
                let graph = &mut lowering.graph;
                let value = graph.push(op, &hub.name, layout.seen.clone(), *unit);
                graph.nodes[value].target = target(x, function);
                value
            }
        };
        lowering.hubs.push(value);
    }
    lowering.graph
}

/// What the network has in the place of an activation; `None` for one that is an approximation itself.
fn target(x: Value, function: &Function) -> Option<Target> {
    match function {
        Function::Approximated(_) => None,
        function => Some(Target {
            x,
            function: Some(function.clone()),
        }),
    }
}

struct Lowering<'a> {
    layouts: &'a Layouts,
    units: &'a Units,
    steps: &'a Steps,
    graph: Graph,
    /// Values of the hubs so far.
    hubs: Vec<Value>,
}

impl Lowering<'_> {
    fn unit(&self, value: Value) -> f64 {
        self.graph.nodes[value].unit
    }

    fn sum(&mut self, index: usize, layout: &Layout) -> Value {
        let sum = &self.steps.sums[index];
        let unit = self.units.sums[index];
        let mut total = None;
        for (addend, map) in sum.addends.iter().zip(&self.layouts.maps[index]) {
            let value = match map {
                Some(map) => self.linear(addend, map, layout, unit),
                None => self.scaled(addend, layout, unit),
            };
            total = Some(match total {
                None => value,
                Some(x) => {
                    let op = Op::Add { x, y: value };
                    self.graph.push(op, &sum.name, layout.clone(), unit)
                }
            });
        }
        total.expect("a sum has at least one addend")
    }

    fn linear(&mut self, addend: &Addend, choice: &MapChoice, layout: &Layout, unit: f64) -> Value {
        let x = self.hubs[addend.source];
        self.graph.maps.push(LinearMap {
            stages: addend.stages.clone(),
            gain: self.unit(x) / unit,
            bias_gain: 1.0 / unit,
            fold: choice.fold,
            giant: choice.giant,
        });
        let map = self.graph.maps.len() - 1;
        let op = Op::Linear { x, map };
        self.graph.push(op, &addend.name, layout.clone(), unit)
    }

    fn scaled(&mut self, addend: &Addend, layout: &Layout, unit: f64) -> Value {
        let x = self.hubs[addend.source];
        if self.unit(x) == unit {
            return x;
        }
        let factor = self.unit(x) / unit;
        let op = Op::Scale { x, factor };
        self.graph.push(op, &addend.name, layout.clone(), unit)
    }
}
