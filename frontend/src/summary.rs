//! What a plan needs and promises, for people and as JSON.

use hecc_ir::costs::MapCounts;
use hecc_ir::params::Transform;
use hecc_ir::plan::{KeyCertificate, Plan};
use hecc_ir::program::Op;
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// Everything `hecc inspect` shows.
#[derive(Debug, serde::Serialize)]
pub struct Summary {
    /// Model file.
    pub model: String,
    /// Bytes of the plan.
    pub plan_bytes: u64,
    /// Numbers in the plan's weights.
    pub weights: usize,
    /// log2 of the ring degree.
    pub log_n: u32,
    /// Ciphertext primes, and log2 of their product with the special primes.
    pub limbs: usize,
    /// log2(QP).
    pub log_qp: f64,
    /// Bits of security the plan was compiled for.
    pub target_security: u32,
    /// Some key is worth less.
    pub insecure: bool,
    /// Every kind of key.
    pub security: Vec<KeyCertificate>,
    /// Bootstraps, each of one ciphertext.
    pub bootstraps: usize,
    /// How many of them only refresh.
    pub plain_bootstraps: usize,
    /// Degree of the polynomials, the largest.
    pub degree: usize,
    /// Rotations of one evaluation.
    pub rotations: usize,
    /// Different rotation keys.
    pub rotation_keys: usize,
    /// server.key on disk.
    pub key_bytes: u64,
    /// Estimate for the server.
    pub peak_memory_bytes: u64,
    /// Of one evaluation, once keys are loaded.
    pub predicted_seconds: f64,
    /// Part of it that encodes the bootstraps' transforms.
    pub predicted_setup: f64,
    /// Threads of the prediction.
    pub threads: usize,
    /// Machine of the prediction.
    pub machine: String,
    /// Class names.
    pub classes: Vec<String>,
    /// In execution order.
    pub layers: Vec<Layer>,
}

/// One operation.
#[derive(Debug, serde::Serialize)]
pub struct Layer {
    /// `v3`.
    pub value: String,
    /// Operation.
    pub operation: &'static str,
    /// Its name.
    pub name: String,
    /// The function it stands for, for activations.
    pub function: Option<&'static str>,
    /// Degree of its polynomial.
    pub degree: Option<usize>,
    /// Shape of the tensor.
    pub shape: String,
    /// Ciphertexts.
    pub parts: usize,
    /// Spatial gap, copies and twist of the layout.
    pub layout: String,
    /// Level of the result.
    pub level: usize,
    /// Diagonals of a linear map.
    pub diagonals: usize,
    /// Rotations.
    pub rotations: usize,
    /// Predicted.
    pub seconds: f64,
}

impl Summary {
    /// Of a checked plan of `plan_bytes` bytes.
    pub fn new(plan: &Plan, plan_bytes: u64) -> Self {
        let parameters = &plan.parameters;
        let bootstrap_rotations: usize = parameters
            .bootstrap_transforms()
            .iter()
            .map(transform_rotations)
            .sum();
        let mut layers = Vec::new();
        let (mut bootstraps, mut plain, mut degree) = (0, 0, 0);
        for (value, node) in plan.program.nodes.iter().enumerate() {
            let (mut diagonals, mut rotations) = (0, 0);
            let l = &node.layout;
            let mut own = None;
            let operation = match &node.op {
                Op::Input => "input",
                Op::MulConst { .. } => "scale",
                Op::Add { .. } => "add",
                Op::Mul { x, y } if x == y => "square",
                Op::Mul { .. } => "multiply",
                Op::Polynomial { coefficients, .. } => {
                    own = Some(coefficients.len().saturating_sub(1));
                    "polynomial"
                }
                Op::Activate { coefficients, .. } => {
                    own = Some(coefficients.len().saturating_sub(1));
                    bootstraps += l.parts;
                    rotations = l.parts * bootstrap_rotations;
                    let refresh = node.target.as_ref().is_some_and(|t| t.function.is_none());
                    plain += if refresh { l.parts } else { 0 };
                    if refresh { "bootstrap" } else { "activate" }
                }
                Op::Linear { x, map } => {
                    let map = &plan.program.maps[*map];
                    let from = &plan.program.nodes[*x].layout;
                    // A checked plan's maps fit their layouts.
                    if let Ok(offsets) = map.offsets(from, l) {
                        let counts = MapCounts::of(&offsets, map.giant, from.parts, l.parts);
                        diagonals = counts.diagonals;
                        rotations = counts.babies + counts.giants + counts.folds;
                    }
                    "linear"
                }
            };
            degree = degree.max(own.unwrap_or(0));
            let function = node.target.as_ref().and_then(|t| t.function.as_ref());
            layers.push(Layer {
                value: format!("v{value}"),
                operation,
                name: node.name.clone(),
                function: function.map(|f| f.name()),
                degree: own,
                shape: l.shape.to_string(),
                parts: l.parts,
                layout: format!("gap {} copies {} twist {}", l.gap, l.copies, l.twist),
                level: node.level,
                diagonals,
                rotations,
                seconds: plan.prediction.nodes.get(value).copied().unwrap_or(0.0),
            });
        }
        Self {
            model: plan.model.clone(),
            plan_bytes,
            weights: weights(plan),
            log_n: parameters.log_n,
            limbs: parameters.q.len(),
            log_qp: parameters.log_qp(parameters.top()),
            target_security: plan.target_security,
            insecure: plan.insecure,
            security: plan.certificate.clone(),
            bootstraps,
            plain_bootstraps: plain,
            degree,
            rotations: layers.iter().map(|l| l.rotations).sum(),
            rotation_keys: plan.keys.rotations.len(),
            key_bytes: plan.prediction.key_bytes,
            peak_memory_bytes: plan.prediction.peak_bytes,
            predicted_seconds: plan.prediction.seconds(),
            predicted_setup: plan.prediction.setup,
            threads: plan.prediction.threads,
            machine: plan.prediction.machine.clone(),
            classes: plan.preprocess.classes.clone(),
            layers,
        }
    }

