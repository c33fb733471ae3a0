//! Every linear operator as a matrix between two layouts, stored as generalised diagonals.
//!
//! Which diagonal carries a matrix entry depends on which copies it runs between:
//! - without fold, every copy of an output element is computed, from the copy of the input element
//!   whose offset is smallest modulo the input's stride: all output copies share their diagonals;
//! - with fold, an output element is computed in one copy only, from the copy of the input element
//!   whose offset is smallest modulo the output's stride, and `folds` add the copies up. On an input
//!   twisted over R copies each copy then carries 1/R of the channel shifts.
//!
//! Where a tensor spans several ciphertexts, every pair of an output part and an input part has its own
//! diagonals. Rotations of an input part serve all output parts.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use places::{Places, order};

use crate::layout::{Layout, LayoutError};
use crate::nn::{Linear, Shape};
use crate::nn_verify::ShapeError;
use crate::placement::Placement;
use crate::program::LinearMap;
use crate::sparse::{self, Sparse};
use crate::taps::Taps;

mod places;
mod steps;
#[cfg(test)]
mod tests;

pub use steps::{Steps, baby_giant, best_giant};

/// Most stages of a map.
pub const MAX_STAGES: usize = 16;
/// Most entries of a matrix that is stored.
pub const MAX_STORED: usize = 1 << 24;
/// Most work of multiplying the stages of a map, as [`sparse::work`] counts it: some seconds.
pub const MAX_WORK: usize = 1 << 31;
/// Most entries times output copies that are visited.
pub const MAX_VISITED: usize = 1 << 28;
/// Most elements between two stages.
const MAX_BETWEEN: usize = 1 << 22;
/// Most values of all diagonals together: 4 GiB.
pub const MAX_VALUES: usize = 1 << 29;

/// Where a diagonal leads: from one part of the input, rotated, to one part of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Part of the output.
    pub output: usize,
    /// Part of the input.
    pub input: usize,
    /// Left rotation of the input part, below its slots.
    pub offset: usize,
}

impl From<usize> for Place {
    /// An offset between single ciphertexts.
    fn from(offset: usize) -> Self {
        Self {
            output: 0,
            input: 0,
            offset,
        }
    }
}

/// `out[p][s] = sum_(p,q,d) diagonals[(p,q,d)][s] * in[q][(s + d) mod slots]`, folded, plus
/// `bias[p][s]`.
#[derive(Clone, Debug)]
pub struct Diagonals {
    /// Slots of a ciphertext.
    pub slots: usize,
    /// Place to values, one per slot of the output part.
    pub diagonals: BTreeMap<Place, Vec<f64>>,
    /// For every output part, one per slot; added after the fold.
    pub bias: Vec<Vec<f64>>,
    /// Left rotations applied in turn after the sum: x += rotate(x, r). Only where the output has one
    /// part.
    pub folds: Vec<usize>,
}

/// The structure of [`Diagonals`]: what a map costs and which rotations it needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offsets {
    /// Places of the diagonals.
    pub offsets: BTreeSet<Place>,
    /// Left rotations after the sum, at the level of the result.
    pub folds: Vec<usize>,
}

/// A map that does not fit its layouts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinearError {
    /// A stage does not apply to its input.
    #[error("stage {stage}: {source}")]
    Stage {
        /// Position among the stages.
        stage: usize,
        /// Why.
        source: ShapeError,
    },
    /// A layout is not one.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The stages and the layouts disagree, or the map is beyond what is supported.
    #[error("{0}")]
    Mismatch(String),
}

impl Diagonals {
    /// The virtual slots of the output for those of the input, folds and bias included.
    pub fn apply(&self, input: &[f64]) -> Vec<f64> {
        let mut out = vec![0.0; self.bias.len() * self.slots];
        for (place, values) in &self.diagonals {
            let out = &mut out[place.output * self.slots..][..self.slots];
            let input = &input[place.input * self.slots..][..self.slots];
            let (head, tail) = input.split_at(place.offset);
            let (first, second) = out.split_at_mut(tail.len());
            let (values, rest) = values.split_at(tail.len());
            add_products(first, values, tail);
            add_products(second, rest, head);
        }
        for &rotation in &self.folds {
            let (head, tail) = out.split_at(rotation);
            let rotated: Vec<f64> = tail.iter().chain(head).copied().collect();
            out.iter_mut().zip(rotated).for_each(|(o, r)| *o += r);
        }
        let bias = self.bias.iter().flatten();
        out.iter_mut().zip(bias).for_each(|(o, b)| *o += b);
        out
    }
}

fn add_products(sums: &mut [f64], x: &[f64], y: &[f64]) {
    for ((sum, x), y) in sums.iter_mut().zip(x).zip(y) {
        *sum += x * y;
    }
}

