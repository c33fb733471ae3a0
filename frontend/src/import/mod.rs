//! ONNX to the nn language.
//!
//! The file is read within limits (`read`), its wire format walked before anything is decoded
//! (`wire`), the decoded model checked against the list of supported operators and attributes
//! (`validate`, `operators`, `attributes`), shapes inferred and constants folded with the batch fixed
//! to 1 (`fold` by tract-onnx, `shapes`, `window`, `resize`), what remains translated operator by
//! operator (`translate` and its neighbours) to a network with a few operators more than nn has
//! (`raw`), activations found that exporters spell out (`stated`, `patterns`, `polynomials`), and the whole
//! written as nn (`emit`). What an error names, file, node, operator, attribute, is known before tract sees
//! the model; [`examine`] goes on after an error and lists them all.

mod error;
mod read;
mod wire;

mod attributes;
mod heads;
mod operators;
mod tensors;
mod validate;

mod fold;
mod resize;
mod shapes;
mod window;

mod raw;
mod translate;

mod activations;
mod arithmetic;
mod matrices;
mod moves;
mod pools;

mod chebyshev;
mod patterns;
mod polynomials;
mod stated;

mod emit;

pub use error::ImportError;
pub use stated::{APPROXIMATIONS, CALIBRATION, Stated, rounded};

use hecc_ir::calibration::Calibration;
use hecc_ir::nn::Graph;
use std::collections::BTreeMap;
use std::path::Path;

/// What a MaxPool becomes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum MaxPool {
    /// Maxima, each by the absolute value of a difference: exact, and dear
    #[default]
    Exact,
    /// The mean over the same windows: another network, to be trained as such
    Average,
}

/// An imported model.
#[derive(Clone, Debug)]
pub struct Imported {
    /// Verified.
    pub graph: Graph,
    /// What is left to the client.
    pub notes: Vec<String>,
    /// Number of nodes of every ONNX operator that depends on the image.
    pub operators: BTreeMap<String, usize>,
    /// Every operator that takes maxima, with its price.
    pub maxima: Vec<MaximumPrice>,
    /// The calibration that the model carries.
    pub calibration: Option<Calibration>,
}

/// What the maxima of one ONNX node cost.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct MaximumPrice {
    /// `node 'name' (MaxPool)`.
    pub node: String,
    /// Elements of the tensor of every absolute value, in order.
    pub elements: Vec<usize>,
}

/// A maximum before its node's name is known.
#[derive(Clone, Copy, Debug)]
struct Maximum {
    origin: usize,
    elements: usize,
}

/// Imports an ONNX file as a verified graph.
///
/// # Errors
/// The first [`ImportError`] for a file that cannot be read, is no ONNX model, or uses something
/// unsupported; it names the node and the nearest supported form.
pub fn import(path: &Path) -> Result<Graph, ImportError> {
    Ok(import_with(path, MaxPool::default())?.graph)
}

/// The same from bytes; `name` stands for the file in errors.
///
/// # Errors
/// As [`import`].
pub fn import_bytes(name: &str, bytes: &[u8]) -> Result<Graph, ImportError> {
    let (path, options) = (Path::new(name), MaxPool::default());
    Ok(first(examine_bytes(path, bytes, options))?.graph)
}

/// Imports an ONNX file, with what else is known of it.
///
/// # Errors
/// As [`import`].
pub fn import_with(path: &Path, maxpool: MaxPool) -> Result<Imported, ImportError> {
    first(examine(path, maxpool))
}

fn first(outcome: Result<Imported, Vec<ImportError>>) -> Result<Imported, ImportError> {
    outcome.map_err(|mut problems| {
        let more = problems.len() - 1;
        let mut first = problems.swap_remove(0);
        if more > 0 {
            first.what += &format!(" (and {more} more; `hecc check` lists them all)");
        }
        first
    })
}

/// Imports an ONNX file, or lists all its problems, at least one, in dataflow order.
///
/// # Errors
/// As [`import`], but every node's.
pub fn examine(path: &Path, maxpool: MaxPool) -> Result<Imported, Vec<ImportError>> {
    match read::read(path) {
        Ok(bytes) => examine_bytes(path, &bytes, maxpool),
        Err(problem) => Err(vec![problem.in_file(path)]),
    }
}

pub(crate) fn examine_bytes(
    path: &Path,
    bytes: &[u8],
    maxpool: MaxPool,
) -> Result<Imported, Vec<ImportError>> {
    let whole = |problem: error::Problem| vec![problem.in_file(path)];
    let model = wire::check(bytes)
        .and_then(|()| wire::decode(bytes))
        .map_err(whole)?;
    let metadata = stated::read(&model).map_err(whole)?;
    let mut model = validate::validate(model).map_err(whole)?;
    let facts = fold::fold(&mut model).map_err(whole)?;
    let mut translated = translate::translate(&mut model, &facts, maxpool).map_err(whole)?;
    if model.faults.iter().all(Option::is_none) {
        stated::apply(&mut translated.raw, &metadata.stated).map_err(whole)?;
    }
    let graph = match translated.output {
        Some(mut output) => patterns::recognise(&mut translated.raw, &mut output)
            .map_err(|p| (0, p))
            .and_then(|()| emit::emit(&translated.raw, output))
            .map_err(|(origin, problem)| {
                model.faults[origin].get_or_insert(problem);
            })
            .ok(),
        None => None,
    };
    let nodes = || model.nodes.iter();
    let mut problems: Vec<ImportError> = Vec::new();
    for (node, fault) in nodes().zip(model.faults.drain(..).collect::<Vec<_>>()) {
        if let Some(problem) = fault {
            problems.push(problem.at(&validate::describe(node)).in_file(path));
        }
    }
    let (Some(graph), true) = (graph, problems.is_empty()) else {
        if problems.is_empty() {
            problems
                .push(error::Problem::new("has an output that cannot be computed").in_file(path));
        }
        return Err(problems);
    };
    graph
        .verify()
        .map_err(|e| whole(error::Problem::new(e.to_string())))?;
    let mut operators = BTreeMap::new();
    for node in nodes().filter(|n| matches!(facts[&n.output[0]], fold::Fact::Data(_))) {
        *operators.entry(node.op_type.clone()).or_insert(0) += 1;
    }
    let mut maxima: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for maximum in &translated.maxima {
        maxima
            .entry(maximum.origin)
            .or_default()
            .push(maximum.elements);
    }
    Ok(Imported {
        graph,
        notes: std::mem::take(&mut model.notes),
        operators,
        maxima: maxima
            .into_iter()
            .map(|(origin, elements)| MaximumPrice {
                node: validate::describe(&model.nodes[origin]),
                elements,
            })
            .collect(),
        calibration: metadata.calibration,
    })
}

#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
mod tests;
