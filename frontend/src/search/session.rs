//! The network of a search with its candidates, ready to be judged.

use super::emit::Emitter;
use super::images::Held;
use super::inputs::Inputs;
use crate::args::Search;
use crate::failure::Failure;
use hecc_batch::Batch;
use hecc_ir::calibration::{ActivationStatistics, Calibration};
use hecc_ir::function::Function;
use hecc_ir::nn::{Graph, Op};
use hecc_passes::candidates::{self, Candidate, Kind, candidates};
use hecc_passes::latency::Oracle;
use hecc_passes::replace::activations;
use hecc_passes::{Mode, Options};
use hecc_search::{Activation, Alternative, Images, NetworkObjective, OraclePlanner, Screen};
use rayon::prelude::*;

/// Share of the images that judge candidates which also judges whether one is hopeless, and how much
/// every candidate costs alone.
const FIRST_STAGE: usize = 4;
/// Loss of accuracy on them from which a candidate is not judged on the others.
const HOPELESS: f64 = 0.15;

/// What a search works on.
pub struct Session<'a> {
    /// As given.
    pub inputs: &'a Inputs,
    /// What was measured.
    pub calibration: &'a Calibration,
    /// The activations in the order of the genes, with their candidates.
    pub found: Vec<Vec<Candidate>>,
    /// How networks are lowered.
    pub options: Options,
    /// Judges genomes.
    pub objective: NetworkObjective<OraclePlanner>,
    /// For the accuracies that are stated.
    pub confirmation: Images,
    /// For the sensitivities.
    pub first: Images,
}

impl<'a> Session<'a> {
    /// Fits the candidates and sets up what judges them.
    ///
    /// # Errors
    /// Activations that the calibration does not know, images that do not fit.
    pub fn new(
        inputs: &'a Inputs,
        calibration: &'a Calibration,
        args: &Search,
    ) -> Result<Self, Failure> {
        let graph = &inputs.folded.graph;
        let options = Options {
            costs: inputs.costs.clone(),
            // Nobody sees how else the points could be placed.
            compare: false,
            ..Options::default()
        };
        let found = fitted(inputs, calibration, &options, args)?;
        let teacher = inputs.teacher.as_ref().unwrap_or(graph);
        let search = &inputs.drawn.search;
        let first = search.images.len().div_ceil(FIRST_STAGE);
        let images = images(teacher, search)?;
        let planner = planner(inputs, &found, &options, Mode::Exact)?;
        let screen = Screen {
            images: first,
            hopeless: HOPELESS,
        };
        let for_first = images.first(first);
        let objective = NetworkObjective::new(graph, &ops(&found), planner, images, Some(screen))?;
        let confirmation = &inputs.drawn.confirmation;
        Ok(Self {
            inputs,
            calibration,
            found,
            options,
            objective,
            confirmation: self::images(teacher, confirmation)?,
            first: for_first,
        })
    }

    /// Kinds of all candidates.
    pub fn kinds(&self) -> Vec<Vec<Kind>> {
        let kinds = |c: &Vec<Candidate>| c.iter().map(|c| c.kind.clone()).collect();
        self.found.iter().map(kinds).collect()
    }

    /// Costs with bootstraps as late as possible.
    ///
    /// # Errors
    /// As [`Oracle::new`].
    pub fn greedy(&self) -> Result<OraclePlanner, Failure> {
        planner(self.inputs, &self.found, &self.options, Mode::Greedy)
    }

    /// Writes plans of the network, by the options of the search or others.
    pub fn emitter<'b>(&'b self, options: &'b Options, max_memory: Option<u64>) -> Emitter<'b> {
        Emitter {
            folded: &self.inputs.folded,
            name: &self.inputs.name,
            preprocess: &self.inputs.preprocess,
            images: self.inputs.measured(),
            options,
            max_memory,
        }
    }

    /// The activations as front.json has them.
    ///
    /// # Errors
    /// A candidate that replaces no activation, which is an error of this program.
    pub fn activations(&self) -> Result<Vec<Activation>, Failure> {
        let graph = &self.inputs.folded.graph;
        let of = activations(graph).into_iter().zip(&self.found);
        of.map(|(id, found)| {
            let node = &graph.nodes[id];
            let statistics = statistics(self.inputs, self.calibration, &node.name)?;
            let alternatives: Option<Vec<Alternative>> =
                found.iter().map(Alternative::new).collect();
            Ok(Activation {
                name: origin(self.inputs, &node.name),
                function: function(&node.op)?.clone(),
                shape: node.shape,
                min: statistics.min,
                max: statistics.max,
                candidates: alternatives
                    .ok_or_else(|| Failure::new(format!("{}: no candidate", node.name)))?,
            })
        })
        .collect()
    }
}

fn ops(found: &[Vec<Candidate>]) -> Vec<Vec<Op>> {
    let ops = |c: &Vec<Candidate>| c.iter().map(|c| c.op.clone()).collect();
    found.iter().map(ops).collect()
}

fn planner(
    inputs: &Inputs,
    found: &[Vec<Candidate>],
    options: &Options,
    mode: Mode,
) -> Result<OraclePlanner, Failure> {
    let options = Options {
        mode,
        ..options.clone()
    };
    let oracle = Oracle::new(&inputs.folded, &options)?;
    Ok(OraclePlanner::new(oracle, ops(found)))
}

/// Images as judges see them.
fn images(teacher: &Graph, held: &Held) -> Result<Images, Failure> {
    let shape = teacher.nodes[teacher.input].shape;
    let refs: Vec<&[f32]> = held.images.iter().map(Vec::as_slice).collect();
    let batch = Batch::from_images(shape, &refs);
    Ok(Images::new(teacher, batch, held.labels.as_deref())?)
}

/// The candidates of every activation.
fn fitted(
    inputs: &Inputs,
    calibration: &Calibration,
    options: &Options,
    args: &Search,
) -> Result<Vec<Vec<Candidate>>, Failure> {
    let graph = &inputs.folded.graph;
    let choice = candidates::Options {
        margin: options.margin,
        rho: options.rho,
        seed: args.seed,
        restarts: args.restarts,
        ..candidates::Options::default()
    };
    activations(graph)
        .into_par_iter()
        .map(|id| {
            let node = &graph.nodes[id];
            let statistics = statistics(inputs, calibration, &node.name)?;
            Ok(candidates(
                function(&node.op)?,
                node.shape,
                statistics,
                &choice,
            )?)
        })
        .collect()
}

fn function(op: &Op) -> Result<&Function, Failure> {
    match op {
        Op::Activation(function) => Ok(function),
        Op::Input | Op::Linear(_) | Op::Add | Op::Mul => {
            Err(Failure::new("an activation is none; please report this"))
        }
    }
}

fn origin(inputs: &Inputs, name: &str) -> String {
    let origins = &inputs.folded.origins;
    origins.get(name).map_or(name, String::as_str).to_string()
}

fn statistics<'a>(
    inputs: &Inputs,
    calibration: &'a Calibration,
    name: &str,
) -> Result<&'a ActivationStatistics, Failure> {
    let origin = origin(inputs, name);
    let entry = |name: &str| calibration.activations.iter().find(|a| a.name == name);
    entry(name).or_else(|| entry(&origin)).ok_or_else(|| {
        Failure::new(format!(
            "activation '{origin}' is not in the calibration of '{}'",
            calibration.model
        ))
        .help("leave --calibration out: the search measures by itself")
    })
}
