//! The pairs of indices that an operator relates along one axis.

use hecc_ir::nn::{Linear, Shape, Window};

/// Pairs (output index, input index) along one axis, sorted.
pub type Pairs = Vec<(usize, usize)>;

/// Every index with itself.
pub fn diagonal(n: usize) -> Pairs {
    (0..n).map(|i| (i, i)).collect()
}

/// `second` after `first`.
pub fn compose(first: &[(usize, usize)], second: &[(usize, usize)]) -> Pairs {
    let size = |indices: &mut dyn Iterator<Item = usize>| indices.max().map_or(0, |i| i + 1);
    let middles = size(&mut first.iter().map(|p| p.0));
    let words = size(&mut first.iter().map(|p| p.1)).div_ceil(64);
    // One row of bits for each index in between: two dense operators meet in many of them.
    let mut rows = vec![0u64; middles * words];
    for &(output, input) in first {
        rows[output * words + input / 64] |= 1 << (input % 64);
    }
    let mut pairs = Vec::new();
    for of_output in second.chunk_by(|a, b| a.0 == b.0) {
        let mut union = vec![0u64; words];
        for &(_, middle) in of_output {
            if middle < middles {
                let row = &rows[middle * words..][..words];
                union.iter_mut().zip(row).for_each(|(u, r)| *u |= r);
            }
        }
        for (i, word) in union.into_iter().enumerate() {
            let bits = (0..64).filter(|b| word >> b & 1 == 1);
            pairs.extend(bits.map(|b| (of_output[0].0, 64 * i + b)));
        }
    }
    pairs
}

/// Output shape and pairs along c, y, x of one operator; `None` when it mixes axes.
pub fn of_stage(stage: &Linear, input: Shape) -> Option<(Shape, [Pairs; 3])> {
    match stage {
        Linear::Conv {
            weight,
            out_channels,
            window,
            ..
        } => {
            // Channels that only pad the output read nothing.
            let row = (weight.len() / out_channels.max(&1)).max(1);
            let zero: Vec<bool> = weight
                .chunks(row)
                .map(|w| w.iter().all(|&w| w == 0.0))
                .collect();
            let mut channels = grouped(input.c, *out_channels, window.groups);
            channels.retain(|&(o, _)| !zero[o]);
            let ((h, rows), (w, cols)) = (sliding(window, 0, input.h), sliding(window, 1, input.w));
            Some((Shape::new(*out_channels, h, w), [channels, rows, cols]))
        }
        Linear::ConvTranspose {
            out_channels,
            window,
            ..
        } => {
            let shape = stage.output_shape(input).ok()?;
            let axis = |i: usize, extent: usize, outputs: usize| {
                let mut pairs: Pairs = (0..extent)
                    .flat_map(|from| {
                        (0..window.kernel[i]).map(move |k| (window.met(i, from, k), from))
                    })
                    .filter(|&(to, _)| to < outputs)
                    .collect();
                pairs.sort_unstable();
                pairs
            };
            let channels = grouped(input.c, *out_channels, window.groups);
            let (rows, cols) = (axis(0, input.h, shape.h), axis(1, input.w, shape.w));
            Some((shape, [channels, rows, cols]))
        }
        Linear::AveragePool { kernel, stride } => {
            let window = Window {
                kernel: *kernel,
                stride: *stride,
                pads: [0; 4],
                dilation: [1; 2],
                groups: 1,
            };
            let (h, rows) = sliding(&window, 0, input.h);
            let (w, cols) = sliding(&window, 1, input.w);
            Some((Shape::new(input.c, h, w), [diagonal(input.c), rows, cols]))
        }
        Linear::Affine { .. } | Linear::Elementwise { .. } => {
            Some((input, input.axes().map(diagonal)))
        }
        Linear::Slice { start, step, shape } => {
            let sizes = shape.axes();
            let take = |axis: usize| {
                let at = |i: usize| (i, start[axis] + i * step[axis]);
                (0..sizes[axis]).map(at).collect()
            };
            Some((*shape, [take(0), take(1), take(2)]))
        }
        Linear::Pad { before, .. } => {
            let shape = stage.output_shape(input).ok()?;
            let sizes = input.axes();
            let put = |axis: usize| (0..sizes[axis]).map(|i| (i + before[axis], i)).collect();
            Some((shape, [put(0), put(1), put(2)]))
        }
        Linear::Gather { shape, source } => Some((*shape, gathered(input, *shape, source)?)),
        Linear::Reshape { shape } if *shape == input => Some((input, input.axes().map(diagonal))),
        Linear::Reshape { .. } | Linear::Gemm { .. } => None,
    }
}

fn grouped(inputs: usize, outputs: usize, groups: usize) -> Pairs {
    let (per_in, per_out) = (inputs / groups, outputs / groups);
    (0..outputs)
        .flat_map(|o| (0..per_in).map(move |i| (o, (o / per_out) * per_in + i)))
        .collect()
}

/// Pairs of a selection along each axis by itself; `None` for any other.
fn gathered(input: Shape, output: Shape, source: &[u32]) -> Option<[Pairs; 3]> {
    let split = |i: u32| {
        let i = i as usize;
        let (c, rest) = (i / (input.h * input.w), i % (input.h * input.w));
        [c, rest / input.w, rest % input.w]
    };
    let take = |axis: usize| -> Pairs {
        let at = |i: usize| {
            let to: [usize; 3] = std::array::from_fn(|a| if a == axis { i } else { 0 });
            (i, split(source[output.index(to[0], to[1], to[2])])[axis])
        };
        (0..output.axes()[axis]).map(at).collect()
    };
    let pairs = [take(0), take(1), take(2)];
    let mut sources = source.iter();
    for &(_, c) in &pairs[0] {
        for &(_, y) in &pairs[1] {
            for &(_, x) in &pairs[2] {
                if split(*sources.next()?) != [c, y, x] {
                    return None;
                }
            }
        }
    }
    Some(pairs)
}

/// Output extent and pairs of a window that slides along one axis.
fn sliding(window: &Window, axis: usize, extent: usize) -> (usize, Pairs) {
    let kernel = window.kernel[axis];
    let reach = window.dilation[axis] * (kernel.max(1) - 1) + 1;
    let outputs = (extent + window.pads[axis] + window.pads[axis + 2])
        .checked_sub(reach)
        .map_or(0, |free| free / window.stride[axis].max(1) + 1);
    let pairs = (0..outputs).flat_map(|o| (0..kernel).map(move |k| (o, window.met(axis, o, k))));
    (outputs, pairs.filter(|&(_, from)| from < extent).collect())
}
