//! The kernel: sums of products in a tile of registers.
//!
//! A tile is P pixels of the result times B vectors of output channels. For every tap and input channel
//! it loads B vectors of weights and broadcasts P elements of the operand: P B multiply-adds for B + P
//! loads, most of which the instruction takes from memory itself. With AVX-512, 8 x 2 sums fill half of
//! the registers and hide the latency of four cycles. One thread of a 2-core Zen 4 does 105 to 109
//! GFLOP/s on the 3x3 convolutions of a ResNet-20.

use pulp::{Simd, WithSimd};

/// Output channels are padded to a multiple of this: the lanes of AVX-512, a multiple of all others.
pub const LANES: usize = 16;

/// One group of one image: `target[pixel] = bias + sum over taps of weights * source`.
pub struct Tiles<'a> {
    /// The operand, padded, channels last.
    pub source: &'a [f32],
    /// Where every pixel of the result meets the operand, without the tap.
    pub bases: &'a [u32],
    /// What every tap adds to it.
    pub taps: &'a [u32],
    /// `[tap][input][padded output]`.
    pub weights: &'a [f32],
    /// `[padded output]`.
    pub bias: &'a [f32],
    /// Input channels.
    pub inputs: usize,
    /// Output channels.
    pub outputs: usize,
    /// The result, channels last.
    pub target: &'a mut [f32],
    /// Where every pixel of the result starts.
    pub places: &'a [u32],
}

impl WithSimd for Tiles<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let blocks = self.outputs.div_ceil(S::F32_LANES);
        let mut block = 0;
        while block < blocks {
            // Sums, weights and one broadcast have to fit the registers: 32 or 16.
            match (blocks - block >= 2, S::REGISTER_COUNT >= 32) {
                (true, true) => self.sweep::<S, 8, 2>(simd, block),
                (true, false) => self.sweep::<S, 4, 2>(simd, block),
                (false, true) => self.sweep::<S, 16, 1>(simd, block),
                (false, false) => self.sweep::<S, 8, 1>(simd, block),
            }
            block += 2;
        }
    }
}

impl Tiles<'_> {
    /// All pixels of B blocks. The last tile starts earlier rather than being smaller.
    #[inline(always)]
    fn sweep<S: Simd, const P: usize, const B: usize>(&mut self, simd: S, block: usize) {
        let pixels = self.bases.len();
        let mut pixel = 0;
        while pixel < pixels {
            if pixels < P {
                self.tile::<S, 1, B>(simd, block, pixel);
                pixel += 1;
            } else {
                self.tile::<S, P, B>(simd, block, pixel.min(pixels - P));
                pixel += P;
            }
        }
    }

    #[inline(always)]
    fn tile<S: Simd, const P: usize, const B: usize>(
        &mut self,
        simd: S,
        block: usize,
        pixel: usize,
    ) {
        let lanes = S::F32_LANES;
        let (weights, _) = S::as_simd_f32s(self.weights);
        let (bias, _) = S::as_simd_f32s(self.bias);
        let across = bias.len();
        let bases: &[u32; P] = self.bases[pixel..]
            .first_chunk()
            .expect("P pixels are left");
        let mut sums = [[simd.splat_f32s(0.0); B]; P];
        for sums in &mut sums {
            sums.copy_from_slice(&bias[block..block + B]);
        }
        let inputs = self.inputs;
        for (tap, weights) in self
            .taps
            .iter()
            .zip(weights.chunks_exact((inputs * across).max(1)))
        {
            // Of one length that the loop below is seen to keep: no check remains in it. A closure that
            // fills the array would not be inlined.
            let mut pixels: [&[f32]; P] = [&[]; P];
            for p in 0..P {
                pixels[p] = &self.source[bases[p] as usize + *tap as usize..][..inputs];
            }
            for i in 0..inputs {
                let row: &[_; B] = weights[i * across + block..]
                    .first_chunk()
                    .expect("B blocks are left");
                for p in 0..P {
                    let x = simd.splat_f32s(pixels[p][i]);
                    for b in 0..B {
                        sums[p][b] = simd.mul_add_f32s(x, row[b], sums[p][b]);
                    }
                }
            }
        }
        for (p, sums) in sums.iter().enumerate() {
            let place = self.places[pixel + p] as usize;
            for (b, &sum) in sums.iter().enumerate() {
                let channel = (block + b) * lanes;
                let left = (self.outputs - channel).min(lanes);
                let to = &mut self.target[place + channel..][..left];
                match S::as_mut_simd_f32s(to).0.first_mut() {
                    Some(to) => *to = sum,
                    None => simd.partial_store_f32s(to, sum),
                }
            }
        }
    }
}
