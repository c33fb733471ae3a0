//! Times one ReLU of degree 31 inside the bootstrap at full size (N = 2^15, 868 bits), and
//! prints its error. `cargo run --release -p hecc-client --example activation [threads] [rounds]`

#[path = "../tests/common/mod.rs"]
mod common;

use common::*;
use hecc_ckks::{Bootstrapper, Context, Parameters};
use hecc_client::{decrypt, encrypt};
use std::f64::consts::FRAC_PI_2;
use std::time::Instant;

fn main() {
    let threads = std::env::args()
        .nth(1)
        .map_or(1, |t| t.parse().expect("a number of threads"));
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build_global()
        .expect("first use");
    let log_n = 15;
    let mut bits = chain(5, 34);
    bits.push(35);
    let (q, p) = primes(log_n, &bits, &[46; 4]);
    let context = Context::new(Parameters {
        log_n,
        q,
        p,
        digit: 5,
    })
    .expect("parameters");
    let mut shape = shape(log_n);
    (shape.stc, shape.cts) = (vec![6, 7], vec![5, 4, 4]);
    let start = Instant::now();
    let bootstrapper = Bootstrapper::new(&context, shape, None).expect("shape");
    println!("encode transforms {:.2?}", start.elapsed());
    let party = Party::new(&context);
    let start = Instant::now();
    let e = party.evaluator(bootstrapper.rotations());
    println!("keys {:.2?}", start.elapsed());

    let slots = context.slots();
    let v = ramp(slots, 5);
    let scale = bootstrapper.shape().input_scale;
    let x = encrypt(&context, &party.secret, &v, 2, scale)
        .expect("fits")
        .expand(&context);
    // ReLU in the angle: (theta / (pi/2) - 1) / rho, positive part, by projection on cos k theta.
    let (rho, nodes) = (0.92, 4096);
    let relu = |theta: f64| ((theta / FRAC_PI_2 - 1.0) / rho).max(0.0);
    let theta = |j: usize| std::f64::consts::PI * (j as f64 + 0.5) / nodes as f64;
    let series: Vec<f64> = (0..32)
        .map(|k| {
            let sum: f64 = (0..nodes)
                .map(|j| relu(theta(j)) * (k as f64 * theta(j)).cos())
                .sum();
            sum * if k == 0 { 1.0 } else { 2.0 } / nodes as f64
        })
        .collect();
    let expected: Vec<f64> = v
        .iter()
        .map(|v| {
            hecc_ckks::polynomial::chebyshev_value(&series, (FRAC_PI_2 * (1.0 + rho * v)).cos())
        })
        .collect();
    let rounds = std::env::args()
        .nth(2)
        .map_or(3, |r| r.parse().expect("a number of rounds"));
    for _ in 0..rounds {
        let cpu = cpu_seconds();
        let start = Instant::now();
        let y = bootstrapper.cosine(&e, &x).expect("keys");
        let cosine = start.elapsed();
        let out = e.chebyshev(&y, &series, scale).expect("levels");
        let total = start.elapsed();
        let got = decrypt(&context, &party.secret, &out);
        let rms = got
            .iter()
            .zip(&expected)
            .map(|(a, b)| (a - b).powi(2))
            .sum::<f64>()
            / slots as f64;
        println!(
            "cosine {cosine:.2?}, P {:.2?}, total {total:.2?} ({:.2} s of processor); error: max 2^{:.1}, rms 2^{:.1}",
            total - cosine,
            cpu_seconds() - cpu,
            error_bits(&got, &expected),
            rms.sqrt().log2()
        );
    }
}

/// Processor time of this process, which other load disturbs less than the clock; 0 where unknown.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let ticks = |i: usize| {
        stat.rsplit(')')
            .next()?
            .split_whitespace()
            .nth(i)?
            .parse::<f64>()
            .ok()
    };
    (ticks(11).unwrap_or(0.0) + ticks(12).unwrap_or(0.0)) / 100.0
}
