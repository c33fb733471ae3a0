//! nn operators on plain vectors, in f32 or f64: the same meaning as [`crate::sparse`], some ten
//! times faster.

use std::ops::{Add, Mul};

use crate::nn::{Linear, Shape};

/// Output channels computed together: one load of the image serves all.
const BLOCK: usize = 4;
/// Columns computed together, of f32: with [`BLOCK`] channels the sums fill half of the SSE registers.
const LANES_F32: usize = 8;
/// The same of f64.
const LANES_F64: usize = 4;

/// A floating-point type.
pub trait Real: Copy + Default + Add<Output = Self> + Mul<Output = Self> + From<f32> {
    /// Rounded to this type.
    fn round(value: f64) -> Self;
}

impl Real for f32 {
    fn round(value: f64) -> Self {
        value as f32
    }
}

impl Real for f64 {
    fn round(value: f64) -> Self {
        value
    }
}

/// `linear` on `x` (c-major), with its bias when `with_bias`. `output` is what
/// [`Linear::output_shape`] gives for `input`.
pub fn apply<T: Real>(
    linear: &Linear,
    input: Shape,
    output: Shape,
    x: &[T],
    with_bias: bool,
) -> Vec<T> {
    let mut out = match linear {
        Linear::Conv { .. } if size_of::<T>() == 4 => {
            conv::<T, LANES_F32>(linear, input, output, x)
        }
        Linear::Conv { .. } => conv::<T, LANES_F64>(linear, input, output, x),
        Linear::Gemm { weight, .. } => weight
            .chunks_exact(input.elements())
            .map(|row| dot(row, x))
            .collect(),
        Linear::AveragePool { kernel, stride } => {
            let share = T::round(1.0 / (kernel[0] * kernel[1]) as f64);
            tensor(output, |c, y, x0| {
                let mut sum = T::default();
                for ky in 0..kernel[0] {
                    for kx in 0..kernel[1] {
                        sum = sum + x[input.index(c, y * stride[0] + ky, x0 * stride[1] + kx)];
                    }
                }
                sum * share
            })
        }
        Linear::Affine { scale, .. } => tensor(output, |c, y, x0| {
            x[input.index(c, y, x0)] * T::from(scale[c])
        }),
        Linear::Elementwise { scale, .. } => {
            x.iter().zip(scale).map(|(&x, &s)| x * T::from(s)).collect()
        }
        Linear::ConvTranspose { .. } => conv_transpose(linear, input, output, x),
        Linear::Gather { source, .. } => source.iter().map(|&s| x[s as usize]).collect(),
        Linear::Slice { start, step, .. } => tensor(output, |c, y, x0| {
            x[input.index(
                start[0] + c * step[0],
                start[1] + y * step[1],
                start[2] + x0 * step[2],
            )]
        }),
        Linear::Pad { before, .. } => tensor(output, |c, y, x0| {
            let (c, y, x0) = (
                c.wrapping_sub(before[0]),
                y.wrapping_sub(before[1]),
                x0.wrapping_sub(before[2]),
            );
            match c < input.c && y < input.h && x0 < input.w {
                true => x[input.index(c, y, x0)],
                false => T::default(),
            }
        }),
        Linear::Reshape { .. } => x.to_vec(),
    };
    if with_bias {
        let [_, bias] = linear.constants();
        // One for all elements of a channel, or one for every element.
        let share = output.elements() / bias.len().max(1);
        for (elements, &b) in out.chunks_exact_mut(share).zip(bias) {
            elements.iter_mut().for_each(|v| *v = *v + T::from(b));
        }
    }
    out
}

fn tensor<T>(shape: Shape, element: impl Fn(usize, usize, usize) -> T) -> Vec<T> {
    let mut out = Vec::with_capacity(shape.elements());
    for c in 0..shape.c {
        for y in 0..shape.h {
            out.extend((0..shape.w).map(|x| element(c, y, x)));
        }
    }
    out
}

