//! The state of a run in a file, so that a resumed run gives the same bits as one that never stopped.
//!
//! Magic, version, length of a JSON header, the header, f32 blocks (little-endian), BLAKE3 of all of it.
//! The header says how long each block is; the blocks must fill the file exactly.

use std::io::{Read, Write};
use std::path::Path;

use blake3::Hash;
use serde::{Deserialize, Serialize};

use crate::{History, Recipe, TrainError};

const MAGIC: &[u8; 8] = b"HECCPAT\n";
const VERSION: u32 = 2;
/// Largest file.
const LIMIT: u64 = 1 << 32;
/// Largest header: a history of many epochs.
const HEADER_LIMIT: usize = 1 << 26;

/// Where a run stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Header {
    /// BLAKE3, hexadecimal, of the network, operators and data that the run depends on.
    pub identity: String,
    pub recipe: Recipe,
    /// Epochs finished.
    pub epoch: usize,
    /// Steps finished in the next one.
    pub step: usize,
    pub history: History,
    /// Sums over the steps of the epoch that has begun; f64 as bits, which JSON may lose.
    pub sums: [u64; 7],
    /// Blocks of the state, of the momentum, of the best state.
    pub blocks: [Vec<usize>; 3],
}

/// A header and its blocks.
pub(crate) struct Checkpoint {
    pub header: Header,
    pub blocks: [Vec<Vec<f32>>; 3],
}

impl Checkpoint {
    /// Writes the file whole or not at all.
    ///
    /// # Errors
    /// [`TrainError::Checkpoint`]; a file that was there stays.
    pub fn write(&self, path: &Path) -> Result<(), TrainError> {
        let failed = |e: std::io::Error| failure(path, format!("cannot be written: {e}"));
        let header = serde_json::to_vec(&self.header).map_err(|e| failure(path, e.to_string()))?;
        let mut bytes = Vec::new();
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&(header.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&header);
        for value in self.blocks.iter().flatten().flatten() {
            bytes.extend_from_slice(&value.to_le_bytes());
        }
        let sum = blake3::hash(&bytes);
        bytes.extend_from_slice(sum.as_bytes());
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty());
        let mut builder = tempfile::Builder::new();
        builder.prefix(".hecc-").suffix(".part");
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        // A temporary that does not get the name is removed.
        let mut file = builder
            .tempfile_in(folder.unwrap_or(Path::new(".")))
            .map_err(failed)?;
        file.write_all(&bytes).map_err(failed)?;
        file.as_file().sync_all().map_err(failed)?;
        file.persist(path).map_err(|e| failed(e.error))?;
        Ok(())
    }

    /// Reads a file; None where there is none.
    ///
    /// # Errors
    /// [`TrainError::Checkpoint`] for anything but a whole checkpoint of this version.
    pub fn read(path: &Path) -> Result<Option<Self>, TrainError> {
        let failed = |e: std::io::Error| failure(path, format!("cannot be read: {e}"));
        let file = match std::fs::File::open(path) {
            Ok(file) => file,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(failed(e)),
        };
        let mut bytes = Vec::new();
        file.take(LIMIT + 1)
            .read_to_end(&mut bytes)
            .map_err(failed)?;
        let broken = |what: &str| failure(path, format!("{what}; remove it to start anew"));
        let Some((magic, rest)) = bytes.split_first_chunk::<8>() else {
            return Err(broken("is too short"));
        };
        if magic != MAGIC {
            return Err(broken("is no checkpoint"));
        }
        let Some((version, rest)) = rest.split_first_chunk::<4>() else {
            return Err(broken("is too short"));
        };
        let version = u32::from_le_bytes(*version);
        if version != VERSION {
            return Err(broken(&format!(
                "has version {version}, expected {VERSION}"
            )));
        }
        let Some((rest, sum)) = rest.split_last_chunk::<{ blake3::OUT_LEN }>() else {
            return Err(broken("is too short"));
        };
        let body = &bytes[..bytes.len() - sum.len()];
        if blake3::hash(body) != Hash::from_bytes(*sum) {
            return Err(broken("is damaged"));
        }
        let Some((length, rest)) = rest.split_first_chunk::<4>() else {
            return Err(broken("is too short"));
        };
        let length = u32::from_le_bytes(*length) as usize;
        if length > HEADER_LIMIT || length > rest.len() {
            return Err(broken("claims a header larger than itself"));
        }
        let (header, data) = rest.split_at(length);
        let header: Header = serde_json::from_slice(header).map_err(|e| broken(&e.to_string()))?;
        let total = header
            .blocks
            .iter()
            .flatten()
            .try_fold(0usize, |sum, &n| sum.checked_add(n.checked_mul(4)?));
        if total != Some(data.len()) {
            return Err(broken("has blocks of another length than its header says"));
        }
        let mut values = data.chunks_exact(4);
        let mut block = |n: usize| -> Vec<f32> {
            let bytes = values.by_ref().take(n);
            bytes
                .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
                .collect()
        };
        let blocks = std::array::from_fn(|part| {
            let lengths = &header.blocks[part];
            lengths.iter().map(|&n| block(n)).collect()
        });
        Ok(Some(Self { header, blocks }))
    }
}

