//! Files that appear whole or not at all.

use std::fs::Permissions;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::error::{Error, Result};

/// A file under construction: a temporary in the target's folder until [`OutputFile::commit`].
/// Dropped before that, it leaves nothing.
pub struct OutputFile {
    path: PathBuf,
    file: BufWriter<NamedTempFile>,
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
            use std::os::unix::fs::PermissionsExt;
            builder.permissions(Permissions::from_mode(if secret { 0o600 } else { 0o666 }));
        }
        #[cfg(not(unix))]
        let _ = secret;
        if path.is_dir() {
            let source = std::io::ErrorKind::IsADirectory.into();
            return Err(Error::write(path, source));
        }
        let file = builder
            .tempfile_in(folder)
            .map_err(|source| Error::write(path, source))?;
        Ok(Self {
            path: path.into(),
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
        let path = self.path;
        let io = |source| Error::write(&path, source);
        let file = self.file.into_inner().map_err(|e| io(e.into_error()))?;
        file.persist(&path).map_err(|e| io(e.error))?;
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
