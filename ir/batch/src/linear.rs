//! Linear operators of the nn language on batches, their transposes, and the gradients of their
//! constants.
//!
//! [`Operator`] is prepared once for many batches; the plain functions prepare and apply.

mod gemm;
mod selection;

use crate::batch::{Batch, last, to_last};
use crate::conv::{self, Correlation, Scratch, Window, outer_products};
use crate::elementwise::Elementwise;
use crate::error::BatchError;
use gemm::Matrix;
use hecc_ir::nn::{Linear, Op, Shape};
use selection::Selection;

/// A linear operator, prepared for one shape of operand.
#[derive(Clone, Debug)]
pub struct Operator {
    input: Shape,
    output: Shape,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    Correlation(Correlation),
    Matrix(Matrix),
    Elementwise(Elementwise),
    Selection(Selection),
    /// The same elements in the same order, in another shape perhaps.
    Same,
}

impl Operator {
    /// `linear` on operands of shape `input`, with its bias.
    ///
    /// # Errors
    /// When the operator does not fit its input, or pads it out of all proportion.
    pub fn new(linear: &Linear, input: Shape) -> Result<Self, BatchError> {
        let output = linear.output_shape(input)?;
        let kind = match linear {
            Linear::Conv { weight, bias, .. } => {
                let window = window(linear).expect("a convolution has a window");
                Kind::Correlation(Correlation::forward(&window, input, output, weight, bias)?)
            }
            Linear::ConvTranspose { weight, bias, .. } => {
                let window = window(linear).expect("a convolution has a window");
                Kind::Correlation(Correlation::backward(&window, output, input, weight, bias)?)
            }
            Linear::Gemm { weight, bias, .. } => Kind::Matrix(Matrix::new(weight, bias, input)),
            Linear::Affine { .. } | Linear::Elementwise { .. } => {
                Kind::Elementwise(Elementwise::new(&Op::Linear(linear.clone()), input)?)
            }
            Linear::AveragePool { .. }
            | Linear::Slice { .. }
            | Linear::Pad { .. }
            | Linear::Gather { .. }
            | Linear::Reshape { .. } => Kind::selected(Selection::new(linear, input, output)),
        };
        Ok(Self {
            input,
            output,
            kind,
        })
    }

    /// Its transpose: from the gradient by the result of `linear` to that by its operand of shape
    /// `input`.
    ///
    /// # Errors
    /// As [`Operator::new`].
    pub fn transposed(linear: &Linear, input: Shape) -> Result<Self, BatchError> {
        let output = linear.output_shape(input)?;
        let kind = match linear {
            Linear::Conv { weight, .. } => {
                let window = window(linear).expect("a convolution has a window");
                Kind::Correlation(Correlation::backward(&window, input, output, weight, &[])?)
            }
            Linear::ConvTranspose { weight, .. } => {
                let window = window(linear).expect("a convolution has a window");
                Kind::Correlation(Correlation::forward(&window, output, input, weight, &[])?)
            }
            Linear::Gemm { weight, .. } => Kind::Matrix(Matrix::transposed(weight, input)),
            Linear::Affine { scale, .. } => {
                let shift = vec![0.0; scale.len()];
                let scale = scale.clone();
                let affine = Op::Linear(Linear::Affine { scale, shift });
                Kind::Elementwise(Elementwise::new(&affine, input)?)
            }
            Linear::Elementwise { scale, .. } => {
                let shift = vec![0.0; scale.len()];
                let scale = scale.clone();
                let elementwise = Op::Linear(Linear::Elementwise { scale, shift });
                Kind::Elementwise(Elementwise::new(&elementwise, input)?)
            }
            Linear::AveragePool { .. }
            | Linear::Slice { .. }
            | Linear::Pad { .. }
            | Linear::Gather { .. }
            | Linear::Reshape { .. } => {
                Kind::selected(Selection::new(linear, input, output).transposed(input.elements()))
            }
        };
        Ok(Self {
            input: output,
            output: input,
            kind,
        })
    }

    /// Shape of the result.
    pub fn output(&self) -> Shape {
        self.output
    }

    /// Of every image, in parallel.
    ///
    /// # Panics
    /// When `x` has another shape than the operator was prepared for.
    pub fn apply(&self, x: &Batch) -> Batch {
        assert_eq!(x.shape, self.input, "shape of a batch");
        match &self.kind {
            Kind::Correlation(correlation) => correlation.apply(x),
            Kind::Matrix(matrix) => {
                let mut result = Batch::zeros(x.n, self.output);
                matrix.apply(&x.data, &mut result.data);
                result
            }
            Kind::Elementwise(elementwise) => {
                let mut result = x.clone();
                elementwise.apply(&mut result);
                result
            }
            Kind::Selection(selection) => {
                let mut result = Batch::zeros(x.n, self.output);
                x.each_into(&mut result, |x, y, (): &mut ()| selection.one(x, y));
                result
            }
            Kind::Same => Batch {
                n: x.n,
                shape: self.output,
                data: x.data.clone(),
            },
        }
    }

