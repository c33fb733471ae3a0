//! Ctrl-C: the first one asks the command to end in good order, the second one ends it at once.

use crate::failure::Failure;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// Exit code of a command that Ctrl-C ended: 128 and the number of the signal, as shells have it.
pub const INTERRUPTED: u8 = 130;

static ASKED: AtomicBool = AtomicBool::new(false);
/// Who wants to know at once.
static TOLD: Mutex<Vec<Arc<AtomicBool>>> = Mutex::new(Vec::new());

/// Listens from now on.
///
/// # Errors
/// When the system does not let the process listen.
pub fn listen() -> Result<(), Failure> {
    static LISTENING: OnceLock<Result<(), String>> = OnceLock::new();
    let listen = || {
        ctrlc::set_handler(|| {
            if ASKED.swap(true, Ordering::Relaxed) {
                std::process::exit(INTERRUPTED.into());
            }
            for flag in TOLD.lock().unwrap_or_else(PoisonError::into_inner).iter() {
                flag.store(true, Ordering::Relaxed);
            }
            crate::print::note!("\nending in good order; Ctrl-C again ends at once");
        })
        .map_err(|e| e.to_string())
    };
    LISTENING
        .get_or_init(listen)
        .clone()
        .map_err(|e| Failure::new(format!("cannot listen to Ctrl-C: {e}")))
}

/// Whether Ctrl-C was pressed.
pub fn asked() -> bool {
    ASKED.load(Ordering::Relaxed)
}

/// Sets `flag` when Ctrl-C is pressed, or has been.
pub fn tell(flag: &Arc<AtomicBool>) {
    TOLD.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(flag.clone());
    if asked() {
        flag.store(true, Ordering::Relaxed);
    }
}
