#![doc = include_str!("../README.md")]

mod error;
pub mod pipeline;

mod algebra;
pub mod allocate_levels;
pub mod approximate;
pub mod choose_degree;
pub mod choose_layouts;
pub mod choose_parameters;
pub mod cost;
pub mod fold_linear;
mod layout_candidates;
pub mod lower_to_slots;
pub mod placement;
pub mod relation;
pub mod report;
pub mod steps;

pub use approximate::{Activation, fit};
pub use error::PassError;
pub use pipeline::{Lowered, Options, lower};
