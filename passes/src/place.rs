//! **place**: slots become ciphertexts, with a level and an exact scale, and bootstraps where they pay.
//!
//! Does: chooses for every activation one of its ways (fused in a bootstrap, a levelled polynomial, a
//! square), for every value its level, and where a plain bootstrap goes, so that the predicted
//! seconds are least ([`crate::placement`]); writes the program: series with their units folded in,
//! compositions and products spelled out, plain bootstraps with a series for the identity.
//!
//! Does not: choose layouts, parameters or polynomials; move operators.
//!
//! In: a verified slots graph, a parameter set, prices. Out: a verified program. Keeps values, layouts
//! and units.
//!
//! Scales: values have the parameter set's scale S. A product has the scale of its operands over the
//! prime, so where one of them can be made at any scale and nobody else reads it, it is made at the
//! scale that lets the product end at S; elsewhere a multiplication by 1 follows, where a reader asks
//! for S.
//!
//! Depth: the whole of the program's, fixed here. Rotations: those of bootstraps.
//!
//! Source: placement as in [`crate::placement`]; AutoFHE's greedy order and a bootstrap before every
//! activation are there to compare with.
//!
//! Test: `a_residual_block_is_placed` in `place/tests.rs`, and the plan's independent checker.

mod emit;
mod scales;

use std::collections::BTreeSet;
use std::sync::Arc;

use hecc_ir::bootstrappers::{Lifetimes, Variant};
use hecc_ir::costs::{CostTable, MapCounts};
use hecc_ir::function::Approximation;
use hecc_ir::params::{Parameters, depth};
use hecc_ir::slots::{Graph, Node, Op};

use crate::PassError;
use crate::approximate::{IDENTITY_DEGREE, IDENTITY_RHO};
use crate::placement::{self, Choice, Placement, Problem, Refresh, Way};
use crate::rates::Rates;

pub use emit::emit_program;
use scales::Scales;

/// How bootstraps are placed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Least predicted seconds.
    #[default]
    Exact,
    /// As late as possible, as AutoFHE does.
    Greedy,
    /// Before every activation.
    Always,
}

/// A placed program's choices.
#[derive(Clone, Debug)]
pub struct Placed {
    /// One choice per slots node.
    pub placement: Placement,
    /// Seconds of building bootstrappers, as [`hecc_ir::bootstrappers`] counts them.
    pub setup: f64,
    /// No placement takes less, setting up included.
    pub bound: f64,
    /// Bootstraps of one ciphertext each, fused and plain.
    pub bootstraps: usize,
}

impl Placed {
    /// Seconds altogether.
    pub fn seconds(&self) -> f64 {
        self.placement.seconds + self.setup
    }

    /// Whether this is proven the fastest.
    pub fn is_optimal(&self) -> bool {
        self.seconds() <= self.bound * (1.0 + 1e-9)
    }
}

/// Chooses levels, ways and bootstraps. `counts` are the costs of the graph's maps, in their order.
///
/// # Errors
/// [`PassError::Placement`] when the levels do not suffice, with the node that is too deep.
pub fn place(
    graph: &Graph,
    counts: &[MapCounts],
    parameters: &Parameters,
    costs: &CostTable,
    mode: Mode,
) -> Result<Placed, PassError> {
    let rates = Rates::new(parameters.clone(), &Arc::new(costs.clone()));
    place_at(graph, &problem(graph, counts, &rates), &rates, mode)
}

/// [`place`], where the problem is at hand.
pub(crate) fn place_at(
    graph: &Graph,
    problem: &Problem,
    rates: &Rates,
    mode: Mode,
) -> Result<Placed, PassError> {
    let solve = |problem: &Problem| match mode {
        Mode::Exact => placement::exact(problem),
        Mode::Greedy => placement::greedy(problem),
        Mode::Always => placement::before_every_activation(problem),
    };
    let mut best = placed(graph, rates, solve(problem)?);
    // What is set up once is no part of the sum that the solvers minimise: without plain bootstraps,
    // or late ones, may be faster when it counts.
    if mode == Mode::Exact && best.setup > 0.0 {
        let others = [solve(&without_refresh(problem)), placement::greedy(problem)];
        for other in others.into_iter().flatten() {
            let other = placed(graph, rates, other);
            if other.seconds() < best.seconds() {
                best = other;
            }
        }
        let bound = best.bound + least_setup(graph, problem, rates);
        best.bound = bound.min(best.seconds());
    }
    placement::validate(problem, &best.placement)?;
    Ok(best)
}

