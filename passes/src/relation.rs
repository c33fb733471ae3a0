//! Which elements of a tensor an operator reads, axis by axis, and the rotations that follow.
//!
//! A convolution, pool, slice, pad or affine map relates output element (c, y, x) to input element
//! (c', y', x') when each axis does by itself. So the set of slot distances is a sum of three small
//! sets, and counting the diagonals of a candidate layout takes microseconds, not a walk over
//! millions of matrix entries. Selections that mix axes (a transpose, a flattening) are lists of pairs.
//! Other operators that mix axes (Gemm) relate everything to everything: an upper bound.
//! `choose_layouts` compares candidates with these counts; the plan's keys come from the exact offsets
//! of the chosen maps.

mod axes;
mod spread;

use hecc_ir::layout::Layout;
use hecc_ir::linear::Place;
use hecc_ir::nn::{Linear, Shape};
use hecc_ir::sparse;

use crate::algebra;
use axes::Pairs;
use spread::Spread;

/// Most pairs of a selection that are listed.
const MAX_LISTED: usize = 1 << 20;

/// Which input elements every output element reads.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Relation {
    axes: Axes,
    entries: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Axes {
    /// Pairs (output, input) along c, y, x.
    Separable([Pairs; 3]),
    /// Pairs of elements, c-major.
    Listed(Vec<(u32, u32)>),
    /// Every output element reads every input element.
    All(Shape, Shape),
}

/// Distances `virtual slot of the input element - virtual slot of the output element` that occur
/// between two parts, for the plain copy 0 of both.
#[derive(Clone, Debug, PartialEq)]
pub struct Distances {
    output: usize,
    input: usize,
    values: Vec<isize>,
}

impl Distances {
    /// Bytes they take, about.
    pub(crate) fn size(&self) -> usize {
        size_of::<Self>() + size_of_val::<[_]>(&self.values)
    }
}

impl Relation {
    /// The relation of `stages` on a tensor of shape `input` with output shape `output`, from their
    /// geometry; of weights, only output channels that are all zero are left out.
    pub fn new<'a>(
        stages: impl IntoIterator<Item = &'a Linear>,
        input: Shape,
        output: Shape,
    ) -> Self {
        let mut shape = input;
        let mut separable = Some(input.axes().map(axes::diagonal));
        let mut listed = Some(None);
        let (mut entries, mut row) = (input.elements(), 1usize);
        for stage in stages {
            let next = stage.output_shape(shape).unwrap_or(output);
            let own = sparse::entry_bound(stage, shape, next);
            let own_row = own.div_ceil(next.elements().max(1));
            entries = own.saturating_mul(row);
            row = row.saturating_mul(own_row).min(input.elements());
            entries = entries.min(row.saturating_mul(next.elements()));
            separable = separable.and_then(|mut so_far| {
                let (_, pairs) = axes::of_stage(stage, shape)?;
                for (axis, next) in so_far.iter_mut().zip(&pairs) {
                    *axis = axes::compose(axis, next);
                }
                Some(so_far)
            });
            listed = listed.and_then(|so_far| picked(so_far, stage, shape, next));
            shape = next;
        }
        let axes = match (separable, listed.flatten()) {
            (Some(pairs), _) => {
                let exact = pairs.iter().map(Vec::len).fold(1, usize::saturating_mul);
                entries = entries.min(exact);
                Axes::Separable(pairs)
            }
            (None, Some(picks)) => {
                let pairs = picks.iter().zip(0..).filter_map(|(i, o)| Some((o, (*i)?)));
                Axes::Listed(pairs.collect())
            }
            (None, None) => Axes::All(output, input),
        };
        Self { axes, entries }
    }

    /// Bytes it takes, about.
    pub(crate) fn size(&self) -> usize {
        let lists = match &self.axes {
            Axes::Separable(pairs) => pairs.iter().map(|p| size_of_val::<[_]>(p)).sum(),
            Axes::Listed(pairs) => size_of_val::<[_]>(pairs),
            Axes::All(..) => 0,
        };
        size_of::<Self>() + lists
    }

    /// Most entries that the matrix can have.
    pub fn entries(&self) -> usize {
        self.entries
    }

    /// All distances, part by part.
    pub fn distances(&self, input: &Layout, output: &Layout) -> Vec<Distances> {
        let (from, to) = (single(input), single(output));
        match &self.axes {
            Axes::Listed(pairs) => listed_distances(pairs, &from, &to),
            Axes::Separable(pairs) if from.parts * to.parts == 1 => {
                let span = from.slots;
                let [c, y, x] = [0, 1, 2].map(|axis| along(&pairs[axis], axis, &from, &to, span));
                one(c.sum(&y.sum(&x)).values())
            }
            Axes::Separable(pairs) => separable_distances(pairs, &from, &to),
            Axes::All(..) if from.parts * to.parts == 1 => {
                let span = from.slots;
                let [c, y, x] = [0, 1, 2].map(|axis| across(axis, &from, &to, span));
                one(c.sum(&y.sum(&x)).values())
            }
            Axes::All(..) => all_distances(&from, &to),
        }
    }
}

