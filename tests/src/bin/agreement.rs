//! Encrypted runs against what was predicted of them, image after image, through the commands.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Parser;
use hecc_images::Dataset;
use hecc_ir::nn_eval::class;
use hecc_ir::plan::Plan;
use hecc_runtime::plan_file::load_plan;
use hecc_simulator::{Simulator, Totals};
use hecc_tests::commands::{Commands, dispatch};
use hecc_tests::deviation::Deviation;
use hecc_tests::npy::write_npy;
use hecc_tests::session::Session;

/// Classifies the first images of a data set encrypted, and compares logits, classes and seconds with
/// the simulator's and the plan's predictions
///
/// Several plans take turns, image after image, so that a slow hour of the machine meets them alike.
/// Fails when a class is another than the simulator's, or an error beyond its bound.
#[derive(Debug, Parser)]
struct Args {
    /// Plans (.bin), or models (.onnx) with their calibration and preprocessing beside them
    #[arg(required = true)]
    plans: Vec<PathBuf>,
    /// A folder of images, or a .npy array (float32 [n,c,h,w], or uint8 [n,h,w,c])
    #[arg(long, value_name = "D")]
    data: PathBuf,
    /// Images used, the first ones of the data on which the plan does not diverge
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: usize,
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

/// A plan with its keys, and what is predicted of it.
struct Subject {
    name: String,
    session: Session,
    plan: Plan,
    images: Vec<Predicted>,
    /// That the simulator states for errors of logits.
    bound: f64,
    seen: Seen,
}

/// What the simulator says of one image.
struct Predicted {
    /// Position in the data.
    index: usize,
    image: Vec<f32>,
    /// Logits without noise.
    exact: Vec<f64>,
    /// With noise.
    class: usize,
    /// Of the network itself, in f32.
    network: usize,
}

/// Sums over the images classified.
#[derive(Default)]
struct Seen {
    images: usize,
    as_simulated: usize,
    as_network: usize,
    within: usize,
    /// Largest error, over the bound.
    worst: f64,
    seconds: Vec<f64>,
}

/// Whether all images are as predicted.
fn agreement(args: &Args) -> Result<bool> {
    let folder = tempfile::Builder::new()
        .prefix("hecc-agreement-")
        .tempdir()?;
    let mut subjects = Vec::new();
    for (number, path) in args.plans.iter().enumerate() {
        subjects.push(Subject::new(
            path,
            &folder.path().join(number.to_string()),
            args,
        )?);
    }
    println!(
        "{:24}  image  error/spread  error/bound   bits  simulated  network  eval s",
        "plan"
    );
    let most = subjects.iter().map(|s| s.images.len()).max().unwrap_or(0);
    for turn in 0..most {
        for subject in &mut subjects {
            subject.classify(turn, args.threads)?;
        }
    }
    println!();
    for subject in &subjects {
        println!("{}", subject.summary());
    }
    Ok(subjects.iter().all(|s| s.seen.as_predicted()))
}

impl Subject {
    fn new(path: &Path, folder: &Path, args: &Args) -> Result<Self> {
        std::fs::create_dir(folder)?;
        let session = Session::new(Commands::new(std::env::current_exe()?, false), folder);
        let path = std::path::absolute(path)?;
        match path.extension().is_some_and(|e| e == "onnx") {
            true => drop(session.compile(&path, &[])?),
            false => drop(
                std::fs::copy(&path, session.file("plan.bin"))
                    .with_context(|| path.display().to_string())?,
            ),
        }
        let plan = load_plan(&session.file("plan.bin"))?;
        let (images, bound) = simulate(&plan, args).with_context(|| path.display().to_string())?;
        session.keygen()?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        Ok(Self {
            name: name.into_owned(),
            session,
            plan,
            images,
            bound,
            seen: Seen::default(),
        })
    }

    /// Classifies image number `turn` and prints a line.
    fn classify(&mut self, turn: usize, threads: Option<u16>) -> Result<()> {
        let Some(predicted) = self.images.get(turn) else {
            return Ok(());
        };
        let path = self.session.file("image.npy");
        let p = &self.plan.preprocess;
        write_npy(&path, &[p.channels, p.height, p.width], &predicted.image)?;
        let result = self.session.classify(&path, threads)?;
        let d = Deviation::of(&result.logits, &predicted.exact);
        let found = class(&result.logits);
        let seconds = result.stats["seconds"].as_f64().context("no seconds")?;
        let yes = |same: bool| if same { "same" } else { "OTHER" };
        println!(
            "{:24}  {:5}  {:10.4} %  {:11.3}  {:5.1}  {:>9}  {:>7}  {seconds:6.2}",
            self.name,
            predicted.index,
            d.percent(),
            d.error / self.bound,
            d.bits(),
            yes(found == predicted.class),
            yes(found == predicted.network),
        );
        let seen = &mut self.seen;
        seen.images += 1;
        seen.as_simulated += usize::from(found == predicted.class);
        seen.as_network += usize::from(found == predicted.network);
        seen.within += usize::from(d.error <= self.bound);
        seen.worst = seen.worst.max(d.error / self.bound);
        seen.seconds.push(seconds);
        Ok(())
    }

    fn summary(&self) -> String {
        let Seen {
            images,
            as_simulated,
            as_network,
            within,
            worst,
            seconds,
        } = &self.seen;
        let mut sorted = seconds.clone();
        sorted.sort_by(f64::total_cmp);
        let (median, predicted) = (sorted[sorted.len() / 2], self.plan.prediction.seconds());
        format!(
            "{}: of {images} images {as_simulated} have the simulator's class, {as_network} the \
             network's, {within} an error within the bound (at most {worst:.3} of it); {:.2} to {:.2} s \
             an evaluation, median {median:.2} s, {predicted:.2} s predicted ({:+.1} %)",
            self.name,
            sorted[0],
            sorted[sorted.len() - 1],
            100.0 * (predicted / median - 1.0),
        )
    }
}

impl Seen {
    fn as_predicted(&self) -> bool {
        self.as_simulated == self.images && self.within == self.images
    }
}

/// The first images on which neither plan nor network diverges, and the bound of their errors.
fn simulate(plan: &Plan, args: &Args) -> Result<(Vec<Predicted>, f64)> {
    let data = Dataset::open(&args.data, &plan.preprocess)?;
    let simulator = Simulator::new(plan)?;
    let (mut totals, mut images) = (Totals::default(), Vec::new());
    let wide = |values: &[f32]| values.iter().copied().map(f64::from).collect::<Vec<f64>>();
    for index in 0..data.len() {
        if images.len() == args.limit {
            break;
        }
        let image = data.get(index)?;
        let run = simulator.run(&image, index as u64)?;
        if run.diverged.is_some() || !run.network.iter().all(|v| v.is_finite()) {
            println!("image {index} is left out: it diverges without encryption");
            continue;
        }
        totals.add(&run, None);
        images.push(Predicted {
            index,
            image,
            exact: wide(&run.exact),
            class: class(&wide(&run.output)),
            network: class(&wide(&run.network)),
        });
    }
    if images.is_empty() {
        bail!("no image that does not diverge");
    }
    Ok((images, totals.report(&simulator).output.bound))
}
