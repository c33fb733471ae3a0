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
fn activations_that_exporters_spell_out() {
    let silu = |x: f64| x / (1.0 + (-x).exp());
    let check = |nodes: Vec<NodeProto>, constants: Vec<TensorProto>, f, expect: &str| {
        let graph = check_function(nodes, constants, f);
        assert_eq!(functions(&graph), [expect], "{}", graph.dump());
    };
    check(
        vec![
            node("Sigmoid", &["x"], "s", &[]),
            node("Mul", &["s", "x"], "y", &[]),
        ],
        vec![],
        silu,
        "silu",
    );
    check(
        vec![
            node("Mul", &["x", "b"], "bx", &[]),
            node("Sigmoid", &["bx"], "s", &[]),
            node("Mul", &["x", "s"], "y", &[]),
        ],
        vec![scalar("b", 1.702)],
        |x| x / (1.0 + (-1.702 * x).exp()),
        "silu",
    );
    check(
        vec![
            node("Neg", &["x"], "n", &[]),
            node("Exp", &["n"], "e", &[]),
            node("Add", &["one", "e"], "d", &[]),
            node("Div", &["x", "d"], "y", &[]),
        ],
        vec![scalar("one", 1.0)],
        silu,
        "silu",
    );
    let gelu = |x| Function::Gelu { tanh: false }.apply(0, x);
    check(
        vec![
            node("Div", &["x", "root"], "d", &[]),
            node("Erf", &["d"], "e", &[]),
            node("Add", &["e", "one"], "a", &[]),
            node("Mul", &["x", "a"], "m", &[]),
            node("Mul", &["m", "half"], "y", &[]),
        ],
        vec![
            scalar("root", std::f32::consts::SQRT_2),
            scalar("one", 1.0),
            scalar("half", 0.5),
        ],
        gelu,
        "gelu",
    );
    check(
        vec![
            node("Mul", &["x", "half"], "h", &[]),
            node("Mul", &["x", "root"], "d", &[]),
            node("Erf", &["d"], "e", &[]),
            node("Add", &["one", "e"], "a", &[]),
            node("Mul", &["h", "a"], "y", &[]),
        ],
        vec![
            scalar("root", 0.707_106_77),
            scalar("one", 1.0),
            scalar("half", 0.5),
        ],
        gelu,
        "gelu",
    );
    check(
        vec![
            node("Pow", &["x", "three"], "p", &[]),
            node("Mul", &["p", "k"], "kp", &[]),
            node("Add", &["x", "kp"], "i", &[]),
            node("Mul", &["i", "root"], "r", &[]),
            node("Tanh", &["r"], "t", &[]),
            node("Add", &["t", "one"], "a", &[]),
            node("Mul", &["x", "a"], "m", &[]),
            node("Mul", &["m", "half"], "y", &[]),
        ],
        vec![
            scalar("three", 3.0),
            scalar("k", 0.044_715),
            scalar("root", 0.797_884_6),
            scalar("one", 1.0),
            scalar("half", 0.5),
        ],
        |x| Function::Gelu { tanh: true }.apply(0, x),
        "gelu_tanh",
    );
    check(
        vec![
            node("Softplus", &["x"], "s", &[]),
            node("Tanh", &["s"], "t", &[]),
            node("Mul", &["x", "t"], "y", &[]),
        ],
        vec![],
        |x| Function::Mish.apply(0, x),
        "mish",
    );
    check(
        vec![
            node("Add", &["x", "three"], "a", &[]),
            node("Clip", &["a", "zero", "six"], "c", &[]),
            node("Mul", &["x", "c"], "m", &[]),
            node("Div", &["m", "six"], "y", &[]),
        ],
        vec![
            scalar("three", 3.0),
            scalar("zero", 0.0),
            scalar("six", 6.0),
        ],
        |x| Function::HardSwish.apply(0, x),
        "hard_swish",
    );
    check(
        vec![
            node(
                "HardSigmoid",
                &["x"],
                "s",
                &[("alpha", F(1.0 / 6.0)), ("beta", F(0.5))],
            ),
            node("Mul", &["s", "x"], "y", &[]),
        ],
        vec![],
        |x| Function::HardSwish.apply(0, x),
        "hard_swish",
    );
    check(
        vec![node("Mish", &["x"], "y", &[])],
        vec![],
        |x| Function::Mish.apply(0, x),
        "mish",
    );
    check(
        vec![node("Gelu", &["x"], "y", &[("approximate", S("tanh"))])],
        vec![],
        |x| Function::Gelu { tanh: true }.apply(0, x),
        "gelu_tanh",
    );
    // Close to a Silu, but none: it stays what it is.
    let graph = check_function(
        vec![
            node("Sigmoid", &["x"], "s", &[]),
            node("Mul", &["s", "b"], "bs", &[]),
            node("Add", &["bs", "b"], "a", &[]),
            node("Mul", &["x", "a"], "y", &[]),
        ],
        vec![scalar("b", 0.5)],
        |x| x * (0.5 + 0.5 / (1.0 + (-x).exp())),
    );
    assert_eq!(functions(&graph), ["sigmoid"]);
}

