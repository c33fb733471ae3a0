//! `hecc export`: the network that a plan computes, its polynomials included, as an ONNX model of
//! ordinary operators.
//!
//! The model computes what the plan computes in the clear: the series of plain bootstraps are part of
//! it, since they are off the identity by a thousandth of a value's range. Two entries of its metadata
//! let `hecc compile` make the same plan of it without a calibration: `hecc.approximations` says which
//! nodes spell out which approximation (the import checks it against the nodes, and leaves the
//! plain bootstraps to the new plan), `hecc.calibration` holds the magnitudes of values.

mod activations;
mod linear;
mod network;
mod onnx;

use crate::args::Export;
use crate::failure::Failure;
use crate::files;
use crate::import::{self, APPROXIMATIONS, CALIBRATION};
use crate::inspect;
use crate::model_hash::model_hash;
use crate::print::{note, say};
use hecc_ir::calibration::{Calibration, VERSION, ValueRange};
use hecc_ir::plan::{Plan, Preprocess};
use hecc_passes::{Folded, Options, fold_linear};
use prost::Message;
use std::collections::BTreeMap;

/// Runs the command.
pub fn export(args: &Export) -> Result<(), Failure> {
    let (plan, _) = inspect::load(&args.plan)?;
    let bytes = model(&plan).map_err(|e| Failure::in_file(&args.plan, e.what))?;
    files::write(&args.output, &bytes)?;
    say!("{} bytes written to {}", bytes.len(), args.output.display())?;
    let path = files::beside(&args.output, "preprocess.toml");
    match description(&plan.preprocess) {
        Some(text) => {
            files::write(&path, text.as_bytes())?;
            say!(
                "normalisation and class names written to {}",
                path.display()
            )?;
        }
        None => note!("note: no {}: the input is no image", path.display()),
    }
    Ok(())
}

/// The ONNX file of a checked plan.
pub fn model(plan: &Plan) -> Result<Vec<u8>, Failure> {
    let broken = |e: String| Failure::new(format!("cannot be exported: {e}"));
    let stated = |network: &network::Network| {
        serde_json::to_string(&network.stated).map_err(|e| broken(e.to_string()))
    };
    // What the import makes of the model says how its values are called.
    let network = network::write(plan).map_err(broken)?;
    let approximations = stated(&network)?;
    let metadata = [(APPROXIMATIONS, approximations.clone())];
    let draft = network
        .writer
        .finish(&network.output, &network.dims, &metadata);
    let graph = import::import_bytes(&plan.model, &draft.encode_to_vec())?;
    let calibration = calibration(plan, &fold_linear(&graph)?, &network.units);
    let calibration = serde_json::to_string(&calibration).map_err(|e| broken(e.to_string()))?;
    let network = network::write(plan).map_err(broken)?;
    let metadata = [(APPROXIMATIONS, approximations), (CALIBRATION, calibration)];
    let model = network
        .writer
        .finish(&network.output, &network.dims, &metadata);
    Ok(model.encode_to_vec())
}

/// The magnitudes that give values the units they have in the plan. Activations need no statistics:
/// each carries its range.
fn calibration(plan: &Plan, folded: &Folded, units: &BTreeMap<String, f64>) -> Calibration {
    let margin = Options::default().margin;
    // Calibrations are measured in f32.
    let largest = |unit: f64| f64::from((unit / margin) as f32);
    let most = units.values().copied().fold(0.0, f64::max);
    let values = folded.graph.nodes.node_weights().map(|node| {
        let origin = folded.origins.get(&node.name).unwrap_or(&node.name);
        ValueRange {
            name: node.name.clone(),
            largest: largest(units.get(origin).copied().unwrap_or(most)),
        }
    });
    let output = &plan.program.nodes[plan.program.nodes.len() - 1];
    Calibration {
        version: VERSION,
        model: "exported network".to_string(),
        model_hash: model_hash(&folded.graph),
        // Its own images are not known any more; no activation has statistics.
        images: 1,
        activations: Vec::new(),
        values: values.collect(),
        logits: f64::from(output.unit as f32),
        agreement: Vec::new(),
    }
}

/// The description that `hecc` reads beside a model; None where the input is no image.
pub fn description(preprocess: &Preprocess) -> Option<String> {
    if preprocess.channels != 1 && preprocess.channels != 3 {
        return None;
    }
    // A JSON string is a TOML string, but for one control character.
    let class = |name: &String| {
        let quoted = serde_json::to_string(name).unwrap_or_default();
        quoted.replace('\u{7f}', "\\u007f")
    };
    let classes: Vec<String> = preprocess.classes.iter().map(class).collect();
    Some(format!(
        "mean = {:?}\nstd = {:?}\nwidth = {}\nheight = {}\nchannels = {}\nclasses = [{}]\n",
        preprocess.mean,
        preprocess.std,
        preprocess.width,
        preprocess.height,
        preprocess.channels,
        classes.join(", ")
    ))
}

#[cfg(test)]
mod tests;
