//! Checked ONNX nodes, with their facts, to the network between ONNX and nn.

use super::attributes::int;
use super::error::{Problem, Step};
use super::fold::{Fact, Facts};
use super::raw::{self, Id, Op, Raw};
use super::tensors;
use super::validate::Checked;
use super::{MaxPool, Maximum};
use std::collections::HashMap;
use tract_onnx::pb::NodeProto;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::prelude::Tensor;

/// A tensor of the dataflow: its value in the network and its ONNX dimensions.
#[derive(Clone, Copy)]
pub(super) struct Value<'a> {
    pub id: Id,
    pub dims: &'a [usize],
}

/// A translated model.
pub(super) struct Translated {
    pub raw: Raw,
    /// The result, unless it is unknown.
    pub output: Option<Id>,
    /// Every maximum that a MaxPool takes.
    pub maxima: Vec<Maximum>,
}

pub(super) struct Translator<'a> {
    pub facts: &'a Facts,
    pub raw: Raw,
    pub maxpool: MaxPool,
    pub maxima: Vec<Maximum>,
    values: HashMap<&'a str, Id>,
}

/// Translates every node it can; what is wrong with the others joins the model's faults.
pub(super) fn translate(model: &mut Checked, facts: &Facts, maxpool: MaxPool) -> Step<Translated> {
    let mut faults = std::mem::take(&mut model.faults);
    let mut translator = Translator {
        facts,
        raw: Raw::new(&model.input, raw::shape(&model.input_dims)),
        maxpool,
        maxima: Vec::new(),
        values: HashMap::from([(model.input.as_str(), 0)]),
    };
    for (position, (node, fault)) in model.nodes.iter().zip(&mut faults).enumerate() {
        translator.raw.at(&node.name, position);
        translator.node(node, fault)?;
    }
    let output = translator.values.get(model.output.as_str()).copied();
    let Translator { raw, maxima, .. } = translator;
    model.faults = faults;
    if output.is_none() && matches!(facts[&model.output], Fact::Constant(_)) {
        return Err(Problem::new("the output does not depend on the image"));
    }
    Ok(Translated {
        raw,
        output,
        maxima,
    })
}

impl<'a> Translator<'a> {
    fn node(&mut self, node: &'a NodeProto, fault: &mut Option<Problem>) -> Step<()> {
        let dims: Vec<(&'a str, &'a [usize])> = node
            .output
            .iter()
            .filter_map(|name| match self.facts.get(name) {
                Some(Fact::Data(dims)) => Some((name.as_str(), dims.as_slice())),
                Some(Fact::Constant(_) | Fact::Unknown) | None => None,
            })
            .collect();
        if dims.is_empty() {
            return Ok(());
        }
        let unknown = |name: &String| !name.is_empty() && matches!(self.facts[name], Fact::Unknown);
        if fault.is_none() && !node.input.iter().any(unknown) {
            match self.results(node, &dims) {
                Ok(ids) => {
                    self.values
                        .extend(dims.iter().map(|(name, _)| *name).zip(ids));
                    return Ok(());
                }
                Err(problem) => *fault = Some(problem),
            }
        }
        for (name, dims) in dims {
            let id = self.raw.push(Op::Unknown, raw::shape(dims), &[])?;
            self.values.insert(name, id);
        }
        Ok(())
    }

    fn results(&mut self, node: &'a NodeProto, dims: &[(&'a str, &'a [usize])]) -> Step<Vec<Id>> {
        let ids = match node.op_type.as_str() {
            "Split" => self.split(node)?,
            _ => vec![self.result(node, dims[0].1)?],
        };
        for (&id, (_, dims)) in ids.iter().zip(dims) {
            let (got, expected) = (self.raw.shape(id), raw::shape(dims));
            if got != expected {
                return Err(Problem::new(format!(
                    "has a result of {got}, the ONNX reader says {expected}"
                )));
            }
        }
        Ok(ids)
    }

