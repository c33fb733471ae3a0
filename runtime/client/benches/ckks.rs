//! Full-size operations (N = 2^15, 861 bits): rotation, product, and one ReLU of degree 31 inside
//! the bootstrap. Every result is decrypted and checked before it is timed.
//!
//! `cargo bench -p hecc-client`; RAYON_NUM_THREADS sets the number of threads.

#![allow(missing_docs)] // criterion_group makes an undocumented function

#[path = "../tests/common/mod.rs"]
mod common;

use common::*;
use criterion::{Criterion, criterion_group, criterion_main};
use hecc_ckks::polynomial::chebyshev_value;
use hecc_ckks::{Bootstrapper, Context, Parameters};
use hecc_client::{decrypt, encrypt};
use std::f64::consts::{FRAC_PI_2, PI};
use std::time::Duration;

/// ReLU of (theta / (pi/2) - 1) / rho as a series in cos k theta, by projection.
fn relu_series(degree: usize, rho: f64) -> Vec<f64> {
    let nodes = 4096;
    let theta = |j: usize| PI * (j as f64 + 0.5) / nodes as f64;
    let relu = |theta: f64| ((theta / FRAC_PI_2 - 1.0) / rho).max(0.0);
    let coefficient = |k: usize| {
        let sum: f64 = (0..nodes)
            .map(|j| relu(theta(j)) * (k as f64 * theta(j)).cos())
            .sum();
        sum * if k == 0 { 1.0 } else { 2.0 } / nodes as f64
    };
    (0..=degree).map(coefficient).collect()
}

fn operations(c: &mut Criterion) {
    let log_n = 15;
    let (q, p) = primes(log_n, &chain(5, 34), &[46; 4]);
    let context = Context::new(Parameters {
        log_n,
        q,
        p,
        digit: 5,
    })
    .expect("parameters");
    let mut shape = shape(log_n);
    (shape.stc, shape.cts) = (vec![6, 7], vec![5, 4, 4]);
    let bootstrapper = Bootstrapper::new(&context, shape, None).expect("shape");
    let party = Party::new(&context);
    let top = context.top();
    let e = party.evaluator(bootstrapper.rotations().into_iter().chain([(1, top)]));
    let v = ramp(context.slots(), 5);
    let assert_close = |got: &hecc_ckks::Ciphertext, expected: &[f64], bits: f64| {
        let error = error_bits(&decrypt(&context, &party.secret, got), expected);
        assert!(error < bits, "error 2^{error:.1}");
    };

    let scale = (1u64 << 35) as f64;
    for level in [top, 3] {
        let scale = if level == top {
            scale
        } else {
            (1u64 << 30) as f64
        };
        let x = encrypt(&context, &party.secret, &v, level, scale)
            .expect("fits")
            .expand(&context);
        let mut rotated = v.clone();
        rotated.rotate_left(1);
        assert_close(&e.rotate(&x, 1).expect("key"), &rotated, -10.0);
        let squares: Vec<f64> = v.iter().map(|v| v * v).collect();
        assert_close(&e.square(&x).expect("key"), &squares, -10.0);
        c.bench_function(&format!("rotate at level {level}"), |b| {
            b.iter(|| e.rotate(&x, 1))
        });
        c.bench_function(&format!("square at level {level}"), |b| {
            b.iter(|| e.square(&x))
        });
    }

    let scale = bootstrapper.shape().input_scale;
    let rho = bootstrapper.shape().rho;
    let x = encrypt(&context, &party.secret, &v, 2, scale)
        .expect("fits")
        .expand(&context);
    let series = relu_series(31, rho);
    let expected: Vec<f64> = v
        .iter()
        .map(|v| chebyshev_value(&series, (FRAC_PI_2 * (1.0 + rho * v)).cos()))
        .collect();
    assert_close(
        &bootstrapper.activate(&e, &x, &series, scale).expect("keys"),
        &expected,
        -9.0,
    );
    c.bench_function("ReLU of degree 31 in the bootstrap", |b| {
        b.iter(|| bootstrapper.activate(&e, &x, &series, scale))
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10).measurement_time(Duration::from_secs(20));
    targets = operations
}
criterion_main!(benches);
