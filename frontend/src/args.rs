//! The command line.

use clap::{Parser, Subcommand};
use std::path::PathBuf;

/// Compile neural networks (ONNX) to plans that run on encrypted images.
#[derive(Debug, Parser)]
#[command(name = "hecc", version, arg_required_else_help = true)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Measure the ranges and distributions that enter every activation
    Calibrate(Calibrate),
    /// Compile a model to a plan
    Compile(Compile),
    /// Show what a plan needs: security, bootstraps, keys, memory, time, layers
    Inspect(Inspect),
    /// Run a plan in the clear over a data set and compare it with the model
    Evaluate(Evaluate),
}

/// Arguments of `calibrate`.
#[derive(Debug, clap::Args)]
pub struct Calibrate {
    /// The model
    pub model: PathBuf,
    /// Calibration images, best taken from the training set: a folder of png, jpeg, webp or bmp
    /// files, or a .npy array (float32 [n,c,h,w] taken as it is, or uint8 [n,h,w,c])
    #[arg(long, value_name = "D")]
    pub data: PathBuf,
    /// Normalisation, input size and class names [default: MODEL.preprocess.toml beside the model]
    #[arg(long, value_name = "FILE")]
    pub preprocess: Option<PathBuf>,
    /// Images used, the first ones of the data
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: u32,
    /// Where to write the calibration [default: MODEL.calib.json beside the model]
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// Arguments of `compile`.
#[derive(Debug, clap::Args)]
pub struct Compile {
    /// The model
    pub model: PathBuf,
    /// Where to write the plan
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// What `hecc calibrate` measured [default: MODEL.calib.json beside the model]
    #[arg(long, value_name = "FILE")]
    pub calibration: Option<PathBuf>,
    /// Normalisation, input size and class names [default: MODEL.preprocess.toml beside the model]
    #[arg(long, value_name = "FILE")]
    pub preprocess: Option<PathBuf>,
    /// Degree of the activation polynomials, 3 to 127 [default: the lowest that --tolerance allows]
    #[arg(long, value_name = "N")]
    pub degree: Option<usize>,
    /// Share of calibration images whose class may differ from the model's
    #[arg(long, value_name = "PERCENT", default_value = "1.5%", value_parser = percent)]
    pub tolerance: f64,
    /// Write the program after every pass as text into this folder
    #[arg(long, value_name = "DIR")]
    pub dump_ir: Option<PathBuf>,
    /// Print the summary as JSON
    #[arg(long)]
    pub json: bool,
    /// Accept parameters of less than 128 bits of security, for tests
    #[arg(long)]
    pub allow_insecure: bool,
    /// log2 of the ring degree, for tests; insecure when small
    #[arg(long, value_name = "LOG2", requires = "allow_insecure")]
    pub ring: Option<u32>,
}

/// Arguments of `inspect`.
#[derive(Debug, clap::Args)]
pub struct Inspect {
    /// The plan
    pub plan: PathBuf,
    /// Print as JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `evaluate`.
#[derive(Debug, clap::Args)]
pub struct Evaluate {
    /// The plan
    pub plan: PathBuf,
    /// Images: a folder, or a .npy array (float32 [n,c,h,w] taken as it is, or uint8 [n,h,w,c])
    #[arg(long, value_name = "D")]
    pub data: PathBuf,
    /// Classes of the images, for the accuracy: a .npy array of integers, or a file of one byte each
    #[arg(long, value_name = "FILE")]
    pub labels: Option<PathBuf>,
    /// The model the plan was compiled from, evaluated in f32 for comparison
    #[arg(long, value_name = "MODEL")]
    pub onnx: Option<PathBuf>,
    /// Images used, the first ones of the data [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: Option<u32>,
    /// Print as JSON
    #[arg(long)]
    pub json: bool,
}

/// A share as `1.5%`, or as a number of percent.
fn percent(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('%').unwrap_or(text).trim();
    match number.parse::<f64>() {
        Ok(p) if (0.0..=100.0).contains(&p) => Ok(p / 100.0),
        _ => Err("expected a percentage from 0% to 100%, e.g. 1.5%".to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn command_line() {
        Args::command().debug_assert();
        assert_eq!(percent("1.5%"), Ok(0.015));
        assert_eq!(percent("2"), Ok(0.02));
        assert!(percent("nan").is_err() && percent("101%").is_err() && percent("").is_err());
        let ring_alone = ["hecc", "compile", "m.onnx", "-o", "p", "--ring", "11"];
        assert!(Args::try_parse_from(ring_alone).is_err());
    }
}
