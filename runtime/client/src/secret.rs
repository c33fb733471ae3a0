//! The secret key.

use crate::sampling::{SmallPoly, ternary};
use hecc_ckks::Context;
use hecc_ckks::poly::Evaluations;
use rand::{SeedableRng, TryRngCore, rngs::OsRng};
use rand_chacha::ChaCha20Rng;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// The 32 bytes a secret key is expanded from: all a client has to keep.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct SecretSeed([u8; 32]);

impl SecretSeed {
    /// Fresh, from the operating system.
    ///
    /// # Errors
    /// When the operating system has no randomness to give.
    pub fn random() -> Result<Self, rand::rand_core::OsError> {
        let mut seed = [0; 32];
        OsRng.try_fill_bytes(&mut seed)?;
        Ok(Self(seed))
    }

    /// From stored bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes, to be stored where no server reads them.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl std::fmt::Debug for SecretSeed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretSeed(..)")
    }
}

/// A dense ternary secret.
pub struct SecretKey {
    coefficients: SmallPoly,
}

impl SecretKey {
    /// The key that `seed` stands for in this ring.
    pub fn from_seed(context: &Context, seed: &SecretSeed) -> Self {
        let mut rng = ChaCha20Rng::from_seed(seed.0);
        Self {
            coefficients: ternary(&mut rng, context.n()),
        }
    }

    pub(crate) fn coefficients(&self) -> &SmallPoly {
        &self.coefficients
    }

    pub(crate) fn lift(&self, context: &Context, level: usize, specials: usize) -> SecretPoly {
        SecretPoly(context.lift(&self.coefficients, level, specials))
    }
}

impl std::fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretKey(..)")
    }
}

/// Evaluations that depend on a secret: wiped before their memory is reused.
pub(crate) struct SecretPoly(pub Evaluations);

impl Drop for SecretPoly {
    fn drop(&mut self) {
        self.0.0.iter_mut().for_each(|limb| limb.zeroize());
    }
}

/// The image of a small polynomial under X -> X^galois.
pub(crate) fn automorphism(coefficients: &[i64], galois: u64) -> SmallPoly {
    let n = coefficients.len();
    let mut out = Zeroizing::new(vec![0; n]);
    for (k, &c) in coefficients.iter().enumerate() {
        let exponent = k * galois as usize % (2 * n);
        out[exponent % n] = if exponent < n { c } else { -c };
    }
    out
}
