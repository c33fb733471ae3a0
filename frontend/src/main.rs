//! The `hecc` command; see the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    hecc_frontend::run(std::env::args_os())
}