impl LinearMap {
    /// Shapes along the stages: the input's, then one per stage.
    ///
    /// # Errors
    /// The first stage that does not apply, or too many stages.
    pub fn shapes(&self, input: Shape) -> Result<Vec<Shape>, LinearError> {
        if self.stages.len() > MAX_STAGES {
            let found = self.stages.len();
            return Err(LinearError::Mismatch(format!(
                "{found} stages, at most {MAX_STAGES}"
            )));
        }
        let mut shapes = vec![input];
        for (stage, linear) in self.stages.iter().enumerate() {
            let next = linear.output_shape(shapes[stage]);
            let next = next.map_err(|source| LinearError::Stage { stage, source })?;
            if next.elements() > MAX_BETWEEN {
                return Err(LinearError::Mismatch(format!(
                    "stage {stage} gives {next}, over {MAX_BETWEEN} elements"
                )));
            }
            if sparse::entry_bound(linear, shapes[stage], next) > MAX_VISITED {
                return Err(LinearError::Mismatch(format!(
                    "stage {stage} has over {MAX_VISITED} entries"
                )));
            }
            shapes.push(next);
        }
        Ok(shapes)
    }

    /// `gain` times the product of the stages.
    ///
    /// # Errors
    /// As [`LinearMap::shapes`]; and when the matrix has more than [`MAX_STORED`] entries, or takes more
    /// than [`MAX_WORK`].
    pub fn matrix(&self, input: Shape) -> Result<Sparse, LinearError> {
        let shapes = self.shapes(input)?;
        let too_large =
            || LinearError::Mismatch(format!("a matrix of more than {MAX_STORED} entries"));
        let same = Linear::Reshape { shape: input };
        let mut matrix = Sparse::from_linear(&same, input, input);
        let mut work = 0usize;
        for (stage, linear) in self.stages.iter().enumerate() {
            let (from, to) = (shapes[stage], shapes[stage + 1]);
            if sparse::entry_bound(linear, from, to) > MAX_STORED {
                return Err(too_large());
            }
            let next = Sparse::from_linear(linear, from, to);
            if stage == 0 {
                matrix = next;
                continue;
            }
            work = work.saturating_add(next.work(&matrix));
            if work > MAX_WORK {
                return Err(LinearError::Mismatch(format!(
                    "a product of {} stages that takes too long",
                    self.stages.len()
                )));
            }
            matrix = next.product(&matrix, MAX_STORED).ok_or_else(too_large)?;
        }
        matrix.scale(self.gain);
        Ok(matrix)
    }

    /// `bias_gain` times the bias that the stages accumulate, one per output element.
    ///
    /// # Errors
    /// As [`LinearMap::shapes`].
    pub fn bias(&self, input: Shape) -> Result<Vec<f64>, LinearError> {
        let shapes = self.shapes(input)?;
        let mut total: Option<Vec<f64>> = None;
        for (linear, step) in self.stages.iter().zip(shapes.windows(2)) {
            if let Some(before) = &mut total {
                let mut after = vec![0.0; step[1].elements()];
                sparse::for_each_entry(linear, step[0], step[1], &mut |row, col, v| {
                    after[row] += v * before[col]
                });
                *before = after;
            }
            total = match (total, sparse::bias(linear, step[1])) {
                (Some(a), Some(b)) => Some(a.iter().zip(b).map(|(a, b)| a + b).collect()),
                (a, b) => a.or(b),
            };
        }
        let mut bias = total.unwrap_or_else(|| vec![0.0; shapes[shapes.len() - 1].elements()]);
        bias.iter_mut().for_each(|b| *b *= self.bias_gain);
        Ok(bias)
    }

    /// The map as diagonals from slots laid out as `input` to slots laid out as `output`.
    ///
    /// # Errors
    /// When stages and layouts disagree, or the map is too large.
    pub fn diagonals(&self, input: &Layout, output: &Layout) -> Result<Diagonals, LinearError> {
        let placement = Placement::new(self, input, output)?;
        let mut bias = vec![vec![0.0; output.slots]; output.parts];
        for (row, value) in self.bias(input.shape)?.into_iter().enumerate() {
            for (part, slot) in placement.output_slots(row) {
                bias[part][slot] = value;
            }
        }
        let mut places = Places::new(input, output);
        let mut values: Vec<Vec<f64>> = Vec::new();
        let conv = self.convolution();
        match self.constant_taps(conv.as_deref(), &placement, input, output)? {
            Some(taps) => {
                // Diagonal after diagonal: one of them fits in a cache, all of them do not.
                let order = order(&taps, &placement, &mut places);
                places.verify()?;
                for tap in order.into_iter().filter_map(|i| taps.get(i as usize)) {
                    let value = tap.weight * self.gain;
                    placement.for_each_run(&tap, |place, run| {
                        if let Some(slots) = places.values(place, &mut values) {
                            placement.fill(run, slots, value);
                        }
                    });
                }
            }
            None => self.for_each_entry(input.shape, output, &mut |row, col, value| {
                placement.for_each_term(row, col, |place, slot| {
                    if let Some(slots) = places.values(place, &mut values) {
                        slots[slot] += value;
                    }
                });
            })?,
        }
        places.verify()?;
        Ok(Diagonals {
            slots: input.slots,
            diagonals: places.places.into_iter().zip(values).collect(),
            bias,
            folds: placement.folds(),
        })
    }

