//! Forty levels without a bootstrap, as degree-2 networks use them, on a small insecure ring.

mod common;
use common::*;
use hecc_ckks::polynomial::{chebyshev_value, depth};
use hecc_ckks::{Context, EvaluationKeys, Evaluator, LinearTransform, Parameters};
use hecc_client::{KeyGenerator, SecretKey, SecretSeed, decrypt, encrypt};
use std::sync::Arc;

const LOG_N: u32 = 12;
const SCALE: f64 = (1u64 << 34) as f64;

/// Linear maps and squares in turns, from the top level to the bottom.
fn check(digit: usize) {
    let bits: Vec<u32> = std::iter::once(44).chain([34; 39]).collect();
    let (q, p) = primes(LOG_N, &bits, &[50; 7]);
    let parameters = Parameters {
        log_n: LOG_N,
        q,
        p,
        digit,
    };
    let context = Context::new(parameters).unwrap();
    let secret = SecretKey::from_seed(&context, &SecretSeed::random().unwrap());
    let mut make = KeyGenerator::new(&context, &secret).unwrap();
    let (top, slots) = (context.top(), context.slots());
    let keys = EvaluationKeys {
        relinearisation: Some(make.relinearisation(top)),
        rotations: [1, 2, 3, 4].map(|s| (s, make.rotation(s, top))).into(),
        ..EvaluationKeys::default()
    };
    let e = Evaluator::new(context.clone(), Arc::new(keys));

    let mut exact = ramp(slots, 6);
    let mut x = encrypt(&context, &secret, &exact, top, SCALE)
        .unwrap()
        .expand(&context);
    let bits = |x: &hecc_ckks::Ciphertext, exact: &[f64]| {
        error_bits(&decrypt(&context, &secret, x), exact)
    };

    let series: Vec<f64> = ramp(64, 3).iter().map(|c| c / 64.0).collect();
    let values: Vec<f64> = exact.iter().map(|&x| chebyshev_value(&series, x)).collect();
    let y = e.chebyshev(&x, &series, SCALE).unwrap();
    assert_eq!(y.level(), top - depth(63));
    let error = bits(&y, &values);
    assert!(error < -15.0, "polynomial: 2^{error:.1}");

    while x.level() > 1 {
        let level = x.level();
        let weights = [(0, 0.9), (1, -0.4), (3, 0.3), (6, 0.4)];
        let diagonals = weights.map(|(d, w)| ((0, d), vec![w; slots]));
        let scale = SCALE * context.q(level).value() as f64 / x.scale();
        let map = LinearTransform::real(&context, diagonals, 4, level, scale).unwrap();
        x = e.transform(&map, &x).unwrap();
        exact = (0..slots)
            .map(|s| {
                weights
                    .iter()
                    .map(|(d, w)| w * exact[(s + d) % slots])
                    .sum()
            })
            .collect();
        let error = bits(&x, &exact);
        assert!(error < -14.0, "level {}: 2^{error:.1}", x.level());
        x = e.square(&x).unwrap();
        exact.iter_mut().for_each(|x| *x *= *x);
    }
    let error = bits(&x, &exact);
    assert!(error < -14.0, "in the end: 2^{error:.1}");
    assert_eq!(x.level(), 1);
}

#[test]
fn six_digits() {
    check(7);
}

#[test]
fn ten_digits() {
    check(4);
}
