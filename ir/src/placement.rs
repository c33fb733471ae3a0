//! Which slots, parts and offsets carry the entries of a map between two layouts, by the rule of
//! [`crate::linear`].

use crate::layout::Layout;
use crate::linear::{LinearError, Place};
use crate::program::LinearMap;
use crate::taps::Tap;

/// Where the copies of a verified layout lie.
struct Copies {
    count: usize,
    /// Slots between two copies, a power of two; a whole ciphertext where there is one copy.
    stride: usize,
    twist: usize,
    /// Slots between rows and between columns of a tensor.
    steps: [usize; 2],
}

impl Copies {
    fn new(layout: &Layout) -> Self {
        Self {
            count: layout.copies,
            stride: layout.slots / layout.copies,
            twist: layout.twist,
            steps: [layout.gap * layout.cols, layout.gap],
        }
    }

    /// As [`Layout::copy_slot`].
    #[inline]
    fn slot(&self, inside: usize, k: usize) -> usize {
        k * self.stride + ((inside + k * self.twist) & (self.stride - 1))
    }
}

/// Output slots that one weight of a convolution fills in one copy and one diagonal, in lines and
/// columns as the output's grid has them, around the end of a region.
pub struct Run {
    /// First slot of the region; wrapped.
    region: usize,
    /// First slot inside the region, before wrapping.
    inside: usize,
    /// Slots of the region, less one.
    mask: usize,
    /// Lines and columns, at least one of each.
    counts: [usize; 2],
}

impl Run {
    /// The slot `step` slots after the first, modulo the ciphertext's slots.
    #[inline]
    fn slot(&self, step: usize) -> usize {
        self.region.wrapping_add((self.inside + step) & self.mask)
    }
}

/// The places of a map's entries.
pub struct Placement {
    input: Copies,
    output: Copies,
    /// Of a ciphertext, a power of two.
    slots: usize,
    fold: bool,
    /// Virtual slot in copy 0 of every output element.
    rows: Vec<usize>,
    /// Virtual slot in copy 0 of every input element.
    cols: Vec<usize>,
}

/// The copy that a folded sum reads.
#[derive(Clone, Copy)]
enum Source {
    /// The one that lands in the output's copy 0.
    Opposite,
    /// The input's copy of this number.
    Copy(usize),
}

impl Placement {
    /// # Errors
    /// When a layout is invalid, or the map does not lead from one to the other.
    pub fn new(map: &LinearMap, input: &Layout, output: &Layout) -> Result<Self, LinearError> {
        input.verify()?;
        output.verify()?;
        let mismatch = |what: String| Err(LinearError::Mismatch(what));
        if input.slots != output.slots {
            return mismatch(format!("from {} slots to {}", input.slots, output.slots));
        }
        let shapes = map.shapes(input.shape)?;
        if shapes[shapes.len() - 1] != output.shape {
            let found = shapes[shapes.len() - 1];
            return mismatch(format!(
                "the stages give {found}, the layout holds {}",
                output.shape
            ));
        }
        if map.fold && output.twist != 0 {
            return mismatch(format!("a fold into a layout with twist {}", output.twist));
        }
        Ok(Self {
            input: Copies::new(input),
            output: Copies::new(output),
            slots: input.slots,
            fold: map.fold,
            rows: output.insides(),
            cols: input.insides(),
        })
    }

    /// Rotations that add the output's copies up.
    pub fn folds(&self) -> Vec<usize> {
        match self.fold {
            true => (0..self.output.count.ilog2())
                .map(|i| self.output.stride << i)
                .collect(),
            false => Vec::new(),
        }
    }

    /// Output part and slot of every copy of the output's element `row`.
    pub fn output_slots(&self, row: usize) -> impl Iterator<Item = (usize, usize)> {
        let (part, row) = self.split(self.rows[row]);
        (0..self.output.count).map(move |k| (part, self.output.slot(row, k)))
    }

    /// Part and slot of a virtual slot.
    #[inline]
    fn split(&self, slot: usize) -> (usize, usize) {
        (slot >> self.slots.ilog2(), slot & (self.slots - 1))
    }

    /// Calls `visit(place, output slot)` for every term that carries entry `(row, col)`.
    #[inline]
    pub fn for_each_term(&self, row: usize, col: usize, mut visit: impl FnMut(Place, usize)) {
        let (output, row) = self.split(self.rows[row]);
        let (input, col) = self.split(self.cols[col]);
        let place = |offset| Place {
            output,
            input,
            offset,
        };
        if self.fold {
            let (offset, source) = self.folded(row, col);
            let run = self.folded_run(row, col, offset, source);
            return visit(place(offset), run.slot(0) & (self.slots - 1));
        }
        for k in 0..self.output.count {
            let slot = self.output.slot(row, k);
            visit(place(self.offset(slot, col)), slot);
        }
    }