/// The selection so far, `None` inside for nothing yet, continued by `stage`.
#[allow(
    clippy::option_option,
    reason = "no selection, the identity, or a list"
)]
fn picked(
    so_far: Option<Vec<Option<u32>>>,
    stage: &Linear,
    input: Shape,
    output: Shape,
) -> Option<Option<Vec<Option<u32>>>> {
    let elements = input.elements().max(output.elements());
    if elements > MAX_LISTED || !algebra::is_light(stage) {
        return None;
    }
    let own = match stage {
        Linear::Affine { .. } | Linear::Elementwise { .. } => return Some(so_far),
        picks => algebra::picks(picks, input, output)?,
    };
    Some(Some(match so_far {
        None => own,
        Some(first) => own
            .iter()
            .map(|i| first.get((*i)? as usize).copied().flatten())
            .collect(),
    }))
}

fn one(values: Vec<isize>) -> Vec<Distances> {
    vec![Distances {
        output: 0,
        input: 0,
        values,
    }]
}

/// Virtual slots of the elements `0..n` along one axis, from element 0.
fn positions(layout: &Layout, axis: usize) -> Vec<isize> {
    let at = |i: usize| {
        let [c, y, x] = std::array::from_fn(|a| if a == axis { i } else { 0 });
        layout.inside(c, y, x) as isize
    };
    (0..layout.shape.axes()[axis]).map(at).collect()
}

/// Distances along one axis.
fn along(pairs: &Pairs, axis: usize, from: &Layout, to: &Layout, span: usize) -> Spread {
    let (from, to) = (positions(from, axis), positions(to, axis));
    let mut spread = Spread::new(span);
    for &(o, i) in pairs {
        spread.insert(from[i] - to[o]);
    }
    spread
}

/// Distances along one axis when everything is read.
fn across(axis: usize, from: &Layout, to: &Layout, span: usize) -> Spread {
    let (mut reads, mut writes) = (Spread::new(span), Spread::new(span));
    positions(from, axis)
        .into_iter()
        .for_each(|p| reads.insert(p));
    positions(to, axis)
        .into_iter()
        .for_each(|p| writes.insert(-p));
    reads.sum(&writes)
}

/// Distances of every pair of parts, each modulo the slots of a ciphertext.
struct ByParts {
    inputs: usize,
    slots: usize,
    seen: Vec<Vec<u64>>,
}

impl ByParts {
    fn new(from: &Layout, to: &Layout) -> Self {
        Self {
            inputs: from.parts,
            slots: from.slots,
            seen: vec![Vec::new(); from.parts * to.parts],
        }
    }

    fn insert(&mut self, output: usize, input: usize, distance: isize) {
        let bits = &mut self.seen[output * self.inputs + input];
        if bits.is_empty() {
            bits.resize(self.slots.div_ceil(64), 0);
        }
        let bit = (distance as usize) & (self.slots - 1);
        bits[bit / 64] |= 1 << (bit % 64);
    }

