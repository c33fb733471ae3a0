//! The rules of the ckks language, which [`Program::verify`] checks:
//! - node 0, and only node 0, is the input; an operator uses only values defined before it; the last
//!   node is the output, and every other value is used;
//! - all layouts are valid and have the ring's number of slots; units are positive;
//! - a `Linear` names an existing map, which names its shapes: the stages take the operand's shape to
//!   the node's; a map that folds has an untwisted output; its giant step is 1 to the number of slots;
//! - numbers keep their meaning: a map's gain is unit in / unit out and its bias gain 1 / unit out, a
//!   `MulConst` multiplies by unit in / unit out and keeps the layout; the unit of a `Mul` is the product
//!   of its operands' units, whose layout is its own;
//! - an `Add` has operands of its own layout, unit and scale;
//! - a `Polynomial` keeps the layout, an `Activate` all but the twist; both have 2 to
//!   [`MAX_COEFFICIENTS`] finite coefficients, the last one nonzero; 0 < rho <= 1;
//! - a target is a function of an earlier value of the same shape;
//! - levels: at most the top. Operands stand at the level at which the operator takes them or higher
//!   ([`Program::enters_at`]): one above the node for `Linear`, `MulConst` and `Mul`, as many as the
//!   degree has bits for `Polynomial`, the node's own for `Add`, where slots-to-coefficients starts for
//!   `Activate`, whose result stands at most where the cosine and its own degree lead;
//! - scales: what the level can hold, that of an operand also where it is taken; the plaintext scale a
//!   `Linear` or `MulConst` needs to reach its node's scale carries at least [`MIN_PLAIN_BITS`] bits; a
//!   `Mul` has the product of its operands' scales over the prime it divides away; the powers that a
//!   `Polynomial` computes keep at least [`MIN_PLAIN_BITS`] bits and fit their levels.

use crate::params::{Parameters, depth};
use crate::program::{Node, Op, Program, Value};
use crate::rules;
pub use crate::rules::MAX_COEFFICIENTS;

/// Least bits of a plaintext scale.
pub const MIN_PLAIN_BITS: f64 = 10.0;
/// Scales of products are computed by whoever needs them, in whatever order.
const SCALE_TOLERANCE: f64 = 1e-9;

/// A broken rule of the ckks language.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("v{value} ({name}): {what}")]
pub struct ProgramError {
    /// Index of the node.
    pub value: Value,
    /// ONNX name.
    pub name: String,
    /// Rule, expected and got.
    pub what: String,
}

impl Op {
    /// Lower-case name, for dumps and reports.
    pub fn name(&self) -> &'static str {
        match self {
            Op::Input => "input",
            Op::Linear { .. } => "linear",
            Op::MulConst { .. } => "mul_const",
            Op::Add { .. } => "add",
            Op::Mul { .. } => "mul",
            Op::Polynomial { .. } => "polynomial",
            Op::Activate { .. } => "activate",
        }
    }

    /// Operands in order.
    pub fn operands(&self) -> Vec<Value> {
        match *self {
            Op::Input => Vec::new(),
            Op::Linear { x, .. }
            | Op::MulConst { x, .. }
            | Op::Polynomial { x, .. }
            | Op::Activate { x, .. } => vec![x],
            Op::Add { x, y } | Op::Mul { x, y } => vec![x, y],
        }
    }
}

impl Node {
    /// The level to which the node's operands are dropped before its operator runs, and for which the
    /// operator needs its keys; the node's own for an input. None for an activation in a parameter set
    /// without a bootstrap.
    pub fn enters_at(&self, parameters: &Parameters) -> Option<usize> {
        match &self.op {
            Op::Input | Op::Add { .. } => Some(self.level),
            Op::Linear { .. } | Op::MulConst { .. } | Op::Mul { .. } => self.level.checked_add(1),
            Op::Polynomial { coefficients, .. } => {
                let degree = coefficients.len().saturating_sub(1);
                self.level.checked_add(depth(degree))
            }
            Op::Activate { .. } => parameters.activation_in(),
        }
    }
}

impl Program {
    /// Checks all rules of the language.
    ///
    /// # Errors
    /// The first broken rule, with its value and ONNX name.
    pub fn verify(&self, parameters: &Parameters) -> Result<(), ProgramError> {
        self.verify_structure()?;
        for (value, node) in self.nodes.iter().enumerate() {
            self.verify_levels(node, parameters)
                .map_err(|what| self.broken(value, what))?;
        }
        Ok(())
    }

    /// Checks the rules that hold without parameters: all but levels and scales.
    ///
    /// # Errors
    /// As [`Program::verify`].
    pub fn verify_structure(&self) -> Result<(), ProgramError> {
        rules::verify_nodes(&self.nodes, |value| self.verify_node(value))
            .map_err(|(value, what)| self.broken(value, what))
    }

    pub(crate) fn broken(&self, value: Value, what: String) -> ProgramError {
        let name = self.nodes.get(value).map_or("", |node| &node.name);
        ProgramError {
            value,
            name: name.to_string(),
            what,
        }
    }

