//! Damaged, foreign and lying files against the commands: an error that names the file and the way
//! out, exit code 2, nothing written, no panic.

mod common;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use common::{INSECURE_TEST_RING, commands, insecure_digits};
use hecc_ir::plan::Plan;
use hecc_ir::program::{Node, Op};
use hecc_runtime::plan_file::load_plan;
use hecc_tests::commands::Outcome;
use hecc_tests::folders;
use hecc_tests::session::Session;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A session with one result, and where the commands are told to write.
struct Setup {
    session: Session,
    out: PathBuf,
    _folder: tempfile::TempDir,
}

impl Setup {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let session = insecure_digits(folder.path());
        let image = folders::model("samples/digit-3.png");
        session.classify(&image, None).unwrap();
        let out = folder.path().join("outputs");
        std::fs::create_dir(&out).unwrap();
        Self {
            session,
            out,
            _folder: folder,
        }
    }

    /// Command `what` with `bad` in the place of one of its files.
    fn run(&self, what: &str, replaced: &str, bad: &Path) -> Outcome {
        let file = |name: &str| match name == replaced {
            true => bad.to_path_buf(),
            false => match name {
                "image" => folders::model("samples/digit-3.png"),
                "digits.onnx" => folders::model("digits/digits.onnx"),
                name => self.session.file(name),
            },
        };
        let out = |name: &str| self.out.join(name);
        let beside = |name: &str| folders::model("digits").join(name);
        let [plan, client, server] = ["plan.bin", "client.key", "server.key"].map(file);
        let words: Vec<PathBuf> = match what {
            "compile" => [
                vec![
                    "hecc".into(),
                    what.into(),
                    file("digits.onnx"),
                    "-o".into(),
                    out("plan"),
                ],
                vec!["--calibration".into(), beside("digits.calib.json")],
                vec!["--preprocess".into(), beside("digits.preprocess.toml")],
                INSECURE_TEST_RING.map(PathBuf::from).to_vec(),
            ]
            .concat(),
            "inspect" => vec!["hecc".into(), what.into(), plan],
            "keygen" => vec![
                "hecc-run".into(),
                what.into(),
                plan,
                "--client".into(),
                out("client"),
                "--server".into(),
                out("server"),
            ],
            "encrypt" => vec![
                "hecc-run".into(),
                what.into(),
                plan,
                "--client".into(),
                client,
                file("image"),
                "-o".into(),
                out("in"),
            ],
            "eval" => vec![
                "hecc-run".into(),
                what.into(),
                plan,
                "--server".into(),
                server,
                file("in.ct"),
                "-o".into(),
                out("out"),
                "--stats".into(),
                out("stats"),
            ],
            "decrypt" => vec![
                "hecc-run".into(),
                what.into(),
                plan,
                "--client".into(),
                client,
                file("out.ct"),
            ],
            other => panic!("no command {other}"),
        };
        commands().run(words).unwrap()
    }

    fn written(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(&self.out).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    /// Checks that the command refuses `bad` and says why in words that contain `expect`.
    fn refuses(&self, what: &str, replaced: &str, bad: &Path, expect: &str) {
        let outcome = self.run(what, replaced, bad);
        let context = format!("{what} with {} for {replaced}: {outcome:?}", bad.display());
        assert_eq!(outcome.code, Some(2), "{context}");
        let error = &outcome.stderr;
        assert!(error.starts_with("error: "), "{context}");
        assert!(error.contains("\nhelp: "), "{context}");
        let name = bad.file_name().unwrap().to_string_lossy();
        assert!(error.contains(&*name), "the file is not named: {context}");
        assert!(error.contains(expect), "not {expect:?}: {context}");
        assert!(outcome.stdout.is_empty(), "{context}");
        assert!(self.written().is_empty(), "{:?}: {context}", self.written());
    }

    fn bad_file(&self, bytes: &[u8]) -> PathBuf {
        let path = self.session.file("bad-file");
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

/// Truncations, extensions, flipped bits, overwritten stretches.
fn mutations(good: &[u8], flips: usize, seed: u64) -> Vec<Vec<u8>> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut all = vec![vec![], vec![0; 64], b"not what you expect\n".to_vec()];
    for length in [1, 8, 60, 119, good.len() / 3, good.len() - 1] {
        all.push(good[..length.min(good.len() - 1)].to_vec());
    }
    all.push([good, &[0]].concat());
    for flip in 0..flips {
        let mut bytes = good.to_vec();
        // Half of them near the start, where lengths and versions are.
        let end = if flip % 2 == 0 {
            bytes.len()
        } else {
            bytes.len().min(200)
        };
        let bit = rng.random_range(0..8 * end);
        bytes[bit / 8] ^= 1 << (bit % 8);
        all.push(bytes);
    }
    for value in [0x00, 0xff] {
        let mut bytes = good.to_vec();
        let start = rng.random_range(0..bytes.len());
        let end = bytes.len().min(start + 40);
        bytes[start..end].fill(value);
        if bytes != good {
            all.push(bytes);
        }
    }
    all
}

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
    for bytes in mutations(&good, 60, 2) {
        let bad = setup.bad_file(&bytes);
        let outcome = setup.run("compile", "digits.onnx", &bad);
        match outcome.code {
            Some(0) => std::fs::remove_file(setup.out.join("plan")).unwrap(),
            _ => setup.refuses("compile", "digits.onnx", &bad, ""),
        }
    }
}

