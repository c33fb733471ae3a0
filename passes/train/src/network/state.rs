//! All numbers of a network that change in training, to save and to take over.

use hecc_batch::{BatchError, Elementwise};
use hecc_ir::function::{Approximation, Function};
use hecc_ir::nn::Op;

use super::{Network, Step};
use crate::activation::Replacement;

impl Network {
    /// All numbers that change in training: parameters, running statistics, fitted approximations.
    pub fn state(&mut self) -> Vec<Vec<f32>> {
        let parameters = self.parameters();
        let mut blocks: Vec<_> = parameters.into_iter().map(|(_, v)| v.to_vec()).collect();
        for layer in &self.layers {
            match &layer.op {
                Step::Normalise(n) => blocks.extend([n.mean.clone(), n.variance.clone()]),
                Step::Activate(activation) => {
                    blocks.push(activation.bounds.as_flattened().to_vec());
                    match &activation.replacement {
                        Replacement::None => {}
                        Replacement::Polynomial(p) => {
                            blocks.extend([p.mu.clone(), p.sigma.clone()])
                        }
                        Replacement::Fixed { function, .. } => blocks.push(numbers(function)),
                    }
                }
                Step::Input | Step::Linear { .. } | Step::Moving { .. } | Step::Add | Step::Mul => {
                }
            }
        }
        blocks
    }

    /// Takes over what [`Network::state`] gave; `false`, with the network in between, when it is that of
    /// another network.
    ///
    /// # Errors
    /// When a function cannot be prepared.
    pub fn set_state(&mut self, blocks: &[Vec<f32>]) -> Result<bool, BatchError> {
        let lengths: Vec<usize> = self.state().iter().map(Vec::len).collect();
        if lengths.len() != blocks.len() || !lengths.iter().zip(blocks).all(|(n, b)| *n == b.len())
        {
            return Ok(false);
        }
        let mut blocks = blocks.iter();
        for ((_, values), block) in self.parameters().into_iter().zip(&mut blocks) {
            values.copy_from_slice(block);
        }
        for layer in &mut self.layers {
            match &mut layer.op {
                Step::Normalise(n) => {
                    n.mean = blocks.next().cloned().unwrap_or_default();
                    n.variance = blocks.next().cloned().unwrap_or_default();
                }
                Step::Activate(activation) => {
                    let bounds = blocks.next().map_or(&[][..], |b| b.as_chunks().0);
                    activation.bounds = bounds.to_vec();
                    match &mut activation.replacement {
                        Replacement::None => {}
                        Replacement::Polynomial(p) => {
                            p.mu = blocks.next().cloned().unwrap_or_default();
                            p.sigma = blocks.next().cloned().unwrap_or_default();
                        }
                        Replacement::Fixed { function, value } => {
                            set_numbers(function, blocks.next().map_or(&[], |b| b));
                            let op = Op::Activation(function.clone());
                            *value = Elementwise::new(&op, layer.shape)?;
                        }
                    }
                }
                Step::Input | Step::Linear { .. } | Step::Moving { .. } | Step::Add | Step::Mul => {
                }
            }
        }
        Ok(true)
    }
}

/// The numbers of an approximation that a new fit changes; those that fits choose survive f32.
fn numbers(function: &Function) -> Vec<f32> {
    let Function::Approximated(approximation) = function else {
        return Vec::new();
    };
    let range = [approximation.range() as f32];
    let series: &[f64] = match approximation {
        Approximation::Fused { coefficients, .. } => coefficients,
        Approximation::Levelled { polynomials, .. } => &polynomials[0],
        Approximation::Square { .. } => &[],
    };
    range
        .into_iter()
        .chain(series.iter().map(|&c| c as f32))
        .collect()
}

fn set_numbers(function: &mut Function, numbers: &[f32]) {
    let (Function::Approximated(approximation), [first, rest @ ..]) = (function, numbers) else {
        return;
    };
    // Numbers that a model gave in f64 stay as they are unless a fit has changed them.
    let set = |old: &mut f64, new: f32| {
        if *old as f32 != new {
            *old = f64::from(new);
        }
    };
    let series: &mut [f64] = match approximation {
        Approximation::Fused {
            range,
            coefficients,
            ..
        } => {
            set(range, *first);
            coefficients
        }
        Approximation::Levelled {
            range, polynomials, ..
        } => {
            set(range, *first);
            &mut polynomials[0]
        }
        Approximation::Square { range } => {
            set(range, *first);
            &mut []
        }
    };
    series
        .iter_mut()
        .zip(rest)
        .for_each(|(old, new)| set(old, *new));
}
