//! Which elements of a tensor an operator reads, axis by axis, and the rotations that follow.
//!
//! A convolution, pool, slice, pad or affine map relates output element (c, y, x) to input element
//! (c', y', x') when each axis does by itself. So the set of slot distances is a sum of three small
//! sets, and counting the diagonals of a candidate layout takes microseconds, not a walk over
//! millions of matrix entries. Operators that mix axes (Reshape, Gemm) relate everything to
//! everything: an upper bound. `choose_layouts` compares candidates with these counts; the plan's
//! keys come from the exact offsets of the chosen maps.

use std::collections::BTreeSet;

use hecc_ir::layout::Layout;
use hecc_ir::nn::{Linear, Shape};

/// Pairs (output index, input index) along one axis, and all three axes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Relation {
    axes: Axes,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Axes {
    /// Pairs (output, input) along c, y, x.
    Separable([Vec<(usize, usize)>; 3]),
    /// Every output element reads every input element.
    All(Shape, Shape),
}

impl Relation {
    /// The relation of `stages`, computed from their geometry and never from their weights, on a tensor of shape `input` with output shape `output`.
    pub fn new(stages: &[Linear], input: Shape, output: Shape) -> Self {
        let mut shape = input;
        let mut axes: [Vec<(usize, usize)>; 3] =
            [diagonal(input.c), diagonal(input.h), diagonal(input.w)];
        for stage in stages {
            let Some(next) = stage_axes(stage, shape) else {
                return Self {
                    axes: Axes::All(output, input),
                };
            };
            for (axis, next) in axes.iter_mut().zip(&next.1) {
                *axis = compose(axis, next);
            }
            shape = next.0;
        }
        Self {
            axes: Axes::Separable(axes),
        }
    }

    /// Distances `position in the input's region - position in the output's region`, distinct,
    /// without replication and twist.
    pub fn distances(&self, input: &Layout, output: &Layout) -> Vec<isize> {
        let (from, to) = (single(input), single(output));
        match &self.axes {
            Axes::Separable(axes) => {
                let along = |axis: usize| -> Vec<isize> {
                    let at = |layout: &Layout, i: usize| {
                        let (c, y, x) = [(i, 0, 0), (0, i, 0), (0, 0, i)][axis];
                        layout.slot(c, y, x, 0) as isize
                    };
                    let set: BTreeSet<isize> = axes[axis]
                        .iter()
                        .map(|&(o, i)| at(&from, i) - at(&to, o))
                        .collect();
                    set.into_iter().collect()
                };
                let mut sum: Vec<isize> = vec![0];
                for axis in 0..3 {
                    let steps = along(axis);
                    sum = distinct(
                        input.slots,
                        sum.iter().flat_map(|a| steps.iter().map(move |b| a + b)),
                    );
                }
                sum
            }
            Axes::All(out, inn) => {
                let positions = |layout: &Layout, shape: &Shape| -> Vec<isize> {
                    let mut all = Vec::with_capacity(shape.elements());
                    for c in 0..shape.c {
                        for y in 0..shape.h {
                            all.extend((0..shape.w).map(|x| layout.slot(c, y, x, 0) as isize));
                        }
                    }
                    all
                };
                let (from, to) = (positions(&from, inn), positions(&to, out));
                distinct(
                    input.slots,
                    to.iter().flat_map(|o| from.iter().map(move |i| i - o)),
                )
            }
        }
    }
}

/// Distinct values in order, each of magnitude at most `span`.
fn distinct(span: usize, values: impl Iterator<Item = isize>) -> Vec<isize> {
    let middle = span as isize;
    let mut seen = vec![false; 2 * span + 1];
    values.for_each(|v| seen[(v + middle) as usize] = true);
    (-middle..=middle)
        .filter(|v| seen[(v + middle) as usize])
        .collect()
}

