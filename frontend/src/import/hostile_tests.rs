//! Models that are wrong: each gets an error that names what and where, never a panic.

use super::tests::Attr::{self, F, I, Is, S};
use super::tests::{DIGITS, floats, import_model, info, ints, model, node};
use super::*;
use prost::Message;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::{AttributeProto, ModelProto, NodeProto, StringStringEntryProto, TensorProto};

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
        &["node 'the_y' (MaxPool)", "kernel_shape"],
    );
    one(
        "Frobnicate",
        &["x"],
        &[],
        vec![],
        &["Frobnicate", "supported: Abs, Add"],
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
        &[("mode", S("bounce"))],
        vec![ints("p", &[0; 8])],
        &["bounce", "reflect"],
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
    one(
        "MatMul",
        &["x", "x"],
        &[],
        vec![],
        &["(MatMul)", "constant matrix"],
    );
    one("Erf", &["x"], &[], vec![], &["(Erf)", "Gelu"]);
    one(
        "Softsign",
        &["x"],
        &[],
        vec![],
        &["Softsign", "use one of Relu"],
    );
    one("LSTM", &["x"], &[], vec![], &["LSTM", "feed-forward"]);
    one(
        "Pow",
        &["x", "e"],
        &[],
        vec![floats("e", &[1])],
        &["exponent", "integers from 1 to 64"],
    );
    one(
        "Clip",
        &["x"],
        &[("min", F(1.0)), ("max", F(1.0))],
        vec![],
        &["[1, 1]", "min below max"],
    );
    one(
        "Resize",
        &["x", "", "s"],
        &[("mode", S("cubic"))],
        vec![floats("s", &[4])],
        &["(Resize)"],
    );
    one(
        "Resize",
        &["x", "", "s"],
        &[("mode", S("linear"))],
        vec![TensorProto {
            float_data: vec![1.0, 1.0, 2.0, 2.0],
            ..floats("s", &[4])
        }],
        &["\"linear\"", "nearest"],
    );
    one(
        "Resize",
        &["x", "", "s"],
        &[],
        vec![TensorProto {
            float_data: vec![1.0, 1.0, 1e30, 2.0],
            ..floats("s", &[4])
        }],
        &["scales 8 by"],
    );
    one(
        "MaxPool",
        &["x"],
        &[
            ("kernel_shape", Is(&[3, 3])),
            ("dilations", Is(&[2, 2])),
            ("pads", Is(&[1, 1, 1, 1])),
        ],
        vec![],
        &["(MaxPool)", "but not both"],
    );
    one(
        "MaxPool",
        &["x"],
        &[("kernel_shape", Is(&[2, 2])), ("pads", Is(&[2, 0, 0, 0]))],
        vec![],
        &["pads smaller than the window"],
    );
    one(
        "ConvTranspose",
        &["x", "w"],
        &[("output_shape", Is(&[17, 17]))],
        vec![floats("w", &[4, 2, 3, 3])],
        &["output_shape", "output_padding"],
    );
    one(
        "DepthToSpace",
        &["x"],
        &[("blocksize", I(3))],
        vec![],
        &["blocksize of 3"],
    );
    one(
        "Split",
        &["x"],
        &[("split", Is(&[1, 1])), ("axis", I(1))],
        vec![],
        &["splits 4"],
    );
    one("Cast", &["x"], &[("to", I(7))], vec![], &["float32"]);
    one(
        "ReduceMean",
        &["x"],
        &[("axes", Is(&[4]))],
        vec![],
        &["axis 4 of 4"],
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
    input(&[4, 8, 8], &["batch of 4"]);
    input(&[8], &["1 axes"]);
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

/// A network with every kind of shape arithmetic.
fn with_shape_arithmetic() -> ModelProto {
    let zero_fill = &[("axis", I(0))];
    let mut nodes = vec![
        node(
            "Conv",
            &["x", "w", "bias"],
            "c",
            &[("pads", Is(&[1, 1, 1, 1])), ("strides", Is(&[1, 1]))],
        ),
        node("Relu", &["c"], "r", &[]),
        node("Slice", &["r", "starts", "ends", "axes", "steps"], "s", &[]),
        node("ConstantOfShape", &["six"], "zeros", &[]),
        node("Concat", &["two", "zeros"], "flat", zero_fill),
        node("Cast", &["flat"], "pads", &[("to", I(7))]),
        node("Reshape", &["pads", "rows"], "table", &[]),
        node("Transpose", &["table"], "turned", &[("perm", Is(&[1, 0]))]),
        node("Reshape", &["turned", "minus"], "padding", &[]),
        node("Pad", &["s", "padding"], "p", &[("mode", S("constant"))]),
        node("Add", &["p", "p"], "sum", &[]),
        node(
            "AveragePool",
            &["sum"],
            "a",
            &[("kernel_shape", Is(&[2, 2])), ("strides", Is(&[2, 2]))],
        ),
        node("Shape", &["a"], "shape", &[]),
        node("Gather", &["shape", "first"], "batch", zero_fill),
        node("Unsqueeze", &["batch", "first"], "wide", &[]),
        node("Squeeze", &["wide", "first"], "narrow", &[]),
        node("Concat", &["narrow", "minus"], "target", zero_fill),
        node("Reshape", &["a", "target"], "f", &[]),
        node(
            "Gemm",
            &["f", "g", "b"],
            "y",
            &[("transB", I(1)), ("alpha", F(1.0))],
        ),
    ];
    nodes[3].attribute.push(AttributeProto {
        name: "value".to_string(),
        t: Some(ints("", &[0])),
        r#type: AttributeType::Tensor as i32,
        ..AttributeProto::default()
    });
    let constants = vec![
        floats("w", &[4, 4, 3, 3]),
        floats("bias", &[4]),
        ints("starts", &[0, 0]),
        ints("ends", &[8, i64::MAX]),
        ints("axes", &[2, 3]),
        ints("steps", &[2, 2]),
        ints("six", &[6]),
        ints("two", &[0, 0]),
        ints("rows", &[-1, 2]),
        ints("minus", &[-1]),
        ints("first", &[0]),
        floats("g", &[5, 16]),
        floats("b", &[5]),
    ];
    model(nodes, constants)
}

/// Well-formed files with wrong contents: numbers, names and operators exchanged at random.
#[test]
fn edited_models_never_panic() {
    const OPERATORS: [&str; 24] = [
        "Max",
        "MaxPool",
        "ConvTranspose",
        "Resize",
        "Split",
        "DepthToSpace",
        "Expand",
        "ReduceMax",
        "Clip",
        "PRelu",
        "MatMul",
        "Sum",
        "Conv",
        "Pad",
        "Slice",
        "Concat",
        "Gather",
        "Reshape",
        "Gemm",
        "AveragePool",
        "ConstantOfShape",
        "Mul",
        "ReduceMean",
        "Transpose",
    ];
    const NUMBERS: [i64; 12] = [
        0,
        1,
        -1,
        2,
        3,
        7,
        100,
        1 << 16,
        1 << 31,
        1 << 40,
        i64::MAX,
        i64::MIN,
    ];
    let whole = with_shape_arithmetic();
    import_model(&whole).unwrap();
    let mut random = ChaCha8Rng::seed_from_u64(11);
    let mut accepted = 0;
    for _ in 0..3000 {
        let mut model = whole.clone();
        let graph = model.graph.as_mut().unwrap();
        for _ in 0..random.random_range(1..4) {
            let number = NUMBERS[random.random_range(0..NUMBERS.len())];
            let (i, j) = (
                random.random_range(0..graph.node.len()),
                random.random_range(0..graph.node.len()),
            );
            match random.random_range(0..6) {
                0 => graph.node[i].input[0] = graph.node[j].output[0].clone(),
                1 => {
                    let last = graph.node[i].input.len() - 1;
                    let constants = &graph.initializer;
                    graph.node[i].input[last] = constants[random.random_range(0..constants.len())]
                        .name
                        .clone();
                }
                2 => {
                    graph.node[i].op_type =
                        OPERATORS[random.random_range(0..OPERATORS.len())].to_string()
                }
                3 => {
                    for attribute in &mut graph.node[i].attribute {
                        attribute.i = number;
                        attribute.ints.iter_mut().take(1).for_each(|v| *v = number);
                    }
                }
                4 => {
                    let constants = &mut graph.initializer;
                    let at = random.random_range(0..constants.len());
                    constants[at]
                        .int64_data
                        .iter_mut()
                        .take(1)
                        .for_each(|v| *v = number);
                }
                _ => graph.node.swap(i, j),
            }
        }
        if let Ok(graph) = import_model(&model) {
            graph.verify().unwrap();
            accepted += 1;
        }
    }
    assert!(
        (100..2900).contains(&accepted),
        "{accepted} of 3000 were accepted"
    );
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
