//! The command line of the search: durations, losses, and what the commands on a front take.

use crate::import::MaxPool;
use std::path::PathBuf;
use std::time::Duration;

/// Arguments of `search`.
#[derive(Debug, clap::Args)]
pub struct Search {
    /// The model
    pub model: PathBuf,
    /// Training images, never those that a result is to be reported on: a folder of png, jpeg, webp
    /// or bmp files, or a .npy array (float32 [n,c,h,w] taken as it is, or uint8 [n,h,w,c])
    #[arg(long, value_name = "D")]
    pub data: PathBuf,
    /// Classes of the images: a .npy array of integers, or a file of one byte each [default: accuracy
    /// is how often the class is the teacher's]
    #[arg(long, value_name = "FILE")]
    pub labels: Option<PathBuf>,
    /// Model whose outputs candidates are to come near, and whose class counts as right where there are
    /// no labels [default: the model itself]
    #[arg(long, value_name = "MODEL")]
    pub teacher: Option<PathBuf>,
    /// Folder of the front: front.json, front.svg, report.md, a plan per point
    #[arg(short, long, value_name = "DIR")]
    pub output: PathBuf,
    /// Time the whole search takes, e.g. 90s, 10m, 1h
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = duration)]
    pub budget: Duration,
    /// Leave out points that are predicted to take longer, e.g. 8s
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub max_latency: Option<Duration>,
    /// Leave out points that lose more accuracy than this against the model, e.g. 0.5%
    #[arg(long, value_name = "PERCENT", value_parser = super::percent)]
    pub max_accuracy_loss: Option<f64>,
    /// Most memory an evaluation may take, e.g. 8GiB
    #[arg(long, value_name = "BYTES", value_parser = super::size)]
    pub max_memory: Option<u64>,
    /// Where the random numbers start: the same seed draws the same images and candidates
    #[arg(long, value_name = "S", default_value_t = 0)]
    pub seed: u64,
    /// Images that the final accuracies are measured on, drawn from the data; fewer where the time is too
    /// short for so many
    #[arg(long, value_name = "N", default_value_t = 2000, value_parser = clap::value_parser!(u32).range(1..))]
    pub images: u32,
    /// Other images of the data that judge candidates
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..))]
    pub search_images: u32,
    /// Other images of the data that ranges and distributions are measured on
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    pub calibration_images: u32,
    /// What `hecc calibrate` measured, instead of measuring again
    #[arg(long, value_name = "FILE", conflicts_with = "calibration_images")]
    pub calibration: Option<PathBuf>,
    /// Normalisation, input size and class names [default: MODEL.preprocess.toml beside the model]
    #[arg(long, value_name = "FILE")]
    pub preprocess: Option<PathBuf>,
    /// What a MaxPool becomes
    #[arg(long, value_enum, default_value_t)]
    pub maxpool: MaxPool,
    /// Prices of operations, from `hecc-run bench` [default: those of the reference machine]
    #[arg(long, value_name = "FILE")]
    pub costs: Option<PathBuf>,
    /// Restarts of the coevolution that fits composed polynomials, a second or two each; 0 does without
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(..=1000))]
    pub restarts: u64,
    /// Stop after this many generations, even if time is left
    #[arg(long, value_name = "N")]
    pub generations: Option<usize>,
    /// Spend no time on comparing the search with random and greedy ones
    #[arg(long)]
    pub no_ablation: bool,
    /// Go on from the search in the folder, for another budget
    #[arg(long)]
    pub resume: bool,
}

/// Arguments of `pick`.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("limit").required(true).multiple(true))]
pub struct Pick {
    /// Folder that `hecc search` wrote
    pub front: PathBuf,
    /// The most accurate point that is predicted to take at most this, e.g. 5s
    #[arg(long, value_name = "TIME", group = "limit", value_parser = duration)]
    pub max_latency: Option<Duration>,
    /// The fastest point of at least this accuracy, e.g. 91.5%
    #[arg(long, value_name = "PERCENT", group = "limit", value_parser = super::percent)]
    pub min_accuracy: Option<f64>,
    /// The point of this number
    #[arg(long, value_name = "N", group = "limit", conflicts_with_all = ["max_latency", "min_accuracy"])]
    pub point: Option<usize>,
    /// Where to write the plan
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
}