    fn finish(self) -> Vec<Distances> {
        let inputs = self.inputs;
        let pairs = self.seen.into_iter().enumerate();
        pairs
            .filter(|(_, bits)| !bits.is_empty())
            .map(|(pair, bits)| Distances {
                output: pair / inputs,
                input: pair % inputs,
                values: bits
                    .iter()
                    .enumerate()
                    .flat_map(|(i, &word)| {
                        (0..64)
                            .filter(move |b| word >> b & 1 == 1)
                            .map(move |b| (64 * i + b) as isize)
                    })
                    .collect(),
            })
            .collect()
    }
}

fn listed_distances(pairs: &[(u32, u32)], from: &Layout, to: &Layout) -> Vec<Distances> {
    let (reads, writes) = (from.insides(), to.insides());
    let mut found = ByParts::new(from, to);
    for &(o, i) in pairs {
        let (o, i) = (writes[o as usize], reads[i as usize]);
        found.insert(o / to.slots, i / from.slots, i as isize - o as isize);
    }
    found.finish()
}

/// Channel pairs decide the parts; where a channel group crosses the border of two parts, each of the
/// combinations that the distance allows counts: an upper bound.
fn separable_distances(pairs: &[Pairs; 3], from: &Layout, to: &Layout) -> Vec<Distances> {
    let slots = from.slots;
    let span = from.virtual_slots().max(to.virtual_slots());
    let [y, x] = [1, 2].map(|axis| along(&pairs[axis], axis, from, to, span));
    let spatial = y.sum(&x).values();
    let channels = [from, to].map(|layout| {
        let block = layout.rows * layout.cols;
        let at = positions(layout, 0);
        let parts = |c: usize| {
            let group = c / (layout.gap * layout.gap) * block;
            [group / slots, (group + block - 1) / slots]
        };
        (0..at.len()).map(|c| (at[c], parts(c))).collect::<Vec<_>>()
    });
    // First and last part of the output's group and of the input's, and the distance of the channels.
    type Step = ([usize; 2], [usize; 2], isize);
    let mut steps: Vec<Step> = pairs[0]
        .iter()
        .map(|&(o, i)| {
            let ((write, outputs), (read, inputs)) = (channels[1][o], channels[0][i]);
            let whole = outputs[0] == outputs[1] && inputs[0] == inputs[1];
            let distance = read - write;
            // Within whole parts only the distance modulo a ciphertext counts.
            let kept = if whole {
                distance.rem_euclid(slots as isize)
            } else {
                distance
            };
            (outputs, inputs, kept)
        })
        .collect();
    steps.sort_unstable();
    steps.dedup();
    let mut found = ByParts::new(from, to);
    for (outputs, inputs, step) in steps {
        let whole = outputs[0] == outputs[1] && inputs[0] == inputs[1];
        for &more in &spatial {
            let distance = step + more;
            let apart = distance.div_euclid(slots as isize);
            let crosses = distance.rem_euclid(slots as isize) != 0;
            for output in outputs[0]..=outputs[1] {
                for input in inputs[0]..=inputs[1] {
                    let parts = input as isize - output as isize;
                    if whole || parts == apart || crosses && parts == apart + 1 {
                        found.insert(output, input, distance);
                    }
                }
            }
        }
    }
    found.finish()
}

/// Everything reads everything: differences of the slots that the parts use.
fn all_distances(from: &Layout, to: &Layout) -> Vec<Distances> {
    let slots = from.slots;
    let by_part = |layout: &Layout| {
        let mut parts = vec![Vec::new(); layout.parts];
        for inside in layout.insides() {
            parts[inside / slots].push((inside % slots) as isize);
        }
        parts
    };
    let (reads, writes) = (by_part(from), by_part(to));
    let mut all = Vec::new();
    for (output, writes) in writes.iter().enumerate() {
        for (input, reads) in reads.iter().enumerate() {
            let values = if reads.len() + writes.len() > slots {
                // More elements than slots meet at every distance.
                (0..slots as isize).collect()
            } else {
                let (mut read, mut write) = (Spread::new(slots), Spread::new(slots));
                reads.iter().for_each(|&p| read.insert(p));
                writes.iter().for_each(|&p| write.insert(-p));
                read.sum(&write).values()
            };
            if !values.is_empty() {
                all.push(Distances {
                    output,
                    input,
                    values,
                });
            }
        }
    }
    all
}

