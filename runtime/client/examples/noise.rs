//! Prints the error that each operation adds, in slot units, next to the formula for it.
//!
//! Ring 2^15 with the chain of the fused bootstrap (P of degree 15). Every result is decrypted and
//! compared with what the decrypted operands should give, so that a row shows the noise of its own
//! operation only. `cargo run --release -p hecc-client --example noise`

#[path = "../tests/common/mod.rs"]
mod common;

use common::*;
use hecc_ckks::polynomial::chebyshev_value;
use hecc_ckks::{
    Bootstrapper, Ciphertext, Complex64, Context, Evaluator, LinearTransform, Parameters,
};
use hecc_client::{decrypt, encrypt};
use std::f64::consts::{FRAC_PI_2, PI};

/// Variance of a coefficient of a fresh error: centred binomial of 42 bits.
const ERROR: f64 = 10.5;

fn main() {
    let log_n = 15;
    let (q, p) = primes(log_n, &chain(4, 34), &[46; 4]);
    let parameters = Parameters {
        log_n,
        q,
        p,
        digit: 5,
    };
    let context = Context::new(parameters).expect("parameters");
    let mut shape = shape(log_n);
    (shape.stc, shape.cts) = (vec![6, 7], vec![5, 4, 4]);
    let bootstrapper = Bootstrapper::new(&context, shape, None).expect("shape");
    let party = Party::new(&context);
    let top = context.top();
    let own = (0..16).chain((1..16).map(|k| 16 * k)).map(|s| (s, top));
    let rotations = bootstrapper.rotations().into_iter().chain(own);
    let e = party.evaluator(rotations.filter(|&(steps, _)| steps != 0));
    println!(
        "N = 2^{log_n}, q: 32 | 30 x 3 | 34 x 4 | 35 x 11, P: 46 x 4, digits of 5, top level {top}"
    );
    // A rounding of c1 meets the secret, slot by slot a product of two complex normal numbers: its
    // real part has a Laplace distribution, of kurtosis 6.
    println!(
        "operation                                  sd         max      kurtosis  formula's sd"
    );
    for level in [3, 7, 14] {
        arithmetic(&party, &e, level);
    }
    bootstrap(&party, &e, &bootstrapper);
}

/// Standard deviation of a real slot when every coefficient has this variance: the real part of a
/// slot is a sum of N coefficients, each times a cosine.
fn slot(context: &Context, variance: f64) -> f64 {
    (context.n() as f64 / 2.0 * variance).sqrt()
}

/// Variance of a coefficient of r0 + r1 s, with roundings r0 and r1 and a dense ternary secret s.
fn rounding(context: &Context) -> f64 {
    (1.0 + context.n() as f64 * 2.0 / 3.0) / 12.0
}

fn arithmetic(party: &Party, e: &Evaluator, level: usize) {
    let (context, secret) = (&party.context, &party.secret);
    let slots = context.slots();
    let q = context.q(level).value() as f64;
    let scale = 2f64.powi(if level <= 3 { 30 } else { 34 });
    let (a, b) = (uniform(slots, 1), uniform(slots, 2));
    let fresh = |values: &[f64]| {
        encrypt(context, secret, values, level, scale)
            .expect("fits")
            .expand(context)
    };
    let read = |x: &Ciphertext| decrypt(context, secret, x);
    let (x, y) = (fresh(&a), fresh(&b));
    println!("-- level {level}, scale 2^{}", scale.log2());
    let expected = slot(context, ERROR + 1.0 / 12.0) / scale;
    row("fresh encryption", &read(&x), &a, expected);

    let (a, b) = (read(&x), read(&y));
    let step = slot(context, rounding(context));
    let rotated = e.rotate(&x, 1).expect("key");
    let shifted: Vec<f64> = (0..slots).map(|s| a[(s + 1) % slots]).collect();
    row("rotation", &read(&rotated), &shifted, step / scale);
    let product = e.mul(&x, &y).expect("key");
    let exact: Vec<f64> = a.iter().zip(&b).map(|(a, b)| a * b).collect();
    let out = format!("mul, out scale 2^{:.1}", product.scale().log2());
    row(&out, &read(&product), &exact, step / product.scale());
    let third = e.mul_const(&x, 1.0 / 3.0, scale).expect("level");
    let exact: Vec<f64> = a.iter().map(|a| a / 3.0).collect();
    row("mul_const 1/3", &read(&third), &exact, step / scale);

    // Weights of a convolution: 144 diagonals of some +-0.1.
    let diagonals: Vec<(usize, Vec<f64>)> = (0..144)
        .map(|d| (d, uniform(slots, 10 + d).iter().map(|v| v * 0.15).collect()))
        .collect();
    let mut exact = vec![0.0; slots];
    for (d, diagonal) in &diagonals {
        (0..slots).for_each(|s| exact[s] += diagonal[s] * a[(s + d) % slots]);
    }
    let complex = diagonals
        .iter()
        .map(|(d, v)| (*d, v.iter().map(|&v| Complex64::from(v)).collect()));
    let transform = LinearTransform::new(context, complex, 16, level, q).expect("fits");
    let mean_square = |v: &[f64]| v.iter().map(|v| v * v).sum::<f64>() / v.len() as f64;
    // Rescale, rounding of the encoded diagonals, and, below twice the special primes, the division
    // of every rotated operand.
    let encoding = slot(context, 1.0 / 12.0) / q * (144.0 * mean_square(&a)).sqrt();
    let weights: f64 = diagonals.iter().map(|(_, v)| mean_square(v)).sum();
    let hoisted_once = level < 2 * context.specials();
    let babies = if hoisted_once {
        step / scale * (weights * 15.0 / 16.0).sqrt()
    } else {
        0.0
    };
    let sd = ((step / scale).powi(2) + encoding.powi(2) + babies.powi(2)).sqrt();
    let out = e.transform(&transform, &x).expect("keys");
    row(
        "transform, 144 diagonals of 0.087 rms",
        &read(&out),
        &exact,
        sd,
    );
}

