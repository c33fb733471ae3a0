//! **choose_layouts**: where every tensor sits in the slots, and how every linear map is computed.
//!
//! Does: gives the input, every sum and every activation a [`Layout`], and every linear map its
//! fold flag and giant step. Candidates per tensor: the grid of its source with a wider gap
//! (multiplexed), and dense; each as often repeated as the slots allow; each, behind an activation,
//! plain or twisted, so that the copies can share a following convolution. Counts the diagonals,
//! rotations and folds of every map between candidates, and lowers the total by coordinate
//! descent from two starts (all multiplexed, all dense): one value's layout at a time, all its
//! neighbours looked at.
//!
//! Does not: split a tensor over several ciphertexts; look at weights.
//!
//! In: the steps of a folded graph; slots and the granularity of a twist. Out: a layout that fits for every
//! value; addends of one sum share a layout; only activations and the input are twisted.
//!
//! Depth: none. Rotations: all of the linear maps' are decided here.
//!
//! Source: multiplexed packing [LLK+22]; layout choice by cost [Orion].
//!
//! Test: `resnet20_diagonals`, `too_large` below.

use std::collections::HashMap;

use hecc_ir::layout::Layout;
use hecc_ir::nn::{Linear, Shape};

use crate::PassError;
use crate::cost::{self, MapChoice};
use crate::relation::{self, Relation};
use crate::steps::Steps;

/// Layouts of one step.
#[derive(Clone, Debug)]
pub struct StepLayout {
    /// The sum's, untwisted.
    pub sum: Layout,
    /// The activation's: the sum's with a twist, or the same.
    pub activation: Layout,
    /// One per addend; `None` for a skip that is only scaled.
    pub maps: Vec<Option<MapChoice>>,
}

/// The choice.
#[derive(Clone, Debug)]
pub struct Layouts {
    /// The encrypted input's.
    pub input: Layout,
    /// One per step.
    pub steps: Vec<StepLayout>,
    /// Milliseconds of all linear maps together.
    pub cost: f64,
}

/// Candidates kept per value; the multiplexed ones come first.
const MAX_CANDIDATES: usize = 6;
/// Rounds of coordinate descent; ResNets settle in two or three.
const MAX_SWEEPS: usize = 12;

/// Runs the pass on `slots` slots; a twist is a multiple of `granularity` slots.
///
/// # Errors
/// [`PassError::TooLarge`] when a tensor does not fit one ciphertext.
pub fn choose_layouts(
    steps: &Steps,
    slots: usize,
    granularity: usize,
) -> Result<Layouts, PassError> {
    let mut search = Search::new(steps, slots, granularity)?;
    let starts = [
        search.uniform(|_| 0),
        search.uniform(|candidates| candidates - 1),
    ];
    let best = starts
        .into_iter()
        .map(|start| search.descend(start))
        .min_by(|a, b| a.0.total_cmp(&b.0));
    let (cost, choice) = best.expect("there are two starts");
    Ok(search.layouts(&choice, cost))
}

/// Candidate of a source: the plain layout, and the twisted one behind the activation.
#[derive(Clone, Debug, PartialEq)]
struct Candidate {
    plain: Layout,
    seen: Layout,
}

struct Search<'a> {
    steps: &'a Steps,
    /// Index 0: the input; i + 1: step i.
    candidates: Vec<Vec<Candidate>>,
    /// Per source: steps and addends that use it.
    users: Vec<Vec<(usize, usize)>>,
    /// Per step, per addend: index into `relations`.
    relation_of: Vec<Vec<usize>>,
    relations: Vec<Relation>,
    known: HashMap<(usize, Layout, Layout), MapChoice>,
}

impl<'a> Search<'a> {
    fn new(steps: &'a Steps, slots: usize, granularity: usize) -> Result<Self, PassError> {
        let mut plain = vec![plain_candidates(steps.input, slots, &[], "input")?];
        let mut users = vec![Vec::new(); steps.steps.len() + 1];
        let mut relation_of = Vec::new();
        let mut relations = Vec::new();
        let mut index = HashMap::new();
        for (s, step) in steps.steps.iter().enumerate() {
            let mut inherited = Vec::new();
            let mut of_addends = Vec::new();
            for (a, addend) in step.addends.iter().enumerate() {
                users[addend.source].push((s, a));
                inherited.extend(
                    plain[addend.source]
                        .iter()
                        .map(|l| (l.clone(), total_stride(&addend.stages))),
                );
                let relation =
                    Relation::new(&addend.stages, steps.shape(addend.source), step.shape);
                of_addends.push(*index.entry(relation.clone()).or_insert_with(|| {
                    relations.push(relation);
                    relations.len() - 1
                }));
            }
            relation_of.push(of_addends);
            plain.push(plain_candidates(step.shape, slots, &inherited, &step.name)?);
        }
        let candidates = plain
            .into_iter()
            .enumerate()
            .map(|(source, plain)| {
                let twistable = source == 0 || steps.steps[source - 1].activation.is_some();
                plain
                    .into_iter()
                    .flat_map(|l| with_twists(l, if twistable { granularity } else { 0 }))
                    .collect()
            })
            .collect();
        Ok(Self {
            steps,
            candidates,
            users,
            relation_of,
            relations,
            known: HashMap::new(),
        })
    }

