//! Convolutions, means, sums and maxima over windows.

use super::attributes::int;
use super::error::{Problem, Step};
use super::raw::{self, Id, Op};
use super::shapes::reduced;
use super::translate::{Translator, Value};
use super::window::{ConvTranspose, Window, groups, spatial};
use super::{MaxPool, Maximum};
use hecc_ir::function::Function;
use hecc_ir::nn::{self, Linear, Shape};
use tract_onnx::pb::NodeProto;
use tract_onnx::prelude::Tensor;

impl<'a> Translator<'a> {
    /// An image's value, channels, size and number of spatial axes.
    fn image(&self, node: &'a NodeProto) -> Step<(Value<'a>, usize, [usize; 2], usize)> {
        let x = self.data(node, 0)?;
        let (c, size, rank) = spatial(x.dims)?;
        Ok((x, c, size, rank))
    }

    fn weight(&self, node: &'a NodeProto) -> Step<&'a [usize]> {
        self.constant(node, 1, "weight")?
            .map(Tensor::shape)
            .ok_or_else(|| Problem::new("has no weight"))
    }

    fn bias(&self, node: &'a NodeProto, channels: usize) -> Step<Vec<f32>> {
        match self.constant(node, 2, "bias")? {
            Some(_) => self.floats(node, 2, "bias"),
            None => Ok(vec![0.0; channels]),
        }
    }

    pub(super) fn conv(&mut self, node: &'a NodeProto) -> Step<Id> {
        let (x, _, size, rank) = self.image(node)?;
        let dims = self.weight(node)?;
        let window = Window::of_conv(node, dims, size, rank)?;
        let conv = Linear::Conv {
            weight: self.floats(node, 1, "weight")?,
            bias: self.bias(node, dims[0])?,
            out_channels: dims[0],
            window: window.grouped(groups(node)?),
        };
        self.raw.linear(x.id, conv)
    }

    pub(super) fn conv_transpose(&mut self, node: &'a NodeProto) -> Step<Id> {
        let (x, _, size, rank) = self.image(node)?;
        let conv = ConvTranspose::read(node, self.weight(node)?, size, rank)?;
        let linear = Linear::ConvTranspose {
            weight: self.floats(node, 1, "weight")?,
            bias: self.bias(node, conv.out_channels)?,
            out_channels: conv.out_channels,
            window: conv.window,
            output_padding: conv.output_padding,
        };
        self.raw.linear(x.id, linear)
    }

    pub(super) fn average_pool(&mut self, node: &'a NodeProto) -> Step<Id> {
        let (x, _, size, rank) = self.image(node)?;
        if node.op_type == "GlobalAveragePool" {
            let (kernel, stride) = (size, size);
            return self
                .raw
                .linear(x.id, Linear::AveragePool { kernel, stride });
        }
        let window = Window::of_pool(node, size, rank)?;
        self.mean(x.id, &window, int(node, "count_include_pad", 0) != 0)
    }

    /// Means over windows; padding counts as zeros if `padding` says so, and not at all otherwise.
    fn mean(&mut self, x: Id, window: &Window, padding: bool) -> Step<Id> {
        let input = self.raw.shape(x);
        let size = [input.h, input.w];
        let output = window.output(size)?;
        // Zeros at the end, so that every window is whole.
        let need = |i: usize| (output[i] - 1) * window.stride[i] + window.reach(i);
        let after = [0, 1].map(|i| need(i).saturating_sub(size[i] + window.pads[i]));
        let pad = Linear::Pad {
            before: [0, window.pads[0], window.pads[1]],
            after: [0, after[0], after[1]],
        };
        let padded = self.raw.linear(x, pad)?;
        let taps = window.kernel[0] * window.kernel[1];
        let mean = if window.dilation == [1, 1] {
            let pool = Linear::AveragePool {
                kernel: window.kernel,
                stride: window.stride,
            };
            self.raw.linear(padded, pool)?
        } else {
            self.raw.reserve(input.c.saturating_mul(taps))?;
            let conv = depthwise(input.c, vec![1.0 / taps as f32; taps], window);
            self.raw.linear(padded, conv)?
        };
        // Windows that cover less than all taps: their mean is over what they cover.
        let covered = |i: usize| -> Vec<usize> {
            let end = size[i] + window.pads[i] + if padding { window.pads[i + 2] } else { 0 };
            let begin = if padding { 0 } else { window.pads[i] };
            let (step, taps) = (window.dilation[i], window.kernel[i]);
            let count = |k: usize| {
                // Taps before a place.
                let before = |end: usize| {
                    let room = end.saturating_sub(k * window.stride[i]);
                    room.div_ceil(step).min(taps)
                };
                before(end).saturating_sub(before(begin))
            };
            (0..output[i]).map(count).collect()
        };
        let (rows, cols) = (covered(0), covered(1));
        if rows.iter().all(|&n| n == window.kernel[0])
            && cols.iter().all(|&n| n == window.kernel[1])
        {
            return Ok(mean);
        }
        let shape = self.raw.shape(mean);
        self.raw.reserve(2 * shape.elements())?;
        let mut plane = Vec::with_capacity(shape.h * shape.w);
        for &r in &rows {
            for &c in &cols {
                if r * c == 0 {
                    return Err(Problem::new("has a window that covers no element")
                        .help("supported: pads smaller than the window"));
                }
                plane.push(taps as f32 / (r * c) as f32);
            }
        }
        let scale = plane.repeat(shape.c);
        let shift = vec![0.0; scale.len()];
        self.raw.elementwise(mean, scale, shift)
    }

    pub(super) fn max_pool(&mut self, node: &'a NodeProto) -> Step<Id> {
        let (x, _, size, rank) = self.image(node)?;
        let window = match node.op_type.as_str() {
            "GlobalMaxPool" => whole(size),
            _ => Window::of_pool(node, size, rank)?,
        };
        self.max(x.id, &window)
    }

    /// Maxima over windows, or their means where the user wants that.
    fn max(&mut self, x: Id, window: &Window) -> Step<Id> {
        if self.maxpool == MaxPool::Average {
            return self.mean(x, window, false);
        }
        let input = self.raw.shape(x);
        let size = [input.h, input.w];
        let output = window.output(size)?;
        let reach = |i: usize| (output[i] - 1) * window.stride[i] + window.reach(i);
        let padded = window.pads != [0; 4] || reach(0) > size[0] || reach(1) > size[1];
        if padded && window.dilation != [1, 1] {
            return Err(Problem::new("has both pads and dilations")
                .help("supported: pads, or dilations, but not both"));
        }
        // Beyond the image the nearest element stands in: every window that reaches it, has it.
        let id = if padded {
            let table = |i: usize, stride: usize| -> Vec<usize> {
                let at = |k: usize| k.saturating_sub(window.pads[i]).min(size[i] - 1) * stride;
                (0..reach(i)).map(at).collect()
            };
            let channels = (0..input.c).map(|c| c * input.h * input.w).collect();
            let dims = [1, input.c, reach(0), reach(1)];
            self.select(x, &dims, &[channels, table(0, input.w), table(1, 1)])?
        } else {
            x
        };
        let rows = self.max_along(id, 0, window)?;
        self.max_along(rows, 1, window)
    }

    /// Maxima of windows along one axis, without padding. Windows double from round to round;
    /// the last round joins two that overlap.
    fn max_along(&mut self, x: Id, axis: usize, window: &Window) -> Step<Id> {
        let (k, dilation) = (window.kernel[axis], window.dilation[axis]);
        let mut offsets = Vec::new();
        let mut covered = 1;
        while covered < k {
            let offset = covered.min(k - covered);
            offsets.push(offset * dilation);
            covered += offset;
        }
        let mut x = x;
        let mut spacing = 1;
        for (round, &offset) in offsets.iter().enumerate() {
            // Later rounds look only at multiples of what divides their offsets and the stride.
            let next = offsets[round + 1..]
                .iter()
                .fold(window.stride[axis], |g, &o| gcd(g, o));
            let mut step = Window {
                kernel: [1; 2],
                stride: [1; 2],
                dilation: [1; 2],
                pads: [0; 4],
                ceil: false,
            };
            step.kernel[axis] = 2;
            step.dilation[axis] = offset / spacing;
            step.stride[axis] = next / spacing;
            let c = self.raw.shape(x).c;
            self.raw.reserve(4 * c)?;
            let mean = self.raw.linear(x, depthwise(c, vec![0.5, 0.5], &step))?;
            let difference = self.raw.linear(x, depthwise(c, vec![0.5, -0.5], &step))?;
            let spread = self.absolute(difference)?;
            x = self.raw.binary(Op::Add, mean, spread)?;
            spacing = next;
        }
        if offsets.is_empty() && window.stride[axis] > 1 {
            let mut shape = self.raw.shape(x);
            let mut step = [1; 3];
            step[axis + 1] = window.stride[axis];
            let size = if axis == 0 {
                &mut shape.h
            } else {
                &mut shape.w
            };
            *size = (*size - 1) / window.stride[axis] + 1;
            let start = [0; 3];
            x = self.raw.linear(x, Linear::Slice { start, step, shape })?;
        }
        Ok(x)
    }

    /// The absolute value a maximum needs, with its price.
    pub(super) fn absolute(&mut self, x: Id) -> Step<Id> {
        let shape = self.raw.shape(x);
        let id = self.raw.activation(x, Function::Abs)?;
        self.maxima.push(Maximum {
            origin: self.raw.nodes[id].origin,
            elements: shape.elements(),
        });
        Ok(id)
    }

    /// Mean, sum or maximum over axes.
    pub(super) fn reduce(&mut self, node: &'a NodeProto, dims: &'a [usize]) -> Step<Id> {
        let x = self.data(node, 0)?;
        let reduced = reduced(node, self.facts, x.dims.len())?;
        let over = |axis: &usize| reduced[*axis];
        let count: usize = (0..x.dims.len()).filter(over).map(|a| x.dims[a]).product();
        // Rows and columns of an image where they are; other axes are moved to the end first.
        let (id, size) = match (x.dims, reduced.as_slice()) {
            (&[1, _, h, w], [_, false, true, true]) => (x.id, [h, w]),
            _ => {
                let kept = x.dims.iter().product::<usize>() / count;
                let axes = 0..x.dims.len();
                let perm: Vec<usize> = axes
                    .clone()
                    .filter(|a| !reduced[*a])
                    .chain(axes.filter(over))
                    .collect();
                let turned = self.permute(x.id, x.dims, &perm, &[1, kept, count, 1])?;
                let view = self.raw.reshape(turned, Shape::new(kept, count, 1))?;
                (view, [count, 1])
            }
        };
        let result = match node.op_type.as_str() {
            "ReduceMax" => self.max(id, &whole(size))?,
            kind => {
                let (kernel, stride) = (size, size);
                let mean = self
                    .raw
                    .linear(id, Linear::AveragePool { kernel, stride })?;
                match kind {
                    "ReduceSum" => self.raw.uniform(mean, count as f32, 0.0)?,
                    _ => mean,
                }
            }
        };
        self.raw.reshape(result, raw::shape(dims))
    }
}

/// One window over all of an image.
fn whole(size: [usize; 2]) -> Window {
    Window {
        kernel: size,
        stride: [1; 2],
        dilation: [1; 2],
        pads: [0; 4],
        ceil: false,
    }
}

/// The same small kernel on every channel.
fn depthwise(channels: usize, kernel: Vec<f32>, window: &Window) -> Linear {
    Linear::Conv {
        weight: kernel.repeat(channels),
        bias: vec![0.0; channels],
        out_channels: channels,
        window: nn::Window {
            pads: [0; 4],
            ..window.grouped(channels)
        },
    }
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}
