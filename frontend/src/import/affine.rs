//! Matrices on vectors, and numbers per channel.

use super::error::{Problem, Step};
use super::fold::Fact;
use super::operators::{float, int};
use super::translate::{Translator, shape};
use hecc_ir::nn::{Linear, Op, ValueId};
use tract_onnx::pb::NodeProto;
use tract_onnx::prelude::Tensor;

impl<'a> Translator<'a> {
    pub(super) fn gemm(&self, node: &'a NodeProto) -> Step<Linear> {
        let x = self.data(node, 0)?;
        let tensor = self
            .constant(node, 1, "weight")?
            .ok_or_else(|| Problem::new("has no weight"))?;
        let (&[1, _], &[k, n]) = (x.dims, tensor.shape()) else {
            return Err(
                Problem::new(format!("multiplies {:?} by {:?}", x.dims, tensor.shape()))
                    .help("supported: [1, n] by a constant matrix"),
            );
        };
        if int(node, "transA", 0) != 0 {
            return Err(Problem::new("attribute \"transA\" is not 0").help("supported: transA = 0"));
        }
        let alpha = float(node, "alpha", 1.0)?;
        let beta = float(node, "beta", 1.0)?;
        let mut weight = self.floats(node, 1, "weight")?;
        let rows = if int(node, "transB", 0) != 0 { k } else { n };
        if int(node, "transB", 0) == 0 {
            weight = transposed(&weight, n);
        }
        weight.iter_mut().for_each(|w| *w *= alpha);
        let bias = match self.constant(node, 2, "bias")? {
            None => vec![0.0; rows],
            Some(_) => {
                let bias = self.floats(node, 2, "bias")?;
                let bias = if bias.len() == 1 {
                    vec![bias[0]; rows]
                } else {
                    bias
                };
                bias.into_iter().map(|b| b * beta).collect()
            }
        };
        Ok(Linear::Gemm { weight, bias, rows })
    }

    pub(super) fn matmul(&self, node: &'a NodeProto, dims: &[usize]) -> Step<Linear> {
        let x = self.data(node, 0)?;
        let tensor = self
            .constant(node, 1, "right operand")?
            .ok_or_else(|| Problem::new("has no weight"))?;
        let (&[1, _] | &[_], &[_, n], &[1, _] | &[_]) = (x.dims, tensor.shape(), dims) else {
            return Err(
                Problem::new(format!("multiplies {:?} by {:?}", x.dims, tensor.shape()))
                    .help("supported: [1, n] by a constant matrix"),
            );
        };
        Ok(Linear::Gemm {
            weight: transposed(&self.floats(node, 1, "weight")?, n),
            bias: vec![0.0; n],
            rows: n,
        })
    }

    pub(super) fn batch_normalization(&self, node: &'a NodeProto) -> Step<Linear> {
        if int(node, "training_mode", 0) != 0 {
            return Err(Problem::new("attribute \"training_mode\" is not 0")
                .help("export the model in evaluation mode: model.eval()"));
        }
        let epsilon = f64::from(float(node, "epsilon", 1e-5)?);
        let x = self.data(node, 0)?;
        let channels = shape(x.dims)?.c;
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
        let factor: Vec<f32> = gamma
            .iter()
            .zip(&variance)
            .map(|(g, v)| g / (v + epsilon as f32).sqrt())
            .collect();
        let shift = (0..channels)
            .map(|c| beta[c] - mean[c] * factor[c])
            .collect();
        Ok(Linear::Affine {
            scale: factor,
            shift,
        })
    }

    /// Add of two values, or one arithmetic operation with a constant per channel.
    pub(super) fn arithmetic(&mut self, node: &'a NodeProto, dims: &'a [usize]) -> Step<ValueId> {
        let is_data = |i: usize| matches!(self.facts[&node.input[i]], Fact::Data(_));
        let operation = node.op_type.as_str();
        let (data, constant) = match (is_data(0), is_data(1)) {
            (true, true) => {
                let (x, y) = (self.data(node, 0)?, self.data(node, 1)?);
                if operation != "Add" {
                    return Err(Problem::new("has two operands that depend on the image")
                        .help("supported: Add of two values, and Add, Sub, Mul or Div with a constant per channel"));
                }
                if shape(x.dims)? != shape(y.dims)? {
                    return Err(Problem::new(format!("adds {:?} and {:?}", x.dims, y.dims))
                        .help("supported: equal dimensions"));
                }
                return self.push(Op::Add, node, dims, &[x.id, y.id]);
            }
            (true, false) => (0, 1),
            (false, _) => (1, 0),
        };
        let x = self.data(node, data)?;
        let values = self.per_channel(node, constant, dims)?;
        let (scale, shift) = match (operation, data) {
            ("Add", _) => (vec![1.0; values.len()], values),
            ("Sub", 0) => (vec![1.0; values.len()], values.iter().map(|v| -v).collect()),
            ("Sub", _) => (vec![-1.0; values.len()], values),
            ("Mul", _) => (values.clone(), vec![0.0; values.len()]),
            ("Div", 0) => (
                values.iter().map(|v| 1.0 / v).collect(),
                vec![0.0; values.len()],
            ),
            _ => {
                return Err(Problem::new("divides a constant by a value")
                    .help("supported: division by a constant"));
            }
        };
        self.push(
            Op::Linear(Linear::Affine { scale, shift }),
            node,
            dims,
            &[x.id],
        )
    }

    /// A constant operand as one number per channel of the result.
    fn per_channel(&self, node: &'a NodeProto, i: usize, dims: &[usize]) -> Step<Vec<f32>> {
        let channels = shape(dims)?.c;
        let values = self.floats(node, i, "operand")?;
        let constant = self
            .constant(node, i, "operand")?
            .map(Tensor::shape)
            .unwrap_or_default();
        // The channel axis, counted from the end, as broadcasting does.
        let behind = dims.len().saturating_sub(2);
        let on_channels = constant.len() > behind
            && constant
                .iter()
                .rev()
                .enumerate()
                .all(|(axis, &size)| size == 1 || (axis == behind && size == channels));
        match values.len() {
            1 if constant.len() <= dims.len() => Ok(vec![values[0]; channels]),
            n if n == channels
                && on_channels
                && dims.len() >= 2
                && constant.len() <= dims.len() =>
            {
                Ok(values)
            }
            _ => Err(Problem::new(format!(
                "has a constant operand of dimensions {constant:?} beside {dims:?}"
            ))
            .help("supported: one number, or one per channel")),
        }
    }
}

/// A row-major matrix of `cols` columns, transposed.
fn transposed(matrix: &[f32], cols: usize) -> Vec<f32> {
    (0..cols)
        .flat_map(|c| matrix.iter().skip(c).step_by(cols).copied())
        .collect()
}
