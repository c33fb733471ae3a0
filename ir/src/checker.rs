//! The independent checker of a finished plan.
//!
//! It derives shapes, levels, scales, units, keys and the certificate anew from the program's operators
//! and the primes, and shares no code with the passes, the backend or the languages' verifiers. A
//! disagreement means that the compiler has a bug or that the plan was tampered with.

mod certificate;
mod keys;
mod node;
#[cfg(test)]
mod tests;

use certificate::check_certificate;
use keys::{Needed, bootstrap_keys, check_keys};
use node::{check_node, check_work};

use crate::params::ParametersError;
use crate::plan::{Plan, Prediction};

/// What is wrong with a plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckError {
    /// The parameter set cannot be computed with.
    #[error(transparent)]
    Parameters(#[from] ParametersError),
    /// A node of the program.
    #[error("v{value} ({name}): {what}")]
    Node {
        /// Index of the node.
        value: usize,
        /// ONNX name.
        name: String,
        /// Expected and got.
        what: String,
    },
    /// The keys are not those the program needs.
    #[error("keys: {0}")]
    Keys(String),
    /// The certificate does not say what the keys are worth.
    #[error("certificate: {0}")]
    Certificate(String),
    /// Preprocessing does not fit the program's ends.
    #[error("preprocessing: {0}")]
    Preprocess(String),
}

/// Largest number of nodes or maps.
const MAX_NODES: usize = 10_000;
/// Largest part by which derived and stored numbers may differ.
const TOLERANCE: f64 = 1e-6;

/// Checks a plan.
///
/// # Errors
/// The first disagreement.
pub fn check(plan: &Plan) -> Result<(), CheckError> {
    plan.parameters.verify()?;
    let nodes = &plan.program.nodes;
    if nodes.is_empty() || nodes.len().max(plan.program.maps.len()) > MAX_NODES {
        let what = format!("{} nodes, {} maps", nodes.len(), plan.program.maps.len());
        return Err(CheckError::Node {
            value: 0,
            name: String::new(),
            what,
        });
    }
    let wrong = |value: usize, what: String| CheckError::Node {
        value,
        name: nodes[value].name.clone(),
        what,
    };
    let mut work = 0;
    for value in 0..nodes.len() {
        check_work(plan, value, &mut work).map_err(|what| wrong(value, what))?;
    }
    let mut needed = Needed::default();
    for value in 0..nodes.len() {
        check_node(plan, value, &mut needed).map_err(|what| wrong(value, what))?;
    }
    if needed.bootstrap {
        bootstrap_keys(plan, &mut needed.rotations);
    }
    needed.rotations.remove(&0);
    check_keys(plan, &needed).map_err(CheckError::Keys)?;
    check_certificate(plan).map_err(CheckError::Certificate)?;
    check_ends(plan).map_err(CheckError::Preprocess)
}

fn expect(what: &str, found: f64, expected: f64) -> Result<(), String> {
    match (found - expected).abs() <= TOLERANCE * expected.abs() {
        true => Ok(()),
        false => Err(format!("{what} is {found}, expected {expected}")),
    }
}

fn check_ends(plan: &Plan) -> Result<(), String> {
    let (pre, nodes) = (&plan.preprocess, &plan.program.nodes);
    let (image, outputs) = (
        nodes[0].layout.shape,
        nodes[nodes.len() - 1].layout.shape.elements(),
    );
    if [pre.channels, pre.height, pre.width] != [image.c, image.h, image.w] {
        return Err(format!(
            "images of {}x{}x{}, the input is {image}",
            pre.channels, pre.height, pre.width
        ));
    }
    if pre.mean.len() != image.c || pre.std.len() != image.c || pre.std.iter().any(|&s| s <= 0.0) {
        return Err(format!(
            "means {:?} and deviations {:?} for {} channels",
            pre.mean, pre.std, image.c
        ));
    }
    if !pre.classes.is_empty() && pre.classes.len() != outputs {
        return Err(format!(
            "{} class names for {outputs} outputs",
            pre.classes.len()
        ));
    }
    check_prediction(&plan.prediction, nodes.len())
}

fn check_prediction(prediction: &Prediction, nodes: usize) -> Result<(), String> {
    let seconds = |s: &f64| s.is_finite() && *s >= 0.0;
    if prediction.nodes.len() != nodes {
        let found = prediction.nodes.len();
        return Err(format!("a prediction for {found} nodes of {nodes}"));
    }
    match prediction
        .nodes
        .iter()
        .chain([&prediction.setup])
        .find(|s| !seconds(s))
    {
        Some(bad) => Err(format!("a prediction of {bad} seconds")),
        None => Ok(()),
    }
}
