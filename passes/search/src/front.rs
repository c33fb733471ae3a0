//! What a search leaves behind: `front.json`, from which plans are picked, points are trained further,
//! and tables are made.

use std::collections::{BTreeMap, BTreeSet};

use hecc_ir::function::Function;
use hecc_ir::nn::{Linear, Op, Shape};
use hecc_passes::candidates::{Candidate, Kind, Method, Trial};
use serde::{Deserialize, Serialize};

use crate::ablation::Ablation;
use crate::error::SearchError;
use crate::hypervolume::Reference;
use crate::objective::Genome;
use crate::planner::Cost;
use crate::sensitivity::Sensitivities;
use crate::settings::Settings;
use crate::share::Share;
use crate::state::{Generation, version};

mod check;
mod pick;

/// Version that [`Front::from_json`] accepts.
pub const FRONT_VERSION: u32 = 3;

/// The result of a search; a JSON file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Front {
    /// [`FRONT_VERSION`].
    pub version: u32,
    /// File name of the model, without its folder.
    pub model: String,
    /// BLAKE3, hexadecimal, of the imported and folded graph.
    pub model_hash: String,
    /// The command that was given.
    pub command: String,
    /// What made it: program and tables, by name.
    pub versions: BTreeMap<String, String>,
    /// Of the search.
    pub settings: Settings,
    /// On what it was measured.
    pub data: Data,
    /// The exact network on the images of the points.
    pub exact: Share,
    /// The activations in the order of the genes.
    pub activations: Vec<Activation>,
    /// One replacement at a time; None where nothing was measured.
    pub sensitivities: Option<Sensitivities>,
    /// By ascending seconds and descending loss; then those that were trained.
    pub points: Vec<Point>,
    /// What to compare with.
    pub baselines: Vec<Baseline>,
    /// What encrypted evaluations took, by the file name of their plan.
    pub measured: BTreeMap<String, Measured>,
    /// What evolution was worth; None where it was not asked.
    pub ablation: Option<Ablation>,
    /// Corner of the hypervolumes.
    pub reference: Reference,
    /// The course of the search.
    pub history: Vec<Generation>,
}

/// The images used. No image is in two of the three groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// For ranges and distributions.
    pub calibration: usize,
    /// To judge genomes on while searching.
    pub search: usize,
    /// For the accuracies that the front states.
    pub confirmation: usize,
    /// Whether labels were given; else accuracy is agreement with the exact network, or the teacher.
    pub labels: bool,
}

/// An activation and what may stand in its place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Activation {
    /// Its node's name.
    pub name: String,
    /// The function it is in the model.
    pub function: Function,
    /// Shape of its operand and its result.
    pub shape: Shape,
    /// Smallest operand measured.
    pub min: f64,
    /// Largest operand measured.
    pub max: f64,
    /// From the cheapest to the dearest; the first is pruned.
    pub candidates: Vec<Alternative>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alternative {
    /// What it is.
    pub kind: Kind,
    /// What found its coefficients.
    pub method: Method,
    /// Root mean square error on the measured distribution, over the range.
    pub error: f64,
    /// The same of every method tried.
    pub trials: Vec<Trial>,
    /// Itself.
    pub replacement: Replacement,
}

/// An operator that stands in an activation's place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum Replacement {
    /// A line per channel.
    Line {
        /// One per channel.
        scale: Vec<f32>,
        /// One per channel.
        shift: Vec<f32>,
    },
    /// An activation still.
    Function(Function),
}

impl Replacement {
    /// Of an operator; None for one that replaces no activation.
    pub fn new(op: &Op) -> Option<Self> {
        match op {
            Op::Linear(Linear::Affine { scale, shift }) => Some(Self::Line {
                scale: scale.clone(),
                shift: shift.clone(),
            }),
            Op::Activation(function) => Some(Self::Function(function.clone())),
            Op::Input | Op::Linear(_) | Op::Add | Op::Mul => None,
        }
    }

    /// The operator.
    pub fn op(&self) -> Op {
        match self.clone() {
            Self::Line { scale, shift } => Op::Linear(Linear::Affine { scale, shift }),
            Self::Function(function) => Op::Activation(function),
        }
    }
}

impl Alternative {
    /// Of a candidate; None for one that replaces no activation.
    pub fn new(candidate: &Candidate) -> Option<Self> {
        Some(Self {
            kind: candidate.kind.clone(),
            method: candidate.method,
            error: candidate.error,
            trials: candidate.trials.clone(),
            replacement: Replacement::new(&candidate.op)?,
        })
    }
}

/// A point of the front: a network that runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Point {
    /// Index of the alternative of every activation.
    pub genome: Genome,
    /// Of the images for confirmation.
    pub accuracy: Share,
    /// Estimated share of images that the exact network gets right and this one does not, 0 to 1, of the
    /// same images; None for a point that was trained, which need not be near the exact network.
    pub loss: Option<f64>,
    /// Accuracy on the images of the search, 0 to 1: higher, for it was selected by.
    pub searched: f64,
    /// Predicted.
    pub cost: Cost,
    /// Peak memory of an evaluation, bytes, predicted.
    pub peak_bytes: u64,
    /// File name of its plan, in the folder of the front.
    pub plan: String,
    /// What training made of it; None for a point of the search.
    pub tuned: Option<Tuned>,
}

