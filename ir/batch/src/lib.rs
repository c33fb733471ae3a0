#![doc = include_str!("../README.md")]

mod batch;
mod error;

pub mod conv;
pub mod linear;

mod elementwise;
mod network;

pub use batch::Batch;
pub use elementwise::Elementwise;
pub use error::BatchError;
pub use network::Network;

#[cfg(test)]
mod testing;
