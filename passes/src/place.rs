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
//! Test: `a_residual_block_is_placed` below, and the plan's independent checker.

use std::collections::BTreeSet;

use hecc_ir::costs::{CostTable, MapCounts, MapPrices};
use hecc_ir::function::Approximation;
use hecc_ir::params::{Parameters, depth};
use hecc_ir::program::{self, Program, Target};
use hecc_ir::slots::{Graph, Node, Op};

use crate::PassError;
use crate::approximate::{IDENTITY_DEGREE, IDENTITY_RHO, identity};
use crate::placement::{self, Choice, Placement, Problem, Refresh, Way};

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
    /// Seconds of encoding the bootstraps' transforms, once for each variant.
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

/// Whether a value can be made at any scale without a cost: its operator encodes a constant, and the
/// one reader asks for it.
struct Scales {
    settable: Vec<bool>,
    /// Products that a multiplication by 1 brings to S.
    mended: Vec<bool>,
    /// Whether the value stands at S, or at what its one reader asks for; not so for a product that
    /// only linear maps read.
    exact: Vec<bool>,
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
    let scales = Scales::of(graph);
    let problem = problem(graph, counts, parameters, costs, &scales);
    let solve = |problem: &Problem| match mode {
        Mode::Exact => placement::exact(problem),
        Mode::Greedy => placement::greedy(problem),
        Mode::Always => placement::before_every_activation(problem),
    };
    let mut best = placed(graph, parameters, costs, solve(&problem)?);
    // What is set up once is no part of the sum that the solvers minimise: without plain bootstraps,
    // or late ones, may be faster when it counts.
    if mode == Mode::Exact && best.setup > 0.0 {
        let others = [
            solve(&without_refresh(&problem)),
            placement::greedy(&problem),
        ];
        for other in others.into_iter().flatten() {
            let other = placed(graph, parameters, costs, other);
            if other.seconds() < best.seconds() {
                best = other;
            }
        }
        let bound = best.bound + forced_variants(graph) as f64 * costs.bootstrap_setup(parameters);
        best.bound = bound.min(best.seconds());
    }
    placement::validate(&problem, &best.placement)?;
    Ok(best)
}

/// Variants of the bootstrap that every placement sets up: those of activations that have no other way.
fn forced_variants(graph: &Graph) -> usize {
    let mut forced = BTreeSet::new();
    for node in &graph.nodes {
        if let Op::Activation { ways, .. } = &node.op {
            let mut variants: Vec<Option<Variant>> =
                ways.iter().map(|way| variant(graph, node, way)).collect();
            variants.dedup();
            if let [Some(only)] = variants[..] {
                forced.insert(only);
            }
        }
    }
    forced.len()
}

/// Bits of rho; stride and twists of an activation that turns its copies.
type Variant = (u64, Option<(usize, usize, usize)>);

