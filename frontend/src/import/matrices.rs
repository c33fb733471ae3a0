//! Products with constant matrices, and batch normalisation.

use super::attributes::{float, int};
use super::error::{Problem, Step};
use super::raw::{self, Id};
use super::translate::Translator;
use hecc_ir::nn::{Linear, Window};
use tract_onnx::pb::NodeProto;
use tract_onnx::prelude::Tensor;

/// A row-major matrix.
struct Matrix {
    values: Vec<f32>,
    rows: usize,
    cols: usize,
}

impl Matrix {
    fn transposed(self) -> Self {
        let values = (0..self.cols)
            .flat_map(|c| self.values.iter().skip(c).step_by(self.cols).copied())
            .collect();
        Self {
            values,
            rows: self.cols,
            cols: self.rows,
        }
    }
}

impl<'a> Translator<'a> {
    pub(super) fn gemm(&mut self, node: &'a NodeProto, dims: &'a [usize]) -> Step<Id> {
        let alpha = float(node, "alpha", 1.0)?;
        let beta = float(node, "beta", 1.0)?;
        let (turn_a, turn_b) = (int(node, "transA", 0) != 0, int(node, "transB", 0) != 0);
        let x = self.data(node, 0)?;
        let &[m, k] = x.dims else {
            return Err(
                Problem::new(format!("is applied to dimensions {:?}", x.dims))
                    .help("supported: [n, k] by a constant matrix"),
            );
        };
        let (id, m, k) = match turn_a {
            true => (self.permute(x.id, x.dims, &[1, 0], &[k, m])?, k, m),
            false => (x.id, m, k),
        };
        // One row of the result for each column of the second operand.
        let matrix = self.matrix(node, 1)?;
        let mut weight = if turn_b { matrix } else { matrix.transposed() };
        weight.values.iter_mut().for_each(|w| *w *= alpha);
        let bias = match self.constant(node, 2, "bias")? {
            None => vec![0.0; m * weight.rows],
            Some(_) => {
                let bias = self.constants(node, 2, dims)?;
                bias.into_iter().map(|b| b * beta).collect()
            }
        };
        if m == 1 {
            return self.vector(id, weight, bias);
        }
        let product = self.last_axis(id, &[m, k], weight)?;
        let scale = vec![1.0; bias.len()];
        self.raw.elementwise(product, scale, bias)
    }

    pub(super) fn matmul(&mut self, node: &'a NodeProto, dims: &'a [usize]) -> Step<Id> {
        if self.is_data(node, 0) && self.is_data(node, 1) {
            return Err(Problem::new(
                "has two operands that depend on the image (an attention, perhaps)",
            )
            .help("supported: the product with a constant matrix"));
        }
        if self.is_data(node, 0) {
            let x = self.data(node, 0)?;
            let weight = self.matrix(node, 1)?.transposed();
            return match x.dims {
                [_] | [1, _] => {
                    let bias = vec![0.0; weight.rows];
                    let product = self.vector(x.id, weight, bias)?;
                    self.raw.reshape(product, raw::shape(dims))
                }
                all => self.last_axis(x.id, all, weight),
            };
        }
        // A constant on the left works on the last axis but one: turn, multiply, turn back.
        let x = self.data(node, 1)?;
        let weight = self.matrix(node, 0)?;
        let rank = x.dims.len();
        if rank < 2 {
            let bias = vec![0.0; weight.rows];
            let product = self.vector(x.id, weight, bias)?;
            return self.raw.reshape(product, raw::shape(dims));
        }
        let mut perm: Vec<usize> = (0..rank).collect();
        perm.swap(rank - 1, rank - 2);
        let turn = |dims: &[usize]| perm.iter().map(|&a| dims[a]).collect::<Vec<usize>>();
        let (turned, result) = (turn(x.dims), turn(dims));
        let id = self.permute(x.id, x.dims, &perm, &turned)?;
        let product = self.last_axis(id, &turned, weight)?;
        self.permute(product, &result, &perm, dims)
    }

