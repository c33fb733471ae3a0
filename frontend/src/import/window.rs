//! Windows of convolutions and pools: which elements each covers, and how many there are.

use super::attributes::{attribute, four, int, ints, pair, text};
use super::error::{Problem, Step};
use hecc_ir::nn;
use tract_onnx::pb::NodeProto;

/// Channels, size and number of spatial axes of an image `[1, c, h, w]` or `[1, c, l]`; the latter
/// is one of l rows and one column.
pub(super) fn spatial(dims: &[usize]) -> Step<(usize, [usize; 2], usize)> {
    match *dims {
        [1, c, h, w] => Ok((c, [h, w], 2)),
        [1, c, l] => Ok((c, [l, 1], 1)),
        _ => Err(Problem::new(format!("is applied to dimensions {dims:?}"))
            .help("supported: [1, c, h, w] and [1, c, l]")),
    }
}

/// A window and how it moves, rows first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    pub kernel: [usize; 2],
    pub stride: [usize; 2],
    pub dilation: [usize; 2],
    /// `[top, left, bottom, right]`.
    pub pads: [usize; 4],
    /// Whether windows that begin inside, but end beyond the padding, count.
    pub ceil: bool,
}

impl Window {
    /// Of a convolution whose weight has dimensions `weight`.
    pub fn of_conv(
        node: &NodeProto,
        weight: &[usize],
        size: [usize; 2],
        rank: usize,
    ) -> Step<Self> {
        let kernel = kernel(node, weight, rank)?;
        Self::read(node, kernel, size, rank)
    }

    /// Of a pool.
    pub fn of_pool(node: &NodeProto, size: [usize; 2], rank: usize) -> Step<Self> {
        if attribute(node, "kernel_shape").is_none() {
            return Err(Problem::new("has no attribute \"kernel_shape\""));
        }
        let kernel = pair(node, "kernel_shape", rank, 1, 1)?;
        let window = Self::read(node, kernel, size, rank)?;
        for i in 0..2 {
            let reach = window.reach(i);
            if window.pads[i] >= reach || window.pads[i + 2] >= reach {
                return Err(Problem::new(format!(
                    "attribute \"pads\" is {:?} beside windows of {kernel:?}, some of which see no element",
                    window.pads
                ))
                .help("supported: pads smaller than the window"));
            }
        }
        Ok(window)
    }

    fn read(node: &NodeProto, kernel: [usize; 2], size: [usize; 2], rank: usize) -> Step<Self> {
        let mut window = Self {
            kernel,
            stride: pair(node, "strides", rank, 1, 1)?,
            dilation: pair(node, "dilations", rank, 1, 1)?,
            pads: four(node, "pads", rank)?,
            ceil: int(node, "ceil_mode", 0) != 0,
        };
        let auto = text(node, "auto_pad", "NOTSET");
        // What is missing for a window on every stride-th element.
        let missing = |i: usize| {
            let last = size[i].div_ceil(window.stride[i]).saturating_sub(1) * window.stride[i];
            (last + window.reach(i)).saturating_sub(size[i])
        };
        let both = [missing(0), missing(1)];
        let (half, rest) = (both.map(|m| m / 2), both.map(|m| m.div_ceil(2)));
        match auto.as_ref() {
            "NOTSET" => {}
            "VALID" => window.pads = [0; 4],
            "SAME_UPPER" => window.pads = [half[0], half[1], rest[0], rest[1]],
            "SAME_LOWER" => window.pads = [rest[0], rest[1], half[0], half[1]],
            other => return Err(auto_pad(other)),
        }
        Ok(window)
    }

    /// Of a convolution of so many groups.
    pub fn grouped(&self, groups: usize) -> nn::Window {
        nn::Window {
            kernel: self.kernel,
            stride: self.stride,
            pads: self.pads,
            dilation: self.dilation,
            groups,
        }
    }

    /// Elements from the first to the last of a window along axis `i`.
    pub fn reach(&self, i: usize) -> usize {
        self.dilation[i] * (self.kernel[i] - 1) + 1
    }

    /// Number of windows along rows and columns.
    pub fn output(&self, size: [usize; 2]) -> Step<[usize; 2]> {
        let axis = |i: usize| {
            let padded = size[i] + self.pads[i] + self.pads[i + 2];
            let Some(room) = padded.checked_sub(self.reach(i)) else {
                return Err(Problem::new(format!(
                    "has windows of {:?} (dilation {:?}) on {size:?}",
                    self.kernel, self.dilation
                )));
            };
            if !self.ceil {
                return Ok(room / self.stride[i] + 1);
            }
            let count = room.div_ceil(self.stride[i]) + 1;
            // The last must begin inside the image or the padding before it.
            let inside = (count - 1) * self.stride[i] < size[i] + self.pads[i];
            Ok(if inside { count } else { count - 1 })
        };
        Ok([axis(0)?, axis(1)?])
    }
}

