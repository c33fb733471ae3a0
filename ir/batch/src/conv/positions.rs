//! Which elements of its operand a convolution meets: output positions that share their taps.

use super::Window;

/// Positions along one axis of the result that meet the same taps, equally spaced.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// First position of the result.
    pub first: usize,
    /// Step between positions of the result.
    pub step: usize,
    /// Number of positions.
    pub count: usize,
    /// Step between the positions of the operand that one tap meets.
    pub advance: usize,
    /// Taps that meet the operand at all: number, and the position met at the first position of the
    /// result, which may lie in the padding.
    pub taps: Vec<(usize, isize)>,
}

impl Axis {
    /// Of a convolution along `axis` (0 rows, 1 columns), from `operand` to `result` positions.
    pub fn forward(window: &Window, axis: usize, operand: usize, result: usize) -> Vec<Self> {
        let reach =
            |tap: usize| (tap * window.dilation[axis]) as isize - window.pads[axis] as isize;
        let all = Self {
            first: 0,
            step: 1,
            count: result,
            advance: window.stride[axis],
            taps: (0..window.kernel[axis])
                .map(|tap| (tap, reach(tap)))
                .collect(),
        };
        vec![all.met(operand)]
    }

    /// Of its transpose, from `operand` positions (of the convolution's result) to `result` positions
    /// (of its operand): as many parts as the stride, since every one meets other taps.
    pub fn backward(window: &Window, axis: usize, operand: usize, result: usize) -> Vec<Self> {
        let (stride, pad) = (window.stride[axis], window.pads[axis]);
        let part = |first: usize| {
            let taps = (0..window.kernel[axis]).filter_map(|tap| {
                let distance = (first + pad) as isize - (tap * window.dilation[axis]) as isize;
                (distance % stride as isize == 0).then_some((tap, distance / stride as isize))
            });
            let part = Self {
                first,
                step: stride,
                count: (result - first).div_ceil(stride),
                advance: 1,
                taps: taps.collect(),
            };
            part.met(operand)
        };
        (0..stride.min(result)).map(part).collect()
    }

    /// Without the taps that meet nothing but padding.
    fn met(mut self, operand: usize) -> Self {
        let span = ((self.count - 1) * self.advance) as isize;
        self.taps
            .retain(|&(_, at)| at + span >= 0 && at < operand as isize);
        self
    }

    /// Padding before and after `operand` positions that `parts` read.
    pub fn padding(parts: &[Self], operand: usize) -> [usize; 2] {
        let mut padding = [0; 2];
        for part in parts {
            let span = ((part.count - 1) * part.advance) as isize;
            for &(_, at) in &part.taps {
                padding[0] = padding[0].max((-at).max(0) as usize);
                padding[1] = padding[1].max((at + span + 1 - operand as isize).max(0) as usize);
            }
        }
        padding
    }
}
