//! What the passes chose, for a person to read.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use hecc_ir::function::{Approximation, Function};
use hecc_ir::slots;

use crate::choose_layouts::Layouts;
use crate::place::Placed;
use crate::steps::{HubKind, Steps};

/// One activation.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct ActivationReport {
    /// Canonical name.
    pub name: String,
    /// ONNX name.
    pub onnx: String,
    /// B, in the network's units.
    pub range: f64,
    /// The function.
    pub function: &'static str,
    /// How it is computed.
    pub way: String,
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

/// One parameter set with the network placed on it.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct CandidateReport {
    /// log2 of the ring degree.
    pub log_n: u32,
    /// Highest level.
    pub levels: usize,
    /// log2(QP).
    pub log_qp: f64,
    /// Primes a digit.
    pub digit: usize,
    /// Special primes.
    pub specials: usize,
    /// Bootstraps of one ciphertext each.
    pub bootstraps: usize,
    /// Predicted.
    pub seconds: f64,
    /// No placement on this set takes less.
    pub bound: f64,
    /// Whether the placement is proven the fastest.
    pub optimal: bool,
    /// Table entries computed to find the placement.
    pub effort: u64,
}

impl std::fmt::Display for CandidateReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "ring 2^{}, {} levels, log2(QP) {:.0}, digits of {}, {} bootstraps, {:.2} s",
            self.log_n, self.levels, self.log_qp, self.digit, self.bootstraps, self.seconds
        )
    }
}

/// Predicted seconds of each way to place bootstraps, on its best parameter set; None where there is no
/// placement.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub struct Comparison {
    /// The one asked for.
    pub chosen: Option<f64>,
    /// As late as possible.
    pub greedy: Option<f64>,
    /// Before every activation.
    pub always: Option<f64>,
}

/// All choices.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Report {
    /// Degree of series.
    pub degree: usize,
    /// In execution order.
    pub activations: Vec<ActivationReport>,
    /// In execution order, the order of the program's maps.
    pub maps: Vec<MapReport>,
    /// All parameter sets that were looked at, the fastest first.
    pub candidates: Vec<CandidateReport>,
    /// Placements compared; None where it was not asked for.
    pub comparison: Option<Comparison>,
}

pub(crate) fn report(
    steps: &Steps,
    origins: &BTreeMap<String, String>,
    degree: usize,
    ways: &[Vec<Approximation>],
    layouts: &Layouts,
    graph: &slots::Graph,
    placed: &Placed,
    candidates: Vec<CandidateReport>,
    comparison: Option<Comparison>,
) -> Report {
    let onnx = |name: &str| origins.get(name).cloned().unwrap_or_default();
    // Lowering may have left an activation fewer ways than it was given.
    let chosen = |name: &str| {
        graph
            .nodes
            .iter()
            .zip(&placed.placement.choices)
            .find_map(|(node, choice)| match &node.op {
                slots::Op::Activation { ways, .. } if node.name == name => ways.get(choice.way),
                _ => None,
            })
    };
    let activations = steps
        .activations()
        .zip(ways)
        .map(|((_, hub, function), ways)| ActivationReport {
            name: hub.name.clone(),
            onnx: onnx(&hub.name),
            range: ways[0].range(),
            function: Function::name(function),
            way: chosen(&hub.name).map_or(String::new(), describe),
        })
        .collect();
    let mut maps = Vec::new();
    for (sum, choices) in steps.sums.iter().zip(&layouts.maps) {
        for (addend, map) in sum.addends.iter().zip(choices) {
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
        candidates,
        comparison,
    }
}

/// A way in a few words.
fn describe(way: &Approximation) -> String {
    let degrees = way.degrees_between(" o ");
    match way {
        Approximation::Fused { .. } => format!("in a bootstrap, degree {degrees}"),
        Approximation::Levelled { times_x, .. } => {
            let times = if *times_x { ", times x" } else { "" };
            format!("levelled, degree {degrees}{times}")
        }
        Approximation::Square { .. } => "a square".to_string(),
    }
}

pub(crate) fn dump_steps(steps: &Steps) -> String {
    let mut out = String::new();
    for (index, hub) in steps.hubs.iter().enumerate() {
        let _ = write!(out, "h{index} {} {} = ", hub.name, hub.shape);
        let _ = match &hub.kind {
            HubKind::Input => writeln!(out, "input"),
            HubKind::Activation { x, function } => writeln!(out, "{} s{x}", function.name()),
            HubKind::Mul { x, y } => writeln!(out, "s{x} * s{y}"),
            HubKind::Sum { x } => writeln!(out, "s{x}"),
        };
        for sum in hub.kind.sums() {
            let _ = writeln!(out, "  s{sum} {}", steps.sums[sum].name);
            for addend in &steps.sums[sum].addends {
                let stages: Vec<&str> = addend.stages.iter().map(|s| s.name()).collect();
                let _ = writeln!(
                    out,
                    "    {}: h{} {}",
                    addend.name,
                    addend.source,
                    stages.join(" ")
                );
            }
        }
    }
    out
}

pub(crate) fn dump_ways(steps: &Steps, ways: &[Vec<Approximation>]) -> String {
    let mut out = String::new();
    let mut series = |what: &str, coefficients: &[f64]| {
        let _ = write!(out, "  {what}");
        for c in coefficients {
            let _ = write!(out, " {c:.6}");
        }
        out.push('\n');
    };
    for ((_, hub, function), ways) in steps.activations().zip(ways) {
        series(
            &format!(
                "{} {} range {:.4}",
                hub.name,
                function.name(),
                ways[0].range()
            ),
            &[],
        );
        for way in ways {
            match way {
                Approximation::Fused {
                    rho, coefficients, ..
                } => {
                    series(&format!("fused rho {rho}:"), coefficients);
                }
                Approximation::Levelled {
                    polynomials,
                    times_x,
                    ..
                } => {
                    let times = if *times_x { " times x" } else { "" };
                    polynomials
                        .iter()
                        .for_each(|p| series(&format!("levelled{times}:"), p));
                }
                Approximation::Square { .. } => series("square", &[]),
            }
        }
    }
    out
}

pub(crate) fn dump_candidates(candidates: &[CandidateReport], refused: &[String]) -> String {
    let mut out = String::new();
    for candidate in candidates {
        let proof = match candidate.optimal {
            true => "optimal".to_string(),
            false => format!("at least {:.2} s", candidate.bound),
        };
        let _ = writeln!(out, "{candidate} ({proof})");
    }
    for reason in refused {
        let _ = writeln!(out, "refused: {reason}");
    }
    out
}

pub(crate) fn dump_layouts(steps: &Steps, layouts: &Layouts) -> String {
    let mut out = String::new();
    for (hub, layout) in steps.hubs.iter().zip(&layouts.hubs) {
        for sum in hub.kind.sums() {
            let _ = writeln!(out, "{} {}", steps.sums[sum].name, layout.sum);
            for (addend, map) in steps.sums[sum].addends.iter().zip(&layouts.maps[sum]) {
                let _ = match map {
                    Some(m) => writeln!(
                        out,
                        "  {}: {} diagonals, {} baby and {} giant rotations, {} folds",
                        addend.name, m.diagonals, m.babies, m.giants, m.folds
                    ),
                    None => writeln!(out, "  {}: as it is", addend.name),
                };
            }
        }
        let _ = writeln!(out, "{} {}", hub.name, layout.seen);
    }
    let _ = writeln!(out, "linear maps: {:.0} ms", 1e3 * layouts.cost);
    out
}
