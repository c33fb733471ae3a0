//! Every instruction set against the oracle.

use super::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

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
    kernels_agree_with_their_definitions
    kernels_agree_at_the_edges
    sums_of_products_agree
    transform_evaluates_at_the_roots_and_inverts
    transform_agrees_at_all_sizes
    transform_turns_products_into_products
    automorphisms_agree_in_both_domains
    base_conversion_keeps_the_centred_integer
}

mod suites {
    use super::*;
    use kernels::*;
    use proptest::prelude::any;
    use proptest::test_runner::{Config, TestRunner};

    /// Lengths around the sizes of vectors and of blocks of vectors.
    fn check(cases: u32, f: impl Fn(Modulus, usize, &mut ChaCha8Rng)) {
        let mut runner = TestRunner::new(Config {
            cases,
            failure_persistence: None,
            ..Config::default()
        });
        let inputs = (13u32..=50, 0usize..90, any::<u64>());
        runner
            .run(&inputs, |(bits, len, seed)| {
                f(prime(bits, 4), len, &mut rng(seed));
                Ok(())
            })
            .unwrap();
    }

    fn zip2(a: &[u64], b: &[u64], f: impl Fn(u64, u64) -> u64) -> Vec<u64> {
        a.iter().zip(b).map(|(x, y)| f(*x, *y)).collect()
    }

    /// What an operation in place makes of `a`.
    fn after(a: &[u64], f: impl FnOnce(&mut [u64])) -> Vec<u64> {
        let mut a = a.to_vec();
        f(&mut a);
        a
    }

    fn check_kernels(m: &Modulus, a: &[u64], b: &[u64], c: &[u64], w: u64) {
        let product = zip2(b, c, |x, y| m.mul(x, y));
        let scaled = zip2(b, b, |x, _| m.mul(x, w));
        assert_eq!(
            after(a, |a| add_assign(m, a, b)),
            zip2(a, b, |x, y| m.add(x, y))
        );
        assert_eq!(
            after(a, |a| sub_assign(m, a, b)),
            zip2(a, b, |x, y| m.sub(x, y))
        );
        assert_eq!(after(a, |a| neg_assign(m, a)), zip2(a, a, |x, _| m.neg(x)));
        assert_eq!(after(a, |a| mul(m, b, c, a)), product);
        assert_eq!(after(b, |b| mul_assign(m, b, c)), product);
        assert_eq!(
            after(a, |a| mul_add_assign(m, a, b, c)),
            zip2(a, &product, |x, y| m.add(x, y))
        );
        assert_eq!(after(b, |b| mul_scalar_assign(m, b, w)), scaled);
        assert_eq!(
            after(a, |a| mul_scalar_add_assign(m, a, b, w)),
            zip2(a, &scaled, |x, y| m.add(x, y))
        );
        assert_eq!(
            after(a, |a| sub_mul_scalar(m, a, b, w)),
            zip2(a, b, |x, y| m.mul(m.sub(x, y), w))
        );
        let len = a.len() / 8 * 8;
        let (low, high) = (&a[..len], &b[..len]);
        let mut outs: [Vec<u64>; 4] = std::array::from_fn(|_| vec![0; len]);
        let [s0, s1, d0, d1] = outs.each_mut().map(|out| &mut out[..]);
        unfold(m, w, low, high, [s0, s1], [d0, d1]);
        let mirrored = |x: &[u64]| x.iter().rev().copied().collect::<Vec<_>>();
        let sums = zip2(low, &mirrored(high), |x, y| m.add(x, y));
        let differences = zip2(low, &mirrored(high), |x, y| m.mul(m.sub(x, y), w));
        assert_eq!(outs[1], mirrored(&sums));
        assert_eq!(outs[3], mirrored(&differences));
        assert_eq!([&outs[0], &outs[2]], [&sums, &differences]);
    }

    fn check_reductions(m: &Modulus, from: &Modulus, words: &[u64], x: &[u64]) {
        let integers: Vec<i64> = words.iter().map(|&x| x as i64).collect();
        assert_eq!(
            after(words, |d| reduce_into(m, words, d)),
            zip2(words, words, |x, _| m.reduce_u64(x))
        );
        assert_eq!(
            after(words, |d| reduce_i64_into(m, &integers, d)),
            zip2(words, words, |x, _| m.reduce_i64(x as i64))
        );
        assert_eq!(
            after(x, |d| centred_reduce_into(from, m, x, d)),
            zip2(x, x, |x, _| m.reduce_i64(from.centre(x)))
        );
    }

    pub fn kernels_agree_with_their_definitions() {
        check(60, |m, len, rng| {
            let [a, b, c] = std::array::from_fn(|_| residues(rng, &m, len));
            check_kernels(&m, &a, &b, &c, residues(rng, &m, 1)[0]);
            let from = prime(rng.random_range(13..=50), 4);
            let words: Vec<u64> = (0..len)
                .map(|_| rng.random::<u64>() >> rng.random_range(0..64))
                .collect();
            check_reductions(&m, &from, &words, &residues(rng, &from, len));
        });
    }