#[test]
fn polynomials_that_are_spelled_out() {
    // w2 x^2 + w1 x + w0 per channel, as the quadratic networks have it.
    let c = |n: &str| floats(n, &[1, 4, 1, 1]);
    let quadratic = |factor: &str, last: &str| {
        let mut nodes = vec![
            node("Mul", &["x", factor], "q", &[]),
            node("Mul", &["w2", "q"], "a", &[]),
            node("Mul", &["w111", "x"], "b", &[]),
            node("Add", &["a", "b"], "ab", &[]),
            node("Add", &["ab", "w0000"], last, &[]),
        ];
        nodes.insert(0, node("Mul", &["x", "x"], "xx", &[]));
        nodes.push(node(
            "Relu",
            &[last],
            if last == "y" { "z" } else { "y" },
            &[],
        ));
        check_value(&model(nodes, vec![c("w2"), c("w111"), c("w0000")]))
    };
    // At the end of the network, or beyond the square, powers and their coefficients stay apart.
    assert_eq!(functions(&quadratic("x", "y")), ["power"]);
    assert_eq!(functions(&quadratic("xx", "p")), ["power", "relu"]);
    let graph = quadratic("x", "p");
    let polynomial = graph.nodes.node_weights().find_map(|n| match &n.op {
        Op::Activation(Function::Polynomial { coefficients }) => Some(coefficients.clone()),
        _ => None,
    });
    let rows = polynomial.unwrap();
    assert_eq!((rows.len(), rows[0].len()), (4, 3));
    assert_eq!(graph.nodes.node_count(), 3);
    // Horner to degree 7.
    let mut nodes = vec![node("Mul", &["x", "k"], "h0", &[])];
    for i in 0..6 {
        let (from, sum, to) = (format!("h{i}"), format!("s{i}"), format!("h{}", i + 1));
        nodes.push(node("Add", &[&from, "k"], &sum, &[]));
        nodes.push(node("Mul", &["x", &sum], &to, &[]));
    }
    nodes.push(node("Identity", &["h6"], "y", &[]));
    let graph = check_value(&model(nodes, vec![scalar("k", 0.5)]));
    assert_eq!(functions(&graph), ["polynomial"]);
    assert_eq!(graph.nodes.node_count(), 2);
    let squares = vec![
        node("Mul", &["x", "x"], "q", &[]),
        node("Concat", &["q", "x"], "qx", &[("axis", I(1))]),
        node("Add", &["q", "x"], "s", &[]),
        node("Concat", &["qx", "s"], "y", &[("axis", I(1))]),
    ];
    assert_eq!(
        functions(&check_value(&model(squares, vec![]))),
        ["polynomial"; 2]
    );
}

