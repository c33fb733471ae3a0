//! The slots language: packed vectors, linear maps between layouts, additions and activations.
//!
//! It stands between nn (tensors) and the ckks language (levels and scales): every value already
//! has a place in the slots of one ciphertext and a unit, but no operator has a level or a scale yet.
//!
//! Rules, which [`Graph::verify`] checks:
//! - node 0, and only node 0, is the input; an operator uses only values defined before it;
//! - the last node is the output, and every other value is used;
//! - all layouts have the same number of slots, are valid, and units are positive and finite;
//! - a `Linear` names an existing map, and each map has exactly one user; the map's stages take the
//!   operand's shape to the node's shape; a map that folds has an untwisted output; its gains are those
//!   of the units;
//! - a `Scale`, an `Add` and a `Mul` keep layouts; an `Add` has operands of equal unit and keeps it; a
//!   `Scale` has the factor unit in / unit out, so that it changes the unit and not the network value;
//!   the unit of a `Mul` is the product of its operands' units;
//! - an `Activation` has at least one way, and the operand's unit is the range of all of them; it
//!   changes nothing of the layout, but the twist where one of its ways is fused; coefficients are as in
//!   the ckks language;
//! - a target is a function of an earlier value of the same shape.

use std::fmt::Write as _;

use crate::function::Approximation;
use crate::layout::Layout;
use crate::linear::LinearError;
use crate::program::{LinearMap, Target, Value};
use crate::rules;

/// An operator of the slots language.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// The image.
    Input,
    /// An affine map between two layouts.
    Linear {
        /// Operand.
        x: Value,
        /// Index into [`Graph::maps`].
        map: usize,
    },
    /// Multiplication by a real constant; a change of unit.
    Scale {
        /// Operand.
        x: Value,
        /// The constant.
        factor: f64,
    },
    /// Sum of two values of equal layout and unit.
    Add {
        /// Left operand.
        x: Value,
        /// Right operand.
        y: Value,
    },
    /// Product of two values of equal layout; the unit is the product of their units.
    Mul {
        /// Left operand.
        x: Value,
        /// Right operand.
        y: Value,
    },
    /// A scalar function, in any of these ways; one is chosen when levels are. May change the layout's
    /// twist, which only fused ways can do.
    Activation {
        /// Operand, |x| <= 1 within the calibrated range.
        x: Value,
        /// At least one, all with the operand's unit as range.
        ways: Vec<Approximation>,
    },
}

impl Op {
    /// Operands in order.
    pub fn operands(&self) -> Vec<Value> {
        match *self {
            Op::Input => Vec::new(),
            Op::Linear { x, .. } | Op::Scale { x, .. } | Op::Activation { x, .. } => vec![x],
            Op::Add { x, y } | Op::Mul { x, y } => vec![x, y],
        }
    }
}

/// A node: the operator and the type of the value it defines.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// The operator.
    pub op: Op,
    /// Canonical name.
    pub name: String,
    /// Where the elements sit.
    pub layout: Layout,
    /// network value = slot value * unit.
    pub unit: f64,
    /// What the network itself has here, where that is not the operator applied to its operands.
    pub target: Option<Target>,
}

/// A straight-line program on packed vectors; node i defines value i, printed `v{i}`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Graph {
    /// In execution order.
    pub nodes: Vec<Node>,
    /// Affine maps, each used by one `Linear`.
    pub maps: Vec<LinearMap>,
}

/// A broken rule of the slots language.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("v{value} ({name}): {what}")]
pub struct Broken {
    /// Index of the node.
    pub value: Value,
    /// Its name.
    pub name: String,
    /// Rule, expected and found.
    pub what: String,
}

impl Graph {
    /// Appends a node and returns its value.
    pub fn push(&mut self, op: Op, name: &str, layout: Layout, unit: f64) -> Value {
        self.nodes.push(Node {
            op,
            name: name.to_string(),
            layout,
            unit,
            target: None,
        });
        self.nodes.len() - 1
    }

    /// Checks the rules of the module's documentation.
    ///
    /// # Errors
    /// The first broken rule, with its value.
    pub fn verify(&self) -> Result<(), Broken> {
        let mut map_used = vec![false; self.maps.len()];
        rules::verify_nodes(&self.nodes, |value| self.verify_node(value, &mut map_used)).map_err(
            |(value, what)| Broken {
                value,
                name: self.nodes.get(value).map_or("", |n| &n.name).to_string(),
                what,
            },
        )
    }