/// Plans that are whole but wrong: the checker refuses what no compiler would write.
#[test]
fn lying_plans_are_refused() {
    let setup = Setup::new();
    let plan = load_plan(&setup.session.file("plan.bin")).unwrap();
    let check = |what: &str, edit: &dyn Fn(&mut Plan)| {
        let mut lie = plan.clone();
        edit(&mut lie);
        let bad = setup.bad_file(&lie.to_bytes());
        println!("{what}");
        setup.refuses("keygen", "plan.bin", &bad, "");
    };
    check("security hidden", &|p| p.insecure = false);
    check("security invented", &|p| p.certificate[0].security = 200.0);
    check("no certificate", &|p| p.certificate.clear());
    check("huge ring", &|p| p.parameters.log_n = 63);
    check("no digits", &|p| p.parameters.digit = 0);
    check("composite prime", &|p| p.parameters.q[1] += 2);
    check("no primes", &|p| p.parameters.q.clear());
    check("huge cosine", &|p| {
        p.parameters.bootstrap.cos_degree = usize::MAX >> 1
    });
    check("no transforms", &|p| p.parameters.bootstrap.stc = vec![]);
    check("keys missing", &|p| p.keys.rotations.truncate(3));
    check("key above the top", &|p| p.keys.rotations[0].level = 1000);
    check("no relinearisation", &|p| p.keys.relinearisation = None);
    check("no encapsulation", &|p| p.keys.encapsulation = false);
    check("no program", &|p| p.program.nodes.clear());
    check("no maps", &|p| p.program.maps.clear());
    check("wrong level", &|p| p.program.nodes[1].level += 1);
    check("sum of other scales", &|p| {
        let sum = |node: &&mut Node| matches!(node.op, Op::Add { .. });
        let node = p.program.nodes.iter_mut().find(sum);
        node.expect("digits has a residual").scale *= 2.0;
    });
    check("scale not a number", &|p| {
        p.program.nodes[0].scale = f64::NAN
    });
    check("unit zero", &|p| p.program.nodes[0].unit = 0.0);
    check("huge layout", &|p| {
        p.program.nodes[0].layout.slots = 1 << 40
    });
    check("odd copies", &|p| p.program.nodes[0].layout.copies = 3);
    check("operators out of order", &|p| p.program.nodes.swap(1, 2));
    check("map without stages", &|p| p.program.maps[0].stages.clear());
    check("colours", &|p| p.preprocess.channels = 3);
    check("no width", &|p| p.preprocess.width = 0);
    check("deviation zero", &|p| p.preprocess.std = vec![0.0]);
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