/// Seconds of building bootstrappers that no placement does without: those of activations that nothing but
/// a bootstrap computes. Where others of a family may be built beside them, only the first is sure to be a
/// whole one.
pub(crate) fn least_setup(graph: &Graph, problem: &Problem, rates: &Rates) -> f64 {
    let parameters = &rates.parameters;
    let top = parameters.top();
    let possible = |way: &Way| way.demand(0).is_some_and(|level| level <= top);
    let mut forced = Vec::new();
    let mut open = BTreeSet::new();
    for (value, (node, priced)) in graph.nodes.iter().zip(&problem.nodes).enumerate() {
        let Op::Activation { ways, .. } = &node.op else {
            continue;
        };
        // The problem may have further ways.
        let of_way = |at: usize| variant(graph, node, ways.get(at)?, parameters);
        let all = (0..priced.ways.len()).filter(|&at| possible(&priced.ways[at]));
        let all: BTreeSet<Option<Variant>> = all.map(of_way).collect();
        match all.first() {
            Some(&Some(only)) if all.len() == 1 => forced.push((value, only)),
            Some(_) | None => open.extend(all.into_iter().flatten().map(|v| v.family())),
        }
    }
    if let Some(node) = problem.nodes.iter().position(|node| node.refresh.is_some()) {
        open.insert(refresh_variant(&graph.nodes[node], parameters).family());
    }
    // As if the first of an open family lived to the end.
    let relatives: Vec<(usize, Variant)> = forced
        .iter()
        .filter(|(_, variant)| open.contains(&variant.family()))
        .map(|&(_, variant)| (usize::MAX, variant))
        .collect();
    let lives: Lifetimes = forced.into_iter().chain(relatives).collect();
    lives.encoded(rates.groups) * rates.setup
}

/// The bootstrapper of a way; None for a levelled one. Its operand stands at the set's scale.
fn variant(
    graph: &Graph,
    node: &Node,
    way: &Approximation,
    parameters: &Parameters,
) -> Option<Variant> {
    match way {
        Approximation::Fused { rho, .. } => {
            let from = &graph.nodes[node.op.operands()[0]].layout;
            Some(Variant::new(from, &node.layout, *rho, parameters.scale()))
        }
        Approximation::Levelled { .. } | Approximation::Square { .. } => None,
    }
}

/// The bootstrapper of a plain bootstrap.
fn refresh_variant(node: &Node, parameters: &Parameters) -> Variant {
    let layout = &node.layout;
    Variant::new(layout, layout, IDENTITY_RHO, parameters.scale())
}

fn without_refresh(problem: &Problem) -> Problem {
    let mut problem = problem.clone();
    problem
        .nodes
        .iter_mut()
        .for_each(|node| node.refresh = None);
    problem
}

/// A placement with what it sets up.
fn placed(graph: &Graph, rates: &Rates, placement: Placement) -> Placed {
    let parameters = &rates.parameters;
    let mut uses = Vec::new();
    let mut bootstraps = 0;
    for (value, choice) in placement.choices.iter().enumerate() {
        let node = &graph.nodes[value];
        let fused = chosen(node, choice).and_then(|way| variant(graph, node, way, parameters));
        let refreshed = choice.refreshed.map(|_| refresh_variant(node, parameters));
        for (step, variant) in [(2 * value, fused), (2 * value + 1, refreshed)] {
            if let Some(variant) = variant {
                uses.push((step, variant));
                bootstraps += node.layout.parts;
            }
        }
    }
    let lives: Lifetimes = uses.into_iter().collect();
    let setup = lives.encoded(rates.groups) * rates.setup;
    Placed {
        bound: placement.bound,
        placement,
        setup,
        bootstraps,
    }
}

/// Levels that the graph takes from its input to its output without any bootstrap; None when an
/// activation has no levelled way.
pub fn levelled_depth(graph: &Graph) -> Option<usize> {
    let scales = Scales::of(graph);
    let mut depths: Vec<usize> = Vec::with_capacity(graph.nodes.len());
    for (value, node) in graph.nodes.iter().enumerate() {
        let operands = node.op.operands();
        let below = operands.iter().map(|&x| depths[x]).max().unwrap_or(0);
        let own = match &node.op {
            Op::Input | Op::Add { .. } => 0,
            Op::Linear { .. } | Op::Scale { .. } => 1,
            Op::Mul { .. } => 1 + usize::from(scales.mended[value]),
            Op::Activation { ways, .. } => ways
                .iter()
                .filter_map(|way| way_depth(way, scales.mended[value]))
                .min()?,
        };
        depths.push(below + own);
    }
    depths.last().copied()
}

/// Levels of a levelled way; None for a fused one.
pub fn depth_of(way: &Approximation) -> Option<usize> {
    way_depth(way, false)
}

fn way_depth(way: &Approximation, mended: bool) -> Option<usize> {
    match way {
        Approximation::Fused { .. } => None,
        Approximation::Levelled {
            polynomials,
            times_x,
            ..
        } => {
            let series = polynomials.iter().map(|p| depth(degree(p))).sum::<usize>();
            Some(series + usize::from(*times_x))
        }
        Approximation::Square { .. } => Some(1 + usize::from(mended)),
    }
}

fn degree(series: &[f64]) -> usize {
    series.iter().rposition(|&c| c != 0.0).unwrap_or(0)
}