    /// All pairs of residues at the ends and in the middle, for the least and the greatest moduli.
    pub fn kernels_agree_at_the_edges() {
        let moduli = [
            3,
            5,
            17,
            4095,
            4097,
            (1 << 49) + 1,
            (1 << 49) - 1,
            (1 << 50) - 1,
            (1 << 50) - 27,
        ];
        for q in moduli {
            let m = Modulus::new(q).expect("in range");
            let edges = [0, 1, 2, q / 2 - 1, q / 2, q / 2 + 1, q - 2, q - 1].map(|x| x.min(q - 1));
            let a: Vec<u64> = (0..64).map(|i| edges[i / 8]).collect();
            let b: Vec<u64> = (0..64).map(|i| edges[i % 8]).collect();
            for w in edges {
                check_kernels(&m, &a, &b, &a, w);
            }
            let words: Vec<u64> = edges
                .iter()
                .flat_map(|&x| [x, x + q, !x, x << 13, x + (1 << 63)])
                .collect();
            for from in moduli {
                let from = Modulus::new(from).expect("in range");
                let x: Vec<u64> = a.iter().map(|&x| x % from.value()).collect();
                check_reductions(&m, &from, &words, &x);
            }
        }
    }

    pub fn sums_of_products_agree() {
        check(40, |m, len, rng| {
            let counts = [0, 1, 2, 14, 15, 16, 17, 100, 1024];
            let count = counts[rng.random_range(0..counts.len())];
            // All sums at their greatest, now and then.
            let greatest = rng.random_range(0..4) == 0;
            let mut draw = |m: &Modulus| -> Vec<Vec<u64>> {
                let one = |_| {
                    if greatest {
                        vec![m.value() - 1; len]
                    } else {
                        residues(rng, m, len)
                    }
                };
                (0..=count).map(one).collect()
            };
            let (s, x, y, wide) = (draw(&m), draw(&m), draw(&m), draw(&prime(50, 4)));
            let sum = |a: &[Vec<u64>], b: &[Vec<u64>], start: &[u64]| -> Vec<u64> {
                let term = |i: usize, k: usize| m.mul(m.reduce_u64(a[i][k]), b[i][k]);
                (0..len)
                    .map(|k| (0..count).fold(start[k], |sum, i| m.add(sum, term(i, k))))
                    .collect()
            };
            let zero = vec![0; len];

            let pairs: Vec<(&[u64], &[u64])> = (0..count).map(|i| (&s[i][..], &x[i][..])).collect();
            assert_eq!(after(&zero, |out| dot(&m, &pairs, out)), sum(&s, &x, &zero));

            let triples: Vec<_> = (0..count)
                .map(|i| (&s[i][..], &x[i][..], &y[i][..]))
                .collect();
            let (mut out0, mut out1) = (x[count].clone(), y[count].clone());
            dot_pair_add(&m, &triples, &mut out0, &mut out1);
            assert_eq!(
                (&out0, &out1),
                (&sum(&s, &x, &x[count]), &sum(&s, &y, &y[count]))
            );
            dot_pair(&m, &triples, &mut out0, &mut out1);
            assert_eq!((out0, out1), (sum(&s, &x, &zero), sum(&s, &y, &zero)));

            let weights: Vec<Vec<u64>> = s
                .iter()
                .map(|s| vec![s.first().copied().unwrap_or(0); len])
                .collect();
            let scalars: Vec<(&[u64], u64)> = (0..count)
                .map(|i| (&wide[i][..], weights[i].first().copied().unwrap_or(0)))
                .collect();
            assert_eq!(
                after(&zero, |out| dot_scalars(&m, &scalars, out)),
                sum(&wide, &weights, &zero)
            );
        });
    }

    pub fn transform_agrees_at_all_sizes() {
        for (log_n, bits) in (3..=16).flat_map(|log_n| [(log_n, 46), (log_n, 50)]) {
            let m = prime(bits, log_n);
            let table = NttTable::new(m, log_n).expect("a table");
            // All residues at their greatest, too.
            for a in [
                residues(&mut rng(5), &m, 1 << log_n),
                vec![m.value() - 1; 1 << log_n],
            ] {
                let mut b = a.clone();
                table.forward(&mut b);
                for slot in [
                    0,
                    1,
                    2,
                    5,
                    (1 << log_n) - 1,
                    (1 << log_n) - 2,
                    3 << (log_n - 2),
                ] {
                    let expected = naive::slot(&m, table.root(), &a, slot);
                    assert_eq!(b[slot], expected, "slot {slot} of 2^{log_n}, {bits} bits");
                }
                table.inverse(&mut b);
                assert_eq!(a, b);
            }
        }
    }

    pub fn transform_evaluates_at_the_roots_and_inverts() {
        for log_n in 3..=9 {
            for bits in [20, 35, 46, 47, 49, 50] {
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
        mul_assign(&m, &mut a, &b);
        table.inverse(&mut a);
        assert_eq!(a, product);
    }

    pub fn automorphisms_agree_in_both_domains() {
        let (log_n, m) = (7, prime(40, 7));
        let table = NttTable::new(m, log_n).expect("a table");
        let a = residues(&mut rng(3), &m, 1 << log_n);
        for galois in (1..256).step_by(2) {
            let permutation = NttPermutation::new(log_n, galois);
            let (mut evaluations, mut moved, mut back) = (a.clone(), a.clone(), a.clone());
            table.forward(&mut evaluations);
            permutation.apply(&evaluations, &mut moved);
            permutation.inverse().apply(&moved, &mut back);
            assert_eq!(back, evaluations);
            let sum = after(&a, |a| permutation.apply_add(&m, &evaluations, a));
            assert_eq!(sum, zip2(&a, &moved, |x, y| m.add(x, y)));
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