    /// Calls `visit(place, run)` for runs that together hold the terms of all entries of a tap, where
    /// [`Placement::tap_offsets_are_constant`].
    #[inline]
    pub fn for_each_run(&self, tap: &Tap, mut visit: impl FnMut(Place, &Run)) {
        let (row, col) = (self.rows[tap.row], self.cols[tap.col]);
        let ([rows, columns], [pitch, gap]) = (tap.counts, self.output.steps);
        let same = |row: usize, col: usize, last: usize| {
            self.split(row).0 == self.split(row + last).0
                && self.split(col).0 == self.split(col + last).0
        };
        if same(row, col, (rows - 1) * pitch + (columns - 1) * gap) {
            return self.runs(row, col, tap.counts, visit);
        }
        // The tap meets the border of two parts: line by line, the lines that cross it one by one.
        for line in (0..rows).map(|y| y * pitch) {
            if same(row + line, col + line, (columns - 1) * gap) {
                self.runs(row + line, col + line, [1, columns], &mut visit);
                continue;
            }
            for step in (0..columns).map(|x| line + x * gap) {
                self.runs(row + step, col + step, [1, 1], &mut visit);
            }
        }
    }

    /// The runs from virtual slots `row` and `col` on, within one part each.
    #[inline]
    fn runs(&self, row: usize, col: usize, counts: [usize; 2], mut visit: impl FnMut(Place, &Run)) {
        let ((output, row), (input, col)) = (self.split(row), self.split(col));
        let place = |offset| Place {
            output,
            input,
            offset,
        };
        if self.fold {
            let (offset, source) = self.folded(row, col);
            let run = self.folded_run(row, col, offset, source);
            return visit(place(offset), &Run { counts, ..run });
        }
        for k in 0..self.output.count {
            let run = Run {
                region: k * self.output.stride,
                inside: row + k * self.output.twist,
                mask: self.output.stride - 1,
                counts,
            };
            visit(place(self.offset(run.slot(0), col)), &run);
        }
    }

    /// Writes `value` to every slot of a run.
    #[inline]
    pub fn fill(&self, run: &Run, slots: &mut [f64], value: f64) {
        let ([rows, columns], [pitch, gap]) = (run.counts, self.output.steps);
        let around = self.slots - 1;
        let (first, last) = (
            run.slot(0) & around,
            (rows - 1) * pitch + (columns - 1) * gap,
        );
        if (run.inside & run.mask) + last > run.mask || first + last > around {
            for line in (0..rows).map(|y| y * pitch) {
                for step in (0..columns).map(|x| line + x * gap) {
                    slots[run.slot(step) & around] = value;
                }
            }
            return;
        }
        for y in 0..rows {
            let line = &mut slots[first + y * pitch..][..(columns - 1) * gap + 1];
            match gap {
                1 => line.fill(value),
                _ => line.iter_mut().step_by(gap).for_each(|slot| *slot = value),
            }
        }
    }

    /// Whether a convolution's tap has the same offsets at every position: one step in the output
    /// moves as far in the slots as `stride` steps in the input, and regions wrap alike.
    pub fn tap_offsets_are_constant(&self, stride: [usize; 2]) -> bool {
        let (input, output) = (&self.input, &self.output);
        let wraps = if self.fold {
            input.twist == 0 || input.stride >= output.stride
        } else {
            input.twist == 0 && (output.twist == 0 || output.stride >= input.stride)
        };
        wraps && (0..2).all(|axis| stride[axis] * input.steps[axis] == output.steps[axis])
    }

    /// The offset from an output slot to a copy of `col`, the smallest modulo the input's stride.
    #[inline]
    fn offset(&self, slot: usize, col: usize) -> usize {
        // Powers of two: `x & (n - 1)` is x mod n for wrapped differences too.
        let (mask, around) = (self.input.stride - 1, self.slots - 1);
        if self.input.twist == 0 {
            return col.wrapping_sub(slot) & mask;
        }
        let terms = (0..self.input.count).map(|j| {
            let offset = self.input.slot(col, j).wrapping_sub(slot) & around;
            (offset & mask, offset)
        });
        terms.min().unwrap_or_default().1
    }

    /// The smallest offset from `row` to a copy of `col` modulo the output's stride, and that copy.
    #[inline]
    fn folded(&self, row: usize, col: usize) -> (usize, Source) {
        let mask = self.output.stride - 1;
        if self.input.twist != 0 {
            let terms = (0..self.input.count)
                .map(|j| (self.input.slot(col, j).wrapping_sub(row) & mask, j));
            let (offset, j) = terms.min().unwrap_or_default();
            return (offset, Source::Copy(j));
        }
        match self.input.stride < self.output.stride {
            true => (
                col.wrapping_sub(row) & (self.input.stride - 1),
                Source::Opposite,
            ),
            false => (col.wrapping_sub(row) & mask, Source::Copy(0)),
        }
    }

    /// The output slot of a folded entry, as a run of one.
    #[inline]
    fn folded_run(&self, row: usize, col: usize, offset: usize, source: Source) -> Run {
        match source {
            Source::Opposite => Run {
                region: 0,
                inside: row,
                mask: self.slots - 1,
                counts: [1, 1],
            },
            Source::Copy(j) => Run {
                region: (j * self.input.stride).wrapping_sub(offset),
                inside: col + j * self.input.twist,
                mask: self.input.stride - 1,
                counts: [1, 1],
            },
        }
    }
}
