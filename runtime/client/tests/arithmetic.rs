//! Ciphertext arithmetic against the same arithmetic on plain slots, on a small insecure ring.

mod common;
use common::*;
use hecc_ckks::polynomial::chebyshev_value;
use hecc_ckks::{Ciphertext, Complex64, Evaluator, LinearTransform};
use hecc_client::{decrypt, decrypt_complex, encrypt};

const LOG_N: u32 = 10;

struct Bench {
    party: Party,
    e: Evaluator,
}

impl Bench {
    fn new(rotations: &[usize]) -> Self {
        let context = insecure_context(LOG_N, 5);
        let top = context.top();
        let party = Party::new(&context);
        let e = party.evaluator(rotations.iter().map(|&steps| (steps, top)));
        Self { party, e }
    }
    fn encrypt(&self, values: &[f64], level: usize) -> Ciphertext {
        let scale = (1u64 << 35) as f64;
        encrypt(
            &self.party.context,
            &self.party.secret,
            values,
            level,
            scale,
        )
        .unwrap()
        .expand(&self.party.context)
    }
    fn check(&self, what: &str, got: &Ciphertext, expected: &[f64], bits: f64) {
        let error = error_bits(
            &decrypt(&self.party.context, &self.party.secret, got),
            expected,
        );
        assert!(
            error < bits,
            "{what}: error 2^{error:.1}, expected below 2^{bits}"
        );
    }
}

#[test]
fn ring_operations() {
    let bench = Bench::new(&[1, 5, 300]);
    let e = &bench.e;
    let slots = e.context().slots();
    let (a, b) = (ramp(slots, 1), ramp(slots, 2));
    for level in [3, 8, e.context().top()] {
        let (x, y) = (bench.encrypt(&a, level), bench.encrypt(&b, level));
        let pairs =
            |f: fn(f64, f64) -> f64| a.iter().zip(&b).map(|(a, b)| f(*a, *b)).collect::<Vec<_>>();
        bench.check("fresh", &x, &a, -20.0);
        bench.check("add", &e.add(&x, &y).unwrap(), &pairs(|a, b| a + b), -20.0);
        bench.check("sub", &e.sub(&x, &y).unwrap(), &pairs(|a, b| a - b), -20.0);
        bench.check("mul", &e.mul(&x, &y).unwrap(), &pairs(|a, b| a * b), -18.0);
        bench.check(
            "double_angle",
            &e.double_angle(&x).unwrap(),
            &pairs(|a, _| 2.0 * a * a - 1.0),
            -17.0,
        );
        let mut low = y.clone();
        low.drop_to(level - 1);
        for sum in [e.add(&x, &low).unwrap(), e.add(&low, &x).unwrap()] {
            assert_eq!(sum.level(), level - 1);
            bench.check("add below", &sum, &pairs(|a, b| a + b), -20.0);
        }
        let product = e.mul(&x, &low).unwrap();
        assert_eq!(product.level(), level - 2);
        bench.check("mul below", &product, &pairs(|a, b| a * b), -17.0);
        let third = e.mul_const(&x, 1.0 / 3.0, 3e9).unwrap();
        assert_eq!(third.scale(), 3e9);
        bench.check("mul_const", &third, &pairs(|a, _| a / 3.0), -15.0);
        let mut shifted = x.clone();
        e.add_plain(&mut shifted, &b).unwrap();
        e.add_const(&mut shifted, 0.25);
        bench.check("add_plain", &shifted, &pairs(|a, b| a + b + 0.25), -20.0);
        for steps in [1, 5, 300] {
            let mut rotated = a.clone();
            rotated.rotate_left(steps);
            bench.check("rotate", &e.rotate(&x, steps).unwrap(), &rotated, -18.0);
        }
        let mut turned = x.clone();
        e.mul_i(&mut turned);
        let conjugate = e.conjugate(&turned).unwrap();
        let got = decrypt_complex(&bench.party.context, &bench.party.secret, &conjugate);
        assert!(
            got.iter()
                .zip(&a)
                .all(|(z, a)| (z - Complex64::new(0.0, -a)).norm() < 1e-5)
        );
    }
    assert!(
        e.rotate(&bench.encrypt(&a, 3), 2).is_err(),
        "there is no key for 2 steps"
    );
}

