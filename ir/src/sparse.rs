//! Sparse matrices by rows, and every nn operator as one.

use crate::nn::{Linear, Shape};

mod product;

pub use product::work;

/// A sparse matrix, row after row.
#[derive(Clone, Debug, PartialEq)]
pub struct Sparse {
    /// Number of columns.
    pub cols: usize,
    /// Row r is `starts[r]..starts[r + 1]` of `entries`; one more than rows.
    starts: Vec<usize>,
    /// Column and value.
    entries: Vec<(u32, f64)>,
}

impl Sparse {
    /// The matrix of `linear` on an input that [`Linear::output_shape`] accepted.
    pub fn from_linear(linear: &Linear, input: Shape, output: Shape) -> Self {
        let mut starts = vec![0; output.elements() + 1];
        let mut entries = Vec::new();
        for_each_entry(linear, input, output, &mut |row, col, value| {
            entries.push((col as u32, value));
            starts[row + 1] = entries.len();
        });
        // Rows without entries end where the row before them ends.
        for row in 1..starts.len() {
            starts[row] = starts[row].max(starts[row - 1]);
            let row = &mut entries[starts[row - 1]..starts[row]];
            if !row.is_sorted_by_key(|&(col, _)| col) {
                row.sort_by_key(|&(col, _)| col);
            }
        }
        Self {
            cols: input.elements(),
            starts,
            entries,
        }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.starts.len() - 1
    }

    /// Columns, ascending, and values of a row; a column that an operator meets twice is there twice.
    pub fn row(&self, row: usize) -> &[(u32, f64)] {
        &self.entries[self.starts[row]..self.starts[row + 1]]
    }

    /// Number of entries stored.
    pub fn entries(&self) -> usize {
        self.entries.len()
    }

    /// Multiplies every entry by `factor`.
    pub fn scale(&mut self, factor: f64) {
        self.entries
            .iter_mut()
            .for_each(|(_, value)| *value *= factor);
    }

    /// `self * x`.
    pub fn apply(&self, x: &[f64]) -> Vec<f64> {
        let dot = |row| {
            self.row(row)
                .iter()
                .map(|&(col, v)| v * x[col as usize])
                .sum()
        };
        (0..self.rows()).map(dot).collect()
    }
}

/// Most entries `linear` can have, zeros included; also bounds the work of visiting them.
pub fn entry_bound(linear: &Linear, input: Shape, output: Shape) -> usize {
    let per_output = match linear {
        Linear::Conv { window, .. } => input.c / window.groups * window.taps(),
        Linear::ConvTranspose { window, .. } => {
            // Walked from either side: every element against every weight of its group.
            let (groups, taps) = (window.groups, window.taps());
            let from_output = (input.c / groups * taps).saturating_mul(output.elements());
            let from_input = (output.c / groups * taps).saturating_mul(input.elements());
            return from_output.max(from_input);
        }
        Linear::Gemm { .. } => input.elements(),
        Linear::AveragePool { kernel, .. } => kernel[0] * kernel[1],
        Linear::Affine { .. }
        | Linear::Elementwise { .. }
        | Linear::Slice { .. }
        | Linear::Pad { .. }
        | Linear::Gather { .. }
        | Linear::Reshape { .. } => 1,
    };
    per_output.saturating_mul(output.elements())
}

