//! A small insecure ring with the chain of the fused bootstrap.
#![allow(dead_code)]

use hecc_ckks::ring::ntt_primes;
use hecc_ckks::{BootstrapShape, Context, EvaluationKeys, Evaluator, Parameters};
use hecc_client::{KeyGenerator, SecretKey, SecretSeed};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Bits of the chain, bottom to top: StC and conv, P, double angles, cosine, CtS.
pub fn chain(p_depth: usize, p_bits: u32) -> Vec<u32> {
    let mut bits = vec![32, 30, 30, 30];
    bits.extend(vec![p_bits; p_depth]);
    bits.extend([35; 11]);
    bits
}

pub fn primes(log_n: u32, q_bits: &[u32], p_bits: &[u32]) -> (Vec<u64>, Vec<u64>) {
    let mut pools: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
    for &bits in q_bits.iter().chain(p_bits) {
        pools.entry(bits).or_insert_with(|| {
            let count = q_bits.iter().chain(p_bits).filter(|&&b| b == bits).count();
            ntt_primes(bits, log_n, count, &[]).unwrap()
        });
    }
    let mut draw = |bits: &[u32]| {
        bits.iter()
            .map(|b| pools.get_mut(b).unwrap().pop().unwrap())
            .collect::<Vec<_>>()
    };
    (draw(q_bits), draw(p_bits))
}

pub fn insecure_context(log_n: u32, p_depth: usize) -> Arc<Context> {
    let (q, p) = primes(log_n, &chain(p_depth, 34), &[46; 4]);
    Context::new(Parameters {
        log_n,
        q,
        p,
        digit: 5,
    })
    .unwrap()
}

pub fn shape(log_n: u32) -> BootstrapShape {
    let h = log_n - 2;
    BootstrapShape {
        stc: vec![h / 2, h - h / 2],
        cts: vec![h - 2 * (h / 3), h / 3, h / 3],
        cos_degree: 30,
        double_angles: 3,
        range: 16,
        rho: 0.92,
        input_scale: (1u64 << 30) as f64,
    }
}

pub struct Party {
    pub context: Arc<Context>,
    pub secret: SecretKey,
}

impl Party {
    pub fn new(context: &Arc<Context>) -> Self {
        let secret = SecretKey::from_seed(context, &SecretSeed::random().unwrap());
        Self {
            context: context.clone(),
            secret,
        }
    }

    /// Keys for all arithmetic, these rotations (steps, level), and the bootstrap.
    pub fn evaluator(&self, rotations: impl IntoIterator<Item = (usize, usize)>) -> Evaluator {
        let mut make = KeyGenerator::new(&self.context, &self.secret).unwrap();
        let top = self.context.top();
        let mut levels = BTreeMap::new();
        for (steps, level) in rotations {
            let entry = levels.entry(steps).or_insert(level);
            *entry = level.max(*entry);
        }
        let keys = EvaluationKeys {
            relinearisation: Some(make.relinearisation(top)),
            rotations: levels
                .into_iter()
                .map(|(steps, level)| (steps, make.rotation(steps, level)))
                .collect(),
            conjugation: Some(make.conjugation(top)),
            encapsulation: Some(make.encapsulation(32)),
        };
        Evaluator::new(self.context.clone(), Arc::new(keys))
    }
}

pub fn ramp(n: usize, seed: usize) -> Vec<f64> {
    (0..n)
        .map(|i| ((i * 7919 + seed * 104_729) % 2003) as f64 / 1001.0 - 1.0)
        .collect()
}

/// log2 of the largest difference.
pub fn error_bits(got: &[f64], expected: &[f64]) -> f64 {
    let worst = got
        .iter()
        .zip(expected)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f64::max);
    worst.log2()
}
