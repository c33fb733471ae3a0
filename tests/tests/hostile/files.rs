//! Plans, keys, ciphertexts, images and models that are damaged, or of others.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use hecc_tests::folders;
use hecc_tests::session::Session;

use crate::common::{INSECURE_TEST_RING, commands, insecure_digits};
use crate::setup::{Setup, mutations};

#[test]
fn damaged_files_are_refused() {
    let setup = Setup::new();
    let check = |file: &str, commands: &[&str], flips: usize| {
        let good = std::fs::read(setup.session.file(file)).unwrap();
        for (index, bytes) in mutations(&good, flips, 1).iter().enumerate() {
            let bad = setup.bad_file(bytes);
            setup.refuses(commands[index % commands.len()], file, &bad, "");
        }
    };
    check(
        "plan.bin",
        &["inspect", "keygen", "encrypt", "eval", "decrypt"],
        40,
    );
    check("client.key", &["encrypt", "decrypt"], 20);
    check("server.key", &["eval"], 20);
    check("in.ct", &["eval"], 20);
    check("out.ct", &["decrypt"], 20);
}

#[test]
fn files_of_others_are_refused() {
    let setup = Setup::new();
    let file = |name: &str| setup.session.file(name);
    // Each kind in the place of each other.
    let wrong_kind = "not";
    setup.refuses("encrypt", "client.key", &file("server.key"), wrong_kind);
    setup.refuses("eval", "server.key", &file("client.key"), wrong_kind);
    setup.refuses("eval", "in.ct", &file("out.ct"), wrong_kind);
    setup.refuses("decrypt", "out.ct", &file("in.ct"), wrong_kind);
    setup.refuses("keygen", "plan.bin", &file("in.ct"), "plan");
    setup.refuses(
        "inspect",
        "plan.bin",
        &folders::model("digits/digits.onnx"),
        "plan",
    );
    setup.refuses("compile", "digits.onnx", &file("plan.bin"), "ONNX");
    setup.refuses("decrypt", "client.key", &file("absent"), "");
    setup.refuses(
        "inspect",
        "plan.bin",
        folders::model("digits").as_path(),
        "",
    );

    // Another plan, of the same model.
    let other = tempfile::tempdir().unwrap();
    let others = Session::new(commands(), other.path());
    let model = folders::model("digits/digits.onnx");
    let flags = [&INSECURE_TEST_RING[..], &["--degree", "7"]].concat();
    others.compile(&model, &flags).unwrap();
    others.keygen().unwrap();
    let image = folders::model("samples/digit-5.png");
    others.classify(&image, None).unwrap();
    setup.refuses("encrypt", "client.key", &others.file("client.key"), "plan");
    setup.refuses("eval", "server.key", &others.file("server.key"), "plan");
    setup.refuses("eval", "in.ct", &others.file("in.ct"), "plan");
    setup.refuses("decrypt", "out.ct", &others.file("out.ct"), "plan");

    // Another key pair, of the same plan.
    let second = tempfile::tempdir().unwrap();
    let stranger = insecure_digits(second.path());
    stranger.classify(&image, None).unwrap();
    setup.refuses("eval", "in.ct", &stranger.file("in.ct"), "key pair");
    setup.refuses("decrypt", "out.ct", &stranger.file("out.ct"), "key pair");
    setup.refuses("decrypt", "client.key", &stranger.file("client.key"), "");
}

#[test]
fn bad_images_are_refused() {
    let setup = Setup::new();
    let good = std::fs::read(folders::model("samples/digit-3.png")).unwrap();
    let check = |name: &str, bytes: &[u8], expect: &str| {
        let path = setup.session.file(name);
        std::fs::write(&path, bytes).unwrap();
        setup.refuses("encrypt", "image", &path, expect);
    };
    check("empty.png", b"", "readable image");
    check("half.png", &good[..good.len() / 2], "readable image");
    check("text.png", b"a picture of a cat", "readable image");
    // A header that announces 2^31-1 x 2^31-1 pixels.
    let bomb = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x7f\xff\xff\xff\x7f\xff\xff\xff\x08\x02\x00\x00\x00\x8d\x6b\x9c\x1f";
    check("bomb.png", bomb, "readable image");
    check("noise.npy", b"\x93NUMPY\x01\x00\xff\xff{'descr'", "");
    let npy = |descr: &str, shape: &str, data: &[u8]| {
        let header =
            format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
        let length = u16::try_from(header.len()).unwrap().to_le_bytes();
        [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), data].concat()
    };
    check("shape.npy", &npy("<f4", "(1, 8, 9)", &[0; 288]), "expected");
    check(
        "many.npy",
        &npy("<f4", "(2, 1, 8, 8)", &[0; 512]),
        "several images",
    );
    check("type.npy", &npy("<i8", "(1, 8, 8)", &[0; 512]), "integers");
    check("nan.npy", &npy("<f4", "(1, 8, 8)", &[255; 256]), "finite");
    check(
        "huge.npy",
        &npy("<f4", "(4000000000, 4000000000)", &[0; 4]),
        "",
    );
    setup.refuses(
        "encrypt",
        "image",
        &setup.session.file("absent.png"),
        "read",
    );
}

/// A damaged model is refused, or (where the damage is in a name or a comment) compiles.
#[test]
fn damaged_models() {
    let setup = Setup::new();
    let good = std::fs::read(folders::model("digits/digits.onnx")).unwrap();
    for bytes in mutations(&good, 40, 2) {
        setup.survives("compile", "digits.onnx", &setup.bad_file(&bytes));
    }
}

/// An evaluation that is stopped leaves no output and no temporary.
#[cfg(unix)]
#[test]
fn a_stopped_evaluation_leaves_nothing() {
    let setup = Setup::new();
    for wait in [20, 100, 200] {
        let output = setup.out.join("out.ct");
        let file = |name: &str| setup.session.file(name);
        let mut child = Command::new(env!("CARGO_BIN_EXE_demo"))
            .args(["as", "hecc-run", "eval"])
            .args([file("plan.bin"), "--server".into(), file("server.key")])
            .args([file("in.ct"), "-o".into(), output.clone()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(wait));
        let id = child.id().to_string();
        // It may have ended already.
        let _ = Command::new("kill").args(["-INT", &id]).status().unwrap();
        let finished = child.wait().unwrap().success();
        let expect: Vec<&PathBuf> = finished.then_some(&output).into_iter().collect();
        assert_eq!(
            setup.written().iter().collect::<Vec<_>>(),
            expect,
            "after {wait} ms"
        );
        if finished {
            std::fs::remove_file(output).unwrap();
        }
    }
}
