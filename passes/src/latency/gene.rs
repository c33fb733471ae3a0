//! What of an operator decides the structure of a network.

use hecc_ir::function::{Approximation, Function};
use hecc_ir::nn::{Linear, Op};

/// Operators with equal genes lead to equal predictions.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Gene {
    /// Nothing is left.
    Identity,
    /// A factor and a constant per channel.
    Affine {
        /// Whether a constant is not zero.
        shifted: bool,
        /// Channels whose factor is zero.
        zeros: Vec<usize>,
    },
    /// A quadratic per channel.
    Quadratic,
    /// A polynomial for all channels: which coefficients are not zero.
    Polynomial(Vec<bool>),
    /// Inside a bootstrap: the bits of rho, the degree.
    Fused(u64, usize),
    /// Degrees, and whether x multiplies the result.
    Levelled(Vec<usize>, bool),
    /// One multiplication.
    Square,
    /// Anything else, spelled out.
    Other(String),
}

impl Gene {
    /// The gene of an operator.
    pub fn of(op: &Op) -> Self {
        match op {
            Op::Linear(Linear::Affine { scale, shift }) => {
                let zeros = scale.iter().enumerate().filter(|(_, s)| **s == 0.0);
                let shifted = shift.iter().any(|&b| b != 0.0);
                match !shifted && scale.iter().all(|&s| s == 1.0) {
                    true => Self::Identity,
                    false => Self::Affine {
                        shifted,
                        zeros: zeros.map(|(channel, _)| channel).collect(),
                    },
                }
            }
            Op::Activation(Function::Polynomial { coefficients }) => match &coefficients[..] {
                [row] => Self::Polynomial(row.iter().map(|&c| c != 0.0).collect()),
                rows if rows.iter().all(|row| row.len() == 3) => Self::Quadratic,
                _ => Self::Other(format!("{op:?}")),
            },
            Op::Activation(Function::Approximated(approximation)) => match approximation {
                Approximation::Fused {
                    rho, coefficients, ..
                } => Self::Fused(rho.to_bits(), coefficients.len()),
                Approximation::Levelled {
                    polynomials,
                    times_x,
                    ..
                } => Self::Levelled(polynomials.iter().map(Vec::len).collect(), *times_x),
                Approximation::Square { .. } => Self::Square,
            },
            Op::Input | Op::Linear(_) | Op::Add | Op::Mul | Op::Activation(_) => {
                Self::Other(format!("{op:?}"))
            }
        }
    }
}
