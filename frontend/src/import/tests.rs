//! Small models built as protobufs, against tract's own execution.

use super::*;
use hecc_ir::function::{Approximation, Function};
use hecc_ir::nn::{Graph, Op};
use hecc_ir::nn_eval::{evaluate, exact};
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

mod functions;

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

fn image() -> Vec<f32> {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    (0..256).map(|_| random.random_range(-1.0..1.0)).collect()
}

fn value(graph: &Graph) -> Vec<f32> {
    evaluate(graph, &image(), &mut exact(graph)).unwrap()
}

fn close(got: &[f32], expect: &[f32], what: &str) {
    assert_eq!(got.len(), expect.len(), "{what}");
    for (a, b) in got.iter().zip(expect) {
        assert!((a - b).abs() < 1e-4 * b.abs().max(1.0), "{a} {b}\n{what}");
    }
}

/// The imported graph computes what tract computes.
fn check_value(model: &ModelProto) -> Graph {
    let graph = import_model(model).unwrap();
    let runnable = tract_onnx::onnx()
        .model_for_proto_model(model)
        .unwrap()
        .into_typed()
        .unwrap()
        .into_runnable()
        .unwrap();
    let tensor = Tensor::from_shape(&[1, 4, 8, 8], &image()).unwrap();
    let outputs = runnable.run(tvec!(tensor.into())).unwrap();
    let expect = tensors::floats(&outputs[0]).unwrap();
    close(&value(&graph), &expect, &graph.dump());
    graph
}

/// The imported graph computes `expect` of every element of the image.
fn check_function(
    nodes: Vec<NodeProto>,
    constants: Vec<TensorProto>,
    expect: fn(f64) -> f64,
) -> Graph {
    let mut model = model(nodes, constants);
    model.opset_import[0].version = 20;
    let graph = import_model(&model).unwrap();
    let expect: Vec<f32> = image().iter().map(|&x| expect(x.into()) as f32).collect();
    close(&value(&graph), &expect, &graph.dump());
    graph
}

/// The functions of a graph, in order.
fn functions(graph: &Graph) -> Vec<&'static str> {
    let nodes = graph.nodes.node_weights();
    nodes
        .filter_map(|n| match &n.op {
            Op::Activation(f) => Some(f.name()),
            Op::Input | Op::Linear(_) | Op::Add | Op::Mul => None,
        })
        .collect()
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
    let logits = evaluate(&graph, &[0.5; 64], &mut exact(&graph)).unwrap();
    assert!(logits.iter().all(|l| l.is_finite()));
}

fn scalar(name: &str, value: f32) -> TensorProto {
    TensorProto {
        name: name.to_string(),
        data_type: 1,
        float_data: vec![value],
        ..TensorProto::default()
    }
}