    /// A constant matrix; axes of length 1 in front of it are dropped.
    fn matrix(&self, node: &'a NodeProto, i: usize) -> Step<Matrix> {
        let tensor = self
            .constant(node, i, "matrix")?
            .ok_or_else(|| Problem::new("has no matrix"))?;
        let shape = Tensor::shape(tensor);
        let (rows, cols) = match *shape {
            [k] if i == 0 => (1, k),
            [k] => (k, 1),
            [ref front @ .., rows, cols] if front.iter().all(|&d| d == 1) => (rows, cols),
            _ => {
                return Err(Problem::new(format!(
                    "has a constant operand of dimensions {shape:?}"
                ))
                .help("supported: one matrix for the whole batch"));
            }
        };
        Ok(Matrix {
            values: self.floats(node, i, "matrix")?,
            rows,
            cols,
        })
    }

    fn vector(&mut self, x: Id, weight: Matrix, bias: Vec<f32>) -> Step<Id> {
        self.raw.reserve(weight.values.len())?;
        let gemm = Linear::Gemm {
            weight: weight.values,
            bias,
            rows: weight.rows,
        };
        self.raw.linear(x, gemm)
    }

    /// A matrix on the last axis of dimensions `dims`: that axis becomes the channels of a
    /// convolution of one tap, and goes back.
    fn last_axis(&mut self, x: Id, dims: &[usize], weight: Matrix) -> Step<Id> {
        let [front @ .., k] = dims else {
            return Err(Problem::new("is applied to a number"));
        };
        let (rest, k): (usize, usize) = (front.iter().product(), *k);
        let table = |n: usize, stride: usize| (0..n).map(|i| i * stride).collect::<Vec<_>>();
        let turned = self.select(x, &[1, k, rest, 1], &[table(k, 1), table(rest, k)])?;
        let n = weight.rows;
        self.raw.reserve(weight.values.len())?;
        let conv = Linear::Conv {
            weight: weight.values,
            bias: vec![0.0; n],
            out_channels: n,
            window: Window::same(1, 1),
        };
        let product = self.raw.linear(turned, conv)?;
        let mut result = front.to_vec();
        result.push(n);
        self.select(product, &result, &[table(rest, 1), table(n, rest)])
    }

    pub(super) fn batch_normalization(&mut self, node: &'a NodeProto) -> Step<Id> {
        if int(node, "training_mode", 0) != 0 {
            return Err(Problem::new("attribute \"training_mode\" is not 0")
                .help("export the model in evaluation mode: model.eval()"));
        }
        let epsilon = f64::from(float(node, "epsilon", 1e-5)?);
        let x = self.data(node, 0)?;
        let channels = match *x.dims {
            [_, c, ..] if x.dims.len() <= 4 => c,
            _ => {
                return Err(
                    Problem::new(format!("is applied to dimensions {:?}", x.dims))
                        .help("supported: [1, c, h, w], [1, c, l] and [1, c]"),
                );
            }
        };
        let of = |i: usize, what: &str| -> Step<Vec<f32>> {
            let values = self.floats(node, i, what)?;
            if values.len() != channels {
                return Err(Problem::new(format!(
                    "{what} has {} values, expected one per channel ({channels})",
                    values.len()
                )));
            }
            Ok(values)
        };
        let (gamma, beta, mean, variance) = (
            of(1, "scale")?,
            of(2, "bias")?,
            of(3, "mean")?,
            of(4, "variance")?,
        );
        if let Some(v) = variance.iter().find(|&&v| f64::from(v) + epsilon <= 0.0) {
            return Err(Problem::new(format!(
                "variance {v} plus epsilon {epsilon} is not positive"
            )));
        }
        // In f32, rounded as exporters round when they fold: both exports then give the same plan, bit by bit.
        let scale: Vec<f32> = gamma
            .iter()
            .zip(&variance)
            .map(|(g, v)| g / (v + epsilon as f32).sqrt())
            .collect();
        let shift = (0..channels)
            .map(|c| beta[c] - mean[c] * scale[c])
            .collect();
        self.raw.linear(x.id, Linear::Affine { scale, shift })
    }
}
