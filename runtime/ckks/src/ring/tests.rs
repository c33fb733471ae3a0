//! Every instruction set against the oracle.

use super::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use simd::on_every_level;

fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

/// Residues of which every fourth is 0 or q - 1.
fn residues(rng: &mut ChaCha8Rng, m: &Modulus, n: usize) -> Vec<u64> {
    let q = m.value();
    (0..n)
        .map(|_| match rng.random_range(0..8) {
            0 => 0,
            1 => q - 1,
            _ => rng.random_range(0..q),
        })
        .collect()
}

fn prime(bits: u32, log_n: u32) -> Modulus {
    Modulus::new(ntt_primes(bits, log_n, 1, &[]).expect("a prime")[0]).expect("in range")
}

/// Each suite as one test that runs it on every instruction set of this machine.
macro_rules! on_every_level {
    ($($suite:ident)*) => {$(
        #[test]
        fn $suite() {
            simd::on_every_level(suites::$suite);
        }
    )*};
}

on_every_level! {
    transform_evaluates_at_the_roots_and_inverts
    transform_agrees_at_all_sizes
    transform_turns_products_into_products
    automorphisms_agree_in_both_domains
    base_conversion_keeps_the_centred_integer
}

mod suites {
    use super::*;

    pub fn transform_agrees_at_all_sizes() {
        for log_n in 3..=16 {
            let m = prime(50, log_n);
            let table = NttTable::new(m, log_n).expect("a table");
            let a = residues(&mut rng(5), &m, 1 << log_n);
            let mut b = a.clone();
            table.forward(&mut b);
            let slots = [
                0,
                1,
                2,
                5,
                (1 << log_n) - 1,
                (1 << log_n) - 2,
                3 << (log_n - 2),
            ];
            for slot in slots {
                assert_eq!(
                    b[slot],
                    naive::slot(&m, table.root(), &a, slot),
                    "slot {slot} of 2^{log_n}"
                );
            }
            table.inverse(&mut b);
            assert_eq!(a, b);
        }
    }

    pub fn transform_evaluates_at_the_roots_and_inverts() {
        for log_n in 3..=9 {
            for bits in [20, 35, 50] {
                let m = prime(bits, log_n);
                let table = NttTable::new(m, log_n).expect("a table");
                let a = residues(&mut rng(1), &m, 1 << log_n);
                let mut b = a.clone();
                table.forward(&mut b);
                assert_eq!(
                    b,
                    (0..1 << log_n)
                        .map(|i| naive::slot(&m, table.root(), &a, i))
                        .collect::<Vec<_>>()
                );
                table.inverse(&mut b);
                assert_eq!(a, b);
            }
        }
    }

    pub fn transform_turns_products_into_products() {
        let (log_n, m) = (8, prime(50, 8));
        let table = NttTable::new(m, log_n).expect("a table");
        let rng = &mut rng(2);
        let (mut a, mut b) = (residues(rng, &m, 1 << log_n), residues(rng, &m, 1 << log_n));
        let product = naive::negacyclic_product(&m, &a, &b);
        table.forward(&mut a);
        table.forward(&mut b);
        kernels::mul_assign(&m, &mut a, &b);
        table.inverse(&mut a);
        assert_eq!(a, product);
    }

    pub fn automorphisms_agree_in_both_domains() {
        let (log_n, m) = (7, prime(40, 7));
        let table = NttTable::new(m, log_n).expect("a table");
        let a = residues(&mut rng(3), &m, 1 << log_n);
        for galois in [1, 3, 5, 25, 77, 255] {
            let permutation = NttPermutation::new(log_n, galois);
            let (mut evaluations, mut moved, mut back) = (a.clone(), a.clone(), a.clone());
            table.forward(&mut evaluations);
            permutation.apply(&evaluations, &mut moved);
            permutation.inverse().apply(&moved, &mut back);
            assert_eq!(back, evaluations);
            let mut expected = a.clone();
            automorphism_coeffs(&m, galois, &a, &mut expected);
            table.inverse(&mut moved);
            assert_eq!(moved, expected);
        }
    }

    pub fn base_conversion_keeps_the_centred_integer() {
        let moduli = |bits, count, avoid: &[u64]| -> Vec<Modulus> {
            let primes = ntt_primes(bits, 10, count, avoid).expect("enough");
            primes
                .into_iter()
                .map(|q| Modulus::new(q).expect("in range"))
                .collect()
        };
        let rng = &mut rng(4);
        for count in 1..=3 {
            let from = moduli(40, count, &[]);
            let mut to = moduli(50, 3, &[]);
            to.extend(moduli(30, 2, &[]));
            let bound = from.iter().map(|q| i128::from(q.value())).product::<i128>() / 2;
            let values: Vec<i128> = (0..77)
                .map(|i| match i {
                    0 => 0,
                    1 => -1,
                    2 => bound - bound / 1_000_000_000,
                    3 => bound / 1_000_000_000 - bound,
                    _ => rng.random_range(-bound..bound),
                })
                .collect();
            let residues =
                |m: &Modulus| values.iter().map(|&x| m.reduce_i128(x)).collect::<Vec<_>>();
            let src: Vec<Vec<u64>> = from.iter().map(residues).collect();
            let mut dst = vec![vec![0; values.len()]; to.len()];
            let src: Vec<&[u64]> = src.iter().map(|s| &s[..]).collect();
            let mut out: Vec<&mut [u64]> = dst.iter_mut().map(|d| &mut d[..]).collect();
            BaseConversion::new(&from, &to).convert(&src, &mut out);
            assert_eq!(dst, to.iter().map(residues).collect::<Vec<_>>());
        }
    }
}
