use hecc_ir::calibration::BINS;

use super::*;
use crate::testing::bell;

fn of(function: &Function, statistics: &ActivationStatistics) -> Vec<Candidate> {
    let shape = Shape::new(3, 2, 2);
    let options = Options {
        restarts: 0,
        ..Options::default()
    };
    candidates(function, shape, statistics, &options).unwrap()
}

#[test]
fn every_kind_in_order() {
    let check = |function: Function| {
        let found = of(&function, &bell(0.15));
        assert_eq!(found[0].kind, Kind::Pruned);
        let order: Vec<_> = found.iter().map(|c| c.kind.order()).collect();
        assert!(order.is_sorted(), "{order:?}");
        for kind in [Kind::Quadratic, Kind::Levelled(3), Kind::Fused(127)] {
            let discriminant = std::mem::discriminant(&kind);
            let kin = found
                .iter()
                .filter(|c| std::mem::discriminant(&c.kind) == discriminant);
            assert!(kin.count() >= 1, "{kind}");
        }
        // Errors fall with the degree, down to those of the roll-off.
        for fused in [false, true] {
            let series = |c: &&Candidate| match c.kind {
                Kind::Levelled(_) => !fused,
                Kind::Fused(_) => fused,
                Kind::Pruned | Kind::Quadratic | Kind::Composite(_) => false,
            };
            let errors: Vec<f64> = found.iter().filter(series).map(|c| c.error).collect();
            assert!(errors.is_sorted_by(|a, b| a > b || *a < 1e-5), "{errors:?}");
        }
        for (candidate, row) in found.iter().zip(describe(&found)) {
            assert_eq!((row.error, row.winner), (candidate.error, candidate.method));
            assert_eq!(row.trials[0].error, row.error);
            if let Op::Activation(function) = &candidate.op {
                function.verify(3).unwrap();
            }
        }
    };
    check(Function::Relu);
    check(Function::Silu);
    check(Function::LeakyRelu { slope: 0.1 });
    check(Function::Gelu { tanh: false });
}

#[test]
fn one_composition_a_depth() {
    let options = Options {
        restarts: 0,
        dominated: true,
        ..Options::default()
    };
    let shape = Shape::new(3, 2, 2);
    let found = candidates(&Function::Relu, shape, &bell(0.15), &options).unwrap();
    let composites: Vec<&Candidate> = found
        .iter()
        .filter(|c| matches!(c.kind, Kind::Composite(_)))
        .collect();
    let depths: Vec<usize> = composites.iter().map(|c| c.kind.depth()).collect();
    assert_eq!(depths, [3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14]);
    assert!(composites.is_sorted_by(|a, b| a.error > b.error));
    for composite in composites {
        assert_eq!(composite.trials.len(), 2, "{}", composite.kind);
        assert_eq!(composite.trials[0].method, composite.method);
    }
    let kept = of(&Function::Relu, &bell(0.15)).len();
    assert!(kept < found.len());
}

/// Solves the normal equations in powers of the network's value, by Gaussian elimination.
fn dense(degree: usize, points: &[(f64, f64)], target: impl Fn(f64) -> f64) -> Vec<f64> {
    let n = degree + 1;
    let sum = |f: &dyn Fn(f64) -> f64| points.iter().map(|&(x, w)| w * f(x)).sum::<f64>();
    let mut rows: Vec<Vec<f64>> = (0..n)
        .map(|k| {
            let mut row: Vec<f64> = (0..n).map(|l| sum(&|x| x.powi((k + l) as i32))).collect();
            row.push(sum(&|x| x.powi(k as i32) * target(x)));
            row
        })
        .collect();
    for k in 0..n {
        let head = rows[k].clone();
        for (i, row) in rows.iter_mut().enumerate() {
            let factor = row[k] / head[k];
            if i != k {
                row.iter_mut()
                    .zip(&head)
                    .for_each(|(v, h)| *v -= factor * h);
            }
        }
    }
    (0..n).map(|k| rows[k][n] / rows[k][k]).collect()
}

