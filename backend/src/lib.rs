#![doc = include_str!("../README.md")]

mod keys;
mod memory;
mod predict;

use std::collections::BTreeSet;

use hecc_ir::costs::CostTable;
use hecc_ir::linear::Offsets;
use hecc_ir::params::Parameters;
use hecc_ir::plan::{KeyCertificate, Plan, Preprocess};
use hecc_ir::program::{Op, Program};
use hecc_ir::security;

/// Why no plan came out; the message says what to do.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum BackendError {
    /// A map's matrix cannot be built between its layouts.
    #[error("v{value} ({name}): {what}")]
    Map {
        /// Index of the node.
        value: usize,
        /// Its name.
        name: String,
        /// Expected and got.
        what: String,
    },
    /// The images described do not fit the network's input.
    #[error("preprocessing: {0}")]
    Preprocess(String),
    /// A target that no table has.
    #[error("a target of {0} bits of security; ask for one of {LEVELS:?}", LEVELS = security::LEVELS)]
    Target(u32),
    /// Parameters below the target that nobody accepted.
    #[error(
        "{key} ({secret}): log2(QP) = {log_qp:.0} in the ring 2^{log_n} is worth {bits:.0} bits of security, {target} are asked for; {way_out}"
    )]
    Insecure {
        /// Kind of key.
        key: String,
        /// What it encrypts under.
        secret: String,
        /// log2 of the ring degree.
        log_n: u32,
        /// log2 of the modulus it lives in.
        log_qp: f64,
        /// Bits of security.
        bits: f64,
        /// Bits asked for.
        target: u32,
        /// What can be done.
        way_out: &'static str,
    },
    /// The independent checker refused the plan: a bug of the compiler.
    #[error("the plan does not pass its checker: {0}; this is a bug of hecc, please report it")]
    Check(String),
}

/// Makes the plan of a verified program: keys at the levels they are used at, the certificate of every
/// key against `target_security` (one of [`security::LEVELS`]), what an evaluation will take by `costs`;
/// then lets the independent checker judge it.
///
/// # Errors
/// See [`BackendError`].
pub fn emit(
    program: Program,
    parameters: Parameters,
    target_security: u32,
    allow_insecure: bool,
    model: &str,
    preprocess: Preprocess,
    costs: &CostTable,
) -> Result<Plan, BackendError> {
    if !security::LEVELS.contains(&target_security) {
        return Err(BackendError::Target(target_security));
    }
    check_preprocess(&program, &preprocess)?;
    let offsets = offsets(&program)?;
    let keys = keys::manifest(&program, &parameters, &offsets);
    let certificate = security::certificate(&parameters, &keys);
    let weak: Vec<_> = certificate
        .iter()
        .filter(|key| key.security < f64::from(target_security))
        .collect();
    let insecure = !weak.is_empty();
    if !allow_insecure {
        // What no ring can mend comes first.
        let weakest = weak.iter().min_by(|a, b| a.security.total_cmp(&b.security));
        if let Some(key) = weak.iter().find(|key| hopeless(key)).or(weakest) {
            return Err(insecure_key(key, target_security));
        }
    }
    let prediction = predict::predict(&program, &parameters, &offsets, &keys, costs);
    let plan = Plan {
        model: model.to_string(),
        parameters,
        target_security,
        insecure,
        certificate,
        preprocess,
        program,
        keys,
        prediction,
    };
    hecc_ir::checker::check(&plan).map_err(|e| BackendError::Check(e.to_string()))?;
    Ok(plan)
}

/// The key to a sparse secret is as good as it gets at 128 bits.
fn hopeless(key: &KeyCertificate) -> bool {
    key.secret.starts_with("sparse") && key.security >= 128.0
}

fn insecure_key(key: &KeyCertificate, target: u32) -> BackendError {
    BackendError::Insecure {
        key: key.key.clone(),
        secret: key.secret.clone(),
        log_n: key.log_n,
        log_qp: key.log_qp,
        bits: key.security,
        target,
        way_out: match hopeless(key) {
            true => {
                "every bootstrap needs this key: only a plan without one can reach the target, else ask for 128 bits"
            }
            false => "use a larger ring or a shorter chain, or allow insecure parameters in tests",
        },
    }
}

/// Offsets of the diagonals of every map, in the order of [`Program::maps`].
fn offsets(program: &Program) -> Result<keys::MapOffsets, BackendError> {
    let none = Offsets {
        offsets: BTreeSet::new(),
        folds: Vec::new(),
    };
    let mut offsets = vec![none; program.maps.len()];
    for (value, node) in program.nodes.iter().enumerate() {
        if let Op::Linear { x, map } = node.op {
            offsets[map] = program.maps[map]
                .offsets(&program.nodes[x].layout, &node.layout)
                .map_err(|e| BackendError::Map {
                    value,
                    name: node.name.clone(),
                    what: e.to_string(),
                })?;
        }
    }
    Ok(offsets)
}

fn check_preprocess(program: &Program, preprocess: &Preprocess) -> Result<(), BackendError> {
    let (Some(input), Some(output)) = (program.nodes.first(), program.nodes.last()) else {
        return Err(BackendError::Preprocess("the program is empty".to_string()));
    };
    let shape = input.layout.shape;
    let p = preprocess;
    if (p.channels, p.height, p.width) != (shape.c, shape.h, shape.w) {
        return Err(BackendError::Preprocess(format!(
            "makes {}x{}x{} of an image, the model's input is {shape}; set channels, height and width to that",
            p.channels, p.height, p.width
        )));
    }
    if p.mean.len() != shape.c || p.std.len() != shape.c {
        return Err(BackendError::Preprocess(format!(
            "has {} means and {} standard deviations, the model's input has {} channels; give one of each a channel",
            p.mean.len(),
            p.std.len(),
            shape.c
        )));
    }
    let outputs = output.layout.shape.elements();
    if !p.classes.is_empty() && p.classes.len() != outputs {
        return Err(BackendError::Preprocess(format!(
            "has {} class names, the model has {outputs} outputs; give one each or none",
            p.classes.len()
        )));
    }
    Ok(())
}