/// The kernel's size from the weight, held against the attribute.
fn kernel(node: &NodeProto, weight: &[usize], rank: usize) -> Step<[usize; 2]> {
    if weight.len() != rank + 2 {
        return Err(Problem::new(format!(
            "weight has dimensions {weight:?}, expected {}",
            rank + 2
        )));
    }
    let kernel = [weight[2], weight.get(3).copied().unwrap_or(1)];
    let claimed = pair(node, "kernel_shape", rank, 1, 0)?;
    if ints(node, "kernel_shape").is_some() && claimed[..rank] != kernel[..rank] {
        return Err(Problem::new(format!(
            "attribute \"kernel_shape\" is {claimed:?}, the weight has {}x{}",
            kernel[0], kernel[1]
        )));
    }
    if kernel.contains(&0) || kernel.iter().any(|&k| k > 1 << 16) {
        return Err(Problem::new(format!("has a kernel of {kernel:?}")));
    }
    Ok(kernel)
}

/// A transposed convolution's window.
#[derive(Clone, Copy, Debug)]
pub(super) struct ConvTranspose {
    pub out_channels: usize,
    pub window: nn::Window,
    pub output_padding: [usize; 2],
}

impl ConvTranspose {
    /// From a node whose weight has dimensions `weight`, `[in][out/groups][kh][kw]`.
    pub fn read(node: &NodeProto, weight: &[usize], size: [usize; 2], rank: usize) -> Step<Self> {
        let kernel = kernel(node, weight, rank)?;
        let groups = groups(node)?;
        let mut conv = Self {
            out_channels: weight[1].saturating_mul(groups),
            window: nn::Window {
                kernel,
                stride: pair(node, "strides", rank, 1, 1)?,
                pads: four(node, "pads", rank)?,
                dilation: pair(node, "dilations", rank, 1, 1)?,
                groups,
            },
            output_padding: pair(node, "output_padding", rank, 0, 0)?,
        };
        if rank == 1 {
            conv.output_padding[1] = 0;
        }
        if attribute(node, "output_shape").is_some() {
            return Err(Problem::new("attribute \"output_shape\" is given")
                .help("supported: pads and output_padding instead"));
        }
        let auto = text(node, "auto_pad", "NOTSET");
        let same = |i: usize| {
            let full = conv.full(size)[i] + conv.output_padding[i];
            Ok(full.saturating_sub(size[i].saturating_mul(conv.window.stride[i])))
        };
        match auto.as_ref() {
            "NOTSET" => {}
            "VALID" => conv.window.pads = [0; 4],
            "SAME_UPPER" | "SAME_LOWER" => {
                let both: Step<Vec<usize>> = (0..rank).map(same).collect();
                let both = both?;
                let both = [both[0], both.get(1).copied().unwrap_or(0)];
                let (half, rest) = (both.map(|m| m / 2), both.map(|m| m.div_ceil(2)));
                conv.window.pads = match auto.as_ref() {
                    "SAME_UPPER" => [half[0], half[1], rest[0], rest[1]],
                    _ => [rest[0], rest[1], half[0], half[1]],
                };
            }
            other => return Err(auto_pad(other)),
        }
        Ok(conv)
    }

    /// Rows and columns before cutting.
    fn full(&self, size: [usize; 2]) -> [usize; 2] {
        let window = &self.window;
        let axis = |i: usize| {
            let reach = window.dilation[i] * (window.kernel[i] - 1) + 1;
            (size[i] - 1) * window.stride[i] + reach
        };
        [axis(0), axis(1)]
    }

    /// Rows and columns of the result.
    pub fn output(&self, size: [usize; 2]) -> Step<[usize; 2]> {
        let (full, pads) = (self.full(size), &self.window.pads);
        let axis = |i: usize| {
            (full[i] + self.output_padding[i])
                .checked_sub(pads[i] + pads[i + 2])
                .filter(|&n| n > 0)
                .ok_or_else(|| {
                    Problem::new(format!(
                        "attribute \"pads\" is {pads:?}, which leaves nothing of {full:?}"
                    ))
                })
        };
        Ok([axis(0)?, axis(1)?])
    }
}

/// Attribute "group".
pub(super) fn groups(node: &NodeProto) -> Step<usize> {
    match int(node, "group", 1) {
        g @ 1..=0x10000 => Ok(g as usize),
        g => Err(Problem::new(format!(
            "attribute \"group\" is {g}, expected 1 to 65536"
        ))),
    }
}

fn auto_pad(other: &str) -> Problem {
    let other: String = other.chars().take(40).collect();
    Problem::new(format!("attribute \"auto_pad\" is {other:?}"))
        .help("supported: NOTSET, VALID, SAME_UPPER, SAME_LOWER")
}
