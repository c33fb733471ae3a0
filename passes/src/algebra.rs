//! Products of nn linear operators: what `fold_linear` may merge, operator by operator.

mod gemm;
mod selection;

pub use selection::picks;

use hecc_ir::nn::{Linear, Shape, Window};

/// The operator without its constant part.
pub fn without_bias(op: &Linear) -> Linear {
    let mut op = op.clone();
    match &mut op {
        Linear::Conv { bias, .. }
        | Linear::ConvTranspose { bias, .. }
        | Linear::Gemm { bias, .. } => bias.fill(0.0),
        Linear::Affine { shift, .. } | Linear::Elementwise { shift, .. } => shift.fill(0.0),
        Linear::AveragePool { .. }
        | Linear::Slice { .. }
        | Linear::Pad { .. }
        | Linear::Gather { .. }
        | Linear::Reshape { .. } => {}
    }
    op
}

/// Whether the operator returns its input.
pub fn is_identity(op: &Linear, input: Shape, output: Shape) -> bool {
    match op {
        Linear::Reshape { .. } | Linear::Slice { .. } | Linear::Pad { .. } => input == output,
        Linear::Affine { scale, shift } | Linear::Elementwise { scale, shift } => {
            scale.iter().all(|&s| s == 1.0) && shift.iter().all(|&b| b == 0.0)
        }
        Linear::AveragePool { kernel, stride } => *kernel == [1, 1] && *stride == [1, 1],
        Linear::Gather { source, .. } => input == output && is_in_order(source, input),
        Linear::Conv { .. } | Linear::ConvTranspose { .. } | Linear::Gemm { .. } => false,
    }
}

fn is_in_order(source: &[u32], input: Shape) -> bool {
    source.len() == input.elements() && source.iter().enumerate().all(|(i, &s)| s as usize == i)
}

/// Whether the operator only moves or scales elements, so that repeating it costs next to nothing.
pub fn is_light(op: &Linear) -> bool {
    match op {
        Linear::Affine { .. }
        | Linear::Elementwise { .. }
        | Linear::Slice { .. }
        | Linear::Pad { .. }
        | Linear::Gather { .. }
        | Linear::Reshape { .. } => true,
        Linear::Conv { .. }
        | Linear::ConvTranspose { .. }
        | Linear::Gemm { .. }
        | Linear::AveragePool { .. } => false,
    }
}

/// Constants the operator holds.
pub fn weight_count(op: &Linear) -> usize {
    let picked = match op {
        Linear::Gather { source, .. } => source.len(),
        Linear::Conv { .. }
        | Linear::ConvTranspose { .. }
        | Linear::Gemm { .. }
        | Linear::AveragePool { .. }
        | Linear::Affine { .. }
        | Linear::Elementwise { .. }
        | Linear::Slice { .. }
        | Linear::Pad { .. }
        | Linear::Reshape { .. } => 0,
    };
    picked + op.constants().iter().map(|c| c.len()).sum::<usize>()
}

/// The same operator in its simplest form: per-channel where it can be, a Reshape where nothing moves.
pub fn simplest(op: &Linear, input: Shape) -> Option<Linear> {
    match op {
        Linear::Elementwise { scale, shift } => {
            let plane = input.h * input.w;
            let flat = |values: &[f32]| {
                let rows = values.chunks(plane.max(1));
                let first = rows.clone().map(|row| row[0]).collect::<Vec<f32>>();
                let even = rows.zip(&first).all(|(row, f)| row.iter().all(|v| v == f));
                even.then_some(first)
            };
            Some(Linear::Affine {
                scale: flat(scale)?,
                shift: flat(shift)?,
            })
        }
        Linear::Gather { shape, source } => {
            is_in_order(source, input).then_some(Linear::Reshape { shape: *shape })
        }
        Linear::Conv { .. }
        | Linear::ConvTranspose { .. }
        | Linear::Gemm { .. }
        | Linear::AveragePool { .. }
        | Linear::Affine { .. }
        | Linear::Slice { .. }
        | Linear::Pad { .. }
        | Linear::Reshape { .. } => None,
    }
}

/// Shapes around two operators: before the first, between them, after the second.
#[derive(Clone, Copy, Debug)]
pub struct Shapes {
    /// Before the first.
    pub input: Shape,
    /// Between them.
    pub middle: Shape,
    /// After the second.
    pub output: Shape,
}

