//! Small models built as protobufs, against tract's own execution.

use super::*;
use hecc_ir::nn_eval::{evaluate, relu};
use prost::Message;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension};
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto,
    TensorShapeProto, TypeProto, ValueInfoProto, type_proto,
};
use tract_onnx::prelude::{Framework, InferenceModelExt, IntoRunnable, Tensor, tvec};

pub(super) const DIGITS: &[u8] = include_bytes!("../../../models/digits/digits.onnx");

pub(super) fn node(
    op: &str,
    inputs: &[&str],
    output: &str,
    attributes: &[(&str, Attr)],
) -> NodeProto {
    let attribute = attributes.iter().map(|(name, value)| {
        let mut a = AttributeProto {
            name: name.to_string(),
            ..AttributeProto::default()
        };
        match value {
            I(i) => (a.i, a.r#type) = (*i, AttributeType::Int as i32),
            F(f) => (a.f, a.r#type) = (*f, AttributeType::Float as i32),
            S(s) => (a.s, a.r#type) = (s.as_bytes().to_vec(), AttributeType::String as i32),
            Is(v) => (a.ints, a.r#type) = (v.to_vec(), AttributeType::Ints as i32),
        }
        a
    });
    NodeProto {
        op_type: op.to_string(),
        name: format!("the_{output}"),
        input: inputs.iter().map(|i| i.to_string()).collect(),
        output: vec![output.to_string()],
        attribute: attribute.collect(),
        ..NodeProto::default()
    }
}

pub(super) enum Attr {
    I(i64),
    F(f32),
    S(&'static str),
    Is(&'static [i64]),
}
use Attr::{F, I, Is, S};

pub(super) fn floats(name: &str, dims: &[i64]) -> TensorProto {
    let mut random = ChaCha8Rng::seed_from_u64(name.len() as u64);
    let n = dims.iter().product::<i64>() as usize;
    let data = (0..n).map(|_| random.random_range(0.05f32..1.0)).collect();
    TensorProto {
        name: name.to_string(),
        dims: dims.to_vec(),
        data_type: 1,
        float_data: data,
        ..TensorProto::default()
    }
}

pub(super) fn ints(name: &str, values: &[i64]) -> TensorProto {
    let dims = vec![values.len() as i64];
    TensorProto {
        name: name.to_string(),
        dims,
        data_type: 7,
        int64_data: values.to_vec(),
        ..TensorProto::default()
    }
}

pub(super) fn info(name: &str, dims: &[i64]) -> ValueInfoProto {
    let dim = |&d: &i64| Dimension {
        value: Some(dimension::Value::DimValue(d)),
        ..Dimension::default()
    };
    let shape = TensorShapeProto {
        dim: dims.iter().map(dim).collect(),
    };
    let tensor = type_proto::Tensor {
        elem_type: 1,
        shape: Some(shape),
    };
    let r#type = Some(TypeProto {
        value: Some(type_proto::Value::TensorType(tensor)),
        ..TypeProto::default()
    });
    ValueInfoProto {
        name: name.to_string(),
        r#type,
        ..ValueInfoProto::default()
    }
}

/// Input `x` [1, 4, 8, 8], output `y`.
pub(super) fn model(nodes: Vec<NodeProto>, constants: Vec<TensorProto>) -> ModelProto {
    let output = ValueInfoProto {
        name: "y".to_string(),
        ..ValueInfoProto::default()
    };
    let graph = GraphProto {
        node: nodes,
        initializer: constants,
        input: vec![info("x", &[1, 4, 8, 8])],
        output: vec![output],
        ..GraphProto::default()
    };
    ModelProto {
        ir_version: 8,
        opset_import: vec![OperatorSetIdProto {
            domain: String::new(),
            version: 13,
        }],
        graph: Some(graph),
        ..ModelProto::default()
    }
}

pub(super) fn import_model(model: &ModelProto) -> Result<Graph, ImportError> {
    import_bytes("model.onnx", &model.encode_to_vec())
}

/// The imported graph computes what tract computes.
fn check_value(model: &ModelProto) {
    let graph = import_model(model).unwrap();
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let image: Vec<f32> = (0..256).map(|_| random.random_range(-1.0..1.0)).collect();
    let got = evaluate(&graph, &image, &mut relu).unwrap();
    let runnable = tract_onnx::onnx()
        .model_for_proto_model(model)
        .unwrap()
        .into_typed()
        .unwrap()
        .into_runnable()
        .unwrap();
    let tensor = Tensor::from_shape(&[1, 4, 8, 8], &image).unwrap();
    let outputs = runnable.run(tvec!(tensor.into())).unwrap();
    let expect = tensors::floats(&outputs[0]).unwrap();
    assert_eq!(got.len(), expect.len());
    for (a, b) in got.iter().zip(&expect) {
        assert!(
            (a - b).abs() < 1e-4 * b.abs().max(1.0),
            "{a} {b}\n{}",
            graph.dump()
        );
    }
}

#[test]
fn operators_mean_what_tract_computes() {
    let one =
        |op: &str, inputs: &[&str], attributes: &[(&str, Attr)], constants: Vec<TensorProto>| {
            check_value(&model(vec![node(op, inputs, "y", attributes)], constants));
        };
    let conv = |dims: &[i64]| vec![floats("w", dims), floats("bias", &[dims[0]])];
    one(
        "Conv",
        &["x", "w", "bias"],
        &[("pads", Is(&[1, 0, 2, 1])), ("strides", Is(&[2, 1]))],
        conv(&[6, 4, 3, 2]),
    );
    one(
        "Conv",
        &["x", "w"],
        &[("group", I(2)), ("dilations", Is(&[2, 3]))],
        conv(&[6, 2, 2, 2]),
    );
    one(
        "Conv",
        &["x", "w"],
        &[("auto_pad", S("SAME_UPPER")), ("strides", Is(&[3, 2]))],
        conv(&[2, 4, 2, 3]),
    );
    one(
        "Conv",
        &["x", "w"],
        &[("auto_pad", S("SAME_LOWER"))],
        conv(&[2, 4, 2, 4]),
    );
    one("Relu", &["x"], &[], vec![]);
    one("Add", &["x", "x"], &[], vec![]);
    one("Add", &["c", "x"], &[], vec![floats("c", &[4, 1, 1])]);
    one("Sub", &["c", "x"], &[], vec![floats("c", &[1])]);
    one("Div", &["x", "c"], &[], vec![floats("c", &[1, 4, 1, 1])]);
    let statistics = || ["g", "bb", "mmm", "vvvv"].map(|n| floats(n, &[4])).to_vec();
    one(
        "BatchNormalization",
        &["x", "g", "bb", "mmm", "vvvv"],
        &[("epsilon", F(0.01))],
        statistics(),
    );
    one(
        "Pad",
        &["x", "p"],
        &[],
        vec![ints("p", &[0, 2, 0, 1, 0, 1, 3, 0])],
    );
    one(
        "Slice",
        &["x", "s", "e", "a", "t"],
        &[],
        vec![
            ints("s", &[1, -7]),
            ints("e", &[i64::MAX, 100]),
            ints("a", &[-3, 2]),
            ints("t", &[2, 3]),
        ],
    );
    one(
        "AveragePool",
        &["x"],
        &[("kernel_shape", Is(&[3, 2])), ("strides", Is(&[2, 2]))],
        vec![],
    );
    let padded = [
        ("kernel_shape", Is(&[2, 2])),
        ("pads", Is(&[1, 0, 1, 0])),
        ("count_include_pad", I(1)),
    ];
    one("AveragePool", &["x"], &padded, vec![]);
    one("GlobalAveragePool", &["x"], &[], vec![]);
    one(
        "ReduceMean",
        &["x"],
        &[("axes", Is(&[-1, 2])), ("keepdims", I(0))],
        vec![],
    );
    one("Flatten", &["x"], &[], vec![]);
}

#[test]
fn classifiers_mean_what_tract_computes() {
    let flat = || vec![node("Flatten", &["x"], "f", &[])];
    let gemm = |attributes: &[(&str, Attr)], dims: &[i64]| {
        let mut nodes = flat();
        nodes.push(node("Gemm", &["f", "w", "cc"], "y", attributes));
        check_value(&model(
            nodes,
            vec![floats("w", dims), floats("cc", &[1, 5])],
        ));
    };
    gemm(&[("transB", I(1)), ("alpha", F(0.5))], &[5, 256]);
    gemm(&[("beta", F(3.0))], &[256, 5]);
    let mut nodes = flat();
    nodes.push(node("MatMul", &["f", "w"], "m", &[]));
    nodes.push(node("Add", &["m", "cc"], "y", &[]));
    check_value(&model(
        nodes,
        vec![floats("w", &[256, 5]), floats("cc", &[5])],
    ));
    // A dynamic flatten as exporters write it, out of order, with a dropout and squeezed axes.
    let nodes = vec![
        node("Concat", &["batch", "rest"], "shape", &[("axis", I(0))]),
        node("Reshape", &["d", "shape"], "r", &[]),
        node("Shape", &["x"], "xs", &[]),
        node("Gather", &["xs", "zero"], "batch", &[("axis", I(0))]),
        node("GlobalAveragePool", &["x"], "p", &[]),
        node("Dropout", &["p"], "d", &[]),
        node("Unsqueeze", &["r", "rest"], "u", &[]),
        node("Squeeze", &["u", "rest"], "y", &[]),
    ];
    check_value(&model(nodes, vec![ints("zero", &[0]), ints("rest", &[-1])]));
}

#[test]
fn digits_import() {
    let graph = import_bytes("digits.onnx", DIGITS).unwrap();
    assert_eq!(graph.nodes[graph.output].shape.elements(), 10);
    let logits = evaluate(&graph, &[0.5; 64], &mut relu).unwrap();
    assert!(logits.iter().all(|l| l.is_finite()));
}
