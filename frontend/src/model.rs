//! A model as every command sees it: imported, then folded to its normal form, so that all exports of a
//! network look alike.

use crate::failure::Failure;
use crate::import::{Imported, MaxPool, import_with};
use hecc_passes::{Folded, fold_linear};
use std::path::Path;

/// Imports and folds a model; with it what is known of the file.
pub fn load(path: &Path, maxpool: MaxPool) -> Result<(Folded, Imported), Failure> {
    let imported = import_with(path, maxpool)?;
    let folded = fold_linear(&imported.graph).map_err(|e| Failure::in_file(path, e))?;
    Ok((folded, imported))
}
