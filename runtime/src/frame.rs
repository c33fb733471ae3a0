//! The container of every file but the plan: who it belongs to, and proof that it is whole.
//!
//! ```text
//! magic 8 | kind 4 | version 4 | plan id 32 | key id 32 | body length 8 | blake3 of these 32
//! body: sections, each followed by blake3(header digest | index 8 | section) 32
//! ```
//! Integers are little-endian. Section lengths are not written: the plan fixes them, so a reader
//! never allocates on a length that a file claims. The digests find damage; against forgery they
//! are no protection, and none is needed: every section is checked for validity after them.

use std::fmt;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::error::{Error, Result};

/// Format version of all kinds of files. Version 2: a ciphertext file has a section for each part.
pub const VERSION: u32 = 2;

const MAGIC: [u8; 8] = *b"hecc\r\n\x1a\n";
const DIGEST: usize = 32;
const FIELDS: usize = 8 + 4 + 4 + 32 + 32 + 8;
/// Bytes before the body.
pub const HEADER: u64 = (FIELDS + DIGEST) as u64;

/// A 32-byte identity: of a plan (hash of its content) or of a key pair (drawn at key generation).
pub type Id = [u8; 32];

/// First eight bytes in hexadecimal, for messages.
pub fn short(id: &Id) -> String {
    id[..8].iter().map(|b| format!("{b:02x}")).collect()
}

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The secret: stays with the client.
    ClientKey,
    /// Evaluation keys: go to the server.
    ServerKey,
    /// An encrypted image, in seeded form, one section a part.
    Input,
    /// Encrypted logits, one section a part.
    Output,
}

impl Kind {
    const ALL: [Kind; 4] = [Kind::ClientKey, Kind::ServerKey, Kind::Input, Kind::Output];

    fn code(self) -> u32 {
        match self {
            Kind::ClientKey => 1,
            Kind::ServerKey => 2,
            Kind::Input => 3,
            Kind::Output => 4,
        }
    }

    /// The command that makes such a file.
    pub fn origin(self) -> &'static str {
        match self {
            Kind::ClientKey | Kind::ServerKey => {
                "hecc-run keygen PLAN --client CLIENT.KEY --server SERVER.KEY makes the keys of a plan"
            }
            Kind::Input => {
                "hecc-run encrypt PLAN --client CLIENT.KEY IMAGE -o IN.CT makes an encrypted image"
            }
            Kind::Output => {
                "hecc-run eval PLAN --server SERVER.KEY IN.CT -o OUT.CT makes an encrypted result"
            }
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::ClientKey => "a client key",
            Kind::ServerKey => "a server key",
            Kind::Input => "an encrypted image",
            Kind::Output => "an encrypted result",
        })
    }
}

/// Whose file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What the file holds.
    pub kind: Kind,
    /// Identity of the plan it was made for.
    pub plan: Id,
    /// Identity of the key pair it belongs to.
    pub key: Id,
}

impl Header {
    fn fields(&self, body: u64) -> [u8; FIELDS] {
        let mut bytes = [0; FIELDS];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&self.kind.code().to_le_bytes());
        bytes[12..16].copy_from_slice(&VERSION.to_le_bytes());
        bytes[16..48].copy_from_slice(&self.plan);
        bytes[48..80].copy_from_slice(&self.key);
        bytes[80..88].copy_from_slice(&body.to_le_bytes());
        bytes
    }
}

/// Bytes of a body with these section lengths.
pub fn body_length(sections: &[u64]) -> u64 {
    sections.iter().map(|length| length + DIGEST as u64).sum()
}

fn section_digest(header: &Id, index: u64, section: &[u8]) -> Id {
    let mut hasher = blake3::Hasher::new();
    hasher.update(header).update(&index.to_le_bytes());
    hasher.update(section);
    hasher.finalize().into()
}

/// Writes a file's header, then its sections in order.
pub struct Writer<W: Write> {
    out: W,
    header: Id,
    index: u64,
    left: u64,
}

impl<W: Write> Writer<W> {
    /// Writes the header of a file with sections of these lengths.
    pub fn new(mut out: W, header: &Header, sections: &[u64]) -> std::io::Result<Self> {
        let left = body_length(sections);
        let fields = header.fields(left);
        let digest: Id = blake3::hash(&fields).into();
        out.write_all(&fields)?;
        out.write_all(&digest)?;
        Ok(Self {
            out,
            header: digest,
            index: 0,
            left,
        })
    }

    /// Writes the next section.
    pub fn section(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        let digest = section_digest(&self.header, self.index, bytes);
        self.index += 1;
        self.left = self
            .left
            .checked_sub((bytes.len() + DIGEST) as u64)
            .ok_or_else(|| std::io::Error::other("more sections than announced"))?;
        self.out.write_all(bytes)?;
        self.out.write_all(&digest)
    }

