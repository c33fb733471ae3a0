//! Checked ONNX nodes, with their facts, to the nn language.

use super::error::{Problem, Step};
use super::fold::{Fact, Facts};
use super::operators::{int, ints};
use super::tensors;
use super::validate::{Checked, describe};
use hecc_ir::nn::{Graph, Op, Shape, ValueId};
use std::collections::HashMap;
use tract_onnx::pb::NodeProto;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::prelude::Tensor;

/// A tensor of the dataflow: its value in the graph and its ONNX dimensions.
#[derive(Clone, Copy)]
pub(super) struct Value<'a> {
    pub id: ValueId,
    pub dims: &'a [usize],
}

pub(super) struct Translator<'a> {
    pub facts: &'a Facts,
    pub graph: Graph,
    values: HashMap<&'a str, ValueId>,
}

/// Translates a model; the graph is verified.
pub(super) fn translate(model: &Checked, facts: &Facts) -> Step<Graph> {
    let graph = Graph::new(&model.input, shape(&model.input_dims)?);
    let values = HashMap::from([(model.input.as_str(), graph.input)]);
    let mut translator = Translator {
        facts,
        graph,
        values,
    };
    for node in &model.nodes {
        if let Fact::Data(dims) = &facts[&node.output[0]] {
            let id = translator
                .node(node, dims)
                .map_err(|p| p.at(&describe(node)))?;
            translator.values.insert(&node.output[0], id);
        }
    }
    let Translator {
        mut graph, values, ..
    } = translator;
    graph.output = *values
        .get(model.output.as_str())
        .ok_or_else(|| Problem::new("the output does not depend on the image"))?;
    graph.verify().map_err(|e| Problem::new(e.to_string()))?;
    Ok(graph)
}

/// The value behind ONNX dimensions: the batch of 1, where there is one, is dropped.
pub(super) fn shape(dims: &[usize]) -> Step<Shape> {
    match *dims {
        [1, c, h, w] => Ok(Shape::new(c, h, w)),
        [1, c, h] => Ok(Shape::new(c, h, 1)),
        [c, h, w] => Ok(Shape::new(c, h, w)),
        [1, n] | [n] => Ok(Shape::new(n, 1, 1)),
        [] => Ok(Shape::new(1, 1, 1)),
        _ => Err(Problem::new(format!("has a result of dimensions {dims:?}"))
            .help("supported: [1, c, h, w] and [1, n]; the batch stays in front")),
    }
}

impl<'a> Translator<'a> {
    fn node(&mut self, node: &'a NodeProto, dims: &'a [usize]) -> Step<ValueId> {
        let linear = match node.op_type.as_str() {
            "Relu" => return self.push(Op::Relu, node, dims, &[self.data(node, 0)?.id]),
            "Add" | "Sub" | "Mul" | "Div" => return self.arithmetic(node, dims),
            "Dropout" | "Identity" => return Ok(self.data(node, 0)?.id),
            "Cast" if int(node, "to", 0) == DataType::Float as i64 => {
                return Ok(self.data(node, 0)?.id);
            }
            "Cast" => {
                return Err(Problem::new("casts what depends on the image")
                    .help("supported: float32 throughout"));
            }
            "AveragePool" | "GlobalAveragePool" | "ReduceMean" => return self.pool(node, dims),
            "Flatten" | "Reshape" | "Squeeze" | "Unsqueeze" => return self.reshape(node, dims),
            "Transpose" => return self.transpose(node, dims),
            "Conv" => self.conv(node, dims)?,
            "Gemm" => self.gemm(node)?,
            "MatMul" => self.matmul(node, dims)?,
            "BatchNormalization" => self.batch_normalization(node)?,
            "Slice" => self.slice(node, dims)?,
            "Pad" => self.pad(node)?,
            _ => {
                return Err(Problem::new(
                    "is supported on constants (shapes) only, but depends on the image",
                ));
            }
        };
        let x = self.data(node, 0)?.id;
        self.push(Op::Linear(linear), node, dims, &[x])
    }

    pub(super) fn push(
        &mut self,
        op: Op,
        node: &NodeProto,
        dims: &[usize],
        operands: &[ValueId],
    ) -> Step<ValueId> {
        Ok(self.graph.push(op, &node.name, shape(dims)?, operands))
    }

    /// Operand `i`, which depends on the image.
    pub(super) fn data(&self, node: &'a NodeProto, i: usize) -> Step<Value<'a>> {
        let name = node.input[i].as_str();
        match &self.facts[name] {
            Fact::Data(dims) => Ok(Value {
                id: self.values[name],
                dims,
            }),
            Fact::Constant(_) => Err(Problem::new(format!(
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
            Fact::Data(_) => Err(Problem::new(format!(
                "{what} (operand {i}) depends on the image"
            ))
            .help(format!("supported: a constant {what}"))),
        }
    }

    pub(super) fn floats(&self, node: &'a NodeProto, i: usize, what: &str) -> Step<Vec<f32>> {
        let tensor = self
            .constant(node, i, what)?
            .ok_or_else(|| Problem::new(format!("has no {what}")))?;
        tensors::floats(tensor).ok_or_else(|| Problem::new(format!("{what} is not float32")))
    }

    /// Integers from operand `i`, or from an attribute in older operator sets.
    pub(super) fn integers(
        &self,
        node: &'a NodeProto,
        i: usize,
        name: &str,
    ) -> Step<Option<Vec<i64>>> {
        match self.constant(node, i, name)? {
            Some(tensor) => match tensors::integers(tensor) {
                Some(values) => Ok(Some(values)),
                None => Err(Problem::new(format!("{name} are not integers"))),
            },
            None => Ok(ints(node, name).map(<[i64]>::to_vec)),
        }
    }

    pub(super) fn image(&self, node: &'a NodeProto) -> Step<(Value<'a>, [usize; 3])> {
        let x = self.data(node, 0)?;
        match *x.dims {
            [1, c, h, w] => Ok((x, [c, h, w])),
            _ => Err(
                Problem::new(format!("is applied to dimensions {:?}", x.dims))
                    .help("supported: [1, c, h, w]"),
            ),
        }
    }
}
