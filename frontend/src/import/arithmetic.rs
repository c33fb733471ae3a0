//! Sums, products and quotients, with constants and with one another; maxima of two values.

use super::error::{Problem, Step};
use super::raw::{Id, Op};
use super::translate::{Translator, Value};
use hecc_ir::function::Function;
use tract_onnx::pb::NodeProto;
use tract_onnx::prelude::Tensor;

impl<'a> Translator<'a> {
    /// Add, Sub, Mul or Div with broadcasting.
    pub(super) fn arithmetic(&mut self, node: &'a NodeProto, dims: &'a [usize]) -> Step<Id> {
        match (self.is_data(node, 0), self.is_data(node, 1)) {
            (true, true) => {
                let (x, y) = (self.data(node, 0)?, self.data(node, 1)?);
                let (x, y) = (self.broadcast(x, dims)?, self.broadcast(y, dims)?);
                match node.op_type.as_str() {
                    "Add" => self.raw.binary(Op::Add, x, y),
                    "Sub" => {
                        let y = self.raw.uniform(y, -1.0, 0.0)?;
                        self.raw.binary(Op::Add, x, y)
                    }
                    "Mul" => self.raw.binary(Op::Mul, x, y),
                    _ => self.raw.binary(Op::Div, x, y),
                }
            }
            (true, false) => {
                let x = self.data(node, 0)?;
                let x = self.broadcast(x, dims)?;
                if let Some(v) = self.single(node, 1)? {
                    return match node.op_type.as_str() {
                        "Add" => self.raw.uniform(x, 1.0, v),
                        "Sub" => self.raw.uniform(x, 1.0, -v),
                        "Mul" => self.raw.uniform(x, v, 0.0),
                        _ => self.raw.uniform(x, 1.0 / v, 0.0),
                    };
                }
                let values = self.constants(node, 1, dims)?;
                match node.op_type.as_str() {
                    "Add" => self.affine(x, None, Some(values)),
                    "Sub" => self.affine(x, None, Some(values.into_iter().map(|v| -v).collect())),
                    "Mul" => self.affine(x, Some(values), None),
                    _ => self.affine(x, Some(values.into_iter().map(|v| 1.0 / v).collect()), None),
                }
            }
            (false, _) => {
                let x = self.data(node, 1)?;
                let x = self.broadcast(x, dims)?;
                let values = self.constants(node, 0, dims)?;
                match node.op_type.as_str() {
                    "Add" => self.affine(x, None, Some(values)),
                    "Sub" => {
                        let x = self.raw.uniform(x, -1.0, 0.0)?;
                        self.affine(x, None, Some(values))
                    }
                    "Mul" => self.affine(x, Some(values), None),
                    _ => {
                        let inverse = self.raw.activation(x, Function::Reciprocal)?;
                        self.affine(inverse, Some(values), None)
                    }
                }
            }
        }
    }

    /// The value of a constant operand that has only one.
    fn single(&self, node: &'a NodeProto, i: usize) -> Step<Option<f32>> {
        match self.constant(node, i, "operand")?.map(Tensor::len) {
            Some(1) => Ok(self.floats(node, i, "operand")?.first().copied()),
            Some(_) | None => Ok(None),
        }
    }

    /// `scale * x + shift` by constants of the shape of `x`.
    fn affine(&mut self, x: Id, scale: Option<Vec<f32>>, shift: Option<Vec<f32>>) -> Step<Id> {
        let n = self.raw.shape(x).elements();
        self.raw.reserve(2 * n)?;
        let (scale, shift) = (
            scale.unwrap_or_else(|| vec![1.0; n]),
            shift.unwrap_or_else(|| vec![0.0; n]),
        );
        self.raw.elementwise(x, scale, shift)
    }

