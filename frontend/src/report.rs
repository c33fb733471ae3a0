//! `hecc report`: the texts of a front anew, with what evaluations of its plans took.

use crate::args::Report;
use crate::diff::{self, Stats};
use crate::failure::Failure;
use crate::print::say;
use crate::search::finish::stage_texts;
use crate::search::folder::{FRONT, Folder, REPORT, Staged};
use hecc_ir::plan::Plan;
use hecc_search::{Front, Measured};
use std::collections::BTreeMap;
use std::path::Path;

/// Runs the command.
pub fn report(args: &Report) -> Result<(), Failure> {
    let folder = Folder::open(&args.front, FRONT)?;
    let mut front = folder.front()?;
    let plans = plans(&folder, &front)?;
    let mut found: BTreeMap<&str, Vec<Stats>> = BTreeMap::new();
    for path in &args.stats {
        let (name, stats) = of_plan(path, &plans)?;
        found.entry(name).or_default().push(stats);
    }
    for (name, runs) in found {
        let measured = middle(runs);
        say!(
            "{name}: {:.2} s, of {} evaluations",
            measured.seconds,
            measured.runs
        )?;
        front.measured.insert(name.to_string(), measured);
    }
    let mut staged = Staged::new(&folder);
    stage_texts(&mut staged, &front)?;
    staged.publish()?;
    say!("{} written", folder.at(REPORT).display())
}

/// The plans of a front by the identity that statistics give them.
fn plans(folder: &Folder, front: &Front) -> Result<BTreeMap<String, String>, Failure> {
    let identity = |name: &str| {
        let plan = Plan::from_bytes(&folder.read(name)?).map_err(|e| {
            Failure::in_file(&folder.at(name), e)
                .help("go on with the search, which writes it again: hecc search ... --resume")
        })?;
        Ok((plan.identity(), name.to_string()))
    };
    front.plans().into_iter().map(identity).collect()
}

/// Statistics, and the plan that they are of.
fn of_plan<'a>(
    path: &Path,
    plans: &'a BTreeMap<String, String>,
) -> Result<(&'a str, Stats), Failure> {
    let stats = diff::read(path)?;
    match plans.get(&stats.plan) {
        Some(name) => Ok((name, stats)),
        None => Err(
            Failure::in_file(path, "is of a plan that is not in the folder of the front").help(
                "give statistics of its plans: hecc-run eval point-00.plan.bin ... --stats FILE",
            ),
        ),
    }
}

/// The evaluation in the middle by its seconds, of at least one.
fn middle(mut runs: Vec<Stats>) -> Measured {
    runs.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
    let run = &runs[(runs.len() - 1) / 2];
    let plain = run.machine.chars().filter(|c| !c.is_control());
    Measured {
        seconds: run.seconds,
        runs: runs.len(),
        threads: run.threads,
        machine: plain.take(200).collect(),
    }
}
