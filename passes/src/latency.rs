//! **latency**: what [`crate::lower`] would predict, for many networks that differ in their activations.
//!
//! Does: replaces the activations of a folded graph, folds it again, and explores parameter sets,
//! layouts, levels and bootstraps as `lower` does, with the same code. What networks have in common is
//! remembered: relations and costs of maps, cuts, parameter sets, prices, results. Sets that cannot be
//! the fastest are left out, so that no better result is missed.
//!
//! Does not: look at weights, ranges or coefficients beyond what decides the structure (which constants
//! are zero or one, degrees of series); write programs; ask whether memory suffices for one.
//!
//! Exact, but for coincidences of calibrated values: where a skip connection joins two values whose
//! units happen to be equal to the last bit, `lower` saves a multiplication by 1, and where factors
//! multiply to exactly 1 or weights to exactly 0, it saves the map.
//!
//! Test: `predictions_are_those_of_lower` in `tests/latency.rs`.

mod best;
mod gene;

use hecc_ir::calibration::ActivationStatistics;
use hecc_ir::nn::{Graph, Op};

use crate::approximate::{self, Choice};
use crate::choose_parameters;
use crate::complete_squares::complete_squares;
use crate::explore::{Catalogue, Explorer, Network, Wanted};
use crate::known::{Known, Memo};
use crate::lower_to_slots::Units;
use crate::pipeline::{self, EXACT_DEGREE, Options};
use crate::replace::{activations, apply};
use crate::steps::Steps;
use crate::{Folded, PassError, fold_linear};
use gene::Gene;

/// What a network would take.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Predicted {
    /// Seconds under the cost table.
    pub seconds: f64,
    /// Bootstraps of one ciphertext each, fused and plain.
    pub bootstraps: usize,
    /// log2 of the ring degree.
    pub log_n: u32,
    /// Highest level of the parameter set.
    pub levels: usize,
}

/// Predicts latency; shared between threads.
pub struct Oracle {
    graph: Graph,
    options: Options,
    activations: usize,
    catalogue: Catalogue,
    known: Known,
    predicted: Memo<Vec<Gene>, Result<Predicted, PassError>>,
}

/// Results kept.
const CAPACITY: usize = 1 << 16;

impl Oracle {
    /// For the network `folded`, whose activations are to be replaced.
    ///
    /// # Errors
    /// [`PassError::Option`] for constraints that cannot be, [`PassError::Verify`] for a graph that
    /// breaks a rule.
    pub fn new(folded: &Folded, options: &Options) -> Result<Self, PassError> {
        choose_parameters::check(&options.constraints)?;
        folded.graph.verify().map_err(|e| PassError::Verify {
            pass: "import",
            what: e.to_string(),
        })?;
        Ok(Self {
            activations: activations(&folded.graph).len(),
            graph: folded.graph.clone(),
            catalogue: Catalogue::new(&options.constraints, &options.costs),
            known: Known::default(),
            predicted: Memo::new(CAPACITY),
            options: options.clone(),
        })
    }

    /// What `lower` predicts for the network with `ops` in the place of its activations, one for each in
    /// the order of [`activations`]. Functions are approximated as `lower` would, at the options' degree.
    ///
    /// # Errors
    /// [`PassError::Option`] for a wrong number of operators, or for a function that is no polynomial
    /// where the options name no degree; those of `lower`.
    pub fn predict(&self, ops: &[Op]) -> Result<Predicted, PassError> {
        if ops.len() != self.activations {
            return Err(PassError::Option {
                name: "operators".to_string(),
                expected: format!("one for each of {} activations", self.activations),
                got: ops.len().to_string(),
            });
        }
        let key = ops.iter().map(Gene::of).collect();
        self.predicted.of(key, |_| self.computed(ops))
    }

    fn computed(&self, ops: &[Op]) -> Result<Predicted, PassError> {
        let folded = fold_linear(&apply(&self.graph, ops))?;
        let network = self.network(&folded)?;
        let found = self.explorer().explore(&network)?;
        let Some(best) = found.fastest() else {
            return Err(PassError::NoParameters(found.refused.join("; ")));
        };
        Ok(Predicted {
            seconds: best.placed.seconds(),
            bootstraps: best.placed.bootstraps,
            log_n: best.parameters().log_n,
            levels: best.parameters().top(),
        })
    }

    fn explorer(&self) -> Explorer<'_> {
        Explorer {
            catalogue: &self.catalogue,
            known: &self.known,
            mode: self.options.mode,
            wanted: Wanted::Fastest,
        }
    }

    /// The network as `lower` sees it, at made-up ranges.
    fn network(&self, folded: &Folded) -> Result<Network, PassError> {
        let options = &self.options;
        let mut steps = Steps::read_knowing(&folded.graph, &self.known)?;
        let any = anything();
        let squares = complete_squares(&mut steps, options.margin, |_| Ok(&any))?;
        let exact = steps
            .activations()
            .all(|(_, _, function)| approximate::is_exact(function));
        let degree = match (exact, options.degree) {
            (_, Some(degree)) => degree,
            (true, None) => EXACT_DEGREE,
            (false, None) => {
                return Err(PassError::Option {
                    name: "activation".to_string(),
                    expected: "an affine map, a quadratic or an approximation".to_string(),
                    got: "another function, and no degree for it".to_string(),
                });
            }
        };
        let choice = Choice {
            degree,
            margin: options.margin,
            rho: options.rho,
            ways: options.ways.clone(),
        };
        let ways = pipeline::ways(&steps, &squares, &choice, |_| Ok(&any))?;
        let units = units(&steps, ways.len());
        Ok(Network { steps, ways, units })
    }
}

/// Statistics of an activation whose values do not matter.
fn anything() -> ActivationStatistics {
    ActivationStatistics {
        name: String::new(),
        min: -1.0,
        max: 1.0,
        histogram: vec![1; 2],
    }
}

/// Units that differ wherever values do.
fn units(steps: &Steps, activations: usize) -> Units {
    let mut sums: Vec<f64> = Vec::with_capacity(steps.sums.len());
    for sum in 0..steps.sums.len() {
        let unit = match steps.same_as(sum) {
            Some(earlier) => sums[earlier],
            None => 2.0 + sum as f64,
        };
        sums.push(unit);
    }
    Units {
        input: 1.0,
        sums,
        activations: (0..activations).map(|a| 1.5 + a as f64).collect(),
    }
}
