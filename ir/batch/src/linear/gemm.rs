//! A dense matrix on the flattened image: the images of a batch are the pixels of one convolution.

use crate::batch::last;
use crate::conv::{LANES, Tiles};
use hecc_ir::nn::Shape;
use pulp::Arch;
use rayon::prelude::*;

/// Images that one thread takes at a time: two tiles.
const IMAGES: usize = 32;

/// A dense matrix, prepared for channels last.
#[derive(Clone, Debug)]
pub struct Matrix {
    inputs: usize,
    outputs: usize,
    /// `[input][padded output]`.
    weights: Vec<f32>,
    /// `[padded output]`.
    bias: Vec<f32>,
}

impl Matrix {
    /// `[rows][cols]` with cols c-major over `input`.
    pub fn new(weight: &[f32], bias: &[f32], input: Shape) -> Self {
        let mut this = Self::zeros(input.elements(), bias.len());
        this.bias[..bias.len()].copy_from_slice(bias);
        let across = this.bias.len();
        for (row, weights) in weight.chunks_exact(this.inputs).enumerate() {
            for (column, &w) in weights.iter().enumerate() {
                this.weights[last(input, column) * across + row] = w;
            }
        }
        this
    }

    /// Its transpose, without a bias.
    pub fn transposed(weight: &[f32], input: Shape) -> Self {
        let columns = input.elements();
        let mut this = Self::zeros(weight.len() / columns, columns);
        let across = this.bias.len();
        for (row, weights) in weight.chunks_exact(columns).enumerate() {
            for (column, &w) in weights.iter().enumerate() {
                this.weights[row * across + last(input, column)] = w;
            }
        }
        this
    }

    fn zeros(inputs: usize, outputs: usize) -> Self {
        let across = outputs.next_multiple_of(LANES);
        Self {
            inputs,
            outputs,
            weights: vec![0.0; inputs * across],
            bias: vec![0.0; across],
        }
    }

    /// Of all images, in parallel.
    pub fn apply(&self, x: &[f32], target: &mut [f32]) {
        x.par_chunks(IMAGES * self.inputs)
            .zip(target.par_chunks_mut(IMAGES * self.outputs))
            .for_each(|(x, y)| self.apply_here(x, y));
    }

    /// Of all images, on this thread.
    pub fn apply_here(&self, x: &[f32], target: &mut [f32]) {
        let n = x.len() / self.inputs;
        let starts = |length: usize| -> Vec<u32> { (0..n).map(|i| (i * length) as u32).collect() };
        Arch::new().dispatch(Tiles {
            source: x,
            bases: &starts(self.inputs),
            taps: &[0],
            weights: &self.weights,
            bias: &self.bias,
            inputs: self.inputs,
            outputs: self.outputs,
            target,
            places: &starts(self.outputs),
        });
    }
}
