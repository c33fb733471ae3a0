//! The layouts `choose_layouts` tries for one tensor.

use hecc_ir::layout::Layout;
use hecc_ir::nn::{Linear, Shape};

use crate::PassError;

/// Candidates kept per value; the multiplexed ones come first.
const MAX_CANDIDATES: usize = 6;

/// Candidate of a source: the plain layout, and the twisted one behind the activation.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// Before the activation.
    pub plain: Layout,
    /// What users see.
    pub seen: Layout,
}

/// Product of the strides along rows and columns; the larger, should they differ.
pub fn total_stride(stages: &[Linear]) -> usize {
    let along = |axis: usize| -> usize {
        stages
            .iter()
            .map(|stage| match stage {
                Linear::Conv { stride, .. } | Linear::AveragePool { stride, .. } => stride[axis],
                Linear::Slice { step, .. } => step[axis + 1],
                Linear::Gemm { .. }
                | Linear::Affine { .. }
                | Linear::Pad { .. }
                | Linear::Reshape { .. } => 1,
            })
            .fold(1, |a: usize, b| a.saturating_mul(b))
    };
    along(0).max(along(1))
}

/// Layouts a tensor may have: on the grids of its sources, and dense.
pub fn plain_candidates(
    shape: Shape,
    slots: usize,
    inherited: &[(Layout, usize)],
    name: &str,
) -> Result<Vec<Layout>, PassError> {
    let mut all: Vec<Layout> = Vec::new();
    let grids = inherited
        .iter()
        .map(|(l, stride)| (l.gap.saturating_mul(*stride), l.rows, l.cols));
    for (gap, rows, cols) in grids.chain([(1, shape.h, shape.w)]) {
        // A vector gains nothing from a grid made for an image.
        let vector = shape.h == 1 && shape.w == 1 && rows * cols > 1;
        let fits =
            gap > 0 && gap.saturating_mul(shape.h) <= rows && gap.saturating_mul(shape.w) <= cols;
        let Some(layout) = (if fits && !vector {
            packed(shape, slots, gap, rows, cols)
        } else {
            None
        }) else {
            continue;
        };
        if !all.contains(&layout) && all.len() < MAX_CANDIDATES {
            all.push(layout);
        }
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

/// The layout with as many copies as fit, if one does.
fn packed(shape: Shape, slots: usize, gap: usize, rows: usize, cols: usize) -> Option<Layout> {
    let groups = shape.c.div_ceil(gap.checked_mul(gap)?);
    let used = groups.checked_mul(rows)?.checked_mul(cols)?;
    let region = used.checked_next_power_of_two()?;
    (region <= slots).then(|| Layout {
        slots,
        shape,
        gap,
        rows,
        cols,
        copies: slots / region,
        twist: 0,
    })
}

/// The plain layout and, where copies and `granularity` allow (0: never), the twisted one.
pub fn with_twists(plain: Layout, granularity: usize) -> Vec<Candidate> {
    let block = plain.rows * plain.cols;
    let (stride, share) = (plain.stride(), plain.stride() / plain.copies);
    let mut candidates = vec![Candidate {
        plain: plain.clone(),
        seen: plain.clone(),
    }];
    if granularity == 0 || plain.copies == 1 {
        return candidates;
    }
    // Whole blocks only: a twist inside a block would turn rows into other rows.
    let twist = if share >= block && share % block == 0 {
        share
    } else {
        block
    };
    if twist < stride && stride % twist == 0 && twist % granularity == 0 {
        candidates.push(Candidate {
            plain: plain.clone(),
            seen: Layout { twist, ..plain },
        });
    }
    candidates
}