/// Offsets of the diagonals of a map between two layouts whose distances are `distances`, by the rule of
/// `LinearMap`: each term is taken from the input copy that makes the offset smallest.
///
/// Sorted. The input may be twisted, the output not.
pub fn offsets(distances: &[isize], input: &Layout, output: &Layout, fold: bool) -> Vec<usize> {
    let (stride, slots) = (input.stride() as isize, input.slots as isize);
    let modulus = if fold {
        (output.stride() as isize).min(stride)
    } else {
        stride
    };
    let mut offsets: Vec<usize> = distances
        .iter()
        .map(|d| {
            let smallest = (0..input.copies as isize)
                .map(|k| (d + k * input.twist as isize).rem_euclid(modulus))
                .min();
            smallest.unwrap_or(0) as usize
        })
        .collect();
    offsets.sort_unstable();
    offsets.dedup();
    if !fold && input.twist != 0 {
        // Output copy k finds that distance in an input copy that depends on k: one offset for each.
        let shifts = (slots / stride) as usize;
        offsets = (0..shifts)
            .flat_map(|j| offsets.iter().map(move |o| o + j * stride as usize))
            .collect();
    }
    offsets
}

/// The same layout, one plain copy.
fn single(layout: &Layout) -> Layout {
    Layout {
        copies: 1,
        twist: 0,
        ..layout.clone()
    }
}

fn diagonal(n: usize) -> Vec<(usize, usize)> {
    (0..n).map(|i| (i, i)).collect()
}

/// `second` after `first`; pairs are (output, input).
fn compose(first: &[(usize, usize)], second: &[(usize, usize)]) -> Vec<(usize, usize)> {
    let mut by_output = std::collections::BTreeMap::<usize, Vec<usize>>::new();
    for &(output, input) in first {
        by_output.entry(output).or_default().push(input);
    }
    let mut pairs: Vec<(usize, usize)> = second
        .iter()
        .flat_map(|&(o, middle)| {
            by_output
                .get(&middle)
                .into_iter()
                .flatten()
                .map(move |&i| (o, i))
        })
        .collect();
    pairs.sort_unstable();
    pairs.dedup();
    pairs
}

type AxisPairs = [Vec<(usize, usize)>; 3];

/// Output shape and pairs per axis of one operator; `None` when it mixes axes.
fn stage_axes(stage: &Linear, input: Shape) -> Option<(Shape, AxisPairs)> {
    match stage {
        Linear::Conv {
            out_channels,
            kernel,
            stride,
            pads,
            dilation,
            groups,
            ..
        } => {
            let (per_in, per_out) = (input.c / groups, out_channels / groups);
            let channels = (0..*out_channels)
                .flat_map(|o| (0..per_in).map(move |i| (o, (o / per_out) * per_in + i)))
                .collect();
            let axis = |i: usize, extent: usize| {
                window(
                    extent,
                    kernel[i],
                    stride[i],
                    dilation[i],
                    pads[i],
                    pads[i + 2],
                )
            };
            let (h, rows) = axis(0, input.h);
            let (w, cols) = axis(1, input.w);
            Some((Shape::new(*out_channels, h, w), [channels, rows, cols]))
        }
        Linear::AveragePool { kernel, stride } => {
            let (h, rows) = window(input.h, kernel[0], stride[0], 1, 0, 0);
            let (w, cols) = window(input.w, kernel[1], stride[1], 1, 0, 0);
            Some((Shape::new(input.c, h, w), [diagonal(input.c), rows, cols]))
        }
        Linear::Affine { .. } => Some((
            input,
            [diagonal(input.c), diagonal(input.h), diagonal(input.w)],
        )),
        Linear::Slice { start, step, shape } => {
            let take =
                |axis: usize, n: usize| (0..n).map(|i| (i, start[axis] + i * step[axis])).collect();
            Some((
                *shape,
                [take(0, shape.c), take(1, shape.h), take(2, shape.w)],
            ))
        }
        Linear::Pad { before, after } => {
            let shape = Shape::new(
                input.c + before[0] + after[0],
                input.h + before[1] + after[1],
                input.w + before[2] + after[2],
            );
            let put = |axis: usize, n: usize| (0..n).map(|i| (i + before[axis], i)).collect();
            Some((shape, [put(0, input.c), put(1, input.h), put(2, input.w)]))
        }
        Linear::Reshape { .. } | Linear::Gemm { .. } => None,
    }
}

