//! `hecc inspect`: what a plan needs and promises, before anything runs.

use crate::args::Inspect;
use crate::failure::Failure;
use crate::files;
use crate::print::say;
use crate::summary::Summary;
use hecc_ir::plan::Plan;
use std::path::Path;

/// Largest plan read, in bytes.
const LIMIT: u64 = 1 << 30;

/// Runs the command.
pub fn inspect(args: &Inspect) -> Result<(), Failure> {
    let (plan, bytes) = load(&args.plan)?;
    let summary = Summary::new(&plan, bytes);
    if args.json {
        say!(
            "{}",
            serde_json::to_string_pretty(&summary).map_err(|e| Failure::in_file(&args.plan, e))?
        )?;
    } else {
        say!("{}\n{}", summary.text(), summary.table().trim_end())?;
    }
    Ok(())
}

/// A plan from a file, checked, and its bytes.
pub fn load(path: &Path) -> Result<(Plan, u64), Failure> {
    let bytes = files::read(path, LIMIT)?;
    let plan = Plan::from_bytes(&bytes).map_err(|e| {
        Failure::in_file(path, e)
            .help("compile the model again: hecc compile model.onnx -o plan.bin")
    })?;
    Ok((plan, bytes.len() as u64))
}
