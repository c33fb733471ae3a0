//! The rules of the ckks language, which [`Program::verify`] checks:
//! - node 0, and only node 0, is the input; an operator uses only values defined before it; the last
//!   node is the output, and every other value is used;
//! - all layouts are valid and have the ring's number of slots; units are positive;
//! - a `Linear` names an existing map, which names its shapes: the stages take the operand's shape to
//!   the node's; a map that folds has an untwisted output; its giant step is 1 to the number of slots;
//! - numbers keep their meaning: a map's gain is unit in / unit out and its bias gain 1 / unit out, a
//!   `MulConst` multiplies by unit in / unit out and keeps the layout;
//! - an `Add` has operands of its own layout, unit, level and scale;
//! - an `Activate` changes nothing of the layout but the twist; has 2 to [`MAX_COEFFICIENTS`] finite
//!   coefficients, the last one nonzero, and 0 < rho <= 1;
//! - levels: at most the top; `Linear` and `MulConst` one below their operand; `Activate` takes its
//!   operand where slots-to-coefficients starts and leaves the result where the cosine and its own
//!   degree lead;
//! - scales: what a level can hold; the plaintext scale a `Linear` or `MulConst` needs to reach its
//!   node's scale carries at least [`MIN_PLAIN_BITS`] bits.

use crate::linear::LinearError;
use crate::params::Parameters;
use crate::program::{Node, Op, Program, Value};

