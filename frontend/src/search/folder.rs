//! The folder of a front: everything that `hecc pick` and `hecc finetune` need.
//!
//! | file | holds |
//! |---|---|
//! | `front.json` | the points, what they are made of, what they are compared with |
//! | `front.svg`, `report.md` | the same for people |
//! | `point-00.plan.bin`... | a plan per point |
//! | `baseline-00.plan.bin`... | of what other systems would choose, to measure them by |
//! | `model.onnx`, `model.preprocess.toml`, `model.calib.json` | the network, and what was measured on it |
//! | `state.json` | where the search stands, for `--resume` |

use crate::failure::Failure;
use crate::files;
use hecc_search::Front;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// Names of the files.
pub const FRONT: &str = "front.json";
/// The picture.
pub const PICTURE: &str = "front.svg";
/// The report.
pub const REPORT: &str = "report.md";
/// Where the search stands.
pub const STATE: &str = "state.json";
/// The network.
pub const MODEL: &str = "model.onnx";
/// Its normalisation, size and class names.
pub const PREPROCESS: &str = "model.preprocess.toml";
/// Its calibration.
pub const CALIBRATION: &str = "model.calib.json";

/// Largest files read, in bytes.
const LIMIT: u64 = 256 << 20;

/// The folder.
#[derive(Clone, Debug)]
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// A folder for a new search: made if need be, and without a search in it.
    ///
    /// # Errors
    /// When it holds a search, or cannot be made.
    pub fn create(path: &Path) -> Result<Self, Failure> {
        for name in [FRONT, STATE] {
            if path.join(name).exists() {
                return Err(
                    Failure::in_file(path, format!("holds a search already ({name})"))
                        .help("go on from it with --resume, or give another folder with -o"),
                );
            }
        }
        std::fs::create_dir_all(path)
            .map_err(|e| Failure::in_file(path, format!("cannot be made: {e}")))?;
        Ok(Self {
            path: path.to_path_buf(),
        })
    }

    /// The folder of a search, to go on or to read from; `file` has to be there.
    ///
    /// # Errors
    /// When it is not.
    pub fn open(path: &Path, file: &str) -> Result<Self, Failure> {
        let folder = Self {
            path: path.to_path_buf(),
        };
        match folder.at(file).exists() {
            true => Ok(folder),
            false => Err(Failure::in_file(
                path,
                format!("is no folder of a search: it has no {file}"),
            )
            .help("hecc search model.onnx --data IMAGES -o DIR makes one")),
        }
    }

    /// The path of a file in it.
    pub fn at(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// A file in it.
    ///
    /// # Errors
    /// When it cannot be read, or is too large.
    pub fn read(&self, name: &str) -> Result<Vec<u8>, Failure> {
        files::read(&self.at(name), LIMIT)
    }

    /// The front, checked.
    ///
    /// # Errors
    /// When it cannot be read or is broken.
    pub fn front(&self) -> Result<Front, Failure> {
        Front::from_json(&self.read(FRONT)?).map_err(|e| {
            Failure::in_file(&self.at(FRONT), e).help(
                "search again into another folder: hecc search model.onnx --data IMAGES -o DIR",
            )
        })
    }

    /// Writes one file whole or not at all.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<(), Failure> {
        files::write(&self.at(name), bytes)
    }

    /// Removes plans of points and baselines that are not among `kept`.
    pub fn remove_plans(&self, kept: &BTreeSet<&str>) {
        let Ok(entries) = std::fs::read_dir(&self.path) else {
            return;
        };
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let ours = name.starts_with("point-") || name.starts_with("baseline-");
            let plan = ours && name.ends_with(".plan.bin");
            if plan && !kept.contains(name.as_str()) {
                // A plan too many is no harm.
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }
}

/// The plan of point `number`.
pub fn plan_name(number: usize) -> String {
    format!("point-{number:02}.plan.bin")
}

/// The plan of baseline `number`.
pub fn baseline_name(number: usize) -> String {
    format!("baseline-{number:02}.plan.bin")
}

/// Files that appear together: all are written before the first one gets its name, so that a full disk
/// leaves the folder as it was.
#[derive(Debug)]
pub struct Staged<'a> {
    folder: &'a Folder,
    files: Vec<(String, NamedTempFile)>,
}

impl<'a> Staged<'a> {
    /// Nothing yet.
    pub fn new(folder: &'a Folder) -> Self {
        Self {
            folder,
            files: Vec::new(),
        }
    }

    /// Writes a file that has no name yet.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn add(&mut self, name: &str, bytes: &[u8]) -> Result<(), Failure> {
        let file = files::temporary(&self.folder.at(name), bytes)?;
        self.files.push((name.to_string(), file));
        Ok(())
    }

    /// Gives all files their names, in the order they were added.
    ///
    /// # Errors
    /// When one cannot be renamed.
    pub fn publish(self) -> Result<(), Failure> {
        for (name, file) in self.files {
            let path = self.folder.at(&name);
            file.persist(&path)
                .map_err(|e| Failure::in_file(&path, format!("cannot be written: {}", e.error)))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_appear_together() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::create(&place.path().join("front")).unwrap();
        let mut staged = Staged::new(&folder);
        staged.add(&plan_name(0), b"a").unwrap();
        staged.add(FRONT, b"{}").unwrap();
        assert!(!folder.at(FRONT).exists());
        drop(staged);
        assert_eq!(std::fs::read_dir(&folder.path).unwrap().count(), 0);
        let mut staged = Staged::new(&folder);
        for number in 0..3 {
            staged.add(&plan_name(number), b"a").unwrap();
        }
        staged.add(FRONT, b"{}").unwrap();
        staged.publish().unwrap();
        folder.remove_plans(&BTreeSet::from([plan_name(0).as_str()]));
        assert!(
            folder.at("point-00.plan.bin").exists() && !folder.at("point-01.plan.bin").exists()
        );
        // A second search does not go over it.
        let failure = Folder::create(&folder.path).unwrap_err();
        assert!(failure.what.contains("front.json") && failure.help.unwrap().contains("--resume"));
        let failure = Folder::open(place.path(), FRONT).unwrap_err();
        assert!(failure.what.contains("no front.json"));
        assert!(folder.front().unwrap_err().what.contains("front.json"));
    }
}
