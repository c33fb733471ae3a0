use super::*;
use crate::sample::{self, Builder, compiled, images};
use hecc_ir::function::{Approximation, Function};
use hecc_ir::nn::{Graph, Linear, Op, Shape, ValueId};
use hecc_ir::nn_eval::{evaluate, exact};
use hecc_ir::program;
use hecc_passes::{Ways, approximate};
use tract_onnx::pb::ModelProto;
use tract_onnx::prelude::{Framework, InferenceModelExt, IntoRunnable, Tensor, tvec};

/// What tract makes of the file.
fn run(bytes: &[u8], shape: Shape, image: &[f32]) -> Vec<f32> {
    let model = ModelProto::decode(bytes).unwrap();
    let dims = [1, shape.c, shape.h, shape.w];
    let fact = tract_onnx::prelude::InferenceFact::dt_shape(f32::datum(), dims);
    let runnable = tract_onnx::onnx()
        .model_for_proto_model(&model)
        .unwrap()
        .with_input_fact(0, fact)
        .unwrap()
        .into_typed()
        .unwrap()
        .into_runnable()
        .unwrap();
    let tensor = Tensor::from_shape(&dims, image).unwrap();
    let outputs = runnable.run(tvec!(tensor.into())).unwrap();
    outputs[0]
        .try_as_plain_ram()
        .unwrap()
        .as_slice::<f32>()
        .unwrap()
        .to_vec()
}

trait DatumOf {
    fn datum() -> tract_onnx::prelude::DatumType;
}

impl DatumOf for f32 {
    fn datum() -> tract_onnx::prelude::DatumType {
        <f32 as tract_onnx::prelude::Datum>::datum_type()
    }
}

/// Largest difference over the spread of `expect`.
fn difference(got: &[f32], expect: &[f64]) -> f64 {
    assert_eq!(got.len(), expect.len());
    let (low, high) = expect
        .iter()
        .fold((f64::MAX, f64::MIN), |(l, h), &v| (l.min(v), h.max(v)));
    let worst = got
        .iter()
        .zip(expect)
        .map(|(&a, b)| (f64::from(a) - b).abs());
    worst.fold(0.0, f64::max) / (high - low)
}

fn recompiled(bytes: &[u8], ways: Ways) -> (Graph, Plan) {
    let outcome = import::examine_bytes("sample.onnx".as_ref(), bytes, import::MaxPool::default());
    let imported = outcome.unwrap();
    let folded = fold_linear(&imported.graph).unwrap();
    let calibration = imported.calibration.unwrap();
    assert_eq!(calibration.model_hash, model_hash(&folded.graph));
    let plan = compiled(&folded, &calibration, ways);
    (imported.graph, plan)
}

/// Kind, level, unit and numbers of every node.
fn outline(plan: &Plan) -> Vec<(String, usize, Vec<f64>)> {
    let nodes = plan.program.nodes.iter();
    nodes
        .map(|node| {
            let (kind, mut numbers) = match &node.op {
                program::Op::Input => ("input", Vec::new()),
                program::Op::Linear { map, .. } => ("linear", vec![plan.program.maps[*map].gain]),
                program::Op::MulConst { factor, .. } => ("scale", vec![*factor]),
                program::Op::Add { .. } => ("add", Vec::new()),
                program::Op::Mul { .. } => ("mul", Vec::new()),
                program::Op::Polynomial { coefficients, .. } => {
                    ("polynomial", coefficients.clone())
                }
                program::Op::Activate { coefficients, .. } => ("activate", coefficients.clone()),
            };
            numbers.push(node.unit);
            (
                format!("{kind} {:?} {}", node.op.operands(), node.layout),
                node.level,
                numbers,
            )
        })
        .collect()
}

fn check(graph: &Graph, ways: Ways) -> Plan {
    let plan = sample::plan(graph, ways.clone());
    let refreshes = |plan: &Plan| {
        let nodes = plan.program.nodes.iter();
        nodes
            .filter(|n| n.target.as_ref().is_some_and(|t| t.function.is_none()))
            .count()
    };
    let bytes = model(&plan).unwrap();
    assert_eq!(bytes, model(&plan).unwrap());
    let (again, second) = recompiled(&bytes, ways.clone());
    for image in images(graph, 3) {
        let wide: Vec<f64> = image.iter().map(|&v| v.into()).collect();
        let expect = plan.program.evaluate(&wide).unwrap();
        let error = difference(
            &run(&bytes, plan.program.nodes[0].layout.shape, &image),
            &expect,
        );
        assert!(error < 1e-4, "the file: {error}");
        let got = evaluate(&again, &image, &mut exact(&again)).unwrap();
        let error = difference(&got, &expect);
        let limit = if refreshes(&plan) == 0 { 1e-4 } else { 2e-2 };
        assert!(error < limit, "its import: {error}\n{}", again.dump());
    }
    let (first, other) = (outline(&plan), outline(&second));
    assert_eq!(
        first.len(),
        other.len(),
        "{}\n{}",
        plan.program.dump(),
        second.program.dump()
    );
    for (value, (a, b)) in first.iter().zip(&other).enumerate() {
        assert_eq!((&a.0, a.1, a.2.len()), (&b.0, b.1, b.2.len()), "v{value}");
        for (x, y) in a.2.iter().zip(&b.2) {
            assert!(
                (x - y).abs() <= 1e-6 * x.abs().max(1e-3),
                "v{value}: {x} {y}"
            );
        }
    }
    assert_eq!(refreshes(&plan), refreshes(&second));
    // From then on nothing changes.
    let bytes = model(&second).unwrap();
    let (_, third) = recompiled(&bytes, ways);
    assert!(bytes == model(&third).unwrap());
    plan
}

