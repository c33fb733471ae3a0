use super::*;
use crate::testing::{close, linear_samples};
use hecc_ir::testing::Random;
use hecc_ir::{kernel, sparse::Sparse};

/// Inner product in f64.
fn inner(x: &[f32], y: &[f32]) -> f64 {
    x.iter()
        .zip(y)
        .map(|(&x, &y)| f64::from(x) * f64::from(y))
        .sum()
}

fn random_batch(random: &mut Random, n: usize, shape: Shape) -> Batch {
    Batch {
        n,
        shape,
        data: random.floats(n * shape.elements()),
    }
}

#[test]
fn forward_is_the_kernel_of_the_language() {
    let mut random = Random::new(1);
    for (linear, input) in linear_samples(&mut random) {
        let x = random_batch(&mut random, 3, input);
        let got = forward(&linear, &x).unwrap();
        let operator = Operator::new(&linear, input).unwrap();
        let mut here = vec![f32::NAN; got.data.len()];
        operator.apply_into(3, &x.data, &mut here, &mut Scratch::default());
        assert_eq!(here, got.data, "{linear:?} on {input}");
        for i in 0..x.n {
            let image = x.channels_first(i);
            let expect = kernel::apply(&linear, input, operator.output(), &image, true);
            close(
                &got.channels_first(i),
                &expect,
                1e-5,
                &format!("{linear:?} on {input}"),
            );
        }
    }
}

#[test]
fn input_gradient_is_the_transpose() {
    let mut random = Random::new(2);
    for (linear, input) in linear_samples(&mut random) {
        let output = linear.output_shape(input).unwrap();
        let gradient = random_batch(&mut random, 2, output);
        let got = input_gradient(&linear, input, &gradient).unwrap();
        assert_eq!((got.n, got.shape), (2, input));
        let matrix = Sparse::from_linear(&linear, input, output);
        for i in 0..2 {
            let mut expect = vec![0.0f64; input.elements()];
            for (row, g) in gradient.channels_first(i).into_iter().enumerate() {
                for &(column, weight) in matrix.row(row) {
                    expect[column as usize] += weight * f64::from(g);
                }
            }
            let expect: Vec<f32> = expect.into_iter().map(|e| e as f32).collect();
            close(
                &got.channels_first(i),
                &expect,
                1e-5,
                &format!("{linear:?} on {input}"),
            );
        }
    }
}

/// The result is affine in every constant, so that a difference of results is a derivative exactly.
#[test]
fn parameter_gradient_is_the_difference() {
    let mut random = Random::new(3);
    for (linear, input) in linear_samples(&mut random) {
        let output = linear.output_shape(input).unwrap();
        let (x, gradient) = (
            random_batch(&mut random, 11, input),
            random_batch(&mut random, 11, output),
        );
        let got = parameter_gradient(&linear, &x, &gradient).unwrap();
        let [first, second] = linear.constants();
        assert_eq!(
            [got[0].len(), got[1].len()],
            [first.len(), second.len()],
            "{linear:?}"
        );
        let before = inner(&forward(&linear, &x).unwrap().data, &gradient.data);
        for constant in 0..2 {
            for _ in 0..got[constant].len().min(12) {
                let at = random.below(got[constant].len());
                let moved = moved(&linear, constant, at);
                let after = inner(&forward(&moved, &x).unwrap().data, &gradient.data);
                let (got, expect) = (f64::from(got[constant][at]), after - before);
                assert!(
                    (got - expect).abs() < 2e-4 * (1.0 + expect.abs()),
                    "{linear:?} on {input}, constant {constant}, {at}: {got}, not {expect}"
                );
            }
        }
    }
}

/// With 1 added to one constant.
fn moved(linear: &Linear, constant: usize, at: usize) -> Linear {
    let mut linear = linear.clone();
    match &mut linear {
        Linear::Conv {
            weight: a, bias: b, ..
        }
        | Linear::ConvTranspose {
            weight: a, bias: b, ..
        }
        | Linear::Gemm {
            weight: a, bias: b, ..
        }
        | Linear::Affine { scale: a, shift: b }
        | Linear::Elementwise { scale: a, shift: b } => [a, b][constant][at] += 1.0,
        Linear::AveragePool { .. }
        | Linear::Slice { .. }
        | Linear::Pad { .. }
        | Linear::Gather { .. }
        | Linear::Reshape { .. } => {}
    }
    linear
}
