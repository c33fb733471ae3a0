#![doc = include_str!("../README.md")]

pub mod ring;

mod buffer;
mod error;
pub mod poly;

mod context;
pub mod encoding;
pub mod packing;
pub mod uniform;

mod ciphertext;
mod keys;

mod key_switch;
mod evaluator;
mod linear_transform;
pub mod polynomial;
mod bootstrap;

pub use bootstrap::{BootstrapShape, Bootstrapper};
pub use buffer::Buffer;
pub use ciphertext::{Ciphertext, SeededCiphertext};
pub use context::{Context, Parameters};
pub use error::Error;
pub use evaluator::Evaluator;
pub use keys::{Encapsulation, EvaluationKeys, Gadget, KeyShape, SwitchingKey};
pub use linear_transform::{LinearTransform, Rotated};
pub use num_complex::Complex64;