#[test]
fn cosine_series_come_back_as_they_were() {
    let (range, rho) = (3.0f64, 0.92f64);
    let coefficients: Vec<f64> = (0..32).map(|k| 0.5 / (1.0 + f64::from(k * k))).collect();
    let mut constants = vec![
        scalar("a", (std::f64::consts::FRAC_PI_2 * rho / range) as f32),
        scalar("b", std::f32::consts::FRAC_PI_2),
        scalar("range", range as f32),
        scalar("two", 2.0),
    ];
    // Clenshaw: b_k = c_k + 2 y b_{k+1} - b_{k+2}.
    let mut nodes = vec![
        node("Mul", &["x", "a"], "ax", &[]),
        node("Add", &["ax", "b"], "theta", &[]),
        node("Cos", &["theta"], "c", &[]),
        node("Mul", &["c", "two"], "cc", &[]),
        node("Mul", &["cc", "k31"], "t30", &[]),
        node("Add", &["t30", "k30"], "b30", &[]),
    ];
    for (k, c) in coefficients.iter().enumerate() {
        constants.push(scalar(&format!("k{k}"), *c as f32));
    }
    for k in (1..30).rev() {
        let before = if k == 29 {
            "k31".to_string()
        } else {
            format!("b{}", k + 2)
        };
        let (next, t, s, b) = (
            format!("b{}", k + 1),
            format!("t{k}"),
            format!("s{k}"),
            format!("b{k}"),
        );
        nodes.push(node("Mul", &["cc", &next], &t, &[]));
        nodes.push(node("Sub", &[&t, &before], &s, &[]));
        nodes.push(node("Add", &[&s, &format!("k{k}")], &b, &[]));
    }
    nodes.push(node("Mul", &["c", "b1"], "t0", &[]));
    nodes.push(node("Sub", &["t0", "b2"], "s0", &[]));
    nodes.push(node("Add", &["s0", "k0"], "p", &[]));
    nodes.push(node("Mul", &["p", "range"], "y", &[]));
    let graph = import_model(&model(nodes, constants)).unwrap();
    let found = graph.nodes.node_weights().find_map(|n| match &n.op {
        Op::Activation(Function::Approximated(a)) => Some(a.clone()),
        _ => None,
    });
    let Some(Approximation::Fused {
        range: r,
        rho: p,
        coefficients: c,
    }) = found
    else {
        panic!("{}", graph.dump());
    };
    assert_eq!((r, p, c.len()), (range, f64::from(rho as f32), 32));
    for (got, expect) in c.iter().zip(&coefficients) {
        assert_eq!(*got, f64::from(*expect as f32));
    }
    assert_eq!(graph.nodes.node_count(), 2);
}

/// `p` of the value `y` by the recursion of the T_k, with names that begin with `tag`.
fn series(
    tag: &str,
    y: &str,
    p: &[f32],
    nodes: &mut Vec<NodeProto>,
    constants: &mut Vec<TensorProto>,
) -> String {
    let name = |what: &str, k: usize| format!("{tag}{what}{k}");
    nodes.push(node("Mul", &["two", y], &name("double", 0), &[]));
    let mut t = vec![String::new(), y.to_string()];
    let mut sum = name("s", 0);
    for (k, c) in p.iter().enumerate() {
        constants.push(scalar(&name("c", k), *c));
        if k >= 2 {
            nodes.push(node(
                "Mul",
                &[&name("double", 0), &t[k - 1]],
                &name("m", k),
                &[],
            ));
            let before = if k == 2 { "one" } else { &t[k - 2] };
            nodes.push(node("Sub", &[&name("m", k), before], &name("t", k), &[]));
            t.push(name("t", k));
        }
        if k >= 1 {
            nodes.push(node("Mul", &[&t[k], &name("c", k)], &name("p", k), &[]));
            let so_far = if k == 1 { name("c", 0) } else { sum };
            sum = name("s", k);
            nodes.push(node("Add", &[&so_far, &name("p", k)], &sum, &[]));
        }
    }
    sum
}

#[test]
fn composed_series_come_back_as_they_were() {
    let range = 5.0f32;
    let first: Vec<f32> = (0..8).map(|k| 0.3 / (1.0 + k as f32)).collect();
    let second: Vec<f32> = (0..16).map(|k| 0.1 * (k as f32 * 0.7).sin()).collect();
    for times_x in [false, true] {
        let mut constants = vec![
            scalar("before", 1.0 / range),
            scalar("behind", range),
            scalar("two", 2.0),
            scalar("one", 1.0),
        ];
        let mut nodes = vec![node("Mul", &["x", "before"], "u", &[])];
        let inner = series("a", "u", &first, &mut nodes, &mut constants);
        let mut outer = series("b", &inner, &second, &mut nodes, &mut constants);
        if times_x {
            nodes.push(node("Mul", &["u", &outer], "ux", &[]));
            outer = "ux".to_string();
        }
        nodes.push(node("Mul", &[&outer, "behind"], "y", &[]));
        let model = model(nodes, constants);
        let graph = import_model(&model).unwrap();
        let wide = |p: &[f32]| p.iter().map(|&c| f64::from(c)).collect::<Vec<f64>>();
        let expect = Function::Approximated(Approximation::Levelled {
            range: f64::from(range),
            polynomials: vec![wide(&first), wide(&second)],
            times_x,
        });
        assert_eq!(graph.nodes[graph.output].op, Op::Activation(expect));
        assert_eq!(graph.nodes.node_count(), 2);
        check_value(&model);
    }
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