fn bootstrap(party: &Party, e: &Evaluator, bootstrapper: &Bootstrapper) {
    let (context, secret) = (&party.context, &party.secret);
    let shape = bootstrapper.shape();
    let (rho, scale) = (shape.rho, shape.input_scale);
    let x = encrypt(context, secret, &uniform(context.slots(), 3), 2, scale)
        .expect("fits")
        .expand(context);
    let v = decrypt(context, secret, &x);
    let angle: Vec<f64> = v.iter().map(|v| FRAC_PI_2 * (1.0 + rho * v)).collect();
    let y = bootstrapper.cosine(e, &x).expect("keys");
    let found = decrypt(context, secret, &y);
    let exact: Vec<f64> = angle.iter().map(|t| t.cos()).collect();
    println!(
        "-- bootstrap, operand at scale 2^{:.1}, y at level {} and scale 2^{:.1}",
        scale.log2(),
        y.level(),
        y.scale().log2()
    );
    row("y = cos", &found, &exact, f64::NAN);
    for (low, high) in [(0.0, 0.1), (0.4, 0.6), (0.9, 1.0)] {
        let inside = |k: &usize| (low..high).contains(&v[*k].abs());
        let pick = |values: &[f64]| -> Vec<f64> {
            (0..v.len()).filter(inside).map(|k| values[k]).collect()
        };
        let name = format!("y for |v| in {low}..{high}");
        row(&name, &pick(&found), &pick(&exact), f64::NAN);
    }
    let (added, turned) = split(&found, &exact, &angle);
    println!("   error of y = u + sin(angle) w with sd(u) = {added:.3e}, sd(w) = {turned:.3e}");
    println!(
        "-- then P at scale 2^{:.1}, against P of the decrypted y (alone) and of the exact y",
        scale.log2()
    );
    for degree in [1, 7, 15] {
        for (name, function) in [("identity", (|x| x) as fn(f64) -> f64), ("ReLU", relu)] {
            let series = series(degree, rho, function);
            let p = |y: &[f64]| -> Vec<f64> {
                y.iter().map(|&y| chebyshev_value(&series, y)).collect()
            };
            let out = e.chebyshev(&y, &series, scale).expect("keys");
            let got = decrypt(context, secret, &out);
            row(
                &format!("P, {name} of degree {degree}, alone"),
                &got,
                &p(&found),
                f64::NAN,
            );
            row(
                &format!("bootstrap, {name} of degree {degree}"),
                &got,
                &p(&exact),
                f64::NAN,
            );
        }
    }
}

fn relu(x: f64) -> f64 {
    x.max(0.0)
}

/// A function of (theta / (pi/2) - 1) / rho as a series in cos k theta, by projection.
fn series(degree: usize, rho: f64, function: fn(f64) -> f64) -> Vec<f64> {
    let nodes = 4096;
    let theta = |j: usize| PI * (j as f64 + 0.5) / nodes as f64;
    (0..=degree)
        .map(|k| {
            let sum: f64 = (0..nodes)
                .map(|j| function((theta(j) / FRAC_PI_2 - 1.0) / rho) * (k as f64 * theta(j)).cos())
                .sum();
            sum * if k == 0 { 1.0 } else { 2.0 } / nodes as f64
        })
        .collect()
}

/// Least squares of squared errors: var(u) + sin^2 var(w).
fn split(found: &[f64], exact: &[f64], angle: &[f64]) -> (f64, f64) {
    let n = found.len() as f64;
    let (mut x1, mut x2, mut y0, mut xy) = (0.0, 0.0, 0.0, 0.0);
    for ((f, e), t) in found.iter().zip(exact).zip(angle) {
        let (x, y) = (t.sin().powi(2), (f - e).powi(2));
        (x1, x2, y0, xy) = (x1 + x, x2 + x * x, y0 + y, xy + x * y);
    }
    let slope = (n * xy - x1 * y0) / (n * x2 - x1 * x1);
    let rest = (y0 - slope * x1) / n;
    (rest.max(0.0).sqrt(), slope.max(0.0).sqrt())
}

/// Numbers in [-1, 1) that look random, by SplitMix64.
fn uniform(n: usize, seed: usize) -> Vec<f64> {
    let mut state = seed as u64;
    (0..n)
        .map(|_| {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = state;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            (z ^ (z >> 31)) as f64 / 2f64.powi(63) - 1.0
        })
        .collect()
}

fn row(name: &str, got: &[f64], exact: &[f64], formula: f64) {
    let errors: Vec<f64> = got.iter().zip(exact).map(|(g, e)| g - e).collect();
    let sd = (errors.iter().map(|e| e * e).sum::<f64>() / errors.len() as f64).sqrt();
    let max = errors.iter().fold(0.0, |m: f64, e| m.max(e.abs()));
    let formula = if formula.is_nan() {
        String::new()
    } else {
        format!("{formula:.3e}")
    };
    let fourth = errors.iter().map(|e| e.powi(4)).sum::<f64>() / errors.len() as f64;
    let kurtosis = fourth / sd.powi(4);
    println!("{name:40} {sd:.3e}  {max:.3e}  {kurtosis:6.1}    {formula}");
}