    fn verify_node(&self, value: Value, map_used: &mut [bool]) -> Result<(), String> {
        let (nodes, node) = (&self.nodes, &self.nodes[value]);
        match &node.op {
            Op::Input => Ok(()),
            Op::Linear { x, map } => {
                rules::verify_map(&self.maps, *map, &nodes[*x], node)?;
                match std::mem::replace(&mut map_used[*map], true) {
                    true => Err(format!("shares map {map} with another node")),
                    false => Ok(()),
                }
            }
            Op::Scale { x, factor } => rules::verify_factor(*factor, &nodes[*x], node),
            Op::Add { x, y } => rules::verify_sum([(*x, &nodes[*x]), (*y, &nodes[*y])], node),
            Op::Mul { x, y } => rules::verify_product([&nodes[*x], &nodes[*y]], node),
            Op::Activation { x, ways } => verify_ways(&nodes[*x], node, ways),
        }
    }

    /// What the graph makes of an image (c-major, in the network's units), in f64 on slots: linear maps by
    /// their diagonals, activations by their first way, twists by their permutation.
    ///
    /// # Errors
    /// When a map does not fit its layouts; the graph is otherwise taken to be verified.
    pub fn evaluate(&self, image: &[f64]) -> Result<Vec<f64>, LinearError> {
        let mut values: Vec<Vec<f64>> = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            let value = match &node.op {
                Op::Input => {
                    let image: Vec<f64> = image.iter().map(|v| v / node.unit).collect();
                    node.layout.pack(&image)
                }
                Op::Linear { x, map } => self.maps[*map]
                    .diagonals(&self.nodes[*x].layout, &node.layout)?
                    .apply(&values[*x]),
                Op::Scale { x, factor } => values[*x].iter().map(|v| v * factor).collect(),
                Op::Add { x, y } => values[*x]
                    .iter()
                    .zip(&values[*y])
                    .map(|(a, b)| a + b)
                    .collect(),
                Op::Mul { x, y } => values[*x]
                    .iter()
                    .zip(&values[*y])
                    .map(|(a, b)| a * b)
                    .collect(),
                Op::Activation { x, ways } => {
                    let from = &self.nodes[*x];
                    let act = |v: f64| match ways.first() {
                        Some(way) => way.apply(v * from.unit) / node.unit,
                        None => v,
                    };
                    match from.layout == node.layout {
                        true => values[*x].iter().map(|&v| act(v)).collect(),
                        false => {
                            let moved = from.layout.retwist(node.layout.twist);
                            moved
                                .into_iter()
                                .map(|slot| act(values[*x][slot]))
                                .collect()
                        }
                    }
                }
            };
            values.push(value);
        }
        let Some((node, value)) = self.nodes.last().zip(values.last()) else {
            return Ok(Vec::new());
        };
        let output = node.layout.unpack(value);
        Ok(output.into_iter().map(|v| v * node.unit).collect())
    }

    /// The graph as text, one node a line; constants as lengths.
    pub fn dump(&self) -> String {
        let mut out = String::new();
        for (value, node) in self.nodes.iter().enumerate() {
            let _ = write!(out, "v{value} = ");
            let _ = match &node.op {
                Op::Input => write!(out, "input"),
                Op::Linear { x, map } => {
                    let m = &self.maps[*map];
                    let fold = if m.fold { ", fold" } else { "" };
                    write!(
                        out,
                        "linear v{x} map {map} ({} stages{fold}, giant {})",
                        m.stages.len(),
                        m.giant
                    )
                }
                Op::Scale { x, factor } => write!(out, "scale v{x} by {factor:.6}"),
                Op::Add { x, y } => write!(out, "add v{x} v{y}"),
                Op::Mul { x, y } => write!(out, "mul v{x} v{y}"),
                Op::Activation { x, ways } => {
                    let ways: Vec<String> = ways.iter().map(describe).collect();
                    write!(out, "activation v{x} {}", ways.join(" or "))
                }
            };
            let _ = writeln!(
                out,
                "    # {} {} unit {:.6}{}",
                node.name,
                node.layout,
                node.unit,
                node.target
                    .as_ref()
                    .map_or(String::new(), |t| format!(" = {t}"))
            );
        }
        out
    }
}

fn verify_ways(from: &Node, node: &Node, ways: &[Approximation]) -> Result<(), String> {
    if ways.is_empty() {
        return Err("has no way to be computed".to_string());
    }
    let mut moves = false;
    for way in ways {
        rules::agrees("range", way.range(), from.unit)?;
        way.verify().map_err(|e| e.to_string())?;
        moves |= matches!(way, Approximation::Fused { .. });
    }
    match moves {
        true => rules::same_but_twist(from, node),
        false => rules::same_layout(from, node),
    }
}

