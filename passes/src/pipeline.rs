//! The pipeline, in the order it runs: what the network needs, then every parameter set that could
//! serve it, then the fastest. Each stage is verified and dumped.

use std::collections::BTreeMap;

use hecc_ir::calibration::{ActivationStatistics, Calibration};
use hecc_ir::costs::CostTable;
use hecc_ir::function::{Approximation, Function};
use hecc_ir::params::Parameters;
use hecc_ir::program::Program;

use crate::approximate::{self, Choice, Ways, alternatives};
use crate::choose_degree::choose_degree;
use crate::choose_parameters::{self, Constraints};
use crate::complete_squares::complete_squares;
use crate::explore::{Candidate, Catalogue, Explored, Explorer, Network, Packed, Wanted};
use crate::fold_linear::Folded;
use crate::known::Known;
use crate::lower_to_slots::Units;
use crate::place::{Mode, emit_program, place_at, problem};
use crate::report::{self, CandidateReport, Report};
use crate::steps::{Hub, HubKind, Steps};
use crate::{PassError, report::Comparison};

/// What a user may choose.
#[derive(Clone, Debug)]
pub struct Options {
    /// Degree of all series, 3..=127; `None`: the lowest that calibration allows.
    pub degree: Option<usize>,
    /// Share of calibration images that may change class, 0..=1.
    pub tolerance: f64,
    /// Range of an activation over its calibrated maximum, at least 1.
    pub margin: f64,
    /// Share of the half circle that the range fills, in (0, 1].
    pub rho: f64,
    /// Which alternatives activations have.
    pub ways: Ways,
    /// How bootstraps are placed.
    pub mode: Mode,
    /// Demands on the parameters.
    pub constraints: Constraints,
    /// Prices of operations.
    pub costs: CostTable,
    /// Whether the other placements are computed too, for the report.
    pub compare: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            degree: None,
            tolerance: 0.005,
            margin: 1.25,
            rho: 0.92,
            ways: Ways::Any,
            mode: Mode::Exact,
            constraints: Constraints {
                ring: None,
                security: 128,
                precision: 20,
                allow_insecure: false,
            },
            costs: CostTable::reference().clone(),
            compare: true,
        }
    }
}

/// What the passes make of a graph.
#[derive(Clone, Debug)]
pub struct Lowered {
    /// Verified.
    pub program: Program,
    /// With primes.
    pub parameters: Parameters,
    /// What was chosen and why.
    pub report: Report,
}

/// Runs all passes on a folded graph. Candidates are offered to `accept` in the order of their
/// predicted seconds; the first it does not refuse is the result. `dumps` gets name and text of
/// every stage.
///
/// # Errors
/// The first pass or verifier that refuses, see [`PassError`]; [`PassError::NoParameters`] with the
/// reasons when no candidate is left.
pub fn lower<T>(
    folded: &Folded,
    calibration: &Calibration,
    options: &Options,
    dumps: &mut dyn FnMut(&str, &str),
    accept: &mut dyn FnMut(Lowered) -> Result<T, String>,
) -> Result<T, PassError> {
    let mut run = || -> Result<T, PassError> {
        choose_parameters::check(&options.constraints)?;
        folded.graph.verify().map_err(|e| PassError::Verify {
            pass: "import",
            what: e.to_string(),
        })?;
        dumps("0_import", &folded.graph.dump());
        let (network, degree) = network(folded, calibration, options)?;
        dumps("1_steps", &report::dump_steps(&network.steps));
        dumps(
            "2_approximate",
            &report::dump_ways(&network.steps, &network.ways),
        );
        let explorer = Explorer {
            catalogue: &Catalogue::new(&options.constraints, &options.costs),
            known: &Known::default(),
            mode: options.mode,
            wanted: Wanted::All,
        };
        let Explored {
            packings,
            mut candidates,
            refused,
            ..
        } = explorer.explore(&network)?;
        let comparison = options.compare.then(|| compare(&packings, &candidates));
        candidates.sort_by(|a, b| a.placed.seconds().total_cmp(&b.placed.seconds()));
        let table: Vec<CandidateReport> = candidates
            .iter()
            .map(CandidateReport::of_candidate)
            .collect();
        dumps("3_parameters", &report::dump_candidates(&table, &refused));
        let mut reasons = refused;
        for candidate in &candidates {
            let packed = &packings[candidate.packed];
            let program = emit_program(&packed.graph, &candidate.placed, candidate.parameters());
            program
                .verify(candidate.parameters())
                .map_err(|e| PassError::Verify {
                    pass: "place",
                    what: e.to_string(),
                })?;
            let layouts = report::dump_layouts(&network.steps, &packed.layouts);
            let text = program.dump();
            let report = report::report(
                &network.steps,
                &folded.origins,
                degree,
                &network.ways,
                &packed.layouts,
                &packed.graph,
                &candidate.placed,
                table.clone(),
                comparison,
            );
            let lowered = Lowered {
                program,
                parameters: candidate.parameters().clone(),
                report,
            };
            match accept(lowered) {
                Ok(result) => {
                    dumps("4_layouts", &layouts);
                    dumps("5_slots", &packed.graph.dump());
                    dumps("6_program", &text);
                    return Ok(result);
                }
                Err(reason) => {
                    let what = CandidateReport::of_candidate(candidate);
                    reasons.push(format!("{what}: {reason}"));
                }
            }
        }
        Err(PassError::NoParameters(reasons.join("; ")))
    };
    run().map_err(|e| e.with_origin(&folded.origins))
}

