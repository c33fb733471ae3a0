//! Damaged, foreign and impossible files: an error that names the file and the way out, exit code
//! 2, nothing written.

mod common;

use common::plans::{levelled, wide_image};
use common::{Folder, npy, plan};

/// Offset of a file's first section.
const BODY: usize = 120;

struct Case<'a> {
    folder: &'a Folder,
    before: Vec<String>,
}

impl Case<'_> {
    /// `hecc-run line` fails with these words in its two lines and leaves the folder as it was.
    fn fails(&self, line: &str, error: &str, help: &str) {
        let output = self.folder.run(line);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{line}: {text}");
        let (first, second) = text.trim_end().split_once("\nhelp: ").unwrap();
        assert!(
            first.starts_with("error: ") && first.contains(error),
            "{line}: {text}"
        );
        assert!(second.contains(help), "{line}: {text}");
        assert_eq!(self.folder.names(), self.before, "{line}");
    }
}

/// Overwrites bytes of the first section and makes its digest fit.
fn forge(file: &mut [u8], at: usize, bytes: &[u8]) {
    file[BODY + at..BODY + at + bytes.len()].copy_from_slice(bytes);
    let end = file.len() - 32;
    let mut hasher = blake3::Hasher::new();
    hasher.update(&file[88..BODY]).update(&0u64.to_le_bytes());
    hasher.update(&file[BODY..end]);
    let digest = hasher.finalize();
    file[end..].copy_from_slice(digest.as_bytes());
}

#[test]
fn bad_input_is_refused() {
    let folder = Folder::new();
    folder.succeed("keygen plan.bin --client client.key --server server.key");
    folder.succeed("keygen plan.bin --client other.key --server other-server.key");
    folder.succeed("encrypt plan.bin --client client.key image.npy -o in.ct");
    folder.succeed("encrypt plan.bin --client other.key image.npy -o other.ct");
    folder.succeed("eval plan.bin --server server.key in.ct -o out.ct");

    // What the cases below use.
    folder.write("other-plan.bin", &plan(2).to_bytes());
    folder.write("cut-plan.bin", &folder.read("plan.bin")[..100]);
    folder.write("empty", b"");
    for name in ["client.key", "server.key", "in.ct", "out.ct"] {
        let good = folder.read(name);
        folder.write(&format!("cut-{name}"), &good[..good.len() - 1]);
        let mut bad = good.clone();
        bad[BODY + 10] ^= 4;
        folder.write(&format!("bad-{name}"), &bad);
        let mut new = good;
        new[12] = 1;
        folder.write(&format!("new-{name}"), &new);
    }
    for (name, at) in [("in.ct", 32), ("out.ct", 0)] {
        let mut forged = folder.read(name);
        forge(&mut forged, at, &[0xff; 64]);
        folder.write(&format!("forged-{name}"), &forged);
    }
    folder.write("small.npy", &npy("2, 3, 4", &[0.0; 24]));
    folder.write("nan.npy", &npy("2, 4, 4", &[f32::NAN; 32]));
    folder.write("huge.npy", &npy("2, 4, 4", &[1e30; 32]));
    folder.write("lying.npy", &npy("999999999, 999999999, 4", &[0.0; 4]));

    let case = Case {
        folder: &folder,
        before: folder.names(),
    };
    let encrypt = |plan: &str, key: &str, image: &str, error: &str, help: &str| {
        case.fails(
            &format!("encrypt {plan} --client {key} {image} -o new.ct"),
            error,
            help,
        );
    };
    encrypt(
        "none.bin",
        "client.key",
        "image.npy",
        "none.bin: cannot read",
        "check the path",
    );
    encrypt(
        "empty",
        "client.key",
        "image.npy",
        "empty: ",
        "hecc compile",
    );
    encrypt(
        "cut-plan.bin",
        "client.key",
        "image.npy",
        "cut-plan.bin: ",
        "hecc compile",
    );
    encrypt(
        "image.npy",
        "client.key",
        "image.npy",
        "image.npy: ",
        "hecc compile",
    );
    encrypt(
        "other-plan.bin",
        "client.key",
        "image.npy",
        "made for plan",
        "keygen",
    );
    encrypt(
        "plan.bin",
        "cut-client.key",
        "image.npy",
        "must have 184",
        "keygen",
    );
    encrypt(
        "plan.bin",
        "bad-client.key",
        "image.npy",
        "checksum of the secret",
        "copy",
    );
    encrypt(
        "plan.bin",
        "new-client.key",
        "image.npy",
        "format version 1",
        "anew",
    );
    encrypt(
        "plan.bin",
        "server.key",
        "image.npy",
        "a server key, not a client key",
        "keygen",
    );
    encrypt("plan.bin", "client.key", "none.png", "none.png", "");
    encrypt("plan.bin", "client.key", "plan.bin", "plan.bin", "");
    encrypt("plan.bin", "client.key", "small.npy", "small.npy", "");
    encrypt("plan.bin", "client.key", "nan.npy", "nan.npy", "");
    encrypt("plan.bin", "client.key", "huge.npy", "huge.npy", "");
    encrypt("plan.bin", "client.key", "lying.npy", "lying.npy", "");

    let eval = |plan: &str, server: &str, input: &str, error: &str, help: &str| {
        let line = format!("eval {plan} --server {server} {input} -o new.ct --stats new.json");
        case.fails(&line, error, help);
    };
    eval(
        "other-plan.bin",
        "server.key",
        "in.ct",
        "server.key: made for plan",
        "keygen",
    );
    eval(
        "plan.bin",
        "client.key",
        "in.ct",
        "a client key, not a server key",
        "keygen",
    );
    eval("plan.bin", "cut-server.key", "in.ct", "must have", "copy");
    eval(
        "plan.bin",
        "bad-server.key",
        "in.ct",
        "checksum of the dense-to-sparse key",
        "copy",
    );
    eval(
        "plan.bin",
        "new-server.key",
        "in.ct",
        "format version 1",
        "anew",
    );
    eval("plan.bin", "server.key", "cut-in.ct", "must have", "copy");
    eval(
        "plan.bin",
        "server.key",
        "bad-in.ct",
        "checksum of the ciphertext",
        "copy",
    );
    eval(
        "plan.bin",
        "server.key",
        "new-in.ct",
        "format version 1",
        "anew",
    );
    eval(
        "plan.bin",
        "server.key",
        "forged-in.ct",
        "is not below its prime",
        "copy",
    );
    eval(
        "plan.bin",
        "server.key",
        "out.ct",
        "an encrypted result, not",
        "encrypt",
    );
    eval(
        "plan.bin",
        "server.key",
        "other.ct",
        "belongs to key pair",
        "one run of",
    );
    eval(
        "plan.bin",
        "server.key",
        "image.npy",
        "not a hecc file",
        "encrypt",
    );
    eval(
        "plan.bin",
        "server.key",
        "empty",
        "not a hecc file",
        "encrypt",
    );

    let decrypt = |key: &str, result: &str, error: &str, help: &str| {
        case.fails(
            &format!("decrypt plan.bin --client {key} {result}"),
            error,
            help,
        );
    };
    decrypt("client.key", "cut-out.ct", "must have", "eval");
    decrypt(
        "client.key",
        "bad-out.ct",
        "checksum of the ciphertext",
        "eval",
    );
    decrypt(
        "client.key",
        "forged-out.ct",
        "is not below its prime",
        "eval",
    );
    decrypt("client.key", "in.ct", "an encrypted image, not", "eval");
    decrypt("other.key", "out.ct", "belongs to key pair", "one run of");

    let good = "eval plan.bin --server server.key in.ct";
    case.fails(
        &format!("{good} -o no/such/folder/out.ct"),
        "cannot write",
        "folder",
    );
    case.fails(
        &format!("{good} -o new.ct --stats no/such/s.json"),
        "cannot write",
        "folder",
    );
    let keygen = "keygen plan.bin --client";
    case.fails(
        &format!("{keygen} client.key --server new.key"),
        "a file already",
        "--force",
    );
    case.fails(
        &format!("{keygen} new.key --server new.key"),
        "the same file",
        "two files",
    );
    case.fails(
        &format!("{keygen} no/new.key --server new.key"),
        "cannot write",
        "folder",
    );
    for line in [
        "",
        "eval",
        "eval plan.bin --threads 0",
        "frobnicate",
        "keygen --client",
    ] {
        let output = folder.run(line);
        assert_eq!(output.status.code(), Some(2), "{line}");
        assert!(!output.stderr.is_empty());
    }
    for line in ["--help", "eval --help", "--version"] {
        folder.succeed(line);
    }
    let mut eval = folder.command(good).args(["-o", "new.ct"]).spawn().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(100));
    eval.kill().unwrap();
    // A fast machine may have finished.
    if !eval.wait().unwrap().success() {
        assert_eq!(folder.names(), case.before, "eval stopped in the middle");
    }
    folder.succeed("keygen plan.bin --client client.key --server server.key --force");
}

