//! The command line.

mod search;

pub use search::{Finetune, Pick, Report, Search};

use crate::import::MaxPool;
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
    /// List everything in a model that hecc cannot compile, or say what the network is made of
    Check(Check),
    /// Measure the ranges and distributions that enter every activation
    Calibrate(Calibrate),
    /// Compile a model to a plan
    Compile(Compile),
    /// Show what a plan needs: security, bootstraps, keys, memory, time, layers
    Inspect(Inspect),
    /// Run a plan in the clear over a data set and compare it with the model
    Evaluate(Evaluate),
    /// Run a plan in the clear with the noise of encryption: accuracy, precision of every layer, risk
    Simulate(Simulate),
    /// Draw a plan's program as a picture: levels over time, bootstraps, skips, predicted seconds
    Graph(Graph),
    /// Compare what an evaluation took with what its plan predicted
    Diff(Diff),
    /// Write the network that a plan computes, with its polynomials, as an ONNX model
    Export(Export),
    /// Find the front of accuracy against latency: for every activation its own polynomial, for every
    /// point of the front a plan
    Search(Search),
    /// Take the plan of a point from a front
    Pick(Pick),
    /// Train the network of a point with its polynomials, and add it to the front
    Finetune(Finetune),
    /// Write the report of a front anew, with what evaluations of its plans took
    Report(Report),
}

/// Arguments of `check`.
#[derive(Debug, clap::Args)]
pub struct Check {
    /// The model
    pub model: PathBuf,
    /// What a MaxPool becomes
    #[arg(long, value_enum, default_value_t)]
    pub maxpool: MaxPool,
    /// Print as JSON
    #[arg(long)]
    pub json: bool,
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
    /// What a MaxPool becomes
    #[arg(long, value_enum, default_value_t)]
    pub maxpool: MaxPool,
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
    /// What a MaxPool becomes
    #[arg(long, value_enum, default_value_t)]
    pub maxpool: MaxPool,
    /// Degree of the activation polynomials, 3 to 127 [default: the lowest that --tolerance allows]
    #[arg(long, value_name = "N")]
    pub degree: Option<usize>,
    /// Share of calibration images whose class may differ from the model's
    #[arg(long, value_name = "PERCENT", default_value = "0.5%", value_parser = percent)]
    pub tolerance: f64,
    /// Where activations may be computed
    #[arg(long, value_enum, default_value_t)]
    pub activation: Activation,
    /// Degrees of the minimax polynomials that --activation composite composes
    #[arg(long, value_name = "D,D,...", value_delimiter = ',', default_value = "15,15", value_parser = degree)]
    pub composite: Vec<usize>,
    /// How bootstraps are placed
    #[arg(long, value_enum, default_value_t)]
    pub placement: Placement,
    /// Bits of security: 128, 192 or 256
    #[arg(long, value_name = "BITS", default_value_t = 128)]
    pub security: u32,
    /// Bits left in the result of a linear map when there is no bootstrap, 8 to 26
    #[arg(long, value_name = "BITS", default_value_t = 20)]
    pub precision: u32,
    /// Most memory an evaluation may take, e.g. 4GB
    #[arg(long, value_name = "BYTES", value_parser = size)]
    pub max_memory: Option<u64>,
    /// Largest server.key, e.g. 500MB
    #[arg(long, value_name = "BYTES", value_parser = size)]
    pub max_key_bytes: Option<u64>,
    /// Prices of operations, from `hecc-run bench` [default: those of the reference machine]
    #[arg(long, value_name = "FILE")]
    pub costs: Option<PathBuf>,
    /// Write the program after every pass as text into this folder
    #[arg(long, value_name = "DIR")]
    pub dump_ir: Option<PathBuf>,
    /// Print the summary as JSON
    #[arg(long)]
    pub json: bool,
    /// Accept parameters of less than 128 bits of security, for tests
    #[arg(long)]
    pub allow_insecure: bool,
    /// log2 of the ring degree, 13 to 16; with --allow-insecure 10 to 16 [default: the fastest]
    #[arg(long, value_name = "LOG2")]
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
    /// What a MaxPool of that model became
    #[arg(long, value_enum, default_value_t)]
    pub maxpool: MaxPool,
    /// Images used, the first ones of the data [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: Option<u32>,
    /// Print as JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `simulate`.
#[derive(Debug, clap::Args)]
pub struct Simulate {
    /// The plan
    pub plan: PathBuf,
    /// Images: a folder, or a .npy array (float32 [n,c,h,w] taken as it is, or uint8 [n,h,w,c])
    #[arg(long, value_name = "D")]
    pub data: PathBuf,
    /// Classes of the images, for the accuracy: a .npy array of integers, or a file of one byte each
    #[arg(long, value_name = "FILE")]
    pub labels: Option<PathBuf>,
    /// Images used, the first ones of the data [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: Option<u32>,
    /// Where the random errors start: the same seed gives the same report
    #[arg(long, value_name = "S", default_value_t = 0)]
    pub seed: u64,
    /// Print as JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `graph`.
#[derive(Debug, clap::Args)]
pub struct Graph {
    /// The plan
    pub plan: PathBuf,
    /// Where to write the picture (SVG)
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
}

/// Arguments of `diff`.
#[derive(Debug, clap::Args)]
pub struct Diff {
    /// What `hecc-run eval --stats` wrote
    pub stats: PathBuf,
    /// Take the predictions of this plan, of the same program [default: those in the statistics]
    #[arg(long, value_name = "PLAN")]
    pub plan: Option<PathBuf>,
    /// Print as JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `export`.
#[derive(Debug, clap::Args)]
pub struct Export {
    /// The plan
    pub plan: PathBuf,
    /// Where to write the model (ONNX); normalisation and class names go beside it
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
}

/// Where activations may be computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Activation {
    /// Wherever it is predicted to be fastest
    #[default]
    Any,
    /// Inside bootstraps
    Fused,
    /// Between bootstraps, by one polynomial
    Levelled,
    /// Between bootstraps, by composed minimax polynomials where the function has a kink at 0
    Composite,
}

/// How bootstraps are placed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Placement {
    /// For the least predicted seconds
    #[default]
    Exact,
    /// As late as possible, as AutoFHE does
    Greedy,
    /// Before every activation, which is then computed by a polynomial
    Always,
}

/// An odd degree of a minimax polynomial.
fn degree(text: &str) -> Result<usize, String> {
    match text.trim().parse::<usize>() {
        Ok(degree) if degree % 2 == 1 && (3..=31).contains(&degree) => Ok(degree),
        _ => Err("expected odd degrees from 3 to 31, e.g. 15,15,27".to_string()),
    }
}

/// Bytes, with an optional unit.
fn size(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor: f64 = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "kb" | "k" => 1e3,
        "mb" | "m" => 1e6,
        "gb" | "g" => 1e9,
        "mib" => 1_048_576.0,
        "gib" => 1_073_741_824.0,
        _ => return Err("expected bytes, e.g. 500MB or 4GiB".to_string()),
    };
    match digits.trim().parse::<f64>() {
        Ok(number) if number > 0.0 && number * factor < 1e18 => Ok((number * factor) as u64),
        _ => Err("expected bytes, e.g. 500MB or 4GiB".to_string()),
    }
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
        assert_eq!(size("500MB"), Ok(500_000_000));
        assert_eq!(size("1.5GiB"), Ok(1_610_612_736));
        assert!(size("4 parsecs").is_err() && size("-1").is_err() && size("").is_err());
        assert_eq!(degree("15"), Ok(15));
        assert!(degree("14").is_err() && degree("x").is_err());
    }
}
