//! What a plan needs and promises, for people and as JSON.

use hecc_ir::linear::baby_giant;
use hecc_ir::params::{Parameters, Transform};
use hecc_ir::plan::{KeyCertificate, Plan};
use hecc_ir::program::{Node, Op};
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// Bytes of a residue.
const WORD: u64 = 8;

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
    /// Compiled with `--allow-insecure` and below 128 bits.
    pub insecure: bool,
    /// Every kind of key.
    pub security: Vec<KeyCertificate>,
    /// Bootstraps, each with an activation inside.
    pub bootstraps: usize,
    /// Degree of the activation polynomials, the largest.
    pub degree: usize,
    /// Rotations of one evaluation.
    pub rotations: usize,
    /// Different rotation keys.
    pub rotation_keys: usize,
    /// server.key on disk.
    pub key_bytes: u64,
    /// Estimate for the server.
    pub peak_memory_bytes: u64,
    /// Two threads of the reference machine.
    pub predicted_seconds: f64,
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
    /// Shape of the tensor.
    pub shape: String,
    /// Spatial gap, copies and twist of the layout.
    pub layout: String,
    /// Level of the result.
    pub level: usize,
    /// Diagonals of a linear map.
    pub diagonals: usize,
    /// Rotations.
    pub rotations: usize,
}

impl Summary {
    /// Of a checked plan of `plan_bytes` bytes.
    pub fn new(plan: &Plan, plan_bytes: u64) -> Self {
        let parameters = &plan.parameters;
        let (mut bootstrap_rotations, mut working, mut matrices) = (0, 0, 0);
        for Transform {
            offsets,
            giant,
            level,
        } in parameters.bootstrap_transforms()
        {
            let (babies, giants) = steps(&offsets, giant);
            bootstrap_rotations += babies + giants;
            matrices += offsets.len() as u64 * polynomial(parameters, level);
            working = working.max(2 * (babies as u64 + 1) * polynomial(parameters, level));
        }
        let mut layers = Vec::new();
        let (mut bootstraps, mut degree) = (0, 0);
        for (value, node) in plan.program.nodes.iter().enumerate() {
            let (mut diagonals, mut rotations) = (0, 0);
            let operation = match &node.op {
                Op::Input => "input",
                Op::MulConst { .. } => "scale",
                Op::Add { .. } => "add",
                Op::Activate { coefficients, .. } => {
                    bootstraps += 1;
                    degree = degree.max(coefficients.len().saturating_sub(1));
                    rotations = bootstrap_rotations;
                    "activate"
                }
                Op::Linear { x, map } => {
                    let map = &plan.program.maps[*map];
                    let from = &plan.program.nodes[*x];
                    // A checked plan's maps fit their layouts.
                    if let Ok(offsets) = map.offsets(&from.layout, &node.layout) {
                        let (babies, giants) = steps(&offsets.offsets, map.giant);
                        diagonals = offsets.offsets.len();
                        rotations = babies + giants + offsets.folds.len();
                        working = working
                            .max(2 * (babies as u64 + 1) * polynomial(parameters, from.level));
                    }
                    "linear"
                }
            };
            let l = &node.layout;
            layers.push(Layer {
                value: format!("v{value}"),
                operation,
                name: node.name.clone(),
                shape: l.shape.to_string(),
                layout: format!("gap {} copies {} twist {}", l.gap, l.copies, l.twist),
                level: node.level,
                diagonals,
                rotations,
            });
        }
        let (key_bytes, key_memory) = key_bytes(plan);
        // Where one change of twist follows another, the transforms of both are in memory.
        let matrices = twists(plan).min(2) as u64 * matrices;
        Self {
            model: plan.model.clone(),
            plan_bytes,
            weights: weights(plan),
            log_n: parameters.log_n,
            limbs: parameters.q.len(),
            log_qp: parameters.log_qp(parameters.top()),
            insecure: plan.insecure,
            security: plan.certificate.clone(),
            bootstraps,
            degree,
            rotations: layers.iter().map(|l| l.rotations).sum(),
            rotation_keys: plan.keys.rotations.len(),
            key_bytes,
            peak_memory_bytes: key_memory + matrices + working,
            predicted_seconds: plan.predicted_seconds,
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
                "{}, each with an activation of degree {} or less",
                self.bootstraps, self.degree
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
                "about {:.1} s predicted on two threads of the reference machine",
                self.predicted_seconds
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
            "{:<5} {:<9} {:<width$} {:>10} {:>5} {:>9} {:>9}  layout",
            "value", "operation", "name", "shape", "level", "diagonals", "rotations"
        );
        for l in &self.layers {
            let name: String = l.name.chars().take(width).collect();
            let _ = writeln!(
                out,
                "{:<5} {:<9} {name:<width$} {:>10} {:>5} {:>9} {:>9}  {}",
                l.value, l.operation, l.shape, l.level, l.diagonals, l.rotations, l.layout
            );
        }
        out
    }
}

/// Bytes of one polynomial at `level`, special primes included.
fn polynomial(parameters: &Parameters, level: usize) -> u64 {
    ((level + 1 + parameters.p.len()) as u64 * WORD) << parameters.log_n
}

/// Bytes of a switching key on disk: residues packed to the bits of their primes, a polynomial per
/// digit; the other half is a seed.
fn packed_key(parameters: &Parameters, level: usize, specials: usize, digits: usize) -> u64 {
    let primes = parameters.q[..=level]
        .iter()
        .chain(&parameters.p[..specials]);
    let bits: u64 = primes.map(|p| u64::from(p.ilog2()) + 1).sum();
    digits as u64 * (bits << parameters.log_n) / 8
}

/// Bytes of all keys: on disk, and in memory, where nothing is packed and seeds are expanded.
fn key_bytes(plan: &Plan) -> (u64, u64) {
    let p = &plan.parameters;
    let levels = plan.keys.rotations.iter().map(|r| r.level);
    let products = plan
        .keys
        .relinearisation
        .iter()
        .chain(&plan.keys.conjugation);
    let back = plan.keys.encapsulation.then(|| p.top());
    let (mut disk, mut memory) = (0, 0);
    for level in levels.chain(products.copied()).chain(back) {
        let digits = (level + 1).div_ceil(p.digit);
        disk += packed_key(p, level, p.p.len(), digits);
        memory += 2 * digits as u64 * polynomial(p, level);
    }
    // Into the sparse secret, at q0 and one special prime.
    if plan.keys.encapsulation {
        disk += packed_key(p, 0, 1, 1);
    }
    (disk, memory)
}

/// Changes of twist that activations make; each has transforms of its own.
fn twists(plan: &Plan) -> usize {
    let nodes = &plan.program.nodes;
    let turn = |node: &Node| match node.op {
        Op::Activate { x, .. } => {
            let from = &nodes[x].layout;
            let by = (from.twist + from.stride() - node.layout.twist) % from.stride();
            Some((if by == 0 { 0 } else { from.stride() }, by))
        }
        Op::Input | Op::Linear { .. } | Op::MulConst { .. } | Op::Add { .. } => None,
    };
    nodes.iter().filter_map(turn).collect::<BTreeSet<_>>().len()
}

/// Rotations of a transform: baby and giant steps other than 0.
fn steps(offsets: &BTreeSet<usize>, giant: usize) -> (usize, usize) {
    let (babies, giants) = baby_giant(offsets, giant);
    let count = |set: BTreeSet<usize>| set.iter().filter(|&&s| s != 0).count();
    (count(babies), count(giants))
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