fn variant(graph: &Graph, node: &Node, way: &Approximation) -> Option<Variant> {
    let Approximation::Fused { rho, .. } = way else {
        return None;
    };
    let from = &graph.nodes[node.op.operands()[0]].layout;
    let turn =
        (from.twist != node.layout.twist).then_some((from.stride(), from.twist, node.layout.twist));
    Some((rho.to_bits(), turn))
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
fn placed(
    graph: &Graph,
    parameters: &Parameters,
    costs: &CostTable,
    placement: Placement,
) -> Placed {
    let mut variants = BTreeSet::new();
    let mut bootstraps = 0;
    for (value, choice) in placement.choices.iter().enumerate() {
        let node = &graph.nodes[value];
        if let Some(variant) = chosen(node, choice).and_then(|way| variant(graph, node, way)) {
            variants.insert(variant);
            bootstraps += node.layout.parts;
        }
        if choice.refreshed.is_some() {
            variants.insert((IDENTITY_RHO.to_bits(), None));
            bootstraps += node.layout.parts;
        }
    }
    let setup = match variants.len() {
        0 => 0.0,
        n => n as f64 * costs.bootstrap_setup(parameters),
    };
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

impl Scales {
    fn of(graph: &Graph) -> Self {
        let mut readers = vec![Vec::new(); graph.nodes.len()];
        for (value, node) in graph.nodes.iter().enumerate() {
            let mut operands = node.op.operands();
            operands.dedup();
            operands.into_iter().for_each(|x| readers[x].push(value));
        }
        let mut scales = Self {
            settable: Vec::with_capacity(graph.nodes.len()),
            mended: Vec::with_capacity(graph.nodes.len()),
            exact: Vec::with_capacity(graph.nodes.len()),
        };
        for (value, node) in graph.nodes.iter().enumerate() {
            let readers = &readers[value];
            let alone = readers.len() == 1;
            let settable = &scales.settable;
            let free = match &node.op {
                Op::Mul { x, y } => Some(settable[*x] || settable[*y]),
                Op::Activation { x, .. } if is_product(node) => Some(settable[*x]),
                Op::Input
                | Op::Linear { .. }
                | Op::Scale { .. }
                | Op::Add { .. }
                | Op::Activation { .. } => None,
            };
            let corrects = |reader: &usize| {
                matches!(
                    graph.nodes[*reader].op,
                    Op::Linear { .. } | Op::Scale { .. }
                )
            };
            let asked = readers.is_empty() || !readers.iter().all(corrects);
            let makes_any = match &node.op {
                Op::Input | Op::Mul { .. } => false,
                Op::Linear { .. } | Op::Scale { .. } => alone,
                Op::Add { x, y } => alone && settable[*x] && settable[*y],
                Op::Activation { .. } => alone && free.is_none(),
            };
            scales.settable.push(makes_any);
            scales.mended.push(free == Some(false) && asked);
            scales.exact.push(free != Some(false) || asked);
        }
        scales
    }
}

fn problem(
    graph: &Graph,
    counts: &[MapCounts],
    parameters: &Parameters,
    costs: &CostTable,
    scales: &Scales,
) -> Problem {
    let (top, products) = (parameters.top(), parameters.levelled_top());
    let map_prices: Vec<MapPrices> = (0..=top)
        .map(|level| costs.map_prices(parameters, level))
        .collect();
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
                        let mend = (depth - 1) as f64 * costs.mul_const(parameters, l - depth + 1);
                        parts * (costs.mul(parameters, l) + mend)
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
                vec![one_level(top, &|l| map_prices[l].seconds(&counts[*map]))]
            }
            Op::Scale { .. } => vec![one_level(top, &|l| parts * costs.mul_const(parameters, l))],
            Op::Add { .. } => vec![Way::Levelled {
                depth: 0,
                seconds: (0..=top)
                    .map(|l| parts * costs.add(parameters, l))
                    .collect(),
            }],
            Op::Mul { .. } => vec![multiplied(1 + usize::from(mended))],
            Op::Activation { x, ways } => {
                let turned = graph.nodes[*x].layout != node.layout;
                ways.iter()
                    .map(|way| match way {
                        Approximation::Fused { coefficients, .. } => fused(
                            enter,
                            parameters.activation_out(degree(coefficients)),
                            parts * costs.bootstrap(parameters, degree(coefficients)),
                        ),
                        _ if turned => never(),
                        Approximation::Square { .. } => multiplied(1 + usize::from(mended)),
                        Approximation::Levelled {
                            polynomials,
                            times_x,
                            ..
                        } => series(parameters, costs, polynomials, *times_x, parts),
                    })
                    .collect()
            }
        };
        let refreshable = !matches!(node.op, Op::Input) && scales.exact[value];
        let leave = parameters.activation_out(IDENTITY_DEGREE);
        let refresh = match (enter, leave) {
            (Some(enter), Some(leave)) if refreshable => Some(Refresh {
                enter,
                seconds: vec![parts * costs.bootstrap(parameters, IDENTITY_DEGREE); leave + 1],
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

fn is_product(node: &Node) -> bool {
    match &node.op {
        Op::Mul { .. } => true,
        Op::Activation { ways, .. } => ways
            .iter()
            .any(|way| matches!(way, Approximation::Square { .. })),
        Op::Input | Op::Linear { .. } | Op::Scale { .. } | Op::Add { .. } => false,
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
fn series(
    parameters: &Parameters,
    costs: &CostTable,
    polynomials: &[Vec<f64>],
    times_x: bool,
    parts: f64,
) -> Way {
    let depths: Vec<usize> = polynomials.iter().map(|p| depth(degree(p))).collect();
    let total = depths.iter().sum::<usize>() + usize::from(times_x);
    let price = |operand: usize| {
        let mut level = operand;
        let mut seconds = 0.0;
        for (p, d) in polynomials.iter().zip(&depths) {
            seconds += costs.polynomial(parameters, level, degree(p));
            level -= d;
        }
        parts
            * (seconds
                + if times_x {
                    costs.mul(parameters, level)
                } else {
                    0.0
                })
    };
    match parameters.levelled_top() {
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

/// Writes the program that a placement describes.
pub fn emit_program(graph: &Graph, placed: &Placed, parameters: &Parameters) -> Program {
    let scales = Scales::of(graph);
    let wanted = wanted_scales(graph, placed, parameters, &scales);
    let mut writer = Writer {
        parameters,
        nodes: Vec::new(),
        values: Vec::with_capacity(graph.nodes.len()),
    };
    for (value, node) in graph.nodes.iter().enumerate() {
        let choice = &placed.placement.choices[value];
        let scale = match choice.refreshed {
            Some(_) => parameters.scale(),
            None => wanted[value],
        };
        let mut result = writer.node(node, choice, scale, scales.mended[value]);
        if let Some(level) = choice.refreshed {
            let op = program::Op::Activate {
                x: result,
                coefficients: identity(IDENTITY_DEGREE, IDENTITY_RHO),
                rho: IDENTITY_RHO,
            };
            let target = Some(Target {
                x: result,
                function: None,
            });
            result = writer.push(node, op, level, wanted[value], target);
        }
        writer.values.push(result);
    }
    Program {
        nodes: writer.nodes,
        maps: graph.maps.clone(),
    }
}

/// The scale at which every value is to stand: S, or what lets the one product it enters end at S.
fn wanted_scales(
    graph: &Graph,
    placed: &Placed,
    parameters: &Parameters,
    scales: &Scales,
) -> Vec<f64> {
    let s = parameters.scale();
    let mut wanted = vec![s; graph.nodes.len()];
    let prime = |level: usize| parameters.q[level] as f64;
    for (value, node) in graph.nodes.iter().enumerate().rev() {
        let choice = &placed.placement.choices[value];
        let square = matches!(chosen(node, choice), Some(Approximation::Square { .. }));
        // A plain bootstrap makes the wanted scale itself, from an operand at S.
        let own = match choice.refreshed {
            Some(_) => s,
            None => wanted[value],
        };
        match &node.op {
            Op::Add { x, y } => {
                wanted[*x] = own;
                wanted[*y] = own;
            }
            Op::Activation { x, .. } if square && scales.settable[*x] => {
                wanted[*x] = (s * prime(choice.level + 1)).sqrt();
            }
            Op::Mul { x, y } if x == y && scales.settable[*x] => {
                wanted[*x] = (s * prime(choice.level + 1)).sqrt();
            }
            Op::Mul { x, y } if scales.settable[*x] || scales.settable[*y] => {
                let free = if scales.settable[*x] { *x } else { *y };
                wanted[free] = prime(choice.level + 1);
            }
            Op::Input
            | Op::Linear { .. }
            | Op::Scale { .. }
            | Op::Mul { .. }
            | Op::Activation { .. } => {}
        }
    }
    wanted
}

struct Writer<'a> {
    parameters: &'a Parameters,
    nodes: Vec<program::Node>,
    /// The program's value of every slots node so far.
    values: Vec<usize>,
}

impl Writer<'_> {
    fn push(
        &mut self,
        node: &Node,
        op: program::Op,
        level: usize,
        scale: f64,
        target: Option<Target>,
    ) -> usize {
        self.nodes.push(program::Node {
            op,
            name: node.name.clone(),
            layout: node.layout.clone(),
            level,
            scale,
            unit: node.unit,
            target,
        });
        self.nodes.len() - 1
    }

    /// Writes the operator at its chosen level, with a result of `scale`; its value.
    fn node(&mut self, node: &Node, choice: &Choice, scale: f64, mended: bool) -> usize {
        let level = choice.level;
        match &node.op {
            Op::Input => self.push(node, program::Op::Input, level, scale, None),
            Op::Linear { x, map } => {
                let op = program::Op::Linear {
                    x: self.values[*x],
                    map: *map,
                };
                self.push(node, op, level, scale, None)
            }
            Op::Scale { x, factor } => {
                let op = program::Op::MulConst {
                    x: self.values[*x],
                    factor: *factor,
                };
                self.push(node, op, level, scale, None)
            }
            Op::Add { x, y } => {
                let op = program::Op::Add {
                    x: self.values[*x],
                    y: self.values[*y],
                };
                self.push(node, op, level, scale, None)
            }
            Op::Mul { x, y } => {
                let (x, y) = (self.values[*x], self.values[*y]);
                self.product(node, x, y, level, scale, mended, None)
            }
            Op::Activation { x, ways } => {
                let x = self.values[*x];
                let target = node.target.as_ref().map(|target| Target {
                    x: self.values[target.x],
                    function: target.function.clone(),
                });
                self.activation(node, x, &ways[choice.way], level, scale, mended, target)
            }
        }
    }

    /// A product that ends at `scale`: by its operands' scales, or by a multiplication by 1 after it.
    fn product(
        &mut self,
        node: &Node,
        x: usize,
        y: usize,
        level: usize,
        scale: f64,
        mended: bool,
        target: Option<Target>,
    ) -> usize {
        let at = level + usize::from(mended);
        let prime = self.parameters.q[at + 1] as f64;
        let own = self.nodes[x].scale * self.nodes[y].scale / prime;
        let product = self.push(node, program::Op::Mul { x, y }, at, own, target);
        if !mended {
            return product;
        }
        let op = program::Op::MulConst {
            x: product,
            factor: 1.0,
        };
        self.push(node, op, level, scale, None)
    }

    fn activation(
        &mut self,
        node: &Node,
        x: usize,
        way: &Approximation,
        level: usize,
        scale: f64,
        mended: bool,
        target: Option<Target>,
    ) -> usize {
        match way {
            Approximation::Fused {
                range,
                rho,
                coefficients,
            } => {
                let op = program::Op::Activate {
                    x,
                    coefficients: scaled(coefficients, range / node.unit),
                    rho: *rho,
                };
                self.push(node, op, level, scale, target)
            }
            Approximation::Square { .. } => self.product(node, x, x, level, scale, mended, target),
            Approximation::Levelled {
                range,
                polynomials,
                times_x,
            } => {
                let below = |i: usize| {
                    polynomials[i + 1..]
                        .iter()
                        .map(|p| depth(degree(p)))
                        .sum::<usize>()
                };
                let last = level + usize::from(*times_x);
                let prime = self.parameters.q[level + 1] as f64;
                let mut value = x;
                for (i, polynomial) in polynomials.iter().enumerate() {
                    let end = i + 1 == polynomials.len();
                    // The unit of the product is that of its operands, so the last series brings the rest.
                    let (gain, unit) = match (end, times_x) {
                        (false, _) => (1.0, 1.0),
                        (true, false) => (range / node.unit, node.unit),
                        (true, true) => (range / node.unit, node.unit / range),
                    };
                    let target_scale = match (end, times_x) {
                        (true, true) => scale * prime / self.nodes[x].scale,
                        (true, false) => scale,
                        (false, _) => self.parameters.scale(),
                    };
                    let op = program::Op::Polynomial {
                        x: value,
                        coefficients: scaled(polynomial, gain),
                    };
                    let target = if end && !times_x {
                        target.clone()
                    } else {
                        None
                    };
                    value = self.push(node, op, last + below(i), target_scale, target);
                    self.nodes[value].unit = unit;
                }
                match times_x {
                    true => self.product(node, x, value, level, scale, false, target),
                    false => value,
                }
            }
        }
    }
}

/// The series times `gain`, without trailing zeros.
fn scaled(series: &[f64], gain: f64) -> Vec<f64> {
    series[..=degree(series)].iter().map(|c| c * gain).collect()
}

#[cfg(test)]
mod tests {
    use hecc_ir::function::Function;
    use hecc_ir::layout::Layout;
    use hecc_ir::nn::{Linear, Shape};
    use hecc_ir::program::LinearMap;

    use super::*;

    /// `linear(act(linear(x))) + x`, both linear maps the identity.
    fn block(ways: Vec<Approximation>, unit: f64) -> (Graph, Vec<MapCounts>) {
        let layout = Layout {
            slots: 1 << 10,
            parts: 1,
            shape: Shape::new(4, 8, 8),
            gap: 1,
            rows: 8,
            cols: 8,
            copies: 4,
            twist: 0,
        };
        let mut graph = Graph::default();
        let input = graph.push(Op::Input, "input", layout.clone(), 1.0);
        let map = |from: f64, to: f64| LinearMap {
            stages: vec![Linear::Affine {
                scale: vec![1.0; 4],
                shift: vec![0.0; 4],
            }],
            gain: from / to,
            bias_gain: 1.0 / to,
            fold: false,
            giant: 1,
        };
        graph.maps = vec![map(1.0, 1.0), map(unit, 1.0)];
        let first = graph.push(
            Op::Linear { x: input, map: 0 },
            "first",
            layout.clone(),
            1.0,
        );
        let act = graph.push(
            Op::Activation { x: first, ways },
            "act",
            layout.clone(),
            unit,
        );
        graph.nodes[act].target = Some(Target {
            x: first,
            function: Some(Function::Relu),
        });
        let second = graph.push(Op::Linear { x: act, map: 1 }, "second", layout.clone(), 1.0);
        graph.push(
            Op::Add {
                x: second,
                y: input,
            },
            "sum",
            layout,
            1.0,
        );
        graph.verify().unwrap();
        let one = MapCounts {
            diagonals: 1,
            babies: 0,
            giants: 0,
            folds: 0,
            inputs: 1,
            outputs: 1,
        };
        (graph, vec![one; 2])
    }

    #[test]
    fn a_residual_block_is_placed() {
        let fused = Approximation::Fused {
            range: 1.0,
            rho: 0.92,
            coefficients: vec![0.25; 16],
        };
        let composed = Approximation::Levelled {
            range: 1.0,
            polynomials: vec![vec![0.0, 0.5, 0.0, 0.25], vec![0.5, 0.5]],
            times_x: true,
        };
        let square = Approximation::Square { range: 1.0 };
        let check = |ways: Vec<Approximation>, levels: usize, mode: Mode, bootstraps: usize| {
            let (graph, counts) = block(ways, 1.0);
            let parameters = match levels {
                0 => Parameters::fused(11, 15),
                levels => {
                    let constraints = crate::choose_parameters::Constraints {
                        ring: Some(11),
                        security: 128,
                        precision: 20,
                        allow_insecure: true,
                    };
                    let sets =
                        crate::choose_parameters::without_bootstrap(11, levels, &constraints);
                    sets.sets[0].clone()
                }
            };
            let placed = place(&graph, &counts, &parameters, CostTable::reference(), mode).unwrap();
            assert_eq!(placed.bootstraps, bootstraps);
            let program = emit_program(&graph, &placed, &parameters);
            program.verify(&parameters).unwrap();
            let image: Vec<f64> = (0..256).map(|i| f64::from(i) / 256.0 - 0.5).collect();
            let way = match &graph.nodes[2].op {
                Op::Activation { ways, .. } => ways[placed.placement.choices[2].way].clone(),
                other => panic!("{other:?}"),
            };
            let expect = image.iter().map(|&x| way.apply(x) + x);
            let got = program.evaluate(&image).unwrap();
            let worst = got
                .iter()
                .zip(expect)
                .map(|(a, b)| (a - b).abs())
                .fold(0.0, f64::max);
            assert!(worst < 1e-9, "{worst}");
        };
        check(vec![fused.clone()], 0, Mode::Exact, 1);
        check(vec![fused.clone(), square.clone()], 0, Mode::Greedy, 0);
        check(vec![square.clone()], 3, Mode::Exact, 0);
        check(vec![composed.clone()], 6, Mode::Exact, 0);
        assert_eq!(levelled_depth(&block(vec![square], 1.0).0), Some(3));
        assert_eq!(levelled_depth(&block(vec![composed], 1.0).0), Some(6));
        assert_eq!(levelled_depth(&block(vec![fused], 1.0).0), None);
    }

    #[test]
    fn too_few_levels_are_named() {
        let way = Approximation::Levelled {
            range: 1.0,
            polynomials: vec![vec![0.5; 64]],
            times_x: false,
        };
        let (graph, counts) = block(vec![way], 1.0);
        let parameters = Parameters::fused(11, 15);
        let e = place(
            &graph,
            &counts,
            &parameters,
            CostTable::reference(),
            Mode::Exact,
        )
        .unwrap_err();
        assert!(e.to_string().contains("act"), "{e}");
    }
}
