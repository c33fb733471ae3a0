//! Encrypted logits against the plan in the clear, image after image, through the commands.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use hecc_images::Dataset;
use hecc_runtime::plan_file::load_plan;
use hecc_tests::commands::{Commands, dispatch};
use hecc_tests::deviation::Deviation;
use hecc_tests::npy::write_npy;
use hecc_tests::session::Session;

/// Classifies the first images of a data set encrypted and in the clear, and compares the logits
#[derive(Debug, Parser)]
struct Args {
    /// The model, with its calibration and its preprocessing beside it
    model: PathBuf,
    /// A folder of images, or a .npy array (float32 [n,c,h,w], or uint8 [n,h,w,c])
    #[arg(long, value_name = "D")]
    data: PathBuf,
    /// Images used, the first ones of the data
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: usize,
    /// Largest accepted error of a logit, in percent of the spread of the image's logits
    #[arg(long, value_name = "PERCENT", default_value_t = 2.0)]
    tolerance: f64,
    /// Threads of the encrypted evaluation [default: all the machine has]
    #[arg(long, value_name = "N")]
    threads: Option<u16>,
}

fn main() -> ExitCode {
    if let Some(code) = dispatch() {
        return code;
    }
    match agreement(&Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all images agree.
fn agreement(args: &Args) -> Result<bool> {
    let folder = tempfile::Builder::new()
        .prefix("hecc-agreement-")
        .tempdir()?;
    let session = Session::new(
        Commands::new(std::env::current_exe()?, false),
        folder.path(),
    );
    session.compile(&std::path::absolute(&args.model)?, &[])?;
    let plan = load_plan(&session.file("plan.bin"))?;
    let data = Dataset::open(&args.data, &plan.preprocess)?;
    session.keygen()?;

    println!("image  max error  % of spread   bits  same class  eval s");
    let (mut worst, mut kept, mut seconds) = (0.0, 0, 0.0);
    let images = data.len().min(args.limit);
    for index in 0..images {
        let image = data.get(index)?;
        let path = session.file("image.npy");
        let p = &plan.preprocess;
        write_npy(&path, &[p.channels, p.height, p.width], &image)?;
        let result = session.classify(&path, args.threads)?;
        let image: Vec<f64> = image.into_iter().map(f64::from).collect();
        let d = Deviation::of(&result.logits, &plan.program.evaluate(&image)?);
        let eval = result.stats["seconds"].as_f64().context("no seconds")?;
        println!(
            "{index:5}  {:9.5}  {:11.4}  {:5.1}  {:>10}  {eval:6.2}",
            d.error,
            d.percent(),
            d.bits(),
            if d.same_class { "yes" } else { "no" }
        );
        worst = d.percent().max(worst);
        kept += usize::from(d.same_class);
        seconds += eval;
    }
    println!(
        "\n{images} images: max error {worst:.4} % of the logit spread, same class on {kept}, {:.2} s an evaluation, {:.2} s predicted",
        seconds / images as f64,
        plan.prediction.seconds()
    );
    Ok(kept == images && worst <= args.tolerance)
}