#[test]
fn more_operators_mean_what_tract_computes() {
    let one =
        |op: &str, inputs: &[&str], attributes: &[(&str, Attr)], constants: Vec<TensorProto>| {
            check_value(&model(vec![node(op, inputs, "y", attributes)], constants));
        };
    // Depthwise, transposed and one-dimensional convolutions.
    one(
        "Conv",
        &["x", "w", "b"],
        &[
            ("group", I(4)),
            ("pads", Is(&[1, 1, 1, 1])),
            ("strides", Is(&[2, 2])),
        ],
        vec![floats("w", &[8, 1, 3, 3]), floats("b", &[8])],
    );
    one(
        "ConvTranspose",
        &["x", "w", "b"],
        &[
            ("strides", Is(&[2, 3])),
            ("pads", Is(&[1, 0, 0, 1])),
            ("output_padding", Is(&[1, 0])),
        ],
        vec![floats("w", &[4, 3, 3, 2]), floats("b", &[3])],
    );
    one(
        "ConvTranspose",
        &["x", "w"],
        &[("group", I(2)), ("dilations", Is(&[2, 1]))],
        vec![floats("w", &[4, 3, 2, 2])],
    );
    let lines = |nodes: Vec<NodeProto>, mut constants: Vec<TensorProto>| {
        let mut all = vec![node("Reshape", &["x", "line"], "l", &[])];
        all.extend(nodes);
        constants.push(ints("line", &[1, 8, 32]));
        check_value(&model(all, constants));
    };
    lines(
        vec![node(
            "Conv",
            &["l", "w"],
            "y",
            &[("pads", Is(&[1, 2])), ("strides", Is(&[2]))],
        )],
        vec![floats("w", &[3, 8, 4])],
    );
    lines(
        vec![node(
            "MaxPool",
            &["l"],
            "y",
            &[("kernel_shape", Is(&[3])), ("strides", Is(&[2]))],
        )],
        vec![],
    );
    // Broadcasting, of constants and of values.
    one("Mul", &["x", "x"], &[], vec![]);
    one("Sub", &["x", "c"], &[], vec![floats("c", &[8, 8])]);
    one("Mul", &["c", "x"], &[], vec![floats("c", &[4, 8, 8])]);
    one("Div", &["x", "c"], &[], vec![floats("c", &[1, 4, 1, 8])]);
    one("Neg", &["x"], &[], vec![]);
    one("Sum", &["x", "c", "x"], &[], vec![floats("c", &[8])]);
    one("Max", &["x", "c"], &[], vec![scalar("c", 0.25)]);
    one("Min", &["x", "c"], &[], vec![floats("c", &[4, 1, 1])]);
    let gate = |op: &str| {
        let nodes = vec![
            node("GlobalAveragePool", &["x"], "g", &[]),
            node("Sigmoid", &["g"], "s", &[]),
            node(op, &["x", "s"], "y", &[]),
        ];
        check_value(&model(nodes, vec![]));
    };
    ["Add", "Sub", "Mul", "Div"].into_iter().for_each(gate);
    let nodes = vec![
        node("Neg", &["x"], "n", &[]),
        node("Max", &["n", "x"], "m", &[]),
        node("Min", &["m", "x"], "y", &[]),
    ];
    check_value(&model(nodes, vec![]));
    // Joining and splitting.
    for axis in [-1, 1, 2] {
        let nodes = vec![
            node("Relu", &["x"], "r", &[]),
            node("Concat", &["r", "c", "x"], "y", &[("axis", I(axis))]),
        ];
        check_value(&model(nodes, vec![floats("c", &[1, 4, 8, 8])]));
        let nodes = vec![
            NodeProto {
                output: ["a", "b", "c"].map(String::from).to_vec(),
                ..node("Split", &["x", "parts"], "a", &[("axis", I(axis))])
            },
            node("Concat", &["c", "a"], "y", &[("axis", I(axis))]),
        ];
        let parts: &[i64] = if axis == 1 { &[1, 2, 1] } else { &[3, 4, 1] };
        check_value(&model(nodes, vec![ints("parts", parts)]));
    }
    let nodes = vec![
        node("Reshape", &["x", "five"], "r", &[]),
        node("Transpose", &["r"], "t", &[("perm", Is(&[0, 2, 1, 3, 4]))]),
        node("Concat", &["t", "t"], "k", &[("axis", I(2))]),
        node("Reshape", &["k", "four"], "y", &[]),
    ];
    check_value(&model(
        nodes,
        vec![ints("five", &[1, 2, 2, 8, 8]), ints("four", &[1, 8, 8, 8])],
    ));
    // Pools.
    for kind in ["AveragePool", "MaxPool"] {
        let pool = |attributes: &[(&str, Attr)]| one(kind, &["x"], attributes, vec![]);
        pool(&[("kernel_shape", Is(&[2, 2])), ("strides", Is(&[2, 2]))]);
        pool(&[
            ("kernel_shape", Is(&[3, 3])),
            ("strides", Is(&[2, 2])),
            ("pads", Is(&[1, 1, 1, 1])),
        ]);
        pool(&[
            ("kernel_shape", Is(&[3, 2])),
            ("strides", Is(&[3, 1])),
            ("pads", Is(&[0, 1, 2, 0])),
        ]);
        pool(&[("kernel_shape", Is(&[5, 4])), ("strides", Is(&[1, 4]))]);
        pool(&[
            ("kernel_shape", Is(&[1, 7])),
            ("strides", Is(&[2, 1])),
            ("auto_pad", S("SAME_UPPER")),
        ]);
        pool(&[
            ("kernel_shape", Is(&[3, 3])),
            ("strides", Is(&[2, 2])),
            ("ceil_mode", I(1)),
        ]);
    }
    for kind in ["GlobalMaxPool", "GlobalAveragePool"] {
        one(kind, &["x"], &[], vec![]);
    }
    for kind in ["ReduceMean", "ReduceMax", "ReduceSum"] {
        // The axes of ReduceSum are an operand since operator set 13.
        for axes in [&[1][..], &[2, 3], &[-1], &[1, 3], &[0, 1, 2, 3]] {
            for keep in [0, 1] {
                let keep = ("keepdims", I(keep));
                if kind == "ReduceSum" {
                    one(kind, &["x", "axes"], &[keep], vec![ints("axes", axes)]);
                } else {
                    let axes = Box::leak(axes.to_vec().into_boxed_slice());
                    one(kind, &["x"], &[keep, ("axes", Is(axes))], vec![]);
                }
            }
        }
    }
    // Moves.
    one("Transpose", &["x"], &[("perm", Is(&[0, 2, 3, 1]))], vec![]);
    one(
        "Gather",
        &["x", "i"],
        &[("axis", I(1))],
        vec![ints("i", &[3, 0, -1])],
    );
    one(
        "Slice",
        &["x", "s", "e", "a", "t"],
        &[],
        vec![
            ints("s", &[-1]),
            ints("e", &[-9]),
            ints("a", &[3]),
            ints("t", &[-2]),
        ],
    );
    for mode in ["reflect", "edge"] {
        let pads = vec![ints("p", &[0, 0, 2, 1, 0, 0, 1, 3])];
        one("Pad", &["x", "p"], &[("mode", S(mode))], pads);
    }
    one(
        "Pad",
        &["x", "p", "v"],
        &[],
        vec![ints("p", &[0, 1, 2, 1, 0, 0, 1, 3]), scalar("v", 0.75)],
    );
    one("Expand", &["x", "s"], &[], vec![ints("s", &[4, 8, 8])]);
    let nodes = vec![
        node("ReduceMean", &["x"], "m", &[("axes", Is(&[1]))]),
        node("Expand", &["m", "s"], "y", &[]),
    ];
    check_value(&model(nodes, vec![ints("s", &[1, 3, 8, 8])]));
    one("DepthToSpace", &["x"], &[("blocksize", I(2))], vec![]);
    one(
        "DepthToSpace",
        &["x"],
        &[("blocksize", I(2)), ("mode", S("CRD"))],
        vec![],
    );
    one("SpaceToDepth", &["x"], &[("blocksize", I(4))], vec![]);
    // Matrices on the last axis, and on the last but one.
    one("MatMul", &["x", "w"], &[], vec![floats("w", &[8, 5])]);
    one("MatMul", &["w", "x"], &[], vec![floats("w", &[3, 8])]);
    let nodes = vec![
        node("Reshape", &["x", "rows"], "r", &[]),
        node(
            "Gemm",
            &["r", "w", "c"],
            "y",
            &[("transA", I(1)), ("alpha", F(0.5))],
        ),
    ];
    check_value(&model(
        nodes,
        vec![
            ints("rows", &[32, 8]),
            floats("w", &[32, 3]),
            floats("c", &[8, 1]),
        ],
    ));
    // Activations with attributes.
    one("LeakyRelu", &["x"], &[("alpha", F(0.2))], vec![]);
    one("PRelu", &["x", "s"], &[], vec![floats("s", &[4, 1, 1])]);
    one(
        "Clip",
        &["x", "l", "h"],
        &[],
        vec![scalar("l", -0.5), scalar("h", 0.25)],
    );
    one("Clip", &["x", "l"], &[], vec![scalar("l", -0.5)]);
    one("Clip", &["x", "", "h"], &[], vec![scalar("h", 0.25)]);
    one(
        "HardSigmoid",
        &["x"],
        &[("alpha", F(0.7)), ("beta", F(0.3))],
        vec![],
    );
    one("Elu", &["x"], &[("alpha", F(0.7))], vec![]);
    one("Selu", &["x"], &[], vec![]);
    [
        "HardSwish",
        "Softplus",
        "Tanh",
        "Sigmoid",
        "Abs",
        "Exp",
        "Reciprocal",
    ]
    .into_iter()
    .for_each(|op| one(op, &["x"], &[], vec![]));
    one("Pow", &["x", "e"], &[], vec![scalar("e", 3.0)]);
}

