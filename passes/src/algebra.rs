//! Products of nn linear operators: what `fold_linear` may merge, operator by operator.

use hecc_ir::nn::{Linear, Shape};

/// The operator without its constant part.
pub fn without_bias(op: &Linear) -> Linear {
    let mut op = op.clone();
    match &mut op {
        Linear::Conv { bias, .. } | Linear::Gemm { bias, .. } => bias.fill(0.0),
        Linear::Affine { shift, .. } => shift.fill(0.0),
        Linear::AveragePool { .. }
        | Linear::Slice { .. }
        | Linear::Pad { .. }
        | Linear::Reshape { .. } => {}
    }
    op
}

/// Whether the operator returns its input.
pub fn is_identity(op: &Linear, input: Shape, output: Shape) -> bool {
    match op {
        Linear::Reshape { .. } | Linear::Slice { .. } | Linear::Pad { .. } => input == output,
        Linear::Affine { scale, shift } => {
            scale.iter().all(|&s| s == 1.0) && shift.iter().all(|&b| b == 0.0)
        }
        Linear::AveragePool { kernel, stride } => *kernel == [1, 1] && *stride == [1, 1],
        Linear::Conv { .. } | Linear::Gemm { .. } => false,
    }
}

/// Constants the operator holds.
pub fn weight_count(op: &Linear) -> usize {
    op.constants().iter().map(|c| c.len()).sum()
}

/// `second` after `first` as one operator, where there is one; `middle` is the shape between them.
pub fn compose(first: &Linear, second: &Linear, middle: Shape) -> Option<Linear> {
    match second {
        Linear::Affine { scale, shift } => affine_after(first, scale, shift),
        Linear::Conv { pads, .. } => match first {
            Linear::Affine { scale, shift } => {
                // Padding with zeros happens after the affine: a shift survives only where nothing is padded.
                let shifted = shift.iter().any(|&b| b != 0.0);
                let survives = !shifted || *pads == [0; 4];
                survives.then(|| conv_after(scale, shift, second, middle))?
            }
            Linear::Pad { before, after } => padded_conv(*before, *after, second),
            Linear::Conv { .. }
            | Linear::Gemm { .. }
            | Linear::AveragePool { .. }
            | Linear::Slice { .. }
            | Linear::Reshape { .. } => None,
        },
        // Both read their input in c-major order, which is all a Reshape keeps.
        Linear::Gemm { .. } | Linear::Reshape { .. } => {
            matches!(first, Linear::Reshape { .. }).then(|| second.clone())
        }
        Linear::Slice { start, step, shape } => {
            let Linear::Slice {
                start: a, step: s, ..
            } = first
            else {
                return None;
            };
            Some(Linear::Slice {
                start: std::array::from_fn(|i| a[i] + start[i] * s[i]),
                step: std::array::from_fn(|i| s[i] * step[i]),
                shape: *shape,
            })
        }
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

/// `conv` on an input padded with zeros along rows and columns.
fn padded_conv(before: [usize; 3], after: [usize; 3], conv: &Linear) -> Option<Linear> {
    let mut conv = conv.clone();
    let Linear::Conv { pads, .. } = &mut conv else {
        return None;
    };
    if before[0] != 0 || after[0] != 0 {
        return None;
    }
    let more = [before[1], before[2], after[1], after[2]];
    pads.iter_mut().zip(more).for_each(|(pad, m)| *pad += m);
    Some(conv)
}

/// `scale * first(x) + shift` as one operator of the kind of `first`.
fn affine_after(first: &Linear, scale: &[f32], shift: &[f32]) -> Option<Linear> {
    let mut op = first.clone();
    match &mut op {
        Linear::Conv { weight, bias, .. } | Linear::Gemm { weight, bias, .. } => {
            if bias.len() != scale.len() || scale.is_empty() {
                return None;
            }
            let row = weight.len() / scale.len();
            for (row, s) in weight.chunks_mut(row.max(1)).zip(scale) {
                row.iter_mut().for_each(|w| *w *= s);
            }
            for ((b, s), t) in bias.iter_mut().zip(scale).zip(shift) {
                *b = *b * s + t;
            }
            Some(op)
        }
        Linear::Affine { scale: a, shift: b } => {
            for (((a, b), s), t) in a.iter_mut().zip(b).zip(scale).zip(shift) {
                *a *= s;
                *b = *b * s + t;
            }
            Some(op)
        }
        Linear::AveragePool { .. }
        | Linear::Slice { .. }
        | Linear::Pad { .. }
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
        kernel,
        groups,
        ..
    } = &mut op
    else {
        return None;
    };
    let (taps, per_group, outs) = (
        kernel[0] * kernel[1],
        middle.c / *groups,
        *out_channels / *groups,
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
