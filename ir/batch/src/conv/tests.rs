use super::*;
use crate::testing::close;
use hecc_ir::testing::Random;
use pulp::{Scalar, Simd, WithSimd};
use rayon::ThreadPoolBuilder;

#[test]
fn gradients_do_not_depend_on_the_threads() {
    let mut random = Random::new(4);
    let (input, output) = (Shape::new(5, 6, 6), Shape::new(20, 6, 6));
    let window = Window {
        kernel: [3, 3],
        stride: [1, 1],
        pads: [1; 4],
        dilation: [1, 1],
        groups: 1,
    };
    let mut batch = |shape: Shape| Batch {
        n: 19,
        shape,
        data: random.floats(19 * shape.elements()),
    };
    let (x, gradient) = (batch(input), batch(output));
    let with = |threads| {
        let pool = ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| weight_gradient(&x, &gradient, &window).unwrap())
    };
    let one = with(1);
    assert_eq!(one.len(), 20 * 5 * 9);
    assert_eq!(one, with(3));
}

#[test]
fn absurd_paddings_are_refused() {
    let window = Window {
        kernel: [1, 1],
        stride: [1, 1],
        pads: [60_000; 4],
        dilation: [1, 1],
        groups: 1,
    };
    let (x, shape) = (
        Batch::zeros(1, Shape::new(1, 1, 1)),
        Shape::new(1, 120_001, 120_001),
    );
    let positions = Correlation::forward(&window, x.shape, shape, &[1.0], &[]);
    assert!(matches!(positions, Err(BatchError::Padding { .. })));
}

/// What machines of other instruction sets compute.
#[test]
fn all_instruction_sets_agree() {
    let mut random = Random::new(12);
    for (pixels, inputs, outputs) in [
        (3usize, 5usize, 7usize),
        (40, 9, 50),
        (21, 16, 32),
        (17, 1, 16),
    ] {
        let across = outputs.next_multiple_of(LANES);
        let source = random.floats((pixels + 3) * inputs);
        let (weights, bias) = (random.floats(3 * inputs * across), random.floats(across));
        let gradient = random.floats(pixels * outputs);
        let starts = |size: usize| -> Vec<u32> { (0..pixels).map(|p| (p * size) as u32).collect() };
        let (bases, places, taps) = (starts(inputs), starts(outputs), starts(inputs));
        let forward = |run: &dyn Fn(Tiles)| {
            let mut target = vec![0.0; pixels * outputs];
            run(Tiles {
                source: &source,
                bases: &bases,
                taps: &taps[..3],
                weights: &weights,
                bias: &bias,
                inputs,
                outputs,
                target: &mut target,
                places: &places,
            });
            target
        };
        let backward = |run: &dyn Fn(weights::Products)| {
            let mut sums = vec![0.0; inputs * across];
            run(weights::Products {
                source: &source,
                bases: &bases,
                gradient: &gradient,
                places: &places,
                inputs,
                outputs,
                sums: &mut sums,
            });
            let rows = sums.chunks_exact(across);
            rows.flat_map(|row| row[..outputs].to_vec())
                .collect::<Vec<f32>>()
        };
        let expect = (
            forward(&|tiles| tiles.with_simd(Scalar)),
            backward(&|products| products.with_simd(Scalar)),
        );
        let naive = |pixel: usize, to: usize| {
            let terms = (0..3 * inputs).map(|i| {
                let (tap, from) = (i / inputs, i % inputs);
                source[(pixel + tap) * inputs + from] * weights[i * across + to]
            });
            bias[to] + terms.sum::<f32>()
        };
        let all = (0..pixels * outputs).map(|i| naive(i / outputs, i % outputs));
        close(&expect.0, &all.collect::<Vec<_>>(), 1e-5, "scalar");
        let check = |got: (Vec<f32>, Vec<f32>), name: &str| {
            close(&got.0, &expect.0, 1e-5, name);
            close(&got.1, &expect.1, 1e-5, name);
        };
        let arch = pulp::Arch::new();
        let best = (
            forward(&|tiles| arch.dispatch(tiles)),
            backward(&|products| arch.dispatch(products)),
        );
        check(best, "best");
        #[cfg(target_arch = "x86_64")]
        if let Some(simd) = pulp::x86::V3::try_new() {
            let v3 = (
                forward(&|tiles| Simd::vectorize(simd, tiles)),
                backward(&|products| Simd::vectorize(simd, products)),
            );
            check(v3, "AVX2");
        }
    }
}
