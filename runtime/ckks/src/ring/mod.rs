//! Arithmetic modulo NTT primes below 2^50, and in Z_q[X]/(X^N + 1).
//!
//! Everything works on plain slices of residues in [0, q), one prime at a time and on one thread: callers own the
//! layout and the parallelism. The functions with loops run on the widest instruction set of the machine; all
//! instruction sets give the same bits.

pub mod kernels;

mod automorphism;
mod base_conversion;
mod lanes;
mod modulus;
#[cfg(test)]
mod naive;
mod ntt;
mod passes;
mod primes;
mod products;
mod simd;
#[cfg(test)]
mod tests;
mod twiddles;

pub use automorphism::{NttPermutation, automorphism_coeffs};
pub use base_conversion::BaseConversion;
pub use modulus::{MAX_MODULUS_BITS, Modulus};
pub use ntt::NttTable;
pub use primes::{is_prime, ntt_primes};
pub use simd::AlignedWords;
