//! Inputs for tests: a generator and samples of every linear operator.

use hecc_ir::nn::{Linear, Shape, Window};

/// SplitMix64.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    /// Uniform in [-1, 1).
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }
    pub fn floats(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| self.unit() as f32).collect()
    }
    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }
}

/// A convolution with random weights.
pub fn conv(
    random: &mut Random,
    channels: [usize; 2],
    kernel: [usize; 2],
    stride: [usize; 2],
    pads: [usize; 4],
    dilation: [usize; 2],
    groups: usize,
) -> Linear {
    Linear::Conv {
        weight: random.floats(channels[1] * (channels[0] / groups) * kernel[0] * kernel[1]),
        bias: random.floats(channels[1]),
        out_channels: channels[1],
        window: Window {
            kernel,
            stride,
            pads,
            dilation,
            groups,
        },
    }
}

/// As [`conv`], with square kernel, padded to keep `size / stride`.
pub fn same(
    random: &mut Random,
    channels: [usize; 2],
    kernel: usize,
    stride: usize,
    groups: usize,
) -> Linear {
    let pads = [kernel / 2; 4];
    conv(
        random,
        channels,
        [kernel; 2],
        [stride; 2],
        pads,
        [1; 2],
        groups,
    )
}

/// Every linear operator with awkward attributes, and an input shape for it.
pub fn linear_samples(random: &mut Random) -> Vec<(Linear, Shape)> {
    let convolutions = vec![
        (same(random, [3, 16], 3, 1, 1), Shape::new(3, 8, 8)),
        (same(random, [16, 32], 3, 2, 1), Shape::new(16, 8, 8)),
        (same(random, [16, 40], 1, 2, 1), Shape::new(16, 9, 7)),
        (same(random, [5, 7], 3, 1, 1), Shape::new(5, 7, 9)),
        (same(random, [6, 6], 5, 2, 6), Shape::new(6, 13, 9)),
        (same(random, [20, 20], 3, 1, 20), Shape::new(20, 5, 4)),
        (same(random, [4, 8], 3, 1, 4), Shape::new(4, 3, 5)),
        (same(random, [4, 6], 1, 2, 2), Shape::new(4, 8, 8)),
        (same(random, [34, 18], 3, 1, 2), Shape::new(34, 2, 2)),
        (same(random, [2, 3], 7, 1, 1), Shape::new(2, 2, 1)),
        (
            conv(random, [4, 6], [2, 3], [2, 3], [1, 0, 2, 4], [3, 2], 2),
            Shape::new(4, 10, 13),
        ),
        (
            conv(random, [2, 3], [2, 2], [3, 3], [0; 4], [1, 1], 1),
            Shape::new(2, 9, 8),
        ),
        // Some taps meet nothing but padding.
        (
            conv(random, [2, 3], [3, 3], [1, 1], [4; 4], [4, 4], 1),
            Shape::new(2, 3, 3),
        ),
    ];
    let mut samples = convolutions;
    let transposed =
        |random: &mut Random, channels: [usize; 2], groups: usize, pads| Linear::ConvTranspose {
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
    samples.push((transposed(random, [3, 5], 1, [0; 4]), Shape::new(3, 4, 3)));
    samples.push((
        transposed(random, [4, 6], 2, [1, 2, 3, 1]),
        Shape::new(4, 3, 5),
    ));
    samples.push((
        Linear::Elementwise {
            scale: random.floats(12),
            shift: random.floats(12),
        },
        Shape::new(3, 2, 2),
    ));
    samples.push((
        Linear::Gather {
            shape: Shape::new(2, 4, 3),
            source: (0..24).map(|i| (i % 2 * 12 + i / 2) as u32 / 2).collect(),
        },
        Shape::new(3, 2, 2),
    ));
    for (rows, input) in [
        (5, Shape::new(2, 3, 4)),
        (10, Shape::new(64, 1, 1)),
        (40, Shape::new(70, 1, 2)),
    ] {
        samples.push((
            Linear::Gemm {
                weight: random.floats(rows * input.elements()),
                bias: random.floats(rows),
                rows,
            },
            input,
        ));
    }
    samples.push((
        Linear::AveragePool {
            kernel: [2, 3],
            stride: [1, 2],
        },
        Shape::new(3, 5, 7),
    ));
    for shape in [Shape::new(3, 2, 2), Shape::new(20, 3, 1)] {
        samples.push((
            Linear::Affine {
                scale: random.floats(shape.c),
                shift: random.floats(shape.c),
            },
            shape,
        ));
    }
    samples.push((
        Linear::Slice {
            start: [1, 0, 2],
            step: [2, 3, 1],
            shape: Shape::new(2, 2, 3),
        },
        Shape::new(4, 4, 5),
    ));
    samples.push((
        Linear::Pad {
            before: [1, 0, 2],
            after: [0, 3, 1],
        },
        Shape::new(2, 2, 2),
    ));
    for (from, to) in [
        ([2, 2, 2], [8, 1, 1]),
        ([6, 1, 1], [1, 2, 3]),
        ([2, 2, 3], [2, 3, 2]),
    ] {
        let [from, to] = [from, to].map(|[c, h, w]| Shape::new(c, h, w));
        samples.push((Linear::Reshape { shape: to }, from));
    }
    samples
}

/// Panics unless `got` is `expect` up to `tolerance` of the largest magnitude.
pub fn close(got: &[f32], expect: &[f32], tolerance: f32, what: &str) {
    assert_eq!(got.len(), expect.len(), "{what}");
    let largest = expect.iter().fold(1.0f32, |m, e| m.max(e.abs()));
    for (i, (g, e)) in got.iter().zip(expect).enumerate() {
        assert!(
            (g - e).abs() <= tolerance * largest,
            "{what}: element {i} is {g}, not {e}"
        );
    }
}
