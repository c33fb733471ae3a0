//! The pipeline, in the order it runs: what the network needs, then every parameter set that could
//! serve it, then the fastest. Each stage is verified and dumped.

use std::collections::BTreeMap;

use hecc_ir::calibration::{ActivationStatistics, Calibration};
use hecc_ir::costs::{CostTable, MapCounts};
use hecc_ir::function::Approximation;
use hecc_ir::params::Parameters;
use hecc_ir::program::Program;
use hecc_ir::slots;

use crate::approximate::{self, Choice, IDENTITY_DEGREE, Ways, alternatives};
use crate::choose_degree::choose_degree;
use crate::choose_layouts::{Layouts, Request, choose_layouts};
use crate::choose_parameters::{self, Constraints, RINGS, twist_granularity};
use crate::complete_squares::complete_squares;
use crate::cost::Prices;
use crate::fold_linear::Folded;
use crate::lower_to_slots::{Units, lower_to_slots};
use crate::place::{Mode, Placed, emit_program, levelled_depth, place};
use crate::report::{self, CandidateReport, Report};
use crate::steps::{HubKind, Steps};
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

/// The network before anything depends on a ring.
struct Network<'a> {
    steps: Steps,
    ways: Vec<Vec<Approximation>>,
    units: Units,
    options: &'a Options,
}

/// The network in the slots of one ring.
struct Packed {
    layouts: Layouts,
    graph: slots::Graph,
    counts: Vec<MapCounts>,
}

/// A parameter set with the network placed on it.
struct Candidate {
    /// Index into the packings.
    packed: usize,
    parameters: Parameters,
    placed: Placed,
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
        let (packings, mut candidates, refused) = candidates(&network)?;
        let comparison = compare(&network, &packings, &candidates);
        candidates.sort_by(|a, b| a.placed.seconds().total_cmp(&b.placed.seconds()));
        let table: Vec<CandidateReport> = candidates
            .iter()
            .map(CandidateReport::of_candidate)
            .collect();
        dumps("3_parameters", &report::dump_candidates(&table, &refused));
        let mut reasons = refused;
        for candidate in &candidates {
            let packed = &packings[candidate.packed];
            let program = emit_program(&packed.graph, &candidate.placed, &candidate.parameters);
            program
                .verify(&candidate.parameters)
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
                parameters: candidate.parameters.clone(),
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
fn network<'a>(
    folded: &Folded,
    calibration: &Calibration,
    options: &'a Options,
) -> Result<(Network<'a>, usize), PassError> {
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
    let ways: Vec<Vec<Approximation>> = steps
        .activations()
        .map(|(_, hub, function)| match squares.get(&hub.name) {
            Some(uniform) => alternatives(function, uniform, &choice),
            None if matches!(function, hecc_ir::function::Function::Approximated(_)) => {
                approximate::given(function)
            }
            None => alternatives(function, found(&hub.name)?, &choice),
        })
        .collect::<Result<_, _>>()?;
    let units = units(&steps, &ways, calibration, options.margin)?;
    let network = Network {
        steps,
        ways,
        units,
        options,
    };
    Ok((network, degree))
}

/// Degree of fused polynomials where every activation is one already: on the share of the half circle
/// that they fill, a quadratic then has an error of 2^-12, as much as noise makes.
const EXACT_DEGREE: usize = 7;

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
    Ok(Units {
        input: 1.0,
        sums: (0..steps.sums.len()).map(unit).collect::<Result<_, _>>()?,
        activations: ways
            .iter()
            .map(|ways| approximate::result_unit(ways))
            .collect(),
    })
}

type Search = (Vec<Packed>, Vec<Candidate>, Vec<String>);

/// The network placed on every parameter set that could serve it.
fn candidates(network: &Network) -> Result<Search, PassError> {
    let constraints = &network.options.constraints;
    let rings: Vec<u32> = constraints.ring.map_or(RINGS.to_vec(), |ring| vec![ring]);
    let fused = network.ways.iter().flatten().filter_map(fused_degree).max();
    // Plain bootstraps at least.
    let degree = fused.unwrap_or(IDENTITY_DEGREE);
    let mut search: Search = Default::default();
    for &log_n in &rings {
        let found = choose_parameters::with_bootstrap(log_n, degree, constraints);
        search.2.extend(found.refused);
        if let Some(first) = found.sets.first() {
            let packed = pack(network, log_n, true, first)?;
            add(network, packed, found.sets, &mut search);
        }
        let Some(levels) = steps_depth(network) else {
            continue;
        };
        let found = choose_parameters::without_bootstrap(log_n, levels, constraints);
        search.2.extend(found.refused);
        if let Some(first) = found.sets.first() {
            let packed = pack(network, log_n, false, first)?;
            // Changes of layout take levels of their own.
            let sets = match levelled_depth(&packed.graph) {
                Some(more) if more > levels => {
                    let found = choose_parameters::without_bootstrap(log_n, more, constraints);
                    search.2.extend(found.refused);
                    found.sets
                }
                _ => found.sets,
            };
            add(network, packed, sets, &mut search);
        }
    }
    // A set with a bootstrap that nobody uses is a set without one, of another precision.
    let candidates = &mut search.1;
    if candidates.iter().any(|c| c.parameters.bootstrap.is_none()) {
        candidates.retain(|c| c.parameters.bootstrap.is_none() || c.placed.bootstraps > 0);
    }
    Ok(search)
}

