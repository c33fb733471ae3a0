//! A plan from a file, checked, and the cryptographic context it asks for.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use hecc_ckks::Context;
use hecc_ir::plan::Plan;

use crate::error::{Error, Result};

/// No plan is larger, in bytes: a plan holds a network's weights, not encoded diagonals.
const LARGEST: u64 = 1 << 30;

/// Reads and checks the plan at `path`.
pub fn load_plan(path: &Path) -> Result<Plan> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|e| Error::read(path, e))?;
    file.take(LARGEST + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| Error::read(path, e))?;
    let plan = |reason: String| Error::Plan {
        path: path.into(),
        reason,
    };
    if bytes.len() as u64 > LARGEST {
        return Err(plan(format!("not a plan: larger than {LARGEST} bytes")));
    }
    Plan::from_bytes(&bytes).map_err(|e| plan(e.to_string()))
}

/// The ring and modulus chain of a plan, with their tables.
pub fn context(plan: &Plan) -> Result<Arc<Context>> {
    let parameters = &plan.parameters;
    Context::new(hecc_ckks::Parameters {
        log_n: parameters.log_n,
        q: parameters.q.clone(),
        p: parameters.p.clone(),
        digit: parameters.digit,
    })
    .map_err(|e| Error::Parameters(e.to_string()))
}
