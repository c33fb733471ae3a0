#![doc = include_str!("../README.md")]

pub mod function;
pub mod nn;
pub mod nn_verify;

pub mod kernel;
pub mod nn_dump;
pub mod nn_eval;

pub mod calibration;
pub mod histogram;

pub mod layout;
pub mod linear;
pub mod sparse;

mod placement;
mod taps;

mod rules;

pub mod slots;

pub mod program;
pub mod program_verify;

pub mod program_dump;
pub mod program_eval;

pub mod params;
pub mod primes;
pub mod security;

pub mod bootstrappers;
pub mod costs;

pub mod plan;
pub mod plan_bytes;

mod plan_decode;
mod plan_encode;
mod plan_function;
mod wire;

pub mod checker;

#[cfg(any(test, feature = "testing"))]
pub mod testing;
