//! What a key is worth in bits of classical security.
//!
//! Dense ternary secrets: the largest log2(QP) at 128, 192 and 256 bits [2024/463]. Between those the
//! estimate scales inversely with the modulus from the nearest larger modulus of the table, which
//! understates: the product of bits and log2(QP) grows with the bits (2^16 at 1285 bits: 174 against
//! the lattice estimator's 177.9). Below 128 bits it overstates, and serves only to say how far a test's
//! parameters are from secure ones. Sparse secrets: the lattice estimator's figures for h = 32.

use crate::params::Parameters;
use crate::plan::{KeyCertificate, KeyManifest};

/// Bits of security that a plan may be compiled for.
pub const LEVELS: [u32; 3] = [128, 192, 256];

/// log2 N and the largest log2(QP) for a dense ternary secret, classical, at each of [`LEVELS`]; 0 where
/// there is none. [2024/463], as its own script computes them with the lattice estimator: MATZOV cost
/// model, sigma 3.19, no margin. Every entry is below the older standard's [HES18] (2^15: 881, 611, 476).
const DENSE: [(u32, [f64; 3]); 8] = [
    (10, [26.0, 0.0, 0.0]),
    (11, [53.0, 36.0, 27.0]),
    (12, [106.0, 73.0, 56.0]),
    (13, [214.0, 147.0, 114.0]),
    (14, [430.0, 297.0, 230.0]),
    (15, [868.0, 597.0, 462.0]),
    (16, [1747.0, 1199.0, 929.0]),
    (17, [3523.0, 2411.0, 0.0]),
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

/// Largest log2(QP) for a dense ternary secret at `bits` of security, one of [`LEVELS`]; None outside the
/// table.
pub fn max_log_qp(log_n: u32, bits: u32) -> Option<f64> {
    let level = LEVELS.iter().position(|&level| level == bits)?;
    let &(_, limits) = DENSE.iter().find(|(n, _)| *n == log_n)?;
    Some(limits[level]).filter(|&limit| limit > 0.0)
}

/// From the table's entry with the least modulus that is at least this one, else from the largest.
fn dense(log_n: u32, log_qp: f64) -> Option<f64> {
    let entry = |&bits: &u32| max_log_qp(log_n, bits).map(|limit| (f64::from(bits), limit));
    let entries = || LEVELS.iter().filter_map(entry);
    let (bits, limit) = entries()
        .rfind(|&(_, limit)| log_qp <= limit)
        .or(entries().next())?;
    (log_qp > 0.0).then(|| bits * limit / log_qp)
}

/// Bits of security of a key of modulus 2^log_qp, and where the figure comes from. `weight` is the
/// Hamming weight of a sparse secret, None for a dense one. 0 where there is no estimate.
pub fn security(log_n: u32, log_qp: f64, weight: Option<usize>) -> (f64, &'static str) {
    match weight {
        None => match dense(log_n, log_qp) {
            Some(bits) => (bits, "ePrint 2024/463, scaled by log2(QP)"),
            None => (0.0, "no estimate for this ring"),
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
    if let (true, Some(bootstrap)) = (keys.encapsulation, &p.bootstrap) {
        let low = (p.q[0] as f64).log2() + (p.p[0] as f64).log2();
        entries.push(entry(4, p.log_qp(p.top()), None));
        entries.push(entry(5, low, Some(bootstrap.sparse_weight)));
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
        check(16, 1285.0, None, 174.0);
        check(16, 1200.0, None, 186.3);
        check(16, 1199.0, None, 192.0);
        check(15, 462.0, None, 256.0);
        check(17, 1805.0, None, 256.5);
        check(10, 20.0, None, 166.4);
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
            assert!(entries.iter().all(|e| e.security >= 128.0), "{entries:?}");
            assert!((entries[5].log_qp - if log_n == 15 { 78.0 } else { 88.0 }).abs() < 0.01);
        }
    }
}
