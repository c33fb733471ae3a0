#![doc = include_str!("../README.md")]

mod error;
mod recipe;

mod data;
mod train;

mod history;

mod network;

mod activation;
mod normalise;
mod slope;

mod loss;
mod optimiser;

mod distribution;
mod measure;

mod checkpoint;

pub use data::{Data, Images};
pub use error::TrainError;
pub use history::{Epoch, History};
pub use recipe::{Homotopy, Recipe};
pub use train::{Event, Outcome, Task, train};

#[cfg(test)]
mod tests;
