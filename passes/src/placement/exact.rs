//! The fastest placement, by elimination of levels.
//!
//! **Variables.** The level at which users find each value, and for a node of several operands the
//! level it demands of them. A way, or a bootstrap of the result, is no variable: for given levels of
//! operands and result the cheapest is a minimum over a handful. So every node is one matrix over
//! (level of the operands, level of the result), the demands of a node of several operands are one
//! forbidding matrix an operand, and seconds are the sum of the matrices: [`super::elimination`]
//! finds its minimum. A residual region reduces to one matrix over (level in, level out), skip
//! branch included. With `L` levels a series-parallel graph of `n` nodes takes `O(n L^3)`, a graph of
//! elimination width `w` takes `O(n L^(w+1))`.
//!
//! **Why this loses nothing.** Dropping is free and exact and no cost depends on how high an operand
//! stands above what is demanded, so a value may be given any level up to the one it has, and one
//! copy serves all users. A bootstrap is free to happen where its operand is produced: its cost does
//! not depend on when it happens, and its result serves the earlier users too, as it stands higher
//! than its operand (if it does not, it serves nobody and a cheaper placement has none). Two
//! bootstraps of one value are never better than one. Each node is computed once.
//!
//! **When the graph is too wide** for the allowed entries, elimination splits tables. Its minimum is
//! then a lower bound, and the levels it suggests, made valid in one walk, and both baselines are
//! starting points: the best is improved by solving exactly for the levels of a window of the program
//! while those outside stay, with windows from the whole program down to a few nodes, until no window
//! finds anything or the entries are spent. The result is never slower than a baseline.

use super::elimination::{Minimum, Table, minimise, schedule};
use super::reach::{Reach, reach};
use super::{
    Choice, Node, Placement, PlacementError, Problem, before_every_activation, evaluate, greedy,
};

/// Entries a placement may take: a second or two, and more for programs of a thousand nodes.
const ENTRIES: u64 = 1 << 28;
const ENTRIES_PER_NODE: u64 = 1 << 18;

/// Sums that differ by less are equal.
const ROUNDING: f64 = 1e-12;

/// The smallest window of the improvement, in nodes.
const WINDOW: usize = 8;

/// The fastest placement, or for graphs too wide for an exact answer a good one with a lower bound.
///
/// # Errors
/// Those of a problem that has no placement: [`PlacementError::TooDeep`],
/// [`PlacementError::Output`], [`PlacementError::Malformed`].
pub fn exact(problem: &Problem) -> Result<Placement, PlacementError> {
    let nodes = problem.nodes.len() as u64;
    exact_within(problem, ENTRIES.max(nodes.saturating_mul(ENTRIES_PER_NODE)))
}

/// [`exact`], computing about `entries` table entries, twice as many if the graph is too wide for that.
/// Each takes a few nanoseconds; memory stays below eight bytes an entry.
///
/// # Errors
/// As [`exact`].
pub fn exact_within(problem: &Problem, entries: u64) -> Result<Placement, PlacementError> {
    let reach = reach(problem)?;
    let model = Model::new(problem, &reach);
    let mut limit = entries;
    let mut plan = model.schedule(limit);
    while plan.effort > entries && limit > 0 {
        limit >>= 1;
        plan = model.schedule(limit);
    }
    let Minimum { bound, argument } = minimise(&model.sizes, model.tables, &plan);
    let choices = choose(problem, &reach, &argument);
    let seconds = evaluate(problem, &choices)?;
    if plan.exact {
        return Ok(Placement {
            choices,
            seconds,
            bound: seconds,
            optimal: true,
            effort: plan.effort,
        });
    }
    let mut best = Placement {
        choices,
        seconds,
        bound,
        optimal: false,
        effort: plan.effort,
    };
    for baseline in [greedy(problem)?, before_every_activation(problem)?] {
        if baseline.seconds < best.seconds {
            best.choices = baseline.choices;
            best.seconds = baseline.seconds;
        }
    }
    improve(problem, &reach, &mut best, entries)?;
    best.optimal = best.bound >= best.seconds * (1.0 - ROUNDING);
    best.bound = best.bound.min(best.seconds);
    Ok(best)
}

/// Solves window after window exactly, the levels outside held.
fn improve(
    problem: &Problem,
    reach: &Reach,
    best: &mut Placement,
    entries: u64,
) -> Result<(), PlacementError> {
    let nodes = problem.nodes.len();
    let end = best.effort.saturating_add(entries);
    let mut window = nodes;
    while window >= WINDOW.min(nodes) && window > 0 {
        let mut better = false;
        for start in (0..nodes).step_by(window.div_ceil(2)) {
            let mut held = reach.clone();
            for (value, choice) in best.choices.iter().enumerate() {
                if !(start..start + window).contains(&value) {
                    held.least[value] = choice.available();
                    held.most[value] = choice.available();
                }
            }
            let model = Model::new(problem, &held);
            let plan = model.schedule(entries >> 8);
            if !plan.exact || best.effort.saturating_add(plan.effort) > end {
                continue;
            }
            best.effort += plan.effort;
            let found = minimise(&model.sizes, model.tables, &plan);
            let choices = choose(problem, &held, &found.argument);
            let seconds = evaluate(problem, &choices)?;
            if seconds < best.seconds * (1.0 - ROUNDING) {
                best.choices = choices;
                best.seconds = seconds;
                better = true;
            }
        }
        if !better {
            window /= 2;
        }
    }
    Ok(())
}