/// Most Chebyshev coefficients of an activation.
pub const MAX_COEFFICIENTS: usize = 1024;
/// Least bits of a plaintext scale.
pub const MIN_PLAIN_BITS: f64 = 10.0;
/// Units are products of calibrated ranges: factors agree to rounding.
const UNIT_TOLERANCE: f64 = 1e-9;

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
    /// Operands in order.
    pub fn operands(&self) -> Vec<Value> {
        match *self {
            Op::Input => Vec::new(),
            Op::Linear { x, .. } | Op::MulConst { x, .. } | Op::Activate { x, .. } => vec![x],
            Op::Add { x, y } => vec![x, y],
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
        let mut used = vec![false; self.nodes.len()];
        for (value, node) in self.nodes.iter().enumerate() {
            for x in node.op.operands() {
                if x >= value {
                    return Err(
                        self.broken(value, format!("uses v{x}, which is not defined before it"))
                    );
                }
                used[x] = true;
            }
            self.verify_node(value)
                .map_err(|what| self.broken(value, what))?;
        }
        let Some((_, inner)) = used.split_last() else {
            let what = "a program without nodes".to_string();
            return Err(ProgramError {
                value: 0,
                name: String::new(),
                what,
            });
        };
        match inner.iter().position(|used| !used) {
            Some(value) => Err(self.broken(value, "is neither used nor the output".to_string())),
            None => Ok(()),
        }
    }

    pub(crate) fn broken(&self, value: Value, what: String) -> ProgramError {
        ProgramError {
            value,
            name: self.nodes[value].name.clone(),
            what,
        }
    }

    fn verify_node(&self, value: Value) -> Result<(), String> {
        let node = &self.nodes[value];
        node.layout.verify().map_err(|e| e.to_string())?;
        let slots = self.nodes[0].layout.slots;
        if node.layout.slots != slots {
            return Err(format!(
                "has {} slots, the input has {slots}",
                node.layout.slots
            ));
        }
        if !(node.unit.is_finite() && node.unit > 0.0) {
            return Err(format!(
                "has unit {}, expected a positive number",
                node.unit
            ));
        }
        match &node.op {
            Op::Input if value != 0 => Err("is a second input".to_string()),
            _ if value == 0 && node.op != Op::Input => Err("node 0 is not the input".to_string()),
            Op::Input => Ok(()),
            Op::Linear { x, map } => self.verify_map(&self.nodes[*x], node, *map),
            Op::MulConst { x, factor } => {
                let from = &self.nodes[*x];
                if from.layout != node.layout {
                    return Err(format!(
                        "moves values from {} to {}",
                        from.layout, node.layout
                    ));
                }
                agrees("factor", *factor, from.unit / node.unit)
            }
            Op::Add { x, y } => {
                for operand in [*x, *y] {
                    let from = &self.nodes[operand];
                    if from.layout != node.layout {
                        return Err(format!(
                            "adds v{operand} laid out as {}, expected {}",
                            from.layout, node.layout
                        ));
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
                    return Err(format!(
                        "changes more of the layout than the twist, to {}",
                        node.layout
                    ));
                }
                let degree = (2..=MAX_COEFFICIENTS).contains(&coefficients.len());
                if !degree
                    || coefficients.iter().any(|c| !c.is_finite())
                    || coefficients.last() == Some(&0.0)
                {
                    let found = coefficients.len();
                    return Err(format!(
                        "has {found} coefficients, expected finite ones, the last nonzero"
                    ));
                }
                if !(*rho > 0.0 && *rho <= 1.0) {
                    return Err(format!("has rho {rho}, expected 0 < rho <= 1"));
                }
                Ok(())
            }
        }
    }

    fn verify_map(&self, from: &Node, node: &Node, map: usize) -> Result<(), String> {
        let Some(linear) = self.maps.get(map) else {
            return Err(format!("uses map {map} of {}", self.maps.len()));
        };
        let shapes = linear
            .shapes(from.layout.shape)
            .map_err(|e: LinearError| e.to_string())?;
        if shapes.last() != Some(&node.layout.shape) {
            return Err(format!(
                "the stages of map {map} do not give {}",
                node.layout.shape
            ));
        }
        if linear.fold && node.layout.twist != 0 {
            return Err(format!(
                "folds into a layout with twist {}",
                node.layout.twist
            ));
        }
        if !(1..=node.layout.slots).contains(&linear.giant) {
            return Err(format!(
                "has a giant step of {}, expected 1 to {}",
                linear.giant, node.layout.slots
            ));
        }
        agrees("gain", linear.gain, from.unit / node.unit)?;
        agrees("bias gain", linear.bias_gain, 1.0 / node.unit)
    }

    fn verify_levels(&self, node: &Node, parameters: &Parameters) -> Result<(), String> {
        if node.layout.slots != parameters.slots() {
            return Err(format!(
                "has {} slots, the ring has {}",
                node.layout.slots,
                parameters.slots()
            ));
        }
        if node.level > parameters.top() {
            return Err(format!(
                "is at level {}, the top is {}",
                node.level,
                parameters.top()
            ));
        }
        let held: f64 = parameters.q[..=node.level]
            .iter()
            .map(|&q| (q as f64).log2())
            .sum();
        if !(node.scale > 1.0 && node.scale.log2() < held) {
            return Err(format!(
                "has scale {}, level {} holds 2^{held:.0}",
                node.scale, node.level
            ));
        }
        let expected = match &node.op {
            Op::Input => node.level,
            Op::Linear { x, .. } | Op::MulConst { x, .. } => {
                let from = &self.nodes[*x];
                let plain = node.scale * parameters.q[from.level] as f64 / from.scale;
                if plain.log2() < MIN_PLAIN_BITS {
                    return Err(format!(
                        "needs constants of scale {plain}, at least 2^{MIN_PLAIN_BITS}"
                    ));
                }
                match from.level.checked_sub(1) {
                    Some(level) => level,
                    None => return Err("its operand is at level 0".to_string()),
                }
            }
            Op::Add { x, y } => {
                let (x, y) = (&self.nodes[*x], &self.nodes[*y]);
                if x.level != y.level || x.scale != node.scale || y.scale != node.scale {
                    return Err(format!(
                        "adds levels {} and {}, scales {} and {}, to scale {}",
                        x.level, y.level, x.scale, y.scale, node.scale
                    ));
                }
                x.level
            }
            Op::Activate {
                x, coefficients, ..
            } => {
                let (enter, found) = (parameters.activation_in(), self.nodes[*x].level);
                if found != enter {
                    return Err(format!("takes v{x} at level {found}, expected {enter}"));
                }
                let degree = coefficients.len() - 1;
                match parameters.activation_out(degree) {
                    Some(level) => level,
                    None => {
                        return Err(format!(
                            "has degree {degree}, too deep for {} levels",
                            parameters.top()
                        ));
                    }
                }
            }
        };
        if node.level != expected {
            return Err(format!("is at level {}, expected {expected}", node.level));
        }
        Ok(())
    }
}

fn agrees(what: &str, found: f64, expected: f64) -> Result<(), String> {
    let close = (found - expected).abs() <= UNIT_TOLERANCE * expected.abs();
    if close {
        Ok(())
    } else {
        Err(format!("has {what} {found}, the units ask for {expected}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::residual_program;

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
        refused(|p| p.nodes[3].level = 3, "is at level 3, expected 2");
        refused(|p| p.nodes[0].level = 99, "the top is");
        refused(|p| p.nodes[3].scale *= 2.0, "scales 2147483648 and");
        refused(|p| p.nodes[1].scale /= 1e8, "needs constants");
        refused(|p| p.nodes[2].scale = f64::INFINITY, "has scale inf");
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
    }
}
