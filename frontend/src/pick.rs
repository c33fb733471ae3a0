//! `hecc pick`: the plan of a point of a front.

use crate::args::Pick;
use crate::failure::Failure;
use crate::files;
use crate::print::say;
use crate::search::folder::{FRONT, Folder};
use crate::summary::bytes;
use hecc_ir::plan::Plan;
use hecc_search::Front;

/// Runs the command.
pub fn pick(args: &Pick) -> Result<(), Failure> {
    let folder = Folder::open(&args.front, FRONT)?;
    let front = folder.front()?;
    let number = number(args, &front, &folder)?;
    let point = &front.points[number];
    let path = folder.at(&point.plan);
    let encoded = folder.read(&point.plan)?;
    let plan = Plan::from_bytes(&encoded).map_err(|e| {
        Failure::in_file(&path, e)
            .help("go on with the search, which writes it again: hecc search ... --resume")
    })?;
    files::write(&args.output, &encoded)?;
    let (low, high) = point.accuracy.interval();
    say!(
        "point {number} of {}: {:.2} % ({:.2} to {:.2}) on {} images, {:.2} s predicted, {} bootstraps, {} of memory",
        front.model,
        100.0 * point.accuracy.value(),
        100.0 * low,
        100.0 * high,
        point.accuracy.images,
        plan.prediction.seconds(),
        point.cost.bootstraps,
        bytes(plan.prediction.peak_bytes)
    )?;
    say!(
        "{} written to {}",
        bytes(encoded.len() as u64),
        args.output.display()
    )
}

fn number(args: &Pick, front: &Front, folder: &Folder) -> Result<usize, Failure> {
    if let Some(number) = args.point {
        return point(number, front, folder);
    }
    let seconds = args.max_latency.map(|t| t.as_secs_f64());
    front
        .pick(seconds, args.min_accuracy)
        .map_err(|e| {
            Failure::in_file(&folder.at(FRONT), e).help(
                "ask for what a point has; hecc search --resume looks for more, hecc finetune makes points more accurate",
            )
        })
}

/// Checks that the front has a point of this number.
///
/// # Errors
/// When it has not.
pub fn point(number: usize, front: &Front, folder: &Folder) -> Result<usize, Failure> {
    match front.points.len() {
        count if number < count => Ok(number),
        0 => Err(Failure::in_file(&folder.at(FRONT), "has no points")),
        count => Err(Failure::in_file(
            &folder.at(FRONT),
            format!("has no point {number}, only 0 to {}", count - 1),
        )
        .help("report.md lists the points")),
    }
}
