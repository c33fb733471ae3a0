//! Three exports of one network: BatchNorm folded, kept, and raw with a dynamic batch.

use std::path::Path;

use hecc_frontend::import::import;
use hecc_images::{Values, read_npy};
use hecc_ir::nn::Graph;
use hecc_ir::nn_eval::evaluate;
use hecc_ir::plan::Plan;
use hecc_runtime::plan_file::load_plan;
use hecc_tests::commands::Commands;
use hecc_tests::deviation::Deviation;
use hecc_tests::folders;
use hecc_tests::npy::write_npy;

const EXPORTS: [&str; 3] = [
    "resnet20_cifar10_b1",
    "resnet20_cifar10",
    "resnet20_cifar10_bn_b1",
];
const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const STD: [f32; 3] = [0.229, 0.224, 0.225];

fn floats(path: &Path) -> Vec<f32> {
    match read_npy(path).unwrap().values {
        Values::F32(values) => values,
        other => panic!("{}: {other:?}", path.display()),
    }
}

/// Tile `index` of a sheet of 32x32 pictures, 100 a row, normalised, `[3, 32, 32]`.
fn tile(sheet: &image::RgbImage, index: u32) -> Vec<f32> {
    let (left, top) = (index % 100 * 32, index / 100 * 32);
    let mut out = Vec::with_capacity(3 * 32 * 32);
    for c in 0..3 {
        for y in 0..32 {
            for x in 0..32 {
                let pixel = sheet.get_pixel(left + x, top + y).0[c];
                out.push((f32::from(pixel) / 255.0 - MEAN[c]) / STD[c]);
            }
        }
    }
    out
}

fn logits(graph: &Graph, image: &[f32]) -> Vec<f32> {
    let mut relu = |_, x: &mut [f32]| x.iter_mut().for_each(|v| *v = v.max(0.0));
    evaluate(graph, image, &mut relu).unwrap()
}

#[test]
fn exports_agree() {
    let Some(data) = folders::reference_data("exports_agree") else {
        return;
    };
    let sheet = image::open(data.join("cifar10/test_first2000.webp"));
    let sheet = sheet.unwrap().into_rgb8();
    let reference = floats(&data.join("models/relu/resnet20_cifar10_b1.logits_first1000.npy"));
    for name in EXPORTS {
        let graph = import(&data.join(format!("models/relu/{name}.onnx"))).unwrap();
        for index in [0, 1, 999] {
            let got = logits(&graph, &tile(&sheet, index as u32));
            let expected = &reference[10 * index..10 * (index + 1)];
            for (g, e) in got.iter().zip(expected) {
                assert!((g - e).abs() < 1e-4, "{name}, image {index}: {g}, not {e}");
            }
        }
    }

    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let images: Vec<f32> = (0..4).flat_map(|index| tile(&sheet, index)).collect();
    write_npy(&at("images.npy"), &[4, 3, 32, 32], &images).unwrap();
    let preprocess =
        format!("mean = {MEAN:?}\nstd = {STD:?}\nwidth = 32\nheight = 32\nchannels = 3\n");
    std::fs::write(at("preprocess.toml"), preprocess).unwrap();
    let commands = Commands::new(env!("CARGO_BIN_EXE_demo"), false);
    let hecc = |verb: &str, name: &str, flags: &[(&str, &str)]| {
        let model = data.join(format!("models/relu/{name}.onnx"));
        let mut line = vec!["hecc".into(), verb.into(), model.into_os_string()];
        for (flag, file) in flags {
            line.extend([flag.into(), at(file).into_os_string()]);
        }
        line.extend([
            "--preprocess".into(),
            at("preprocess.toml").into_os_string(),
        ]);
        if verb == "compile" {
            line.extend(["--degree".into(), "15".into()]);
        }
        commands.succeed(line).unwrap();
    };
    let plan = |name: &str, calibration: &str| {
        hecc(
            "compile",
            name,
            &[("--calibration", calibration), ("-o", "plan.bin")],
        );
        let mut plan = load_plan(&at("plan.bin")).unwrap();
        assert!(std::mem::take(&mut plan.model).contains(name));
        plan
    };
    let [folded, raw, kept] = EXPORTS;
    hecc(
        "calibrate",
        folded,
        &[("--data", "images.npy"), ("-o", "folded.json")],
    );
    // A calibration is bound to the network, not to the file, nor to how the file rounds.
    let plans = [folded, raw, kept].map(|name| plan(name, "folded.json"));
    assert!(plans[0] == plans[1], "{folded} and {raw} give other plans");
    // Folding BatchNorm rounds the weights: the same plan but for their last bits.
    let skeleton = |plan: &Plan| {
        let nodes = plan.program.nodes.iter();
        let nodes: Vec<_> = nodes
            .map(|n| (n.name.clone(), n.layout.clone(), n.level, n.scale))
            .collect();
        (nodes, plan.keys.clone(), plan.parameters.clone())
    };
    assert_eq!(skeleton(&plans[0]), skeleton(&plans[2]), "{kept}");
    let image: Vec<f64> = images[..3072].iter().copied().map(f64::from).collect();
    let [a, b] = [&plans[0], &plans[2]].map(|plan| plan.program.evaluate(&image).unwrap());
    let deviation = Deviation::of(&a, &b);
    assert!(deviation.bits() > 12.0, "{kept}: {deviation:?}");
}
