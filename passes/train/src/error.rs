//! What can go wrong in training.

use std::path::PathBuf;

use hecc_batch::BatchError;
use hecc_ir::nn_verify::VerifyError;
use hecc_passes::PassError;

/// Why a network was not trained; the message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The graph breaks a rule of its language.
    #[error(transparent)]
    Graph(#[from] VerifyError),
    /// A batch cannot go through the network.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// An approximation cannot be fitted again.
    #[error(transparent)]
    Pass(#[from] PassError),
    /// A number of the recipe out of bounds.
    #[error("recipe: {name} is {got}, expected {expected}")]
    Recipe {
        /// The field.
        name: &'static str,
        /// Valid values.
        expected: String,
        /// Value found.
        got: String,
    },
    /// An operator that cannot stand for an activation.
    #[error(
        "activation '{name}': {what}; give a line per channel, a polynomial or an approximation"
    )]
    Operator {
        /// Node of the activation.
        name: String,
        /// Expected and got.
        what: String,
    },
    /// Images or labels do not fit the network.
    #[error("training data: {0}")]
    Data(String),
    /// An image cannot be read.
    #[error("training image {index}: {what}")]
    Image {
        /// Position in the source.
        index: usize,
        /// Why.
        what: String,
    },
    /// A checkpoint cannot be written or used.
    #[error("checkpoint {}: {what}", path.display())]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// Why, and the way out.
        what: String,
    },
    /// The network left the numbers.
    #[error(
        "training diverged in epoch {epoch}, step {step}: {what} is not finite; the last good state is kept{}; \
         train with a lower rate (now {rate}) or a longer homotopy (now {homotopy} epochs)",
        checkpoint.as_ref().map(|p| format!(" in {}", p.display())).unwrap_or_default()
    )]
    Diverged {
        /// Epochs finished before.
        epoch: usize,
        /// Steps finished in the epoch.
        step: usize,
        /// Loss, gradient or statistics.
        what: &'static str,
        /// [`crate::Recipe::rate`].
        rate: f32,
        /// [`crate::Recipe::homotopy_epochs`].
        homotopy: f32,
        /// The checkpoint file that holds the last good state, if one was asked for and written.
        checkpoint: Option<PathBuf>,
    },
}
