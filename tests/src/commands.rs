//! The two commands, as a user calls them: each call a process of its own.
//!
//! A process has its own peak memory and exit code. So that nothing needs to be installed, the
//! process is this crate's own program: it hands `as hecc ...` and `as hecc-run ...` to the entry points
//! of the commands.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

const AS: &str = "as";

/// Acts as one of the commands when the program's arguments ask for it.
pub fn dispatch() -> Option<ExitCode> {
    let mut args = std::env::args_os().skip(1);
    if args.next()? != AS {
        return None;
    }
    let args: Vec<OsString> = args.collect();
    match args.first().and_then(|name| name.to_str()) {
        Some("hecc") => Some(hecc_frontend::run(args)),
        Some("hecc-run") => Some(hecc_run::run(args.into_iter())),
        _ => {
            eprintln!("error: '{AS}' takes hecc or hecc-run");
            Some(ExitCode::from(2))
        }
    }
}

/// What a command did.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Exit code; None when a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error, where it was captured.
    pub stderr: String,
    /// Wall time.
    pub seconds: f64,
}

/// Calls commands in the folder of the workspace.
#[derive(Clone, Debug)]
pub struct Commands {
    program: PathBuf,
    /// Print command lines and outputs, and let the commands show their progress.
    show: bool,
}

impl Commands {
    /// With `program`, whose main function calls [`dispatch`].
    pub fn new(program: impl Into<PathBuf>, show: bool) -> Self {
        Self {
            program: program.into(),
            show,
        }
    }

    /// The same commands without a word.
    pub fn quiet(&self) -> Self {
        Self::new(&self.program, false)
    }

    /// Runs a command line, program name first, to its end.
    pub fn run<I: Into<OsString>>(&self, line: impl IntoIterator<Item = I>) -> Result<Outcome> {
        let line: Vec<OsString> = line.into_iter().map(Into::into).collect();
        let text: Vec<_> = line.iter().map(|word| word.to_string_lossy()).collect();
        if self.show {
            println!("\n$ {}", text.join(" "));
        }
        let error = if self.show {
            Stdio::inherit()
        } else {
            Stdio::piped()
        };
        let start = Instant::now();
        let output = Command::new(&self.program)
            .arg(AS)
            .args(&line)
            .current_dir(crate::folders::root())
            .stderr(error)
            .output()
            .with_context(|| format!("cannot start {}", self.program.display()))?;
        let outcome = Outcome {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            seconds: start.elapsed().as_secs_f64(),
        };
        if self.show {
            print!("{}", outcome.stdout);
            println!("[{:.2} s]", outcome.seconds);
        }
        Ok(outcome)
    }

    /// The same; an error unless the exit code is 0.
    pub fn succeed<I: Into<OsString>>(&self, line: impl IntoIterator<Item = I>) -> Result<Outcome> {
        let line: Vec<OsString> = line.into_iter().map(Into::into).collect();
        let outcome = self.run(line.clone())?;
        match outcome.code {
            Some(0) => Ok(outcome),
            code => bail!(
                "{} ended with {code:?}\n{}{}",
                line.iter()
                    .map(|word| word.to_string_lossy())
                    .collect::<Vec<_>>()
                    .join(" "),
                outcome.stdout,
                outcome.stderr
            ),
        }
    }
}