/// A way in a few words.
fn describe(way: &Approximation) -> String {
    let degrees = way.degrees_between(",");
    match way {
        Approximation::Fused { rho, .. } => format!("fused degree {degrees} rho {rho}"),
        Approximation::Levelled { times_x, .. } => {
            let times = if *times_x { " times x" } else { "" };
            format!("levelled degrees {degrees}{times}")
        }
        Approximation::Square { .. } => "square".to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::{Linear, Shape};

    /// `activate(2 * input + input)`, twisted afterwards.
    fn graph() -> Graph {
        let layout = Layout {
            slots: 32,
            parts: 1,
            shape: Shape::new(2, 2, 2),
            gap: 1,
            rows: 2,
            cols: 2,
            copies: 4,
            twist: 0,
        };
        let mut graph = Graph::default();
        let double = Linear::Affine {
            scale: vec![2.0; 2],
            shift: vec![0.0; 2],
        };
        graph.maps.push(LinearMap {
            stages: vec![double],
            gain: 0.5,
            bias_gain: 0.5,
            fold: false,
            giant: 4,
        });
        let mut push = |op, unit| graph.push(op, "node", layout.clone(), unit);
        push(Op::Input, 1.0);
        push(Op::Linear { x: 0, map: 0 }, 2.0);
        push(Op::Scale { x: 0, factor: 0.5 }, 2.0);
        push(Op::Add { x: 1, y: 2 }, 2.0);
        // sin(y) as -cos(y + pi/2), rho = 1: 1/2 goes to sin(pi/4).
        let coefficients = vec![0.0, -1.0];
        let x = 3;
        push(
            Op::Activation {
                x,
                ways: vec![Approximation::Fused {
                    range: 2.0,
                    rho: 1.0,
                    coefficients,
                }],
            },
            2.0,
        );
        graph.nodes[4].layout.twist = 4;
        graph
    }

    #[test]
    fn evaluates_in_network_units() {
        let out = graph().evaluate(&[1.0 / 3.0; 8]).unwrap();
        // 3 * (1/3) is 1/2 of the unit 2.
        let expect = 2.0 * std::f64::consts::FRAC_PI_4.sin();
        assert!(out.iter().all(|v| (v - expect).abs() < 1e-12), "{out:?}");
        assert!(graph().dump().contains("v3 = add v1 v2"));
    }

    /// `x (1/2 + T_1(x)/2)` with x = input / 2, which is (x + x^2)/2, times the input's square.
    fn product() -> Graph {
        let layout = graph().nodes[0].layout.clone();
        let mut graph = Graph::default();
        let mut push = |op, unit| graph.push(op, "node", layout.clone(), unit);
        push(Op::Input, 2.0);
        let ways = vec![Approximation::Levelled {
            range: 2.0,
            polynomials: vec![vec![0.5, 0.5]],
            times_x: true,
        }];
        push(Op::Activation { x: 0, ways }, 5.0);
        push(Op::Mul { x: 0, y: 0 }, 4.0);
        push(Op::Mul { x: 1, y: 2 }, 20.0);
        graph
    }

    #[test]
    fn products_and_levelled_ways() {
        let graph = product();
        assert_eq!(graph.verify(), Ok(()));
        let out = graph.evaluate(&[1.0; 8]).unwrap();
        // 2 * (1/2 + 1/4)/2 * 1.
        assert!(out.iter().all(|v| (v - 0.75).abs() < 1e-12), "{out:?}");
        assert!(
            graph
                .dump()
                .contains("activation v0 levelled degrees 1 times x")
        );
        let check = |edit: fn(&mut Graph), expect: &str| {
            let mut graph = product();
            edit(&mut graph);
            let message = graph.verify().unwrap_err().to_string();
            assert!(message.contains(expect), "{message}");
        };
        check(|g| g.nodes[3].unit = 19.0, "has unit 19");
        check(|g| g.nodes[0].unit = 3.0, "has range 2");
        check(|g| g.nodes[1].layout.twist = 4, "moves values");
        check(
            |g| g.nodes[1].op = Op::Activation { x: 0, ways: vec![] },
            "no way",
        );
    }

    #[test]
    fn verify_refuses() {
        assert_eq!(graph().verify(), Ok(()));
        let check = |edit: fn(&mut Graph), expect: &str| {
            let mut graph = graph();
            edit(&mut graph);
            let message = graph.verify().unwrap_err().to_string();
            assert!(message.contains(expect), "{message}");
        };
        check(
            |g| g.nodes[1].op = Op::Scale { x: 1, factor: 0.5 },
            "not defined before",
        );
        check(
            |g| g.nodes[2].op = Op::Scale { x: 0, factor: 0.7 },
            "factor 0.7",
        );
        check(
            |g| g.nodes[1].op = Op::Linear { x: 0, map: 1 },
            "map 1 of 1",
        );
        check(|g| g.nodes[1].unit = 3.0, "has gain");
        check(|g| g.nodes[0].unit = f64::NAN, "unit NaN");
        check(|g| g.nodes[3].op = Op::Input, "second input");
        check(|g| g.nodes[4].layout.copies = 2, "more of the layout");
        check(|g| g.nodes[1].layout.twist = 4, "adds v1 laid out as");
        check(|g| g.nodes[3].op = Op::Add { x: 1, y: 1 }, "neither used");
    }
}
