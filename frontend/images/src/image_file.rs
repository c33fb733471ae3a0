//! Image files of any size and mode as pixels of the network's size.

use crate::error::{Error, Result};
use hecc_ir::plan::Preprocess;
use image::imageops::FilterType;
use image::{ImageReader, Limits};
use std::path::Path;

/// Extensions taken from a folder.
pub(crate) const EXTENSIONS: [&str; 5] = ["png", "jpg", "jpeg", "webp", "bmp"];
/// Largest width and height of an image file.
const MAX_SIDE: u32 = 16_384;
/// Bytes that decoding may allocate: a small file can announce a huge picture.
const MAX_ALLOCATION: u64 = 1 << 30;

/// Pixels `[h, w, c]` at the size and mode of `preprocess`: decoded, converted to RGB or greyscale
/// (an alpha channel is dropped), resized with a triangle filter.
pub(crate) fn load_pixels(path: &Path, preprocess: &Preprocess) -> Result<Vec<u8>> {
    let mut reader = ImageReader::open(path)
        .and_then(ImageReader::with_guessed_format)
        .map_err(|e| Error::read(path, e))?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_ALLOCATION);
    reader.limits(limits);
    let image = reader.decode().map_err(|e| {
        let help = format!("give a png, jpeg, webp or bmp of at most {MAX_SIDE} x {MAX_SIDE} pixels, or a .npy array");
        Error::with_help(path, format!("is not a readable image: {e}"), help)
    })?;
    let (width, height) = (preprocess.width as u32, preprocess.height as u32);
    let fits = (image.width(), image.height()) == (width, height);
    // Conversion before the resize, so that every mode is filtered in 8 bits and in the same way.
    let image = match preprocess.channels {
        1 => image::DynamicImage::from(image.into_luma8()),
        _ => image::DynamicImage::from(image.into_rgb8()),
    };
    let image = if fits {
        image
    } else {
        image.resize_exact(width, height, FilterType::Triangle)
    };
    Ok(image.into_bytes())
}