fn fused_degree(way: &Approximation) -> Option<usize> {
    match way {
        Approximation::Fused { coefficients, .. } => Some(coefficients.len() - 1),
        Approximation::Levelled { .. } | Approximation::Square { .. } => None,
    }
}

/// Places the packed network on `sets`; what does not fit is refused.
fn add(network: &Network, packed: Packed, sets: Vec<Parameters>, search: &mut Search) {
    let (packings, candidates, refused) = search;
    for parameters in sets {
        let costs = &network.options.costs;
        match place(
            &packed.graph,
            &packed.counts,
            &parameters,
            costs,
            network.options.mode,
        ) {
            Ok(placed) => candidates.push(Candidate {
                packed: packings.len(),
                parameters,
                placed,
            }),
            Err(e) => refused.push(format!(
                "the ring 2^{} with {} levels: {e}",
                parameters.log_n,
                parameters.top()
            )),
        }
    }
    packings.push(packed);
}

/// Layouts in the ring 2^log_n, with prices of the linear maps as `parameters` have them.
fn pack(
    network: &Network,
    log_n: u32,
    bootstrap: bool,
    parameters: &Parameters,
) -> Result<Packed, PassError> {
    let mut fused = vec![false; network.steps.hubs.len()];
    for ((hub, _, _), ways) in network.steps.activations().zip(&network.ways) {
        // A twist leaves only the fused way: it is for activations that prefer that.
        fused[hub] = bootstrap && ways.first().and_then(fused_degree).is_some();
    }
    let level = match parameters.activation_in() {
        Some(enter) => enter + 1,
        None => parameters.top().div_ceil(2),
    };
    let prices = Prices::new(&network.options.costs, parameters, level);
    let request = Request {
        slots: 1 << (log_n - 1),
        granularity: twist_granularity(log_n, bootstrap),
        fused: &fused,
        prices: &prices,
    };
    let layouts = choose_layouts(&network.steps, &request)?;
    let graph = lower_to_slots(&network.steps, &layouts, &network.units, &network.ways);
    graph.verify().map_err(|e| PassError::Verify {
        pass: "lower_to_slots",
        what: e.to_string(),
    })?;
    let counts = layouts
        .maps
        .iter()
        .flatten()
        .flatten()
        .map(|map| MapCounts {
            diagonals: map.diagonals,
            babies: map.babies,
            giants: map.giants,
            folds: map.folds,
            inputs: map.inputs,
            outputs: map.outputs,
        })
        .collect();
    Ok(Packed {
        layouts,
        graph,
        counts,
    })
}

/// Levels from input to output without bootstraps or changes of layout; None when an activation
/// has no levelled way.
fn steps_depth(network: &Network) -> Option<usize> {
    let steps = &network.steps;
    let mut hubs: Vec<usize> = Vec::with_capacity(steps.hubs.len());
    let mut activations = network.ways.iter();
    for hub in &steps.hubs {
        let below = hub
            .kind
            .sums()
            .flat_map(|sum| &steps.sums[sum].addends)
            .map(|a| hubs[a.source] + usize::from(!a.stages.is_empty()))
            .max();
        let own = match &hub.kind {
            HubKind::Input | HubKind::Sum { .. } => 0,
            HubKind::Mul { .. } => 1,
            HubKind::Activation { .. } => activations
                .next()?
                .iter()
                .filter_map(crate::place::depth_of)
                .min()?,
        };
        hubs.push(below.unwrap_or(0) + own);
    }
    hubs.last().copied()
}

/// Predicted seconds of the baselines, each on its own best parameter set.
fn compare(network: &Network, packings: &[Packed], candidates: &[Candidate]) -> Comparison {
    let best = |mode: Mode| {
        candidates
            .iter()
            .filter_map(|candidate| {
                let packed = &packings[candidate.packed];
                let costs = &network.options.costs;
                place(
                    &packed.graph,
                    &packed.counts,
                    &candidate.parameters,
                    costs,
                    mode,
                )
                .ok()
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
        let (p, placed) = (&candidate.parameters, &candidate.placed);
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
