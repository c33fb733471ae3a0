//! What calibration measured on images: the range and distribution of every pre-activation,
//! and the magnitude of every value.

use serde::{Deserialize, Serialize};

/// Version that [`Calibration::validate`] accepts.
pub const VERSION: u32 = 2;
/// Bins of a histogram.
pub const BINS: usize = 256;
/// Most activations a calibration may describe.
const MAX_ACTIVATIONS: usize = 10_000;
/// Most values a calibration may describe.
const MAX_VALUES: usize = 100_000;
/// Longest name, bytes.
const MAX_NAME: usize = 1_000;

/// What `hecc calibrate` measured; a JSON file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// [`VERSION`].
    pub version: u32,
    /// Model file's name without its folder.
    pub model: String,
    /// BLAKE3, hexadecimal, of the imported and folded graph: binds the measurement to a model.
    pub model_hash: String,
    /// Images measured.
    pub images: usize,
    /// One per activation, in the graph's order.
    pub activations: Vec<ActivationStatistics>,
    /// One per value of the graph, in the graph's order; version 1 had none.
    #[serde(default)]
    pub values: Vec<ValueRange>,
    /// Largest |logit|.
    pub logits: f64,
    /// How often the class survives, per degree of the activation polynomials.
    pub agreement: Vec<Agreement>,
}

/// Distribution of the values that enter one activation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActivationStatistics {
    /// Name of the activation's node.
    pub name: String,
    /// Smallest pre-activation.
    pub min: f64,
    /// Largest pre-activation.
    pub max: f64,
    /// Counts in [`BINS`] equal bins over `[-m, m]`, `m = max(|min|, |max|)`.
    pub histogram: Vec<u64>,
}

/// Magnitude of one value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValueRange {
    /// Name of the value's node.
    pub name: String,
    /// Largest magnitude of any element.
    pub largest: f64,
}

/// Share of the calibration images whose class is kept at one degree.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agreement {
    /// Degree of every activation's polynomial.
    pub degree: usize,
    /// 0 to 1.
    pub same_class: f64,
}

/// A calibration that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("calibration of '{model}': {what}; run `hecc calibrate` again")]
pub struct CalibrationError {
    /// The model it claims to describe.
    pub model: String,
    /// Expected and got.
    pub what: String,
}

impl Calibration {
    /// Checks version, counts and ranges of a calibration read from a file.
    ///
    /// # Errors
    /// The first field out of bounds.
    pub fn validate(&self) -> Result<(), CalibrationError> {
        let model = self.model.chars().take(80).collect();
        self.check()
            .map_err(|what| CalibrationError { model, what })
    }

    fn check(&self) -> Result<(), String> {
        ensure(self.version == VERSION, || {
            format!("version {}, expected {VERSION}", self.version)
        })?;
        ensure(self.model.len() <= MAX_NAME, || {
            "a model name of over 1000 bytes".into()
        })?;
        let hex =
            self.model_hash.len() == 64 && self.model_hash.bytes().all(|b| b.is_ascii_hexdigit());
        ensure(hex, || "model_hash is not 64 hexadecimal digits".into())?;
        ensure(self.images > 0, || "no images".into())?;
        ensure(self.logits.is_finite() && self.logits > 0.0, || {
            format!("largest logit {}, expected a positive number", self.logits)
        })?;
        ensure(self.activations.len() <= MAX_ACTIVATIONS, || {
            format!(
                "{} activations, at most {MAX_ACTIVATIONS}",
                self.activations.len()
            )
        })?;
        for a in &self.activations {
            ensure(a.name.len() <= MAX_NAME, || {
                "an activation's name of over 1000 bytes".into()
            })?;
            ensure(
                a.min.is_finite() && a.max.is_finite() && a.min <= a.max,
                || format!("activation '{}' has the range {}..{}", a.name, a.min, a.max),
            )?;
            ensure(a.histogram.len() == BINS, || {
                format!(
                    "activation '{}' has {} bins, expected {BINS}",
                    a.name,
                    a.histogram.len()
                )
            })?;
            let total = a
                .histogram
                .iter()
                .try_fold(0u64, |sum, &n| sum.checked_add(n));
            ensure(total.is_some_and(|n| n > 0), || {
                format!(
                    "activation '{}' has an empty or overflowing histogram",
                    a.name
                )
            })?;
        }
        ensure((1..=MAX_VALUES).contains(&self.values.len()), || {
            format!("{} values, expected 1 to {MAX_VALUES}", self.values.len())
        })?;
        for v in &self.values {
            ensure(v.name.len() <= MAX_NAME, || {
                "a value's name of over 1000 bytes".into()
            })?;
            ensure(v.largest.is_finite() && v.largest >= 0.0, || {
                format!(
                    "value '{}' has the largest magnitude {}, expected zero or more",
                    v.name, v.largest
                )
            })?;
        }
        for a in &self.agreement {
            ensure((0.0..=1.0).contains(&a.same_class), || {
                format!(
                    "degree {} keeps a share of {}, expected 0 to 1",
                    a.degree, a.same_class
                )
            })?;
        }
        Ok(())
    }
}

fn ensure(holds: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Calibration {
        Calibration {
            version: VERSION,
            model: "m.onnx".into(),
            model_hash: "0".repeat(64),
            images: 10,
            activations: vec![ActivationStatistics {
                name: "relu".into(),
                min: -1.0,
                max: 2.0,
                histogram: vec![1; BINS],
            }],
            values: vec![ValueRange {
                name: "conv".into(),
                largest: 2.5,
            }],
            logits: 3.0,
            agreement: vec![Agreement {
                degree: 15,
                same_class: 0.98,
            }],
        }
    }

    #[test]
    fn validate_refuses_out_of_bounds_fields() {
        assert_eq!(good().validate(), Ok(()));
        let check = |edit: fn(&mut Calibration), expect: &str| {
            let mut c = good();
            edit(&mut c);
            let message = c.validate().unwrap_err().to_string();
            assert!(message.contains(expect), "{message}");
        };
        check(
            |c| c.version = 1,
            "version 1, expected 2; run `hecc calibrate` again",
        );
        check(|c| c.values.clear(), "0 values");
        check(|c| c.values[0].largest = f64::NAN, "'conv' has");
        check(|c| c.values[0].largest = -1.0, "'conv' has");
        check(|c| c.values[0].name = "n".repeat(1001), "1000 bytes");
        check(|c| c.model_hash.push('0'), "model_hash");
        check(|c| c.images = 0, "no images");
        check(|c| c.logits = f64::NAN, "largest logit");
        check(|c| c.activations[0].max = f64::INFINITY, "range");
        check(|c| c.activations[0].min = 3.0, "range");
        check(
            |c| {
                c.activations[0].histogram.pop();
            },
            "255 bins",
        );
        check(
            |c| c.activations[0].histogram = vec![u64::MAX; BINS],
            "overflowing",
        );
        check(|c| c.agreement[0].same_class = 1.5, "share");
    }
}
