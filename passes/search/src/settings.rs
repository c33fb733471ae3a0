//! What a user may set of a search.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::dominance::Limits;
use crate::error::SearchError;
use crate::hypervolume::Reference;

/// What decides the course of a search, apart from its length: part of its state.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Of all that is drawn.
    pub seed: u64,
    /// Genomes that live on from a generation to the next, 4 to 10,000.
    pub population: usize,
    /// New genomes a generation, 1 to 10,000.
    pub offspring: usize,
    /// Probability that two parents are mixed, 0 to 1.
    pub crossover: f64,
    /// Share of the genes that a mutation changes, 0 to 1; at least one gene changes in any case.
    pub mutation: f64,
    /// What the front must keep to.
    pub limits: Limits,
    /// Corner of the hypervolume; None: accuracy 0 and the slowest genome of the first generation.
    pub reference: Option<Reference>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            seed: 0,
            population: 40,
            offspring: 40,
            crossover: 0.7,
            mutation: 0.05,
            limits: Limits::default(),
            reference: None,
        }
    }
}

impl Settings {
    /// Checks the ranges stated at the fields.
    ///
    /// # Errors
    /// [`SearchError::Setting`] names the first field out of its range.
    pub fn check(&self) -> Result<(), SearchError> {
        let rule = |holds: bool, name, expected, got: String| match holds {
            true => Ok(()),
            false => Err(SearchError::Setting {
                name,
                expected,
                got,
            }),
        };
        let Self {
            population,
            offspring,
            crossover,
            mutation,
            ..
        } = *self;
        rule(
            (4..=10_000).contains(&population),
            "population",
            "4 to 10000",
            population.to_string(),
        )?;
        rule(
            (1..=10_000).contains(&offspring),
            "offspring",
            "1 to 10000",
            offspring.to_string(),
        )?;
        rule(
            (0.0..=1.0).contains(&crossover),
            "crossover",
            "0 to 1",
            crossover.to_string(),
        )?;
        rule(
            (0.0..=1.0).contains(&mutation),
            "mutation",
            "0 to 1",
            mutation.to_string(),
        )?;
        let positive = |x: f64| x.is_finite() && x > 0.0;
        if let Some(seconds) = self.limits.max_seconds {
            rule(
                positive(seconds),
                "limit of seconds",
                "a positive number",
                seconds.to_string(),
            )?;
        }
        if let Some(accuracy) = self.limits.min_accuracy {
            rule(
                (0.0..=1.0).contains(&accuracy),
                "least accuracy",
                "0 to 1",
                accuracy.to_string(),
            )?;
        }
        if let Some(Reference { accuracy, seconds }) = self.reference {
            rule(
                (0.0..1.0).contains(&accuracy),
                "reference accuracy",
                "0 to below 1",
                accuracy.to_string(),
            )?;
            rule(
                positive(seconds),
                "reference seconds",
                "a positive number",
                seconds.to_string(),
            )?;
        }
        Ok(())
    }
}

/// How long to search; the first bound met ends it, always after a whole generation. Without any, a
/// search ends when it finds no new genomes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Budget {
    /// No generation begins that would likely end after this time, counted from the call.
    pub time: Option<Duration>,
    /// Generations in all, those before a resumption included; the first one is number 1.
    pub generations: Option<usize>,
    /// Genomes in all, counted likewise; no generation begins that could exceed it, but the first.
    pub evaluations: Option<usize>,
}

/// Why a search ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// [`Budget::time`].
    Time,
    /// [`Budget::generations`].
    Generations,
    /// [`Budget::evaluations`].
    Evaluations,
    /// No genome was found that is new.
    Exhausted,
    /// The callback or the objective wanted so; the state is that of the last whole generation.
    Interrupted,
}
