//! Where a search stands: all that is needed to go on from there as if it had never stopped.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::dominance::front;
use crate::error::SearchError;
use crate::hypervolume::{Reference, hypervolume};
use crate::objective::{Genome, Score, check_genome, check_sizes};
use crate::settings::Settings;

/// Version that [`State::from_json`] accepts.
pub const STATE_VERSION: u32 = 2;
/// Most genomes of a state that is read.
const MAX_RECORDS: usize = 1_000_000;
/// Most activations of a state that is read.
const MAX_GENES: usize = 10_000;
/// Longest key of a binding, bytes.
const MAX_BINDING: usize = 10_000;

/// One genome and its score.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Index of the alternative of every activation.
    pub genome: Genome,
    /// None: it cannot be run.
    pub score: Option<Score>,
}

/// How far a search was after a generation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Generation {
    /// From 1.
    pub number: usize,
    /// Genomes evaluated so far, all generations together.
    pub evaluations: usize,
    /// Seconds of searching so far, sessions before a resumption included.
    pub seconds: f64,
    /// [`hypervolume`] of all genomes so far.
    pub hypervolume: f64,
    /// Points of the front so far.
    pub front: usize,
}

/// A search between two generations. Serialised with serde, and read with [`State::from_json`].
///
/// The generator of random numbers has no place here: every generation draws from its own stream of
/// the seed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    version: u32,
    /// What the search belongs to, the caller's words (a hash of the model, the images, the options).
    binding: String,
    settings: Settings,
    sizes: Vec<usize>,
    steps: Vec<Vec<u8>>,
    seeds: Vec<Genome>,
    archive: Vec<Record>,
    population: Vec<Genome>,
    history: Vec<Generation>,
    reference: Option<Reference>,
    #[serde(skip)]
    known: BTreeMap<Genome, usize>,
}

impl State {
    /// A search that has not begun. `sizes` as in [`crate::Objective::sizes`]; `seeds` join the first
    /// generation; `binding` names what must be the same on resumption.
    ///
    /// # Errors
    /// Settings out of range, nothing to choose, or a seed that is no genome.
    pub fn new(
        sizes: Vec<usize>,
        settings: Settings,
        seeds: Vec<Genome>,
        binding: &str,
    ) -> Result<Self, SearchError> {
        settings.check()?;
        check_sizes(&sizes)?;
        seeds
            .iter()
            .try_for_each(|seed| check_genome(seed, &sizes))?;
        let all = |&size: &usize| (0..size).map(|k| k as u8).collect();
        Ok(Self {
            version: STATE_VERSION,
            binding: binding.to_string(),
            settings,
            steps: sizes.iter().map(all).collect(),
            sizes,
            seeds,
            archive: Vec::new(),
            population: Vec::new(),
            history: Vec::new(),
            reference: settings.reference,
            known: BTreeMap::new(),
        })
    }

    /// The same with mutations between `steps[i]` of the alternatives of activation i only, ascending:
    /// those that may be worth it, see [`crate::worthwhile`]. Others enter by seeds and at random.
    ///
    /// # Errors
    /// [`SearchError::Genome`] for a list that does not fit.
    pub fn stepping(mut self, steps: Vec<Vec<u8>>) -> Result<Self, SearchError> {
        self.steps = steps;
        match self.check_steps() {
            Ok(()) => Ok(self),
            Err(what) => Err(SearchError::Genome {
                genome: format!("{:?}", self.steps),
                what,
            }),
        }
    }

    fn check_steps(&self) -> Result<(), String> {
        let sound = |(steps, &size): (&Vec<u8>, &usize)| {
            let within = steps.last().is_some_and(|&last| usize::from(last) < size);
            within && steps.is_sorted_by(|a, b| a < b)
        };
        let fits = self.steps.len() == self.sizes.len();
        match fits && self.steps.iter().zip(&self.sizes).all(sound) {
            true => Ok(()),
            false => {
                Err("steps: expected some alternatives of every activation, ascending".to_string())
            }
        }
    }

    /// Reads what [`State::to_json`] wrote.
    ///
    /// # Errors
    /// [`SearchError::File`] names the field that is out of bounds.
    pub fn from_json(bytes: &[u8]) -> Result<Self, SearchError> {
        let refuse = |what: String| SearchError::File {
            file: "state.json",
            what,
        };
        version(bytes, STATE_VERSION)
            .map_err(|what| refuse(format!("{what}; begin a new search")))?;
        let mut state: Self = serde_json::from_slice(bytes).map_err(|e| refuse(e.to_string()))?;
        state
            .check()
            .map_err(|what| refuse(format!("{what}; begin a new search")))?;
        for (place, record) in state.archive.iter().enumerate() {
            state.known.insert(record.genome.clone(), place);
        }
        Ok(state)
    }

