//! The pipeline, as one page of data: passes in order, each with its verifier and its dump.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use hecc_ir::calibration::{ActivationStatistics, Calibration};
use hecc_ir::nn::{Graph, Shape};
use hecc_ir::params::Parameters;
use hecc_ir::program::Program;
use hecc_ir::slots;

use crate::PassError;
use crate::allocate_levels::allocate_levels;
use crate::approximate::{self, Activation};
use crate::choose_degree::choose_degree;
use crate::choose_layouts::{Layouts, choose_layouts};
use crate::choose_parameters::{choose_parameters, twist_granularity};
use crate::fold_linear::fold_linear;
use crate::lower_to_slots::lower_to_slots;
use crate::report::{self, Report};
use crate::steps::Steps;

/// What a user may choose.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Degree of all activation polynomials, 3..=127; `None`: the lowest that calibration allows.
    pub degree: Option<usize>,
    /// Share of calibration images that may change class, 0..=1.
    pub tolerance: f64,
    /// Range of an activation over its calibrated maximum, at least 1.
    pub margin: f64,
    /// Share of the half circle that the range fills, in (0, 1].
    pub rho: f64,
    /// log2 of a ring degree for tests, whatever its security; needs `allow_insecure`.
    pub insecure_ring: Option<u32>,
    /// Accept parameters below 128 bits of security.
    pub allow_insecure: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            degree: None,
            tolerance: 0.015,
            margin: 1.25,
            rho: 0.92,
            insecure_ring: None,
            allow_insecure: false,
        }
    }
}

/// What the passes make of a graph.
#[derive(Clone, Debug, PartialEq)]
pub struct Lowered {
    /// Verified.
    pub program: Program,
    /// With primes.
    pub parameters: Parameters,
    /// Whether the user accepted parameters below 128 bits of security.
    pub allow_insecure: bool,
    /// What was chosen and why.
    pub report: Report,
}

/// Everything known so far; a pass reads earlier fields and writes its own.
struct State<'a> {
    calibration: &'a Calibration,
    options: &'a Options,
    graph: Graph,
    origins: BTreeMap<String, String>,
    steps: Steps,
    degree: usize,
    activations: Vec<Activation>,
    parameters: Option<Parameters>,
    layouts: Option<Layouts>,
    slots: slots::Graph,
    program: Program,
}

struct Pass {
    name: &'static str,
    run: fn(&mut State) -> Result<(), PassError>,
    verify: fn(&State) -> Result<(), String>,
    dump: fn(&State) -> String,
}

const PASSES: [Pass; 7] = [
    Pass {
        name: "fold_linear",
        run: fold,
        verify: verify_graph,
        dump: |s| s.graph.dump(),
    },
    Pass {
        name: "choose_degree",
        run: degree,
        verify: |_| Ok(()),
        dump: |s| format!("degree {}\n", s.degree),
    },
    Pass {
        name: "approximate",
        run: approximate,
        verify: verify_activations,
        dump: dump_activations,
    },
    Pass {
        name: "choose_parameters",
        run: parameters,
        verify: verify_parameters,
        dump: dump_parameters,
    },
    Pass {
        name: "choose_layouts",
        run: layouts,
        verify: |_| Ok(()),
        dump: dump_layouts,
    },
    Pass {
        name: "lower_to_slots",
        run: to_slots,
        verify: verify_slots,
        dump: |s| s.slots.dump(),
    },
    Pass {
        name: "allocate_levels",
        run: levels,
        verify: verify_program,
        dump: |s| s.program.dump(),
    },
];

/// Runs all passes on an imported graph; `dumps` gets name and text of every stage.
///
/// # Errors
/// The first pass or verifier that refuses, see [`PassError`].
pub fn lower(
    graph: Graph,
    calibration: &Calibration,
    options: &Options,
    dumps: &mut dyn FnMut(&str, &str),
) -> Result<Lowered, PassError> {
    graph.verify().map_err(|e| PassError::Verify {
        pass: "import",
        what: e.to_string(),
    })?;
    dumps("0_import", &graph.dump());
    let input = graph.nodes[graph.input].shape;
    let mut state = State {
        calibration,
        options,
        graph,
        origins: BTreeMap::new(),
        steps: Steps {
            input,
            steps: Vec::new(),
        },
        degree: 0,
        activations: Vec::new(),
        parameters: None,
        layouts: None,
        slots: slots::Graph::default(),
        program: Program {
            nodes: Vec::new(),
            maps: Vec::new(),
        },
    };
    for (index, pass) in PASSES.iter().enumerate() {
        (pass.run)(&mut state).map_err(|e| e.with_origin(&state.origins))?;
        (pass.verify)(&state).map_err(|what| PassError::Verify {
            pass: pass.name,
            what,
        })?;
        dumps(
            &format!("{}_{}", index + 1, pass.name),
            &(pass.dump)(&state),
        );
    }
    let (Some(parameters), Some(layouts)) = (state.parameters, state.layouts) else {
        return Err(PassError::Verify {
            pass: "pipeline",
            what: "a pass left nothing".to_string(),
        });
    };
    let report = report::report(
        &state.steps,
        &state.origins,
        state.degree,
        &state.activations,
        &layouts,
    );
    Ok(Lowered {
        program: state.program,
        parameters,
        allow_insecure: options.allow_insecure,
        report,
    })
}

