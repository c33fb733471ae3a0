#![doc = include_str!("../README.md")]

mod args;
mod calibrate;
mod check;
mod compile;
mod diff;
mod evaluate;
mod export;
mod failure;
mod files;
mod finetune;
mod graph;
pub mod import;
mod inspect;
mod measure;
mod model;
mod model_hash;
mod pick;
mod report;
mod print;
mod progress;
mod search;
mod simulate;
mod summary;
mod svg;

pub use model_hash::model_hash;

use args::{Args, Command};
use clap::Parser;
use search::{End, INTERRUPTED};
use std::ffi::OsString;
use std::process::ExitCode;

/// Exit code of bad input and of a wrong command line.
const BAD_INPUT: u8 = 2;

/// The way out of an error that has no better one.
const NO_BETTER_HELP: &str = "check that the path is right and the file is what the command asks for; \
                              hecc COMMAND --help says what that is";

/// Runs the `hecc` command with these arguments, the program's name first.
///
/// Returns 0, 2 after printing what is wrong and what to do about it, or 130 when Ctrl-C ended it in good
/// order.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args = match Args::try_parse_from(args) {
        Ok(args) => args,
        Err(e) => {
            // Nobody is left to tell when standard error is gone.
            let _ = e.print();
            return ExitCode::from(if e.use_stderr() { BAD_INPUT } else { 0 });
        }
    };
    match dispatch(&args) {
        Ok(End::Done) => ExitCode::SUCCESS,
        Ok(End::Interrupted) => ExitCode::from(INTERRUPTED),
        Err(failure) => {
            print::note!("error: {}", failure.what);
            let help = failure.help.as_deref().unwrap_or(NO_BETTER_HELP);
            print::note!("help: {help}");
            ExitCode::from(BAD_INPUT)
        }
    }
}

fn dispatch(args: &Args) -> Result<End, failure::Failure> {
    match &args.command {
        Command::Search(args) => return search::search(args),
        Command::Finetune(args) => return finetune::finetune(args),
        Command::Pick(args) => pick::pick(args),
        Command::Report(args) => report::report(args),
        Command::Check(args) => check::check(args),
        Command::Calibrate(args) => calibrate::calibrate(args),
        Command::Compile(args) => compile::compile(args),
        Command::Inspect(args) => inspect::inspect(args),
        Command::Evaluate(args) => evaluate::evaluate(args),
        Command::Simulate(args) => simulate::simulate(args),
        Command::Graph(args) => graph::graph(args),
        Command::Diff(args) => diff::diff(args),
        Command::Export(args) => export::export(args),
    }?;
    Ok(End::Done)
}

#[cfg(test)]
mod sample;
#[cfg(test)]
mod tests;