/// What encrypted evaluations of a plan took.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    /// Of the evaluation in the middle.
    pub seconds: f64,
    /// Evaluations.
    pub runs: usize,
    /// Threads.
    pub threads: usize,
    /// The processor.
    pub machine: String,
}

/// A point that was trained further: its operators are those of the model file, no longer the
/// candidates'.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tuned {
    /// File name of the trained model, in the folder of the front.
    pub model: String,
    /// Epochs.
    pub epochs: usize,
    /// Accuracy before, of the same images.
    pub before: Share,
}

/// A network to compare with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Baseline {
    /// What it is: "cheb 15 everywhere".
    pub name: String,
    /// As [`Point::genome`]; None where it is not made of candidates.
    pub genome: Option<Genome>,
    /// Of the images for confirmation.
    pub accuracy: Share,
    /// As [`Point::loss`].
    pub loss: f64,
    /// Predicted; None where no parameter set serves it.
    pub cost: Option<Cost>,
    /// File name of its plan, in the folder of the front, to measure it by; None where it has none.
    pub plan: Option<String>,
}

impl Front {
    /// Reads `front.json`.
    ///
    /// # Errors
    /// [`SearchError::File`] names the first field that is out of bounds.
    pub fn from_json(bytes: &[u8]) -> Result<Self, SearchError> {
        let refuse = |what: String| SearchError::File {
            file: "front.json",
            what,
        };
        version(bytes, FRONT_VERSION).map_err(|what| refuse(format!("{what}; search again")))?;
        let front: Self = serde_json::from_slice(bytes).map_err(|e| refuse(e.to_string()))?;
        front.check().map_err(refuse)?;
        Ok(front)
    }

    /// JSON, for people too.
    ///
    /// # Errors
    /// [`SearchError::File`] when a field is out of bounds: what is written can be read.
    pub fn to_json(&self) -> Result<Vec<u8>, SearchError> {
        let refuse = |what: String| SearchError::File {
            file: "front.json",
            what,
        };
        self.check().map_err(refuse)?;
        let mut json = serde_json::to_vec(self).map_err(|e| refuse(e.to_string()))?;
        json.push(b'\n');
        Ok(json)
    }

    /// The file names of the plans of points and baselines.
    pub fn plans(&self) -> BTreeSet<&str> {
        let points = self.points.iter().map(|p| p.plan.as_str());
        let baselines = self.baselines.iter().filter_map(|b| b.plan.as_deref());
        points.chain(baselines).collect()
    }

    /// The operators of a genome, one an activation.
    ///
    /// # Errors
    /// [`SearchError::Genome`].
    pub fn ops(&self, genome: &[u8]) -> Result<Vec<Op>, SearchError> {
        Ok(self
            .alternatives(genome)?
            .map(|a| a.replacement.op())
            .collect())
    }

    /// The kinds of a genome, one an activation.
    ///
    /// # Errors
    /// [`SearchError::Genome`].
    pub fn kinds(&self, genome: &[u8]) -> Result<Vec<Kind>, SearchError> {
        Ok(self.alternatives(genome)?.map(|a| a.kind.clone()).collect())
    }

    /// The genome of kinds by name, one an activation, or one for all.
    ///
    /// # Errors
    /// [`SearchError::Kinds`] for another number of names, or where an activation has no such kind.
    pub fn genome<S: AsRef<str>>(&self, names: &[S]) -> Result<Genome, SearchError> {
        let count = self.activations.len();
        if names.len() != 1 && names.len() != count {
            return Err(SearchError::Kinds(format!(
                "{} kinds for {count} activations, expected one for each, or one for all",
                names.len()
            )));
        }
        let gene = |(activation, name): (&Activation, &S)| {
            let name = name.as_ref().trim();
            let kinds = || activation.candidates.iter().map(|c| c.kind.to_string());
            let place = kinds().position(|kind| kind == name);
            place.map(|place| place as u8).ok_or_else(|| {
                SearchError::Kinds(format!(
                    "{} cannot be {name:?}, only {}",
                    activation.name,
                    kinds().collect::<Vec<_>>().join(", ")
                ))
            })
        };
        let names = names.iter().cycle();
        self.activations.iter().zip(names).map(gene).collect()
    }

    fn alternatives<'a>(
        &'a self,
        genome: &'a [u8],
    ) -> Result<impl Iterator<Item = &'a Alternative>, SearchError> {
        let sizes: Vec<usize> = self
            .activations
            .iter()
            .map(|a| a.candidates.len())
            .collect();
        crate::objective::check_genome(genome, &sizes)?;
        let activations = self.activations.iter().zip(genome);
        Ok(activations.map(|(a, &gene)| &a.candidates[usize::from(gene)]))
    }
}

#[cfg(test)]
mod tests;
