//! `hecc compile`: a model and its calibration to a plan.

use crate::args::{Activation, Compile, Placement};
use crate::failure::Failure;
use crate::files;
use crate::import::MaxPool;
use crate::model::load;
use crate::model_hash::{model_hash, same_model};
use crate::print::{note, say};
use crate::summary::{Summary, bytes};
use hecc_ir::calibration::Calibration;
use hecc_ir::costs::CostTable;
use hecc_ir::nn::Graph;
use hecc_ir::plan::{Plan, Preprocess};
use hecc_passes::choose_parameters::Constraints;
use hecc_passes::report::Report;
use hecc_passes::{Lowered, Mode, Options, PassError, Ways, lower};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Largest calibration read, in bytes.
const LIMIT: u64 = 256 << 20;

/// Candidates that are emitted before a demand on memory or keys counts as impossible.
const MAX_ATTEMPTS: usize = 12;

/// Runs the command.
pub fn compile(args: &Compile) -> Result<(), Failure> {
    let begun = Instant::now();
    let (folded, imported) = load(&args.model, args.maxpool)?;
    let graph = &folded.graph;
    let calibration = calibration(args, graph, imported.calibration.as_ref())?;
    let described = files::preprocess(args.preprocess.as_deref(), &args.model, graph)?;
    let options = options(args)?;
    let mut dumps: Vec<(String, String)> = Vec::new();
    let name = args.model.file_name().unwrap_or_default().to_string_lossy();
    let mut emission = Emission {
        name: &name,
        preprocess: &described.preprocess,
        options: &options,
        max_memory: args.max_memory,
        max_key_bytes: args.max_key_bytes,
        attempts: 0,
    };
    let (plan, report) = lower(
        &folded,
        &calibration,
        &options,
        &mut |name, text| {
            if args.dump_ir.is_some() {
                dumps.push((name.to_string(), text.to_string()));
            }
        },
        &mut |lowered| emission.emit(lowered),
    )
    .map_err(|e| match e {
        PassError::Calibration(_) => Failure::in_file(&measured(args), e),
        e => e.into(),
    })?;
    let encoded = plan.to_bytes();
    if let Some(folder) = &args.dump_ir {
        write_dumps(folder, &dumps)?;
    }
    files::write(&args.output, &encoded)?;
    let summary = Summary::new(&plan, encoded.len() as u64);
    if args.json {
        let both = serde_json::json!({ "plan": summary, "choices": report });
        say!(
            "{}",
            serde_json::to_string_pretty(&both).map_err(|e| Failure::in_file(&args.output, e))?
        )?;
    } else {
        say!("{}", summary.text().trim_end())?;
        say!("{:<12} {}", "placement", comparison(&report))?;
        let seconds = begun.elapsed().as_secs_f64();
        say!(
            "compiled in {seconds:.1} s, {} written to {}",
            bytes(encoded.len() as u64),
            args.output.display()
        )?;
    }
    for note in imported.notes {
        note!("note: {note}");
    }
    if described.file.is_none() {
        note!(
            "note: no {} beside the model: pixels are scaled to [0, 1] and classes have no names",
            files::beside(&args.model, "preprocess.toml").display()
        );
    }
    Ok(())
}

/// The prices given, else those of the reference machine.
pub fn cost_table(path: Option<&Path>) -> Result<CostTable, Failure> {
    let Some(path) = path else {
        return Ok(CostTable::reference().clone());
    };
    let help = "measure this machine: hecc-run bench -o costs.json";
    let text = String::from_utf8(files::read(path, LIMIT)?)
        .map_err(|_| Failure::in_file(path, "is no cost table").help(help))?;
    CostTable::from_json(&text).map_err(|e| Failure::in_file(path, e).help(help))
}

fn options(args: &Compile) -> Result<Options, Failure> {
    let costs = cost_table(args.costs.as_deref())?;
    Ok(Options {
        degree: args.degree,
        tolerance: args.tolerance,
        ways: match args.activation {
            Activation::Any => Ways::Any,
            Activation::Fused => Ways::Fused,
            Activation::Levelled => Ways::Levelled,
            Activation::Composite => Ways::Composite(args.composite.clone()),
        },
        mode: match args.placement {
            Placement::Exact => Mode::Exact,
            Placement::Greedy => Mode::Greedy,
            Placement::Always => Mode::Always,
        },
        constraints: Constraints {
            ring: args.ring,
            security: args.security,
            precision: args.precision,
            allow_insecure: args.allow_insecure,
        },
        costs,
        ..Options::default()
    })
}

/// Makes plans of what the passes offer, and refuses those beyond a limit.
pub struct Emission<'a> {
    /// File name of the model, for the plan.
    pub name: &'a str,
    /// For the plan.
    pub preprocess: &'a Preprocess,
    /// As given to the passes.
    pub options: &'a Options,
    /// Most bytes of an evaluation.
    pub max_memory: Option<u64>,
    /// Most bytes of the server key.
    pub max_key_bytes: Option<u64>,
    /// Offers so far.
    pub attempts: usize,
}

