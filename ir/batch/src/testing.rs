//! Inputs for tests.

use hecc_ir::nn::{Linear, Shape, Window};
use hecc_ir::testing::{self, Random, conv};

/// Every linear operator with awkward attributes, and an input shape for it: those of all crates, and
/// those that come to the edges of blocks of 16 channels or pixels.
pub fn linear_samples(random: &mut Random) -> Vec<(Linear, Shape)> {
    let mut samples = testing::linear_samples(random);
    let apart = Window {
        pads: [0; 4],
        ..Window::same(2, 3)
    };
    // Some taps meet nothing but padding.
    let far = Window {
        pads: [4; 4],
        dilation: [4; 2],
        ..Window::same(3, 1)
    };
    let convolutions = [
        ([3, 16], Window::same(3, 1), [8, 8]),
        ([16, 32], Window::same(3, 2), [8, 8]),
        ([16, 40], Window::same(1, 2), [9, 7]),
        ([5, 7], Window::same(3, 1), [7, 9]),
        ([6, 6], Window::same(5, 2).grouped(6), [13, 9]),
        ([20, 20], Window::same(3, 1).grouped(20), [5, 4]),
        ([4, 8], Window::same(3, 1).grouped(4), [3, 5]),
        ([34, 18], Window::same(3, 1).grouped(2), [2, 2]),
        ([2, 3], Window::same(7, 1), [2, 1]),
        ([2, 3], apart, [9, 8]),
        ([2, 3], far, [3, 3]),
    ];
    for (channels, window, [h, w]) in convolutions {
        let input = Shape::new(channels[0], h, w);
        samples.push((conv(random, channels, window), input));
    }
    for (rows, input) in [(10, Shape::new(64, 1, 1)), (40, Shape::new(70, 1, 2))] {
        let gemm = Linear::Gemm {
            weight: random.floats(rows * input.elements()),
            bias: random.floats(rows),
            rows,
        };
        samples.push((gemm, input));
    }
    let wide = Linear::Affine {
        scale: random.floats(20),
        shift: random.floats(20),
    };
    samples.push((wide, Shape::new(20, 3, 1)));
    for (from, shape) in [
        (Shape::new(6, 1, 1), Shape::new(1, 2, 3)),
        (Shape::new(2, 2, 3), Shape::new(2, 3, 2)),
    ] {
        samples.push((Linear::Reshape { shape }, from));
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
