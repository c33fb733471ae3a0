//! The digits model on the insecure test ring.

use std::path::Path;

use hecc_tests::commands::Commands;
use hecc_tests::folders;
use hecc_tests::session::Session;

/// Flags for the insecure test ring, N = 2^11: fast, and of no security at all. With bootstraps, which
/// such a ring would rather do without.
pub const INSECURE_TEST_RING: [&str; 5] =
    ["--allow-insecure", "--ring", "11", "--activation", "fused"];

/// The commands, output captured.
pub fn commands() -> Commands {
    Commands::new(env!("CARGO_BIN_EXE_demo"), false)
}

/// Plan and keys of the digits model in `folder`, on the insecure test ring.
pub fn insecure_digits(folder: &Path) -> Session {
    let session = Session::new(commands(), folder);
    let model = folders::model("digits/digits.onnx");
    session.compile(&model, &INSECURE_TEST_RING).unwrap();
    session.keygen().unwrap();
    session
}
