//! The ONNX model in f32 = the plan in the clear = the plan encrypted, in bits; through the commands
//! and real files, on the insecure test ring.

mod common;

use std::collections::BTreeMap;

use common::{commands, insecure_digits};
use hecc_images::load_image;
use hecc_ir::linear::baby_giant;
use hecc_ir::plan::Plan;
use hecc_ir::program::Op;
use hecc_runtime::bootstraps::Bootstraps;
use hecc_runtime::plan_file::{context, load_plan};
use hecc_tests::deviation::Deviation;
use hecc_tests::folders;
use hecc_tests::model::{image, tract};
use hecc_tests::npy::write_npy;
use hecc_tests::onnx::{Network, Window};
use hecc_tests::session::Session;

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().copied().map(f64::from).collect()
}

#[test]
fn digits_three_ways() {
    let folder = tempfile::tempdir().unwrap();
    let session = insecure_digits(folder.path());
    let plan = load_plan(&session.file("plan.bin")).unwrap();
    assert!(plan.insecure);
    let model = std::fs::read(folders::model("digits/digits.onnx")).unwrap();
    for (sample, label) in [("digit-3.png", 3), ("digit-8.png", 8)] {
        let path = folders::model("samples").join(sample);
        let image = load_image(&path, &plan.preprocess).unwrap();
        let f32 = wide(&tract(&model, &[1, 1, 8, 8], &image).unwrap());
        let clear = plan.program.evaluate(&wide(&image)).unwrap();
        let encrypted = session.classify(&path, None).unwrap();
        let approximation = Deviation::of(&clear, &f32);
        let noise = Deviation::of(&encrypted.logits, &clear);
        println!(
            "{sample}: clear {:.1} bits of f32, encrypted {:.1} bits of clear",
            approximation.bits(),
            noise.bits()
        );
        assert_eq!(hecc_ir::nn_eval::class(&encrypted.logits), label);
        assert!(approximation.same_class && noise.same_class);
        assert!(approximation.bits() >= 4.0, "{approximation:?}");
        assert!(noise.bits() >= 11.0, "{noise:?}");
        let nodes = encrypted.stats["nodes"].as_array().unwrap();
        assert_eq!(nodes.len(), plan.program.nodes.len());
    }
}

/// The plan asks for the rotation keys that maps, folds and bootstraps use, at their levels, no more.
#[test]
fn rotation_keys_are_exact() {
    let folder = tempfile::tempdir().unwrap();
    let session = insecure_digits(folder.path());
    let plan = load_plan(&session.file("plan.bin")).unwrap();
    let context = context(&plan).unwrap();
    let program = &plan.program;
    let mut needed = BTreeMap::new();
    let mut need = |steps: usize, level: usize| {
        if steps != 0 {
            let highest = needed.entry(steps).or_insert(level);
            *highest = level.max(*highest);
        }
    };
    let mut bootstraps = Bootstraps::new(program, plan.parameters.bootstrap.as_ref());
    for (index, node) in program.nodes.iter().enumerate() {
        match &node.op {
            Op::Linear { x, map } => {
                let (map, input) = (&program.maps[*map], &program.nodes[*x]);
                let offsets = map.offsets(&input.layout, &node.layout).unwrap();
                let (babies, giants) = baby_giant(&offsets.offsets, map.giant);
                // An operand that stands higher is dropped first.
                let steps = babies.into_iter().chain(giants).map(|(_, step)| step);
                steps.for_each(|step| need(step, node.level + 1));
                offsets.folds.into_iter().for_each(|s| need(s, node.level));
            }
            Op::Activate { .. } => {
                let bootstrapper = bootstraps.get(&context, index).unwrap();
                for (steps, level) in bootstrapper.rotations() {
                    need(steps, level);
                }
            }
            Op::Input
            | Op::MulConst { .. }
            | Op::Add { .. }
            | Op::Mul { .. }
            | Op::Polynomial { .. } => {}
        }
    }
    let keys = plan.keys.rotations.iter();
    let keys: BTreeMap<usize, usize> = keys.map(|key| (key.steps, key.level)).collect();
    assert_eq!(keys, needed);
}

/// A network of random weights through every command, from its measurement to a look into every
/// value; its plan.
fn by_commands(input: [usize; 3], model: &[u8], flags: &[&str]) -> Plan {
    let folder = tempfile::tempdir().unwrap();
    let session = Session::new(commands(), folder.path());
    let path = session.file("model.onnx");
    std::fs::write(&path, model).unwrap();
    let ([c, h, w], elements) = (input, input.iter().product::<usize>());
    let data = session.file("data.npy");
    write_npy(&data, &[4, c, h, w], &image(4 * elements, 1)).unwrap();
    session.calibrate(&path, &data).unwrap();
    let flags = [&["--allow-insecure", "--ring", "11"], flags].concat();
    session.compile(&path, &flags).unwrap();
    session.keygen().unwrap();
    let pixels = image(elements, 2);
    let picture = session.file("image.npy");
    write_npy(&picture, &input, &pixels).unwrap();
    let encrypted = session.classify(&picture, None).unwrap();

    let plan = load_plan(&session.file("plan.bin")).unwrap();
    let f32 = wide(&tract(model, &[1, c, h, w], &pixels).unwrap());
    let clear = plan.program.evaluate(&wide(&pixels)).unwrap();
    let approximation = Deviation::of(&clear, &f32);
    let noise = Deviation::of(&encrypted.logits, &clear);
    assert!(approximation.bits() >= 4.0, "{approximation:?}");
    assert!(noise.bits() >= 9.0, "{noise:?}");
    let verdict = session.debug().unwrap().stdout;
    assert!(verdict.contains("every value agrees"), "{verdict}");
    plan
}

#[test]
fn several_ciphertexts_by_commands() {
    let input = [3, 12, 12];
    let (mut n, x) = Network::new(input, 1);
    let x = n.conv(&x, 12, 1, Window::square(3, 1, 1));
    let x = n.activation("Relu", &x);
    let x = n.conv(&x, 8, 2, Window::square(3, 2, 1));
    let x = n.activation("Relu", &x);
    let logits = n.gemm(&x, 6);
    let plan = by_commands(
        input,
        &n.finish(&logits),
        &["--degree", "31", "--activation", "fused"],
    );
    let parts = plan.program.nodes.iter().map(|node| node.layout.parts);
    assert_eq!(parts.max(), Some(2));
    assert!(plan.keys.encapsulation);
}

#[test]
fn no_bootstrap_by_commands() {
    let input = [1, 12, 12];
    let (mut n, x) = Network::new(input, 2);
    let x = n.conv(&x, 5, 1, Window::square(5, 2, 1));
    let x = n.quadratic(&x);
    let x = n.pool("AveragePool", &x, 2, 1);
    let x = n.gemm(&x, 20);
    let x = n.silu(&x);
    let logits = n.gemm(&x, 5);
    let plan = by_commands(
        input,
        &n.finish(&logits),
        &["--degree", "15", "--activation", "levelled"],
    );
    assert!(plan.parameters.bootstrap.is_none() && !plan.keys.encapsulation);
}
