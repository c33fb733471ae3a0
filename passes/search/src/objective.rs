//! What is searched over, and what is searched for.

use serde::{Deserialize, Serialize};

use crate::error::SearchError;

/// A choice for every activation of the network, in graph order: an index into its alternatives,
/// which are ordered from the cheapest to the dearest.
pub type Genome = Vec<u8>;

/// What a genome is worth.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Score {
    /// Share of the images classified as their label says, 0 to 1: what limits are about, and what is
    /// shown.
    pub accuracy: f64,
    /// Estimated share of images that the exact network gets right and this one does not, 0 to 1; lower
    /// is better. What is searched for: counted accuracies are too coarse to order good genomes.
    pub loss: f64,
    /// Mean divergence from the exact network's output distribution, in nats, not negative; lower is
    /// better. Decides between equal losses.
    pub divergence: f64,
    /// Predicted seconds of an evaluation on ciphertexts.
    pub seconds: f64,
    /// Bootstraps of the placement that takes `seconds`.
    pub bootstraps: usize,
}

/// What a genome is worth, whatever it costs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judgement {
    /// As [`Score::accuracy`].
    pub accuracy: f64,
    /// As [`Score::divergence`].
    pub divergence: f64,
}

/// Judges genomes.
pub trait Objective: Sync {
    /// Number of alternatives of every activation, each 1 to 256.
    fn sizes(&self) -> Vec<usize>;

    /// One score a genome, in their order; None for a genome that cannot be run at all (no parameter
    /// set serves it). Depends on each genome alone, not on its company nor on the number of threads.
    ///
    /// # Errors
    /// When judging fails; [`SearchError::Interrupted`] ends the search without loss.
    fn evaluate(&self, genomes: &[Genome]) -> Result<Vec<Option<Score>>, SearchError>;

    /// As [`Objective::evaluate`], without costs; None where they decide that there is no judgement.
    ///
    /// # Errors
    /// As [`Objective::evaluate`].
    fn judge(&self, genomes: &[Genome]) -> Result<Vec<Option<Judgement>>, SearchError> {
        let scores = self.evaluate(genomes)?.into_iter();
        let without = |Score {
                           accuracy,
                           divergence,
                           ..
                       }| Judgement {
            accuracy,
            divergence,
        };
        Ok(scores.map(|score| score.map(without)).collect())
    }
}

/// Checks that `genome` has one index a gene, each below the gene's size.
///
/// # Errors
/// [`SearchError::Genome`].
pub fn check_genome(genome: &[u8], sizes: &[usize]) -> Result<(), SearchError> {
    let refuse = |what: String| SearchError::Genome {
        genome: format!("{genome:?}"),
        what,
    };
    if genome.len() != sizes.len() {
        return Err(refuse(format!(
            "{} genes, the network has {} activations",
            genome.len(),
            sizes.len()
        )));
    }
    for (place, (&gene, &size)) in genome.iter().zip(sizes).enumerate() {
        if usize::from(gene) >= size {
            return Err(refuse(format!(
                "gene {place} is {gene}, activation {place} has {size} alternatives"
            )));
        }
    }
    Ok(())
}

/// Checks that there is something to choose and that indices fit a gene.
pub(crate) fn check_sizes(sizes: &[usize]) -> Result<(), SearchError> {
    for &size in sizes {
        if !(1..=256).contains(&size) {
            return Err(SearchError::Setting {
                name: "alternatives of an activation",
                expected: "1 to 256",
                got: size.to_string(),
            });
        }
    }
    match sizes.iter().any(|&size| size > 1) {
        true => Ok(()),
        false => Err(SearchError::NothingToSearch),
    }
}

/// An objective on some of the alternatives only: gene i of a genome here indexes `allowed[i]`.
pub struct Restricted<'a> {
    inner: &'a dyn Objective,
    allowed: Vec<Vec<u8>>,
}

impl<'a> Restricted<'a> {
    /// `allowed[i]` lists the alternatives that activation i keeps, ascending.
    ///
    /// # Errors
    /// [`SearchError::Genome`] for a list that does not fit `inner`.
    pub fn new(inner: &'a dyn Objective, allowed: Vec<Vec<u8>>) -> Result<Self, SearchError> {
        let sizes = inner.sizes();
        for list in &allowed {
            if list.is_empty() || !list.is_sorted_by(|a, b| a < b) {
                return Err(SearchError::Genome {
                    genome: format!("{list:?}"),
                    what: "expected the indices that are kept, at least one, ascending".into(),
                });
            }
        }
        let last: Genome = allowed
            .iter()
            .map(|l| l.last().copied().unwrap_or(0))
            .collect();
        check_genome(&last, &sizes)?;
        Ok(Self { inner, allowed })
    }

    /// The genome of the objective behind this one.
    ///
    /// # Errors
    /// [`SearchError::Genome`] when `genome` is not one of this objective.
    pub fn translate(&self, genome: &[u8]) -> Result<Genome, SearchError> {
        check_genome(genome, &self.sizes())?;
        Ok(self.allowed_at(genome))
    }

    fn allowed_at(&self, genome: &[u8]) -> Genome {
        let at = |(list, &gene): (&Vec<u8>, &u8)| list[usize::from(gene)];
        self.allowed.iter().zip(genome).map(at).collect()
    }
}

impl Objective for Restricted<'_> {
    fn sizes(&self) -> Vec<usize> {
        self.allowed.iter().map(Vec::len).collect()
    }

    fn evaluate(&self, genomes: &[Genome]) -> Result<Vec<Option<Score>>, SearchError> {
        let translated: Result<Vec<_>, _> = genomes.iter().map(|g| self.translate(g)).collect();
        self.inner.evaluate(&translated?)
    }

    fn judge(&self, genomes: &[Genome]) -> Result<Vec<Option<Judgement>>, SearchError> {
        let translated: Result<Vec<_>, _> = genomes.iter().map(|g| self.translate(g)).collect();
        self.inner.judge(&translated?)
    }
}
