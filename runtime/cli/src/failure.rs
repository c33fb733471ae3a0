//! Why a command failed, in the two lines the user sees.

/// What went wrong, and the way out.
#[derive(Clone, Debug)]
pub struct Failure {
    /// After `error:`.
    pub message: String,
    /// After `help:`.
    pub help: String,
}

impl Failure {
    /// A failure that the command itself finds.
    pub fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            help: help.into(),
        }
    }
}

impl From<hecc_runtime::Error> for Failure {
    fn from(error: hecc_runtime::Error) -> Self {
        Self::new(error.to_string(), error.help())
    }
}

/// The operating system's generator failed.
pub fn no_randomness(error: impl std::fmt::Display) -> Failure {
    Failure::new(
        format!("the operating system gives no randomness: {error}"),
        "try again when the system has fully started",
    )
}
