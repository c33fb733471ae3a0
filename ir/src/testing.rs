//! Inputs for tests, here and in the crates above: a generator, samples of every linear operator, small
//! programs and plans.

use crate::nn::{Linear, Shape, Window};

mod levelled;
mod residual;

pub use levelled::{levelled_parameters, levelled_plan, levelled_program};
pub use residual::{residual_plan, residual_program};

/// SplitMix64.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// A generator of its own for every seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in [-1, 1).
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }

    /// As many, rounded.
    pub fn floats(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| self.unit() as f32).collect()
    }

    /// Below `n`, which is at least 1.
    pub fn below(&mut self, n: usize) -> usize {
        (self.bits() % n as u64) as usize
    }
}

/// A convolution with random weights, from as many channels to as many.
pub fn conv(random: &mut Random, [from, to]: [usize; 2], window: Window) -> Linear {
    Linear::Conv {
        weight: random.floats(to * (from / window.groups) * window.taps()),
        bias: random.floats(to),
        out_channels: to,
        window,
    }
}

/// Every linear operator with awkward attributes, and an input shape for it.
pub fn linear_samples(random: &mut Random) -> Vec<(Linear, Shape)> {
    let asymmetric = Window {
        kernel: [2, 3],
        stride: [2, 3],
        pads: [1, 0, 2, 4],
        dilation: [3, 2],
        groups: 2,
    };
    let mut transposed = |channels: [usize; 2], groups: usize, pads| Linear::ConvTranspose {
        weight: random.floats(channels[0] * channels[1] / groups * 6),
        bias: random.floats(channels[1]),
        out_channels: channels[1],
        window: Window {
            kernel: [2, 3],
            stride: [2, 3],
            pads,
            dilation: [3, 1],
            groups,
        },
        output_padding: [1, 0],
    };
    let transposed = [
        transposed([3, 5], 1, [0; 4]),
        transposed([4, 6], 2, [1, 2, 3, 1]),
    ];
    let turned = (0..24).map(|i| (i % 2 * 12 + i / 2) as u32 / 2).collect();
    vec![
        (transposed[0].clone(), Shape::new(3, 4, 3)),
        (transposed[1].clone(), Shape::new(4, 3, 5)),
        (
            Linear::Elementwise {
                scale: random.floats(12),
                shift: random.floats(12),
            },
            Shape::new(3, 2, 2),
        ),
        (
            Linear::Gather {
                shape: Shape::new(2, 4, 3),
                source: turned,
            },
            Shape::new(3, 2, 2),
        ),
        (
            conv(random, [3, 5], Window::same(3, 1)),
            Shape::new(3, 8, 8),
        ),
        (
            conv(random, [5, 7], Window::same(3, 1)),
            Shape::new(5, 17, 23),
        ),
        (
            conv(random, [6, 6], Window::same(5, 2).grouped(6)),
            Shape::new(6, 33, 19),
        ),
        (
            conv(random, [4, 8], Window::same(3, 2)),
            Shape::new(4, 9, 7),
        ),
        (
            conv(random, [4, 4], Window::same(5, 1).grouped(4)),
            Shape::new(4, 6, 11),
        ),
        (
            conv(random, [4, 6], Window::same(1, 2).grouped(2)),
            Shape::new(4, 8, 8),
        ),
        (conv(random, [4, 6], asymmetric), Shape::new(4, 10, 13)),
        (
            Linear::Gemm {
                weight: random.floats(5 * 24),
                bias: random.floats(5),
                rows: 5,
            },
            Shape::new(2, 3, 4),
        ),
        (
            Linear::AveragePool {
                kernel: [2, 3],
                stride: [1, 2],
            },
            Shape::new(3, 5, 7),
        ),
        (
            Linear::Affine {
                scale: random.floats(3),
                shift: random.floats(3),
            },
            Shape::new(3, 2, 2),
        ),
        (
            Linear::Slice {
                start: [1, 0, 2],
                step: [2, 3, 1],
                shape: Shape::new(2, 2, 3),
            },
            Shape::new(4, 4, 5),
        ),
        (
            Linear::Pad {
                before: [1, 0, 2],
                after: [0, 3, 1],
            },
            Shape::new(2, 2, 2),
        ),
        (
            Linear::Reshape {
                shape: Shape::new(8, 1, 1),
            },
            Shape::new(2, 2, 2),
        ),
    ]
}