    /// A constant operand, broadcast to the dimensions of the result.
    pub(super) fn constants(
        &mut self,
        node: &'a NodeProto,
        i: usize,
        dims: &[usize],
    ) -> Step<Vec<f32>> {
        let values = self.floats(node, i, "operand")?;
        let own = self.constant(node, i, "operand")?.map(Tensor::shape);
        self.raw.reserve(dims.iter().product())?;
        let own = own.unwrap_or_default();
        let wrong = || {
            Problem::new(format!(
                "has a constant operand of dimensions {own:?} beside {dims:?}"
            ))
        };
        let Some(offset) = dims.len().checked_sub(own.len()) else {
            return Err(wrong());
        };
        let mut out = vec![0usize];
        for (axis, &size) in dims.iter().enumerate() {
            let own = axis.checked_sub(offset).map_or(1, |i| own[i]);
            if own != 1 && own != size {
                return Err(wrong());
            }
            let step = |k: usize| if own == 1 { 0 } else { k };
            out = out
                .iter()
                .flat_map(|at| (0..size).map(move |k| at * own + step(k)))
                .collect();
        }
        out.into_iter()
            .map(|at| values.get(at).copied().ok_or_else(wrong))
            .collect()
    }

    /// Sum, maximum or minimum of any number of operands.
    pub(super) fn many(&mut self, node: &'a NodeProto, dims: &'a [usize]) -> Step<Id> {
        let mut total: Option<Id> = None;
        let (varying, constant): (Vec<usize>, Vec<usize>) =
            (0..node.input.len()).partition(|&i| self.is_data(node, i));
        for i in varying {
            let x = self.data(node, i)?;
            let x = self.broadcast(x, dims)?;
            total = Some(match (total, node.op_type.as_str()) {
                (None, _) => x,
                (Some(y), "Sum") => self.raw.binary(Op::Add, y, x)?,
                (Some(y), "Max") => self.maximum(y, x, 1.0)?,
                (Some(y), _) => self.maximum(y, x, -1.0)?,
            });
        }
        let mut total = total.ok_or_else(|| Problem::new("does not depend on the image"))?;
        for i in constant {
            let values = self.constants(node, i, dims)?;
            let negative: Vec<f32> = values.iter().map(|v| -v).collect();
            total = match node.op_type.as_str() {
                "Sum" => self.affine(total, None, Some(values))?,
                // max(x, c) = relu(x - c) + c.
                "Max" => {
                    let above = self.affine(total, None, Some(negative))?;
                    let relu = self.raw.activation(above, Function::Relu)?;
                    self.affine(relu, None, Some(values))?
                }
                // min(x, c) = c - relu(c - x).
                _ => {
                    let flipped = self.raw.uniform(total, -1.0, 0.0)?;
                    let below = self.affine(flipped, None, Some(values.clone()))?;
                    let relu = self.raw.activation(below, Function::Relu)?;
                    let flipped = self.raw.uniform(relu, -1.0, 0.0)?;
                    self.affine(flipped, None, Some(values))?
                }
            };
        }
        Ok(total)
    }

    /// `(x + y) / 2 + sign |x - y| / 2`: the larger of two values for sign 1, the smaller for -1.
    fn maximum(&mut self, x: Id, y: Id, sign: f32) -> Step<Id> {
        let (half_x, half_y) = (
            self.raw.uniform(x, 0.5, 0.0)?,
            self.raw.uniform(y, 0.5, 0.0)?,
        );
        let other = self.raw.uniform(y, -0.5, 0.0)?;
        let mean = self.raw.binary(Op::Add, half_x, half_y)?;
        let difference = self.raw.binary(Op::Add, half_x, other)?;
        let spread = self.absolute(difference)?;
        let spread = self.raw.uniform(spread, sign, 0.0)?;
        self.raw.binary(Op::Add, mean, spread)
    }

    /// `x` repeated along axes of length 1, to the dimensions `dims`.
    pub(super) fn broadcast(&mut self, x: Value<'a>, dims: &[usize]) -> Step<Id> {
        if x.dims == dims {
            return Ok(x.id);
        }
        let Some(offset) = dims.len().checked_sub(x.dims.len()) else {
            return Err(Problem::new(format!(
                "has an operand of dimensions {:?} beside {dims:?}",
                x.dims
            )));
        };
        let tables = dims.iter().enumerate().map(|(axis, &size)| {
            let own = axis.checked_sub(offset).map_or(1, |i| x.dims[i]);
            let stride: usize = x.dims[x.dims.len().min((axis + 1).saturating_sub(offset))..]
                .iter()
                .product();
            match own {
                1 => vec![0; size],
                _ => (0..size).map(|k| k * stride).collect(),
            }
        });
        self.select(x.id, dims, &tables.collect::<Vec<_>>())
    }
}
