//! Small models built as protobufs, against tract's own execution; hostile ones against their errors.

use super::*;
use hecc_ir::nn_eval::{evaluate, relu};
use prost::Message;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension};
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, StringStringEntryProto,
    TensorProto, TensorShapeProto, TypeProto, ValueInfoProto, type_proto,
};
use tract_onnx::prelude::{Framework, InferenceModelExt, IntoRunnable, Tensor, tvec};

const DIGITS: &[u8] = include_bytes!("../../../models/digits/digits.onnx");

fn node(op: &str, inputs: &[&str], output: &str, attributes: &[(&str, Attr)]) -> NodeProto {
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

enum Attr {
    I(i64),
    F(f32),
    S(&'static str),
    Is(&'static [i64]),
}
use Attr::{F, I, Is, S};

fn floats(name: &str, dims: &[i64]) -> TensorProto {
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

fn ints(name: &str, values: &[i64]) -> TensorProto {
    let dims = vec![values.len() as i64];
    TensorProto {
        name: name.to_string(),
        dims,
        data_type: 7,
        int64_data: values.to_vec(),
        ..TensorProto::default()
    }
}

fn info(name: &str, dims: &[i64]) -> ValueInfoProto {
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
fn model(nodes: Vec<NodeProto>, constants: Vec<TensorProto>) -> ModelProto {
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

fn import_model(model: &ModelProto) -> Result<Graph, ImportError> {
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
fn errors_name_what_is_wrong() {
    let check = |model: &ModelProto, expect: &[&str]| {
        let error = import_model(model).unwrap_err();
        let text = format!("{error}; {}", error.help.as_deref().unwrap_or(""));
        for part in expect {
            assert!(text.contains(part), "{text:?} lacks {part:?}");
        }
        assert!(text.starts_with("model.onnx: "), "{text}");
    };
    let one = |op: &str,
               inputs: &[&str],
               attributes: &[(&str, Attr)],
               constants: Vec<TensorProto>,
               expect: &[&str]| {
        check(
            &model(vec![node(op, inputs, "y", attributes)], constants),
            expect,
        );
    };
    one(
        "MaxPool",
        &["x"],
        &[],
        vec![],
        &["node 'the_y' (MaxPool)", "AveragePool"],
    );
    one(
        "Frobnicate",
        &["x"],
        &[],
        vec![],
        &["Frobnicate", "supported: Add"],
    );
    one(
        "Relu",
        &["x"],
        &[("alpha", F(1.0))],
        vec![],
        &["(Relu)", "alpha", "none"],
    );
    one(
        "Flatten",
        &["x"],
        &[("axis", S("a"))],
        vec![],
        &["axis", "type string"],
    );
    one("Relu", &["x", "x"], &[], vec![], &["2 inputs"]);
    one(
        "Relu",
        &["z"],
        &[],
        vec![],
        &["\"z\", which nothing defines"],
    );
    one("Add", &["x", "y"], &[], vec![], &["the_y", "cycle"]);
    one(
        "Pad",
        &["x", "p"],
        &[("mode", S("reflect"))],
        vec![ints("p", &[0; 8])],
        &["reflect", "constant"],
    );
    one(
        "Pad",
        &["x", "p"],
        &[],
        vec![ints("p", &[0, 0, 0, 0, 0, 0, 1 << 40, 0])],
        &["(Pad)"],
    );
    one(
        "AveragePool",
        &["x"],
        &[("kernel_shape", Is(&[0, 2]))],
        vec![],
        &["kernel_shape", "1 to 65536"],
    );
    one(
        "AveragePool",
        &["x"],
        &[
            ("kernel_shape", Is(&[3, 3])),
            ("strides", Is(&[1, 1 << 40])),
        ],
        vec![],
        &["strides"],
    );
    one(
        "Conv",
        &["x", "w"],
        &[],
        vec![floats("w", &[2, 3, 3, 3])],
        &["(Conv)"],
    );
    one(
        "Conv",
        &["x", "w"],
        &[("group", I(0))],
        vec![floats("w", &[2, 4, 3, 3])],
        &["(Conv)"],
    );
    one("Mul", &["x", "x"], &[], vec![], &["Add of two values"]);
    one(
        "Transpose",
        &["x"],
        &[("perm", Is(&[0, 2, 3, 1]))],
        vec![],
        &["channels first"],
    );
    one(
        "ReduceMean",
        &["x"],
        &[("axes", Is(&[1]))],
        vec![],
        &["axes", "rows and columns"],
    );
    let mut huge = floats("w", &[1]);
    huge.dims = vec![1 << 40, 1 << 40];
    one(
        "Conv",
        &["x", "w"],
        &[],
        vec![huge],
        &["\"w\"", "more than"],
    );
    let mut zero = floats("w", &[1]);
    zero.dims = vec![0, 4, 3, 3];
    one("Conv", &["x", "w"], &[], vec![zero], &["dimension of 0"]);
    let mut short = floats("w", &[7]);
    short.dims = vec![2, 4, 3, 3];
    one("Conv", &["x", "w"], &[], vec![short], &["instead of 72"]);
    let mut nan = floats("w", &[2, 4, 3, 3]);
    nan.float_data[5] = f32::NAN;
    one(
        "Conv",
        &["x", "w"],
        &[],
        vec![nan],
        &["\"w\" element 5 is NaN"],
    );
    let mut external = floats("w", &[2, 4, 3, 3]);
    external
        .external_data
        .push(StringStringEntryProto::default());
    one(
        "Conv",
        &["x", "w"],
        &[],
        vec![external],
        &["another file", "onnx.save"],
    );
    let mut double = floats("w", &[2]);
    double.data_type = 11;
    one(
        "Conv",
        &["x", "w"],
        &[],
        vec![double],
        &["DOUBLE", "float32"],
    );
    let relu = || model(vec![node("Relu", &["x"], "y", &[])], vec![]);
    let edited = |edit: fn(&mut ModelProto), expect: &[&str]| {
        let mut model = relu();
        edit(&mut model);
        check(&model, expect);
    };
    edited(|m| m.opset_import[0].version = 99, &["operator set 99"]);
    edited(|m| m.opset_import.clear(), &["operator set"]);
    edited(|m| m.graph = None, &["no graph"]);
    let input = |dims: &'static [i64], expect: &[&str]| {
        let mut model = relu();
        model.graph.as_mut().unwrap().input = vec![info("x", dims)];
        check(&model, expect);
    };
    input(&[2, 4, 8, 8], &["batch of 2"]);
    input(&[1, 4, 0, 8], &["0 on axis 2"]);
    input(&[1, 4, -8, 8], &["-8 on axis 2"]);
    input(&[1, 4, 1 << 50, 8], &["axis 2"]);
    input(&[1, 65536, 65536, 65536], &["elements"]);
    input(&[4, 8, 8], &["3 axes"]);
}

/// Shape arithmetic that asks for terabytes is refused before it is evaluated.
#[test]
fn constants_that_explode_are_not_evaluated() {
    let check = |nodes: Vec<NodeProto>| {
        let error = import_model(&model(
            nodes,
            vec![ints("big", &[1 << 30, 1 << 12]), ints("some", &[7; 2000])],
        ))
        .unwrap_err();
        assert!(error.what.contains("makes a constant of"), "{error}");
    };
    check(vec![
        node("ConstantOfShape", &["big"], "c", &[]),
        node("Reshape", &["x", "c"], "y", &[]),
    ]);
    let mut nodes = vec![node("Concat", &["some", "some"], "c0", &[("axis", I(0))])];
    for i in 0..30 {
        let (from, to) = (format!("c{i}"), format!("c{}", i + 1));
        nodes.push(node("Concat", &[from.as_str(); 64], &to, &[("axis", I(0))]));
    }
    nodes.push(node("Reshape", &["x", "c30"], "y", &[]));
    check(nodes);
}

#[test]
fn digits_survive_a_round_trip() {
    let graph = import_bytes("digits.onnx", DIGITS).unwrap();
    assert_eq!(graph.nodes[graph.output].shape.elements(), 10);
    let logits = evaluate(&graph, &[0.5; 64], &mut relu).unwrap();
    assert!(logits.iter().all(|l| l.is_finite()));
}

/// Truncated, flipped and spliced copies of a real file: an error or a valid graph, never a panic.
#[test]
fn mutated_files_never_panic() {
    let mut random = ChaCha8Rng::seed_from_u64(7);
    // Weights are most of the file and any of their bytes will do; the structure is what matters.
    let structure: Vec<usize> = structure(DIGITS);
    let mut accepted = 0;
    for round in 0..600 {
        let mut bytes = DIGITS.to_vec();
        match round % 4 {
            0 => bytes.truncate(random.random_range(0..bytes.len())),
            1 => {
                for _ in 0..random.random_range(1..4) {
                    let at = structure[random.random_range(0..structure.len())];
                    bytes[at] ^= 1 << random.random_range(0..8);
                }
            }
            2 => {
                let at = structure[random.random_range(0..structure.len())];
                bytes[at] = [0, 0x7f, 0x80, 0xff][random.random_range(0..4)];
            }
            _ => {
                let (from, to) = (
                    random.random_range(0..bytes.len()),
                    random.random_range(0..bytes.len()),
                );
                let piece =
                    bytes[from..bytes.len().min(from + random.random_range(1..64))].to_vec();
                bytes.splice(to..to, piece);
            }
        }
        match import_bytes("mutated.onnx", &bytes) {
            Ok(graph) => {
                graph.verify().unwrap();
                accepted += 1;
            }
            Err(error) => assert!(!error.what.is_empty()),
        }
    }
    assert!(accepted > 0, "every mutation was refused");
}

/// Bytes of a file that are not the data of weights.
fn structure(bytes: &[u8]) -> Vec<usize> {
    let model = ModelProto::decode(bytes).unwrap();
    let mut covered = vec![false; bytes.len()];
    for tensor in &model.graph.unwrap().initializer {
        let data = &tensor.raw_data;
        if data.len() >= 64 {
            let at = bytes
                .windows(data.len())
                .position(|w| w == data.as_slice())
                .unwrap();
            covered[at..at + data.len()].fill(true);
        }
    }
    (0..bytes.len()).filter(|&i| !covered[i]).collect()
}

/// Exports of one network, against reference logits. The folder named by HECC_REFERENCE_DATA holds
/// `models/relu` and `cifar10/test_first2000.webp`; without it there is nothing to compare with.
#[test]
fn three_exports_of_resnet20() {
    let Some(folder) = std::env::var_os("HECC_REFERENCE_DATA") else {
        println!("skipped: HECC_REFERENCE_DATA is not set");
        return;
    };
    let folder = Path::new(&folder);
    let sheet = image::open(folder.join("cifar10/test_first2000.webp"))
        .unwrap()
        .into_rgb8();
    let logits =
        hecc_images::read_npy(&folder.join("models/relu/resnet20_cifar10_b1.logits_first1000.npy"))
            .unwrap();
    let hecc_images::Values::F32(logits) = logits.values else {
        panic!("logits are not float32")
    };
    let (mean, std) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);
    for name in [
        "resnet20_cifar10_b1",
        "resnet20_cifar10",
        "resnet20_cifar10_bn_b1",
    ] {
        let graph = import(&folder.join(format!("models/relu/{name}.onnx"))).unwrap();
        let mut worst = 0f32;
        for k in 0..40 {
            let mut image = Vec::new();
            for c in 0..3 {
                for i in 0..1024 {
                    let pixel = sheet
                        .get_pixel((k % 100) * 32 + i % 32, k / 100 * 32 + i / 32)
                        .0[c];
                    image.push((f32::from(pixel) / 255.0 - mean[c]) / std[c]);
                }
            }
            let got = evaluate(&graph, &image, &mut relu).unwrap();
            let expect = &logits[k as usize * 10..][..10];
            worst = got
                .iter()
                .zip(expect)
                .fold(worst, |m, (a, b)| m.max((a - b).abs()));
        }
        println!("{name}: largest error {worst:.2e}");
        assert!(worst < 1e-4, "{name}: {worst}");
    }
}
