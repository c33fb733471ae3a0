//! An ONNX graph that is being written: operators, constants, names. One opset, no custom domains.

use std::collections::BTreeSet;
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension};
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, StringStringEntryProto,
    TensorProto, TensorShapeProto, TypeProto, ValueInfoProto, type_proto,
};

/// Versions of the operators and of the file format: read by every runtime of the last years.
const OPSET: i64 = 13;
const IR_VERSION: i64 = 8;

/// An attribute of an operator.
pub enum Attribute {
    /// One integer.
    Int(&'static str, usize),
    /// Several integers.
    Ints(&'static str, Vec<usize>),
}

/// A graph under construction; every tensor is named after the node that makes it.
#[derive(Default)]
pub struct Writer {
    graph: GraphProto,
    names: BTreeSet<String>,
}

impl Writer {
    /// With an image `[batch, c, h, w]`.
    pub fn new(name: &str, input: &str, dims: &[usize]) -> Self {
        let mut writer = Self::default();
        writer.graph.name = name.to_string();
        writer.graph.input.push(tensor_info(input, dims));
        writer.names.insert(input.to_string());
        writer
    }

    /// Nodes so far.
    pub fn len(&self) -> usize {
        self.graph.node.len()
    }

    /// Names of the nodes from the one at `begin` on.
    pub fn names_from(&self, begin: usize) -> impl Iterator<Item = &str> {
        self.graph.node[begin..]
            .iter()
            .map(|node| node.name.as_str())
    }

    /// `name`, or `name_2`, `name_3`, .. where that is taken.
    fn fresh(&mut self, name: &str) -> String {
        let mut fresh = name.to_string();
        let mut count = 1;
        while !self.names.insert(fresh.clone()) {
            count += 1;
            fresh = format!("{name}_{count}");
        }
        fresh
    }

    /// Appends an operator; the name of the tensor that results, which is the node's too.
    pub fn node(
        &mut self,
        op: &str,
        name: &str,
        inputs: &[&str],
        attributes: &[Attribute],
    ) -> String {
        let name = self.fresh(name);
        self.graph.node.push(NodeProto {
            op_type: op.to_string(),
            name: name.clone(),
            input: inputs.iter().map(|i| i.to_string()).collect(),
            output: vec![name.clone()],
            attribute: attributes.iter().map(attribute).collect(),
            ..NodeProto::default()
        });
        name
    }

    /// A constant of floats.
    pub fn floats(&mut self, name: &str, dims: &[usize], values: &[f32]) -> String {
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.constant(name, dims, DataType::Float, bytes)
    }

    /// A constant list of integers.
    pub fn integers(&mut self, name: &str, values: &[i64]) -> String {
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.constant(name, &[values.len()], DataType::Int64, bytes)
    }

    fn constant(
        &mut self,
        name: &str,
        dims: &[usize],
        kind: DataType,
        raw_data: Vec<u8>,
    ) -> String {
        let name = self.fresh(name);
        self.graph.initializer.push(TensorProto {
            name: name.clone(),
            dims: dims.iter().map(|&d| d as i64).collect(),
            data_type: kind as i32,
            raw_data,
            ..TensorProto::default()
        });
        name
    }

    /// `x * value`; x itself for 1.
    pub fn times(&mut self, name: &str, x: &str, value: f32) -> String {
        match value == 1.0 {
            true => x.to_string(),
            false => self.scalar("Mul", name, x, value),
        }
    }

    /// `x + value`; x itself for 0.
    pub fn plus(&mut self, name: &str, x: &str, value: f32) -> String {
        match value == 0.0 {
            true => x.to_string(),
            false => self.scalar("Add", name, x, value),
        }
    }

    fn scalar(&mut self, op: &str, name: &str, x: &str, value: f32) -> String {
        let constant = self.floats(&format!("{name}/value"), &[], &[value]);
        self.node(op, name, &[x, &constant], &[])
    }

    /// The finished model with `output` of these dimensions after the batch, and its metadata.
    pub fn finish(
        mut self,
        output: &str,
        dims: &[usize],
        metadata: &[(&str, String)],
    ) -> ModelProto {
        self.graph.output.push(tensor_info(output, dims));
        let entry = |(key, value): &(&str, String)| StringStringEntryProto {
            key: key.to_string(),
            value: value.clone(),
        };
        ModelProto {
            ir_version: IR_VERSION,
            producer_name: "hecc".to_string(),
            producer_version: env!("CARGO_PKG_VERSION").to_string(),
            opset_import: vec![OperatorSetIdProto {
                domain: String::new(),
                version: OPSET,
            }],
            graph: Some(self.graph),
            metadata_props: metadata.iter().map(entry).collect(),
            ..ModelProto::default()
        }
    }
}

fn attribute(attribute: &Attribute) -> AttributeProto {
    let wide = |v: &usize| *v as i64;
    let (name, i, ints, r#type) = match attribute {
        Attribute::Int(name, value) => (name, wide(value), Vec::new(), AttributeType::Int),
        Attribute::Ints(name, values) => (
            name,
            0,
            values.iter().map(wide).collect(),
            AttributeType::Ints,
        ),
    };
    AttributeProto {
        name: name.to_string(),
        i,
        ints,
        r#type: r#type as i32,
        ..AttributeProto::default()
    }
}

/// Floats `[batch, dims..]`.
fn tensor_info(name: &str, dims: &[usize]) -> ValueInfoProto {
    let dim = |value| Dimension {
        value: Some(value),
        ..Dimension::default()
    };
    let batch = dim(dimension::Value::DimParam("batch".to_string()));
    let rest = dims
        .iter()
        .map(|&d| dim(dimension::Value::DimValue(d as i64)));
    let tensor = type_proto::Tensor {
        elem_type: DataType::Float as i32,
        shape: Some(TensorShapeProto {
            dim: std::iter::once(batch).chain(rest).collect(),
        }),
    };
    ValueInfoProto {
        name: name.to_string(),
        r#type: Some(TypeProto {
            value: Some(type_proto::Value::TensorType(tensor)),
            ..TypeProto::default()
        }),
        ..ValueInfoProto::default()
    }
}