#[test]
fn linear_transforms() {
    let giant = 8;
    let offsets = [0, 1, 3, 9, 16, 22, 507];
    let keys: Vec<usize> = offsets
        .iter()
        .flat_map(|d| [d % giant, d - d % giant])
        .filter(|&s| s != 0)
        .collect();
    let bench = Bench::new(&keys);
    let (context, slots) = (bench.e.context(), bench.e.context().slots());
    let x = ramp(slots, 3);
    let diagonals: Vec<(usize, Vec<f64>)> =
        offsets.iter().map(|&d| (d, ramp(slots, d + 10))).collect();
    let mut expected = vec![0.0; slots];
    for (d, diagonal) in &diagonals {
        (0..slots).for_each(|s| expected[s] += diagonal[s] * x[(s + d) % slots]);
    }
    for level in [2, 3, 7] {
        let complex = diagonals
            .iter()
            .map(|(d, v)| (*d, v.iter().map(|&v| Complex64::from(v)).collect()));
        let q = context.q(level).value() as f64;
        let transform = LinearTransform::new(context, complex, giant, level, q).unwrap();
        let got = bench
            .e
            .transform(&transform, &bench.encrypt(&x, level))
            .unwrap();
        assert_eq!(got.level(), level - 1);
        bench.check("transform", &got, &expected, -13.0);
    }
}

/// Real matrices between tensors of three and two parts, against their definition.
#[test]
fn transforms_of_several_parts() {
    let giant = 8;
    // For each part of the result its diagonals (part, offset); an odd number, none, and more than are
    // multiplied at once.
    let maps: [Vec<(usize, usize)>; 3] = [
        vec![(0, 0), (0, 3), (2, 3), (1, 9), (2, 16), (2, 507), (0, 507)],
        vec![],
        (0..3).flat_map(|p| (0..60).map(move |d| (p, d))).collect(),
    ];
    let bench = Bench::new(
        &(1..8)
            .chain((8..64).step_by(8))
            .chain([504])
            .collect::<Vec<_>>(),
    );
    let (e, context) = (&bench.e, bench.e.context());
    let slots = context.slots();
    let parts: Vec<Vec<f64>> = (0..3).map(|p| ramp(slots, 20 + p)).collect();
    let diagonal = |p: usize, d: usize| ramp(slots, 31 * d + p);
    for level in [2, 3, 8] {
        // One part stands above the level.
        let inputs: Vec<_> = (0..3)
            .map(|p| bench.encrypt(&parts[p], level + p % 2))
            .collect();
        let q = context.q(level).value() as f64;
        let encode = |map: &[(usize, usize)]| {
            let diagonals = map.iter().map(|&(p, d)| ((p, d), diagonal(p, d)));
            LinearTransform::real(context, diagonals, giant, level, q).unwrap()
        };
        let babies = maps
            .iter()
            .flatten()
            .map(|&(p, d)| (p, d % giant))
            .collect();
        // Hoisted twice for few diagonals, once for many.
        let prepared = [1, 1000].map(|count| e.prepare(&inputs, &babies, level, count).unwrap());
        for map in &maps {
            let mut expected = vec![0.0; slots];
            for &(p, d) in map {
                let values = diagonal(p, d);
                (0..slots).for_each(|s| expected[s] += values[s] * parts[p][(s + d) % slots]);
            }
            let transform = encode(map);
            let mut results = vec![e.transform_parts(&transform, &inputs).unwrap()];
            results.extend(prepared.each_ref().map(|r| e.apply(r, &transform).unwrap()));
            for got in results {
                assert_eq!((got.level(), got.scale()), (level - 1, inputs[0].scale()));
                bench.check("transform of parts", &got, &expected, -12.0);
            }
        }
        let missing = encode(&[(0, 7 * giant + 1), (3, 0)]);
        assert!(
            e.transform_parts(&missing, &inputs).is_err(),
            "there is no part 3"
        );
        assert!(
            e.apply(&prepared[0], &missing).is_err(),
            "part 3 was not prepared"
        );
    }
    let level = context.top();
    let low = encode_identity(context, level);
    let x = bench.encrypt(&parts[0], level - 1);
    assert!(e.transform(&low, &x).is_err(), "the operand is too low");
}

fn encode_identity(context: &hecc_ckks::Context, level: usize) -> LinearTransform {
    let ones = vec![1.0; context.slots()];
    LinearTransform::real(context, [((0, 0), ones)], 1, level, 1e9).unwrap()
}

#[test]
fn chebyshev_series() {
    let bench = Bench::new(&[]);
    let slots = bench.e.context().slots();
    let x = ramp(slots, 4);
    for degree in [1, 2, 3, 7, 12, 15, 16, 31, 32, 63] {
        let series: Vec<f64> = ramp(degree + 1, degree)
            .iter()
            .map(|c| (c + 0.01) / (1.0 + degree as f64))
            .collect();
        let expected: Vec<f64> = x.iter().map(|&x| chebyshev_value(&series, x)).collect();
        let scale = (1u64 << 34) as f64 * 1.1;
        let got = bench
            .e
            .chebyshev(&bench.encrypt(&x, 12), &series, scale)
            .unwrap();
        assert_eq!(
            (got.level(), got.scale()),
            (12 - hecc_ckks::polynomial::depth(degree), scale)
        );
        bench.check(&format!("degree {degree}"), &got, &expected, -14.0);
    }
}
