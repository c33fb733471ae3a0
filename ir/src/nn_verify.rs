//! The rules of the nn language, which [`Graph::verify`] checks:
//! - there is exactly one `Input`, the graph's `input`; it has no operands;
//! - the dataflow has no cycle; the `output` is one of its values;
//! - an operator has its number of operands, at positions 0, 1, ..., each once: `Linear` and
//!   `Activation` one, `Add` and `Mul` two;
//! - every dimension is 1 to [`MAX_DIM`], every tensor has at most [`MAX_ELEMENTS`] elements, padding
//!   included, and the graph has at most [`MAX_NODES`] values;
//! - `Add` and `Mul` have operands of their own shape, `Activation` keeps the shape, and a `Linear` has
//!   the shape that [`Linear::output_shape`] derives;
//! - constants have the length their operator implies and are finite, a `Gather` takes elements that
//!   its input has, and the parameters of functions are within the bounds of [`Function::verify`](crate::function::Function::verify).

use petgraph::Direction;

use crate::nn::{Graph, Linear, Op, Shape, ValueId, Window};

/// Largest dimension, kernel, stride or padding.
pub const MAX_DIM: usize = 1 << 16;
/// Largest number of elements of a tensor.
pub const MAX_ELEMENTS: usize = 1 << 23;
/// Largest number of values of a graph.
pub const MAX_NODES: usize = 1 << 16;

/// A linear operator that does not fit its input, or whose constants do not fit the operator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{op}: {what}")]
pub struct ShapeError {
    /// The operator.
    pub op: &'static str,
    /// Expected and got.
    pub what: String,
}

/// A broken rule of the nn language.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{value} ({name}): {what}")]
pub struct VerifyError {
    /// The value, as dumps print it.
    pub value: String,
    /// ONNX name.
    pub name: String,
    /// Rule, expected and got.
    pub what: String,
}

