//! What an evaluation did, node by node, next to what the plan predicted.

use hecc_ir::plan::Prediction;
use serde::Serialize;

/// Statistics of one evaluation.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Stats {
    /// The model's file name.
    pub model: String,
    /// Identity of the plan, in hexadecimal.
    pub plan: String,
    /// Threads used.
    pub threads: usize,
    /// The processor that computed.
    pub machine: String,
    /// Seconds to read and expand the server key.
    pub load_seconds: f64,
    /// Seconds from the input ciphertexts to the output ciphertexts.
    pub seconds: f64,
    /// Part of `seconds` spent on what is done once: encoding the transforms of bootstraps.
    pub setup_seconds: f64,
    /// Largest resident memory of the process, in bytes; None where the system does not tell.
    pub peak_memory_bytes: Option<u64>,
    /// What the plan predicted.
    pub predicted: Predicted,
    /// In execution order.
    pub nodes: Vec<NodeStats>,
}

/// What the plan predicted for the whole evaluation.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Predicted {
    /// Seconds in all, the setup included.
    pub seconds: f64,
    /// Seconds of what is done once.
    pub setup_seconds: f64,
    /// Threads of the cost table's measurement.
    pub threads: usize,
    /// Machine of the cost table's measurement.
    pub machine: String,
    /// Most bytes alive at once.
    pub peak_memory_bytes: u64,
}

impl From<&Prediction> for Predicted {
    fn from(prediction: &Prediction) -> Self {
        Self {
            seconds: prediction.seconds(),
            setup_seconds: prediction.setup,
            threads: prediction.threads,
            machine: prediction.machine.clone(),
            peak_memory_bytes: prediction.peak_bytes,
        }
    }
}

/// Statistics of one node of the program.
#[derive(Clone, Debug, Default, Serialize)]
pub struct NodeStats {
    /// Index: the node defines value `v<node>`.
    pub node: usize,
    /// Name in the network.
    pub name: String,
    /// "input", "linear", "mul_const", "add", "mul", "polynomial" or "activate".
    pub op: &'static str,
    /// Ciphertexts of the result.
    pub parts: usize,
    /// Seconds, all included but `setup_seconds`.
    pub seconds: f64,
    /// Part of `seconds` spent on encoding constants.
    pub encode_seconds: f64,
    /// Seconds spent on transforms of bootstraps that later nodes use too, beside `seconds`.
    pub setup_seconds: f64,
    /// Seconds the plan predicted, without setup.
    pub predicted_seconds: f64,
    /// Level of the highest operand, before it is dropped to what the node needs.
    pub level_in: usize,
    /// Level of the result.
    pub level_out: usize,
    /// Plaintext diagonals multiplied with, those of a bootstrap not counted.
    pub diagonals: usize,
    /// Rotations: babies, giants and folds, over all parts.
    pub rotations: usize,
    /// Bootstraps: one a part.
    pub bootstraps: usize,
}

/// Largest resident memory of this process so far, in bytes, where the system tells (Linux).
pub fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

/// This machine in words: processor, cores and vector instructions, as far as the system tells.
pub fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let information = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let value = |line: &'_ str| {
            let (key, value) = line.split_once(':')?;
            (key.trim() == name).then(|| value.trim().to_string())
        };
        information.lines().find_map(value)
    };
    let processor = field("model name").unwrap_or_else(|| std::env::consts::ARCH.to_string());
    let flags = field("flags").unwrap_or_default();
    let vectors = ["avx512ifma", "avx2"]
        .into_iter()
        .find(|wanted| flags.split_whitespace().any(|flag| flag == *wanted));
    let vectors = match vectors {
        Some("avx512ifma") => ", AVX-512 IFMA",
        Some(_) => ", AVX2",
        None => "",
    };
    let s = if cores == 1 { "" } else { "s" };
    format!("{cores} core{s} of {processor}{vectors}")
}
