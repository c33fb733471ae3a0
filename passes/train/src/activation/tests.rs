use hecc_ir::testing::Random;

use super::*;

const SHAPE: Shape = Shape { c: 3, h: 2, w: 4 };

fn sample(random: &mut Random) -> Batch {
    let data = random.floats(5 * SHAPE.elements());
    Batch {
        n: 5,
        shape: SHAPE,
        data: data.iter().map(|x| 3.0 * x).collect(),
    }
}

fn rows(random: &mut Random, terms: usize) -> Vec<Vec<f32>> {
    (0..3).map(|_| random.floats(terms)).collect()
}

/// Gradients of sum w y + penalty * squares against differences.
fn check(original: Function, op: Op, share: f32) {
    let mut random = Random::new(5);
    let mut activation = Activation::new(&original, &op, SHAPE, "a").unwrap();
    if let Replacement::Polynomial(p) = &mut activation.replacement {
        let rows = p.rows();
        p.sigma = vec![0.5, 1.0, 3.0];
        p.mu = vec![0.1, 0.0, -1.0];
        p.set_rows(&rows);
        for (a, b) in rows.iter().flatten().zip(p.rows().iter().flatten()) {
            assert!((a - b).abs() < 1e-6);
        }
    }
    activation.share = share;
    activation.bounds = vec![[0.2, 1.5], [0.0, 2.0], [0.0, f32::INFINITY]];
    let x = sample(&mut random);
    let weight = random.floats(x.data.len());
    let penalty = 0.3;
    let value = |activation: &Activation, x: &Batch| {
        let (y, excess) = activation.forward(x, true);
        let terms = y.data.iter().zip(&weight);
        let sum: f64 = terms.map(|(y, w)| f64::from(y * w)).sum();
        sum + f64::from(penalty) * excess.squares
    };
    let mut g = Batch {
        data: weight.clone(),
        ..x.clone()
    };
    let coefficients = activation.backward(&x, &mut g, penalty, true);
    let step = 1e-2f32;
    let close = |got: f32, up: f64, down: f64| {
        let slope = (up - down) / (2.0 * f64::from(step));
        assert!(
            (slope - f64::from(got)).abs() < 6e-3,
            "{op:?}: {got} {slope}"
        );
    };
    for i in (0..x.data.len())
        .step_by(4)
        .filter(|&i| x.data[i].abs() > 0.05)
    {
        let moved = |step: f32| {
            let mut x = x.clone();
            x.data[i] += step;
            value(&activation, &x)
        };
        let (up, down) = (moved(step), moved(-step));
        close(g.data[i], up, down);
    }
    let count = coefficients.as_ref().map_or(0, Vec::len);
    for i in 0..count {
        let mut moved = |step: f32| {
            if let Replacement::Polynomial(p) = &mut activation.replacement {
                p.coefficients[i] += step;
            }
            value(&activation, &x)
        };
        let (up, down) = (moved(step), moved(-2.0 * step));
        moved(step);
        close(coefficients.as_ref().unwrap()[i], up, down);
    }
}

#[test]
fn gradients_are_slopes() {
    let mut random = Random::new(4);
    let quadratic = |random: &mut Random| {
        Op::Activation(Function::Polynomial {
            coefficients: rows(random, 3),
        })
    };
    let line = Op::Linear(Linear::Affine {
        scale: random.floats(3),
        shift: random.floats(3),
    });
    for share in [0.0, 0.3, 1.0] {
        check(Function::Relu, quadratic(&mut random), share);
        check(Function::Silu, quadratic(&mut random), share);
        check(Function::Relu, line.clone(), share);
    }
    check(Function::Relu, Op::Activation(Function::Relu), 1.0);
    check(Function::Tanh, Op::Activation(Function::Tanh), 1.0);
}

#[test]
fn straight_through_fixed_functions() {
    let op = Op::Activation(Function::Silu);
    let mut activation = Activation::new(&Function::Relu, &op, SHAPE, "a").unwrap();
    let x = sample(&mut Random::new(1));
    let mut g = Batch {
        data: vec![2.0; x.data.len()],
        ..x.clone()
    };
    assert_eq!(activation.backward(&x, &mut g, 1.0, true), None);
    for (x, g) in x.data.iter().zip(&g.data) {
        assert_eq!(*g, if *x > 0.0 { 2.0 } else { 0.0 });
    }
    activation.share = 0.25;
    let (y, _) = activation.forward(&x, true);
    for (x, y) in x.data.iter().zip(&y.data) {
        let silu = Function::Silu.apply(0, f64::from(*x)) as f32;
        assert!((y - 0.75 * x.max(0.0) - 0.25 * silu).abs() < 1e-3);
    }
}

#[test]
fn operators_that_are_no_function() {
    let pool = Linear::AveragePool {
        kernel: [1, 1],
        stride: [1, 1],
    };
    let short = Linear::Affine {
        scale: vec![1.0],
        shift: vec![0.0],
    };
    for op in [Op::Add, Op::Linear(pool), Op::Linear(short)] {
        let error = Activation::new(&Function::Relu, &op, SHAPE, "relu_3").err();
        let message = error.unwrap().to_string();
        assert!(message.contains("'relu_3'"), "{message}");
    }
}
