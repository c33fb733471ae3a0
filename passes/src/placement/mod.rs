//! At which level every value stands and where ciphertexts are bootstrapped.
//!
//! A [`Problem`] lists operations, the ways to compute each and what they cost at each level; it
//! knows nothing of tensors, layouts or scales. [`exact`] gives the [`Placement`] that takes the
//! fewest seconds, [`greedy`] and [`before_every_activation`] the ones it is compared with,
//! [`validate`] judges any of them.
//!
//! ```
//! use hecc_passes::placement::{Node, Problem, Refresh, Way, exact, validate};
//!
//! // Five levels; a convolution takes one, a polynomial three, twice.
//! let node = |name: &str, operands: Vec<usize>, depth: usize, activation: bool| Node {
//!     name: name.to_string(),
//!     operands,
//!     ways: vec![Way::Levelled {
//!         depth,
//!         seconds: (0..=5).map(|level| 0.1 * f64::from(level)).collect(),
//!     }],
//!     refresh: Some(Refresh { enter: 1, seconds: vec![2.0; 5] }),
//!     activation,
//! };
//! let problem = Problem {
//!     nodes: vec![
//!         node("image", vec![], 0, false),
//!         node("conv1", vec![0], 1, false),
//!         node("relu1", vec![1], 3, true),
//!         node("conv2", vec![2], 1, false),
//!         node("relu2", vec![3], 3, true),
//!     ],
//!     output: 4,
//!     output_floor: 0,
//! };
//! let placement = exact(&problem)?;
//! validate(&problem, &placement)?;
//! assert!(placement.optimal);
//! // Eight levels of work, five to begin with: one bootstrap.
//! assert_eq!(placement.bootstraps(&problem), 1);
//! # Ok::<(), hecc_passes::placement::PlacementError>(())
//! ```

mod problem;
mod reach;
mod solution;
mod error;
mod exact;
mod elimination;
mod baselines;
mod autofhe;
#[cfg(test)]
mod tests;

pub use autofhe::{Network, autofhe_count, autofhe_problem};
pub use baselines::{before_every_activation, greedy};
pub use error::PlacementError;
pub use exact::{exact, exact_within};
pub use problem::{Node, Problem, Refresh, Way};
pub use solution::{Choice, Placement, evaluate, validate};