    fn check(&self) -> Result<(), String> {
        let text = |e: SearchError| e.to_string();
        if self.sizes.len() > MAX_GENES {
            return Err(format!(
                "{} activations, at most {MAX_GENES}",
                self.sizes.len()
            ));
        }
        if self.archive.len() > MAX_RECORDS {
            return Err(format!(
                "{} genomes, at most {MAX_RECORDS}",
                self.archive.len()
            ));
        }
        if self.binding.len() > MAX_BINDING {
            return Err(format!("a binding of over {MAX_BINDING} bytes"));
        }
        self.settings.check().map_err(text)?;
        check_sizes(&self.sizes).map_err(text)?;
        let records = self.archive.iter().map(|r| &r.genome);
        for genome in self.seeds.iter().chain(&self.population).chain(records) {
            check_genome(genome, &self.sizes).map_err(text)?;
        }
        self.check_steps()?;
        for record in &self.archive {
            let Some(score) = &record.score else { continue };
            let sound = (0.0..=1.0).contains(&score.accuracy)
                && (0.0..=1.0).contains(&score.loss)
                && score.divergence.is_finite()
                && score.seconds.is_finite()
                && score.seconds >= 0.0;
            if !sound {
                return Err(format!(
                    "genome {:?} has the score {score:?}",
                    record.genome
                ));
            }
        }
        let distinct: std::collections::BTreeSet<_> =
            self.archive.iter().map(|r| &r.genome).collect();
        if distinct.len() != self.archive.len() {
            return Err("a genome twice".into());
        }
        if let Some(missing) = self.population.iter().find(|g| !distinct.contains(g)) {
            return Err(format!("genome {missing:?} of the population has no score"));
        }
        if let Some(r) = self.reference {
            let with = Settings {
                reference: Some(r),
                ..Settings::default()
            };
            with.check().map_err(text)?;
        }
        let begun = !self.history.is_empty();
        if begun == self.population.is_empty() || (begun && self.reference.is_none()) {
            return Err("generations and population do not fit together".into());
        }
        for (place, generation) in self.history.iter().enumerate() {
            let sound = generation.number == place + 1
                && generation.seconds.is_finite()
                && generation.hypervolume.is_finite();
            if !sound {
                return Err(format!("generation {} is {generation:?}", place + 1));
            }
        }
        Ok(())
    }

    /// JSON, one line.
    ///
    /// # Errors
    /// [`SearchError::File`]; only for numbers that are not finite.
    pub fn to_json(&self) -> Result<Vec<u8>, SearchError> {
        serde_json::to_vec(self).map_err(|e| SearchError::File {
            file: "state.json",
            what: e.to_string(),
        })
    }

    pub(crate) fn insert(&mut self, genome: Genome, score: Option<Score>) {
        if !self.known.contains_key(&genome) {
            self.known.insert(genome.clone(), self.archive.len());
            self.archive.push(Record { genome, score });
        }
    }

    /// What the search belongs to, as given to [`State::new`].
    pub fn binding(&self) -> &str {
        &self.binding
    }

    /// As given to [`State::new`].
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Number of alternatives of every activation.
    pub fn sizes(&self) -> &[usize] {
        &self.sizes
    }

    /// The alternatives that mutations step between, for every activation.
    pub fn steps(&self) -> &[Vec<u8>] {
        &self.steps
    }

    /// Genomes given for the first generation.
    pub fn seeds(&self) -> &[Genome] {
        &self.seeds
    }

    /// All genomes evaluated, in the order of their evaluation.
    pub fn archive(&self) -> &[Record] {
        &self.archive
    }

    /// Genomes that live, at most [`Settings::population`].
    pub fn population(&self) -> &[Genome] {
        &self.population
    }

    /// One entry a generation done.
    pub fn history(&self) -> &[Generation] {
        &self.history
    }

    /// Corner of the hypervolume; None before the first generation, unless given.
    pub fn reference(&self) -> Option<Reference> {
        self.reference
    }

    /// The score of a genome evaluated already: Some(None) where it cannot be run.
    pub fn score(&self, genome: &[u8]) -> Option<Option<Score>> {
        self.known
            .get(genome)
            .map(|&place| self.archive[place].score)
    }

    /// The front of all genomes within the limits, by ascending seconds and descending loss.
    pub fn front(&self) -> Vec<(&Genome, Score)> {
        let scores: Vec<_> = self.archive.iter().map(|r| r.score).collect();
        let record = |i: usize| {
            let Record { genome, score } = &self.archive[i];
            score.map(|score| (genome, score))
        };
        front(&scores, &self.settings.limits)
            .into_iter()
            .filter_map(record)
            .collect()
    }

    /// [`hypervolume`] of the first `evaluations` genomes evaluated.
    pub fn hypervolume_after(&self, evaluations: usize, reference: &Reference) -> f64 {
        let scores: Vec<_> = self
            .archive
            .iter()
            .take(evaluations)
            .map(|r| r.score)
            .collect();
        hypervolume(&scores, reference)
    }

    /// Ends a generation with `population` living on.
    pub(crate) fn complete(&mut self, population: Vec<Genome>, seconds: f64) -> Generation {
        let slowest = |records: &[Record]| {
            let seconds = records.iter().filter_map(|r| r.score.map(|s| s.seconds));
            seconds.fold(0.0, f64::max)
        };
        let reference = *self.reference.get_or_insert(Reference {
            accuracy: 0.0,
            seconds: match slowest(&self.archive) {
                s if s > 0.0 => s,
                _ => 1.0,
            },
        });
        let before = self.history.last().map_or(0.0, |g| g.seconds);
        let generation = Generation {
            number: self.history.len() + 1,
            evaluations: self.archive.len(),
            seconds: before + seconds,
            hypervolume: self.hypervolume_after(usize::MAX, &reference),
            front: self.front().len(),
        };
        self.population = population;
        self.history.push(generation);
        generation
    }
}

/// Checks the version of a file before the rest is read, which another version may well not have.
///
/// # Errors
/// Both versions.
pub(crate) fn version(json: &[u8], expected: u32) -> Result<(), String> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }
    let got: Versioned = serde_json::from_slice(json).map_err(|e| e.to_string())?;
    match got.version == expected {
        true => Ok(()),
        false => Err(format!("version {}, expected {expected}", got.version)),
    }
}