/// `second` after `first` as one operator, where there is one.
pub fn compose(first: &Linear, second: &Linear, shapes: Shapes) -> Option<Linear> {
    let Shapes {
        input,
        middle,
        output,
    } = shapes;
    match second {
        Linear::Affine { scale, shift } => affine_after(first, scale, shift, middle),
        Linear::Elementwise { scale, shift } => match first {
            Linear::Affine { .. } | Linear::Elementwise { .. } => {
                let (a, b) = per_element(first, middle)?;
                let fold = |(v, s): (&f32, &f32)| v * s;
                Some(Linear::Elementwise {
                    scale: a.iter().zip(scale).map(fold).collect(),
                    shift: b
                        .iter()
                        .zip(scale)
                        .map(fold)
                        .zip(shift)
                        .map(|(v, t)| v + t)
                        .collect(),
                })
            }
            Linear::Conv { .. }
            | Linear::ConvTranspose { .. }
            | Linear::Gemm { .. }
            | Linear::AveragePool { .. }
            | Linear::Slice { .. }
            | Linear::Pad { .. }
            | Linear::Gather { .. }
            | Linear::Reshape { .. } => None,
        },
        Linear::Conv { window, .. } => match first {
            Linear::Affine { scale, shift } => {
                // Padding with zeros happens after the affine: a shift survives only where nothing is padded.
                let shifted = shift.iter().any(|&b| b != 0.0);
                let survives = !shifted || window.pads == [0; 4];
                survives.then(|| conv_after(scale, shift, second, middle))?
            }
            Linear::Pad { before, after } => padded_conv(*before, *after, second, input),
            Linear::Conv { .. }
            | Linear::ConvTranspose { .. }
            | Linear::Gemm { .. }
            | Linear::AveragePool { .. }
            | Linear::Elementwise { .. }
            | Linear::Slice { .. }
            | Linear::Gather { .. }
            | Linear::Reshape { .. } => None,
        },
        Linear::ConvTranspose { .. } => match first {
            Linear::Affine { scale, shift } => {
                // At the borders fewer windows overlap: a shift would not stay a constant.
                let shifted = shift.iter().any(|&b| b != 0.0);
                (!shifted).then(|| scaled_rows(second, scale))?
            }
            Linear::Conv { .. }
            | Linear::ConvTranspose { .. }
            | Linear::Gemm { .. }
            | Linear::AveragePool { .. }
            | Linear::Elementwise { .. }
            | Linear::Slice { .. }
            | Linear::Pad { .. }
            | Linear::Gather { .. }
            | Linear::Reshape { .. } => None,
        },
        Linear::Gemm { weight, bias, rows } => gemm::after(first, weight, bias, *rows, shapes),
        Linear::Reshape { .. } => match first {
            Linear::Reshape { .. } => Some(second.clone()),
            Linear::Gather { source, .. } => Some(Linear::Gather {
                shape: output,
                source: source.clone(),
            }),
            Linear::Conv { .. }
            | Linear::ConvTranspose { .. }
            | Linear::Gemm { .. }
            | Linear::AveragePool { .. }
            | Linear::Affine { .. }
            | Linear::Elementwise { .. }
            | Linear::Slice { .. }
            | Linear::Pad { .. } => None,
        },
        Linear::Gather { source, .. } => {
            selection::gather(output, &picks(first, input, middle)?, source)
        }
        Linear::Slice { start, step, shape } => slice_after(first, *start, *step, *shape, shapes),
        Linear::Pad { before, after } => {
            let Linear::Pad {
                before: a,
                after: b,
            } = first
            else {
                return None;
            };
            Some(Linear::Pad {
                before: std::array::from_fn(|i| a[i] + before[i]),
                after: std::array::from_fn(|i| b[i] + after[i]),
            })
        }
        Linear::AveragePool { .. } => None,
    }
}

