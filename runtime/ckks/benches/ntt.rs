//! The transform on one thread, beside that of tfhe-ntt at the same primes. `HECC_SIMD` chooses a lower level for ours.

#![allow(missing_docs)] // of what criterion_group defines

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use hecc_ckks::ring::{AlignedWords, Modulus, NttTable, kernels, ntt_primes};
use tfhe_ntt::prime64::Plan;

fn polynomial(q: u64, n: usize, seed: u64) -> AlignedWords {
    let mut words = AlignedWords::zeros(n);
    let mut state = seed;
    for word in words.iter_mut() {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        *word = (state >> 8) % q;
    }
    words
}

/// Both must give the same product of polynomials: their orders of the slots may differ.
fn check(table: &NttTable, plan: &Plan) {
    let m = table.modulus();
    let n = 1 << table.log_n();
    let (mut a, mut b) = (polynomial(m.value(), n, 1), polynomial(m.value(), n, 2));
    let (mut theirs, mut their_b) = (a.clone(), b.clone());
    table.forward(&mut a);
    table.forward(&mut b);
    kernels::mul_assign(m, &mut a, &b);
    table.inverse(&mut a);
    plan.fwd(&mut theirs);
    plan.fwd(&mut their_b);
    plan.mul_assign_normalize(&mut theirs, &their_b);
    plan.inv(&mut theirs);
    assert_eq!(a[..], theirs[..]);
}

fn transforms(c: &mut Criterion) {
    for log_n in 12..=16 {
        let q = ntt_primes(50, log_n, 1, &[]).expect("a prime")[0];
        let table = NttTable::new(Modulus::new(q).expect("in range"), log_n).expect("a table");
        let plan = Plan::try_new(1 << log_n, q).expect("a plan");
        check(&table, &plan);
        let mut a = polynomial(q, 1 << log_n, 3);
        let integers: Vec<i64> = a.iter().map(|x| *x as i64 - (q / 2) as i64).collect();

        let mut group = c.benchmark_group(format!("2^{log_n}"));
        let mut bench = |name: &str, f: &mut dyn FnMut(&mut [u64])| {
            group.bench_function(BenchmarkId::from_parameter(name), |b| b.iter(|| f(&mut a)));
        };
        bench("forward", &mut |a| table.forward(a));
        bench("forward, tfhe-ntt", &mut |a| plan.fwd(a));
        bench("inverse", &mut |a| table.inverse(a));
        bench("inverse and scaling, tfhe-ntt", &mut |a| {
            plan.inv(a);
            plan.normalize(a);
        });
        bench("forward_from_i64", &mut |a| {
            table.forward_from_i64(&integers, a)
        });
        group.finish();
    }
}

criterion_group!(benches, transforms);
criterion_main!(benches);
