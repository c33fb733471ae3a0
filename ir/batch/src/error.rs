//! What cannot be prepared for batches.

use hecc_ir::nn::Shape;
use hecc_ir::nn_verify::{ShapeError, VerifyError};

/// What cannot be prepared for batches.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// The graph breaks a rule of its language.
    #[error(transparent)]
    Graph(#[from] VerifyError),
    /// A linear operator does not fit its input.
    #[error(transparent)]
    Linear(#[from] ShapeError),
    /// An operator that is no function of one number per element.
    #[error(
        "{op} is no function of one number per element; expected an activation, or an affine or \
         elementwise map"
    )]
    NotElementwise {
        /// Lower-case name of the operator.
        op: &'static str,
    },
    /// Parameters of a function that do not fit the value it is applied to.
    #[error("{function} on a value of {shape}: {what}")]
    Function {
        /// Lower-case name of the function.
        function: &'static str,
        /// The value's shape.
        shape: Shape,
        /// Expected and got.
        what: String,
    },
    /// A padded copy of one image would be out of all proportion.
    #[error("{op} on {shape}: {elements} elements with padding, at most {limit}")]
    Padding {
        /// Lower-case name of the operator.
        op: &'static str,
        /// Shape of its operand.
        shape: Shape,
        /// Elements of the padded copy.
        elements: u128,
        /// The largest number allowed.
        limit: usize,
    },
}
