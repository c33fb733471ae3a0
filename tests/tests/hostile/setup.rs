//! Commands with one file replaced, and what is expected of them.

use std::path::{Path, PathBuf};

use hecc_tests::commands::Outcome;
use hecc_tests::folders;
use hecc_tests::session::Session;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::common::{INSECURE_TEST_RING, commands, insecure_digits};

/// A session with one result, and where the commands are told to write.
pub struct Setup {
    pub session: Session,
    pub out: PathBuf,
    _folder: tempfile::TempDir,
}

impl Setup {
    pub fn new() -> Self {
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
    pub fn run(&self, what: &str, replaced: &str, bad: &Path) -> Outcome {
        let file = |name: &str| match name == replaced {
            true => bad.to_path_buf(),
            false => match name {
                "image" => folders::model("samples/digit-3.png"),
                "digits.onnx" if replaced == "export.onnx" => bad.to_path_buf(),
                "digits.onnx" => folders::model("digits/digits.onnx"),
                "digits.calib.json" => folders::model("digits/digits.calib.json"),
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
                // A model that carries a calibration is to be compiled with that one.
                match replaced {
                    "export.onnx" => Vec::new(),
                    _ => vec!["--calibration".into(), file("digits.calib.json")],
                },
                match replaced {
                    "costs.json" => vec!["--costs".into(), bad.into()],
                    _ => Vec::new(),
                },
                vec!["--preprocess".into(), beside("digits.preprocess.toml")],
                INSECURE_TEST_RING.map(PathBuf::from).to_vec(),
            ]
            .concat(),
            "diff" => vec!["hecc".into(), what.into(), file("stats.json")],
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

    pub fn written(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(&self.out).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    /// Checks that the command refuses `bad`, or takes it for what it asks for, where the damage is in
    /// what does not matter.
    pub fn survives(&self, what: &str, replaced: &str, bad: &Path) {
        match self.run(what, replaced, bad).code {
            Some(0) => self.written().iter().for_each(|path| {
                std::fs::remove_file(path).unwrap();
            }),
            _ => self.refuses(what, replaced, bad, ""),
        }
    }

    /// Checks that the command refuses `bad` and says why in words that contain `expect`.
    pub fn refuses(&self, what: &str, replaced: &str, bad: &Path, expect: &str) {
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

    pub fn bad_file(&self, bytes: &[u8]) -> PathBuf {
        let path = self.session.file("bad-file");
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

/// Truncations, extensions, flipped bits, overwritten stretches.
pub fn mutations(good: &[u8], flips: usize, seed: u64) -> Vec<Vec<u8>> {
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