/// Nearest-neighbour positions, by hand from the definition, along rows of 4 elements.
#[test]
fn resizes_follow_the_definition() {
    let check = |attributes: &[(&str, Attr)], scale: f32, expect: &[usize]| {
        let nodes = vec![
            node("Reshape", &["x", "rows"], "r", &[]),
            node("Resize", &["r", "", "scales"], "y", attributes),
        ];
        let mut scales = floats("scales", &[4]);
        scales.float_data = vec![1.0, 1.0, 1.0, scale];
        let graph = import_model(&model(nodes, vec![ints("rows", &[1, 8, 8, 4]), scales])).unwrap();
        let got = value(&graph);
        let expect: Vec<f32> = image()
            .chunks(4)
            .flat_map(|row| expect.iter().map(|&i| row[i]))
            .collect();
        close(&got, &expect, &graph.dump());
    };
    let asymmetric = || ("coordinate_transformation_mode", S("asymmetric"));
    let corners = || ("coordinate_transformation_mode", S("align_corners"));
    check(
        &[asymmetric(), ("nearest_mode", S("floor"))],
        2.0,
        &[0, 0, 1, 1, 2, 2, 3, 3],
    );
    check(&[asymmetric()], 2.0, &[0, 0, 1, 1, 2, 2, 3, 3]);
    check(
        &[asymmetric(), ("nearest_mode", S("ceil"))],
        2.0,
        &[0, 1, 1, 2, 2, 3, 3, 3],
    );
    check(&[], 2.0, &[0, 0, 1, 1, 2, 2, 3, 3]);
    check(&[], 0.5, &[0, 2]);
    check(&[("nearest_mode", S("round_prefer_ceil"))], 0.5, &[1, 3]);
    check(&[], 1.5, &[0, 0, 1, 2, 2, 3]);
    check(&[corners()], 2.0, &[0, 0, 1, 1, 2, 2, 3, 3]);
    let nodes = vec![node(
        "Upsample",
        &["x", "scales"],
        "y",
        &[("mode", S("nearest"))],
    )];
    let mut scales = floats("scales", &[4]);
    scales.float_data = vec![1.0, 1.0, 2.0, 1.0];
    let mut old = model(nodes, vec![scales]);
    old.opset_import[0].version = 9;
    let rows: Vec<f32> = image().chunks(8).flat_map(|r| [r, r].concat()).collect();
    close(&value(&import_model(&old).unwrap()), &rows, "upsample");
}

