//! Gradients by weights: outer products of operand and gradient, summed over pixels in registers.

use super::Window;
use super::correlation::{Correlation, Scratch};
use super::positions::Axis;
use super::tiles::LANES;
use crate::Batch;
use crate::error::BatchError;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

/// A batch is summed in at most as many ranges of images, whatever the number of threads: the order of
/// the sums is fixed, and so is the result.
const RANGES: usize = 8;
/// Fewest images of a range: every range costs a pass over the weights.
const RANGE: usize = 4;
/// Rows of a matrix of outer products that one thread takes at a time.
const ROWS: usize = 64;

/// See [`super::weight_gradient`].
pub fn weight_gradient(
    x: &Batch,
    gradient: &Batch,
    window: &Window,
) -> Result<Vec<f32>, BatchError> {
    let positions =
        Correlation::unweighted(window, x.shape, gradient.shape, Axis::forward, "conv")?;
    let groups = window.groups;
    let (inputs, outputs) = (x.shape.c / groups, gradient.shape.c / groups);
    let taps = window.kernel[0] * window.kernel[1];
    let depthwise = groups > 1 && inputs == 1 && outputs == 1;
    let across = match depthwise {
        true => groups,
        false => outputs.next_multiple_of(LANES),
    };
    // A convolution has one part, with all taps that meet the image at all.
    let part = &positions.parts()[0];
    let met = part.taps.len();
    let size = if depthwise {
        met * across
    } else {
        groups * met * inputs * across
    };
    let sums_of = |images: std::ops::Range<usize>| {
        let arch = Arch::new();
        let mut scratch = Scratch::default();
        let mut sums = vec![0.0; size];
        for i in images {
            let source = positions.padded(x.image(i), &mut scratch);
            if depthwise {
                arch.dispatch(DepthwiseProducts {
                    source,
                    bases: &part.bases,
                    taps: &part.taps,
                    gradient: gradient.image(i),
                    sums: &mut sums,
                    channels: groups,
                });
                continue;
            }
            for (group, sums) in sums
                .chunks_exact_mut((met * inputs * across).max(1))
                .enumerate()
            {
                for (&tap, sums) in part.taps.iter().zip(sums.chunks_exact_mut(inputs * across)) {
                    arch.dispatch(Products {
                        source: &source[tap as usize + group * inputs..],
                        bases: &part.bases,
                        gradient: &gradient.image(i)[group * outputs..],
                        places: &part.places,
                        inputs,
                        outputs,
                        sums,
                    });
                }
            }
        }
        sums
    };
    let range = x.n.div_ceil(RANGES).max(RANGE);
    let ranges: Vec<_> = (0..x.n)
        .step_by(range)
        .map(|i| i..(i + range).min(x.n))
        .collect();
    let parts: Vec<Vec<f32>> = ranges.into_par_iter().map(sums_of).collect();
    let mut sums = vec![0.0f32; size];
    for part in parts {
        sums.iter_mut().zip(part).for_each(|(s, p)| *s += p);
    }
    let mut weight = vec![0.0; gradient.shape.c * inputs * taps];
    for (pair, weights) in weight.chunks_exact_mut(taps).enumerate() {
        let (to, from) = (pair / inputs, pair % inputs);
        let (group, to) = (to / outputs, to % outputs);
        for (tap, &number) in part.numbers.iter().enumerate() {
            weights[number] = match depthwise {
                true => sums[tap * across + group],
                false => sums[((group * met + tap) * inputs + from) * across + to],
            };
        }
    }
    Ok(weight)
}

/// `sum over rows of x[row] gradient[row]^T` as `[input][output]`: rows of `inputs` and of `outputs`
/// elements.
pub fn outer_products(x: &[f32], inputs: usize, gradient: &[f32], outputs: usize) -> Vec<f32> {
    let rows = x.len() / inputs;
    let across = outputs.next_multiple_of(LANES);
    let starts = |length: usize| -> Vec<u32> { (0..rows).map(|r| (r * length) as u32).collect() };
    let (bases, places) = (starts(inputs), starts(outputs));
    let mut sums = vec![0.0; inputs * across];
    sums.par_chunks_mut(ROWS * across)
        .enumerate()
        .for_each(|(block, sums)| {
            Arch::new().dispatch(Products {
                source: x.get(block * ROWS..).unwrap_or_default(),
                bases: &bases,
                gradient,
                places: &places,
                inputs: sums.len() / across,
                outputs,
                sums,
            });
        });
    let rows = sums.chunks_exact(across);
    rows.flat_map(|row| &row[..outputs]).copied().collect()
}

