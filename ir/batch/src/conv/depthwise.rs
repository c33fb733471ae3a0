//! The kernel of depthwise convolutions: channels are lanes.

use pulp::{Simd, WithSimd};

/// Pixels computed together: the multiply-adds of one are a chain.
const PIXELS: usize = 8;

/// One image: `target[pixel][c] = bias[c] + sum over taps of weights[tap][c] * source[..][c]`.
pub struct Depthwise<'a> {
    /// The operand, padded, channels last.
    pub source: &'a [f32],
    /// Where every pixel of the result meets the operand, without the tap.
    pub bases: &'a [u32],
    /// What every tap adds to it.
    pub taps: &'a [u32],
    /// `[tap][channel]`.
    pub weights: &'a [f32],
    /// `[channel]`.
    pub bias: &'a [f32],
    /// The result, channels last.
    pub target: &'a mut [f32],
    /// Where every pixel of the result starts.
    pub places: &'a [u32],
}

impl WithSimd for Depthwise<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let channels = self.bias.len();
        for first in (0..channels).step_by(S::F32_LANES) {
            let block = first..(first + S::F32_LANES).min(channels);
            let mut pixel = 0;
            while pixel < self.bases.len() {
                if self.bases.len() < PIXELS {
                    self.tile::<S, 1>(simd, block.clone(), pixel);
                    pixel += 1;
                } else {
                    let start = pixel.min(self.bases.len() - PIXELS);
                    self.tile::<S, PIXELS>(simd, block.clone(), start);
                    pixel += PIXELS;
                }
            }
        }
    }
}

impl Depthwise<'_> {
    #[inline(always)]
    fn tile<S: Simd, const P: usize>(
        &mut self,
        simd: S,
        block: std::ops::Range<usize>,
        pixel: usize,
    ) {
        let bases: &[u32; P] = self.bases[pixel..]
            .first_chunk()
            .expect("P pixels are left");
        let mut sums = [simd.partial_load_f32s(&self.bias[block.clone()]); P];
        for (tap, weights) in self
            .taps
            .iter()
            .zip(self.weights.chunks_exact(self.bias.len()))
        {
            let weight = simd.partial_load_f32s(&weights[block.clone()]);
            for p in 0..P {
                let at = bases[p] as usize + *tap as usize + block.start;
                let x = simd.partial_load_f32s(&self.source[at..][..block.len()]);
                sums[p] = simd.mul_add_f32s(x, weight, sums[p]);
            }
        }
        for (p, &sum) in sums.iter().enumerate() {
            let at = self.places[pixel + p] as usize + block.start;
            simd.partial_store_f32s(&mut self.target[at..][..block.len()], sum);
        }
    }
}
