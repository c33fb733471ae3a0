//! The client key: the seed of the secret, and whose it is.

use std::path::Path;

use hecc_ckks::Context;
use hecc_client::{SecretKey, SecretSeed};
use hecc_ir::plan::Plan;
use hecc_runtime::Result;
use hecc_runtime::ciphertext_file::fill;
use hecc_runtime::frame::{Id, Kind, Reader};
use hecc_runtime::output_file::OutputFile;
use zeroize::Zeroizing;

use crate::failure::{Failure, no_randomness};

const SEED: usize = 32;

/// A key pair as the client holds it. Wiped when dropped.
pub struct ClientKey {
    seed: SecretSeed,
    id: Id,
}

impl ClientKey {
    /// A new key pair. Seed and identity are independent draws, for the identity is public.
    pub fn generate() -> std::result::Result<Self, Failure> {
        let draw = || SecretSeed::random().map_err(no_randomness);
        Ok(Self {
            seed: draw()?,
            id: *draw()?.expose(),
        })
    }

    /// Reads the key made for `plan` from `path`.
    pub fn read(path: &Path, plan: &Plan) -> Result<Self> {
        let sections = vec![SEED as u64];
        let reader = Reader::open(path, Kind::ClientKey, &plan.id(), None, sections)?;
        let bytes = Zeroizing::new(reader.section(0, "the secret")?);
        Ok(Self {
            seed: SecretSeed::from_bytes(std::array::from_fn(|i| bytes[i])),
            id: reader.key(),
        })
    }

    /// Fills a file under construction.
    pub fn write(&self, file: &mut OutputFile, plan: &Plan) -> Result<()> {
        fill(file, Kind::ClientKey, plan, &self.id, &[self.seed.expose()])
    }

    /// Identity of the key pair.
    pub fn id(&self) -> &Id {
        &self.id
    }

    /// The secret key.
    pub fn secret(&self, context: &Context) -> SecretKey {
        SecretKey::from_seed(context, &self.seed)
    }
}
