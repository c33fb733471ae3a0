//! What can go wrong, and whose fault it is.

/// Errors of this crate. None is raised by correct use on checked inputs.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The parameter set cannot be used.
    #[error("parameters: {0}")]
    Parameters(String),
    /// An operand is at a level where the operation does not exist.
    #[error("{operation}: operand at level {got}, needs {expected}")]
    Level {
        /// Operation.
        operation: &'static str,
        /// What it needs, in words.
        expected: String,
        /// The operand's level.
        got: usize,
    },
    /// Two operands differ in scale.
    #[error("{operation}: scales differ, 2^{left:.6} and 2^{right:.6}")]
    Scale {
        /// Operation.
        operation: &'static str,
        /// log2 of the left scale.
        left: f64,
        /// log2 of the right scale.
        right: f64,
    },
    /// The key set lacks a key the operation uses.
    #[error("missing key: {0}; generate the keys from the same plan")]
    MissingKey(String),
    /// A number does not fit the encoding.
    #[error("encoding: {0}")]
    Encoding(String),
    /// Bytes from outside are not what they claim to be.
    #[error("malformed data: {0}")]
    Malformed(String),
}
