//! A convolution weight by weight.

use crate::nn::{Linear, Shape};

/// One nonzero weight of a convolution, and where it meets the image.
pub struct Tap {
    /// The weight.
    pub weight: f64,
    /// Element of the output at the first position, c-major.
    pub row: usize,
    /// Element of the input that the weight meets there, c-major.
    pub col: usize,
    /// Rows and columns of the output where it meets the image, from the first position on.
    pub counts: [usize; 2],
}

/// Visits every nonzero weight that meets the image at all.
pub fn for_each_tap(conv: &Linear, input: Shape, output: Shape, mut visit: impl FnMut(&Tap)) {
    let Linear::Conv {
        weight,
        kernel,
        stride,
        pads,
        dilation,
        groups,
        ..
    } = conv
    else {
        return;
    };
    let (per_group, taps) = (input.c / groups, kernel[0] * kernel[1]);
    // First output position whose tap lies inside the image, where it lies, and how many there are.
    let meet = |axis: usize, tap: usize, sizes: [usize; 2]| {
        let reach = tap * dilation[axis];
        let first = pads[axis].saturating_sub(reach).div_ceil(stride[axis]);
        let end = (sizes[0] + pads[axis])
            .saturating_sub(reach)
            .div_ceil(stride[axis])
            .min(sizes[1]);
        let at = (first * stride[axis] + reach).wrapping_sub(pads[axis]);
        (first < end).then(|| (first, at, end - first))
    };
    let meets: Vec<_> = (0..taps)
        .map(|tap| {
            let y = meet(0, tap / kernel[1], [input.h, output.h])?;
            let x = meet(1, tap % kernel[1], [input.w, output.w])?;
            Some((y, x))
        })
        .collect();
    for (pair, weights) in weight.chunks_exact(taps).enumerate() {
        let (co, ci) = (pair / per_group, pair % per_group);
        let ci = co / (output.c / groups) * per_group + ci;
        for (&w, meet) in weights.iter().zip(&meets) {
            if let (true, &Some(((y, iy, rows), (x, ix, columns)))) = (w != 0.0, meet) {
                visit(&Tap {
                    weight: f64::from(w),
                    row: output.index(co, y, x),
                    col: input.index(ci, iy, ix),
                    counts: [rows, columns],
                });
            }
        }
    }
}
