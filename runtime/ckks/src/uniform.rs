//! Uniform residues from a public seed.

use crate::ring::Modulus;
use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha20Rng;

/// Seed of a public uniform polynomial.
pub type Seed = [u8; 32];

/// Fills `limb` with uniform residues mod `m`: ChaCha20 keyed by `seed`, nonce `stream`.
///
/// Values of 64 bits above the largest multiple of q are rejected, so there is no bias.
pub fn fill(seed: &Seed, stream: u64, m: &Modulus, limb: &mut [u64]) {
    let mut rng = ChaCha20Rng::from_seed(*seed);
    rng.set_stream(stream);
    let limit = u64::MAX / m.value() * m.value();
    for x in limb {
        *x = loop {
            let word = rng.next_u64();
            if word < limit {
                break m.reduce_u64(word);
            }
        };
    }
}
