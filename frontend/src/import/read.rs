//! The file's bytes, within a limit.

use super::error::{Problem, Step};
use std::io::Read;
use std::path::Path;

/// Largest ONNX file read, in bytes.
const LIMIT: u64 = 512 << 20;

/// The whole file.
pub(super) fn read(path: &Path) -> Step<Vec<u8>> {
    let cannot = |e: std::io::Error| Problem::new(format!("cannot be read: {e}"));
    let file = std::fs::File::open(path).map_err(cannot)?;
    let mut bytes = Vec::new();
    // One byte more than allowed tells a full file from one that is too large.
    file.take(LIMIT + 1)
        .read_to_end(&mut bytes)
        .map_err(cannot)?;
    if bytes.len() as u64 > LIMIT {
        return Err(
            Problem::new(format!("is larger than the limit of {} MiB", LIMIT >> 20))
                .help("no network of this size runs encrypted; use a smaller one"),
        );
    }
    Ok(bytes)
}
