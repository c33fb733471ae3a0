//! Why a model cannot be imported.

use std::path::{Path, PathBuf};

/// A model that cannot be imported: file, node and operator where there is one, what is wrong, and
/// the way out where there is one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {}{what}", file.display(), node.as_ref().map(|n| format!("{n}: ")).unwrap_or_default())]
pub struct ImportError {
    /// The file.
    pub file: PathBuf,
    /// `node 'name' (Operator)`.
    pub node: Option<String>,
    /// Expected and found.
    pub what: String,
    /// What to do.
    pub help: Option<String>,
}

/// An [`ImportError`] before the file is known.
#[derive(Debug)]
pub(super) struct Problem {
    pub node: Option<String>,
    pub what: String,
    pub help: Option<String>,
}

impl Problem {
    pub fn new(what: impl Into<String>) -> Self {
        Self {
            node: None,
            what: what.into(),
            help: None,
        }
    }

    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub fn at(mut self, node: &str) -> Self {
        self.node.get_or_insert_with(|| node.to_string());
        self
    }

    pub fn in_file(self, file: &Path) -> ImportError {
        ImportError {
            file: file.to_path_buf(),
            node: self.node,
            what: self.what,
            help: self.help,
        }
    }
}

impl From<String> for Problem {
    fn from(what: String) -> Self {
        Self::new(what)
    }
}

/// Result of a step of the import.
pub(super) type Step<T> = Result<T, Problem>;
