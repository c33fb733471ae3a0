//! The server key: one section for each key of the plan's manifest, in a fixed order.

use std::fmt;
use std::path::{Path, PathBuf};

use hecc_ckks::{Context, Encapsulation, EvaluationKeys, KeyShape, SwitchingKey};
use hecc_ir::plan::Plan;
use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::frame::{Header, Id, Kind, Reader, Writer};
use crate::output_file::OutputFile;

/// Which key it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyName {
    /// Square of the secret to the secret.
    Relinearisation,
    /// Conjugated secret to the secret.
    Conjugation,
    /// Dense to sparse secret, at the modulus of the mod-raise.
    ToSparse,
    /// Sparse to dense secret, at the top.
    ToDense,
    /// Sparse to dense secret followed by X -> -X.
    ToDenseNegated,
    /// Left rotation of the slots by this many steps.
    Rotation(usize),
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyName::Relinearisation => f.write_str("the relinearisation key"),
            KeyName::Conjugation => f.write_str("the conjugation key"),
            KeyName::ToSparse => f.write_str("the dense-to-sparse key"),
            KeyName::ToDense => f.write_str("the sparse-to-dense key"),
            KeyName::ToDenseNegated => f.write_str("the negated sparse-to-dense key"),
            KeyName::Rotation(steps) => write!(f, "the rotation key of {steps} steps"),
        }
    }
}

/// A key of the manifest: one section of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyEntry {
    /// Which key.
    pub name: KeyName,
    /// Where it lives.
    pub shape: KeyShape,
}

/// The keys a plan needs, in the order of their sections.
pub fn key_entries(plan: &Plan, context: &Context) -> Vec<KeyEntry> {
    let keys = &plan.keys;
    let mut entries = vec![];
    let mut push = |name, shape| entries.push(KeyEntry { name, shape });
    if keys.encapsulation {
        push(KeyName::ToSparse, KeyShape::to_sparse());
        push(KeyName::ToDense, KeyShape::to_dense(context));
        push(KeyName::ToDenseNegated, KeyShape::to_dense(context));
    }
    let hybrid = |level| KeyShape::hybrid(context, level);
    if let Some(level) = keys.relinearisation {
        push(KeyName::Relinearisation, hybrid(level));
    }
    if let Some(level) = keys.conjugation {
        push(KeyName::Conjugation, hybrid(level));
    }
    for key in &keys.rotations {
        push(KeyName::Rotation(key.steps), hybrid(key.level));
    }
    entries
}

fn section_lengths(entries: &[KeyEntry], context: &Context) -> Vec<u64> {
    entries
        .iter()
        .map(|entry| entry.shape.byte_len(context) as u64)
        .collect()
}

/// A server key file whose header fits the plan; [`ServerKeyFile::load`] reads the keys.
pub struct ServerKeyFile {
    reader: Reader,
    entries: Vec<KeyEntry>,
}

impl ServerKeyFile {
    /// Opens the file and checks that it was made for `plan` and has the right length.
    pub fn open(path: &Path, plan: &Plan, context: &Context) -> Result<Self> {
        let entries = key_entries(plan, context);
        let sections = section_lengths(&entries, context);
        let reader = Reader::open(path, Kind::ServerKey, &plan.id(), None, sections)?;
        Ok(Self { reader, entries })
    }

    /// Identity of the key pair.
    pub fn key(&self) -> Id {
        self.reader.key()
    }

    /// Reads, verifies and expands all keys; one thread reads while the others expand.
    pub fn load(&self, context: &Context) -> Result<EvaluationKeys> {
        let load = |(index, entry): (usize, &KeyEntry)| {
            let part = entry.name.to_string();
            let bytes = self.reader.section(index, &part)?;
            SwitchingKey::from_bytes(context, entry.shape, &bytes)
                .map(|key| (entry.name, key))
                .map_err(|e| self.reader.invalid(&part, e))
        };
        let loaded: Vec<_> = self
            .entries
            .par_iter()
            .enumerate()
            .map(load)
            .collect::<Result<_>>()?;
        let mut keys = EvaluationKeys::default();
        let mut encapsulation = [None, None, None];
        for (name, key) in loaded {
            match name {
                KeyName::Relinearisation => keys.relinearisation = Some(key),
                KeyName::Conjugation => keys.conjugation = Some(key),
                KeyName::ToSparse => encapsulation[0] = Some(key),
                KeyName::ToDense => encapsulation[1] = Some(key),
                KeyName::ToDenseNegated => encapsulation[2] = Some(key),
                KeyName::Rotation(steps) => drop(keys.rotations.insert(steps, key)),
            }
        }
        if let [Some(to_sparse), Some(to_dense), Some(to_dense_negated)] = encapsulation {
            keys.encapsulation = Some(Encapsulation {
                to_sparse,
                to_dense,
                to_dense_negated,
            });
        }
        Ok(keys)
    }
}

/// Writes a server key, key by key in the order of [`key_entries`], so that the whole never sits
/// in memory.
pub struct ServerKeyWriter {
    writer: Writer<OutputFile>,
    path: PathBuf,
}

impl ServerKeyWriter {
    /// Begins the file of key pair `key`.
    pub fn new(file: OutputFile, plan: &Plan, key: &Id, context: &Context) -> Result<Self> {
        let header = Header {
            kind: Kind::ServerKey,
            plan: plan.id(),
            key: *key,
        };
        let sections = section_lengths(&key_entries(plan, context), context);
        let path = file.path().to_path_buf();
        match Writer::new(file, &header, &sections) {
            Ok(writer) => Ok(Self { writer, path }),
            Err(source) => Err(Error::write(&path, source)),
        }
    }

    /// Writes the next key, as [`SwitchingKey::to_bytes`] gives it.
    pub fn push(&mut self, key: &[u8]) -> Result<()> {
        let pushed = self.writer.section(key);
        pushed.map_err(|source| Error::write(&self.path, source))
    }

    /// Ends the content; the caller commits the file.
    pub fn finish(self) -> Result<OutputFile> {
        let Self { writer, path } = self;
        writer
            .finish()
            .map_err(|source| Error::write(&path, source))
    }
}
