//! The `hecc-run` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    hecc_run::run(std::env::args_os())
}