/// `first`, then zero channels around its output, as one convolution or Gemm.
pub fn widened(first: &Linear, second: &Linear) -> Option<Linear> {
    let Linear::Pad { before, after } = second else {
        return None;
    };
    if before[1..] != [0, 0] || after[1..] != [0, 0] {
        return None;
    }
    let mut op = first.clone();
    let (weight, bias, rows) = match &mut op {
        Linear::Conv {
            weight,
            bias,
            out_channels,
            window: Window { groups: 1, .. },
        } => (weight, bias, out_channels),
        Linear::Gemm { weight, bias, rows } => (weight, bias, rows),
        Linear::Conv { .. }
        | Linear::ConvTranspose { .. }
        | Linear::AveragePool { .. }
        | Linear::Affine { .. }
        | Linear::Elementwise { .. }
        | Linear::Slice { .. }
        | Linear::Pad { .. }
        | Linear::Gather { .. }
        | Linear::Reshape { .. } => return None,
    };
    let row = weight.len() / (*rows).max(1);
    let around = |values: &[f32], row: usize| {
        let mut out = vec![0.0; before[0] * row];
        out.extend_from_slice(values);
        out.resize(out.len() + after[0] * row, 0.0);
        out
    };
    *weight = around(weight, row);
    *bias = around(bias, 1);
    *rows += before[0] + after[0];
    Some(op)
}

/// Scale and shift of every element.
fn per_element(op: &Linear, shape: Shape) -> Option<(Vec<f32>, Vec<f32>)> {
    let plane = shape.h * shape.w;
    let spread = |values: &[f32]| {
        let rows = values.iter().flat_map(|&v| std::iter::repeat_n(v, plane));
        rows.collect::<Vec<f32>>()
    };
    match op {
        Linear::Affine { scale, shift } => Some((spread(scale), spread(shift))),
        Linear::Elementwise { scale, shift } => Some((scale.clone(), shift.clone())),
        Linear::Conv { .. }
        | Linear::ConvTranspose { .. }
        | Linear::Gemm { .. }
        | Linear::AveragePool { .. }
        | Linear::Slice { .. }
        | Linear::Pad { .. }
        | Linear::Gather { .. }
        | Linear::Reshape { .. } => None,
    }
}

/// `conv` on an input padded with zeros: along rows and columns they become its own, zero channels go.
fn padded_conv(
    before: [usize; 3],
    after: [usize; 3],
    conv: &Linear,
    input: Shape,
) -> Option<Linear> {
    let mut conv = conv.clone();
    let Linear::Conv { weight, window, .. } = &mut conv else {
        return None;
    };
    if before[0] != 0 || after[0] != 0 {
        if window.groups != 1 {
            return None;
        }
        let taps = window.taps();
        let row = (before[0] + input.c + after[0]) * taps;
        let kept = before[0] * taps..(before[0] + input.c) * taps;
        let rows = weight.chunks(row);
        *weight = rows.flat_map(|r| r[kept.clone()].to_vec()).collect();
    }
    let more = [before[1], before[2], after[1], after[2]];
    let pads = window.pads.iter_mut().zip(more);
    pads.for_each(|(pad, m)| *pad += m);
    Some(conv)
}

/// `scale * first(x) + shift` as one operator of the kind of `first`.
fn affine_after(first: &Linear, scale: &[f32], shift: &[f32], middle: Shape) -> Option<Linear> {
    let mut op = first.clone();
    let fold = |values: &mut [f32], add: bool| {
        for ((b, s), t) in values.iter_mut().zip(scale).zip(shift) {
            *b = *b * s + if add { *t } else { 0.0 };
        }
    };
    match &mut op {
        Linear::Conv { weight, bias, .. } | Linear::Gemm { weight, bias, .. } => {
            if bias.len() != scale.len() || scale.is_empty() {
                return None;
            }
            let row = weight.len() / scale.len();
            for (row, s) in weight.chunks_mut(row.max(1)).zip(scale) {
                row.iter_mut().for_each(|w| *w *= s);
            }
            fold(bias, true);
            Some(op)
        }
        Linear::ConvTranspose {
            weight,
            bias,
            out_channels,
            window,
            ..
        } => {
            let (taps, outs) = (window.taps(), *out_channels / window.groups);
            let inputs = weight.len() / (outs * taps).max(1);
            let per_group = inputs / window.groups;
            for (i, row) in weight.chunks_mut((outs * taps).max(1)).enumerate() {
                let scales = &scale[i / per_group.max(1) * outs..];
                for (taps, s) in row.chunks_mut(taps.max(1)).zip(scales) {
                    taps.iter_mut().for_each(|w| *w *= s);
                }
            }
            fold(bias, true);
            Some(op)
        }
        Linear::Affine { scale: a, shift: b } => {
            fold(a, false);
            fold(b, true);
            Some(op)
        }
        Linear::Elementwise { scale: a, shift: b } => {
            let plane = (middle.h * middle.w).max(1);
            for (c, (a, b)) in a.chunks_mut(plane).zip(b.chunks_mut(plane)).enumerate() {
                a.iter_mut().for_each(|a| *a *= scale[c]);
                b.iter_mut().for_each(|b| *b = *b * scale[c] + shift[c]);
            }
            Some(op)
        }
        Linear::AveragePool { .. }
        | Linear::Slice { .. }
        | Linear::Pad { .. }
        | Linear::Gather { .. }
        | Linear::Reshape { .. } => None,
    }
}

