//! A key pair in the process: ciphertexts to compute on, and keys to compute with.

use std::sync::Arc;

use hecc_ckks::{Ciphertext, Context, Evaluator};
use hecc_client::{SecretKey, SecretSeed};
use hecc_ir::params::Parameters;
use hecc_ir::plan::KeyManifest;

use crate::evaluation_keys::evaluation_keys;
use crate::failure::{Failure, no_randomness};

/// The secret of a measurement; the evaluator does not see it.
pub struct Party {
    /// Tables of the parameter set.
    pub context: Arc<Context>,
    secret: SecretKey,
}

impl Party {
    /// A fresh key pair.
    pub fn new(parameters: &Parameters) -> Result<Self, Failure> {
        let context = Context::new(hecc_ckks::Parameters {
            log_n: parameters.log_n,
            q: parameters.q.clone(),
            p: parameters.p.clone(),
            digit: parameters.digit,
        })
        .map_err(broken)?;
        let seed = SecretSeed::random().map_err(no_randomness)?;
        let secret = SecretKey::from_seed(&context, &seed);
        Ok(Self { context, secret })
    }

    /// An evaluator with these keys.
    pub fn evaluator(
        &self,
        keys: &KeyManifest,
        sparse_weight: Option<usize>,
    ) -> Result<Evaluator, Failure> {
        let keys = evaluation_keys(&self.context, &self.secret, keys, sparse_weight)?;
        Ok(Evaluator::new(self.context.clone(), Arc::new(keys)))
    }

    /// An encryption of numbers in [-1, 1) at this level and scale.
    pub fn encrypt(&self, level: usize, scale: f64) -> Result<Ciphertext, Failure> {
        let values = numbers(self.context.slots(), level as u64);
        let seeded = hecc_client::encrypt(&self.context, &self.secret, &values, level, scale);
        Ok(seeded.map_err(broken)?.expand(&self.context))
    }
}

/// A measurement that its own parameters do not allow: a defect of this program.
pub fn broken(error: impl std::fmt::Display) -> Failure {
    Failure::new(
        format!("the measurement does not work: {error}"),
        "this is a defect of hecc-run bench, please report it",
    )
}

/// Numbers in [-1, 1) that look random, the same every time.
pub fn numbers(count: usize, seed: u64) -> Vec<f64> {
    let mut state = seed;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    };
    (0..count).map(|_| next()).collect()
}
