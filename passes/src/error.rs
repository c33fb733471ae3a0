//! What can go wrong between a graph and a program.

use std::collections::BTreeMap;

use hecc_ir::nn::Shape;

/// Why a pass refused; the message says what to do.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PassError {
    /// The graph is not acyclic.
    #[error("the graph has a cycle; hecc compiles feed-forward networks only")]
    Cycle,
    /// A value is a sum of too many products.
    #[error(
        "{name} is a sum of {addends} linear maps of activations, at most {limit} are supported; put an activation between its additions"
    )]
    TooManyAddends {
        /// The node.
        name: String,
        /// Addends it needs.
        addends: usize,
        /// Addends allowed.
        limit: usize,
    },
    /// Values with many users would be multiplied into each of them too often.
    #[error(
        "{name}: the linear operators up to here repeat too often when each user gets its own; put an activation behind a value that many operators use"
    )]
    FoldsTooMuch {
        /// The node.
        name: String,
    },
    /// A pass got a graph that fold_linear did not make.
    #[error("{name} is no sum of linear chains; run fold_linear first")]
    NotNormal {
        /// The node.
        name: String,
    },
    /// A tensor does not fit one ciphertext.
    #[error(
        "{name}: its tensor {shape} has {elements} elements, a ciphertext has {slots} slots; use a smaller input image or fewer channels"
    )]
    TooLarge {
        /// The node.
        name: String,
        /// Its shape.
        shape: Shape,
        /// Elements.
        elements: usize,
        /// Slots of the largest allowed ring.
        slots: usize,
    },
    /// Something is missing in the calibration, or does not fit the graph.
    #[error("calibration: {0}")]
    Calibration(String),
    /// An option out of range.
    #[error("option {name}: expected {expected}, got {got}")]
    Option {
        /// Which.
        name: String,
        /// Valid values.
        expected: String,
        /// Value found.
        got: String,
    },
    /// Only quadratics inside a network may differ from channel to channel.
    #[error(
        "{name}: a polynomial with coefficients of its own for each of {channels} channels; write it as a sum of powers, each scaled per channel"
    )]
    PolynomialPerChannel {
        /// The activation.
        name: String,
        /// Channels.
        channels: usize,
    },
    /// No degree keeps the classes.
    #[error(
        "no activation degree keeps the class of the model in f32 on {needed:.1} % of the calibration images ({measured})"
    )]
    NoDegree {
        /// Percent.
        needed: f64,
        /// Degree and percent of every measured degree.
        measured: String,
    },
    /// No parameter set is secure and large enough.
    #[error("no parameter set: {0}")]
    NoParameters(String),
    /// The levels do not suffice.
    #[error("placement: {0}")]
    Placement(#[from] crate::placement::PlacementError),
    /// A verifier refused what a pass made.
    #[error("after {pass}: {what}")]
    Verify {
        /// The pass.
        pass: &'static str,
        /// The verifier's message: value, operator, expected, got.
        what: String,
    },
}

impl PassError {
    /// The same error with the node called by its ONNX name as well; `origins` maps canonical names
    /// to ONNX names.
    pub(crate) fn with_origin(mut self, origins: &BTreeMap<String, String>) -> Self {
        match &mut self {
            Self::TooLarge { name, .. } | Self::NotNormal { name } => {
                if let Some(origin) = origins.get(name) {
                    *name = format!("{name} (ONNX node '{origin}')");
                }
            }
            Self::Cycle
            | Self::TooManyAddends { .. }
            | Self::FoldsTooMuch { .. }
            | Self::Calibration(_)
            | Self::Option { .. }
            | Self::PolynomialPerChannel { .. }
            | Self::NoDegree { .. }
            | Self::NoParameters(_)
            | Self::Placement(_)
            | Self::Verify { .. } => {}
        }
        self
    }
}
