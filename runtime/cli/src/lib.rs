#![doc = include_str!("../README.md")]

mod args;
mod bench;
mod client_key;
mod debug;
mod decrypt;
mod encrypt;
mod eval;
mod evaluation_keys;
mod failure;
mod keygen;
mod progress;
mod stats_table;
mod tensor;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;

use args::{Args, Command};
use hecc_runtime::output_file::remove_unfinished;

/// Exit code of bad input and of a wrong command line.
const BAD_INPUT: u8 = 2;

/// Exit code of `debug` when a value diverges.
const DIVERGED: u8 = 1;

/// Exit code after an interrupt, by the shells' convention.
const INTERRUPTED: i32 = 130;

/// Runs the command with these arguments, the program's name first.
///
/// Returns 0; 1 when `debug` finds a value that diverges; 2 after printing what is wrong and what to do
/// about it.
pub fn run(args: impl Iterator<Item = OsString>) -> ExitCode {
    let args = match Args::try_parse_from(args) {
        Ok(args) => args,
        Err(e) => {
            // Nobody is left to tell when standard error is gone.
            let _ = e.print();
            let bad = if e.use_stderr() { BAD_INPUT } else { 0 };
            return ExitCode::from(bad);
        }
    };
    // A process that calls twice has the handler already.
    let _ = ctrlc::try_set_handler(|| {
        remove_unfinished();
        std::process::exit(INTERRUPTED);
    });
    let result = match args.command {
        Command::Keygen(args) => keygen::keygen(&args),
        Command::Encrypt(args) => encrypt::encrypt(&args),
        Command::Eval(args) => eval::eval(&args),
        Command::Decrypt(args) => decrypt::decrypt(&args),
        Command::Bench(args) => bench::bench(&args),
        Command::Debug(args) => match debug::debug(&args) {
            Ok(true) => Ok(()),
            Ok(false) => return ExitCode::from(DIVERGED),
            Err(failure) => Err(failure),
        },
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {}\nhelp: {}", failure.message, failure.help);
            ExitCode::from(BAD_INPUT)
        }
    }
}
