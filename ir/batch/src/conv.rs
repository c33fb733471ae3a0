//! Convolutions of batches and their gradients.
//!
//! All weights are `[out][in/groups][kh][kw]`, row-major, as in [`hecc_ir::nn::Linear::Conv`]. Images
//! run in parallel; every result is the same for any number of threads.

mod correlation;
mod depthwise;
mod positions;
mod tiles;
mod weights;

pub(crate) use correlation::{Correlation, Scratch};
pub(crate) use tiles::{LANES, Tiles};
pub(crate) use weights::outer_products;

use crate::Batch;
use crate::error::BatchError;
use hecc_ir::nn::Shape;
pub use hecc_ir::nn::Window;
use rayon::prelude::*;

/// The convolution of every image; `output` is the shape of its result.
///
/// # Errors
/// [`BatchError::Padding`].
pub fn forward(
    x: &Batch,
    window: &Window,
    weight: &[f32],
    bias: &[f32],
    output: Shape,
) -> Result<Batch, BatchError> {
    let prepared = Correlation::forward(window, x.shape, output, weight, bias)?;
    Ok(prepared.apply(x))
}

/// Gradient by the operand of a convolution, of shape `input`, from the gradient by its result.
///
/// # Errors
/// [`BatchError::Padding`].
pub fn input_gradient(
    gradient: &Batch,
    window: &Window,
    weight: &[f32],
    input: Shape,
) -> Result<Batch, BatchError> {
    let prepared = Correlation::backward(window, input, gradient.shape, weight, &[])?;
    Ok(prepared.apply(gradient))
}

/// Gradient by the weight of a convolution of `x`, from the gradient by its result, summed over the
/// batch.
///
/// # Errors
/// [`BatchError::Padding`].
pub fn weight_gradient(
    x: &Batch,
    gradient: &Batch,
    window: &Window,
) -> Result<Vec<f32>, BatchError> {
    weights::weight_gradient(x, gradient, window)
}

/// Gradient by the bias: the sum over images and pixels, one per channel.
pub fn bias_gradient(gradient: &Batch) -> Vec<f32> {
    let channels = gradient.shape.c;
    // f32 within an image, f64 between images.
    let of_image = |image: &[f32]| {
        let mut sum = vec![0.0f32; channels];
        for pixel in image.chunks_exact(channels) {
            sum.iter_mut().zip(pixel).for_each(|(s, g)| *s += g);
        }
        sum
    };
    let images = gradient.data.par_chunks_exact(gradient.shape.elements());
    let sums: Vec<Vec<f32>> = images.map(of_image).collect();
    let mut total = vec![0.0f64; channels];
    for sum in sums {
        total
            .iter_mut()
            .zip(sum)
            .for_each(|(t, s)| *t += f64::from(s));
    }
    total.into_iter().map(|t| t as f32).collect()
}

#[cfg(test)]
mod tests;