    /// Of `n` images on this thread, into `target`, all of which is written.
    pub(crate) fn apply_into(
        &self,
        n: usize,
        x: &[f32],
        target: &mut [f32],
        scratch: &mut Scratch,
    ) {
        let images = |x| <[f32]>::chunks_exact(x, x.len() / n.max(1));
        let targets = target.len() / n.max(1);
        match &self.kind {
            Kind::Correlation(correlation) => {
                for (x, y) in images(x).zip(target.chunks_exact_mut(targets)) {
                    correlation.one(x, y, scratch);
                }
            }
            Kind::Matrix(matrix) => matrix.apply_here(x, target),
            Kind::Elementwise(elementwise) => {
                target.copy_from_slice(x);
                elementwise.apply_here(target);
            }
            Kind::Selection(selection) => {
                for (x, y) in images(x).zip(target.chunks_exact_mut(targets)) {
                    selection.one(x, y);
                }
            }
            Kind::Same => target.copy_from_slice(x),
        }
    }

    /// The function it is on elements, if it leaves every element where it is: None for others,
    /// `Some(None)` for the identity.
    pub(crate) fn in_place(&self) -> Option<Option<&Elementwise>> {
        match &self.kind {
            Kind::Elementwise(elementwise) => Some(Some(elementwise)),
            Kind::Same => Some(None),
            Kind::Correlation(_) | Kind::Matrix(_) | Kind::Selection(_) => None,
        }
    }
}

impl Kind {
    fn selected(selection: Selection) -> Self {
        match selection.is_identity() {
            true => Self::Same,
            false => Self::Selection(selection),
        }
    }
}

/// Where a convolution or a transposed convolution meets its image; None for other operators.
pub fn window(linear: &Linear) -> Option<Window> {
    match linear {
        Linear::Conv { window, .. } | Linear::ConvTranspose { window, .. } => Some(*window),
        Linear::Gemm { .. }
        | Linear::AveragePool { .. }
        | Linear::Affine { .. }
        | Linear::Elementwise { .. }
        | Linear::Slice { .. }
        | Linear::Pad { .. }
        | Linear::Gather { .. }
        | Linear::Reshape { .. } => None,
    }
}

/// `linear` on every image, with its bias.
///
/// # Errors
/// As [`Operator::new`].
pub fn forward(linear: &Linear, x: &Batch) -> Result<Batch, BatchError> {
    Ok(Operator::new(linear, x.shape)?.apply(x))
}

/// Gradient by the operand, of shape `input`, from the gradient by the result.
///
/// # Errors
/// As [`Operator::new`].
pub fn input_gradient(
    linear: &Linear,
    input: Shape,
    gradient: &Batch,
) -> Result<Batch, BatchError> {
    Ok(Operator::transposed(linear, input)?.apply(gradient))
}

/// Gradients by the constants of `linear`, in the order and the layout of [`Linear::constants`], summed
/// over the batch; empty for operators without. `x` is the operand, `gradient` that by the result.
///
/// # Errors
/// As [`Operator::new`].
pub fn parameter_gradient(
    linear: &Linear,
    x: &Batch,
    gradient: &Batch,
) -> Result<[Vec<f32>; 2], BatchError> {
    Ok(match linear {
        Linear::Conv { .. } => {
            let window = window(linear).expect("a convolution has a window");
            let weight = conv::weight_gradient(x, gradient, &window)?;
            [weight, conv::bias_gradient(gradient)]
        }
        Linear::ConvTranspose { .. } => {
            // The transpose swaps the roles of operand and result.
            let window = window(linear).expect("a convolution has a window");
            let weight = conv::weight_gradient(gradient, x, &window)?;
            [weight, conv::bias_gradient(gradient)]
        }
        Linear::Gemm { rows, .. } => {
            let columns = x.shape.elements();
            let products = outer_products(&x.data, columns, &gradient.data, *rows);
            let weight = (0..rows * columns).map(|i| {
                let (row, column) = (i / columns, i % columns);
                products[last(x.shape, column) * rows + row]
            });
            [weight.collect(), conv::bias_gradient(gradient)]
        }
        Linear::Affine { .. } => {
            let mut product = gradient.clone();
            product
                .data
                .iter_mut()
                .zip(&x.data)
                .for_each(|(g, x)| *g *= x);
            [conv::bias_gradient(&product), conv::bias_gradient(gradient)]
        }
        Linear::Elementwise { .. } => {
            let elements = x.shape.elements();
            let mut sums = [vec![0.0f64; elements], vec![0.0f64; elements]];
            for (i, (&x, &g)) in x.data.iter().zip(&gradient.data).enumerate() {
                sums[0][i % elements] += f64::from(x) * f64::from(g);
                sums[1][i % elements] += f64::from(g);
            }
            let first = |sums: &Vec<f64>| {
                (0..elements)
                    .map(|i| sums[last(x.shape, i)] as f32)
                    .collect()
            };
            [first(&sums[0]), first(&sums[1])]
        }
        Linear::AveragePool { .. }
        | Linear::Slice { .. }
        | Linear::Pad { .. }
        | Linear::Gather { .. }
        | Linear::Reshape { .. } => [Vec::new(), Vec::new()],
    })
}

/// Constants, one per element c-major, in the order of a batch.
pub(crate) fn channels_last(shape: Shape, constants: &[f32]) -> Vec<f32> {
    let mut out = vec![0.0; constants.len()];
    to_last(shape, constants, &mut out);
    out
}

#[cfg(test)]
mod tests;