impl Emission<'_> {
    /// The plan of one offer, or why it will not do.
    ///
    /// # Errors
    /// A program that cannot be emitted or exceeds a limit; and all after a dozen.
    pub fn emit(&mut self, lowered: Lowered) -> Result<(Plan, Report), String> {
        self.attempts += 1;
        if self.attempts > MAX_ATTEMPTS {
            return Err("not tried, after a dozen faster ones".to_string());
        }
        let plan = hecc_backend::emit(
            lowered.program,
            lowered.parameters,
            self.options.constraints.security,
            self.options.constraints.allow_insecure,
            self.name,
            self.preprocess.clone(),
            &self.options.costs,
        )
        .map_err(|e| e.to_string())?;
        within("memory", plan.prediction.peak_bytes, self.max_memory)?;
        within("server key", plan.prediction.key_bytes, self.max_key_bytes)?;
        Ok((plan, lowered.report))
    }
}

/// Refuses what exceeds a limit, and says by how much.
fn within(what: &str, needed: u64, limit: Option<u64>) -> Result<(), String> {
    match limit {
        Some(limit) if needed > limit => Err(format!(
            "the {what} takes {}, {} over the limit of {}",
            bytes(needed),
            bytes(needed - limit),
            bytes(limit)
        )),
        _ => Ok(()),
    }
}

/// Predicted seconds of the placements.
fn comparison(report: &Report) -> String {
    let seconds = |s: Option<f64>| s.map_or("impossible".to_string(), |s| format!("{s:.1} s"));
    let proof = match report.candidates.first() {
        Some(best) if best.optimal => "proven the fastest".to_string(),
        Some(best) => format!("the fastest takes at least {:.1} s", best.bound),
        None => String::new(),
    };
    let c = report.comparison.unwrap_or_default();
    format!(
        "{} ({proof}); as late as possible {}, before every activation {}",
        seconds(c.chosen),
        seconds(c.greedy),
        seconds(c.always)
    )
}

/// Where the calibration is looked for.
fn measured(args: &Compile) -> PathBuf {
    let given = args.calibration.clone();
    given.unwrap_or_else(|| files::beside(&args.model, "calib.json"))
}

/// The calibration given, else the one beside the model, else the one in the model; checked against the
/// model.
fn calibration(
    args: &Compile,
    graph: &Graph,
    carried: Option<&Calibration>,
) -> Result<Calibration, Failure> {
    let path = measured(args);
    let command = command(args, &path);
    if let (Some(carried), None, false) = (carried, &args.calibration, path.exists()) {
        return match same_model(&carried.model_hash, &model_hash(graph)) {
            true => Ok(carried.clone()),
            false => Err(Failure::in_file(
                &args.model,
                "was changed since hecc exported it, and the calibration it carries no longer fits",
            )
            .help(format!("measure this model: {command}"))),
        };
    }
    if !path.exists() {
        return Err(Failure::new(format!(
            "{}: there is no calibration of {}",
            path.display(),
            args.model.display()
        ))
        .help(format!(
            "measure the model on images (a folder, or a .npy array) first: {command}"
        )));
    }
    read_calibration(&path, &args.model, graph, &command)
}

/// A calibration from a file, checked against the model; `command` makes it.
///
/// # Errors
/// When it cannot be read, is none, or is another model's.
pub fn read_calibration(
    path: &Path,
    model: &Path,
    graph: &Graph,
    command: &str,
) -> Result<Calibration, Failure> {
    let calibration: Calibration =
        serde_json::from_slice(&files::read(path, LIMIT)?).map_err(|e| {
            Failure::in_file(path, format!("is no calibration: {e}"))
                .help(format!("measure again: {command}"))
        })?;
    calibration
        .validate()
        .map_err(|e| Failure::in_file(path, e).help(format!("measure again: {command}")))?;
    let hash = model_hash(graph);
    if !same_model(&calibration.model_hash, &hash) {
        return Err(Failure::in_file(
            path,
            format!(
                "was measured on another model ({}, {}), not on {} ({})",
                calibration.model,
                &calibration.model_hash[..8],
                model.display(),
                &hash[..8]
            ),
        )
        .help(format!("measure this model: {command}")));
    }
    Ok(calibration)
}

/// The command that makes the calibration.
fn command(args: &Compile, path: &Path) -> String {
    let mut command = format!("hecc calibrate {} --data IMAGES", args.model.display());
    if let Some(preprocess) = &args.preprocess {
        command += &format!(" --preprocess {}", preprocess.display());
    }
    if args.maxpool == MaxPool::Average {
        command += " --maxpool average";
    }
    if args.calibration.is_some() {
        command += &format!(" -o {}", path.display());
    }
    command
}

fn write_dumps(folder: &Path, dumps: &[(String, String)]) -> Result<(), Failure> {
    std::fs::create_dir_all(folder)
        .map_err(|e| Failure::in_file(folder, format!("cannot be made: {e}")))?;
    for (name, text) in dumps {
        let path: PathBuf = folder.join(format!("{name}.txt"));
        files::write(&path, text.as_bytes())?;
    }
    Ok(())
}