/// Arguments of `finetune`.
#[derive(Debug, clap::Args)]
pub struct Finetune {
    /// Folder that `hecc search` wrote
    pub front: PathBuf,
    /// Number of the point to train
    #[arg(long, value_name = "N", required_unless_present = "choices")]
    pub point: Option<usize>,
    /// Choices to train instead of a point's: a kind for each activation in their order, or one for all,
    /// e.g. quadratic (as AESPA), or "quadratic, pruned, fused 15"
    #[arg(
        long,
        value_name = "KINDS",
        value_delimiter = ',',
        conflicts_with = "point"
    )]
    pub choices: Option<Vec<String>>,
    /// Training images, as for `hecc search`
    #[arg(long, value_name = "D")]
    pub data: PathBuf,
    /// Their classes: a .npy array of integers, or a file of one byte each
    #[arg(long, value_name = "FILE")]
    pub labels: PathBuf,
    /// Passes over the training images
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    pub epochs: u32,
    /// Images a step
    #[arg(long, value_name = "N", default_value_t = 128, value_parser = clap::value_parser!(u32).range(2..))]
    pub batch: u32,
    /// Largest learning rate [default: that of the training library]
    #[arg(long, value_name = "R", value_parser = rate)]
    pub rate: Option<f64>,
    /// Epochs over which the activations change from the model's to the point's [default: a third of
    /// --epochs, 1 at most]
    #[arg(long, value_name = "E", value_parser = epochs)]
    pub homotopy: Option<f64>,
    /// Pixels by which images are shifted at random
    #[arg(long, value_name = "PIXELS", default_value_t = 4, value_parser = clap::value_parser!(u32).range(..=64))]
    pub shift: u32,
    /// Do not mirror images at random: for digits, letters and whatever is not the same in a mirror
    #[arg(long)]
    pub no_mirror: bool,
    /// Where the random numbers start
    #[arg(long, value_name = "S", default_value_t = 0)]
    pub seed: u64,
    /// Prices of operations, those of the search [default: those of the reference machine]
    #[arg(long, value_name = "FILE")]
    pub costs: Option<PathBuf>,
    /// Go on from the last checkpoint
    #[arg(long)]
    pub resume: bool,
}

/// Arguments of `report`.
#[derive(Debug, clap::Args)]
pub struct Report {
    /// Folder that `hecc search` wrote
    pub front: PathBuf,
    /// What `hecc-run eval --stats` wrote of plans of the folder; of several of one plan the middle counts
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub stats: Vec<PathBuf>,
}

/// Hours, minutes, seconds: `90`, `90s`, `10m`, `1.5h`, `1h30m`.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "expected a time, e.g. 90s, 10m or 1h30m".to_string();
    let (mut seconds, mut rest, mut last) = (0.0, text.trim(), f64::INFINITY);
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let number: f64 = rest[..digits].parse().map_err(|_| wrong())?;
        let unit = rest[digits..]
            .find(|c: char| c.is_ascii_digit())
            .map_or(rest.len(), |end| digits + end);
        let factor = match rest[digits..unit].trim() {
            "h" => 3600.0,
            "m" | "min" => 60.0,
            "s" => 1.0,
            "" if last.is_infinite() => 1.0,
            _ => return Err(wrong()),
        };
        if factor >= last {
            return Err(wrong());
        }
        last = factor;
        seconds += number * factor;
        rest = &rest[unit..];
    }
    // A century is enough, and fits every clock.
    match seconds > 0.0 && seconds < 3.2e9 {
        true => Ok(Duration::from_secs_f64(seconds)),
        false => Err(wrong()),
    }
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if rate > 0.0 && rate <= 10.0 => Ok(rate),
        _ => Err("expected a positive number, e.g. 0.01".to_string()),
    }
}

fn epochs(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(epochs) if (0.0..=1e5).contains(&epochs) => Ok(epochs),
        _ => Err("expected a number of epochs, 0 or more, e.g. 2.5".to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let check = |text: &str, expect: f64| {
            assert_eq!(duration(text).unwrap().as_secs_f64(), expect, "{text}");
        };
        check("90", 90.0);
        check("90s", 90.0);
        check("10m", 600.0);
        check("1.5h", 5400.0);
        check("1h30m", 5400.0);
        check("0.25s", 0.25);
        for wrong in [
            "", "0", "s", "-1s", "1x", "10m1h", "5m5m", "1h30", "1..2s", "9e9h", "nan",
        ] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
        assert!(rate("0.1").is_ok() && rate("0").is_err() && rate("nan").is_err());
    }
}
