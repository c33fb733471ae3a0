#![doc = include_str!("../README.md")]

pub mod calibration;
pub mod kernel;
pub mod layout;
pub mod linear;
pub mod nn;
pub mod nn_dump;
pub mod nn_eval;
pub mod nn_verify;
pub mod params;
mod placement;
pub mod plan;
pub mod plan_bytes;
pub mod checker;
mod wire;
pub mod primes;
pub mod program;
pub mod program_dump;
pub mod program_eval;
pub mod program_verify;
pub mod security;
pub mod slots;
pub mod sparse;
mod taps;
#[cfg(test)]
mod testing;
