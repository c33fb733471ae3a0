//! Checked ONNX nodes, with their facts, to the nn language.

use super::error::{Problem, Step};
use super::fold::{Fact, Facts};
use super::operators::{float, int, ints, sizes, text};
use super::tensors;
use super::validate::{Checked, describe};
use hecc_ir::nn::{Graph, Linear, Op, Shape, ValueId};
use std::collections::HashMap;
use tract_onnx::pb::NodeProto;
use tract_onnx::prelude::Tensor;

/// A tensor of the dataflow: its value in the graph and its ONNX dimensions.
#[derive(Clone, Copy)]
struct Value<'a> {
    id: ValueId,
    dims: &'a [usize],
}

struct Translator<'a> {
    facts: &'a Facts,
    graph: Graph,
    values: HashMap<&'a str, ValueId>,
}

/// Translates a model; the graph is verified.
pub(super) fn translate(model: &Checked, facts: &Facts) -> Step<Graph> {
    let graph = Graph::new(&model.input, shape(&model.input_dims)?);
    let values = HashMap::from([(model.input.as_str(), graph.input)]);
    let mut translator = Translator {
        facts,
        graph,
        values,
    };
    for node in &model.nodes {
        if let Fact::Data(dims) = &facts[&node.output[0]] {
            let id = translator
                .node(node, dims)
                .map_err(|p| p.at(&describe(node)))?;
            translator.values.insert(&node.output[0], id);
        }
    }
    let Translator {
        mut graph, values, ..
    } = translator;
    graph.output = *values
        .get(model.output.as_str())
        .ok_or_else(|| Problem::new("the output does not depend on the image"))?;
    graph.verify().map_err(|e| Problem::new(e.to_string()))?;
    Ok(graph)
}

/// The value behind ONNX dimensions: the batch of 1, where there is one, is dropped.
fn shape(dims: &[usize]) -> Step<Shape> {
    match *dims {
        [1, c, h, w] => Ok(Shape::new(c, h, w)),
        [1, c, h] => Ok(Shape::new(c, h, 1)),
        [c, h, w] => Ok(Shape::new(c, h, w)),
        [1, n] | [n] => Ok(Shape::new(n, 1, 1)),
        [] => Ok(Shape::new(1, 1, 1)),
        _ => Err(Problem::new(format!("has a result of dimensions {dims:?}"))
            .help("supported: [1, c, h, w] and [1, n]; the batch stays in front")),
    }
}

impl<'a> Translator<'a> {
    fn node(&mut self, node: &'a NodeProto, dims: &'a [usize]) -> Step<ValueId> {
        let linear = match node.op_type.as_str() {
            "Relu" => return self.push(Op::Relu, node, dims, &[self.data(node, 0)?.id]),
            "Add" | "Sub" | "Mul" | "Div" => return self.arithmetic(node, dims),
            "Dropout" | "Identity" | "Cast" => return Ok(self.data(node, 0)?.id),
            "AveragePool" | "GlobalAveragePool" | "ReduceMean" => return self.pool(node, dims),
            "Flatten" | "Reshape" | "Squeeze" | "Unsqueeze" => return self.reshape(node, dims),
            "Transpose" => return self.transpose(node, dims),
            "Conv" => self.conv(node, dims)?,
            "Gemm" => self.gemm(node)?,
            "MatMul" => self.matmul(node, dims)?,
            "BatchNormalization" => self.batch_normalization(node)?,
            "Slice" => self.slice(node, dims)?,
            "Pad" => self.pad(node)?,
            _ => {
                return Err(Problem::new(
                    "is supported on constants (shapes) only, but depends on the image",
                ));
            }
        };
        let x = self.data(node, 0)?.id;
        self.push(Op::Linear(linear), node, dims, &[x])
    }

    fn push(
        &mut self,
        op: Op,
        node: &NodeProto,
        dims: &[usize],
        operands: &[ValueId],
    ) -> Step<ValueId> {
        Ok(self.graph.push(op, &node.name, shape(dims)?, operands))
    }