/// Calls `visit(row, column, value)` for every nonzero entry, rows in ascending order; rows and
/// columns are c-major indices. `output` is what [`Linear::output_shape`] gives for `input`.
#[inline]
pub fn for_each_entry(
    linear: &Linear,
    input: Shape,
    output: Shape,
    visit: &mut impl FnMut(usize, usize, f64),
) {
    let mut visit = |row, col, value: f64| {
        if value != 0.0 {
            visit(row, col, value);
        }
    };
    let positions = || {
        (0..output.c).flat_map(move |c| {
            (0..output.h * output.w).map(move |i| (c, i / output.w, i % output.w))
        })
    };
    match linear {
        Linear::Conv { weight, window, .. } => {
            let per_group = input.c / window.groups;
            let taps = window.taps();
            for (row, (co, y, x)) in positions().enumerate() {
                let first = co / (output.c / window.groups) * per_group;
                for (ci, w) in weight[co * per_group * taps..][..per_group * taps]
                    .chunks_exact(taps)
                    .enumerate()
                {
                    for ky in 0..window.kernel[0] {
                        let iy = window.met(0, y, ky);
                        if iy >= input.h {
                            continue;
                        }
                        for kx in 0..window.kernel[1] {
                            let ix = window.met(1, x, kx);
                            if ix < input.w {
                                visit(
                                    row,
                                    input.index(first + ci, iy, ix),
                                    w[ky * window.kernel[1] + kx] as f64,
                                );
                            }
                        }
                    }
                }
            }
        }
        Linear::ConvTranspose { weight, window, .. } => {
            let (in_group, out_group) = (input.c / window.groups, output.c / window.groups);
            // The input position that a tap leads to an output position from, if there is one.
            let from = |axis: usize, at: usize, tap: usize, size: usize| {
                let shifted = (at + window.pads[axis]).checked_sub(tap * window.dilation[axis])?;
                let (from, rest) = (shifted / window.stride[axis], shifted % window.stride[axis]);
                (rest == 0 && from < size).then_some(from)
            };
            for (row, (co, y, x)) in positions().enumerate() {
                let (first, co) = (co / out_group * in_group, co % out_group);
                for ci in first..first + in_group {
                    for ky in 0..window.kernel[0] {
                        let Some(iy) = from(0, y, ky, input.h) else {
                            continue;
                        };
                        for kx in 0..window.kernel[1] {
                            if let Some(ix) = from(1, x, kx, input.w) {
                                let at = (ci * out_group + co) * window.taps()
                                    + ky * window.kernel[1]
                                    + kx;
                                visit(row, input.index(ci, iy, ix), weight[at] as f64);
                            }
                        }
                    }
                }
            }
        }
        Linear::Gemm { weight, rows, .. } => {
            let cols = input.elements();
            for row in 0..*rows {
                for (col, &w) in weight[row * cols..][..cols].iter().enumerate() {
                    visit(row, col, w as f64);
                }
            }
        }
        Linear::AveragePool { kernel, stride } => {
            let share = 1.0 / (kernel[0] * kernel[1]) as f64;
            for (row, (c, y, x)) in positions().enumerate() {
                for ky in 0..kernel[0] {
                    for kx in 0..kernel[1] {
                        visit(
                            row,
                            input.index(c, y * stride[0] + ky, x * stride[1] + kx),
                            share,
                        );
                    }
                }
            }
        }
        Linear::Affine { scale, .. } => {
            for (row, (c, _, _)) in positions().enumerate() {
                visit(row, row, scale[c] as f64);
            }
        }
        Linear::Elementwise { scale, .. } => {
            for (row, &s) in scale.iter().enumerate() {
                visit(row, row, s as f64);
            }
        }
        Linear::Gather { source, .. } => {
            for (row, &col) in source.iter().enumerate() {
                visit(row, col as usize, 1.0);
            }
        }
        Linear::Slice { start, step, .. } => {
            for (row, (c, y, x)) in positions().enumerate() {
                let at = |axis: usize, i: usize| start[axis] + i * step[axis];
                visit(row, input.index(at(0, c), at(1, y), at(2, x)), 1.0);
            }
        }
        Linear::Pad { before, .. } => {
            for (row, (c, y, x)) in positions().enumerate() {
                let (c, y, x) = (
                    c.wrapping_sub(before[0]),
                    y.wrapping_sub(before[1]),
                    x.wrapping_sub(before[2]),
                );
                if c < input.c && y < input.h && x < input.w {
                    visit(row, input.index(c, y, x), 1.0);
                }
            }
        }
        Linear::Reshape { .. } => (0..output.elements()).for_each(|row| visit(row, row, 1.0)),
    }
}

/// What `linear` adds to every element of its output, c-major; None for nothing.
pub fn bias(linear: &Linear, output: Shape) -> Option<Vec<f64>> {
    let [_, bias] = linear.constants();
    // One for all elements of a channel, or one for every element.
    let share = output.elements().checked_div(bias.len())?;
    Some(
        bias.iter()
            .flat_map(|&b| std::iter::repeat_n(f64::from(b), share))
            .collect(),
    )
}
