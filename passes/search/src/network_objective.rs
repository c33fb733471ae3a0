//! The objective of a network: its accuracy on images that were held out, and its predicted seconds.
//!
//! The network runs in f32 with the alternatives in the place of its activations, without the noise of
//! ciphertexts. Genomes judged together share the values of what they have in common from the image
//! on. Judging has two stages: on the first images, and for those genomes that are not hopeless there,
//! on all of them; which stage a genome reaches depends on it alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hecc_batch::{Batch, Elementwise, Network};
use hecc_ir::nn::{Graph, Op, ValueId};
use hecc_passes::replace::activations;
use rayon::prelude::*;

use crate::error::SearchError;
use crate::images::{Images, Tally};
use crate::objective::{Genome, Judgement, Objective, Score, check_genome};
use crate::planner::{Cost, Planner};
use crate::share::Share;

/// Images computed between two looks at the flag that interrupts.
const PART: usize = 64;

/// When a genome is not worth judging on all images.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Screen {
    /// Images of the first stage.
    pub images: usize,
    /// A genome that has lost more accuracy than this on them, against the exact network on the same
    /// images, keeps the score of the first stage. 0 to 1.
    pub hopeless: f64,
}

/// What images say about a genome, whatever it costs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Verdict {
    /// Counted.
    pub accuracy: Share,
    /// As [`Score::loss`].
    pub loss: f64,
    /// As [`Score::divergence`].
    pub divergence: f64,
}

impl Verdict {
    fn new(tally: &Tally) -> Self {
        Self {
            accuracy: tally.share(),
            loss: tally.loss(),
            divergence: tally.divergence(),
        }
    }

    /// As a score, with what it costs.
    pub fn score(&self, cost: &Cost) -> Score {
        Score {
            accuracy: self.accuracy.value(),
            loss: self.loss,
            divergence: self.divergence,
            seconds: cost.seconds,
            bootstraps: cost.bootstraps,
        }
    }
}

/// Accuracy and seconds of a network's genomes.
pub struct NetworkObjective<P> {
    network: Network,
    /// By [`Network::activations`].
    choices: Arc<Vec<Vec<Elementwise>>>,
    /// For every activation of the network its gene.
    genes: Vec<usize>,
    sizes: Vec<usize>,
    planner: P,
    images: Images,
    screen: Option<Screen>,
    /// Images of the first stage that the exact network gets right.
    exact: Tally,
    interrupted: Arc<AtomicBool>,
}

impl<P: Planner> NetworkObjective<P> {
    /// `candidates[i]` are the alternatives of activation i of `graph`, in the order of
    /// [`activations`]; `planner` knows the same.
    ///
    /// # Errors
    /// Alternatives that do not fit the graph, or images that do not.
    pub fn new(
        graph: &Graph,
        candidates: &[Vec<Op>],
        planner: P,
        images: Images,
        screen: Option<Screen>,
    ) -> Result<Self, SearchError> {
        let network = Network::new(graph)?;
        let order: Vec<ValueId> = activations(graph);
        if order.len() != candidates.len() {
            return Err(SearchError::Genome {
                genome: format!("{} lists of alternatives", candidates.len()),
                what: format!("the network has {} activations", order.len()),
            });
        }
        images.check(&network)?;
        let gene = |id: &ValueId| order.iter().position(|other| other == id);
        let genes: Vec<usize> = network.activations().iter().filter_map(gene).collect();
        let choices = genes
            .iter()
            .map(|&gene| {
                let shape = graph.nodes[order[gene]].shape;
                let ops = candidates[gene].iter();
                ops.map(|op| Elementwise::new(op, shape)).collect()
            })
            .collect::<Result<Vec<Vec<_>>, _>>()?;
        let mut objective = Self {
            network,
            choices: Arc::new(choices),
            genes,
            sizes: candidates.iter().map(Vec::len).collect(),
            planner,
            images,
            screen,
            exact: Tally::default(),
            interrupted: Arc::default(),
        };
        objective.judge_exact();
        Ok(objective)
    }

    /// The same on other images, all of which every genome is judged on.
    ///
    /// # Errors
    /// Images of another network.
    pub fn on(&self, images: Images) -> Result<NetworkObjective<&P>, SearchError> {
        images.check(&self.network)?;
        let mut objective = NetworkObjective {
            network: self.network.clone(),
            choices: self.choices.clone(),
            genes: self.genes.clone(),
            sizes: self.sizes.clone(),
            planner: &self.planner,
            images,
            screen: None,
            exact: Tally::default(),
            interrupted: self.interrupted.clone(),
        };
        objective.judge_exact();
        Ok(objective)
    }

    /// The same with costs by another planner.
    pub fn priced<Q: Planner>(&self, planner: Q) -> NetworkObjective<Q> {
        NetworkObjective {
            network: self.network.clone(),
            choices: self.choices.clone(),
            genes: self.genes.clone(),
            sizes: self.sizes.clone(),
            planner,
            images: self.images.clone(),
            screen: self.screen,
            exact: self.exact,
            interrupted: self.interrupted.clone(),
        }
    }