    /// Operand `i`, which depends on the image.
    fn data(&self, node: &'a NodeProto, i: usize) -> Step<Value<'a>> {
        let name = node.input[i].as_str();
        match &self.facts[name] {
            Fact::Data(dims) => Ok(Value {
                id: self.values[name],
                dims,
            }),
            Fact::Constant(_) => Err(Problem::new(format!(
                "operand {i} is a constant; expected it to depend on the image"
            ))),
        }
    }

    /// Operand `i`, a constant; `None` where it is left out.
    fn constant(&self, node: &'a NodeProto, i: usize, what: &str) -> Step<Option<&'a Tensor>> {
        let Some(name) = node.input.get(i).filter(|name| !name.is_empty()) else {
            return Ok(None);
        };
        match &self.facts[name] {
            Fact::Constant(tensor) => Ok(Some(tensor)),
            Fact::Data(_) => Err(Problem::new(format!(
                "{what} (operand {i}) depends on the image"
            ))
            .help(format!("supported: a constant {what}"))),
        }
    }

    fn floats(&self, node: &'a NodeProto, i: usize, what: &str) -> Step<Vec<f32>> {
        let tensor = self
            .constant(node, i, what)?
            .ok_or_else(|| Problem::new(format!("has no {what}")))?;
        tensors::floats(tensor).ok_or_else(|| Problem::new(format!("{what} is not float32")))
    }

    /// Integers from operand `i`, or from an attribute in older operator sets.
    fn integers(&self, node: &'a NodeProto, i: usize, name: &str) -> Step<Option<Vec<i64>>> {
        match self.constant(node, i, name)? {
            Some(tensor) => match tensors::integers(tensor) {
                Some(values) => Ok(Some(values)),
                None => Err(Problem::new(format!("{name} are not integers"))),
            },
            None => Ok(ints(node, name).map(<[i64]>::to_vec)),
        }
    }

    fn image(&self, node: &'a NodeProto) -> Step<(Value<'a>, [usize; 3])> {
        let x = self.data(node, 0)?;
        match *x.dims {
            [1, c, h, w] => Ok((x, [c, h, w])),
            _ => Err(
                Problem::new(format!("is applied to dimensions {:?}", x.dims))
                    .help("supported: [1, c, h, w]"),
            ),
        }
    }

    fn conv(&self, node: &'a NodeProto, dims: &[usize]) -> Step<Linear> {
        let (_, [_, h, w]) = self.image(node)?;
        let tensor = self
            .constant(node, 1, "weight")?
            .ok_or_else(|| Problem::new("has no weight"))?;
        let &[out_channels, _, kh, kw] = tensor.shape() else {
            return Err(Problem::new(format!(
                "weight has dimensions {:?}, expected 4",
                tensor.shape()
            )));
        };
        let kernel = sizes(node, "kernel_shape", 1, 0)?;
        if kernel != [0, 0] && kernel != [kh, kw] {
            return Err(Problem::new(format!(
                "attribute \"kernel_shape\" is {kernel:?}, the weight has {kh}x{kw}"
            )));
        }
        let (stride, dilation) = (
            sizes(node, "strides", 1, 1)?,
            sizes(node, "dilations", 1, 1)?,
        );
        let reach = [dilation[0] * (kh - 1) + 1, dilation[1] * (kw - 1) + 1];
        let bias = match self.constant(node, 2, "bias")? {
            Some(_) => self.floats(node, 2, "bias")?,
            None => vec![0.0; dims[1]],
        };
        let groups = int(node, "group", 1);
        Ok(Linear::Conv {
            weight: self.floats(node, 1, "weight")?,
            bias,
            out_channels,
            kernel: [kh, kw],
            stride,
            pads: pads(node, [h, w], reach, stride)?,
            dilation,
            groups: usize::try_from(groups)
                .map_err(|_| Problem::new(format!("attribute \"group\" is {groups}")))?,
        })
    }

    fn gemm(&self, node: &'a NodeProto) -> Step<Linear> {
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

    fn matmul(&self, node: &'a NodeProto, dims: &[usize]) -> Step<Linear> {
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

    fn batch_normalization(&self, node: &'a NodeProto) -> Step<Linear> {
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
    fn arithmetic(&mut self, node: &'a NodeProto, dims: &'a [usize]) -> Step<ValueId> {
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

    fn pool(&mut self, node: &'a NodeProto, dims: &'a [usize]) -> Step<ValueId> {
        let (x, [c, h, w]) = self.image(node)?;
        let (mut id, mut size) = (x.id, [h, w]);
        let (kernel, stride) = match node.op_type.as_str() {
            "AveragePool" => {
                let kernel: [usize; 2] = sizes(node, "kernel_shape", 1, 0)?;
                let stride: [usize; 2] = sizes(node, "strides", 1, 1)?;
                if kernel[0] == 0 || sizes::<2>(node, "dilations", 1, 1)? != [1, 1] {
                    return Err(Problem::new("has no kernel_shape, or dilations")
                        .help("supported: kernel_shape, strides, pads"));
                }
                let pads = pads(node, size, kernel, stride)?;
                if pads != [0; 4] {
                    if int(node, "count_include_pad", 0) == 0 {
                        return Err(Problem::new(format!(
                            "attribute \"pads\" is {pads:?} with count_include_pad = 0"
                        ))
                        .help("supported: pads of 0, or count_include_pad = 1"));
                    }
                    size = [h + pads[0] + pads[2], w + pads[1] + pads[3]];
                    let pad = Linear::Pad {
                        before: [0, pads[0], pads[1]],
                        after: [0, pads[2], pads[3]],
                    };
                    let name = format!("{}/pad", node.name);
                    id = self.graph.push(
                        Op::Linear(pad),
                        &name,
                        Shape::new(c, size[0], size[1]),
                        &[id],
                    );
                }
                let exact = (0..2).all(|i| {
                    size[i]
                        .checked_sub(kernel[i])
                        .is_some_and(|rest| rest % stride[i] == 0)
                });
                if int(node, "ceil_mode", 0) != 0 && !exact {
                    return Err(Problem::new(
                        "attribute \"ceil_mode\" is 1 and the windows do not fit",
                    )
                    .help("supported: ceil_mode = 0"));
                }
                (kernel, stride)
            }
            "ReduceMean" => {
                let mut axes = self.integers(node, 1, "axes")?.unwrap_or_default();
                axes.iter_mut().filter(|a| **a < 0).for_each(|a| *a += 4);
                axes.sort_unstable();
                if axes != [2, 3] {
                    return Err(Problem::new(format!("has the axes {axes:?}"))
                        .help("supported: the mean over rows and columns, axes [2, 3]"));
                }
                (size, size)
            }
            _ => (size, size),
        };
        let fit = |i: usize| {
            size[i]
                .checked_sub(kernel[i])
                .map(|rest| rest / stride[i] + 1)
        };
        let (Some(rows), Some(cols)) = (fit(0), fit(1)) else {
            return Err(Problem::new(format!(
                "has windows of {kernel:?} on {size:?}"
            )));
        };
        let pooled = Shape::new(c, rows, cols);
        let pool = self.graph.push(
            Op::Linear(Linear::AveragePool { kernel, stride }),
            &node.name,
            pooled,
            &[id],
        );
        // Means over rows and columns may drop their axes.
        let shape = shape(dims)?;
        if shape == pooled {
            return Ok(pool);
        }
        let name = format!("{}/reshape", node.name);
        Ok(self
            .graph
            .push(Op::Linear(Linear::Reshape { shape }), &name, shape, &[pool]))
    }

    fn reshape(&mut self, node: &'a NodeProto, dims: &'a [usize]) -> Step<ValueId> {
        let x = self.data(node, 0)?;
        let shape = shape(dims)?;
        if self.graph.nodes[x.id].shape == shape {
            return Ok(x.id);
        }
        self.push(Op::Linear(Linear::Reshape { shape }), node, dims, &[x.id])
    }

    /// A permutation that moves nothing, because it only moves axes of length 1.
    fn transpose(&mut self, node: &'a NodeProto, dims: &'a [usize]) -> Step<ValueId> {
        let x = self.data(node, 0)?;
        let reversed: Vec<i64> = (0..x.dims.len() as i64).rev().collect();
        let perm = ints(node, "perm").unwrap_or(&reversed);
        let long = perm.iter().filter(|&&axis| {
            usize::try_from(axis).is_ok_and(|a| x.dims.get(a).is_some_and(|&d| d > 1))
        });
        if !long.is_sorted() {
            return Err(Problem::new(format!("permutes {:?} by {perm:?}", x.dims))
                .help("supported: permutations that move axes of length 1 only; export with channels first"));
        }
        self.reshape(node, dims)
    }

    fn slice(&self, node: &'a NodeProto, dims: &[usize]) -> Step<Linear> {
        let x = self.data(node, 0)?;
        let rank = x.dims.len();
        let need = |what: &str| Problem::new(format!("has no {what}"));
        let starts = self
            .integers(node, 1, "starts")?
            .ok_or_else(|| need("starts"))?;
        let axes = self
            .integers(node, 3, "axes")?
            .unwrap_or_else(|| (0..starts.len() as i64).collect());
        let steps = self
            .integers(node, 4, "steps")?
            .unwrap_or_else(|| vec![1; starts.len()]);
        if axes.len() != starts.len() || steps.len() != starts.len() {
            return Err(Problem::new(format!(
                "has {} starts, {} axes and {} steps",
                starts.len(),
                axes.len(),
                steps.len()
            )));
        }
        let (mut start, mut step) = ([0; 3], [1; 3]);
        for ((&from, &axis), &by) in starts.iter().zip(&axes).zip(&steps) {
            let axis = along(axis, rank)?;
            if by < 1 {
                return Err(Problem::new(format!("has a step of {by}"))
                    .help("supported: steps of at least 1"));
            }
            let size = x.dims[axis] as i64;
            let from = if from < 0 {
                (from.saturating_add(size)).max(0)
            } else {
                from.min(size)
            } as usize;
            match place(axis, rank, x.dims) {
                Some(i) => (start[i], step[i]) = (from, by as usize),
                None if from == 0 => {}
                None => {
                    return Err(Problem::new("slices the batch")
                        .help("supported: channels, rows and columns"));
                }
            }
        }
        let shape = shape(dims)?;
        // A step beyond the only element is the same as a step of 1.
        for (step, size) in step.iter_mut().zip(shape.axes()) {
            *step = if size == 1 { 1 } else { *step };
        }
        Ok(Linear::Slice { start, step, shape })
    }

    fn pad(&self, node: &'a NodeProto) -> Step<Linear> {
        let x = self.data(node, 0)?;
        let rank = x.dims.len();
        let mode = text(node, "mode", "constant");
        if mode != "constant" {
            return Err(Problem::new(format!("attribute \"mode\" is {mode:?}"))
                .help("supported: mode = \"constant\" with value 0"));
        }
        let value = match self.constant(node, 2, "value")? {
            Some(_) => self
                .floats(node, 2, "value")?
                .first()
                .copied()
                .unwrap_or(0.0),
            None => float(node, "value", 0.0)?,
        };
        if value != 0.0 {
            return Err(Problem::new(format!("pads with {value}"))
                .help("supported: mode = \"constant\" with value 0"));
        }
        let pads = self
            .integers(node, 1, "pads")?
            .ok_or_else(|| Problem::new("has no pads"))?;
        let axes = self
            .integers(node, 3, "axes")?
            .unwrap_or_else(|| (0..rank as i64).collect());
        if pads.len() != 2 * axes.len() || pads.iter().any(|p| !(0..=1 << 16).contains(p)) {
            return Err(Problem::new(format!(
                "has pads {:?} for {} axes",
                &pads[..pads.len().min(16)],
                axes.len()
            ))
            .help("supported: two pads per axis, none negative"));
        }
        let (mut before, mut after) = ([0; 3], [0; 3]);
        for (i, &axis) in axes.iter().enumerate() {
            let (low, high) = (pads[i] as usize, pads[i + axes.len()] as usize);
            match place(along(axis, rank)?, rank, x.dims) {
                Some(at) => (before[at], after[at]) = (low, high),
                None if low == 0 && high == 0 => {}
                None => {
                    return Err(Problem::new("pads the batch")
                        .help("supported: channels, rows and columns"));
                }
            }
        }
        Ok(Linear::Pad { before, after })
    }
}

/// `[top, left, bottom, right]` of a window, from pads or auto_pad.
fn pads(
    node: &NodeProto,
    size: [usize; 2],
    reach: [usize; 2],
    stride: [usize; 2],
) -> Step<[usize; 4]> {
    let auto = text(node, "auto_pad", "NOTSET");
    // What is missing for a window on every stride-th element.
    let missing = |i: usize| {
        ((size[i].div_ceil(stride[i]) - 1) * stride[i] + reach[i]).saturating_sub(size[i])
    };
    let (half, rest) = (
        [missing(0) / 2, missing(1) / 2],
        [missing(0).div_ceil(2), missing(1).div_ceil(2)],
    );
    match auto.as_ref() {
        "NOTSET" => sizes(node, "pads", 0, 0),
        "VALID" => Ok([0; 4]),
        "SAME_UPPER" => Ok([half[0], half[1], rest[0], rest[1]]),
        "SAME_LOWER" => Ok([rest[0], rest[1], half[0], half[1]]),
        other => Err(Problem::new(format!("attribute \"auto_pad\" is {other:?}"))
            .help("supported: NOTSET, VALID, SAME_UPPER, SAME_LOWER")),
    }
}

fn along(axis: i64, rank: usize) -> Step<usize> {
    let from_end = if axis < 0 {
        axis.saturating_add(rank as i64)
    } else {
        axis
    };
    usize::try_from(from_end)
        .ok()
        .filter(|&a| a < rank)
        .ok_or_else(|| Problem::new(format!("names axis {axis} of {rank}")))
}

/// Which of c, y, x an ONNX axis is; `None` for the batch. Agrees with [`shape`].
fn place(axis: usize, rank: usize, dims: &[usize]) -> Option<usize> {
    let batch = rank == 4 || rank >= 2 && dims[0] == 1;
    if batch {
        axis.checked_sub(1)
    } else {
        Some(axis)
    }
}

/// A row-major matrix of `cols` columns, transposed.
fn transposed(matrix: &[f32], cols: usize) -> Vec<f32> {
    (0..cols)
        .flat_map(|c| matrix.iter().skip(c).step_by(cols).copied())
        .collect()
}