impl Linear {
    /// Lower-case name of the operator.
    pub fn name(&self) -> &'static str {
        match self {
            Linear::Conv { .. } => "conv",
            Linear::ConvTranspose { .. } => "conv_transpose",
            Linear::Gemm { .. } => "gemm",
            Linear::AveragePool { .. } => "average_pool",
            Linear::Affine { .. } => "affine",
            Linear::Elementwise { .. } => "elementwise",
            Linear::Slice { .. } => "slice",
            Linear::Pad { .. } => "pad",
            Linear::Gather { .. } => "gather",
            Linear::Reshape { .. } => "reshape",
        }
    }

    /// The constants: weight and bias, or scale and shift; empty where there are none.
    pub fn constants(&self) -> [&[f32]; 2] {
        match self {
            Linear::Conv { weight, bias, .. }
            | Linear::ConvTranspose { weight, bias, .. }
            | Linear::Gemm { weight, bias, .. } => [weight, bias],
            Linear::Affine { scale, shift } | Linear::Elementwise { scale, shift } => {
                [scale, shift]
            }
            Linear::AveragePool { .. }
            | Linear::Slice { .. }
            | Linear::Pad { .. }
            | Linear::Gather { .. }
            | Linear::Reshape { .. } => [&[], &[]],
        }
    }

    /// Shape of the result on an input of shape `input`.
    ///
    /// # Errors
    /// When the operator does not apply to `input`, or its constants have the wrong length, or a
    /// dimension is out of bounds. Never overflows, whatever the fields hold.
    pub fn output_shape(&self, input: Shape) -> Result<Shape, ShapeError> {
        self.derive(input).map_err(|what| ShapeError {
            op: self.name(),
            what,
        })
    }

    fn derive(&self, input: Shape) -> Result<Shape, String> {
        bounded(input)?;
        let output = match self {
            Linear::Conv {
                weight,
                bias,
                out_channels,
                window,
            } => {
                let out = dim("output channels", *out_channels)?;
                let (groups, taps) = parts(window, input.c, out)?;
                length("weight", weight, &[out, input.c / groups, taps])?;
                length("bias", bias, &[out])?;
                let axis = |size: usize, i: usize| -> Result<(usize, usize), String> {
                    let padded = size + pads(window, i)?;
                    let reach = reach(window, i)?;
                    Ok((padded, windows(padded, reach, window.stride[i])?))
                };
                let ((rows, h), (columns, w)) = (axis(input.h, 0)?, axis(input.w, 1)?);
                // At most 2^16 channels, 2^18 rows and columns.
                let padded = input.c as u64 * rows as u64 * columns as u64;
                if padded > MAX_ELEMENTS as u64 {
                    return Err(format!(
                        "{padded} elements with padding, at most {MAX_ELEMENTS}"
                    ));
                }
                Shape::new(out, h, w)
            }
            Linear::ConvTranspose {
                weight,
                bias,
                out_channels,
                window,
                output_padding,
            } => {
                let out = dim("output channels", *out_channels)?;
                let (groups, taps) = parts(window, input.c, out)?;
                length("weight", weight, &[input.c, out / groups, taps])?;
                length("bias", bias, &[out])?;
                let axis = |size: usize, i: usize| -> Result<usize, String> {
                    let stride = dim("stride", window.stride[i])?;
                    let full = (size - 1) * stride + reach(window, i)?;
                    let extra = at_most("output padding", output_padding[i])?;
                    let cut = pads(window, i)?;
                    (full + extra)
                        .checked_sub(cut)
                        .filter(|&size| size > 0)
                        .ok_or_else(|| format!("pads of {cut} leave nothing of {full}"))
                };
                Shape::new(out, axis(input.h, 0)?, axis(input.w, 1)?)
            }
            Linear::Gemm { weight, bias, rows } => {
                let rows = dim("rows", *rows)?;
                length("weight", weight, &[rows, input.elements()])?;
                length("bias", bias, &[rows])?;
                Shape::new(rows, 1, 1)
            }
            Linear::AveragePool { kernel, stride } => Shape::new(
                input.c,
                windows(input.h, dim("kernel", kernel[0])?, stride[0])?,
                windows(input.w, dim("kernel", kernel[1])?, stride[1])?,
            ),
            Linear::Affine { scale, shift } => {
                length("scale", scale, &[input.c])?;
                length("shift", shift, &[input.c])?;
                input
            }
            Linear::Elementwise { scale, shift } => {
                length("scale", scale, &[input.elements()])?;
                length("shift", shift, &[input.elements()])?;
                input
            }
            Linear::Slice { start, step, shape } => {
                bounded(*shape)?;
                let (from, to) = (input.axes(), shape.axes());
                for axis in 0..3 {
                    let reach = (to[axis] - 1)
                        .checked_mul(dim("step", step[axis])?)
                        .and_then(|last| last.checked_add(start[axis]));
                    if reach.is_none_or(|last| last >= from[axis]) {
                        return Err(format!(
                            "takes {shape} from {start:?} by {step:?} of an input of {input}"
                        ));
                    }
                }
                *shape
            }
            Linear::Pad { before, after } => {
                let mut axes = input.axes();
                for axis in 0..3 {
                    axes[axis] += at_most("pad", before[axis])? + at_most("pad", after[axis])?;
                }
                Shape::new(axes[0], axes[1], axes[2])
            }
            Linear::Gather { shape, source } => {
                bounded(*shape)?;
                if source.len() != shape.elements() {
                    return Err(format!("takes {} elements for {shape}", source.len()));
                }
                if let Some(beyond) = source.iter().find(|&&s| s as usize >= input.elements()) {
                    return Err(format!("takes element {beyond} of an input of {input}"));
                }
                *shape
            }
            Linear::Reshape { shape } => {
                bounded(*shape)?;
                if shape.elements() != input.elements() {
                    return Err(format!("{shape} has not as many elements as {input}"));
                }
                *shape
            }
        };
        bounded(output)?;
        Ok(output)
    }
}

impl Shape {
    /// Channels, rows, columns.
    pub fn axes(&self) -> [usize; 3] {
        [self.c, self.h, self.w]
    }
}

impl Graph {
    /// Checks the rules of the language.
    ///
    /// # Errors
    /// The first broken rule, with its value and ONNX name.
    pub fn verify(&self) -> Result<(), VerifyError> {
        let whole = |what: String| VerifyError {
            value: "graph".to_string(),
            name: String::new(),
            what,
        };
        if self.nodes.node_count() > MAX_NODES {
            return Err(whole(format!(
                "{} values, at most {MAX_NODES}",
                self.nodes.node_count()
            )));
        }
        for end in [self.input, self.output] {
            if self.nodes.node_weight(end).is_none() {
                return Err(whole(format!(
                    "v{} is an end of the graph but not in it",
                    end.index()
                )));
            }
        }
        if let Err(cycle) = petgraph::algo::toposort(&self.nodes, None) {
            return Err(self.broken(cycle.node_id(), "is part of a cycle".to_string()));
        }
        for id in self.nodes.node_indices() {
            self.verify_node(id).map_err(|what| self.broken(id, what))?;
        }
        Ok(())
    }

    fn broken(&self, id: ValueId, what: String) -> VerifyError {
        VerifyError {
            value: format!("v{}", id.index()),
            name: self.nodes[id].name.clone(),
            what,
        }
    }