#[test]
fn fused_activations() {
    let plan = check(&sample::residual(Function::Relu), Ways::Fused);
    let bytes = model(&plan).unwrap();
    let file = ModelProto::decode(&bytes[..]).unwrap();
    let graph = file.graph.as_ref().unwrap();
    assert_eq!(graph.node.iter().filter(|n| n.op_type == "Cos").count(), 3);
    assert!(
        file.opset_import
            .iter()
            .all(|o| o.domain.is_empty() && o.version == 13)
    );
    assert_eq!(file.ir_version, 8);
    // Without what is stated, the operators tell.
    let mut bare = file.clone();
    bare.metadata_props.clear();
    let imported = import::import_bytes("bare.onnx", &bare.encode_to_vec()).unwrap();
    let functions = |graph: &Graph| -> Vec<Approximation> {
        let nodes = graph.nodes.node_weights();
        nodes
            .filter_map(|n| match &n.op {
                Op::Activation(Function::Approximated(a)) => Some(a.clone()),
                Op::Activation(_) | Op::Input | Op::Linear(_) | Op::Add | Op::Mul => None,
            })
            .collect()
    };
    let stated = import::import_bytes("model.onnx", &bytes).unwrap();
    assert_eq!(functions(&imported), functions(&stated));
    assert_eq!(functions(&stated).len(), 3);
    // What is stated must be true.
    for (entry, from, to) in [
        (0, "\"range\":", "\"range\":1"),
        (0, "\"refresh\":false", "\"refresh\":true"),
        (0, "[{\"node\"", "[{\"nodes\""),
        (0, "[0.", "[1e999,0."),
        (1, "\"images\":1", "\"images\":0"),
        (1, "{", "{{"),
    ] {
        let mut lie = file.clone();
        let value = &mut lie.metadata_props[entry].value;
        *value = value.replacen(from, to, 1);
        assert_ne!(*value, file.metadata_props[entry].value, "{from}");
        let e = import::import_bytes("lie.onnx", &lie.encode_to_vec()).unwrap_err();
        assert!(e.what.contains("metadata \"hecc."), "{e}");
    }
}

#[test]
fn plain_bootstraps_are_part_of_the_file_and_not_of_its_import() {
    let mut plan = sample::plan(&sample::residual(Function::Relu), Ways::Fused);
    let is_activation = |n: &program::Node| matches!(n.op, program::Op::Activate { .. });
    let second = plan.program.nodes.iter().rposition(is_activation).unwrap();
    let operand = plan.program.nodes[second].op.operands()[0];
    let range = plan.program.nodes[operand].unit;
    let node = &mut plan.program.nodes[second];
    let mut series = approximate::identity(7, 0.65);
    series.iter_mut().for_each(|c| *c *= range / node.unit);
    node.op = program::Op::Activate {
        x: operand,
        coefficients: series,
        rho: 0.65,
    };
    node.target = Some(program::Target {
        x: operand,
        function: None,
    });
    let bytes = model(&plan).unwrap();
    let graph = import::import_bytes("model.onnx", &bytes).unwrap();
    let activations = |n: &&hecc_ir::nn::Node| matches!(n.op, Op::Activation(_));
    assert_eq!(graph.nodes.node_weights().filter(activations).count(), 2);
    for image in images(&graph, 3) {
        let wide: Vec<f64> = image.iter().map(|&v| v.into()).collect();
        let expect = plan.program.evaluate(&wide).unwrap();
        let shape = plan.program.nodes[0].layout.shape;
        let error = difference(&run(&bytes, shape, &image), &expect);
        assert!(error < 1e-4, "the file: {error}");
        let got = evaluate(&graph, &image, &mut exact(&graph)).unwrap();
        let error = difference(&got, &expect);
        assert!(error > 1e-5 && error < 2e-2, "its import: {error}");
    }
}

#[test]
fn levelled_activations() {
    check(&sample::residual(Function::Silu), Ways::Levelled);
}

#[test]
fn composed_activations() {
    check(
        &sample::residual(Function::Relu),
        Ways::Composite(vec![5, 5]),
    );
}

#[test]
fn squares_products_and_moves() {
    check(&sample::products(), Ways::Any);
    let mut b = Builder::new(5);
    let x = b.conv(ValueId::new(0), 4, 1);
    let coefficients = vec![vec![0.1, 0.5, 0.25]];
    let x = b.function(x, Function::Polynomial { coefficients });
    let (start, step, shape) = ([1, 0, 1], [2, 2, 3], Shape::new(2, 4, 3));
    let x = b.linear(x, Linear::Slice { start, step, shape });
    let (before, after) = ([0, 1, 0], [1, 0, 2]);
    let x = b.linear(x, Linear::Pad { before, after });
    let scale = (0..75).map(|i| 0.5 + i as f32 / 75.0).collect();
    let shift = (0..75).map(|i| 0.3 - i as f32 / 150.0).collect();
    let x = b.linear(x, Linear::Elementwise { scale, shift });
    let x = b.function(x, Function::Power { exponent: 2 });
    check(&b.head(x), Ways::Any);
}

#[test]
fn a_description_is_read_back() {
    let preprocess = Preprocess {
        mean: vec![0.4914, 0.0, -1e-9],
        std: vec![0.25, 1.0, 1e20],
        width: 32,
        height: 16,
        channels: 3,
        classes: vec!["a \"cat\"\n".to_string(), "\u{7f}é\\".to_string()],
    };
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), description(&preprocess).unwrap()).unwrap();
    assert_eq!(
        hecc_images::load_preprocess(file.path()).unwrap(),
        preprocess
    );
}
