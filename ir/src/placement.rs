//! Which slots and offsets carry the entries of a map between two layouts, by the rule of
//! [`crate::linear`].

use crate::layout::Layout;
use crate::linear::LinearError;
use crate::program::LinearMap;
use crate::taps::Tap;

/// Where the copies of a verified layout lie.
struct Copies {
    count: usize,
    /// A power of two.
    stride: usize,
    twist: usize,
    /// Slots between rows and between columns of a tensor.
    steps: [usize; 2],
}

impl Copies {
    fn new(layout: &Layout) -> Self {
        Self {
            count: layout.copies,
            stride: layout.stride(),
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

/// The places of a map's entries.
pub struct Placement {
    input: Copies,
    output: Copies,
    slots: usize,
    fold: bool,
    /// Slot in copy 0 of every output element.
    rows: Vec<usize>,
    /// Slot in copy 0 of every input element.
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

    /// Every slot of the output's element `row`.
    pub fn output_slots(&self, row: usize) -> impl Iterator<Item = usize> {
        (0..self.output.count).map(move |k| self.output.slot(self.rows[row], k))
    }

    /// Calls `visit(output slot, offset)` for every term that carries entry `(row, col)`.
    #[inline]
    pub fn for_each_term(&self, row: usize, col: usize, mut visit: impl FnMut(usize, usize)) {
        let (row, col) = (self.rows[row], self.cols[col]);
        if self.fold {
            let (offset, source) = self.folded(row, col);
            return visit(self.folded_slot(row, col, offset, source), offset);
        }
        for k in 0..self.output.count {
            let slot = self.output.slot(row, k);
            visit(slot, self.offset(slot, col));
        }
    }

    /// The terms of all entries of a tap, where [`Placement::tap_offsets_are_constant`].
    #[inline]
    pub fn for_each_tap_term(&self, tap: &Tap, mut visit: impl FnMut(usize, usize)) {
        let (row, col) = (self.rows[tap.row], self.cols[tap.col]);
        let [pitch, gap] = self.output.steps;
        let steps = || {
            (0..tap.counts[0])
                .flat_map(move |y| (0..tap.counts[1]).map(move |x| y * pitch + x * gap))
        };
        if self.fold {
            let (offset, source) = self.folded(row, col);
            return steps().for_each(|step| {
                visit(
                    self.folded_slot(row + step, col + step, offset, source),
                    offset,
                )
            });
        }
        for k in 0..self.output.count {
            let offset = self.offset(self.output.slot(row, k), col);
            steps().for_each(|step| visit(self.output.slot(row + step, k), offset));
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

    #[inline]
    fn folded_slot(&self, row: usize, col: usize, offset: usize, source: Source) -> usize {
        match source {
            Source::Opposite => row,
            Source::Copy(j) => self.input.slot(col, j).wrapping_sub(offset) & (self.slots - 1),
        }
    }
}