    /// Set it to end a running evaluation with [`SearchError::Interrupted`].
    pub fn interrupted(&self) -> &Arc<AtomicBool> {
        &self.interrupted
    }

    /// What knows the costs.
    pub fn planner(&self) -> &P {
        &self.planner
    }

    /// How many of the images the exact network classifies as it should.
    pub fn exact_share(&self) -> Share {
        self.judge_graph(self.images.count()).share()
    }

    /// What all images say about every genome, whether it can be run or not.
    ///
    /// # Errors
    /// [`SearchError::Genome`], [`SearchError::Interrupted`].
    pub fn verdicts(&self, genomes: &[Genome]) -> Result<Vec<Verdict>, SearchError> {
        Ok(self.on_all(genomes)?.iter().map(Verdict::new).collect())
    }

    /// Every genome on all images.
    fn on_all(&self, genomes: &[Genome]) -> Result<Vec<Tally>, SearchError> {
        let mut tallies = vec![Tally::default(); genomes.len()];
        let all: Vec<usize> = (0..genomes.len()).collect();
        self.run(genomes, &all, 0..self.images.count(), &mut tallies)?;
        Ok(tallies)
    }

    fn judge_exact(&mut self) {
        self.exact = self.judge_graph(self.first_stage());
    }

    fn first_stage(&self) -> usize {
        let count = self.images.count();
        self.screen.map_or(count, |s| s.images.clamp(1, count))
    }

    /// The network with its own activations on the first `count` images.
    fn judge_graph(&self, count: usize) -> Tally {
        let logits = self.network.forward(&self.images.batch(0..count));
        let mut tally = Tally::default();
        self.images.count_into(&mut tally, 0, &logits);
        tally
    }

    /// Runs the genomes at `which` on a range of images, and adds to their tallies.
    fn run(
        &self,
        genomes: &[Genome],
        which: &[usize],
        range: std::ops::Range<usize>,
        tallies: &mut [Tally],
    ) -> Result<(), SearchError> {
        for &i in which {
            check_genome(&genomes[i], &self.sizes)?;
        }
        let ordered = |&i: &usize| -> Vec<usize> {
            let gene = |&gene: &usize| usize::from(genomes[i][gene]);
            self.genes.iter().map(gene).collect()
        };
        let ordered: Vec<Vec<usize>> = which.iter().map(ordered).collect();
        if ordered.is_empty() {
            return Ok(());
        }
        for start in range.clone().step_by(PART) {
            if self.interrupted.load(Ordering::Relaxed) {
                return Err(SearchError::Interrupted);
            }
            let images = self.images.batch(start..range.end.min(start + PART));
            let mut each = |k: usize, logits: &Batch| {
                self.images
                    .count_into(&mut tallies[which[k]], start, logits);
            };
            self.network
                .forward_all(&images, &self.choices, &ordered, &mut each);
        }
        Ok(())
    }
}

impl<P: Planner> Objective for NetworkObjective<P> {
    fn sizes(&self) -> Vec<usize> {
        self.sizes.clone()
    }

    fn evaluate(&self, genomes: &[Genome]) -> Result<Vec<Option<Score>>, SearchError> {
        genomes
            .iter()
            .try_for_each(|g| check_genome(g, &self.sizes))?;
        let cost = |genome: &Genome| match self.interrupted.load(Ordering::Relaxed) {
            true => Err(SearchError::Interrupted),
            false => self.planner.predict(genome),
        };
        let costs: Vec<_> = genomes.par_iter().map(cost).collect::<Result<_, _>>()?;
        let mut tallies = vec![Tally::default(); genomes.len()];
        let runs: Vec<usize> = (0..genomes.len()).filter(|&i| costs[i].is_some()).collect();
        let first = self.first_stage();
        self.run(genomes, &runs, 0..first, &mut tallies)?;
        if let Some(screen) = self.screen {
            let hopeful =
                |i: &usize| tallies[*i].accuracy() >= self.exact.accuracy() - screen.hopeless;
            let hopeful: Vec<usize> = runs.iter().copied().filter(hopeful).collect();
            self.run(genomes, &hopeful, first..self.images.count(), &mut tallies)?;
        }
        let score = |(cost, tally): (&Option<Cost>, &Tally)| {
            cost.map(|cost| Verdict::new(tally).score(&cost))
        };
        Ok(costs.iter().zip(&tallies).map(score).collect())
    }

    /// On all images, whether a genome can be run or not.
    fn judge(&self, genomes: &[Genome]) -> Result<Vec<Option<Judgement>>, SearchError> {
        let judgement = |tally: &Tally| {
            Some(Judgement {
                accuracy: tally.accuracy(),
                divergence: tally.divergence(),
            })
        };
        Ok(self.on_all(genomes)?.iter().map(judgement).collect())
    }
}

#[cfg(test)]
mod tests;