/// A tensor of two parts is two sections: none may be missing, doubled, exchanged or forged.
#[test]
fn parts_stay_where_they_belong() {
    let folder = Folder::with(&levelled(), &wide_image());
    folder.succeed("keygen plan.bin --client client.key --server server.key");
    folder.succeed("encrypt plan.bin --client client.key image.npy -o in.ct");
    let good = folder.read("in.ct");
    let (header, body) = good.split_at(BODY);
    let (first, second) = body.split_at(body.len() / 2);
    assert!(first.len() == second.len() && first != second);
    folder.write("one.ct", &[header, first].concat());
    folder.write("three.ct", &[header, first, second, second].concat());
    folder.write("turned.ct", &[header, second, first].concat());
    folder.write("twice.ct", &[header, first, first].concat());
    let mut forged = good.clone();
    forged[BODY + 32..][..64].fill(0xff);
    let end = BODY + first.len() - 32;
    let mut hasher = blake3::Hasher::new();
    hasher.update(&good[88..BODY]).update(&0u64.to_le_bytes());
    hasher.update(&forged[BODY..end]);
    let digest = hasher.finalize();
    forged[end..][..32].copy_from_slice(digest.as_bytes());
    folder.write("forged.ct", &forged);
    let case = Case {
        folder: &folder,
        before: folder.names(),
    };
    for (name, error) in [
        ("one.ct", "must have"),
        ("three.ct", "must have"),
        ("turned.ct", "checksum of part 0"),
        ("twice.ct", "checksum of part 1"),
        ("forged.ct", "part 0 of the ciphertext is not valid"),
    ] {
        let line = format!("eval plan.bin --server server.key {name} -o new.ct");
        case.fails(&line, error, "encrypt");
        let line = format!("debug plan.bin --client client.key {name}");
        case.fails(&line, error, "encrypt");
    }
    case.fails(
        "bench -o no/such/folder/costs.json",
        "cannot write",
        "folder",
    );
}
