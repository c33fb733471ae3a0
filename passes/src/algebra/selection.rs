//! Operators that only pick elements, as the list of what they pick.

use hecc_ir::nn::{Linear, Shape};

/// Most elements of an operator that is rewritten through its list.
const MAX_LISTED: usize = 1 << 22;

/// For every element of `output`, c-major, the element of `input` it takes, `None` for a zero. `None`
/// altogether for an operator that computes, or one too large to list.
pub fn picks(op: &Linear, input: Shape, output: Shape) -> Option<Vec<Option<u32>>> {
    if output.elements() > MAX_LISTED || input.elements() > MAX_LISTED {
        return None;
    }
    let positions = || {
        (0..output.c).flat_map(move |c| {
            (0..output.h).flat_map(move |y| (0..output.w).map(move |x| [c, y, x]))
        })
    };
    let index = |at: [usize; 3]| input.index(at[0], at[1], at[2]) as u32;
    match op {
        Linear::Reshape { .. } => Some((0..input.elements() as u32).map(Some).collect()),
        Linear::Gather { source, .. } => Some(source.iter().copied().map(Some).collect()),
        Linear::Slice { start, step, .. } => Some(
            positions()
                .map(|at| Some(index(std::array::from_fn(|i| start[i] + at[i] * step[i]))))
                .collect(),
        ),
        Linear::Pad { before, .. } => Some(
            positions()
                .map(|at| {
                    let from: [usize; 3] = std::array::from_fn(|i| at[i].wrapping_sub(before[i]));
                    let inside = from.iter().zip(input.axes()).all(|(&i, size)| i < size);
                    inside.then(|| index(from))
                })
                .collect(),
        ),
        Linear::Conv { .. }
        | Linear::ConvTranspose { .. }
        | Linear::Gemm { .. }
        | Linear::AveragePool { .. }
        | Linear::Affine { .. }
        | Linear::Elementwise { .. } => None,
    }
}

/// A Gather of `shape` that takes `second` of what `first` takes, when all of that is there.
pub fn gather(shape: Shape, first: &[Option<u32>], second: &[u32]) -> Option<Linear> {
    let source: Option<Vec<u32>> = second.iter().map(|&i| *first.get(i as usize)?).collect();
    Some(Linear::Gather {
        shape,
        source: source?,
    })
}

/// `second` after the Pad `first`, when it cuts off padding only.
pub fn cropped_pad(
    before: [usize; 3],
    after: [usize; 3],
    start: [usize; 3],
    step: [usize; 3],
    padded: Shape,
    shape: Shape,
) -> Option<Linear> {
    if step != [1; 3] {
        return None;
    }
    let (padded, shape) = (padded.axes(), shape.axes());
    let cut: [usize; 3] = std::array::from_fn(|i| padded[i] - start[i] - shape[i]);
    let fits = (0..3).all(|i| start[i] <= before[i] && cut[i] <= after[i]);
    fits.then(|| Linear::Pad {
        before: std::array::from_fn(|i| before[i] - start[i]),
        after: std::array::from_fn(|i| after[i] - cut[i]),
    })
}
