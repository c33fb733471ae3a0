//! Writes the program that a placement describes.

use hecc_ir::function::Approximation;
use hecc_ir::params::{Parameters, depth};
use hecc_ir::program::{self, Program, Target};
use hecc_ir::slots::{Graph, Node, Op};

use super::scales::Scales;
use super::{Placed, chosen, degree};
use crate::approximate::{IDENTITY_DEGREE, IDENTITY_RHO, identity};
use crate::placement::Choice;

/// Scales that differ by less, relatively, are equal.
const ROUNDING: f64 = 1e-12;

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
        // Values at one scale differ in no bit, so that their bootstraps share a bootstrapper.
        let own = match (own / scale - 1.0).abs() < ROUNDING {
            true => scale,
            false => own,
        };
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
