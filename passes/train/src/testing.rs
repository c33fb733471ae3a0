//! Inputs for tests.

use hecc_ir::nn::{Linear, Window};

/// SplitMix64.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Uniform in [-1, 1).
    pub fn unit(&mut self) -> f32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }

    pub fn floats(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| self.unit()).collect()
    }
}

/// A 3x3 convolution with random weights, padded to keep `size / stride`.
pub fn conv(random: &mut Random, channels: [usize; 2], stride: usize) -> Linear {
    Linear::Conv {
        weight: random.floats(channels[1] * channels[0] * 9),
        bias: random.floats(channels[1]),
        out_channels: channels[1],
        window: Window::same(3, stride),
    }
}