    fn verify_node(&self, value: Value) -> Result<(), String> {
        let (nodes, node) = (&self.nodes, &self.nodes[value]);
        match &node.op {
            Op::Input => Ok(()),
            Op::Linear { x, map } => rules::verify_map(&self.maps, *map, &nodes[*x], node),
            Op::MulConst { x, factor } => rules::verify_factor(*factor, &nodes[*x], node),
            Op::Add { x, y } => rules::verify_sum([(*x, &nodes[*x]), (*y, &nodes[*y])], node),
            Op::Mul { x, y } => rules::verify_product([&nodes[*x], &nodes[*y]], node),
            Op::Polynomial { x, coefficients } => {
                rules::same_layout(&nodes[*x], node)?;
                rules::verify_coefficients(coefficients)
            }
            Op::Activate {
                x,
                coefficients,
                rho,
            } => {
                rules::same_but_twist(&nodes[*x], node)?;
                rules::verify_coefficients(coefficients)?;
                rules::verify_rho(*rho)
            }
        }
    }

    fn verify_levels(&self, node: &Node, parameters: &Parameters) -> Result<(), String> {
        if node.layout.slots != parameters.slots() {
            let (found, ring) = (node.layout.slots, parameters.slots());
            return Err(format!("has {found} slots, the ring has {ring}"));
        }
        if node.level > parameters.top() {
            let top = parameters.top();
            return Err(format!("is at level {}, the top is {top}", node.level));
        }
        holds("has", node.scale, node.level, parameters)?;
        let Some(enter) = node.enters_at(parameters) else {
            return Err("activates, and the parameters have no bootstrap".to_string());
        };
        for x in node.op.operands() {
            let from = &self.nodes[x];
            if from.level < enter {
                let found = from.level;
                return Err(format!(
                    "takes v{x} at level {found}, expected {enter} or more"
                ));
            }
            holds(&format!("takes v{x} at"), from.scale, enter, parameters)?;
        }
        match &node.op {
            Op::Input => Ok(()),
            Op::Linear { x, .. } | Op::MulConst { x, .. } => {
                let plain = node.scale * parameters.q[enter] as f64 / self.nodes[*x].scale;
                match plain.log2() >= MIN_PLAIN_BITS {
                    true => Ok(()),
                    false => Err(format!(
                        "needs constants of scale {plain}, at least 2^{MIN_PLAIN_BITS}"
                    )),
                }
            }
            Op::Add { x, y } => {
                let (x, y) = (self.nodes[*x].scale, self.nodes[*y].scale);
                match x == node.scale && y == node.scale {
                    true => Ok(()),
                    false => Err(format!("adds scales {x} and {y} to scale {}", node.scale)),
                }
            }
            Op::Mul { x, y } => {
                let (x, y) = (self.nodes[*x].scale, self.nodes[*y].scale);
                let expected = x * y / parameters.q[enter] as f64;
                match (node.scale - expected).abs() <= SCALE_TOLERANCE * expected {
                    true => Ok(()),
                    false => Err(format!("has scale {}, expected {expected}", node.scale)),
                }
            }
            Op::Polynomial { x, .. } => {
                let mut scale = self.nodes[*x].scale;
                for level in (node.level + 2..=enter).rev() {
                    scale *= scale / parameters.q[level] as f64;
                    let power = format!("computes powers of v{x} of");
                    holds(&power, scale, level - 1, parameters)?;
                    if scale.log2() < MIN_PLAIN_BITS {
                        return Err(format!("computes powers of v{x} of scale {scale}"));
                    }
                }
                Ok(())
            }
            Op::Activate { coefficients, .. } => {
                let (degree, top) = (coefficients.len() - 1, parameters.top());
                match parameters.activation_out(degree) {
                    Some(out) if node.level <= out => Ok(()),
                    Some(out) => Err(format!(
                        "is at level {}, expected at most {out}",
                        node.level
                    )),
                    None => Err(format!("has degree {degree}, too deep for {top} levels")),
                }
            }
        }
    }
}

