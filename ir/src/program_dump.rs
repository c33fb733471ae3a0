//! The ckks language as text, one node a line, a map's stages below it; constants as length and hash.

use std::fmt;

use crate::nn_dump::attributes;
use crate::program::{Op, Program, Target};

impl Program {
    /// `v3 = linear v2 map 1 giant 1024 fold : layout, level 2, scale 2^30, unit 4.2  // name`.
    pub fn dump(&self) -> String {
        let mut text = String::new();
        for (value, node) in self.nodes.iter().enumerate() {
            let mut stages = Vec::new();
            let operator = match &node.op {
                Op::Input => "input".to_string(),
                Op::Linear { x, map } => match self.maps.get(*map) {
                    None => format!("linear v{x} map {map} (missing)"),
                    Some(linear) => {
                        let stage =
                            |s: &crate::nn::Linear| format!("    {}{}\n", s.name(), attributes(s));
                        stages.extend(linear.stages.iter().map(stage));
                        let fold = if linear.fold { " fold" } else { "" };
                        format!("linear v{x} map {map} giant {}{fold}", linear.giant)
                    }
                },
                Op::MulConst { x, factor } => format!("mul_const v{x} by {factor:.6}"),
                Op::Add { x, y } => format!("add v{x} v{y}"),
                Op::Mul { x, y } => format!("mul v{x} v{y}"),
                Op::Polynomial { x, coefficients } => {
                    format!(
                        "polynomial v{x} degree {}",
                        coefficients.len().saturating_sub(1)
                    )
                }
                Op::Activate {
                    x,
                    coefficients,
                    rho,
                } => {
                    format!(
                        "activate v{x} degree {} rho {rho}",
                        coefficients.len().saturating_sub(1)
                    )
                }
            };
            let (layout, level, scale) = (&node.layout, node.level, node.scale.log2());
            let name: String = node.name.chars().filter(|c| !c.is_control()).collect();
            text += &format!(
                "v{value} = {operator} : {layout}, level {level}, scale 2^{scale:.3}, unit {:.6}",
                node.unit
            );
            if let Some(target) = &node.target {
                text += &format!(" = {target}");
            }
            text += &format!("  // {name}\n");
            text.extend(stages);
        }
        text
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.function {
            Some(function) => write!(f, "{}(v{})", function.name(), self.x),
            None => write!(f, "v{}", self.x),
        }
    }
}