    /// The offsets of [`LinearMap::diagonals`] without their values, some hundred times faster for a
    /// convolution whose taps keep their offset across the image.
    ///
    /// # Errors
    /// As [`LinearMap::diagonals`].
    pub fn offsets(&self, input: &Layout, output: &Layout) -> Result<Offsets, LinearError> {
        let placement = Placement::new(self, input, output)?;
        let mut places = Places::new(input, output);
        let conv = self.convolution();
        match self.constant_taps(conv.as_deref(), &placement, input, output)? {
            Some(taps) => {
                taps.for_each(|_, tap| {
                    placement.for_each_run(tap, |place, _| {
                        places.number(place);
                    });
                });
            }
            None => self.for_each_entry(input.shape, output, &mut |row, col, _| {
                placement.for_each_term(row, col, |place, _| {
                    places.number(place);
                });
            })?,
        }
        places.verify()?;
        Ok(Offsets {
            offsets: places.places.into_iter().collect(),
            folds: placement.folds(),
        })
    }

    /// The matrix as that of one convolution; None for any other map.
    fn convolution(&self) -> Option<Cow<'_, Linear>> {
        let (scale, conv) = match self.stages.as_slice() {
            [conv @ Linear::Conv { .. }] => return Some(Cow::Borrowed(conv)),
            [Linear::Affine { scale, .. }, conv @ Linear::Conv { .. }] => (scale, conv),
            _ => return None,
        };
        let mut conv = conv.clone();
        if let Linear::Conv {
            weight,
            out_channels,
            window,
            ..
        } = &mut conv
        {
            let groups = window.groups;
            let (taps, in_group) = (window.taps(), scale.len() / groups);
            for (row, weights) in weight.chunks_mut(in_group * taps).enumerate() {
                let first = row / (*out_channels / groups) * in_group;
                for (weights, factor) in weights.chunks_mut(taps).zip(&scale[first..]) {
                    weights.iter_mut().for_each(|w| *w *= factor);
                }
            }
        }
        Some(Cow::Owned(conv))
    }

    /// The weights of a convolution whose taps keep their offset across the image; None for any other.
    fn constant_taps<'a>(
        &self,
        conv: Option<&'a Linear>,
        placement: &Placement,
        input: &Layout,
        output: &Layout,
    ) -> Result<Option<Taps<'a>>, LinearError> {
        let Some(conv @ Linear::Conv { window, .. }) = conv else {
            return Ok(None);
        };
        if !placement.tap_offsets_are_constant(window.stride) {
            return Ok(None);
        }
        self.visits_are_bounded(conv, input.shape, output)?;
        Ok(Taps::new(conv, input.shape, output.shape))
    }

    /// Refuses a single stage with too many terms to visit.
    fn visits_are_bounded(
        &self,
        linear: &Linear,
        input: Shape,
        output: &Layout,
    ) -> Result<(), LinearError> {
        let visits = sparse::entry_bound(linear, input, output.shape).saturating_mul(output.copies);
        match visits > MAX_VISITED {
            true => Err(LinearError::Mismatch(format!(
                "a matrix of more than {MAX_VISITED} entries"
            ))),
            false => Ok(()),
        }
    }

    /// Visits every entry of the matrix, storing it only when it is a product.
    fn for_each_entry(
        &self,
        input: Shape,
        output: &Layout,
        visit: &mut impl FnMut(usize, usize, f64),
    ) -> Result<(), LinearError> {
        if let [linear] = self.stages.as_slice() {
            self.visits_are_bounded(linear, input, output)?;
            let gain = self.gain;
            sparse::for_each_entry(linear, input, output.shape, &mut |row, col, v| {
                visit(row, col, v * gain)
            });
            return Ok(());
        }
        let matrix = self.matrix(input)?;
        for row in 0..matrix.rows() {
            for &(col, value) in matrix.row(row) {
                visit(row, col as usize, value);
            }
        }
        Ok(())
    }
}
