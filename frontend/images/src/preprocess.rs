//! The description of a network's input, a small TOML file.

use crate::error::{Error, Result, read_bounded};
use hecc_ir::plan::Preprocess;
use std::path::Path;

/// Largest description read.
const LIMIT: u64 = 1 << 20;
/// Largest width and height, in pixels.
const MAX_SIDE: usize = 4096;

/// The file's schema.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    mean: Vec<f64>,
    std: Vec<f64>,
    width: usize,
    height: usize,
    channels: usize,
    #[serde(default)]
    classes: Vec<String>,
}

/// Reads `P.toml`: `mean` and `std` per channel, `width`, `height`, `channels` (3 = RGB, 1 =
/// greyscale) and, optionally, `classes`; a pixel becomes `(pixel / 255 - mean) / std`.
///
/// # Errors
/// [`Error`] for a file that is not TOML, lacks a key, has an unknown one or a value out of range.
pub fn load_preprocess(path: &Path) -> Result<Preprocess> {
    let help = "keys: mean = [..], std = [..] (one per channel), width, height, channels = 1 or 3, classes = [..]";
    let bytes = read_bounded(path, LIMIT)?;
    let text =
        String::from_utf8(bytes).map_err(|_| Error::with_help(path, "is not UTF-8 text", help))?;
    let file: File = toml::from_str(&text)
        .map_err(|e| Error::with_help(path, e.to_string().trim().to_string(), help))?;
    check(&file).map_err(|what| Error::with_help(path, what, help))?;
    let File {
        mean,
        std,
        width,
        height,
        channels,
        classes,
    } = file;
    Ok(Preprocess {
        mean,
        std,
        width,
        height,
        channels,
        classes,
    })
}

fn check(file: &File) -> std::result::Result<(), String> {
    if file.channels != 1 && file.channels != 3 {
        return Err(format!("channels is {}, expected 1 or 3", file.channels));
    }
    for (key, side) in [("width", file.width), ("height", file.height)] {
        if !(1..=MAX_SIDE).contains(&side) {
            return Err(format!("{key} is {side}, expected 1 to {MAX_SIDE}"));
        }
    }
    for (key, values) in [("mean", &file.mean), ("std", &file.std)] {
        if values.len() != file.channels {
            return Err(format!(
                "{key} has {} values, expected one per channel ({})",
                values.len(),
                file.channels
            ));
        }
        if let Some(v) = values.iter().find(|v| !v.is_finite()) {
            return Err(format!("{key} holds {v}, expected finite numbers"));
        }
    }
    match file.std.iter().find(|&&v| v <= 0.0) {
        Some(v) => Err(format!("std holds {v}, expected positive numbers")),
        None => Ok(()),
    }
}

/// Pixels `[h, w, c]` to a tensor `[c, h, w]`.
pub(crate) fn normalise(pixels: &[u8], preprocess: &Preprocess) -> Vec<f32> {
    let channels = preprocess.channels;
    let mut tensor = Vec::with_capacity(pixels.len());
    for c in 0..channels {
        let (mean, std) = (preprocess.mean[c], preprocess.std[c]);
        let value = |&pixel: &u8| ((f64::from(pixel) / 255.0 - mean) / std) as f32;
        tensor.extend(pixels.iter().skip(c).step_by(channels).map(value));
    }
    tensor
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Preprocess> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        load_preprocess(file.path())
    }

    #[test]
    fn reads_and_normalises() {
        let p = load(
            "mean=[0.5, 0, 0.2]\nstd=[0.5, 1, 0.1]\nwidth=2\nheight=1\nchannels=3\nclasses=['a']",
        )
        .unwrap();
        assert_eq!(
            (p.width, p.height, p.classes.as_slice()),
            (2, 1, ["a".to_string()].as_slice())
        );
        let tensor = normalise(&[255, 51, 51, 0, 255, 0], &p);
        let expect = [1.0, -1.0, 0.2, 1.0, 0.0, -2.0];
        assert!(
            tensor.iter().zip(expect).all(|(a, b)| (a - b).abs() < 1e-6),
            "{tensor:?}"
        );
    }

    #[test]
    fn refuses_bad_descriptions() {
        let check = |text: &str, expect: &str| {
            let error = load(text).unwrap_err();
            assert!(
                error.to_string().contains(expect),
                "{error} lacks {expect:?}"
            );
            assert!(error.help().is_some());
        };
        check("mean", "expected");
        check("mean=[0]\nstd=[1]\nwidth=8\nheight=8", "channels");
        check(
            "mean=[0]\nstd=[1]\nwidth=8\nheight=8\nchannels=1\nsize=3",
            "size",
        );
        check(
            "mean=[0]\nstd=[1]\nwidth=8\nheight=8\nchannels=2",
            "expected 1 or 3",
        );
        check(
            "mean=[0]\nstd=[1]\nwidth=0\nheight=8\nchannels=1",
            "width is 0",
        );
        check(
            "mean=[0]\nstd=[1,1]\nwidth=8\nheight=8\nchannels=1",
            "std has 2",
        );
        check(
            "mean=[nan]\nstd=[1]\nwidth=8\nheight=8\nchannels=1",
            "finite",
        );
        check(
            "mean=[0]\nstd=[0]\nwidth=8\nheight=8\nchannels=1",
            "positive",
        );
    }
}
