#![doc = include_str!("../README.md")]

mod dataset;
mod error;
mod image_file;
mod npy;
mod preprocess;

pub use dataset::Dataset;
pub use error::{Error, Result};
pub use npy::{Array, Values, read_npy};
pub use preprocess::load_preprocess;

use hecc_ir::plan::Preprocess;
use std::path::Path;

/// One network input, `[c, h, w]`, from an image file (png, jpeg, webp, bmp; any size, resized) or a
/// `.npy` file: float32 `[c, h, w]` or `[1, c, h, w]` taken as it is, or uint8 `[h, w, c]` (also
/// `[1, h, w, c]`; `[h, w]` for one channel) through `preprocess`.
///
/// # Errors
/// [`Error`] names the file, what was expected and what was found.
pub fn load_image(path: &Path, preprocess: &Preprocess) -> Result<Vec<f32>> {
    if npy::is_npy(path) {
        dataset::one_from_npy(path, preprocess)
    } else {
        Ok(preprocess::normalise(
            &image_file::load_pixels(path, preprocess)?,
            preprocess,
        ))
    }
}