/// Activations approximated, units chosen.
fn network(
    folded: &Folded,
    calibration: &Calibration,
    options: &Options,
) -> Result<(Network, usize), PassError> {
    let mut steps = Steps::read(&folded.graph)?;
    let found = |name: &str| statistics(calibration, folded, name);
    let squares = complete_squares(&mut steps, options.margin, found)?;
    let exact = steps
        .activations()
        .all(|(_, _, function)| approximate::is_exact(function));
    let degree = match exact {
        // Nothing to approximate: a degree for what is fused nevertheless.
        true => options.degree.unwrap_or(EXACT_DEGREE),
        false => choose_degree(calibration, options.degree, options.tolerance)?,
    };
    let choice = Choice {
        degree,
        margin: options.margin,
        rho: options.rho,
        ways: options.ways.clone(),
    };
    let ways = ways(&steps, &squares, &choice, found)?;
    let units = units(&steps, &ways, calibration, options.margin)?;
    let network = Network { steps, ways, units };
    Ok((network, degree))
}

/// The alternatives of every activation; `squares` has the statistics of those that became squares.
pub(crate) fn ways<'a>(
    steps: &Steps,
    squares: &'a BTreeMap<String, ActivationStatistics>,
    choice: &Choice,
    found: impl Fn(&str) -> Result<&'a ActivationStatistics, PassError>,
) -> Result<Vec<Vec<Approximation>>, PassError> {
    let of = |(_, hub, function): (usize, &Hub, &Function)| match squares.get(&hub.name) {
        Some(uniform) => alternatives(function, uniform, choice),
        None if matches!(function, Function::Approximated(_)) => approximate::given(function),
        None => alternatives(function, found(&hub.name)?, choice),
    };
    steps.activations().map(of).collect()
}

/// Degree of fused polynomials where every activation is one already: on the share of the half circle
/// that they fill, a quadratic then has an error of 2^-12, as much as noise makes.
pub(crate) const EXACT_DEGREE: usize = 7;

/// The calibration's entry for an activation, under its canonical name or its ONNX one.
fn statistics<'a>(
    calibration: &'a Calibration,
    folded: &Folded,
    name: &str,
) -> Result<&'a ActivationStatistics, PassError> {
    let origin = folded.origins.get(name).map_or(name, String::as_str);
    let entry = |name: &str| calibration.activations.iter().find(|a| a.name == name);
    entry(name).or_else(|| entry(origin)).ok_or_else(|| {
        PassError::Calibration(format!(
            "activation '{origin}' is not in the calibration of '{}'; run `hecc calibrate` on this model",
            calibration.model
        ))
    })
}

/// A unit for every sum and activation: the network's value that becomes 1 in a slot.
fn units(
    steps: &Steps,
    ways: &[Vec<Approximation>],
    calibration: &Calibration,
    margin: f64,
) -> Result<Units, PassError> {
    let largest: BTreeMap<&str, f64> = calibration
        .values
        .iter()
        .map(|value| (value.name.as_str(), value.largest))
        .collect();
    let mut ranges = BTreeMap::new();
    for ((_, hub, _), ways) in steps.activations().zip(ways) {
        ranges.extend(hub.kind.sums().map(|sum| (sum, ways[0].range())));
    }
    let output = steps.hubs.len() - 1;
    let logits: Vec<usize> = match steps.hubs[output].kind {
        HubKind::Sum { x } => vec![x],
        HubKind::Input | HubKind::Activation { .. } | HubKind::Mul { .. } => Vec::new(),
    };
    let unit = |sum: usize| -> Result<f64, PassError> {
        if let Some(&range) = ranges.get(&sum) {
            return Ok(range);
        }
        if logits.contains(&sum) {
            return Ok(calibration.logits);
        }
        let name = steps.sums[sum].name.as_str();
        match largest.get(name) {
            Some(&value) if value > 0.0 => Ok(margin * value),
            Some(_) => Ok(1.0),
            None => Err(PassError::Calibration(format!(
                "value '{name}' is not in the calibration of '{}'; run `hecc calibrate` on this model",
                calibration.model
            ))),
        }
    };
    let mut sums: Vec<f64> = (0..steps.sums.len()).map(unit).collect::<Result<_, _>>()?;
    // What an activation or a product reads as it is has the reader's unit, or it would have to be scaled.
    for sum in 0..sums.len() {
        if let Some(earlier) = steps.same_as(sum) {
            match ranges.contains_key(&sum) {
                true => sums[earlier] = sums[sum],
                false => sums[sum] = sums[earlier],
            }
        }
    }
    Ok(Units {
        input: 1.0,
        sums,
        activations: ways
            .iter()
            .map(|ways| approximate::result_unit(ways))
            .collect(),
    })
}

/// Predicted seconds of the baselines, each on its own best parameter set.
fn compare(packings: &[Packed], candidates: &[Candidate]) -> Comparison {
    let best = |mode: Mode| {
        candidates
            .iter()
            .filter_map(|candidate| {
                let packed = &packings[candidate.packed];
                let problem = problem(&packed.graph, &packed.counts, &candidate.rates);
                place_at(&packed.graph, &problem, &candidate.rates, mode).ok()
            })
            .map(|placed| placed.seconds())
            .min_by(f64::total_cmp)
    };
    Comparison {
        chosen: candidates
            .iter()
            .map(|c| c.placed.seconds())
            .min_by(f64::total_cmp),
        greedy: best(Mode::Greedy),
        always: best(Mode::Always),
    }
}

impl CandidateReport {
    fn of_candidate(candidate: &Candidate) -> Self {
        let (p, placed) = (candidate.parameters(), &candidate.placed);
        Self {
            log_n: p.log_n,
            levels: p.top(),
            log_qp: p.log_qp(p.top()),
            digit: p.digit,
            specials: p.p.len(),
            bootstraps: placed.bootstraps,
            seconds: placed.seconds(),
            bound: placed.bound,
            optimal: placed.is_optimal(),
            effort: placed.placement.effort,
        }
    }
}
