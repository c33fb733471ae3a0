//! `hecc-run decrypt`.

use hecc_ir::plan::Plan;
use hecc_runtime::ciphertext_file::{output_node, read_output};
use hecc_runtime::plan_file::{context, load_plan};
use serde::Serialize;

use crate::args::Decrypt;
use crate::client_key::ClientKey;
use crate::failure::Failure;
use crate::tensor;

/// A class and what the network says of it.
#[derive(Debug, Serialize)]
struct Class {
    /// Position among the network's outputs.
    index: usize,
    name: String,
    logit: f64,
    /// Softmax of the logits.
    probability: f64,
}

/// Decrypts a result and prints the classes.
pub fn decrypt(args: &Decrypt) -> Result<(), Failure> {
    let plan = load_plan(&args.plan)?;
    let client = ClientKey::read(&args.client, &plan)?;
    let context = context(&plan)?;
    let encrypted = read_output(&args.result, &plan, client.id(), &context)?;
    let secret = client.secret(&context);
    let logits = tensor::decrypt(&context, &secret, output_node(&plan), &encrypted);
    let classes = classes(&plan, &logits);
    if args.json {
        let json = serde_json::json!({ "model": plan.model, "classes": classes });
        println!("{json:#}");
    } else {
        let width = classes.iter().map(|c| c.name.chars().count()).max();
        let width = width.unwrap_or(0);
        for Class {
            name,
            logit,
            probability,
            ..
        } in &classes
        {
            println!("{name:width$}  {logit:9.3}  {:5.1} %", probability * 100.0);
        }
    }
    Ok(())
}

/// Best first.
fn classes(plan: &Plan, logits: &[f64]) -> Vec<Class> {
    let best = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = logits.iter().map(|logit| (logit - best).exp()).sum();
    let name = |index: usize| match plan.preprocess.classes.get(index) {
        Some(name) => name.clone(),
        None => format!("class {index}"),
    };
    let mut classes: Vec<Class> = logits
        .iter()
        .enumerate()
        .map(|(index, &logit)| Class {
            index,
            name: name(index),
            logit,
            probability: (logit - best).exp() / sum,
        })
        .collect();
    classes.sort_by(|a, b| b.logit.total_cmp(&a.logit));
    classes
}