    /// Ends the file; an error when sections are missing.
    pub fn finish(mut self) -> std::io::Result<W> {
        if self.left != 0 {
            return Err(std::io::Error::other("fewer sections than announced"));
        }
        self.out.flush()?;
        Ok(self.out)
    }
}

/// Reads a file made for a given plan; sections in any order, from any thread.
pub struct Reader {
    path: PathBuf,
    file: Mutex<File>,
    kind: Kind,
    key: Id,
    digest: Id,
    sections: Vec<u64>,
}

impl Reader {
    /// Opens `path` and checks its header and its length: kind, version, plan, and, when given, key
    /// pair. `sections` are the lengths this plan gives a file of this kind, in bytes.
    pub fn open(
        path: &Path,
        kind: Kind,
        plan: &Id,
        key: Option<&Id>,
        sections: Vec<u64>,
    ) -> Result<Self> {
        let mut file = File::open(path).map_err(|e| Error::read(path, e))?;
        let length = file.metadata().map_err(|e| Error::read(path, e))?.len();
        let expected = HEADER + body_length(&sections);

        let mut start = Vec::with_capacity(HEADER as usize);
        (&mut file)
            .take(HEADER)
            .read_to_end(&mut start)
            .map_err(|e| Error::read(path, e))?;
        if !start.starts_with(&MAGIC) {
            return Err(Error::NotOurs {
                path: path.into(),
                wanted: kind,
            });
        }
        if start.len() < HEADER as usize {
            return Err(Error::Length {
                path: path.into(),
                wanted: kind,
                got: length,
                expected,
            });
        }
        let (fields, digest) = start.split_at(FIELDS);
        let digest: Id = array(digest, 0);
        // The version comes first: another version may have another header.
        let got = u32::from_le_bytes(array(fields, 12));
        if got != VERSION {
            return Err(Error::Version {
                path: path.into(),
                wanted: kind,
                got,
            });
        }
        if *blake3::hash(fields).as_bytes() != digest {
            return Err(Error::Checksum {
                path: path.into(),
                wanted: kind,
                part: "the header".into(),
            });
        }
        let code = u32::from_le_bytes(array(fields, 8));
        if code != kind.code() {
            let got = Kind::ALL.into_iter().find(|kind| kind.code() == code);
            let got = got.map_or(format!("a file of unknown kind {code}"), |k| k.to_string());
            return Err(Error::Kind {
                path: path.into(),
                got,
                wanted: kind,
            });
        }
        let (got_plan, got_key): (Id, Id) = (array(fields, 16), array(fields, 48));
        if got_plan != *plan {
            return Err(Error::WrongPlan {
                path: path.into(),
                wanted: kind,
                got: short(&got_plan),
                expected: short(plan),
            });
        }
        if let Some(key) = key.filter(|key| **key != got_key) {
            return Err(Error::WrongKey {
                path: path.into(),
                got: short(&got_key),
                expected: short(key),
            });
        }
        let claimed = HEADER.saturating_add(u64::from_le_bytes(array(fields, 80)));
        if let Some(got) = [claimed, length].into_iter().find(|&got| got != expected) {
            return Err(Error::Length {
                path: path.into(),
                wanted: kind,
                got,
                expected,
            });
        }
        Ok(Self {
            path: path.into(),
            file: Mutex::new(file),
            kind,
            key: got_key,
            digest,
            sections,
        })
    }

    /// Identity of the key pair the file belongs to.
    pub fn key(&self) -> Id {
        self.key
    }

    /// Section `index`, whole; `part` names it in errors.
    pub fn section(&self, index: usize, part: &str) -> Result<Vec<u8>> {
        let offset = HEADER + body_length(&self.sections[..index]);
        let length = self.sections[index] as usize;
        let mut bytes = vec![0; length + DIGEST];
        let mut read = || {
            // A poisoned lock holds a file like any other: every read seeks first.
            let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
            file.seek(SeekFrom::Start(offset))?;
            file.read_exact(&mut bytes)
        };
        read().map_err(|e| Error::read(&self.path, e))?;
        let digest: Id = array(&bytes, length);
        bytes.truncate(length);
        if section_digest(&self.digest, index as u64, &bytes) != digest {
            return Err(Error::Checksum {
                path: self.path.clone(),
                wanted: self.kind,
                part: part.into(),
            });
        }
        Ok(bytes)
    }

    /// The error of a whole section, named `part`, with a content that is not valid.
    pub fn invalid(&self, part: &str, reason: impl fmt::Display) -> Error {
        Error::Content {
            path: self.path.clone(),
            wanted: self.kind,
            part: part.into(),
            reason: reason.to_string(),
        }
    }
}

/// `bytes[at..at + N]`.
fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    std::array::from_fn(|i| bytes[at + i])
}
