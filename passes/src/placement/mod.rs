//! At which level every value stands and where ciphertexts are bootstrapped.

mod error;
mod problem;
mod reach;
mod solution;

pub use error::PlacementError;
pub use problem::{Node, Problem, Refresh, Way};
pub use solution::{Choice, Placement, evaluate, validate};
