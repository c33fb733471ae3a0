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

use std::collections::{BTreeMap, BTreeSet};

use crate::layout::{Layout, LayoutError};
use crate::nn::{Linear, Shape};
use crate::nn_verify::ShapeError;
use crate::placement::Placement;
use crate::program::LinearMap;
use crate::sparse::{self, Sparse};
use crate::taps::for_each_tap;

/// Most stages of a map.
pub const MAX_STAGES: usize = 16;
/// Most entries of a matrix that is stored.
const MAX_STORED: usize = 1 << 24;
/// Most entries times output copies that are visited.
const MAX_VISITED: usize = 1 << 28;
/// Most elements between two stages.
const MAX_BETWEEN: usize = 1 << 22;
/// Most values of all diagonals together: 4 GiB.
const MAX_VALUES: usize = 1 << 29;

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

impl Offsets {
    /// Nonzero rotations of the operand that a giant step of `giant` needs.
    pub fn rotations(&self, giant: usize) -> BTreeSet<usize> {
        let (babies, giants) = baby_giant(&self.offsets, giant);
        let steps = babies.union(&giants).map(|&(_, step)| step);
        steps.filter(|&step| step != 0).collect()
    }
}

/// Splits every offset into `giant * j + baby`: all babies, each with the input part that it rotates,
/// and all `giant * j`, each with the output part whose partial sum it rotates; steps of zero included.
/// A `giant` of 0 counts as 1.
pub fn baby_giant(
    offsets: &BTreeSet<Place>,
    giant: usize,
) -> (BTreeSet<(usize, usize)>, BTreeSet<(usize, usize)>) {
    let giant = giant.max(1);
    let split = |p: &Place| {
        let baby = p.offset % giant;
        ((p.input, baby), (p.output, p.offset - baby))
    };
    offsets.iter().map(split).unzip()
}

/// The giant step of least `cost(babies, giants)`, the smallest of several: the rotations by nonzero
/// steps of input parts and of partial sums, as [`baby_giant`] splits `offsets`.
pub fn best_giant(
    offsets: &BTreeSet<Place>,
    slots: usize,
    cost: impl Fn(usize, usize) -> f64,
) -> usize {
    let parts = offsets.iter().map(|p| p.input.max(p.output) + 1).max();
    let mut babies = Distinct::new(parts.unwrap_or(0) * slots);
    let mut giants = babies.clone();
    // Offsets are sums of few multiples of powers of two: steps in between cut their patterns.
    let steps = (0..slots.ilog2()).flat_map(|i| [1, 3, 5, 7].map(|odd| odd << i));
    let priced = steps.filter(|&step| step == 1 || step < slots).map(|step| {
        babies.clear();
        giants.clear();
        for place in offsets {
            let baby = place.offset % step;
            if baby != 0 {
                babies.insert(place.input * slots + baby);
            }
            if baby != place.offset {
                giants.insert(place.output * slots + place.offset - baby);
            }
        }
        (cost(babies.count, giants.count), step)
    });
    priced
        .min_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)))
        .map_or(1, |(_, step)| step)
}

/// Counts distinct numbers, again and again.
#[derive(Clone)]
struct Distinct {
    /// The round in which a number was last seen.
    seen: Vec<u32>,
    round: u32,
    count: usize,
}

impl Distinct {
    fn new(bound: usize) -> Self {
        Self {
            seen: vec![0; bound],
            round: 0,
            count: 0,
        }
    }

    fn clear(&mut self) {
        self.round += 1;
        self.count = 0;
    }

