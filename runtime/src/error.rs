//! What can go wrong while loading and running, and the way out.

use std::path::{Path, PathBuf};

/// A failure of the runtime. The message says what is wrong; [`Error::help`] says what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused.
    #[error("{}: cannot {action}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried: "read" or "write".
        action: &'static str,
        /// Its reason.
        source: std::io::Error,
    },
    /// The file is not one of this program's.
    #[error("{}: not a hecc file: it does not begin with hecc's signature", path.display())]
    NotOurs {
        /// The file.
        path: PathBuf,
        /// The kind that was wanted, with its command.
        wanted: Kind,
    },
    /// The file is of another kind.
    #[error("{}: this is {got}, not {wanted}", path.display())]
    Kind {
        /// The file.
        path: PathBuf,
        /// What the header says.
        got: String,
        /// The kind that was wanted.
        wanted: Kind,
    },
    /// The file has another format version.
    #[error("{}: format version {got}, this program reads version {}", path.display(), crate::frame::VERSION)]
    Version {
        /// The file.
        path: PathBuf,
        /// The kind that was wanted.
        wanted: Kind,
        /// The version in the header.
        got: u32,
    },
    /// The file was made for another plan.
    #[error("{}: made for plan {got}, but the given plan is {expected}", path.display())]
    WrongPlan {
        /// The file.
        path: PathBuf,
        /// The kind of the file.
        wanted: Kind,
        /// Identity in the header, shortened.
        got: String,
        /// The plan's identity, shortened.
        expected: String,
    },
    /// The file belongs to another key pair.
    #[error("{}: belongs to key pair {got}, but the given key is of pair {expected}", path.display())]
    WrongKey {
        /// The file.
        path: PathBuf,
        /// Key identity in the header, shortened.
        got: String,
        /// Key identity of the key in use, shortened.
        expected: String,
    },
    /// The file is shorter or longer than the plan makes it.
    #[error("{}: the file has {got} bytes, for this plan it must have {expected}", path.display())]
    Length {
        /// The file.
        path: PathBuf,
        /// The kind of the file.
        wanted: Kind,
        /// Bytes there are.
        got: u64,
        /// Bytes there must be.
        expected: u64,
    },
    /// A checksum does not match.
    #[error("{}: damaged: the checksum of {part} does not match its content", path.display())]
    Checksum {
        /// The file.
        path: PathBuf,
        /// The kind of the file.
        wanted: Kind,
        /// "the header", or the name of a section.
        part: String,
    },
    /// A section has the right checksum and a content that is not valid under the parameters.
    #[error("{}: {part} is not valid: {reason}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// The kind of the file.
        wanted: Kind,
        /// Name of the section.
        part: String,
        /// What the cryptography says of it.
        reason: String,
    },
    /// The plan does not load or fails its check.
    #[error("{}: {reason}", path.display())]
    Plan {
        /// The plan's file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A node of the program failed.
    #[error("node v{node} ({name}): {reason}")]
    Node {
        /// Index of the node.
        node: usize,
        /// Its name in the ONNX file.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// The cryptography refused the plan's parameters.
    #[error("the plan's parameters do not work: {0}")]
    Parameters(String),
}

pub use crate::frame::Kind;

impl Error {
    /// A failed write to `path`.
    pub fn write(path: &Path, source: std::io::Error) -> Self {
        Error::Io {
            path: path.into(),
            action: "write",
            source,
        }
    }

    /// A failed read from `path`.
    pub fn read(path: &Path, source: std::io::Error) -> Self {
        Error::Io {
            path: path.into(),
            action: "read",
            source,
        }
    }

    /// What the user can do about it, in one line.
    pub fn help(&self) -> String {
        match self {
            Error::Io { action, .. } => match *action {
                "read" => "check the path and that you may read the file".into(),
                _ => "check that the folder exists, that you may write there and that there is room".into(),
            },
            Error::NotOurs { wanted, .. }
            | Error::Kind { wanted, .. }
            | Error::WrongPlan { wanted, .. } => wanted.origin().into(),
            Error::Version { wanted, .. } => {
                format!("make the file anew with this version: {}", wanted.origin())
            }
            Error::WrongKey { .. } => {
                "use the client.key, server.key and ciphertexts that one run of hecc-run keygen began".into()
            }
            Error::Length { wanted, .. }
            | Error::Checksum { wanted, .. }
            | Error::Content { wanted, .. } => {
                format!("copy the file again, or make it anew: {}", wanted.origin())
            }
            Error::Plan { .. } => "compile the plan anew: hecc compile MODEL -o PLAN".into(),
            Error::Node { .. } | Error::Parameters(_) => {
                "the plan and this program disagree: compile the plan anew with the same version of hecc".into()
            }
        }
    }
}

/// Result of the runtime.
pub type Result<T> = std::result::Result<T, Error>;
