//! The ONNX model in f32 = the plan in the clear = the plan encrypted, in bits; through the commands
//! and real files, on the insecure test ring.

mod common;

use std::collections::BTreeMap;

use common::insecure_digits;
use hecc_images::load_image;
use hecc_ir::linear::baby_giant;
use hecc_ir::program::Op;
use hecc_runtime::bootstraps::Bootstraps;
use hecc_runtime::plan_file::{context, load_plan};
use hecc_tests::deviation::Deviation;
use hecc_tests::folders;
use tract_onnx::prelude::*;

/// Logits of an ONNX file by tract alone.
fn onnx(model: &std::path::Path, shape: [usize; 4], image: &[f32]) -> Vec<f64> {
    let model = tract_onnx::onnx().model_for_path(model).unwrap();
    let input = Tensor::from_shape(&shape, image).unwrap();
    let model = model.into_optimized().unwrap().into_runnable().unwrap();
    let output = model.run(tvec!(input.into())).unwrap();
    let logits = output[0].to_plain_array_view::<f32>().unwrap();
    logits.iter().map(|&v| f64::from(v)).collect()
}

#[test]
fn digits_three_ways() {
    let folder = tempfile::tempdir().unwrap();
    let session = insecure_digits(folder.path());
    let plan = load_plan(&session.file("plan.bin")).unwrap();
    assert!(plan.insecure);
    let model = folders::model("digits/digits.onnx");
    for (sample, label) in [("digit-3.png", 3), ("digit-8.png", 8)] {
        let path = folders::model("samples").join(sample);
        let image = load_image(&path, &plan.preprocess).unwrap();
        let wide: Vec<f64> = image.iter().copied().map(f64::from).collect();
        let f32 = onnx(&model, [1, 1, 8, 8], &image);
        let clear = plan.program.evaluate(&wide).unwrap();
        let encrypted = session.classify(&path, None).unwrap();
        let approximation = Deviation::of(&clear, &f32);
        let noise = Deviation::of(&encrypted.logits, &clear);
        println!(
            "{sample}: clear {:.1} bits of f32, encrypted {:.1} bits of clear",
            approximation.bits(),
            noise.bits()
        );
        assert_eq!(hecc_tests::deviation::class(&encrypted.logits), label);
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
    let mut bootstraps = Bootstraps::new(program, &plan.parameters.bootstrap);
    for node in &program.nodes {
        match &node.op {
            Op::Linear { x, map } => {
                let (map, input) = (&program.maps[*map], &program.nodes[*x]);
                let offsets = map.offsets(&input.layout, &node.layout).unwrap();
                let (babies, giants) = baby_giant(&offsets.offsets, map.giant);
                babies
                    .into_iter()
                    .chain(giants)
                    .for_each(|s| need(s, input.level));
                offsets.folds.into_iter().for_each(|s| need(s, node.level));
            }
            Op::Activate { x, rho, .. } => {
                let bootstrapper = bootstraps
                    .get(&context, &program.nodes[*x], node, *rho)
                    .unwrap();
                for (steps, level) in bootstrapper.rotations() {
                    need(steps, level);
                }
            }
            Op::Input | Op::MulConst { .. } | Op::Add { .. } => {}
        }
    }
    let keys = plan.keys.rotations.iter();
    let keys: BTreeMap<usize, usize> = keys.map(|key| (key.steps, key.level)).collect();
    assert_eq!(keys, needed);
}
