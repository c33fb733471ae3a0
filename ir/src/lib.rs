#![doc = include_str!("../README.md")]

pub mod calibration;
pub mod kernel;
pub mod layout;
pub mod linear;
pub mod nn;
pub mod nn_verify;
pub mod nn_dump;
pub mod nn_eval;
pub mod primes;
pub mod params;
pub mod security;
pub mod plan;
pub mod program;
pub mod sparse;
pub mod slots;
#[cfg(test)]
mod testing;
