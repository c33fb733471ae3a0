//! The commands in turn on the digits model, and what they say when something is wrong.

use crate::args::Args;
use crate::failure::Failure;
use crate::{dispatch, files};
use clap::Parser;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::path::{Path, PathBuf};

/// A folder with the digits model, its description and `images` random pictures.
pub fn folder(images: usize) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/digits");
    for name in ["digits.onnx", "digits.preprocess.toml"] {
        std::fs::copy(models.join(name), folder.path().join(name)).unwrap();
    }
    let header =
        format!("{{'descr': '|u1', 'fortran_order': False, 'shape': ({images}, 8, 8, 1), }}\n");
    let mut npy = b"\x93NUMPY\x01\x00".to_vec();
    npy.extend((header.len() as u16).to_le_bytes());
    npy.extend(header.as_bytes());
    let mut random = ChaCha8Rng::seed_from_u64(3);
    npy.extend((0..images * 64).map(|_| random.random::<u8>()));
    std::fs::write(folder.path().join("images.npy"), npy).unwrap();
    folder
}

/// Runs `hecc LINE`; words with a dot are files of the folder.
pub fn hecc(folder: &Path, line: &str) -> Result<(), Failure> {
    let word = |w: &str| -> PathBuf {
        let number = w.starts_with(|c: char| c.is_ascii_digit());
        if w.contains('.') && !number {
            folder.join(w)
        } else {
            w.into()
        }
    };
    let words = std::iter::once(PathBuf::from("hecc")).chain(line.split_whitespace().map(word));
    dispatch(&Args::try_parse_from(words.map(PathBuf::into_os_string)).unwrap()).map(|_| ())
}

#[test]
fn commands_in_turn() {
    let folder = folder(32);
    let run = |line: &str| hecc(folder.path(), line).unwrap();
    run("check digits.onnx");
    run("check digits.onnx --json --maxpool average");
    run("calibrate digits.onnx --data images.npy --limit 30");
    run("compile digits.onnx -o plan.bin --dump-ir dumps.d --json");
    run("inspect plan.bin");
    run("inspect plan.bin --json");
    std::fs::write(folder.path().join("l.labels"), [3; 32]).unwrap();
    run("evaluate plan.bin --data images.npy --onnx digits.onnx --labels l.labels --limit 8");
    run("simulate plan.bin --data images.npy --labels l.labels --limit 8 --seed 3");
    run("simulate plan.bin --data images.npy --json");
    assert!(folder.path().join("dumps.d/0_import.txt").exists());
    let plan = files::read(&folder.path().join("plan.bin"), 1 << 20).unwrap();
    assert!(plan.len() < 8_000, "the plan has {} bytes", plan.len());
}

/// Images on which the model's values are not finite do not count.
#[test]
fn images_that_diverge_are_left_out() {
    let folder = folder(1);
    let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (5, 1, 8, 8), }\n";
    let mut npy = b"\x93NUMPY\x01\x00".to_vec();
    npy.extend((header.len() as u16).to_le_bytes());
    npy.extend(header.as_bytes());
    for image in 0..5 {
        let value: f32 = if image == 2 { f32::MAX } else { 0.25 };
        npy.extend((0..64).flat_map(|_| value.to_le_bytes()));
    }
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("raw.npy"), npy).unwrap();
    hecc(
        folder.path(),
        "calibrate digits.onnx --data raw.npy -o c.json",
    )
    .unwrap();
    let text = std::fs::read(at("c.json")).unwrap();
    let calibration: hecc_ir::calibration::Calibration = serde_json::from_slice(&text).unwrap();
    assert_eq!(calibration.images, 4);
    let graph = crate::import::import(&at("digits.onnx")).unwrap();
    let folded = hecc_passes::fold_linear(&graph).unwrap().graph;
    let names = |c: &[hecc_ir::calibration::ValueRange]| -> Vec<String> {
        c.iter().map(|v| v.name.clone()).collect()
    };
    let expect: Vec<String> = folded
        .nodes
        .node_weights()
        .map(|n| n.name.clone())
        .collect();
    assert_eq!(names(&calibration.values), expect);
}

#[test]
fn failures_say_what_to_do_and_write_nothing() {
    let folder = folder(4);
    let at = |name: &str| folder.path().join(name);
    let check = |line: &str, expect: &[&str]| {
        let before = std::fs::read_dir(folder.path()).unwrap().count();
        let failure = hecc(folder.path(), line).unwrap_err();
        let text = format!("{}; {}", failure.what, failure.help.unwrap_or_default());
        for part in expect {
            assert!(text.contains(part), "{text:?} lacks {part:?}");
        }
        assert_eq!(
            std::fs::read_dir(folder.path()).unwrap().count(),
            before,
            "{line} wrote"
        );
    };
    check(
        "compile digits.onnx -o plan.bin",
        &["digits.calib.json", "hecc calibrate", "--data"],
    );
    check(
        "compile absent.onnx -o plan.bin",
        &["absent.onnx", "cannot be read"],
    );
    check("calibrate digits.onnx --data absent.npy", &["absent.npy"]);
    check("check images.npy", &["images.npy", "has a problem"]);
    check("inspect images.npy", &["images.npy", "hecc compile"]);
    hecc(folder.path(), "calibrate digits.onnx --data images.npy").unwrap();
    check(
        "compile digits.onnx -o absent.d/plan.bin",
        &["cannot be written"],
    );
    check(
        "compile digits.onnx -o plan.bin --degree 900",
        &["degree", "900"],
    );
    check(
        "compile digits.onnx -o plan.bin --allow-insecure --ring 40",
        &["40"],
    );
    check(
        "compile digits.onnx -o plan.bin --preprocess digits.onnx",
        &["digits.onnx"],
    );
    let calibration = std::fs::read_to_string(at("digits.calib.json")).unwrap();
    let other = calibration.replacen("\"model_hash\":\"", "\"model_hash\":\"00", 1);
    std::fs::write(at("long.json"), &other).unwrap();
    check(
        "compile digits.onnx -o plan.bin --calibration long.json",
        &["long.json", "model_hash", "-o"],
    );
    let start = calibration.find("model_hash").unwrap() + 13;
    let mut other = calibration.clone();
    other.replace_range(start..start + 8, "00000000");
    std::fs::write(at("other.json"), &other).unwrap();
    check(
        "compile digits.onnx -o plan.bin --calibration other.json",
        &["another model", "hecc calibrate"],
    );
    std::fs::write(at("half.json"), &calibration[..calibration.len() / 2]).unwrap();
    check(
        "compile digits.onnx -o plan.bin --calibration half.json",
        &["half.json", "no calibration"],
    );
    let description = std::fs::read_to_string(at("digits.preprocess.toml")).unwrap();
    std::fs::write(
        at("wide.toml"),
        description.replace("width = 8", "width = 9"),
    )
    .unwrap();
    check(
        "compile digits.onnx -o plan.bin --preprocess wide.toml",
        &["1x8x9", "1x8x8"],
    );
    hecc(folder.path(), "compile digits.onnx -o plan.bin").unwrap();
    let plan = files::read(&at("plan.bin"), 1 << 20).unwrap();
    std::fs::write(at("cut.bin"), &plan[..plan.len() / 2]).unwrap();
    check("inspect cut.bin", &["cut.bin"]);
    std::fs::remove_file(at("digits.preprocess.toml")).unwrap();
    check(
        "calibrate digits.onnx --data images.npy",
        &["preprocess", "digits.preprocess.toml"],
    );
}