fn dot<T: Real>(weights: &[f32], x: &[T]) -> T {
    weights
        .iter()
        .zip(x)
        .fold(T::default(), |sum, (&w, &x)| sum + x * T::from(w))
}

/// Every input element times the weights, added to its window.
fn conv_transpose<T: Real>(linear: &Linear, input: Shape, output: Shape, x: &[T]) -> Vec<T> {
    let Linear::ConvTranspose { weight, window, .. } = linear else {
        return Vec::new();
    };
    let (in_group, out_group) = (input.c / window.groups, output.c / window.groups);
    let taps = window.taps();
    let mut out = vec![T::default(); output.elements()];
    for (pair, weights) in weight.chunks_exact(taps).enumerate() {
        let (ci, co) = (pair / out_group, pair % out_group);
        let co = ci / in_group * out_group + co;
        for (tap, &w) in weights.iter().enumerate() {
            let [dy, dx] = window.offset(tap);
            for iy in 0..input.h {
                let y = (iy * window.stride[0] + dy).wrapping_sub(window.pads[0]);
                if y >= output.h {
                    continue;
                }
                let from = &x[input.index(ci, iy, 0)..][..input.w];
                let to = &mut out[output.index(co, y, 0)..][..output.w];
                for (ix, &value) in from.iter().enumerate() {
                    let column = (ix * window.stride[1] + dx).wrapping_sub(window.pads[1]);
                    if let Some(sum) = to.get_mut(column) {
                        *sum = *sum + value * T::from(w);
                    }
                }
            }
        }
    }
    out
}

/// The padded image, columns sorted by their remainder modulo the stride: the columns a tap meets in
/// a row of the output are then neighbours.
struct Phases<T> {
    values: Vec<T>,
    /// Values per row.
    pitch: usize,
    /// Values per remainder within a row.
    width: usize,
    rows: usize,
}

impl<T: Real> Phases<T> {
    fn new<const LANES: usize>(
        x: &[T],
        input: Shape,
        output: Shape,
        stride: usize,
        pads: &[usize; 4],
        reach: usize,
    ) -> Self {
        let width = output.w.next_multiple_of(LANES) + reach / stride;
        let (pitch, rows) = (width * stride, input.h + pads[0] + pads[2]);
        let mut values = vec![T::default(); input.c * rows * pitch];
        for (row, from) in x.chunks_exact(input.w).enumerate() {
            let (c, y) = (row / input.h, row % input.h + pads[0]);
            let to = &mut values[(c * rows + y) * pitch..][..pitch];
            for (i, &value) in from.iter().enumerate() {
                let at = i + pads[1];
                // Columns beyond the last window are never read.
                if at / stride < width {
                    to[at % stride * width + at / stride] = value;
                }
            }
        }
        Self {
            values,
            pitch,
            width,
            rows,
        }
    }
}

