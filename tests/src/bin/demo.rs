//! Every command on a shipped model and picture, with timings, and the encrypted result against the
//! plan in the clear.

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use hecc_images::load_image;
use hecc_ir::nn_eval::class;
use hecc_runtime::plan_file::load_plan;
use hecc_tests::commands::{Commands, dispatch};
use hecc_tests::deviation::Deviation;
use hecc_tests::folders;
use hecc_tests::session::Session;
use hecc_tests::table::{megabytes, table};

/// Largest accepted error of a logit, in percent of their spread.
const TOLERANCE: f64 = 2.0;

/// Compiles a shipped model, makes keys, and classifies a shipped picture encrypted
#[derive(Debug, Parser)]
struct Args {
    /// The shipped model
    #[arg(value_enum, default_value = "resnet20")]
    model: Model,
    /// Another picture
    #[arg(long, value_name = "FILE")]
    image: Option<std::path::PathBuf>,
    /// Threads of the encrypted evaluation [default: all the machine has]
    #[arg(long, value_name = "N")]
    threads: Option<u16>,
    /// Where to keep plan, keys and ciphertexts [default: a temporary folder, removed at the end]
    #[arg(long, value_name = "FOLDER")]
    keep: Option<std::path::PathBuf>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Model {
    Resnet20,
    Digits,
}

fn main() -> ExitCode {
    if let Some(code) = dispatch() {
        return code;
    }
    match demo(&Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether the encrypted result agrees with the plan in the clear.
fn demo(args: &Args) -> Result<bool> {
    let (model, sample) = match args.model {
        Model::Resnet20 => ("models/resnet20/resnet20.onnx", "models/samples/cat.jpg"),
        Model::Digits => ("models/digits/digits.onnx", "models/samples/digit-3.png"),
    };
    let model = std::path::Path::new(model);
    let onnx = std::fs::metadata(folders::root().join(model))
        .with_context(|| model.display().to_string())?
        .len();
    let image = match &args.image {
        Some(image) => std::path::absolute(image)?,
        None => sample.into(),
    };
    let temporary = tempfile::Builder::new().prefix("hecc-demo-").tempdir()?;
    let folder = match &args.keep {
        Some(folder) => {
            std::fs::create_dir_all(folder)?;
            std::path::absolute(folder)?
        }
        None => temporary.path().to_path_buf(),
    };
    let session = Session::new(Commands::new(std::env::current_exe()?, true), &folder);
    let compiled = session.compile(model, &[])?;
    session.inspect()?;
    let keys = session.keygen()?;
    let result = session.classify(&image, args.threads)?;

    let plan = load_plan(&session.file("plan.bin"))?;
    let pixels = load_image(&folders::root().join(&image), &plan.preprocess)?;
    let pixels: Vec<f64> = pixels.into_iter().map(f64::from).collect();
    let clear = plan.program.evaluate(&pixels)?;
    let deviation = Deviation::of(&result.logits, &clear);
    let name = |class: usize| plan.preprocess.classes.get(class).cloned();

    let stats = &result.stats;
    let predicted = &stats["predicted"];
    let number = |key: &str| stats[key].as_f64().unwrap_or(f64::NAN);
    let size = |name| session.size(name);
    let plan_bytes = size("plan.bin")?;
    let [encrypt, eval, decrypt] = result.seconds;
    let weakest = plan
        .certificate
        .iter()
        .map(|key| key.security)
        .fold(f64::INFINITY, f64::min);
    let rows = [
        ("security of the weakest key", format!("{weakest:.1} bits")),
        ("compile", format!("{:.2} s", compiled.seconds)),
        (
            "plan.bin",
            format!(
                "{}, {:.2} of the ONNX file",
                megabytes(plan_bytes),
                plan_bytes as f64 / onnx as f64
            ),
        ),
        ("keygen", format!("{:.2} s", keys.seconds)),
        ("server.key", megabytes(size("server.key")?)),
        (
            "encrypt",
            format!("{encrypt:.2} s, {}", megabytes(size("in.ct")?)),
        ),
        (
            "eval",
            format!(
                "{:.2} s on {} threads; {:.2} s with the process and the server key",
                number("seconds"),
                number("threads"),
                eval
            ),
        ),
        (
            "predicted",
            format!(
                "{:.2} s on {} threads of {}",
                predicted["seconds"].as_f64().unwrap_or(f64::NAN),
                predicted["threads"],
                predicted["machine"]
                    .as_str()
                    .unwrap_or("an unknown machine")
            ),
        ),
        (
            "peak memory of eval",
            format!(
                "{:.2} GiB",
                number("peak_memory_bytes") / (1u64 << 30) as f64
            ),
        ),
        (
            "decrypt",
            format!("{decrypt:.2} s, {}", megabytes(size("out.ct")?)),
        ),
        (
            "encrypted against clear",
            format!(
                "max error {:.4} = {:.3} % of the logit spread, {:.1} bits",
                deviation.error,
                deviation.percent(),
                deviation.bits()
            ),
        ),
        (
            "class",
            format!(
                "{} encrypted, {} in the clear",
                name(class(&result.logits)).unwrap_or_default(),
                name(class(&clear)).unwrap_or_default()
            ),
        ),
    ];
    let rows: Vec<(String, String)> = rows
        .into_iter()
        .map(|(what, value)| (what.to_string(), value))
        .collect();
    println!("\n{}", table(&rows));
    let agrees = deviation.same_class && deviation.percent() <= TOLERANCE;
    if !agrees {
        eprintln!("error: the encrypted result differs from the plan in the clear");
    }
    Ok(agrees)
}
