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
//!   operand's shape to the node's shape; a map that folds has an untwisted output;
//! - a `Scale` and an `Add` keep layouts; an `Add` has operands of equal unit and keeps it; a `Scale`
//!   has the factor unit in / unit out, so that it changes the unit and not the network value;
//! - an `Activate` changes nothing of the layout but the twist, has finite coefficients, at least
//!   two, and 0 < rho <= 1.

use std::fmt::Write as _;

use crate::layout::Layout;
use crate::linear::LinearError;
use crate::program::{LinearMap, Value};
use crate::program_eval::activate;

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
    /// `P(cos((pi/2)(1 + rho * x)))`, P in the Chebyshev basis; may change the layout's twist.
    Activate {
        /// Operand, |x| <= 1 within the calibrated range.
        x: Value,
        /// Chebyshev coefficients c_0.. of P.
        coefficients: Vec<f64>,
        /// Share of the half circle the calibrated range fills.
        rho: f64,
    },
}

impl Op {
    /// Operands in order.
    pub fn operands(&self) -> Vec<Value> {
        match *self {
            Op::Input => Vec::new(),
            Op::Linear { x, .. } | Op::Scale { x, .. } | Op::Activate { x, .. } => vec![x],
            Op::Add { x, y } => vec![x, y],
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
        });
        self.nodes.len() - 1
    }

    /// Checks the rules of the module's documentation.
    ///
    /// # Errors
    /// The first broken rule, with its value.
    pub fn verify(&self) -> Result<(), Broken> {
        let mut used = vec![false; self.nodes.len()];
        let mut map_used = vec![false; self.maps.len()];
        for (value, node) in self.nodes.iter().enumerate() {
            let broken = |what: String| Broken {
                value,
                name: node.name.clone(),
                what,
            };
            for x in node.op.operands() {
                if x >= value {
                    return Err(broken(format!("uses v{x}, which is not defined before it")));
                }
                used[x] = true;
            }
            self.verify_node(value, &mut map_used).map_err(broken)?;
        }
        let last = self.nodes.len().saturating_sub(1);
        match used[..last].iter().position(|used| !used) {
            Some(value) => Err(Broken {
                value,
                name: self.nodes[value].name.clone(),
                what: "is neither used nor the output".to_string(),
            }),
            None => Ok(()),
        }
    }

    fn verify_node(&self, value: Value, map_used: &mut [bool]) -> Result<(), String> {
        let node = &self.nodes[value];
        if node.layout.slots != self.nodes[0].layout.slots {
            return Err(format!(
                "has {} slots, the input has {}",
                node.layout.slots, self.nodes[0].layout.slots
            ));
        }
        node.layout.verify().map_err(|e| e.to_string())?;
        if !(node.unit.is_finite() && node.unit > 0.0) {
            return Err(format!(
                "has unit {}, expected a positive number",
                node.unit
            ));
        }
        match &node.op {
            Op::Input if value != 0 => Err("is a second input".to_string()),
            Op::Input => Ok(()),
            Op::Linear { x, map } => {
                let from = &self.nodes[*x];
                let Some(linear) = self.maps.get(*map) else {
                    return Err(format!("uses map {map} of {}", self.maps.len()));
                };
                if std::mem::replace(&mut map_used[*map], true) {
                    return Err(format!("shares map {map} with another node"));
                }
                if linear.fold && node.layout.twist != 0 {
                    return Err(format!(
                        "folds into a layout with twist {}",
                        node.layout.twist
                    ));
                }
                let shapes = linear
                    .shapes(from.layout.shape)
                    .map_err(|e| e.to_string())?;
                let shape = shapes.last().copied().unwrap_or(from.layout.shape);
                if shape != node.layout.shape {
                    return Err(format!(
                        "the stages give {shape}, the layout holds {}",
                        node.layout.shape
                    ));
                }
                Ok(())
            }
            Op::Scale { x, factor } => {
                let from = &self.nodes[*x];
                if from.layout != node.layout {
                    return Err("a scale changes the layout".to_string());
                }
                let expected = from.unit / node.unit;
                if (factor - expected).abs() > 1e-12 * expected.abs() {
                    return Err(format!("has factor {factor}, the units ask for {expected}"));
                }
                Ok(())
            }
            Op::Add { x, y } => {
                for operand in [x, y] {
                    let from = &self.nodes[*operand];
                    if from.layout != node.layout {
                        return Err(format!("adds v{operand} of another layout"));
                    }
                    if from.unit != node.unit {
                        return Err(format!(
                            "adds v{operand} of unit {}, expected {}",
                            from.unit, node.unit
                        ));
                    }
                }
                Ok(())
            }
            Op::Activate {
                x,
                coefficients,
                rho,
            } => {
                let mut layout = self.nodes[*x].layout.clone();
                layout.twist = node.layout.twist;
                if layout != node.layout {
                    return Err(
                        "an activation changes more of the layout than the twist".to_string()
                    );
                }
                if coefficients.len() < 2 || coefficients.iter().any(|c| !c.is_finite()) {
                    return Err(format!(
                        "has {} coefficients, expected at least 2, all finite",
                        coefficients.len()
                    ));
                }
                if !(*rho > 0.0 && *rho <= 1.0) {
                    return Err(format!("has rho {rho}, expected 0 < rho <= 1"));
                }
                Ok(())
            }
        }
    }

    /// What the graph makes of an image (c-major, in the network's units), in f64 on slots: linear maps by
    /// their diagonals, activations by their polynomial, twists by their permutation.
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
                Op::Activate {
                    x,
                    coefficients,
                    rho,
                } => {
                    let moved = self.nodes[*x].layout.retwist(node.layout.twist);
                    let act = |v: f64| activate(coefficients, *rho, v);
                    moved
                        .into_iter()
                        .map(|slot| act(values[*x][slot]))
                        .collect()
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
                Op::Activate {
                    x,
                    coefficients,
                    rho,
                } => {
                    write!(
                        out,
                        "activate v{x} degree {} rho {rho}",
                        coefficients.len() - 1
                    )
                }
            };
            let _ = writeln!(
                out,
                "    # {} {} unit {:.6}",
                node.name, node.layout, node.unit
            );
        }
        out
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
            Op::Activate {
                x,
                coefficients,
                rho: 1.0,
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
        check(|g| g.nodes[1].unit = 3.0, "unit 3");
        check(|g| g.nodes[0].unit = f64::NAN, "unit NaN");
        check(|g| g.nodes[3].op = Op::Input, "second input");
        check(|g| g.nodes[4].layout.copies = 2, "more of the layout");
        check(|g| g.nodes[1].layout.twist = 4, "another layout");
        check(|g| g.nodes[3].op = Op::Add { x: 1, y: 1 }, "neither used");
    }
}
