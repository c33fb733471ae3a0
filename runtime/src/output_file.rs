//! Files that appear whole or not at all.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tempfile::NamedTempFile;

use crate::error::{Error, Result};

/// Temporaries that exist now, for [`remove_unfinished`].
static UNFINISHED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

fn unfinished() -> MutexGuard<'static, Vec<PathBuf>> {
    // The list is whole between its one-line edits, so a poisoned lock still guards a good one.
    UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes all files under construction: for a process that is about to be ended from outside,
/// where nothing is dropped.
pub fn remove_unfinished() {
    for path in unfinished().drain(..) {
        // It may be gone already; there is nobody left to tell otherwise.
        let _ = std::fs::remove_file(path);
    }
}

/// A file under construction: a temporary in the target's folder until [`OutputFile::commit`].
/// Dropped before that, it leaves nothing.
pub struct OutputFile {
    path: PathBuf,
    // Dropped in this order: the temporary goes before its entry in the list.
    file: BufWriter<NamedTempFile>,
    listed: Listed,
}

/// An entry of the list of temporaries.
struct Listed(PathBuf);

impl Drop for Listed {
    fn drop(&mut self) {
        unfinished().retain(|path| *path != self.0);
    }
}

impl OutputFile {
    /// Begins a file at `path`. With `secret` only its owner may read it.
    pub fn create(path: &Path, secret: bool) -> Result<Self> {
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let mut builder = tempfile::Builder::new();
        builder.prefix(".hecc-").suffix(".part");
        #[cfg(unix)]
        {
            use std::fs::Permissions;
            use std::os::unix::fs::PermissionsExt;
            builder.permissions(Permissions::from_mode(if secret { 0o600 } else { 0o666 }));
        }
        #[cfg(not(unix))]
        let _ = secret;
        if path.is_dir() {
            let source = std::io::ErrorKind::IsADirectory.into();
            return Err(Error::write(path, source));
        }
        // Under the lock, so that no temporary exists that is not on the list.
        let mut list = unfinished();
        let file = builder
            .tempfile_in(folder)
            .map_err(|source| Error::write(path, source))?;
        list.push(file.path().into());
        Ok(Self {
            path: path.into(),
            listed: Listed(file.path().into()),
            file: BufWriter::with_capacity(1 << 20, file),
        })
    }

    /// Where the file will be.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Turns a failed write into an error that names the target.
    pub fn error(&self, source: std::io::Error) -> Error {
        Error::write(&self.path, source)
    }

    /// Puts the file at its path, replacing what was there.
    pub fn commit(self) -> Result<()> {
        let Self { path, file, listed } = self;
        let io = |source| Error::write(&path, source);
        let file = file.into_inner().map_err(|e| io(e.into_error()))?;
        file.persist(&path).map_err(|e| io(e.error))?;
        drop(listed);
        Ok(())
    }
}

impl Write for OutputFile {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}