/// The sum of matrices whose minimum is the fastest placement. The first variables are the values'
/// levels, counted from the least of each; then come the demands of nodes with several operands.
struct Model {
    sizes: Vec<usize>,
    tables: Vec<Table>,
}

impl Model {
    /// Every value at the levels given. Nodes whose value and operands stand at one level each are
    /// left out: they cost the same in every placement.
    fn new(problem: &Problem, reach: &Reach) -> Model {
        let range = |value: usize| (reach.least[value], reach.most[value]);
        let size = |(least, most): (usize, usize)| most - least + 1;
        let mut model = Model {
            sizes: (0..problem.nodes.len())
                .map(|value| size(range(value)))
                .collect(),
            tables: Vec::new(),
        };
        for (value, node) in problem.nodes.iter().enumerate() {
            let mut operands = node.operands.clone();
            operands.sort_unstable();
            operands.dedup();
            if model.sizes[value] == 1 && operands.iter().all(|&x| model.sizes[x] == 1) {
                continue;
            }
            let (scope, levels) = match operands[..] {
                [] => (vec![value], None),
                [x] => (vec![x, value], Some(range(x))),
                [..] => {
                    let most = operands.iter().map(|&x| reach.most[x]).min();
                    let demand = node.demand(reach.least[value]);
                    let levels = (demand.unwrap_or(0), most.unwrap_or(0));
                    let variable = model.sizes.len();
                    model.sizes.push(size(levels));
                    for &x in &operands {
                        model.tables.push(at_least(x, range(x), variable, levels));
                    }
                    (vec![variable, value], Some(levels))
                }
            };
            model.tables.push(Table {
                scope,
                values: seconds(node, levels, range(value)),
            });
        }
        model
    }

    fn schedule(&self, limit: u64) -> super::elimination::Schedule {
        let scopes: Vec<&[usize]> = self.tables.iter().map(|table| &table.scope[..]).collect();
        schedule(&self.sizes, &scopes, limit)
    }
}

/// Forbids the value `x` below a demand.
fn at_least(x: usize, has: (usize, usize), demand: usize, levels: (usize, usize)) -> Table {
    let entry = |has: usize, level: usize| if has >= level { 0.0 } else { f64::INFINITY };
    Table {
        scope: vec![x, demand],
        values: (has.0..=has.1)
            .flat_map(|has| (levels.0..=levels.1).map(move |level| entry(has, level)))
            .collect(),
    }
}

/// Seconds of a node by level of its operands and level of its value; without operands by the latter.
fn seconds(node: &Node, operands: Option<(usize, usize)>, value: (usize, usize)) -> Vec<f64> {
    let row = |operands: Option<usize>| {
        let before = before_refresh(node, operands);
        (value.0..=value.1).map(move |level| {
            cheapest(node, operands, level, before).map_or(f64::INFINITY, |found| found.0)
        })
    };
    match operands {
        None => row(None).collect(),
        Some((least, most)) => (least..=most).flat_map(|level| row(Some(level))).collect(),
    }
}

/// The cheapest result that can be bootstrapped, from operands at a level.
fn before_refresh(node: &Node, operands: Option<usize>) -> Option<(f64, Choice)> {
    let enter = node.refresh.as_ref()?.enter;
    let ways = node.ways.iter().enumerate();
    ways.flat_map(|(way, how)| {
        let levels = enter..=how.highest(operands).unwrap_or(0);
        levels
            .filter(move |&level| fits(how.demand(level), operands))
            .map(move |level| {
                let choice = Choice {
                    way,
                    level,
                    refreshed: None,
                };
                (how.seconds()[level], choice)
            })
    })
    .min_by(|a, b| a.0.total_cmp(&b.0))
}

/// The cheapest way to the value at `level` from operands at a level. `before` is
/// [`before_refresh`] of the same operands.
fn cheapest(
    node: &Node,
    operands: Option<usize>,
    level: usize,
    before: Option<(f64, Choice)>,
) -> Option<(f64, Choice)> {
    let ways = node.ways.iter().enumerate();
    let plain = ways
        .filter(|(_, how)| fits(how.demand(level), operands))
        .map(|(way, how)| {
            (
                how.seconds()[level],
                Choice {
                    way,
                    level,
                    refreshed: None,
                },
            )
        });
    let refreshed = before.and_then(|(seconds, choice)| {
        let refresh = node.refresh.as_ref()?.seconds.get(level)?;
        Some((
            seconds + refresh,
            Choice {
                refreshed: Some(level),
                ..choice
            },
        ))
    });
    plain.chain(refreshed).min_by(|a, b| a.0.total_cmp(&b.0))
}

fn fits(demand: Option<usize>, operands: Option<usize>) -> bool {
    demand.is_some_and(|demand| operands.is_none_or(|level| level >= demand))
}

/// The cheapest choices that give the values the levels of the argument. Where one is out of reach,
/// as only a guess of a split elimination is, the value gets the highest it can have instead, which
/// is enough for what follows.
fn choose(problem: &Problem, reach: &Reach, argument: &[usize]) -> Vec<Choice> {
    let mut choices: Vec<Choice> = Vec::with_capacity(problem.nodes.len());
    for (value, node) in problem.nodes.iter().enumerate() {
        let operands = node.operands.iter().map(|&x| choices[x].available()).min();
        let before = before_refresh(node, operands);
        let wanted = reach.least[value] + argument[value];
        let highest = node.highest(operands);
        let (_, choice) = cheapest(node, operands, wanted, before)
            .or_else(|| cheapest(node, operands, highest?, before))
            .expect("operands at their least level or above have a result");
        choices.push(choice);
    }
    choices
}
