//! Files beside the model, bounded reading, atomic writing.

use crate::failure::Failure;
use hecc_ir::nn::{Graph, Shape};
use hecc_ir::plan::Preprocess;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// The file beside `model` with another ending: `m.onnx`, `calib.json` to `m.calib.json`.
pub fn beside(model: &Path, ending: &str) -> PathBuf {
    model.with_extension(ending)
}

/// The whole file, if it has at most `limit` bytes.
///
/// # Errors
/// When it cannot be read or is larger.
pub fn read(path: &Path, limit: u64) -> Result<Vec<u8>, Failure> {
    let cannot = |e: std::io::Error| Failure::in_file(path, format!("cannot be read: {e}"));
    let file = std::fs::File::open(path).map_err(cannot)?;
    let mut bytes = Vec::new();
    file.take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(cannot)?;
    if bytes.len() as u64 > limit {
        return Err(Failure::in_file(
            path,
            format!("is larger than the limit of {limit} bytes"),
        ));
    }
    Ok(bytes)
}

/// Writes a file whole or not at all: a temporary in the same folder, renamed at the end.
///
/// # Errors
/// When the folder cannot be written; nothing is left then.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let file = temporary(path, bytes)?;
    file.persist(path)
        .map_err(|e| Failure::in_file(path, format!("cannot be written: {}", e.error)))?;
    Ok(())
}

/// A file in the folder of `path`, written and on disk, that is gone unless it gets a name.
///
/// # Errors
/// When the folder cannot be written; nothing is left then.
pub fn temporary(path: &Path, bytes: &[u8]) -> Result<NamedTempFile, Failure> {
    let cannot = |e: std::io::Error| Failure::in_file(path, format!("cannot be written: {e}"));
    let folder = path
        .parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    builder.prefix(".hecc-").suffix(".part");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.tempfile_in(folder).map_err(cannot)?;
    file.write_all(bytes).map_err(cannot)?;
    file.as_file().sync_all().map_err(cannot)?;
    Ok(file)
}

/// How images become a model's inputs.
pub struct Described {
    /// Where nothing describes it, pixels are only scaled to [0, 1].
    pub preprocess: Preprocess,
    /// The description, if there is one.
    pub file: Option<PathBuf>,
}

/// The preprocessing for a model: the file given, else the one beside the model, else none.
///
/// # Errors
/// When the file cannot be used, or does not fit the model's input or output.
pub fn preprocess(given: Option<&Path>, model: &Path, graph: &Graph) -> Result<Described, Failure> {
    let input = graph.nodes[graph.input].shape;
    let outputs = graph.nodes[graph.output].shape.elements();
    let sibling = beside(model, "preprocess.toml");
    let path = match given {
        Some(path) => path,
        None if sibling.exists() => &sibling,
        None => {
            return Ok(Described {
                preprocess: plain(input),
                file: None,
            });
        }
    };
    let p = hecc_images::load_preprocess(path)?;
    let described = Shape::new(p.channels, p.height, p.width);
    if described != input {
        return Err(Failure::in_file(
            path,
            format!("describes images {described}, the model takes {input}"),
        )
        .help("channels, height and width must be the model's"));
    }
    if !p.classes.is_empty() && p.classes.len() != outputs {
        return Err(Failure::in_file(
            path,
            format!(
                "names {} classes, the model has {outputs} outputs",
                p.classes.len()
            ),
        ));
    }
    Ok(Described {
        preprocess: p,
        file: Some(path.to_path_buf()),
    })
}

fn plain(input: Shape) -> Preprocess {
    Preprocess {
        mean: vec![0.0; input.c],
        std: vec![1.0; input.c],
        width: input.w,
        height: input.h,
        channels: input.c,
        classes: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_beside_the_model() {
        assert_eq!(
            beside(Path::new("a/m.onnx"), "calib.json"),
            Path::new("a/m.calib.json")
        );
    }

    #[test]
    fn writes_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        write(&path, b"abc").unwrap();
        write(&path, b"de").unwrap();
        assert_eq!(read(&path, 2).unwrap(), b"de");
        assert!(read(&path, 1).is_err());
        assert!(write(&folder.path().join("absent/x"), b"").is_err());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
