//! Damaged, foreign and lying files against the commands: an error that names the file and the way
//! out, exit code 2, nothing written, no panic.

#[path = "../common/mod.rs"]
mod common;
mod setup;

mod files;
mod plans;
mod texts;