    fn uniform(&self, pick: impl Fn(usize) -> usize) -> Vec<usize> {
        self.candidates.iter().map(|c| pick(c.len())).collect()
    }

    /// Coordinate descent from `choice`: its total cost and the choice it ends in.
    fn descend(&mut self, mut choice: Vec<usize>) -> (f64, Vec<usize>) {
        for _ in 0..MAX_SWEEPS {
            let mut changed = false;
            for value in 0..choice.len() {
                let before = choice[value];
                let mut best = (self.around(value, &choice), before);
                for candidate in 0..self.candidates[value].len() {
                    choice[value] = candidate;
                    let cost = self.around(value, &choice);
                    // A margin, so that equal costs do not swap for ever.
                    if cost < best.0 - 1e-9 {
                        best = (cost, candidate);
                    }
                }
                choice[value] = best.1;
                changed |= best.1 != before;
            }
            if !changed {
                break;
            }
        }
        let total = (0..self.steps.steps.len())
            .map(|s| self.step_cost(s, &choice))
            .sum();
        (total, choice)
    }

    /// Cost of all maps into and out of one value.
    fn around(&mut self, value: usize, choice: &[usize]) -> f64 {
        let mut cost = if value > 0 {
            self.step_cost(value - 1, choice)
        } else {
            0.0
        };
        for (step, addend) in self.users[value].clone() {
            cost += self.addend_cost(step, addend, choice);
        }
        cost
    }

    fn step_cost(&mut self, step: usize, choice: &[usize]) -> f64 {
        (0..self.steps.steps[step].addends.len())
            .map(|a| self.addend_cost(step, a, choice))
            .sum()
    }

    fn addend_cost(&mut self, step: usize, addend: usize, choice: &[usize]) -> f64 {
        self.map(step, addend, choice)
            .map_or(cost::SCALE, |map| map.cost)
    }

    /// How an addend is computed under `choice`; `None` when it is only scaled.
    fn map(&mut self, step: usize, addend: usize, choice: &[usize]) -> Option<MapChoice> {
        let edge = &self.steps.steps[step].addends[addend];
        let input = &self.candidates[edge.source][choice[edge.source]].seen;
        let output = &self.candidates[step + 1][choice[step + 1]].plain;
        if edge.stages.is_empty() && input == output {
            return None;
        }
        let relation = self.relation_of[step][addend];
        let key = (relation, input.clone(), output.clone());
        if let Some(&known) = self.known.get(&key) {
            return Some(known);
        }
        let map = cheapest_map(&self.relations[relation], input, output);
        self.known.insert(key, map);
        Some(map)
    }

    fn layouts(&mut self, choice: &[usize], cost: f64) -> Layouts {
        let steps = (0..self.steps.steps.len())
            .map(|s| {
                let maps = (0..self.steps.steps[s].addends.len())
                    .map(|a| self.map(s, a, choice))
                    .collect();
                let Candidate { plain, seen } = self.candidates[s + 1][choice[s + 1]].clone();
                StepLayout {
                    sum: plain,
                    activation: seen,
                    maps,
                }
            })
            .collect();
        Layouts {
            input: self.candidates[0][choice[0]].seen.clone(),
            steps,
            cost,
        }
    }
}

/// The cheaper of computing every copy by itself and sharing the sum between the copies.
fn cheapest_map(relation: &Relation, input: &Layout, output: &Layout) -> MapChoice {
    let distances = relation.distances(input, output);
    let folds = output.copies.trailing_zeros() as usize;
    let plain = cost::choose_giant(
        &relation::offsets(&distances, input, output, false),
        input.slots,
        false,
        0,
    );
    let shared = cost::choose_giant(
        &relation::offsets(&distances, input, output, true),
        input.slots,
        true,
        folds,
    );
    if folds > 0 && shared.cost < plain.cost {
        shared
    } else {
        plain
    }
}

/// Product of the strides along rows and columns; the larger, should they differ.
fn total_stride(stages: &[Linear]) -> usize {
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
fn plain_candidates(
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
fn with_twists(plain: Layout, granularity: usize) -> Vec<Candidate> {
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
