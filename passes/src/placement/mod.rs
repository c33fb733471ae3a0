//! At which level every value stands and where ciphertexts are bootstrapped.

mod problem;
mod reach;
mod solution;
mod error;
mod exact;
mod elimination;
mod baselines;
mod autofhe;

pub use autofhe::{Network, autofhe_count, autofhe_problem};
pub use baselines::{before_every_activation, greedy};
pub use error::PlacementError;
pub use exact::{exact, exact_within};
pub use problem::{Node, Problem, Refresh, Way};
pub use solution::{Choice, Placement, evaluate, validate};
