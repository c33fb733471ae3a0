//! Where models, pictures and data are.

use std::path::{Path, PathBuf};

/// The workspace's root.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// A file or folder below `models/`.
pub fn model(path: &str) -> PathBuf {
    root().join("models").join(path)
}

/// The folder with reference data: `HECC_TEST_DATA`, or `shared/data` beside the workspace. When there
/// is none, says on standard error that `test` is skipped.
pub fn reference_data(test: &str) -> Option<PathBuf> {
    let folder = match std::env::var_os("HECC_TEST_DATA") {
        Some(folder) => PathBuf::from(folder),
        None => root().parent()?.join("shared").join("data"),
    };
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!(
        "{test}: skipped, no reference data in {}; HECC_TEST_DATA names another folder",
        folder.display()
    );
    None
}
