//! A plan: everything a client and a server need to run a program.

use crate::params::Parameters;
use crate::program::Program;

/// How pixels become numbers, and what the outputs are called.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Preprocess {
    /// Per channel.
    pub mean: Vec<f64>,
    /// Per channel.
    pub std: Vec<f64>,
    /// Pixels.
    pub width: usize,
    /// Pixels.
    pub height: usize,
    /// 1 (greyscale) or 3 (RGB).
    pub channels: usize,
    /// Class names; empty, or one per output.
    pub classes: Vec<String>,
}

/// What one key reveals: the modulus it lives in and the secret it encrypts under.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct KeyCertificate {
    /// Name, e.g. "rotation", "encapsulation".
    pub key: String,
    /// log2 of N.
    pub log_n: u32,
    /// log2 of the largest modulus the key appears in.
    pub log_qp: f64,
    /// "dense ternary" or "sparse ternary, h = 32".
    pub secret: String,
    /// Bits of classical security.
    pub security: f64,
    /// Where the figure comes from.
    pub source: String,
}

/// A rotation key: left rotation of the N/2 slots by `steps`, used at `level` or below.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct RotationKey {
    /// Slots, 1..N/2.
    pub steps: usize,
    /// Highest level it is used at.
    pub level: usize,
}

/// The evaluation keys the program needs, no more.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct KeyManifest {
    /// Sorted by steps.
    pub rotations: Vec<RotationKey>,
    /// Highest level of a relinearisation; None when there is none.
    pub relinearisation: Option<usize>,
    /// Highest level of a conjugation.
    pub conjugation: Option<usize>,
    /// Whether the two encapsulation keys (dense to sparse at q0, sparse to dense at the top) are needed.
    pub encapsulation: bool,
}

/// A plan, checked: what `hecc compile` writes and `hecc-run` runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Model file's name without its folder.
    pub model: String,
    /// Parameters with primes.
    pub parameters: Parameters,
    /// Bits of classical security that every key is to have: one of [`crate::security::LEVELS`].
    pub target_security: u32,
    /// True only when compiled with `--allow-insecure`: some key has less than that.
    pub insecure: bool,
    /// One entry per key kind.
    pub certificate: Vec<KeyCertificate>,
    /// Normalisation and labels.
    pub preprocess: Preprocess,
    /// The program with its constants.
    pub program: Program,
    /// Keys.
    pub keys: KeyManifest,
    /// What an evaluation will take.
    pub prediction: Prediction,
}

/// What an evaluation will take, by the cost table the plan was compiled with.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct Prediction {
    /// Seconds of every node, in the order of the program.
    pub nodes: Vec<f64>,
    /// Seconds of what is done once: encoding the bootstraps' transforms.
    pub setup: f64,
    /// Threads of the measurement.
    pub threads: usize,
    /// The machine of the measurement.
    pub machine: String,
    /// Most bytes alive at once during an evaluation, keys included.
    pub peak_bytes: u64,
    /// Bytes of the server's keys.
    pub key_bytes: u64,
}

impl Prediction {
    /// Seconds of the whole evaluation.
    pub fn seconds(&self) -> f64 {
        self.setup + self.nodes.iter().sum::<f64>()
    }
}
