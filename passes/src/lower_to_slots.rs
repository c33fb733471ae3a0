//! **lower_to_slots**: tensors become packed vectors.
//!
//! Does: writes each step of the folded graph as slots operators: one `Linear` per addend, a
//! `Scale` for a skip that keeps its layout, an identity `Linear` for one that does not, `Add`s, an
//! `Activate`. Chooses units: a pre-activation and its activation are measured in the activation's
//! range B, so that both fill [-1, 1]; the output in its calibrated maximum; the input, normalised
//! already, in 1.
//!
//! Does not: choose layouts or coefficients, know levels or scales.
//!
//! In: steps, layouts of `choose_layouts`, one [`Activation`] per step that has one. Out: a verified
//! slots graph. Keeps the meaning: network value = slot value * unit.
//!
//! Depth: one `Linear` or `Scale` between two activations. Rotations: those of the chosen maps.
//!
//! Test: `slots_agree_with_tensors` in `tests/lowering.rs`.

use hecc_ir::program::{LinearMap, Value};
use hecc_ir::slots::{Graph, Op};

use crate::approximate::Activation;
use crate::choose_layouts::{Layouts, StepLayout};
use crate::cost;
use crate::steps::{Addend, Step, Steps};

/// Runs the pass; `activations[i]` belongs to step i, `output_unit` is the largest output expected.
///
/// # Panics
/// When a step that has an activation lacks one in `activations`.
pub fn lower_to_slots(
    steps: &Steps,
    layouts: &Layouts,
    activations: &[Activation],
    output_unit: f64,
) -> Graph {
    let mut graph = Graph::default();
    let mut sources = vec![graph.push(Op::Input, "input", layouts.input.clone(), 1.0)];
    for (index, (step, layout)) in steps.steps.iter().zip(&layouts.steps).enumerate() {
        let activation = step
            .activation
            .as_ref()
            .map(|name| (name, &activations[index]));
        let unit = activation.map_or(output_unit, |(_, a)| a.range);
        let sum = sum(&mut graph, step, layout, unit, &sources);
        if let Some((name, a)) = activation {
            let op = Op::Activate {
                x: sum,
                coefficients: a.coefficients.clone(),
                rho: a.rho,
            };
            sources.push(graph.push(op, name, layout.activation.clone(), unit));
        }
    }
    graph
}

fn sum(graph: &mut Graph, step: &Step, layout: &StepLayout, unit: f64, sources: &[Value]) -> Value {
    let mut total = None;
    for (addend, map) in step.addends.iter().zip(&layout.maps) {
        let value = match map {
            Some(map) => linear(graph, addend, map, layout, unit, sources),
            None => scale(graph, addend, layout, unit, sources),
        };
        total = Some(match total {
            None => value,
            Some(x) => graph.push(
                Op::Add { x, y: value },
                &step.name,
                layout.sum.clone(),
                unit,
            ),
        });
    }
    total.expect("a sum has at least one addend")
}

fn linear(
    graph: &mut Graph,
    addend: &Addend,
    choice: &cost::MapChoice,
    layout: &StepLayout,
    unit: f64,
    sources: &[Value],
) -> Value {
    let x = sources[addend.source];
    graph.maps.push(LinearMap {
        stages: addend.stages.clone(),
        gain: graph.nodes[x].unit / unit,
        bias_gain: 1.0 / unit,
        fold: choice.fold,
        giant: choice.giant,
    });
    let map = graph.maps.len() - 1;
    graph.push(
        Op::Linear { x, map },
        &addend.name,
        layout.sum.clone(),
        unit,
    )
}

fn scale(
    graph: &mut Graph,
    addend: &Addend,
    layout: &StepLayout,
    unit: f64,
    sources: &[Value],
) -> Value {
    let x = sources[addend.source];
    let factor = graph.nodes[x].unit / unit;
    graph.push(
        Op::Scale { x, factor },
        &addend.name,
        layout.sum.clone(),
        unit,
    )
}
