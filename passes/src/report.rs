//! What the passes chose, for a person to read.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::approximate::Activation;
use crate::choose_layouts::Layouts;
use crate::steps::Steps;

/// One activation.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct ActivationReport {
    /// Canonical name.
    pub name: String,
    /// ONNX name.
    pub onnx: String,
    /// B, in the network's units.
    pub range: f64,
}

/// One linear map.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct MapReport {
    /// Canonical name of its first operator.
    pub name: String,
    /// ONNX name.
    pub onnx: String,
    /// Diagonals.
    pub diagonals: usize,
    /// Rotations of the input.
    pub babies: usize,
    /// Rotations of partial sums.
    pub giants: usize,
    /// Rotations after the sum.
    pub folds: usize,
}

/// All choices.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Report {
    /// Degree of every activation's polynomial.
    pub degree: usize,
    /// In execution order.
    pub activations: Vec<ActivationReport>,
    /// In execution order, the order of the program's maps.
    pub maps: Vec<MapReport>,
}

pub(crate) fn report(
    steps: &Steps,
    origins: &BTreeMap<String, String>,
    degree: usize,
    activations: &[Activation],
    layouts: &Layouts,
) -> Report {
    let onnx = |name: &str| origins.get(name).cloned().unwrap_or_default();
    let names = steps
        .steps
        .iter()
        .filter_map(|step| step.activation.as_ref());
    let activations = names
        .zip(activations)
        .map(|(name, a)| ActivationReport {
            name: name.clone(),
            onnx: onnx(name),
            range: a.range,
        })
        .collect();
    let mut maps = Vec::new();
    for (step, layout) in steps.steps.iter().zip(&layouts.steps) {
        for (addend, map) in step.addends.iter().zip(&layout.maps) {
            if let Some(m) = map {
                maps.push(MapReport {
                    name: addend.name.clone(),
                    onnx: onnx(&addend.name),
                    diagonals: m.diagonals,
                    babies: m.babies,
                    giants: m.giants,
                    folds: m.folds,
                });
            }
        }
    }
    Report {
        degree,
        activations,
        maps,
    }
}

pub(crate) fn dump_layouts(steps: &Steps, layouts: &Layouts) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "input {}", layouts.input);
    for (step, layout) in steps.steps.iter().zip(&layouts.steps) {
        let _ = writeln!(out, "{} {}", step.name, layout.sum);
        for (addend, map) in step.addends.iter().zip(&layout.maps) {
            let _ = match map {
                Some(m) => writeln!(
                    out,
                    "  {}: {} diagonals, {} baby and {} giant rotations, {} folds",
                    addend.name, m.diagonals, m.babies, m.giants, m.folds
                ),
                None => writeln!(out, "  {}: scaled", addend.name),
            };
        }
        if let Some(name) = &step.activation {
            let _ = writeln!(out, "{name} {}", layout.activation);
        }
    }
    let _ = writeln!(out, "linear maps: {:.0} ms", layouts.cost);
    out
}