/// What is to be placed: the graph at the prices of a parameter set.
pub(crate) fn problem(graph: &Graph, counts: &[MapCounts], rates: &Rates) -> Problem {
    let scales = Scales::of(graph);
    let parameters = &rates.parameters;
    let (top, products) = (parameters.top(), parameters.levelled_top());
    let enter = parameters.activation_in();
    let nodes = graph.nodes.iter().enumerate().map(|(value, node)| {
        let parts = node.layout.parts as f64;
        // One level: results up to `ceiling` - 1, each from one above.
        let one_level = |ceiling: usize, price: &dyn Fn(usize) -> f64| Way::Levelled {
            depth: 1,
            seconds: (1..=ceiling).map(price).collect(),
        };
        let mended = scales.mended[value];
        let multiplied = |depth: usize| match products {
            products if products < depth => never(),
            products => Way::Levelled {
                depth,
                seconds: (depth..=products)
                    .map(|l| {
                        let mend = (depth - 1) as f64 * rates.mul_const[l - depth + 1];
                        parts * (rates.mul[l] + mend)
                    })
                    .collect(),
            },
        };
        let ways = match &node.op {
            Op::Input => vec![Way::Levelled {
                depth: 0,
                seconds: vec![0.0; top + 1],
            }],
            Op::Linear { map, .. } => {
                vec![one_level(top, &|l| rates.maps[l].seconds(&counts[*map]))]
            }
            Op::Scale { .. } => vec![one_level(top, &|l| parts * rates.mul_const[l])],
            Op::Add { .. } => vec![Way::Levelled {
                depth: 0,
                seconds: (0..=top).map(|l| parts * rates.add[l]).collect(),
            }],
            Op::Mul { .. } => vec![multiplied(1 + usize::from(mended))],
            Op::Activation { x, ways } => {
                let turned = graph.nodes[*x].layout != node.layout;
                ways.iter()
                    .map(|way| match way {
                        Approximation::Fused { coefficients, .. } => fused(
                            enter,
                            parameters.activation_out(degree(coefficients)),
                            parts * rates.bootstrap(degree(coefficients)),
                        ),
                        _ if turned => never(),
                        Approximation::Square { .. } => multiplied(1 + usize::from(mended)),
                        Approximation::Levelled {
                            polynomials,
                            times_x,
                            ..
                        } => series(rates, polynomials, *times_x, parts),
                    })
                    .collect()
            }
        };
        let refreshable = !matches!(node.op, Op::Input) && scales.exact[value];
        let leave = parameters.activation_out(IDENTITY_DEGREE);
        let refresh = match (enter, leave) {
            (Some(enter), Some(leave)) if refreshable => Some(Refresh {
                enter,
                seconds: vec![parts * rates.bootstrap(IDENTITY_DEGREE); leave + 1],
            }),
            _ => None,
        };
        placement::Node {
            name: node.name.clone(),
            operands: node.op.operands(),
            ways,
            refresh,
            activation: matches!(node.op, Op::Activation { .. }),
        }
    });
    Problem {
        nodes: nodes.collect(),
        output: graph.nodes.len() - 1,
        output_floor: 0,
    }
}

/// A way that no level allows: nothing stands that high.
fn never() -> Way {
    Way::Levelled {
        depth: 1 << 20,
        seconds: vec![0.0],
    }
}

fn fused(enter: Option<usize>, leave: Option<usize>, seconds: f64) -> Way {
    match (enter, leave) {
        (Some(enter), Some(leave)) => Way::Fused {
            enter,
            seconds: vec![seconds; leave + 1],
        },
        _ => never(),
    }
}

/// A composition of series, then perhaps a product.
fn series(rates: &Rates, polynomials: &[Vec<f64>], times_x: bool, parts: f64) -> Way {
    let depths: Vec<usize> = polynomials.iter().map(|p| depth(degree(p))).collect();
    let total = depths.iter().sum::<usize>() + usize::from(times_x);
    let price = |operand: usize| {
        let mut level = operand;
        let mut seconds = 0.0;
        for (p, d) in polynomials.iter().zip(&depths) {
            seconds += rates.polynomial(level, degree(p));
            level -= d;
        }
        parts * (seconds + if times_x { rates.mul[level] } else { 0.0 })
    };
    match rates.parameters.levelled_top() {
        top if top < total => never(),
        top => Way::Levelled {
            depth: total,
            seconds: (total..=top).map(price).collect(),
        },
    }
}

/// The way a choice takes, for activations.
fn chosen<'a>(node: &'a Node, choice: &Choice) -> Option<&'a Approximation> {
    match &node.op {
        Op::Activation { ways, .. } => ways.get(choice.way),
        Op::Input | Op::Linear { .. } | Op::Scale { .. } | Op::Add { .. } | Op::Mul { .. } => None,
    }
}

#[cfg(test)]
mod tests;
