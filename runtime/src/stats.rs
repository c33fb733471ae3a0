//! What an evaluation did, node by node.

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
    /// Seconds to read and expand the server key.
    pub load_seconds: f64,
    /// Seconds from the input ciphertext to the output ciphertext.
    pub seconds: f64,
    /// Largest resident memory of the process, in bytes; None where the system does not tell.
    pub peak_memory_bytes: Option<u64>,
    /// In execution order.
    pub nodes: Vec<NodeStats>,
}

/// Statistics of one node of the program.
#[derive(Clone, Debug, Default, Serialize)]
pub struct NodeStats {
    /// Index: the node defines value `v<node>`.
    pub node: usize,
    /// Name in the ONNX file.
    pub name: String,
    /// "input", "linear", "mul_const", "add" or "activate".
    pub op: &'static str,
    /// Seconds, all included.
    pub seconds: f64,
    /// Part of `seconds` spent on encoding constants.
    pub encode_seconds: f64,
    /// Level of the first operand.
    pub level_in: usize,
    /// Level of the result.
    pub level_out: usize,
    /// Plaintext diagonals multiplied with, those of a bootstrap not counted.
    pub diagonals: usize,
    /// Rotations: babies, giants and folds.
    pub rotations: usize,
    /// Bootstraps.
    pub bootstraps: usize,
}

/// Largest resident memory of this process so far, in bytes, where the system tells (Linux).
pub fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}
