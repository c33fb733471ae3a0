//! What can go wrong in a search, and in reading what one left behind.

use hecc_passes::PassError;

/// Why a search, or a file of one, cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// The network has nothing to choose.
    #[error("the network has no activation with alternatives: there is nothing to search")]
    NothingToSearch,
    /// A genome that is not one of this network.
    #[error("genome {genome}: {what}")]
    Genome {
        /// As given.
        genome: String,
        /// Expected and got.
        what: String,
    },
    /// Kinds that name no genome of this network.
    #[error("{0}")]
    Kinds(String),
    /// A setting out of its range.
    #[error("search settings: {name} is {got}, expected {expected}")]
    Setting {
        /// Which.
        name: &'static str,
        /// Its range.
        expected: &'static str,
        /// As given.
        got: String,
    },
    /// The time allowed does not suffice for the first generation.
    #[error(
        "a budget of {given:.0} s is too short: the first generation alone takes about {needed:.0} s; \
         give at least that, or judge on fewer images"
    )]
    BudgetTooShort {
        /// Seconds allowed.
        given: f64,
        /// Seconds of the first generation, estimated from its first part.
        needed: f64,
    },
    /// Ctrl-C, seen by the objective.
    #[error("interrupted")]
    Interrupted,
    /// The images or labels do not fit the network.
    #[error("images to judge on: {0}")]
    Images(String),
    /// Evaluation of the network failed.
    #[error(transparent)]
    Batch(#[from] hecc_batch::BatchError),
    /// A pass refused the network.
    #[error(transparent)]
    Pass(#[from] PassError),
    /// A file of a search that cannot be used.
    #[error("{file}: {what}")]
    File {
        /// `front.json` or `state.json`.
        file: &'static str,
        /// The field, expected and got.
        what: String,
    },
    /// No point of a front meets the demands.
    #[error("{0}")]
    Pick(String),
}
