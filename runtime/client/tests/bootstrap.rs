//! The activation inside the bootstrap, on a small insecure ring.

mod common;
use common::*;
use hecc_ckks::polynomial::chebyshev_value;
use hecc_ckks::{Bootstrapper, Context};
use hecc_client::{decrypt, encrypt};
use std::f64::consts::FRAC_PI_2;
use std::sync::Arc;

/// A degree-15 series; any will do.
fn series() -> Vec<f64> {
    ramp(16, 9)
        .iter()
        .enumerate()
        .map(|(k, c)| c / (1.0 + (k * k) as f64))
        .collect()
}

/// A bootstrapper made for the permutation, and one derived from another.
fn check(permutation: Option<Vec<usize>>) {
    let log_n = 11;
    let context = insecure_context(log_n, 4);
    let of = |permutation| Bootstrapper::new(&context, shape(log_n), permutation).unwrap();
    let made = of(permutation.as_deref());
    check_one(&context, &made, &permutation);
    if permutation.is_some() {
        let derived = of(None).permuted(permutation.as_deref()).unwrap();
        check_one(&context, &derived, &permutation);
        check_one(&context, &made.permuted(None).unwrap(), &None);
    }
}

fn check_one(
    context: &Arc<Context>,
    bootstrapper: &Bootstrapper,
    permutation: &Option<Vec<usize>>,
) {
    let slots = context.slots();
    let party = Party::new(context);
    let e = party.evaluator(bootstrapper.rotations());
    let v = ramp(slots, 5);
    let scale = bootstrapper.shape().input_scale;
    let x = encrypt(context, &party.secret, &v, 2, scale)
        .unwrap()
        .expand(context);
    let source = |s: usize| permutation.as_ref().map_or(s, |p| p[s]);
    let angle = |s: usize| FRAC_PI_2 * (1.0 + 0.92 * v[source(s)]);

    let y = bootstrapper.cosine(&e, &x).unwrap();
    let cosines: Vec<f64> = (0..slots).map(|s| angle(s).cos()).collect();
    let error = error_bits(&decrypt(context, &party.secret, &y), &cosines);
    assert!(error < -12.0, "cosine: 2^{error:.1}");

    let out = bootstrapper.activate(&e, &x, &series(), scale).unwrap();
    assert_eq!((out.level(), out.scale()), (3, scale));
    let expected: Vec<f64> = cosines
        .iter()
        .map(|&y| chebyshev_value(&series(), y))
        .collect();
    let error = error_bits(&decrypt(context, &party.secret, &out), &expected);
    assert!(error < -11.0, "activation: 2^{error:.1}");
}

#[test]
fn activation() {
    check(None);
}

#[test]
fn activation_with_twisted_copies() {
    // Two copies of 512 slots; the second shows its content rotated by 128 slots.
    check(Some(
        (0..1024)
            .map(|s| {
                if s < 512 {
                    s
                } else {
                    512 + (s - 512 + 128) % 512
                }
            })
            .collect(),
    ));
}

#[test]
fn activation_with_exchanged_halves() {
    check(Some((0..1024).map(|s| (s + 512) % 1024).collect()));
}
