//! **choose_layouts**: where every tensor sits in the slots, and how every linear map is computed.
//!
//! Does: gives the input, every sum and every activation a [`Layout`], and every linear map its
//! fold flag and giant step. Candidates per tensor: the grid of its source with a wider gap
//! (multiplexed), and dense; each as often repeated as the slots allow; each, behind an activation,
//! plain or twisted, so that the copies can share a following convolution. Counts the diagonals,
//! rotations and folds of every map between candidates, and the bootstrappers that twists ask for,
//! and lowers the total by coordinate descent from four starts (multiplexed or dense, plain or
//! twisted): one value's layout at a time, then the twist of all values of one layout.
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
//! Test: `resnet20_diagonals`, `too_large` in `tests/layouts.rs`.

use std::collections::{BTreeMap, HashMap};

use hecc_ir::layout::Layout;

use crate::PassError;
use crate::cost::{self, MapChoice};
use crate::layout_candidates::{Candidate, plain_candidates, total_stride, with_twists};
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
    /// Milliseconds of all linear maps and the building of bootstrappers together.
    pub cost: f64,
}

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
    let mut best: Option<(f64, Vec<usize>)> = None;
    for (last, twisted) in [(false, false), (false, true), (true, false), (true, true)] {
        let start = search.uniform(last, twisted);
        let end = search.descend(start);
        if best.as_ref().is_none_or(|b| end.0 < b.0) {
            best = Some(end);
        }
    }
    let (cost, choice) = best.expect("there are four starts");
    Ok(search.layouts(&choice, cost))
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

    /// The first or last plain layout of every value, twisted where it can be or not.
    fn uniform(&self, last: bool, twisted: bool) -> Vec<usize> {
        let pick = |candidates: &Vec<Candidate>| {
            let plain = if last {
                &candidates[candidates.len() - 1]
            } else {
                &candidates[0]
            }
            .plain
            .clone();
            find(candidates, &plain, twisted)
        };
        self.candidates.iter().map(pick).collect()
    }

    /// Coordinate descent from `choice`: its total cost and the choice it ends in.
    fn descend(&mut self, mut choice: Vec<usize>) -> (f64, Vec<usize>) {
        for _ in 0..MAX_SWEEPS {
            let single = self.sweep(&mut choice);
            let group = self.turn_groups(&mut choice);
            if !single && !group {
                break;
            }
        }
        (self.total(&choice), choice)
    }

    /// Gives every value in turn its best candidate; whether one changed.
    fn sweep(&mut self, choice: &mut [usize]) -> bool {
        let mut changed = false;
        for value in 0..choice.len() {
            let before = choice[value];
            let mut best = (self.around(value, choice), before);
            for candidate in 0..self.candidates[value].len() {
                choice[value] = candidate;
                let cost = self.around(value, choice);
                // A margin, so that equal costs do not swap for ever.
                if cost < best.0 - 1e-9 {
                    best = (cost, candidate);
                }
            }
            choice[value] = best.1;
            changed |= best.1 != before;
        }
        changed
    }

    /// Twists, or untwists, all values of one plain layout at once: the first twist pays for a
    /// bootstrapper of its own, which no single value is worth.
    fn turn_groups(&mut self, choice: &mut Vec<usize>) -> bool {
        let mut changed = false;
        let layout = |search: &Self, choice: &[usize], value: usize| {
            search.candidates[value][choice[value]].plain.clone()
        };
        for leader in 0..choice.len() {
            let plain = layout(self, choice, leader);
            if (0..leader).any(|value| layout(self, choice, value) == plain) {
                continue;
            }
            for twisted in [false, true] {
                let turned: Vec<usize> = (0..choice.len())
                    .map(|value| match layout(self, choice, value) == plain {
                        true => find(&self.candidates[value], &plain, twisted),
                        false => choice[value],
                    })
                    .collect();
                if self.total(&turned) < self.total(choice) - 1e-9 {
                    *choice = turned;
                    changed = true;
                }
            }
        }
        changed
    }

    /// Cost of everything.
    fn total(&mut self, choice: &[usize]) -> f64 {
        let maps: f64 = (0..self.steps.steps.len())
            .map(|s| self.step_cost(s, choice))
            .sum();
        maps + self.bootstrappers(choice)
    }

    /// Cost of the bootstrappers: one for every turn that activations make, alive from its first use
    /// to its last.
    fn bootstrappers(&self, choice: &[usize]) -> f64 {
        let mut alive: BTreeMap<(usize, usize), (usize, usize)> = BTreeMap::new();
        for (value, &candidate) in choice.iter().enumerate().skip(1) {
            if self.steps.steps[value - 1].activation.is_some() {
                let seen = &self.candidates[value][candidate].seen;
                let turn = if seen.twist == 0 {
                    (0, 0)
                } else {
                    (seen.stride(), seen.twist)
                };
                alive.entry(turn).or_insert((value, value)).1 = value;
            }
        }
        let each = alive
            .values()
            .map(|(first, last)| cost::BOOTSTRAPPER + cost::ALIVE * (last - first) as f64);
        each.sum()
    }

    /// Cost of all that one value has a part in.
    fn around(&mut self, value: usize, choice: &[usize]) -> f64 {
        let mut cost = self.bootstrappers(choice);
        if value > 0 {
            cost += self.step_cost(value - 1, choice);
        }
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

/// The candidate with this plain layout, twisted or not; the other where there is no such.
fn find(candidates: &[Candidate], plain: &Layout, twisted: bool) -> usize {
    let of_plain = || {
        candidates
            .iter()
            .enumerate()
            .filter(|(_, c)| c.plain == *plain)
    };
    let wanted = of_plain().find(|(_, c)| (c.seen.twist != 0) == twisted);
    wanted.or_else(|| of_plain().next()).map_or(0, |(i, _)| i)
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