fn conv<T: Real, const LANES: usize>(
    linear: &Linear,
    input: Shape,
    output: Shape,
    x: &[T],
) -> Vec<T> {
    let Linear::Conv { weight, window, .. } = linear else {
        return Vec::new();
    };
    let (per_group, taps) = (input.c / window.groups, window.taps());
    let out_group = output.c / window.groups;
    // A single column knows no stride.
    let across = if output.w == 1 { 1 } else { window.stride[1] };
    let image = Phases::new::<LANES>(
        x,
        input,
        output,
        across,
        &window.pads,
        (window.kernel[1] - 1) * window.dilation[1],
    );
    // Where tap i of the first input channel finds its values for the output's first row.
    let starts: Vec<usize> = (0..taps)
        .map(|tap| {
            let [dy, dx] = window.offset(tap);
            dy * image.pitch + dx % across * image.width + dx / across
        })
        .collect();
    let plane = image.rows * image.pitch;
    let mut out = vec![T::default(); output.elements()];
    let mut packed: Vec<[T; BLOCK]> = Vec::new();
    for group in 0..window.groups {
        let first_input = group * per_group * plane;
        for block in (0..out_group).step_by(BLOCK) {
            let first = group * out_group + block;
            let size = BLOCK.min(out_group - block);
            packed.clear();
            packed.extend((0..per_group * taps).map(|i| {
                let mut block = [T::default(); BLOCK];
                for (b, w) in block[..size].iter_mut().enumerate() {
                    *w = T::from(weight[(first + b) * per_group * taps + i]);
                }
                block
            }));
            for y in 0..output.h {
                for x0 in (0..output.w).step_by(LANES) {
                    let mut sums = [[T::default(); LANES]; BLOCK];
                    let corner = first_input + y * window.stride[0] * image.pitch + x0;
                    for (ci, weights) in packed.chunks_exact(taps).enumerate() {
                        let from = corner + ci * plane;
                        for (weights, start) in weights.iter().zip(&starts) {
                            if let Some(values) = image.values[from + start..].first_chunk() {
                                sums = accumulate(sums, values, weights);
                            }
                        }
                    }
                    let columns = LANES.min(output.w - x0);
                    for (b, sums) in sums[..size].iter().enumerate() {
                        out[output.index(first + b, y, x0)..][..columns]
                            .copy_from_slice(&sums[..columns]);
                    }
                }
            }
        }
    }
    out
}

/// `sums[b] += weights[b] * values`, by value and with constant bounds: the sums stay in vector
/// registers.
#[inline(always)]
fn accumulate<T: Real, const LANES: usize>(
    mut sums: [[T; LANES]; BLOCK],
    values: &[T; LANES],
    weights: &[T; BLOCK],
) -> [[T; LANES]; BLOCK] {
    for b in 0..BLOCK {
        for i in 0..LANES {
            sums[b][i] = sums[b][i] + values[i] * weights[b];
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::Window;
    use crate::sparse::{Sparse, bias};
    use crate::testing::{Random, linear_samples};

    #[test]
    fn agrees_with_the_matrices() {
        let mut random = Random::new(1);
        for (linear, input) in linear_samples(&mut random) {
            let output = linear.output_shape(input).unwrap();
            let x: Vec<f64> = (0..input.elements()).map(|_| random.unit()).collect();
            let matrix = Sparse::from_linear(&linear, input, output);
            let mut expect = matrix.apply(&x);
            if let Some(bias) = bias(&linear, output) {
                expect.iter_mut().zip(bias).for_each(|(e, b)| *e += b);
            }
            let got = apply(&linear, input, output, &x, true);
            let worst = got
                .iter()
                .zip(&expect)
                .map(|(a, b)| (a - b).abs())
                .fold(0.0, f64::max);
            assert!(
                got.len() == expect.len() && worst < 1e-12,
                "{linear:?} on {input}: {worst}"
            );
        }
    }

    #[test]
    fn transposed_convolution_of_the_onnx_specification() {
        // The first example of ConvTranspose there.
        let linear = Linear::ConvTranspose {
            weight: vec![1.0; 18],
            bias: vec![0.0, 100.0],
            out_channels: 2,
            window: Window {
                kernel: [3; 2],
                stride: [1; 2],
                pads: [0; 4],
                dilation: [1; 2],
                groups: 1,
            },
            output_padding: [0; 2],
        };
        let (input, output) = (Shape::new(1, 3, 3), Shape::new(2, 5, 5));
        assert_eq!(linear.output_shape(input), Ok(output));
        let x: Vec<f64> = (0..9).map(f64::from).collect();
        let got = apply(&linear, input, output, &x, true);
        let expect = [
            0.0, 1.0, 3.0, 3.0, 2.0, 3.0, 8.0, 15.0, 12.0, 7.0, 9.0, 21.0, 36.0, 27.0, 15.0, 9.0,
            20.0, 33.0, 24.0, 13.0, 6.0, 13.0, 21.0, 15.0, 8.0,
        ];
        assert_eq!(got[..25], expect);
        assert_eq!(got[25..], expect.map(|v| v + 100.0));
    }
}
