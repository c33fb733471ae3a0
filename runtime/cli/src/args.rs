//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// Classify encrypted images with a plan made by `hecc compile`.
#[derive(Debug, Parser)]
#[command(name = "hecc-run", version, arg_required_else_help = true)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Client: make the secret key, and the evaluation keys for the server
    Keygen(Keygen),
    /// Client: encrypt an image
    Encrypt(Encrypt),
    /// Server: evaluate the plan on an encrypted image
    Eval(Eval),
    /// Client: decrypt a result and print the classes, best first
    Decrypt(Decrypt),
    /// Client: evaluate the plan and decrypt after every layer, to find where it goes wrong
    Debug(Debug),
    /// Measure what operations cost on this machine, for hecc compile --costs
    Bench(Bench),
}

/// Arguments of `keygen`.
#[derive(Debug, clap::Args)]
pub struct Keygen {
    /// The plan the keys are for
    pub plan: PathBuf,
    /// Where to write the secret key; only its owner may read it, and it must never leave the client
    #[arg(long, value_name = "FILE")]
    pub client: PathBuf,
    /// Where to write the evaluation keys, for the server; they hold no secret
    #[arg(long, value_name = "FILE")]
    pub server: PathBuf,
    /// Replace an existing client key; what was encrypted under it can never be decrypted again
    #[arg(long)]
    pub force: bool,
}

/// Arguments of `encrypt`.
#[derive(Debug, clap::Args)]
pub struct Encrypt {
    /// The plan the image is for
    pub plan: PathBuf,
    /// The client key that keygen made
    #[arg(long, value_name = "FILE")]
    pub client: PathBuf,
    /// A PNG, JPEG, WebP or BMP image of any size, resized to the model's input; or a .npy array:
    /// float32 taken as it is, uint8 normalised like an image
    pub image: PathBuf,
    /// Where to write the encrypted image
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
}

/// Arguments of `eval`.
#[derive(Debug, clap::Args)]
pub struct Eval {
    /// The plan to evaluate
    pub plan: PathBuf,
    /// The server key that keygen made
    #[arg(long, value_name = "FILE")]
    pub server: PathBuf,
    /// The encrypted image
    pub input: PathBuf,
    /// Where to write the encrypted result
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// Threads to compute with [default: all the machine has]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
    /// Where to write statistics as JSON: seconds, levels and operation counts of every node,
    /// peak memory
    #[arg(long, value_name = "FILE")]
    pub stats: Option<PathBuf>,
    /// Print seconds and operation counts by operator, measured and predicted
    #[arg(short, long)]
    pub verbose: bool,
}

/// Arguments of `decrypt`.
#[derive(Debug, clap::Args)]
pub struct Decrypt {
    /// The plan the result is of
    pub plan: PathBuf,
    /// The client key that keygen made
    #[arg(long, value_name = "FILE")]
    pub client: PathBuf,
    /// The encrypted result that eval made
    pub result: PathBuf,
    /// Print JSON: every class with its index, name, logit and probability, best first
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `debug`.
#[derive(Debug, clap::Args)]
pub struct Debug {
    /// The plan to evaluate
    pub plan: PathBuf,
    /// The client key that keygen made: this command belongs on the client's machine
    #[arg(long, value_name = "FILE")]
    pub client: PathBuf,
    /// The server key that keygen made [default: other keys for the same secret, made on the spot]
    #[arg(long, value_name = "FILE")]
    pub server: Option<PathBuf>,
    /// The encrypted image
    pub input: PathBuf,
    /// Threads to compute with [default: all the machine has]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
}

/// Arguments of `bench`.
#[derive(Debug, clap::Args)]
pub struct Bench {
    /// Where to write the cost table, JSON
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// Rings to measure, as the exponents of their degrees: 13 to 16
    #[arg(long, value_name = "LOG_N", value_delimiter = ',', default_value = "13,14,15,16",
        value_parser = clap::value_parser!(u8).range(13..=16))]
    pub rings: Vec<u8>,
    /// Fewer levels, degrees and repetitions: two minutes in place of ten
    #[arg(long)]
    pub quick: bool,
    /// Threads to compute with [default: all the machine has]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
    /// The machine's name in the table [default: what the system says]
    #[arg(long, value_name = "NAME")]
    pub machine: Option<String>,
}
