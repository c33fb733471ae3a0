//! What every compiler stage makes of the shipped models, as text.

use std::path::Path;

use hecc_tests::commands::Commands;
use hecc_tests::folders;

/// Compiles `model` and holds every dump of `--dump-ir` against its snapshot.
fn check(name: &str, model: &str) {
    let model = folders::model(model);
    let folder = tempfile::tempdir().unwrap();
    let (plan, dumps) = (folder.path().join("plan.bin"), folder.path().join("ir"));
    let commands = Commands::new(env!("CARGO_BIN_EXE_demo"), false);
    let line: [&Path; 7] = [
        "hecc".as_ref(),
        "compile".as_ref(),
        &model,
        "-o".as_ref(),
        &plan,
        "--dump-ir".as_ref(),
        &dumps,
    ];
    commands.succeed(line).unwrap();
    let mut files: Vec<_> = std::fs::read_dir(&dumps)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(!files.is_empty());
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| {
        for file in files {
            let stage = file.file_stem().unwrap().to_string_lossy().into_owned();
            let text = std::fs::read_to_string(&file).unwrap();
            insta::assert_snapshot!(format!("{name}_{stage}"), text);
        }
    });
}

#[test]
fn digits() {
    check("digits", "digits/digits.onnx");
}

#[test]
fn resnet20() {
    check("resnet20", "resnet20/resnet20.onnx");
}
