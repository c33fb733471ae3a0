//! ONNX to the nn language.
//!
//! The file is read within limits (`read`), its wire format walked before anything is decoded
//! (`wire`), the decoded model checked against the list of supported operators and attributes
//! (`validate`, `operators`), shapes inferred and constants folded by tract-onnx with the batch fixed
//! to 1 (`fold`), and what remains translated operator by operator (`translate`). Everything an error
//! names, file, node, operator, attribute, is known before tract sees the model.

mod affine;
mod error;
mod fold;
mod moves;
mod operators;
mod read;
mod tensors;
mod translate;
mod validate;
mod windows;
mod wire;

pub use error::ImportError;

use hecc_ir::nn::Graph;
use std::path::Path;

/// Imports an ONNX file as a verified graph.
///
/// # Errors
/// [`ImportError`] for a file that cannot be read, is no ONNX model, or uses something unsupported;
/// it names the node and the nearest supported form.
pub fn import(path: &Path) -> Result<Graph, ImportError> {
    read::read(path)
        .and_then(|bytes| parse(&bytes))
        .map_err(|p| p.in_file(path))
}

/// The same from bytes; `name` stands for the file in errors.
///
/// # Errors
/// As [`import`].
pub fn import_bytes(name: &str, bytes: &[u8]) -> Result<Graph, ImportError> {
    parse(bytes).map_err(|p| p.in_file(Path::new(name)))
}

fn parse(bytes: &[u8]) -> Result<Graph, error::Problem> {
    wire::check(bytes)?;
    let model = validate::validate(wire::decode(bytes)?)?;
    let facts = fold::fold(&model)?;
    translate::translate(&model, &facts)
}

#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
mod tests;