/// `sums[input][output] += source[pixel][input] * gradient[pixel][output]` over all pixels.
pub(super) struct Products<'a> {
    pub source: &'a [f32],
    pub bases: &'a [u32],
    pub gradient: &'a [f32],
    pub places: &'a [u32],
    pub inputs: usize,
    pub outputs: usize,
    /// `[input][padded output]`.
    pub sums: &'a mut [f32],
}

impl WithSimd for Products<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let blocks = self.outputs.div_ceil(S::F32_LANES);
        // Without a partial vector, which would cost the inner loop a branch.
        let full = self.outputs / S::F32_LANES;
        let mut block = 0;
        while block < blocks {
            match (full.saturating_sub(block) >= 2, S::REGISTER_COUNT >= 32) {
                (true, true) => self.sweep::<S, 8, 2>(simd, block),
                (true, false) => self.sweep::<S, 4, 2>(simd, block),
                (false, true) => self.sweep::<S, 16, 1>(simd, block),
                (false, false) => self.sweep::<S, 8, 1>(simd, block),
            }
            block += if full.saturating_sub(block) >= 2 {
                2
            } else {
                1
            };
        }
    }
}

impl Products<'_> {
    #[inline(always)]
    fn sweep<S: Simd, const I: usize, const B: usize>(&mut self, simd: S, block: usize) {
        let mut input = 0;
        while input + I <= self.inputs {
            self.tile::<S, I, B>(simd, block, input);
            input += I;
        }
        while input < self.inputs {
            self.tile::<S, 1, B>(simd, block, input);
            input += 1;
        }
    }

    /// I input channels times B vectors of output channels, over all pixels.
    #[inline(always)]
    fn tile<S: Simd, const I: usize, const B: usize>(
        &mut self,
        simd: S,
        block: usize,
        input: usize,
    ) {
        let first = block * S::F32_LANES;
        let width = (B * S::F32_LANES).min(self.outputs - first);
        let mut tile = [[simd.splat_f32s(0.0); B]; I];
        for (&base, &place) in self.bases.iter().zip(self.places) {
            let x: &[f32; I] = self.source[base as usize + input..]
                .first_chunk()
                .expect("a pixel has all channels");
            let row = &self.gradient[place as usize + first..][..width];
            let gradient: [S::f32s; B] = match S::as_simd_f32s(row).0.first_chunk() {
                Some(row) => *row,
                None => [simd.partial_load_f32s(row); B],
            };
            for i in 0..I {
                let x = simd.splat_f32s(x[i]);
                for b in 0..B {
                    tile[i][b] = simd.mul_add_f32s(x, gradient[b], tile[i][b]);
                }
            }
        }
        let (sums, _) = S::as_mut_simd_f32s(self.sums);
        let across = sums.len() / self.inputs;
        for (i, tile) in tile.iter().enumerate() {
            for (b, &t) in tile.iter().enumerate() {
                let sum = &mut sums[(input + i) * across + block + b];
                *sum = simd.add_f32s(*sum, t);
            }
        }
    }
}

/// `sums[tap][channel] += source[pixel + tap][channel] * gradient[pixel][channel]` over all pixels.
struct DepthwiseProducts<'a> {
    source: &'a [f32],
    bases: &'a [u32],
    taps: &'a [u32],
    gradient: &'a [f32],
    sums: &'a mut [f32],
    channels: usize,
}

impl WithSimd for DepthwiseProducts<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        for (&tap, sums) in self
            .taps
            .iter()
            .zip(self.sums.chunks_exact_mut(self.channels))
        {
            for first in (0..self.channels).step_by(S::F32_LANES) {
                let size = S::F32_LANES.min(self.channels - first);
                let mut sum = simd.splat_f32s(0.0);
                let pixels = self
                    .bases
                    .iter()
                    .zip(self.gradient.chunks_exact(self.channels));
                for (&base, gradient) in pixels {
                    let x = &self.source[(base + tap) as usize + first..][..size];
                    let gradient = simd.partial_load_f32s(&gradient[first..][..size]);
                    sum = simd.mul_add_f32s(simd.partial_load_f32s(x), gradient, sum);
                }
                let sums = &mut sums[first..][..size];
                let before = simd.partial_load_f32s(sums);
                simd.partial_store_f32s(sums, simd.add_f32s(before, sum));
            }
        }
    }
}