#[test]
fn least_squares_are_the_dense_ones() {
    // Ends beyond which there is next to nothing: how much of a bin at an end counts is no matter here.
    let statistics = ActivationStatistics {
        min: -8.0,
        max: 7.0,
        ..bell(0.2)
    };
    let total: f64 = statistics.histogram.iter().map(|&n| n as f64).sum();
    // Thirty-two points in a bin, where the pass has eight.
    let points: Vec<(f64, f64)> = (0..BINS * 32)
        .map(|i| {
            let x = 8.0 * (2.0 * (i as f64 + 0.5) / (BINS * 32) as f64 - 1.0);
            (x, statistics.histogram[i / 32] as f64 / (32.0 * total))
        })
        .filter(|(x, _)| (statistics.min..=statistics.max).contains(x))
        .collect();
    for function in [Function::Relu, Function::Mish, Function::Tanh] {
        let found = of(&function, &statistics);
        let target = |x: f64| function.apply(0, x);
        let Op::Linear(Linear::Affine { scale, shift }) = &found[0].op else {
            panic!("{:?}", found[0].op);
        };
        let line = [shift[2], scale[2]];
        let Op::Activation(Function::Polynomial { coefficients }) = &found[1].op else {
            panic!("{:?}", found[1].op);
        };
        for (got, degree) in [(&line[..], 1), (&coefficients[0][..], 2)] {
            let expect = dense(degree, &points, target);
            for (got, expect) in got.iter().zip(&expect) {
                let error = (f64::from(*got) - expect).abs();
                assert!(error < 1e-3, "{function:?} {degree}: {got}, {expect}");
            }
        }
    }
}

#[test]
fn polynomials_are_pruned_or_stay_themselves() {
    let check = |function: Function, kinds: &[Kind]| {
        let found = of(&function, &bell(0.2));
        let got: Vec<Kind> = found.iter().map(|c| c.kind.clone()).collect();
        assert_eq!(got, kinds, "{function:?}");
        if let [_, itself] = &found[..] {
            assert_eq!(itself.op, Op::Activation(function));
            assert_eq!((itself.error, itself.method), (0.0, Method::Exact));
        }
    };
    let polynomial = |coefficients| Function::Polynomial { coefficients };
    let rows = vec![
        vec![0.1, 0.5, 0.2],
        vec![0.0, 1.0, 0.0],
        vec![1.0, -1.0, 0.1],
    ];
    check(polynomial(rows), &[Kind::Pruned, Kind::Quadratic]);
    check(polynomial(vec![vec![0.5, 2.0]]), &[Kind::Pruned]);
    check(
        Function::Power { exponent: 2 },
        &[Kind::Pruned, Kind::Quadratic],
    );
    check(
        Function::Power { exponent: 3 },
        &[Kind::Pruned, Kind::Levelled(3)],
    );
    let composed = Approximation::Levelled {
        range: 10.0,
        polynomials: vec![vec![0.0, 1.0], vec![0.5, 0.5]],
        times_x: true,
    };
    check(
        Function::Approximated(composed),
        &[Kind::Pruned, Kind::Composite(vec![1, 1])],
    );
}

#[test]
fn lines_are_each_channels_own() {
    let rows = vec![
        vec![0.1, 0.5, 0.0],
        vec![0.0, 1.0, 0.0],
        vec![1.0, -1.0, 0.0],
    ];
    let function = Function::Polynomial { coefficients: rows };
    let found = of(&function, &bell(0.2));
    let Op::Linear(Linear::Affine { scale, shift }) = &found[0].op else {
        panic!("{:?}", found[0].op);
    };
    for c in 0..3 {
        let expect = Function::Polynomial {
            coefficients: vec![vec![shift[c], scale[c]]],
        };
        let error = (function.apply(c, 2.0) - expect.apply(0, 2.0)).abs();
        assert!(error < 1e-6, "{c}: {error}");
    }
    assert!(found[0].error < 1e-7 && found[0].method == Method::LeastSquares);
}

#[test]
fn odd_statistics() {
    let mut s = bell(0.2);
    (s.min, s.max, s.histogram) = (0.0, 0.0, vec![0; BINS]);
    for candidate in of(&Function::Relu, &s) {
        assert!(candidate.error.is_finite(), "{}", candidate.kind);
    }
    // Never positive: the closest line is zero.
    s = bell(0.2);
    (s.min, s.max) = (-6.0, -1.0);
    s.histogram[BINS / 2..].fill(0);
    let found = of(&Function::Relu, &s);
    assert!(found[0].error < 1e-3);
    assert!(of(&Function::Reciprocal, &bell(0.2)).len() > 3);
    s.max = f64::INFINITY;
    let shape = Shape::new(3, 2, 2);
    let refused = candidates(&Function::Relu, shape, &s, &Options::default());
    assert!(matches!(refused, Err(PassError::Calibration(_))));
    s = bell(0.2);
    (s.min, s.max) = (-2000.0, 2000.0);
    let refused = candidates(&Function::Exp, shape, &s, &Options::default());
    assert!(matches!(refused, Err(PassError::Calibration(_))));
}
