//! Many choices of activations at once.

use super::Network;
use super::steps::{State, Workspace};
use crate::Batch;
use crate::elementwise::Elementwise;
use rayon::prelude::*;
use std::ops::Range;

impl Network {
    /// The outputs under many genomes. `genome[i]` indexes `choices[i]`, the alternatives of activation
    /// `i` of [`Network::activations`]; `each` gets the index of a genome and its outputs, in the order
    /// of the genomes.
    ///
    /// Sorted genomes are a trie: what they share from the input on is computed once, depth first, so
    /// that memory holds the values of one path and, at the end, the outputs of all genomes.
    ///
    /// # Panics
    /// When the images have another shape than the graph's input, there are not as many `choices` as
    /// activations, or a genome does not choose among them.
    pub fn forward_all(
        &self,
        images: &Batch,
        choices: &[Vec<Elementwise>],
        genomes: &[Vec<usize>],
        each: &mut dyn FnMut(usize, &Batch),
    ) {
        assert_eq!(images.shape, self.input, "shape of the images");
        assert_eq!(
            choices.len(),
            self.activations.len(),
            "choices of activations"
        );
        for (i, genome) in genomes.iter().enumerate() {
            let chosen = genome
                .iter()
                .zip(choices)
                .filter(|(gene, choices)| **gene < choices.len());
            let fits = genome.len() == choices.len() && chosen.count() == choices.len();
            assert!(fits, "genome {i} does not choose among the activations");
        }
        let mut order: Vec<usize> = (0..genomes.len()).collect();
        order.sort_by_key(|&i| &genomes[i]);
        let sorted: Vec<&[usize]> = order.iter().map(|&i| genomes[i].as_slice()).collect();
        let outputs: Vec<Vec<f32>> = images
            .data
            .par_chunks(self.chunk * self.input.elements())
            .map_init(Workspace::default, |workspace, images| {
                self.walk(images, choices, &sorted, workspace)
            })
            .collect();
        let mut place = vec![0; order.len()];
        for (sorted, &genome) in order.iter().enumerate() {
            place[genome] = sorted;
        }
        for (genome, place) in place.into_iter().enumerate() {
            let mut data = Vec::with_capacity(images.n * self.output.elements());
            for chunk in &outputs {
                let size = chunk.len() / genomes.len();
                data.extend_from_slice(&chunk[place * size..][..size]);
            }
            let (n, shape) = (images.n, self.output);
            each(genome, &Batch { n, shape, data });
        }
    }

    /// The outputs of a few images under sorted genomes, one after the other.
    fn walk(
        &self,
        images: &[f32],
        choices: &[Vec<Elementwise>],
        genomes: &[&[usize]],
        workspace: &mut Workspace,
    ) -> Vec<f32> {
        let n = images.len() / self.input.elements();
        let size = n * self.output.elements();
        let mut outputs = vec![0.0; genomes.len() * size];
        let mut state = State::new(n);
        self.between(0, None, &mut state, images, workspace);
        // Genomes that share their first `level` genes, and the values before the next activation. What
        // waits here shares its values; the last of its siblings owns them.
        let mut waiting = Vec::new();
        self.split(0, 0..genomes.len(), genomes, state, &mut waiting);
        while let Some((level, range, mut state)) = waiting.pop() {
            if let Some(&gene) = genomes[range.start].get(level) {
                let function = &choices[level][gene];
                self.between(level + 1, Some(function), &mut state, images, workspace);
                self.split(level + 1, range, genomes, state, &mut waiting);
                continue;
            }
            let (first, others) = outputs[range.start * size..range.end * size].split_at_mut(size);
            state.take(self.last, first, workspace);
            others
                .chunks_exact_mut(size)
                .for_each(|other| other.copy_from_slice(first));
        }
        outputs
    }

    /// The steps from activation `level - 1`, computed as `function`, to the one before activation
    /// `level`; from the first and to the last step at the ends.
    fn between(
        &self,
        level: usize,
        function: Option<&Elementwise>,
        state: &mut State,
        images: &[f32],
        workspace: &mut Workspace,
    ) {
        let start = level
            .checked_sub(1)
            .map_or(0, |before| self.activations[before]);
        let end = self
            .activations
            .get(level)
            .copied()
            .unwrap_or(self.steps.len());
        for i in start..end {
            let function = function.filter(|_| i == start);
            state.run(i, &self.steps[i], function, images, workspace);
        }
    }

    /// Puts the genomes of `range`, by their gene of `level`, on the stack.
    fn split(
        &self,
        level: usize,
        range: Range<usize>,
        genomes: &[&[usize]],
        state: State,
        waiting: &mut Vec<(usize, Range<usize>, State)>,
    ) {
        let mut start = range.start;
        for run in genomes[range].chunk_by(|a, b| a.get(level) == b.get(level)) {
            waiting.push((level, start..start + run.len(), state.clone()));
            start += run.len();
        }
    }
}
