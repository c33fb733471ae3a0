#![doc = include_str!("../README.md")]

mod error;
pub mod pipeline;

mod algebra;
pub mod fold_linear;
mod geometry;
mod known;
pub mod replace;
pub mod steps;

pub mod approximate;
pub mod candidates;
pub mod choose_degree;
pub mod complete_squares;
mod least_squares;
mod minimax;

pub mod choose_parameters;

pub mod choose_layouts;
pub mod cost;
mod layout_candidates;
pub mod lower_to_slots;
mod rates;
pub mod relation;

pub mod place;
pub mod placement;

mod explore;
pub mod latency;

pub mod report;

pub use approximate::{Ways, fit};
pub use error::PassError;
pub use fold_linear::{Folded, fold_linear};
pub use pipeline::{Lowered, Options, lower};
pub use place::Mode;

#[cfg(test)]
mod testing;