    /// The summary without the layers.
    pub fn text(&self) -> String {
        let mut out = String::new();
        let mut line = |what: &str, value: String| {
            let _ = writeln!(out, "{what:<12} {value}");
        };
        line("model", self.model.clone());
        line(
            "plan",
            format!("{} with {} weights", bytes(self.plan_bytes), self.weights),
        );
        line(
            "ring",
            format!(
                "2^{}, {} ciphertext primes, log2(QP) = {:.0}",
                self.log_n, self.limbs, self.log_qp
            ),
        );
        for (i, key) in self.security.iter().enumerate() {
            let what = if i == 0 { "security" } else { "" };
            line(
                what,
                format!(
                    "{}: {:.1} bits ({}, log2 {:.0}; {})",
                    key.key, key.security, key.secret, key.log_qp, key.source
                ),
            );
        }
        if self.insecure {
            line("", "INSECURE: for tests only".to_string());
        }
        line(
            "bootstraps",
            format!(
                "{}, {} of them plain; polynomials of degree {} or less",
                self.bootstraps, self.plain_bootstraps, self.degree
            ),
        );
        line(
            "rotations",
            format!("{} with {} keys", self.rotations, self.rotation_keys),
        );
        line("server.key", bytes(self.key_bytes));
        line("memory", format!("about {}", bytes(self.peak_memory_bytes)));
        line(
            "time",
            format!(
                "about {:.1} s predicted, {:.1} s of it setting up bootstraps ({} threads, {})",
                self.predicted_seconds, self.predicted_setup, self.threads, self.machine
            ),
        );
        out
    }

    /// One line per operation.
    pub fn table(&self) -> String {
        let mut out = String::new();
        let width = self
            .layers
            .iter()
            .map(|l| l.name.chars().count())
            .max()
            .unwrap_or(0)
            .clamp(4, 40);
        let _ = writeln!(
            out,
            "{:<5} {:<10} {:<width$} {:>10} {:>5} {:>5} {:>9} {:>9} {:>7}  layout",
            "value", "operation", "name", "shape", "parts", "level", "diagonals", "rotations", "ms"
        );
        for l in &self.layers {
            let name: String = l.name.chars().take(width).collect();
            let _ = writeln!(
                out,
                "{:<5} {:<10} {name:<width$} {:>10} {:>5} {:>5} {:>9} {:>9} {:>7.1}  {}",
                l.value,
                l.operation,
                l.shape,
                l.parts,
                l.level,
                l.diagonals,
                l.rotations,
                1e3 * l.seconds,
                l.layout
            );
        }
        out
    }
}

/// Rotations of a transform: baby and giant steps other than 0.
fn transform_rotations(transform: &Transform) -> usize {
    let count = |steps: BTreeSet<usize>| steps.iter().filter(|&&s| s != 0).count();
    let giant = transform.giant;
    let babies = transform.offsets.iter().map(|d| d % giant).collect();
    let giants = transform.offsets.iter().map(|d| d - d % giant).collect();
    count(babies) + count(giants)
}

fn weights(plan: &Plan) -> usize {
    let stages = plan.program.maps.iter().flat_map(|m| &m.stages);
    stages.flat_map(|s| s.constants()).map(<[f32]>::len).sum()
}

/// Bytes for people.
pub fn bytes(bytes: u64) -> String {
    match bytes {
        0..10_000 => format!("{bytes} B"),
        10_000..10_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        10_000_000..10_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.2} GB", bytes as f64 / 1e9),
    }
}
