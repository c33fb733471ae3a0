//! What a choice of activations costs.

use serde::{Deserialize, Serialize};

use crate::error::SearchError;
use crate::objective::Genome;

/// Predicted cost of a genome, on the parameter set that suits it best.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cost {
    /// Seconds of an evaluation.
    pub seconds: f64,
    /// Bootstraps, fused ones included.
    pub bootstraps: usize,
    /// Ring of 2^`log_n`.
    pub log_n: u32,
    /// Levels of the modulus chain.
    pub levels: usize,
}

/// Places levels and bootstraps for a genome.
pub trait Planner: Sync {
    /// The cost of a genome; None when no parameter set serves it.
    ///
    /// # Errors
    /// When a pass fails otherwise.
    fn predict(&self, genome: &[u8]) -> Result<Option<Cost>, SearchError>;

    /// The genome of the least seconds + `lambda` * sum of `errors[i][k]`, over all genomes.
    ///
    /// # Errors
    /// When a pass fails.
    fn best(&self, errors: &[Vec<f64>], lambda: f64) -> Result<Genome, SearchError>;
}

impl<P: Planner + ?Sized> Planner for &P {
    fn predict(&self, genome: &[u8]) -> Result<Option<Cost>, SearchError> {
        (**self).predict(genome)
    }

    fn best(&self, errors: &[Vec<f64>], lambda: f64) -> Result<Genome, SearchError> {
        (**self).best(errors, lambda)
    }
}

/// AutoFHE's own objective: a planner whose seconds are the number of bootstraps [AB24].
pub struct CountBootstraps<P>(pub P);

impl<P: Planner> Planner for CountBootstraps<P> {
    fn predict(&self, genome: &[u8]) -> Result<Option<Cost>, SearchError> {
        let count = |cost: Cost| Cost {
            seconds: cost.bootstraps as f64,
            ..cost
        };
        Ok(self.0.predict(genome)?.map(count))
    }

    fn best(&self, errors: &[Vec<f64>], lambda: f64) -> Result<Genome, SearchError> {
        self.0.best(errors, lambda)
    }
}