/// A scale that the level's modulus can hold.
fn holds(what: &str, scale: f64, level: usize, parameters: &Parameters) -> Result<(), String> {
    let room: f64 = parameters
        .q
        .iter()
        .take(level + 1)
        .map(|&q| (q as f64).log2())
        .sum();
    match scale > 1.0 && scale.log2() < room {
        true => Ok(()),
        false => Err(format!(
            "{what} scale {scale}, level {level} holds 2^{room:.0}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::function::Function;
    use crate::program::Target;
    use crate::testing::{levelled_parameters, levelled_program, residual_program};

    #[test]
    fn verify_names_the_broken_rule() {
        let parameters = Parameters::fused(11, 15);
        let refused = |edit: fn(&mut Program), expect: &str| {
            let mut program = residual_program();
            edit(&mut program);
            let message = program.verify(&parameters).unwrap_err().to_string();
            assert!(message.contains(expect), "{message}, expected {expect}");
        };
        refused(|p| p.nodes.clear(), "without nodes");
        refused(
            |p| p.nodes[0].op = Op::MulConst { x: 0, factor: 1.0 },
            "v0 (node0): uses v0",
        );
        refused(|p| p.nodes[4].op = Op::Input, "second input");
        refused(
            |p| p.nodes[5].op = Op::Add { x: 3, y: 3 },
            "v4 (node4): is neither used",
        );
        refused(
            |p| p.nodes[5].op = Op::Add { x: 3, y: 2 },
            "adds v2 laid out as",
        );
        refused(|p| p.nodes[2].layout.slots = 512, "slots");
        refused(|p| p.nodes[3].unit = -1.0, "unit -1");
        refused(|p| p.nodes[3].unit = 5.1, "has gain");
        refused(|p| p.maps.truncate(2), "uses map 2 of 2");
        refused(|p| p.maps[1].giant = 0, "giant step of 0");
        refused(
            |p| p.maps[2].stages = vec![p.maps[1].stages[0].clone(); 20],
            "20 stages",
        );
        refused(|p| p.nodes[2].layout.gap = 2, "grid of 8x8");
        refused(|p| p.nodes[3].layout.twist = 64, "folds into");
        refused(|p| p.nodes[3].level = 3, "takes v2 at level 3, expected 4");
        refused(
            |p| p.nodes[2].level = 4,
            "is at level 4, expected at most 3",
        );
        refused(
            |p| p.nodes[1].level = 1,
            "takes v1 at level 1, expected 2 or more",
        );
        refused(|p| p.nodes[0].level = 99, "the top is");
        refused(|p| p.nodes[3].scale *= 2.0, "adds scales 2147483648 and");
        refused(|p| p.nodes[1].scale /= 1e8, "needs constants");
        refused(|p| p.nodes[2].scale = f64::INFINITY, "has scale inf");
    }

    #[test]
    fn verify_names_the_broken_rule_without_bootstraps() {
        let parameters = levelled_parameters();
        levelled_program().verify(&parameters).unwrap();
        let refused = |edit: fn(&mut Program), expect: &str| {
            let mut program = levelled_program();
            edit(&mut program);
            let message = program.verify(&parameters).unwrap_err().to_string();
            assert!(message.contains(expect), "{message}, expected {expect}");
        };
        refused(|p| p.nodes[5].unit = 29.0, "has unit 29");
        refused(|p| p.nodes[5].scale *= 1.001, "has scale");
        refused(|p| p.nodes[5].level = 3, "takes v4 at level 3, expected 4");
        refused(|p| p.nodes[4].level = 4, "takes v3 at level 5, expected 6");
        refused(|p| p.nodes[5].op = Op::Mul { x: 2, y: 4 }, "moves values");
        refused(
            |p| p.nodes[3].scale *= 2f64.powi(-11),
            "computes powers of v3",
        );
        refused(
            |p| p.nodes[3].scale *= 2f64.powi(80),
            "computes powers of v3",
        );
        refused(|p| p.nodes[0].scale = 2f64.powi(290), "takes v0 at scale");
        refused(
            |p| {
                let coefficients = vec![0.5, 0.0];
                p.nodes[4].op = Op::Polynomial { x: 3, coefficients };
            },
            "2 coefficients",
        );
        refused(
            |p| {
                p.nodes[4].op = Op::Activate {
                    x: 3,
                    coefficients: vec![0.5, 1.0],
                    rho: 0.9,
                }
            },
            "no bootstrap",
        );
        let target = |x, function| Some(Target { x, function });
        refused(
            |p| p.nodes[5].target.as_mut().unwrap().x = 5,
            "function of v5, not",
        );
        refused(
            |p| p.nodes[5].target.as_mut().unwrap().x = 2,
            "function of v2, 24x8x8",
        );
        let rows = vec![vec![1.0]; 3];
        let mut program = levelled_program();
        program.nodes[5].target = target(3, Some(Function::Polynomial { coefficients: rows }));
        let message = program.verify(&parameters).unwrap_err().to_string();
        assert!(message.contains("3 rows on 4 channels"), "{message}");
    }

    #[test]
    fn a_dump_shows_every_type_and_the_stages() {
        let dump = residual_program().dump();
        let mut lines = dump.lines();
        assert_eq!(
            lines.next(),
            Some(
                "v0 = input : 3x8x8 gap 1 grid 8x8 x4, level 3, scale 2^30.000, unit 2.500000  // node0"
            )
        );
        assert!(
            lines
                .next()
                .unwrap()
                .starts_with("v1 = linear v0 map 0 giant 64 : 4x8x8 gap 1")
        );
        assert!(
            lines
                .next()
                .unwrap()
                .starts_with("    conv kernel 3x3 pads 1x1x1x1 weight 108#")
        );
        assert!(dump.contains("map 1 giant 64 fold :") && dump.contains("x4 twist 64, level 3"));
        let dump = levelled_program().dump();
        assert!(dump.contains("v4 = polynomial v3 degree 3 :"), "{dump}");
        assert!(dump.contains("v5 = mul v3 v4 : 4x8x8") && dump.contains(" = relu(v3)  // node5"));
    }
}
