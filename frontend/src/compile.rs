//! `hecc compile`: a model and its calibration to a plan.

use crate::args::Compile;
use crate::failure::Failure;
use crate::files;
use crate::import::import;
use crate::model_hash::model_hash;
use crate::summary::{Summary, bytes};
use hecc_ir::calibration::Calibration;
use hecc_ir::nn::Graph;
use hecc_passes::{Lowered, Options, lower};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Largest calibration read, in bytes.
const LIMIT: u64 = 256 << 20;

/// Runs the command.
pub fn compile(args: &Compile) -> Result<(), Failure> {
    let begun = Instant::now();
    let graph = import(&args.model)?;
    let calibration = calibration(args, &graph)?;
    let (input, output) = (
        graph.nodes[graph.input].shape,
        graph.nodes[graph.output].shape,
    );
    let described = files::preprocess(
        args.preprocess.as_deref(),
        &args.model,
        input,
        output.elements(),
    )?;
    let plain = described.is_none();
    let preprocess = described.unwrap_or_else(|| files::plain_preprocess(input));
    let options = Options {
        degree: args.degree,
        tolerance: args.tolerance,
        insecure_ring: args.ring,
        allow_insecure: args.allow_insecure,
        ..Options::default()
    };
    let mut dumps: Vec<(String, String)> = Vec::new();
    let lowered = lower(graph, &calibration, &options, &mut |name, text| {
        if args.dump_ir.is_some() {
            dumps.push((name.to_string(), text.to_string()));
        }
    })?;
    let Lowered {
        program,
        parameters,
        allow_insecure,
        ..
    } = lowered;
    let name = args.model.file_name().unwrap_or_default().to_string_lossy();
    let plan = hecc_backend::emit(program, parameters, allow_insecure, &name, preprocess)
        .map_err(|e| Failure::in_file(&args.model, e))?;
    let encoded = plan.to_bytes();
    if let Some(folder) = &args.dump_ir {
        write_dumps(folder, &dumps)?;
    }
    files::write(&args.output, &encoded)?;
    let summary = Summary::new(&plan, encoded.len() as u64);
    if args.json {
        println!(
            "{}",
            serde_json::to_string_pretty(&summary)
                .map_err(|e| Failure::in_file(&args.output, e))?
        );
    } else {
        print!("{}", summary.text());
        let seconds = begun.elapsed().as_secs_f64();
        println!(
            "compiled in {seconds:.1} s, {} written to {}",
            bytes(encoded.len() as u64),
            args.output.display()
        );
    }
    if plain {
        eprintln!(
            "note: no {} beside the model: pixels are scaled to [0, 1] and classes have no names",
            files::beside(&args.model, "preprocess.toml").display()
        );
    }
    Ok(())
}

/// The calibration given, else the one beside the model; checked against the model.
fn calibration(args: &Compile, graph: &Graph) -> Result<Calibration, Failure> {
    let path = args
        .calibration
        .clone()
        .unwrap_or_else(|| files::beside(&args.model, "calib.json"));
    let command = command(args, &path);
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
    let calibration: Calibration =
        serde_json::from_slice(&files::read(&path, LIMIT)?).map_err(|e| {
            Failure::in_file(&path, format!("is no calibration: {e}"))
                .help(format!("measure again: {command}"))
        })?;
    calibration
        .validate()
        .map_err(|e| Failure::in_file(&path, e).help(format!("measure again: {command}")))?;
    let hash = model_hash(graph);
    if calibration.model_hash != hash {
        return Err(Failure::in_file(
            &path,
            format!(
                "was measured on another model ({}, {}), not on {} ({})",
                calibration.model,
                &calibration.model_hash[..8],
                args.model.display(),
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