/// Output extent and pairs of a window that slides along one axis.
fn window(
    extent: usize,
    kernel: usize,
    stride: usize,
    dilation: usize,
    before: usize,
    after: usize,
) -> (usize, Vec<(usize, usize)>) {
    let reach = dilation * (kernel.max(1) - 1) + 1;
    let outputs = (extent + before + after)
        .checked_sub(reach)
        .map_or(0, |free| free / stride.max(1) + 1);
    let mut pairs = Vec::new();
    for o in 0..outputs {
        for k in 0..kernel {
            let position = o * stride + k * dilation;
            if position >= before && position - before < extent {
                pairs.push((o, position - before));
            }
        }
    }
    (outputs, pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conv(out: usize, inputs: usize, stride: usize) -> Linear {
        Linear::Conv {
            weight: vec![1.0; out * inputs * 9],
            bias: vec![0.0; out],
            out_channels: out,
            kernel: [3, 3],
            stride: [stride, stride],
            pads: [1; 4],
            dilation: [1, 1],
            groups: 1,
        }
    }

    fn layout(shape: Shape, gap: usize, grid: usize, copies: usize, twist: usize) -> Layout {
        Layout {
            slots: 1024,
            shape,
            gap,
            rows: grid,
            cols: grid,
            copies,
            twist,
        }
    }

    /// Every term of the matrix, one by one.
    fn slow(stages: &[Linear], input: &Layout, output: &Layout) -> BTreeSet<isize> {
        let Linear::Conv { stride, .. } = &stages[0] else {
            panic!("tests convolutions")
        };
        let mut distances = BTreeSet::new();
        let (from, to) = (single(input), single(output));
        for o in 0..to.shape.c {
            for y in 0..to.shape.h {
                for x in 0..to.shape.w {
                    for (i, ky, kx) in
                        (0..from.shape.c).flat_map(|i| (0..9).map(move |k| (i, k / 3, k % 3)))
                    {
                        let (r, c) = (
                            (y * stride[0] + ky).wrapping_sub(1),
                            (x * stride[1] + kx).wrapping_sub(1),
                        );
                        if r < from.shape.h && c < from.shape.w {
                            distances.insert(
                                from.slot(i, r, c, 0) as isize - to.slot(o, y, x, 0) as isize,
                            );
                        }
                    }
                }
            }
        }
        distances
    }

    #[test]
    fn distances_agree_with_enumeration() {
        let full = Shape::new(4, 16, 16);
        let half = Shape::new(8, 8, 8);
        let check = |stages: &[Linear], input: &Layout, output: &Layout| {
            let relation = Relation::new(stages, input.shape, output.shape);
            let expect: Vec<isize> = slow(stages, input, output).into_iter().collect();
            assert_eq!(relation.distances(input, output), expect);
        };
        let dense = layout(full, 1, 16, 1, 0);
        check(&[conv(4, 4, 1)], &dense, &dense);
        check(&[conv(8, 4, 2)], &dense, &layout(half, 2, 16, 2, 0));
        check(&[conv(8, 4, 2)], &dense, &layout(half, 1, 8, 2, 0));
        let gapped = layout(half, 2, 16, 2, 0);
        check(&[conv(8, 8, 1)], &gapped, &gapped);
    }

    #[test]
    fn a_twist_divides_the_diagonals() {
        let half = Shape::new(8, 8, 8);
        let relation = Relation::new(&[conv(8, 8, 1)], half, half);
        let plain = layout(half, 2, 16, 2, 0);
        let count = |input: &Layout, fold| {
            offsets(&relation.distances(input, &plain), input, &plain, fold).len()
        };
        assert_eq!(count(&plain, false), 2 * 49);
        assert_eq!(count(&layout(half, 2, 16, 2, 256), true), 49);
    }
}
