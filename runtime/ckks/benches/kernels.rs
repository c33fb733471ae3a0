//! The kernels on one thread, on limbs of 2^15 words: element-wise operations, sums of products as key switching and
//! linear transforms use them, base conversions and automorphisms. `HECC_SIMD` chooses a lower level.

#![allow(missing_docs)] // of what criterion_group defines

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use hecc_ckks::ring::{AlignedWords, BaseConversion, Modulus, NttPermutation, kernels, ntt_primes};

const LOG_N: u32 = 15;
const N: usize = 1 << LOG_N;

fn moduli(bits: u32, count: usize) -> Vec<Modulus> {
    let primes = ntt_primes(bits, LOG_N, count, &[]).expect("enough primes");
    primes
        .into_iter()
        .map(|q| Modulus::new(q).expect("in range"))
        .collect()
}

fn limb(m: &Modulus, seed: u64) -> AlignedWords {
    let mut words = AlignedWords::zeros(N);
    let mut state = seed;
    for word in words.iter_mut() {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        *word = (state >> 8) % m.value();
    }
    words
}

fn element_wise(c: &mut Criterion) {
    let m = moduli(50, 1)[0];
    let (mut a, b, d) = (limb(&m, 1), limb(&m, 2), limb(&m, 3));
    let w = b[0];
    let mut group = c.benchmark_group("element-wise");
    group.throughput(Throughput::Elements(N as u64));
    let mut bench = |name: &str, f: &dyn Fn(&mut [u64])| {
        group.bench_function(name, |bencher| bencher.iter(|| f(&mut a)));
    };
    bench("add", &|a| kernels::add_assign(&m, a, &b));
    bench("mul", &|a| kernels::mul(&m, &b, &d, a));
    bench("mul_add", &|a| kernels::mul_add_assign(&m, a, &b, &d));
    bench("mul_scalar", &|a| kernels::mul_scalar_assign(&m, a, w));
    bench("sub_mul_scalar", &|a| kernels::sub_mul_scalar(&m, a, &b, w));
    bench("reduce", &|a| kernels::reduce_into(&m, &b, a));
    bench("centred_reduce", &|a| {
        kernels::centred_reduce_into(&m, &m, &b, a)
    });
    let permutation = NttPermutation::new(LOG_N, 5);
    bench("automorphism", &|a| permutation.apply(&b, a));
    group.finish();
}

fn sums(c: &mut Criterion) {
    let m = moduli(50, 1)[0];
    for terms in [3, 16] {
        let limbs: Vec<AlignedWords> = (0..3 * terms).map(|i| limb(&m, i as u64)).collect();
        let pairs: Vec<(&[u64], &[u64])> = (0..terms)
            .map(|i| (&limbs[i][..], &limbs[i + terms][..]))
            .collect();
        let triples: Vec<(&[u64], &[u64], &[u64])> = (0..terms)
            .map(|i| {
                (
                    &limbs[i][..],
                    &limbs[i + terms][..],
                    &limbs[i + 2 * terms][..],
                )
            })
            .collect();
        let (mut out0, mut out1) = (AlignedWords::zeros(N), AlignedWords::zeros(N));
        let mut group = c.benchmark_group(format!("sums of {terms} products"));
        group.throughput(Throughput::Elements((terms * N) as u64));
        group.bench_function("dot", |b| b.iter(|| kernels::dot(&m, &pairs, &mut out0)));
        group.bench_function("dot_pair", |b| {
            b.iter(|| kernels::dot_pair(&m, &triples, &mut out0, &mut out1))
        });
        group.bench_function("one mul_add_assign for each", |b| {
            b.iter(|| {
                pairs
                    .iter()
                    .for_each(|(x, y)| kernels::mul_add_assign(&m, &mut out0, x, y))
            });
        });
        group.finish();
    }
}

fn conversions(c: &mut Criterion) {
    let (from, to) = (moduli(45, 4), moduli(50, 12));
    let src: Vec<AlignedWords> = from.iter().map(|m| limb(m, 1)).collect();
    let src: Vec<&[u64]> = src.iter().map(|limb| &limb[..]).collect();
    let mut dst: Vec<AlignedWords> = to.iter().map(|_| AlignedWords::zeros(N)).collect();
    let conversion = BaseConversion::new(&from, &to);
    let mut group = c.benchmark_group("base conversion of 4 limbs to 12");
    group.throughput(Throughput::Elements((to.len() * N) as u64));
    group.bench_function("convert", |b| {
        let mut out: Vec<&mut [u64]> = dst.iter_mut().map(|limb| &mut limb[..]).collect();
        b.iter(|| conversion.convert(&src, &mut out));
    });
    let (mut scaled, mut quotient) = (vec![AlignedWords::zeros(N); 4], AlignedWords::zeros(N));
    group.bench_function("prepare", |b| {
        let mut scaled: Vec<&mut [u64]> = scaled.iter_mut().map(|limb| &mut limb[..]).collect();
        b.iter(|| conversion.prepare(&src, &mut scaled, &mut quotient));
    });
    let scaled: Vec<&[u64]> = scaled.iter().map(|limb| &limb[..]).collect();
    group.bench_function("convert_limb", |b| {
        b.iter(|| conversion.convert_limb(0, &scaled, &quotient, &mut dst[0]));
    });
    group.finish();
}

criterion_group!(benches, element_wise, sums, conversions);
criterion_main!(benches);
