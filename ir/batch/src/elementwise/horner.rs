//! Polynomials, one per channel, by Horner's rule.

use hecc_ir::function::MAX_DEGREE;
use pulp::Simd;

/// Coefficients of one polynomial per channel.
#[derive(Clone, Debug)]
pub struct Rows {
    channels: usize,
    /// `[degree + 1][channel]`, constants first.
    columns: Vec<f32>,
}

impl Rows {
    /// From `[degree + 1][channel]`, constants first, at most [`MAX_DEGREE`].
    pub fn new(columns: &[Vec<f32>]) -> Self {
        Self {
            channels: columns[0].len(),
            columns: columns.concat(),
        }
    }

    /// Of every element, channels last.
    #[inline(always)]
    pub fn apply<S: Simd>(&self, simd: S, x: &mut [f32]) {
        match self.columns.len() / self.channels {
            2 => self.sweep::<S, 2>(simd, x),
            3 => self.sweep::<S, 3>(simd, x),
            4 => self.sweep::<S, 4>(simd, x),
            _ => self.sweep::<S, { MAX_DEGREE + 1 }>(simd, x),
        }
    }

    /// With at most D coefficients, which stay in registers where D is small.
    #[inline(always)]
    fn sweep<S: Simd, const D: usize>(&self, simd: S, x: &mut [f32]) {
        for first in (0..self.channels).step_by(S::F32_LANES) {
            let size = S::F32_LANES.min(self.channels - first);
            let mut columns = [simd.splat_f32s(0.0); D];
            for (column, from) in columns
                .iter_mut()
                .zip(self.columns.chunks_exact(self.channels))
            {
                *column = simd.partial_load_f32s(&from[first..][..size]);
            }
            for pixel in x.chunks_exact_mut(self.channels) {
                let pixel = &mut pixel[first..][..size];
                let x = simd.partial_load_f32s(pixel);
                let mut sum = columns[D - 1];
                for k in (0..D - 1).rev() {
                    sum = simd.mul_add_f32s(sum, x, columns[k]);
                }
                simd.partial_store_f32s(pixel, sum);
            }
        }
    }
}