#[test]
fn what_is_at_the_end_is_left_to_the_client() {
    let nodes = vec![
        node("Flatten", &["x"], "f", &[]),
        node("Gemm", &["f", "w"], "g", &[("transB", I(1))]),
        node("Softmax", &["g"], "s", &[("axis", I(1))]),
        node("ArgMax", &["s"], "y", &[("axis", I(1))]),
    ];
    let bytes = model(nodes, vec![floats("w", &[5, 256])]).encode_to_vec();
    let imported = examine_bytes(Path::new("m"), &bytes, MaxPool::Exact).unwrap();
    assert_eq!(
        imported.graph.nodes[imported.graph.output].shape.elements(),
        5
    );
    assert_eq!(imported.notes.len(), 2);
    assert!(
        imported.notes[1].contains("(Softmax) is left to the client"),
        "{:?}",
        imported.notes
    );
}

#[test]
fn maxima_have_a_price_and_can_be_means() {
    let pool = [("kernel_shape", Is(&[3, 3])), ("strides", Is(&[2, 2]))];
    let bytes = model(vec![node("MaxPool", &["x"], "y", &pool)], vec![]).encode_to_vec();
    let import = |how| examine_bytes(Path::new("m"), &bytes, how).unwrap();
    let exact = import(MaxPool::Exact);
    assert_eq!(exact.maxima[0].node, "node 'the_y' (MaxPool)");
    // Rows 8 -> 7 -> 3, then columns.
    assert_eq!(
        exact.maxima[0].elements,
        [4 * 7 * 8, 4 * 3 * 8, 4 * 3 * 7, 4 * 3 * 3]
    );
    let means = import(MaxPool::Average);
    assert!(means.maxima.is_empty() && functions(&means.graph).is_empty());
}

#[test]
fn all_problems_are_listed() {
    let nodes = vec![
        node("LRN", &["x"], "n", &[]),
        node("Pad", &["n", "p"], "m", &[("mode", S("bounce"))]),
        node("Relu", &["m"], "r", &[("alpha", F(1.0))]),
        node("Softmax", &["r"], "s", &[]),
        node("MatMul", &["s", "s"], "y", &[]),
    ];
    let bytes = model(nodes, vec![ints("p", &[0; 8])]).encode_to_vec();
    let problems = examine_bytes(Path::new("m"), &bytes, MaxPool::Exact).unwrap_err();
    let texts: Vec<String> = problems.iter().map(|p| p.to_string()).collect();
    for (text, part) in texts
        .iter()
        .zip(["LRN", "bounce", "alpha", "not the last", "two operands"])
    {
        assert!(text.contains(part), "{text}");
    }
    assert_eq!(texts.len(), 5, "{texts:#?}");
    assert!(
        import_bytes("m", &bytes)
            .unwrap_err()
            .what
            .contains("4 more")
    );
}
