use super::*;
use crate::testing::close;
use hecc_ir::testing::Random;

/// Against the function itself, on values up to `reach`; `tolerance` is of the largest result.
fn check(op: Op, reach: f32, tolerance: f32) {
    let mut random = Random::new(5);
    for shape in [
        Shape::new(3, 5, 7),
        Shape::new(32, 4, 4),
        Shape::new(10, 1, 1),
    ] {
        let images: Vec<Vec<f32>> = (0..3)
            .map(|_| {
                random
                    .floats(shape.elements())
                    .iter()
                    .map(|x| reach * x)
                    .collect()
            })
            .collect();
        let slices: Vec<&[f32]> = images.iter().map(Vec::as_slice).collect();
        let mut batch = Batch::from_images(shape, &slices);
        let op = for_channels(&op, shape);
        Elementwise::new(&op, shape).unwrap().apply(&mut batch);
        for (i, image) in images.iter().enumerate() {
            let mut expect = image.clone();
            match &op {
                Op::Activation(f) => f.apply_all(shape.h * shape.w, &mut expect),
                Op::Linear(linear) => {
                    expect = hecc_ir::kernel::apply(linear, shape, shape, image, true);
                }
                Op::Input | Op::Add | Op::Mul => unreachable!("no function"),
            }
            close(
                &batch.channels_first(i),
                &expect,
                tolerance,
                &format!("{op:?} on {shape}"),
            );
        }
    }
}

/// Rows of coefficients for as many channels as there are.
fn for_channels(op: &Op, shape: Shape) -> Op {
    let Op::Activation(Function::Polynomial { coefficients }) = op else {
        return op.clone();
    };
    let rows = if coefficients.len() == 1 { 1 } else { shape.c };
    let coefficients = (0..rows)
        .map(|c| coefficients[c % coefficients.len()].clone())
        .collect();
    Op::Activation(Function::Polynomial { coefficients })
}

#[test]
fn functions_are_themselves() {
    let exact = [
        Function::Relu,
        Function::LeakyRelu { slope: 0.1 },
        Function::Clip {
            min: -0.5,
            max: 6.0,
        },
        Function::HardSigmoid {
            alpha: 0.2,
            beta: 0.5,
        },
        Function::HardSwish,
        Function::Abs,
        Function::Sqrt,
        Function::Exp,
        Function::Power { exponent: 2 },
        Function::Power { exponent: 5 },
        Function::Approximated(Approximation::Square { range: 3.0 }),
    ];
    for function in exact {
        check(Op::Activation(function), 4.0, 1e-6);
    }
    let smooth = [
        Function::Sigmoid,
        Function::Silu,
        Function::Gelu { tanh: false },
        Function::Gelu { tanh: true },
        Function::Tanh,
        Function::Elu { alpha: 0.7 },
        Function::Softplus,
        Function::Mish,
    ];
    for function in smooth {
        check(Op::Activation(function.clone()), 4.0, 2e-6);
        check(Op::Activation(function), 40.0, 2e-6);
    }
    let mut x = Batch::from_images(Shape::new(1, 1, 2), &[&[4.0, -0.5]]);
    let reciprocal = Op::Activation(Function::Reciprocal);
    Elementwise::new(&reciprocal, x.shape)
        .unwrap()
        .apply(&mut x);
    assert_eq!(x.data, [0.25, -2.0]);
}

#[test]
fn polynomials_are_exact() {
    let mut random = Random::new(6);
    for (rows, degree) in [(1, 1), (1, 2), (2, 2), (5, 3), (3, 7), (1, 16)] {
        let coefficients = (0..rows).map(|_| random.floats(degree + 1)).collect();
        check(
            Op::Activation(Function::Polynomial { coefficients }),
            1.2,
            2e-6,
        );
    }
}

#[test]
fn series_are_exact_inside_and_outside() {
    let mut random = Random::new(7);
    // A ReLU's decay as the square of the degree.
    let mut series = |degree: usize| -> Vec<f64> {
        (0..=degree)
            .map(|k| random.unit() / (1 + k * k) as f64)
            .collect()
    };
    for degree in [1, 7, 15, 31, 127] {
        let fused = Approximation::Fused {
            range: 6.0,
            rho: 0.92,
            coefficients: series(degree),
        };
        check(Op::Activation(Function::Approximated(fused)), 40.0, 3e-5);
    }
    for (degrees, times_x) in [(vec![3], false), (vec![27], false), (vec![3, 5, 3], true)] {
        for reach in [6.0, 9.0] {
            let levelled = Approximation::Levelled {
                range: 6.0,
                polynomials: degrees.iter().map(|&d| series(d)).collect(),
                times_x,
            };
            check(
                Op::Activation(Function::Approximated(levelled)),
                reach,
                1e-4,
            );
        }
    }
}

#[test]
fn what_is_not_finite_stays_so() {
    let shape = Shape::new(2, 1, 1);
    let fused = Approximation::Fused {
        range: 2.0,
        rho: 0.9,
        coefficients: vec![0.5, 1.0],
    };
    for function in [Function::Approximated(fused), Function::Silu] {
        let mut batch = Batch::from_images(shape, &[&[f32::NAN, f32::INFINITY]]);
        let op = Op::Activation(function.clone());
        Elementwise::new(&op, shape).unwrap().apply(&mut batch);
        assert!(
            batch.data[0].is_nan() && !batch.data[1].is_finite(),
            "{function:?}"
        );
    }
}

#[test]
fn other_operators_are_refused() {
    let shape = Shape::new(2, 1, 1);
    let check = |op: Op, expect: &str| {
        let message = Elementwise::new(&op, shape).unwrap_err().to_string();
        assert!(message.contains(expect), "{message}");
    };
    check(Op::Add, "add is no function of one number");
    check(
        Op::Linear(Linear::Reshape { shape }),
        "reshape is no function",
    );
    let affine = Linear::Affine {
        scale: vec![1.0],
        shift: vec![1.0],
    };
    check(Op::Linear(affine), "affine: ");
    let coefficients = vec![vec![0.0, 1.0]; 3];
    check(
        Op::Activation(Function::Polynomial { coefficients }),
        "polynomial on a value of 2x1x1",
    );
}
