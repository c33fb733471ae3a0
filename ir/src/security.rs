//! What a key is worth in bits of classical security.
//!
//! Dense ternary secrets: the largest log2(QP) at 128 bits [2024/463]. Elsewhere the estimate scales
//! inversely with the modulus, which understates the lattice estimator below the table's modulus
//! (2^16 at 1285 bits: 174 against 177.9). Sparse secrets: the lattice estimator's figures for h = 32.

use crate::params::Parameters;
use crate::plan::{KeyCertificate, KeyManifest};

/// Bits below which a plan counts as insecure.
pub const TARGET: f64 = 128.0;

/// log2 N and the largest log2(QP) for a dense ternary secret at 128 bits.
const DENSE: [(u32, f64); 8] = [
    (10, 27.0),
    (11, 53.0),
    (12, 106.0),
    (13, 214.0),
    (14, 430.0),
    (15, 868.0),
    (16, 1747.0),
    (17, 3523.0),
];

/// Largest log2(modulus) and bits for a ternary secret of weight 32 in a ring of 2^15 or more.
const SPARSE_32: [(f64, f64); 2] = [(80.0, 153.8), (120.0, 140.0)];
/// A product of primes just above its nominal size changes nothing in the estimate.
const ROUNDING: f64 = 0.01;

/// Kinds of keys, as certificates name them.
pub const KINDS: [&str; 6] = [
    "fresh ciphertext",
    "relinearisation",
    "conjugation",
    "rotation",
    "sparse to dense",
    "dense to sparse",
];

/// Largest log2(QP) at 128 bits for a dense ternary secret; None for a ring outside the table.
pub fn max_log_qp(log_n: u32) -> Option<f64> {
    DENSE
        .iter()
        .find(|(n, _)| *n == log_n)
        .map(|&(_, limit)| limit)
}

/// Bits of security of a key of modulus 2^log_qp, and where the figure comes from. `weight` is the
/// Hamming weight of a sparse secret, None for a dense one. 0 where there is no estimate.
pub fn security(log_n: u32, log_qp: f64, weight: Option<usize>) -> (f64, &'static str) {
    match weight {
        None => match max_log_qp(log_n) {
            Some(limit) if log_qp > 0.0 => (
                TARGET * limit / log_qp,
                "ePrint 2024/463, scaled by log2(QP)",
            ),
            _ => (0.0, "no estimate for this ring"),
        },
        Some(32) if log_n >= 15 => {
            let entry = SPARSE_32
                .iter()
                .find(|(limit, _)| log_qp <= limit + ROUNDING);
            let bits = entry.map_or(0.0, |&(_, bits)| bits);
            (
                bits,
                "lattice estimator, MATZOV, at N = 2^15 and 80 or 120 bits",
            )
        }
        Some(_) => (0.0, "no estimate for this ring and weight"),
    }
}

/// One entry per kind of key in the manifest, and one for fresh ciphertexts, each at the largest
/// modulus its kind appears in.
pub fn certificate(parameters: &Parameters, keys: &KeyManifest) -> Vec<KeyCertificate> {
    let p = parameters;
    let weight = p.bootstrap.sparse_weight;
    let entry = |kind: usize, log_qp: f64, weight: Option<usize>| {
        let (security, source) = security(p.log_n, log_qp, weight);
        KeyCertificate {
            key: KINDS[kind].to_string(),
            log_n: p.log_n,
            log_qp,
            secret: weight.map_or("dense ternary".to_string(), |h| {
                format!("sparse ternary, h = {h}")
            }),
            security,
            source: source.to_string(),
        }
    };
    // A fresh ciphertext meets no special prime; counting them errs on the safe side.
    let mut entries = vec![entry(0, p.log_qp(p.top()), None)];
    let rotation = keys.rotations.iter().map(|key| key.level).max();
    for (kind, level) in [
        (1, keys.relinearisation),
        (2, keys.conjugation),
        (3, rotation),
    ] {
        entries.extend(level.map(|level| entry(kind, p.log_qp(level.min(p.top())), None)));
    }
    if keys.encapsulation {
        let low = (p.q[0] as f64).log2() + (p.p[0] as f64).log2();
        entries.push(entry(4, p.log_qp(p.top()), None));
        entries.push(entry(5, low, Some(weight)));
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn estimates_meet_the_table() {
        let check = |log_n, log_qp, weight, expect: f64| {
            let (bits, _) = security(log_n, log_qp, weight);
            assert!((bits - expect).abs() < 0.1, "2^{log_n}, {log_qp}: {bits}");
        };
        check(15, 868.0, None, 128.0);
        check(16, 1747.0, None, 128.0);
        check(11, 800.0, None, 8.5);
        check(9, 10.0, None, 0.0);
        check(15, 80.0, Some(32), 153.8);
        check(15, 100.0, Some(32), 140.0);
        check(15, 121.0, Some(32), 0.0);
        check(15, 80.0, Some(31), 0.0);
        check(12, 80.0, Some(32), 0.0);
    }

    #[test]
    fn every_key_of_fbt15_is_worth_128_bits() {
        for (log_n, degree) in [(15, 63), (15, 31), (15, 15), (16, 63)] {
            let p = Parameters::fused(log_n, degree);
            let keys = KeyManifest {
                rotations: p.bootstrap_rotations(),
                relinearisation: Some(p.top() - 2),
                conjugation: Some(p.top() - 2),
                encapsulation: true,
            };
            let entries = certificate(&p, &keys);
            assert!(entries.iter().map(|e| e.key.as_str()).eq(KINDS));
            assert!(entries.iter().all(|e| e.security >= TARGET), "{entries:?}");
            assert!((entries[5].log_qp - if log_n == 15 { 78.0 } else { 88.0 }).abs() < 0.01);
        }
    }
}