/// `conv(scale * x + shift)` as one convolution.
fn conv_after(scale: &[f32], shift: &[f32], conv: &Linear, middle: Shape) -> Option<Linear> {
    let mut op = conv.clone();
    let Linear::Conv {
        weight,
        bias,
        out_channels,
        window,
    } = &mut op
    else {
        return None;
    };
    let (taps, per_group, outs) = (
        window.taps(),
        middle.c / window.groups,
        *out_channels / window.groups,
    );
    for (o, b) in bias.iter_mut().enumerate() {
        for i in 0..per_group {
            let channel = (o / outs) * per_group + i;
            let at = (o * per_group + i) * taps;
            let sum: f32 = weight[at..at + taps].iter().sum();
            *b += sum * shift[channel];
            weight[at..at + taps]
                .iter_mut()
                .for_each(|w| *w *= scale[channel]);
        }
    }
    Some(op)
}

/// A transposed convolution whose input is scaled per channel.
fn scaled_rows(conv: &Linear, scale: &[f32]) -> Option<Linear> {
    let mut op = conv.clone();
    let Linear::ConvTranspose { weight, .. } = &mut op else {
        return None;
    };
    let row = (weight.len() / scale.len().max(1)).max(1);
    for (row, s) in weight.chunks_mut(row).zip(scale) {
        row.iter_mut().for_each(|w| *w *= s);
    }
    Some(op)
}

fn slice_after(
    first: &Linear,
    start: [usize; 3],
    step: [usize; 3],
    shape: Shape,
    shapes: Shapes,
) -> Option<Linear> {
    match first {
        Linear::Slice {
            start: a, step: s, ..
        } => Some(Linear::Slice {
            start: std::array::from_fn(|i| a[i] + start[i] * s[i]),
            step: std::array::from_fn(|i| s[i] * step[i]),
            shape,
        }),
        Linear::Pad { before, after } => {
            selection::cropped_pad(*before, *after, start, step, shapes.middle, shape)
        }
        Linear::Gather { source, .. } => {
            let slice = Linear::Slice { start, step, shape };
            let taken = picks(&slice, shapes.middle, shape)?;
            let source: Option<Vec<u32>> =
                taken.iter().map(|t| Some(source[(*t)? as usize])).collect();
            Some(Linear::Gather {
                shape,
                source: source?,
            })
        }
        Linear::Conv { window, .. }
            if window.groups == 1 && (shape.h, shape.w) == (shapes.middle.h, shapes.middle.w) =>
        {
            let mut op = first.clone();
            if let Linear::Conv {
                weight,
                bias,
                out_channels,
                ..
            } = &mut op
            {
                let row = shapes.input.c * window.taps();
                let kept = || (0..shape.c).map(|c| start[0] + c * step[0]);
                *weight = kept()
                    .flat_map(|c| weight[c * row..][..row].to_vec())
                    .collect();
                *bias = kept().map(|c| bias[c]).collect();
                *out_channels = shape.c;
            }
            Some(op)
        }
        Linear::Conv { .. }
        | Linear::ConvTranspose { .. }
        | Linear::Gemm { .. }
        | Linear::AveragePool { .. }
        | Linear::Affine { .. }
        | Linear::Elementwise { .. }
        | Linear::Reshape { .. } => None,
    }
}