    fn result(&mut self, node: &'a NodeProto, dims: &'a [usize]) -> Step<Id> {
        match node.op_type.as_str() {
            "Add" | "Sub" | "Mul" | "Div" => self.arithmetic(node, dims),
            "Sum" | "Max" | "Min" => self.many(node, dims),
            "Dropout" | "Identity" => Ok(self.data(node, 0)?.id),
            "Cast" if int(node, "to", 0) == DataType::Float as i64 => Ok(self.data(node, 0)?.id),
            "Cast" => Err(Problem::new("casts what depends on the image")
                .help("supported: float32 throughout")),
            "Softmax" | "LogSoftmax" | "ArgMax" => {
                Err(Problem::new("is not the last operator").help(
                    "supported: Softmax, LogSoftmax and ArgMax at the end, where the client computes them",
                ))
            }
            "Conv" => self.conv(node),
            "ConvTranspose" => self.conv_transpose(node),
            "AveragePool" | "GlobalAveragePool" => self.average_pool(node),
            "MaxPool" | "GlobalMaxPool" => self.max_pool(node),
            "ReduceMean" | "ReduceSum" | "ReduceMax" => self.reduce(node, dims),
            "Gemm" => self.gemm(node, dims),
            "MatMul" => self.matmul(node, dims),
            "BatchNormalization" => self.batch_normalization(node),
            "Flatten" | "Reshape" | "Squeeze" | "Unsqueeze" => {
                let x = self.data(node, 0)?;
                self.raw.reshape(x.id, raw::shape(dims))
            }
            "Transpose" => self.transpose(node, dims),
            "Slice" => self.slice(node, dims),
            "Gather" => self.gather(node, dims),
            "Pad" => self.pad(node, dims),
            "Concat" => self.concat(node, dims),
            "Expand" => {
                let x = self.data(node, 0)?;
                self.broadcast(x, dims)
            }
            "Resize" | "Upsample" => self.resize(node, dims),
            "DepthToSpace" | "SpaceToDepth" => self.blocks(node, dims),
            "Pow" => self.power(node),
            "PRelu" => self.prelu(node, dims),
            "Clip" => self.clip(node),
            "Celu" => self.celu(node),
            "Neg" => {
                let x = self.data(node, 0)?;
                self.raw.uniform(x.id, -1.0, 0.0)
            }
            "Erf" | "Cos" => {
                let x = self.data(node, 0)?.id;
                let op = if node.op_type == "Erf" { Op::Erf } else { Op::Cos };
                let shape = self.raw.shape(x);
                self.raw.push(op, shape, &[x])
            }
            _ => self.activation(node),
        }
    }

    /// Whether operand `i` depends on the image.
    pub(super) fn is_data(&self, node: &NodeProto, i: usize) -> bool {
        matches!(self.facts[&node.input[i]], Fact::Data(_))
    }

    /// Operand `i`, which depends on the image.
    pub(super) fn data(&self, node: &'a NodeProto, i: usize) -> Step<Value<'a>> {
        let name = node.input[i].as_str();
        match &self.facts[name] {
            Fact::Data(dims) => Ok(Value {
                id: self.values[name],
                dims,
            }),
            Fact::Constant(_) | Fact::Unknown => Err(Problem::new(format!(
                "operand {i} is a constant; expected it to depend on the image"
            ))),
        }
    }

    /// Operand `i`, a constant; `None` where it is left out.
    pub(super) fn constant(
        &self,
        node: &'a NodeProto,
        i: usize,
        what: &str,
    ) -> Step<Option<&'a Tensor>> {
        let Some(name) = node.input.get(i).filter(|name| !name.is_empty()) else {
            return Ok(None);
        };
        match &self.facts[name] {
            Fact::Constant(tensor) => Ok(Some(tensor)),
            Fact::Data(_) | Fact::Unknown => Err(Problem::new(format!(
                "{what} (operand {i}) depends on the image"
            ))
            .help(format!("supported: a constant {what}"))),
        }
    }

    /// Operand `i`, constant floats.
    pub(super) fn floats(&self, node: &'a NodeProto, i: usize, what: &str) -> Step<Vec<f32>> {
        let tensor = self
            .constant(node, i, what)?
            .ok_or_else(|| Problem::new(format!("has no {what}")))?;
        tensors::floats(tensor).ok_or_else(|| Problem::new(format!("{what} is not float32")))
    }

    /// Operand `i`, one constant float; `None` where it is left out.
    pub(super) fn scalar(&self, node: &'a NodeProto, i: usize, what: &str) -> Step<Option<f32>> {
        match self.constant(node, i, what)? {
            None => Ok(None),
            Some(_) => match self.floats(node, i, what)?.as_slice() {
                [value] => Ok(Some(*value)),
                values => Err(Problem::new(format!(
                    "{what} (operand {i}) has {} values, expected one",
                    values.len()
                ))),
            },
        }
    }
}
