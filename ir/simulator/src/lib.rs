#![doc = include_str!("../README.md")]

mod simulator;

pub mod noise;
mod series_noise;

mod sample;
mod series;

mod node_run;
mod report;

mod error;

pub use error::SimulatorError;
pub use node_run::{NodeRun, Spread};
pub use report::{Divergence, Layer, OutputError, Report, Share, Totals};
pub use series_noise::SeriesNoise;
pub use simulator::{Run, Simulator, predict};

#[cfg(test)]
mod tests;