pub(crate) fn failure(path: &Path, what: String) -> TrainError {
    TrainError::Checkpoint {
        path: path.to_path_buf(),
        what,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Checkpoint {
        Checkpoint {
            header: Header {
                identity: "0f".repeat(32),
                recipe: Recipe::default(),
                epoch: 2,
                step: 3,
                history: History::default(),
                sums: [1.5f64.to_bits(); 7],
                blocks: [vec![2, 1], vec![0], Vec::new()],
            },
            blocks: [
                vec![vec![1.0, f32::NAN], vec![-0.0]],
                vec![Vec::new()],
                Vec::new(),
            ],
        }
    }

    #[test]
    fn checkpoints_come_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c");
        assert!(Checkpoint::read(&path).unwrap().is_none());
        sample().write(&path).unwrap();
        let read = Checkpoint::read(&path).unwrap().unwrap();
        assert_eq!(read.header, sample().header);
        let bits = |c: &Checkpoint| -> Vec<u32> {
            c.blocks
                .iter()
                .flatten()
                .flatten()
                .map(|v| v.to_bits())
                .collect()
        };
        assert_eq!(bits(&read), bits(&sample()));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        let missing = folder.path().join("absent").join("c");
        let message = sample().write(&missing).unwrap_err().to_string();
        assert!(message.contains("cannot be written"), "{message}");
    }

    #[test]
    fn foreign_bytes_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c");
        sample().write(&path).unwrap();
        let good = std::fs::read(&path).unwrap();
        let check = |bytes: Vec<u8>, expect: &str| {
            std::fs::write(&path, bytes).unwrap();
            let message = Checkpoint::read(&path).err().unwrap().to_string();
            assert!(message.contains(expect), "{message}");
        };
        let sealed = |mut bytes: Vec<u8>| {
            let sum = blake3::hash(&bytes);
            bytes.extend_from_slice(sum.as_bytes());
            bytes
        };
        let body = &good[..good.len() - blake3::OUT_LEN];
        check(Vec::new(), "too short");
        check(vec![7; 100], "no checkpoint");
        for cut in 16..good.len() {
            std::fs::write(&path, &good[..cut]).unwrap();
            assert!(Checkpoint::read(&path).is_err(), "{cut}");
        }
        let mut flipped = good.clone();
        flipped[40] ^= 1;
        check(flipped, "damaged");
        for version in [1, 9] {
            let mut other = good.clone();
            other[8] = version;
            let expect = format!("has version {version}, expected 2; remove it");
            check(other, &expect);
        }
        let mut long = body.to_vec();
        long[12..16].copy_from_slice(&u32::MAX.to_le_bytes());
        check(sealed(long), "header larger than itself");
        check(
            sealed(body[..body.len() - 4].to_vec()),
            "blocks of another length",
        );
        check(sealed(body[..16].to_vec()), "header larger");
        let mut text = body.to_vec();
        text[16] = b'[';
        check(sealed(text), "remove it to start anew");
    }
}
