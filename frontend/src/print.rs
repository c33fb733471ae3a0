//! What commands print.
//!
//! A reader that has seen enough (`hecc inspect plan.bin | head`) is no error: the command goes on to
//! its end, since it may have files to write. A full disk behind standard output is one.

use crate::failure::Failure;
use std::io::{ErrorKind, Write};

/// Prints a line, as `println!` does; gives a [`Failure`] when it cannot be written.
macro_rules! say {
    ($($text:tt)*) => {
        $crate::print::print(&format_args!($($text)*))
    };
}
pub(crate) use say;

/// Prints a line on standard error, as `eprintln!` does, and goes on when nobody is left to read it.
macro_rules! note {
    ($($text:tt)*) => {
        $crate::print::tell(&format_args!($($text)*))
    };
}
pub(crate) use note;

/// Prints a line on standard output.
///
/// # Errors
/// When it cannot be written, except for lack of a reader.
pub fn print(line: &dyn std::fmt::Display) -> Result<(), Failure> {
    write(&mut std::io::stdout().lock(), line)
}

/// Prints a line on standard error; that nobody reads it is no reason to stop.
pub fn tell(line: &dyn std::fmt::Display) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

fn write(to: &mut dyn Write, line: &dyn std::fmt::Display) -> Result<(), Failure> {
    match writeln!(to, "{line}").and_then(|()| to.flush()) {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => Err(Failure::new(format!(
            "standard output: cannot be written: {e}"
        ))
        .help("files that the command names are written; give it another place to print to")),
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Refuses(ErrorKind);

    impl Write for Refuses {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(self.0.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn only_a_missing_reader_is_no_error() {
        let mut out = Vec::new();
        write(&mut out, &"a").unwrap();
        assert_eq!(out, b"a\n");
        write(&mut Refuses(ErrorKind::BrokenPipe), &"a").unwrap();
        let full = write(&mut Refuses(ErrorKind::StorageFull), &"a").unwrap_err();
        assert!(full.what.contains("standard output"));
    }
}
