//! The layouts `choose_layouts` tries for one tensor.

use hecc_ir::layout::{Layout, MAX_PARTS, MAX_VIRTUAL_SLOTS};
use hecc_ir::nn::{Linear, Shape, Window};

use crate::PassError;

/// Candidates kept per value; those on the grids of its sources come first.
const MAX_CANDIDATES: usize = 6;

/// Candidate of a hub.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// Of its sums: before the activation.
    pub plain: Layout,
    /// What users see.
    pub seen: Layout,
}

/// How much farther apart neighbours lie behind some operators when nothing moves, as (factor,
/// divisor); the larger of rows and columns, should they differ.
pub fn total_stride<'a>(
    stages: impl IntoIterator<Item = &'a Linear>,
    input: Shape,
) -> (usize, usize) {
    let (mut factor, mut divisor, mut shape) = (1usize, 1usize, input);
    for stage in stages {
        let next = stage.output_shape(shape).unwrap_or(shape);
        let larger = |pair: [usize; 2]| pair[0].max(pair[1]);
        match stage {
            Linear::Conv {
                window: Window { stride, .. },
                ..
            }
            | Linear::AveragePool { stride, .. } => {
                factor = factor.saturating_mul(larger(*stride));
            }
            Linear::Slice { step, .. } => {
                factor = factor.saturating_mul(larger([step[1], step[2]]));
            }
            Linear::ConvTranspose { window, .. } => {
                divisor = divisor.saturating_mul(larger(window.stride));
            }
            // A resize repeats or leaves out rows and columns evenly.
            Linear::Gather { .. } => {
                let times = |a: usize, b: usize| if a.is_multiple_of(b) { a / b } else { 1 };
                divisor =
                    divisor.saturating_mul(times(next.h, shape.h).max(times(next.w, shape.w)));
                factor = factor.saturating_mul(times(shape.h, next.h).max(times(shape.w, next.w)));
            }
            Linear::Gemm { .. }
            | Linear::Affine { .. }
            | Linear::Elementwise { .. }
            | Linear::Pad { .. }
            | Linear::Reshape { .. } => {}
        }
        shape = next;
    }
    (factor, divisor)
}

/// Layouts a tensor may have: on the grids of its sources, and dense; on its own grid, and on grids
/// padded so that later strides, or channels at whole fractions of a ciphertext, fit.
///
/// # Errors
/// [`PassError::TooLarge`] for a tensor of more than [`MAX_PARTS`] ciphertexts.
pub fn plain_candidates(
    shape: Shape,
    slots: usize,
    inherited: &[(Layout, (usize, usize))],
    name: &str,
) -> Result<Vec<Layout>, PassError> {
    let up = |n: usize, unit: usize| n.div_ceil(unit) * unit;
    let own = [
        (1, shape.h, shape.w),
        (1, shape.h.next_power_of_two(), shape.w.next_power_of_two()),
        (1, up(shape.h, 4), up(shape.w, 4)),
    ];
    let grids = inherited.iter().filter_map(|(l, (factor, divisor))| {
        let gap = l.gap.saturating_mul(*factor);
        (gap % divisor == 0).then_some((gap / divisor, l.rows, l.cols))
    });
    let mut all: Vec<Layout> = Vec::new();
    for (gap, rows, cols) in grids.chain(own) {
        // A vector gains nothing from a grid made for an image.
        let vector = shape.h == 1 && shape.w == 1 && rows * cols > 1;
        let fits =
            gap > 0 && gap.saturating_mul(shape.h) <= rows && gap.saturating_mul(shape.w) <= cols;
        if !fits || vector {
            continue;
        }
        if let Some(layout) = packed(shape, slots, gap, rows, cols)
            && !all.contains(&layout)
        {
            all.push(layout);
        }
    }
    // Every further ciphertext costs more than a better layout gains.
    let fewest = all.iter().map(|l| l.parts).min();
    all.retain(|l| Some(l.parts) <= fewest.map(|f| f + f / 2));
    if all.len() > MAX_CANDIDATES {
        let dense = all.iter().rposition(|l| l.gap == 1);
        let dense = dense.map(|at| all.remove(at));
        all.truncate(MAX_CANDIDATES - 1);
        all.extend(dense);
    }
    if all.is_empty() {
        return Err(PassError::TooLarge {
            name: name.to_string(),
            shape,
            elements: shape.elements(),
            slots,
        });
    }
    Ok(all)
}

/// The same with at most so many copies; at least one.
pub fn with_copies(layout: Layout, most: usize) -> Layout {
    let mut copies = layout.copies;
    while copies > most.max(1) {
        copies /= 2;
    }
    Layout { copies, ..layout }
}

/// The layout with as many copies as fit in one ciphertext, or over as few ciphertexts as hold it.
fn packed(shape: Shape, slots: usize, gap: usize, rows: usize, cols: usize) -> Option<Layout> {
    let groups = shape.c.div_ceil(gap.checked_mul(gap)?);
    let used = groups.checked_mul(rows)?.checked_mul(cols)?;
    let region = used.checked_next_power_of_two()?;
    let parts = used.div_ceil(slots);
    if parts > MAX_PARTS || parts * slots > MAX_VIRTUAL_SLOTS {
        return None;
    }
    Some(Layout {
        slots,
        parts,
        shape,
        gap,
        rows,
        cols,
        copies: (slots / region).max(1),
        twist: 0,
    })
}

/// Who turns the copies of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Twist {
    /// The client or a bootstrap, for nothing, by multiples of so many slots.
    Free {
        /// 0 for never.
        granularity: usize,
    },
    /// The maps that lead to it, each copy by itself; they cannot share a sum between copies then.
    ByMaps,
}

/// The plain layout and, where there are copies and the turn can be made, the twisted one.
pub fn with_twists(plain: Layout, twist: Twist) -> Vec<Candidate> {
    let block = plain.rows * plain.cols;
    let (stride, share) = (plain.stride(), plain.stride() / plain.copies);
    // Whole blocks only: a twist inside a block would turn rows into other rows.
    let slots = if share >= block && share % block == 0 {
        share
    } else {
        block
    };
    let fits = plain.copies > 1 && slots < stride && stride % slots == 0;
    let twisted = Layout {
        twist: slots,
        ..plain.clone()
    };
    let turned = match twist {
        Twist::Free { granularity } => {
            let whole = granularity > 0 && slots % granularity.max(1) == 0;
            (fits && whole).then(|| plain.clone())
        }
        Twist::ByMaps => fits.then(|| twisted.clone()),
    };
    let mut candidates = vec![Candidate {
        plain: plain.clone(),
        seen: plain,
    }];
    candidates.extend(turned.map(|plain| Candidate {
        plain,
        seen: twisted,
    }));
    candidates
}