    fn verify_node(&self, id: ValueId) -> Result<(), String> {
        let node = &self.nodes[id];
        bounded(node.shape)?;
        let arity = match node.op {
            Op::Input => 0,
            Op::Linear(_) | Op::Activation(_) => 1,
            Op::Add | Op::Mul => 2,
        };
        let mut positions: Vec<u8> = self
            .nodes
            .edges_directed(id, Direction::Incoming)
            .map(|edge| *edge.weight())
            .collect();
        positions.sort_unstable();
        if !positions.iter().map(|&p| p as usize).eq(0..arity) {
            return Err(format!(
                "has operands at {positions:?}, expected {arity}, numbered from 0"
            ));
        }
        let operands = self.operands(id);
        let expected = match &node.op {
            Op::Input if id != self.input => return Err("is a second input".to_string()),
            Op::Input => node.shape,
            Op::Activation(function) => {
                let shape = self.nodes[operands[0]].shape;
                function.verify(shape.c).map_err(|e| e.to_string())?;
                shape
            }
            Op::Add | Op::Mul => {
                let (x, y) = (self.nodes[operands[0]].shape, self.nodes[operands[1]].shape);
                if x != y {
                    return Err(format!(
                        "combines {x} and {y}; broadcasting is not supported"
                    ));
                }
                x
            }
            Op::Linear(linear) => {
                if let Some(c) = linear
                    .constants()
                    .into_iter()
                    .flatten()
                    .find(|c| !c.is_finite())
                {
                    return Err(format!("has a constant {c}; weights must be finite"));
                }
                linear
                    .output_shape(self.nodes[operands[0]].shape)
                    .map_err(|e| e.to_string())?
            }
        };
        if node.shape != expected {
            return Err(format!(
                "claims the shape {}, expected {expected}",
                node.shape
            ));
        }
        match self.nodes[self.input].op {
            Op::Input => Ok(()),
            _ => Err("the graph's input is not an input".to_string()),
        }
    }
}

fn at_most(what: &str, size: usize) -> Result<usize, String> {
    if size > MAX_DIM {
        return Err(format!("{what} of {size}, at most {MAX_DIM}"));
    }
    Ok(size)
}

fn dim(what: &str, size: usize) -> Result<usize, String> {
    if size == 0 {
        return Err(format!("{what} of 0, expected at least 1"));
    }
    at_most(what, size)
}

fn divisor(groups: usize, input: usize, output: usize) -> Result<usize, String> {
    let groups = dim("groups", groups)?;
    if !output.is_multiple_of(groups) || !input.is_multiple_of(groups) {
        return Err(format!(
            "{groups} groups do not divide {input} and {output} channels"
        ));
    }
    Ok(groups)
}

/// Groups, and taps of the kernel.
fn parts(window: &Window, inputs: usize, outputs: usize) -> Result<(usize, usize), String> {
    let groups = divisor(window.groups, inputs, outputs)?;
    let taps = dim("kernel", window.kernel[0])? * dim("kernel", window.kernel[1])?;
    Ok((groups, taps))
}

/// Elements from the first tap to the last along an axis, of a kernel that [`parts`] accepts.
fn reach(window: &Window, axis: usize) -> Result<usize, String> {
    Ok(dim("dilation", window.dilation[axis])? * (window.kernel[axis] - 1) + 1)
}

/// Both pads of an axis.
fn pads(window: &Window, axis: usize) -> Result<usize, String> {
    Ok(at_most("pad", window.pads[axis])? + at_most("pad", window.pads[axis + 2])?)
}

fn bounded(shape: Shape) -> Result<(), String> {
    for size in shape.axes() {
        dim("dimension", size)?;
    }
    let elements = shape
        .axes()
        .iter()
        .map(|&size| size as u64)
        .product::<u64>();
    if elements > MAX_ELEMENTS as u64 {
        return Err(format!(
            "{shape} has {elements} elements, at most {MAX_ELEMENTS}"
        ));
    }
    Ok(())
}

fn length(what: &str, values: &[f32], factors: &[usize]) -> Result<(), String> {
    let expected = factors.iter().try_fold(1usize, |n, &f| n.checked_mul(f));
    if expected != Some(values.len()) {
        return Err(format!(
            "{what} has {} values, expected {factors:?}",
            values.len()
        ));
    }
    Ok(())
}

fn windows(padded: usize, reach: usize, stride: usize) -> Result<usize, String> {
    let stride = dim("stride", stride)?;
    if reach > padded {
        return Err(format!("a window of {reach} does not fit in {padded}"));
    }
    Ok((padded - reach) / stride + 1)
}

#[cfg(test)]
mod tests;
