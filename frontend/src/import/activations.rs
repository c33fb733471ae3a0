//! Functions of one number.

use super::attributes::{float, text};
use super::error::{Problem, Step};
use super::raw::Id;
use super::tensors;
use super::translate::Translator;
use hecc_ir::function::Function;
use tract_onnx::pb::NodeProto;

impl<'a> Translator<'a> {
    /// Operators that are one function of the language.
    pub(super) fn activation(&mut self, node: &'a NodeProto) -> Step<Id> {
        let function = match node.op_type.as_str() {
            "Relu" => Function::Relu,
            "LeakyRelu" => leaky(float(node, "alpha", 0.01)?),
            "Sigmoid" => Function::Sigmoid,
            "HardSigmoid" => Function::HardSigmoid {
                alpha: float(node, "alpha", 0.2)?,
                beta: float(node, "beta", 0.5)?,
            },
            "HardSwish" => Function::HardSwish,
            "Gelu" => match text(node, "approximate", "none").as_ref() {
                "none" => Function::Gelu { tanh: false },
                "tanh" => Function::Gelu { tanh: true },
                other => {
                    let other: String = other.chars().take(40).collect();
                    return Err(
                        Problem::new(format!("attribute \"approximate\" is {other:?}"))
                            .help("supported: none, tanh"),
                    );
                }
            },
            "Tanh" => Function::Tanh,
            "Elu" => Function::Elu {
                alpha: float(node, "alpha", 1.0)?,
            },
            "Selu" => Function::Selu {
                alpha: float(node, "alpha", 1.673_263_2)?,
                gamma: float(node, "gamma", 1.050_701)?,
            },
            "Softplus" => Function::Softplus,
            "Mish" => Function::Mish,
            "Abs" => Function::Abs,
            "Sqrt" => Function::Sqrt,
            "Exp" => Function::Exp,
            "Reciprocal" => Function::Reciprocal,
            _ => {
                return Err(Problem::new(
                    "is supported on constants (shapes) only, but depends on the image",
                ));
            }
        };
        let x = self.data(node, 0)?;
        self.raw.activation(x.id, function)
    }

    /// `alpha elu(x / alpha)`.
    pub(super) fn celu(&mut self, node: &'a NodeProto) -> Step<Id> {
        let alpha = float(node, "alpha", 1.0)?;
        let x = self.data(node, 0)?.id;
        let inner = self.raw.uniform(x, 1.0 / alpha, 0.0)?;
        let elu = self.raw.activation(inner, Function::Elu { alpha: 1.0 })?;
        self.raw.uniform(elu, alpha, 0.0)
    }

    /// A limit above, below, or both.
    pub(super) fn clip(&mut self, node: &'a NodeProto) -> Step<Id> {
        let x = self.data(node, 0)?.id;
        let limit = |i: usize, name: &'static str, none: f32| -> Step<Option<f32>> {
            let value = match self.scalar(node, i, name)? {
                Some(value) => value,
                None => float(node, name, none)?,
            };
            // The limits of float32 stand for none.
            Ok((value.abs() < f32::MAX).then_some(value))
        };
        let (min, max) = (limit(1, "min", f32::MIN)?, limit(2, "max", f32::MAX)?);
        match (min, max) {
            (Some(min), Some(max)) if min < max => {
                self.raw.activation(x, Function::Clip { min, max })
            }
            (Some(min), Some(max)) => {
                Err(Problem::new(format!("limits to [{min}, {max}]"))
                    .help("supported: min below max"))
            }
            // max(x, min) = relu(x - min) + min.
            (Some(min), None) => {
                let above = self.raw.uniform(x, 1.0, -min)?;
                let relu = self.raw.activation(above, Function::Relu)?;
                self.raw.uniform(relu, 1.0, min)
            }
            // min(x, max) = max - relu(max - x).
            (None, Some(max)) => {
                let below = self.raw.uniform(x, -1.0, max)?;
                let relu = self.raw.activation(below, Function::Relu)?;
                self.raw.uniform(relu, -1.0, max)
            }
            (None, None) => Ok(x),
        }
    }

    /// `slope x + (1 - slope) relu(x)`; one slope for all is a LeakyRelu.
    pub(super) fn prelu(&mut self, node: &'a NodeProto, dims: &'a [usize]) -> Step<Id> {
        let x = self.data(node, 0)?.id;
        let slope = self.constants(node, 1, dims)?;
        if slope.iter().all(|&s| s == slope[0]) {
            return self.raw.activation(x, leaky(slope[0]));
        }
        let n = slope.len();
        self.raw.reserve(5 * n)?;
        let rest = slope.iter().map(|s| 1.0 - s).collect();
        let line = self.raw.elementwise(x, slope, vec![0.0; n])?;
        let relu = self.raw.activation(x, Function::Relu)?;
        let bend = self.raw.elementwise(relu, rest, vec![0.0; n])?;
        self.raw.binary(super::raw::Op::Add, line, bend)
    }

    /// A constant power.
    pub(super) fn power(&mut self, node: &'a NodeProto) -> Step<Id> {
        let x = self.data(node, 0)?.id;
        let tensor = self.constant(node, 1, "exponent")?;
        let exponent = match tensor.and_then(tensors::numbers).as_deref() {
            Some([exponent]) => *exponent,
            _ => {
                return Err(Problem::new("has more than one exponent")
                    .help("supported: one constant exponent"));
            }
        };
        let function = match exponent {
            1.0 => return Ok(x),
            0.5 => Function::Sqrt,
            -1.0 => Function::Reciprocal,
            e if e.fract() == 0.0 && (2.0..=64.0).contains(&e) => {
                Function::Power { exponent: e as u32 }
            }
            other => {
                return Err(Problem::new(format!("has the exponent {other}"))
                    .help("supported: integers from 1 to 64, 0.5 and -1"));
            }
        };
        self.raw.activation(x, function)
    }
}

fn leaky(slope: f32) -> Function {
    match slope {
        0.0 => Function::Relu,
        slope => Function::LeakyRelu { slope },
    }
}
