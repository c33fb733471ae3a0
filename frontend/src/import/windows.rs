//! Convolutions and means over windows.

use super::error::{Problem, Step};
use super::operators::{int, sizes, text};
use super::translate::{Translator, shape};
use hecc_ir::nn::{Linear, Op, Shape, ValueId};
use tract_onnx::pb::NodeProto;

impl<'a> Translator<'a> {
    pub(super) fn conv(&self, node: &'a NodeProto, dims: &[usize]) -> Step<Linear> {
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
        let reach = [
            dilation[0] * kh.saturating_sub(1) + 1,
            dilation[1] * kw.saturating_sub(1) + 1,
        ];
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

    pub(super) fn pool(&mut self, node: &'a NodeProto, dims: &'a [usize]) -> Step<ValueId> {
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
        (size[i].div_ceil(stride[i]).saturating_sub(1) * stride[i] + reach[i])
            .saturating_sub(size[i])
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
