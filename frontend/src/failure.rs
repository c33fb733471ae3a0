//! What a command prints before it ends with exit code 2.

use crate::import::ImportError;
use hecc_passes::PassError;
use std::path::Path;

/// The way out of a model whose error has no better one.
const BROKEN_MODEL: &str =
    "export the model again; onnx.checker.check_model says whether it is valid ONNX";

/// What is wrong, and the way out where there is one.
#[derive(Debug)]
pub struct Failure {
    /// After `error: `.
    pub what: String,
    /// After `help: `.
    pub help: Option<String>,
}

impl Failure {
    /// Without a way out.
    pub fn new(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            help: None,
        }
    }

    /// With one.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// About a file.
    pub fn in_file(path: &Path, what: impl std::fmt::Display) -> Self {
        Self::new(format!("{}: {what}", path.display()))
    }
}

impl From<ImportError> for Failure {
    fn from(e: ImportError) -> Self {
        Self {
            what: e.to_string(),
            help: Some(e.help.unwrap_or_else(|| BROKEN_MODEL.to_string())),
        }
    }
}

impl From<hecc_images::Error> for Failure {
    fn from(e: hecc_images::Error) -> Self {
        Self {
            what: e.to_string(),
            help: e.help().map(str::to_string),
        }
    }
}

impl From<PassError> for Failure {
    fn from(e: PassError) -> Self {
        let failure = Self::new(e.to_string());
        match e {
            PassError::NoDegree { .. } => failure.help(
                "raise --tolerance, choose with --degree, or calibrate on more images: hecc calibrate --limit N",
            ),
            _ => failure,
        }
    }
}

impl From<hecc_batch::BatchError> for Failure {
    fn from(e: hecc_batch::BatchError) -> Self {
        Self::new(e.to_string())
    }
}

impl From<hecc_search::SearchError> for Failure {
    fn from(e: hecc_search::SearchError) -> Self {
        Self::new(e.to_string())
    }
}

impl From<hecc_train::TrainError> for Failure {
    fn from(e: hecc_train::TrainError) -> Self {
        let diverged = matches!(e, hecc_train::TrainError::Diverged { .. });
        let failure = Self::new(e.to_string());
        match diverged {
            true => failure.help(
                "remove the checkpoint and train again with a lower --rate, a longer --homotopy, or more --epochs",
            ),
            false => failure,
        }
    }
}
