//! What must be the same when a search goes on: kept as text in its state.

use crate::failure::Failure;
use crate::model_hash::same_model;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Version of the format.
const VERSION: u32 = 2;

/// Everything scores depend on, but the program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Binding {
    /// [`VERSION`] of this format.
    pub version: u32,
    /// Hash of the imported and folded model.
    pub model: String,
    /// The same of the teacher.
    pub teacher: Option<String>,
    /// Hash of the images and labels drawn.
    pub images: String,
    /// Images of calibration, search and confirmation.
    pub counts: [usize; 3],
    /// Whether labels were given.
    pub labels: bool,
    /// Hash of the calibration that was given.
    pub calibration: Option<String>,
    /// Hash of the prices.
    pub costs: String,
    /// `--seed`.
    pub seed: u64,
    /// `--restarts`.
    pub restarts: u64,
    /// `--max-latency`, in milliseconds.
    pub max_latency: Option<u128>,
    /// `--max-accuracy-loss`, in millionths.
    pub max_loss: Option<u64>,
    /// `--max-memory`.
    pub max_memory: Option<u64>,
}

impl Binding {
    /// The current [`VERSION`].
    pub const VERSION: u32 = VERSION;

    /// As a state keeps it.
    ///
    /// # Errors
    /// Never in practice: all fields can be written.
    pub fn text(&self) -> Result<String, Failure> {
        serde_json::to_string(self).map_err(|e| Failure::new(e.to_string()))
    }

    /// Checks that the search in `file`, bound to `saved`, is this one.
    ///
    /// # Errors
    /// What differs, by the name of the option.
    pub fn check(&self, saved: &str, file: &Path) -> Result<(), Failure> {
        let saved: Self = serde_json::from_str(saved)
            .map_err(|e| Failure::in_file(file, format!("is of another program: {e}")).help(NEW))?;
        let mut differ = Vec::new();
        let mut expect = |same: bool, what: &'static str| {
            if !same {
                differ.push(what);
            }
        };
        let teacher = |a: &Option<String>, b: &Option<String>| match (a, b) {
            (Some(a), Some(b)) => same_model(a, b),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        expect(saved.version == self.version, "version");
        expect(same_model(&saved.model, &self.model), "model");
        expect(teacher(&saved.teacher, &self.teacher), "--teacher");
        expect(saved.seed == self.seed, "--seed");
        expect(
            saved.counts == self.counts,
            "--images, --search-images or --calibration-images",
        );
        expect(saved.labels == self.labels, "--labels");
        let drawn_alike =
            saved.seed == self.seed && saved.counts == self.counts && saved.labels == self.labels;
        expect(
            !drawn_alike || saved.images == self.images,
            "images or labels in --data, or --preprocess",
        );
        expect(saved.calibration == self.calibration, "--calibration");
        expect(saved.costs == self.costs, "--costs");
        expect(saved.restarts == self.restarts, "--restarts");
        expect(saved.max_latency == self.max_latency, "--max-latency");
        expect(saved.max_loss == self.max_loss, "--max-accuracy-loss");
        expect(saved.max_memory == self.max_memory, "--max-memory");
        match differ.is_empty() {
            true => Ok(()),
            false => Err(Failure::in_file(
                file,
                format!("is of a search with another {}", differ.join(", another ")),
            )
            .help(NEW)),
        }
    }
}

/// The way out.
const NEW: &str =
    "give the command that began the search, with --resume; or begin a new one in another folder";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_named() {
        let binding = Binding {
            version: VERSION,
            model: "0".repeat(64),
            teacher: None,
            images: "i".to_string(),
            counts: [1, 2, 3],
            labels: true,
            calibration: None,
            costs: "c".to_string(),
            seed: 1,
            restarts: 10,
            max_latency: Some(8000),
            max_loss: None,
            max_memory: None,
        };
        let saved = binding.text().unwrap();
        binding.check(&saved, Path::new("state.json")).unwrap();
        let check = |edit: fn(&mut Binding), expect: &[&str]| {
            let mut other = binding.clone();
            edit(&mut other);
            let failure = other.check(&saved, Path::new("state.json")).unwrap_err();
            for part in expect {
                assert!(failure.what.contains(part), "{} lacks {part}", failure.what);
            }
        };
        check(
            |b| b.model.replace_range(..1, "1"),
            &["state.json", "another model"],
        );
        check(|b| b.images = "j".to_string(), &["--data"]);
        check(|b| b.max_latency = None, &["--max-latency"]);
        check(
            |b| (b.seed, b.max_memory) = (2, Some(9)),
            &["--seed, another --max-memory"],
        );
        check(|b| b.teacher = Some("1".repeat(64)), &["--teacher"]);
        assert!(
            binding
                .check("{}", Path::new("s"))
                .unwrap_err()
                .what
                .contains("another program")
        );
    }
}
