//! Why a plan cannot be simulated.

use hecc_ir::linear::LinearError;
use hecc_ir::program::Value;
use hecc_ir::program_verify::ProgramError;

/// Why a plan cannot be simulated.
#[derive(Debug, thiserror::Error)]
pub enum SimulatorError {
    /// The program breaks a rule of its language.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// A linear map does not fit its layouts.
    #[error("v{value} ({name}): {source}")]
    Map {
        /// Index of the node.
        value: Value,
        /// ONNX name.
        name: String,
        /// Why.
        source: LinearError,
    },
    /// An activation in a plan whose parameters have no bootstrap.
    #[error(
        "v{value} ({name}): an activation inside a bootstrap, but the plan's parameters have no \
         bootstrap; compile the model again"
    )]
    NoBootstrap {
        /// Index of the node.
        value: Value,
        /// ONNX name.
        name: String,
    },
    /// The image does not fit the plan.
    #[error("the image has {got} values, the plan takes {expected}")]
    Image {
        /// Elements of the input.
        expected: usize,
        /// Values given.
        got: usize,
    },
}