/// Places of the diagonals of a map between two layouts whose distances are `distances`, by the rule of
/// `LinearMap`: each term is taken from the input copy that makes the offset smallest.
///
/// Sorted; about right where layouts are twisted. A map that folds has an untwisted output.
pub fn places(distances: &[Distances], input: &Layout, output: &Layout, fold: bool) -> Vec<Place> {
    let mut all: Vec<Place> = distances
        .iter()
        .flat_map(|d| {
            let offsets = offsets(&d.values, input, output, fold);
            offsets.into_iter().map(|offset| Place {
                output: d.output,
                input: d.input,
                offset,
            })
        })
        .collect();
    all.sort_unstable();
    all
}

fn offsets(distances: &[isize], input: &Layout, output: &Layout, fold: bool) -> Vec<usize> {
    let slots = input.slots;
    let (stride, target) = (slots / input.copies, slots / output.copies);
    let modulus = if fold { target.min(stride) } else { stride };
    // A copy that is turned k times sees every distance k twists further; once round, the smallest is
    // what is left of a common divisor of twist and region.
    let common = |twist: usize| 1usize << twist.trailing_zeros().min(modulus.trailing_zeros());
    let twist = input.twist % modulus;
    let (unit, turns) = match input.copies * common(twist) >= modulus {
        _ if twist == 0 => (modulus, 1),
        true => (common(twist), 1),
        false => (modulus, input.copies),
    };
    let around = |value: isize| value.rem_euclid(unit as isize) as usize;
    // From where each copy of the output looks, as far as that differs.
    let mut from = vec![0];
    if !fold {
        let (step, turn) = (target as isize, output.twist as isize);
        let wraps = if turn == 0 { 0 } else { 1 };
        let copies = (0..output.copies as isize)
            .flat_map(|k| (0..=wraps).map(move |w| (k - w) * step + k * turn));
        from = copies.map(around).collect();
    }
    from.sort_unstable();
    from.dedup();
    let mut near = vec![false; unit];
    distances.iter().for_each(|&d| near[around(d)] = true);
    let mut seen = vec![false; modulus];
    for distance in (0..unit).filter(|&d| near[d]) {
        for start in &from {
            let first = distance + unit - start;
            let reads = (0..turns).map(|k| (first + k * twist) % unit);
            seen[reads.min().unwrap_or(0)] = true;
        }
    }
    if fold && twist != 0 && stride < target {
        // Where input copies lie closer than the output's, only some of them end in the right place, and
        // which ones depends on the position: at worst, those that see a distance last.
        let share = target / stride;
        let right = (input.copies / share).clamp(1, modulus / common(twist * share));
        let late = (modulus / common(twist)).saturating_sub(right);
        let first: Vec<usize> = (0..modulus).filter(|&offset| seen[offset]).collect();
        for turn in 1..=late {
            let shifted = first.iter().map(|o| (o + turn * common(twist)) % modulus);
            shifted.for_each(|offset| seen[offset] = true);
        }
    }
    let offsets = (0..modulus).filter(|&offset| seen[offset]);
    if fold || input.twist == 0 {
        return offsets.collect();
    }
    // Output copy k finds that distance in an input copy that depends on k: one offset for each.
    let offsets: Vec<usize> = offsets.collect();
    (0..slots / stride)
        .flat_map(|j| offsets.iter().map(move |o| o + j * stride))
        .collect()
}

/// The same layout, one plain copy: all that distances depend on.
pub fn single(layout: &Layout) -> Layout {
    Layout {
        copies: 1,
        twist: 0,
        ..layout.clone()
    }
}

#[cfg(test)]
mod tests;
