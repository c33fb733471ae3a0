//! `hecc-run debug`: silent when every value is as predicted, and the name of the first one that is not.

mod common;

use common::Folder;
use common::plans::{bootstrapped, levelled, wide_image};
use hecc_ir::plan::Plan;
use hecc_runtime::plan_file::context;
use hecc_runtime::server_key::{KeyName, key_entries};

/// Offset of a file's first section.
const BODY: usize = 120;

fn folder(plan: &Plan) -> Folder {
    let folder = Folder::with(plan, &wide_image());
    folder.succeed("keygen plan.bin --client client.key --server server.key");
    folder.succeed("encrypt plan.bin --client client.key image.npy -o in.ct");
    folder
}

/// Zeros in the middle of the first section of a server key, under a digest that fits.
fn break_first_key(file: &mut [u8], length: usize) {
    let middle = BODY + length / 2;
    file[middle..middle + 4096].fill(0);
    let mut hasher = blake3::Hasher::new();
    hasher.update(&file[88..BODY]).update(&0u64.to_le_bytes());
    hasher.update(&file[BODY..BODY + length]);
    file[BODY + length..][..32].copy_from_slice(hasher.finalize().as_bytes());
}

#[test]
fn values_agree_with_their_predicted_errors() {
    for plan in [levelled(), bootstrapped()] {
        let folder = folder(&plan);
        let nodes = plan.program.nodes.len();
        for server in ["", " --server server.key"] {
            let line = format!("debug plan.bin --client client.key{server} in.ct");
            let table = folder.succeed(&line);
            assert!(table.contains("every value agrees"), "{table}");
            assert_eq!(table.lines().count(), nodes + 2, "{table}");
        }
        folder.succeed("keygen plan.bin --client other.key --server other-server.key");
        let other = "debug plan.bin --client client.key --server other-server.key in.ct";
        let output = folder.run(other);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(
            text.contains("other-server.key: belongs to key pair"),
            "{text}"
        );
    }
}

#[test]
fn the_first_value_that_diverges_is_named() {
    let plan = levelled();
    let folder = folder(&plan);
    let context = context(&plan).unwrap();
    let first = key_entries(&plan, &context)[0];
    assert_eq!(first.name, KeyName::Relinearisation);
    let mut key = folder.read("server.key");
    break_first_key(&mut key, first.shape.byte_len(&context));
    folder.write("server.key", &key);
    let output = folder.run("debug plan.bin --client client.key --server server.key in.ct");
    let table = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{table}");
    // The square: input and convolution need no relinearisation.
    let verdict = table.lines().last().unwrap();
    assert!(
        verdict.starts_with("v2 (node2) is the first to diverge"),
        "{table}"
    );
}
