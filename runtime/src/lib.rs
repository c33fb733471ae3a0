#![doc = include_str!("../README.md")]

pub mod bootstraps;
pub mod ciphertext_file;
pub mod error;
pub mod executor;
mod execution;
mod matrix;
pub mod frame;
pub mod output_file;
pub mod plan_file;
pub mod server_key;
pub mod stats;

pub use error::{Error, Result};
pub use executor::{Observer, Progress, Session};