    fn insert(&mut self, number: usize) {
        if std::mem::replace(&mut self.seen[number], self.round) != self.round {
            self.count += 1;
        }
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
    /// As [`LinearMap::shapes`]; and when the matrix has more than 2^24 entries.
    pub fn matrix(&self, input: Shape) -> Result<Sparse, LinearError> {
        let shapes = self.shapes(input)?;
        let too_large =
            || LinearError::Mismatch(format!("a matrix of more than {MAX_STORED} entries"));
        let same = Linear::Reshape { shape: input };
        let mut matrix = Sparse::from_linear(&same, input, input);
        for (stage, linear) in self.stages.iter().enumerate() {
            let (from, to) = (shapes[stage], shapes[stage + 1]);
            if sparse::entry_bound(linear, from, to) > MAX_STORED {
                return Err(too_large());
            }
            let next = Sparse::from_linear(linear, from, to);
            matrix = match stage {
                0 => next,
                _ => next.product(&matrix, MAX_STORED).ok_or_else(too_large)?,
            };
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
        match self.stages.as_slice() {
            [conv @ Linear::Conv { stride, .. }] if placement.tap_offsets_are_constant(*stride) => {
                self.visits_are_bounded(conv, input.shape, output)?;
                for_each_tap(conv, input.shape, output.shape, |tap| {
                    let value = tap.weight * self.gain;
                    placement.for_each_run(tap, |place, run| {
                        if let Some(slots) = places.values(place, &mut values) {
                            placement.fill(run, slots, value);
                        }
                    });
                });
            }
            _ => self.for_each_entry(input.shape, output, &mut |row, col, value| {
                placement.for_each_term(row, col, |place, slot| {
                    if let Some(slots) = places.values(place, &mut values) {
                        slots[slot] += value;
                    }
                });
            })?,
        }
        Ok(Diagonals {
            slots: input.slots,
            diagonals: places.all()?.into_iter().zip(values).collect(),
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
        match self.stages.as_slice() {
            [conv @ Linear::Conv { stride, .. }] if placement.tap_offsets_are_constant(*stride) => {
                self.visits_are_bounded(conv, input.shape, output)?;
                for_each_tap(conv, input.shape, output.shape, |tap| {
                    placement.for_each_run(tap, |place, _| {
                        places.index(place);
                    });
                });
            }
            _ => self.for_each_entry(input.shape, output, &mut |row, col, _| {
                placement.for_each_term(row, col, |place, _| {
                    places.index(place);
                });
            })?,
        }
        Ok(Offsets {
            offsets: places.all()?.into_iter().collect(),
            folds: placement.folds(),
        })
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

/// Numbers the places of a map in the order of their first appearance.
struct Places {
    /// Parts of the input.
    inputs: usize,
    slots: usize,
    /// For every pair of parts that has been seen, the numbers of its offsets; [`Places::NONE`] for none.
    numbers: Vec<Vec<u32>>,
    places: Vec<Place>,
    most: usize,
    full: bool,
}

impl Places {
    const NONE: u32 = u32::MAX;

    fn new(input: &Layout, output: &Layout) -> Self {
        Self {
            inputs: input.parts,
            slots: input.slots,
            numbers: vec![Vec::new(); input.parts * output.parts],
            places: Vec::new(),
            most: MAX_VALUES / input.slots,
            full: false,
        }
    }

    /// The number of `place`; None for a new one when there are too many.
    #[inline]
    fn index(&mut self, place: Place) -> Option<usize> {
        let numbers = &mut self.numbers[place.output * self.inputs + place.input];
        match numbers.get(place.offset) {
            Some(&number) if number != Self::NONE => return Some(number as usize),
            Some(_) => (),
            None => numbers.resize(self.slots, Self::NONE),
        }
        if self.places.len() == self.most {
            self.full = true;
            return None;
        }
        numbers[place.offset] = self.places.len() as u32;
        self.places.push(place);
        Some(self.places.len() - 1)
    }

    /// The values of `place` among `values`, which are in the order of the numbers; zeros for a new one.
    #[inline]
    fn values<'a>(&mut self, place: Place, values: &'a mut Vec<Vec<f64>>) -> Option<&'a mut [f64]> {
        let index = self.index(place)?;
        if index == values.len() {
            values.push(vec![0.0; self.slots]);
        }
        Some(&mut values[index])
    }

    /// All places in the order of their numbers.
    fn all(self) -> Result<Vec<Place>, LinearError> {
        match self.full {
            true => Err(LinearError::Mismatch(format!(
                "a map of more than {} diagonals of {} slots",
                self.most, self.slots
            ))),
            false => Ok(self.places),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel;
    use crate::testing::{Random, conv};

    const SLOTS: usize = 1024;

    fn layout(shape: Shape, gap: usize, grid: usize, copies: usize, twist: usize) -> Layout {
        Layout {
            slots: SLOTS,
            parts: 1,
            shape,
            gap,
            rows: grid,
            cols: grid,
            copies,
            twist,
        }
    }

    /// Diagonals applied to a packed vector, unpacked from every copy, against the stages applied one
    /// after the other; and the offsets against the diagonals. Returns the number of diagonals.
    fn check(stages: Vec<Linear>, input: &Layout, output: &Layout, fold: bool) -> usize {
        let mut random = Random::new(7);
        let map = LinearMap {
            stages,
            gain: 0.5,
            bias_gain: 0.25,
            fold,
            giant: 1,
        };
        let x: Vec<f64> = (0..input.shape.elements()).map(|_| random.unit()).collect();
        let (mut linear, mut bias, mut shape) = (x.clone(), vec![0.0; x.len()], input.shape);
        for stage in &map.stages {
            let next = stage.output_shape(shape).unwrap();
            linear = kernel::apply(stage, shape, next, &linear, false);
            bias = kernel::apply(stage, shape, next, &bias, true);
            shape = next;
        }
        let expect: Vec<f64> = linear
            .iter()
            .zip(&bias)
            .map(|(v, b)| v * 0.5 + b * 0.25)
            .collect();
        let diagonals = map.diagonals(input, output).unwrap();
        let got = diagonals.apply(&input.pack(&x));
        let worst = got
            .iter()
            .zip(output.pack(&expect))
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f64::max);
        let structure = map.offsets(input, output).unwrap();
        assert!(worst < 1e-12, "{input} to {output}, fold {fold}: {worst}");
        assert!(
            structure.offsets.iter().eq(diagonals.diagonals.keys()),
            "{input} to {output}"
        );
        assert_eq!(structure.folds, diagonals.folds);
        diagonals.diagonals.len()
    }

    #[test]
    fn diagonals_and_offsets_mean_the_stages() {
        let mut random = Random::new(3);
        let shape = Shape::new;
        let plain = layout(shape(4, 8, 8), 1, 8, 4, 0);
        let twisted = Layout {
            twist: 64,
            ..plain.clone()
        };
        let full = layout(shape(4, 8, 8), 1, 8, 1, 0);
        let same = |r: &mut Random| vec![conv(r, [4, 4], 3, 1, 1)];
        assert_eq!(check(same(&mut random), &plain, &plain, false), 36);
        assert_eq!(check(same(&mut random), &full, &full, false), 7 * 9);
        assert_eq!(check(same(&mut random), &twisted, &plain, true), 9);
        check(same(&mut random), &plain, &twisted, false);
        check(same(&mut random), &twisted, &twisted, false);
        check(same(&mut random), &plain, &plain, true);
        check(same(&mut random), &twisted, &full, true);
        check(same(&mut random), &full, &plain, false);
        check(same(&mut random), &full, &plain, true);

        let down = |r: &mut Random| vec![conv(r, [4, 8], 3, 2, 1)];
        let dense = layout(shape(8, 4, 4), 1, 4, 8, 0);
        let gapped = layout(shape(8, 4, 4), 2, 8, 8, 0);
        let wide = layout(shape(8, 4, 4), 1, 8, 2, 0);
        for output in [&dense, &gapped, &wide] {
            for fold in [false, true] {
                check(down(&mut random), &plain, output, fold);
                check(down(&mut random), &twisted, output, fold);
            }
        }
        let gap4 = layout(shape(16, 2, 2), 4, 8, 16, 0);
        check(
            vec![conv(&mut random, [8, 16], 3, 2, 1)],
            &gapped,
            &gap4,
            false,
        );
        let gap4_twisted = Layout {
            twist: 16,
            ..gap4.clone()
        };
        check(
            vec![conv(&mut random, [16, 16], 3, 1, 1)],
            &gap4_twisted,
            &gap4,
            true,
        );

        let gemm = |r: &mut Random, cols: usize| Linear::Gemm {
            weight: r.floats(5 * cols),
            bias: r.floats(5),
            rows: 5,
        };
        let logits = layout(shape(5, 1, 1), 1, 1, 128, 0);
        let pool = Linear::AveragePool {
            kernel: [8, 8],
            stride: [8, 8],
        };
        assert_eq!(
            check(
                vec![pool.clone(), gemm(&mut random, 4)],
                &plain,
                &logits,
                true
            ),
            8
        );
        check(vec![pool, gemm(&mut random, 4)], &twisted, &logits, false);
        check(vec![gemm(&mut random, 64)], &gap4, &logits, true);
        let shortcut = vec![
            Linear::Slice {
                start: [0; 3],
                step: [1, 2, 2],
                shape: shape(4, 4, 4),
            },
            Linear::Affine {
                scale: random.floats(4),
                shift: random.floats(4),
            },
            Linear::Pad {
                before: [2, 0, 0],
                after: [2, 0, 0],
            },
        ];
        check(shortcut.clone(), &plain, &gapped, false);
        check(shortcut, &twisted, &dense, true);
        assert_eq!(check(Vec::new(), &twisted, &plain, false), 4);
    }

    #[test]
    fn best_giant_finds_the_shape_of_a_convolution() {
        let shape = Shape::new(16, 32, 32);
        let l = Layout {
            slots: 1 << 14,
            parts: 1,
            shape,
            gap: 1,
            rows: 32,
            cols: 32,
            copies: 1,
            twist: 0,
        };
        let mut random = Random::new(5);
        let map = LinearMap {
            stages: vec![conv(&mut random, [16, 16], 3, 1, 1)],
            gain: 1.0,
            bias_gain: 1.0,
            fold: false,
            giant: 1,
        };
        let offsets = map.offsets(&l, &l).unwrap();
        let giant = best_giant(&offsets.offsets, l.slots, |babies, giants| {
            (babies + giants) as f64
        });
        assert_eq!((offsets.offsets.len(), giant), (144, 1024));
        assert_eq!(offsets.rotations(giant).len(), 8 + 15);
    }

    #[test]
    fn mismatches_are_errors() {
        let plain = layout(Shape::new(4, 8, 8), 1, 8, 4, 0);
        let check = |stages: Vec<Linear>, fold, output: Layout, expect: &str| {
            let map = LinearMap {
                stages,
                gain: 1.0,
                bias_gain: 1.0,
                fold,
                giant: 1,
            };
            let message = map.diagonals(&plain, &output).unwrap_err().to_string();
            assert!(message.contains(expect), "{message}");
        };
        let same = |shape| Linear::Reshape { shape };
        check(
            vec![],
            false,
            layout(Shape::new(4, 4, 4), 1, 8, 4, 0),
            "the stages give 4x8x8",
        );
        check(
            vec![],
            true,
            Layout {
                twist: 64,
                ..plain.clone()
            },
            "twist 64",
        );
        check(
            vec![],
            false,
            Layout {
                slots: 512,
                copies: 2,
                ..plain.clone()
            },
            "512",
        );
        check(
            vec![same(Shape::new(5, 1, 1))],
            false,
            plain.clone(),
            "stage 0: reshape",
        );
        check(
            vec![same(Shape::new(4, 8, 8)); 17],
            false,
            plain.clone(),
            "17 stages",
        );
    }
}