fn fold(state: &mut State) -> Result<(), PassError> {
    let folded = fold_linear(&state.graph)?;
    state.graph = folded.graph;
    state.origins = folded.origins;
    state.steps = Steps::read(&state.graph)?;
    Ok(())
}

fn degree(state: &mut State) -> Result<(), PassError> {
    state.degree = choose_degree(
        state.calibration,
        state.options.degree,
        state.options.tolerance,
    )?;
    Ok(())
}

fn approximate(state: &mut State) -> Result<(), PassError> {
    let names = state
        .steps
        .steps
        .iter()
        .filter_map(|step| step.activation.as_ref());
    let found: Result<Vec<&ActivationStatistics>, PassError> =
        names.map(|name| statistics(state, name)).collect();
    let (margin, rho) = (state.options.margin, state.options.rho);
    state.activations = found?
        .into_iter()
        .map(|s| approximate::fit(s, state.degree, margin, rho))
        .collect::<Result<_, _>>()?;
    Ok(())
}

/// The calibration's entry for an activation, under its ONNX name or its canonical one.
fn statistics<'a>(state: &State<'a>, name: &str) -> Result<&'a ActivationStatistics, PassError> {
    let calibration = state.calibration;
    let origin = state.origins.get(name).map_or(name, String::as_str);
    let entry = |name: &str| calibration.activations.iter().find(|a| a.name == name);
    entry(origin).or_else(|| entry(name)).ok_or_else(|| {
        PassError::Calibration(format!(
            "activation '{origin}' is not in the calibration of '{}'; run `hecc calibrate` on this model",
            calibration.model
        ))
    })
}

fn parameters(state: &mut State) -> Result<(), PassError> {
    let largest = largest_tensor(&state.steps);
    let o = state.options;
    state.parameters = Some(choose_parameters(
        state.degree,
        (&largest.0, largest.1),
        o.insecure_ring,
        o.allow_insecure,
    )?);
    Ok(())
}

fn largest_tensor(steps: &Steps) -> (String, Shape) {
    let mut largest = ("input".to_string(), steps.input);
    for step in &steps.steps {
        if step.shape.elements() > largest.1.elements() {
            largest = (step.name.clone(), step.shape);
        }
    }
    largest
}

fn layouts(state: &mut State) -> Result<(), PassError> {
    let parameters = state.parameters.as_ref().expect("choose_parameters ran");
    let slots = parameters.slots();
    state.layouts = Some(choose_layouts(
        &state.steps,
        slots,
        twist_granularity(parameters),
    )?);
    Ok(())
}

fn to_slots(state: &mut State) -> Result<(), PassError> {
    let layouts = state.layouts.as_ref().expect("choose_layouts ran");
    state.slots = lower_to_slots(
        &state.steps,
        layouts,
        &state.activations,
        state.calibration.logits,
    );
    Ok(())
}

fn levels(state: &mut State) -> Result<(), PassError> {
    let parameters = state.parameters.as_ref().expect("choose_parameters ran");
    state.program = allocate_levels(std::mem::take(&mut state.slots), parameters)?;
    Ok(())
}

fn verify_graph(state: &State) -> Result<(), String> {
    state.graph.verify().map_err(|e| e.to_string())
}

fn verify_activations(state: &State) -> Result<(), String> {
    let names = state
        .steps
        .steps
        .iter()
        .filter_map(|step| step.activation.as_ref());
    for (name, activation) in names.zip(&state.activations) {
        if activation.coefficients.iter().any(|c| !c.is_finite()) {
            return Err(format!("{name}: a coefficient is not finite"));
        }
    }
    Ok(())
}

fn verify_parameters(state: &State) -> Result<(), String> {
    let parameters = state.parameters.as_ref().expect("choose_parameters ran");
    parameters.verify().map_err(|e| e.to_string())
}

fn verify_slots(state: &State) -> Result<(), String> {
    state.slots.verify().map_err(|e| e.to_string())
}

fn verify_program(state: &State) -> Result<(), String> {
    let parameters = state.parameters.as_ref().expect("choose_parameters ran");
    state.program.verify(parameters).map_err(|e| e.to_string())
}

fn dump_activations(state: &State) -> String {
    let mut out = String::new();
    let names = state
        .steps
        .steps
        .iter()
        .filter_map(|step| step.activation.as_ref());
    for (name, a) in names.zip(&state.activations) {
        let _ = write!(
            out,
            "{name} range {:.4} rho {} coefficients",
            a.range, a.rho
        );
        for c in &a.coefficients {
            let _ = write!(out, " {c:.6}");
        }
        out.push('\n');
    }
    out
}

fn dump_parameters(state: &State) -> String {
    let Some(p) = &state.parameters else {
        return String::new();
    };
    let b = &p.bootstrap;
    format!(
        "ring 2^{}\nq {:?}\np {:?}\ndigit {}\nstc {:?} cts {:?} cosine degree {} double angles {} range {} sparse weight {}\n",
        p.log_n,
        p.q,
        p.p,
        p.digit,
        b.stc,
        b.cts,
        b.cos_degree,
        b.double_angles,
        b.range,
        b.sparse_weight
    )
}

fn dump_layouts(state: &State) -> String {
    let Some(layouts) = &state.layouts else {
        return String::new();
    };
    report::dump_layouts(&state.steps, layouts)
}
