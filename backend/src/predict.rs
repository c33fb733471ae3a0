//! Predicted seconds of an evaluation, by counting kernels.
//!
//! Counts number-theoretic transforms and multiply-accumulates on vectors of one limb, as hybrid key
//! switching with hoisting executes them, and prices them with constants of the reference machine.

use std::collections::BTreeSet;

use hecc_ir::linear::baby_giant;
use hecc_ir::params::{Parameters, depth};
use hecc_ir::program::{Op, Program};

use crate::keys::MapOffsets;

/// Kernel prices at N = 2^15 on one thread of the reference machine (2-core Zen 4, AVX-512), from the
/// kernel model: one fused convolution and activation is 4364 transforms and 29,000
/// multiply-accumulates in 0.67 s, of which 46 % and 43 %.
mod price {
    /// Seconds of one transform of 2^15 points.
    pub const NTT: f64 = 71e-6;
    /// Seconds of one multiply-accumulate of 2^15 residues.
    pub const MAC: f64 = 9.9e-6;
    /// Seconds of one encoding's embedding, 2^14 complex points.
    pub const EMBED: f64 = 150e-6;
    /// What two threads gain over one.
    pub const TWO_THREADS: f64 = 1.86;
}

/// Vectors processed, each of N residues.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Count {
    ntts: f64,
    macs: f64,
    embeddings: f64,
}

impl Count {
    fn add(&mut self, other: Count, times: f64) {
        self.ntts += times * other.ntts;
        self.macs += times * other.macs;
        self.embeddings += times * other.embeddings;
    }

    fn seconds(self, log_n: u32) -> f64 {
        let size = f64::from(log_n).exp2() / 32768.0;
        let ntt = price::NTT * size * f64::from(log_n) / 15.0;
        self.ntts * ntt + self.macs * price::MAC * size + self.embeddings * price::EMBED * size
    }
}

/// Predicted seconds of `program` with two threads.
pub fn seconds(program: &Program, parameters: &Parameters, offsets: &MapOffsets) -> f64 {
    let model = Model {
        special: parameters.p.len() as f64,
        digit: parameters.digit as f64,
    };
    let bootstrap = model.transforms(parameters);
    let mut count = Count::default();
    for node in &program.nodes {
        match &node.op {
            Op::Input | Op::Add { .. } => {}
            Op::MulConst { x, .. } => count.add(model.rescale(program.nodes[*x].level), 1.0),
            Op::Linear { x, map } => {
                let level = program.nodes[*x].level;
                let giant = program.maps[*map].giant;
                count.add(model.linear(&offsets[*map].offsets, giant, level), 1.0);
                // Weights are encoded at run time; the bootstrap's matrices once, before.
                let limbs = level as f64 + 1.0 + model.special;
                let diagonals = offsets[*map].offsets.len() as f64;
                count.add(
                    Count {
                        ntts: limbs,
                        macs: 0.0,
                        embeddings: 1.0,
                    },
                    diagonals,
                );
                count.add(model.rotation(node.level), offsets[*map].folds.len() as f64);
            }
            Op::Activate { coefficients, .. } => {
                count.add(bootstrap, 1.0);
                count.add(model.polynomials(parameters, coefficients.len() - 1), 1.0);
            }
        }
    }
    count.seconds(parameters.log_n) / price::TWO_THREADS
}

/// Counts per operation for one parameter set.
struct Model {
    special: f64,
    digit: f64,
}

impl Model {
    fn digits(&self, level: usize) -> f64 {
        ((level as f64 + 1.0) / self.digit).ceil()
    }

    /// Decomposition into digits and their extension to the special primes.
    fn decompose(&self, level: usize) -> Count {
        let limbs = level as f64 + 1.0;
        let extended = limbs + self.special;
        Count {
            ntts: limbs + self.digits(level) * extended - limbs,
            macs: limbs * extended,
            embeddings: 0.0,
        }
    }

    /// Inner product of the digits with one key.
    fn key_product(&self, level: usize) -> Count {
        let extended = level as f64 + 1.0 + self.special;
        Count {
            ntts: 0.0,
            macs: 2.0 * self.digits(level) * extended,
            embeddings: 0.0,
        }
    }

    /// Division by the special primes, both polynomials.
    fn mod_down(&self, level: usize) -> Count {
        let limbs = level as f64 + 1.0;
        Count {
            ntts: 2.0 * (limbs + self.special),
            macs: 2.0 * limbs * (self.special + 1.0),
            embeddings: 0.0,
        }
    }

    fn rescale(&self, level: usize) -> Count {
        let limbs = level as f64 + 1.0;
        Count {
            ntts: 2.0 * limbs,
            macs: 2.0 * limbs,
            embeddings: 0.0,
        }
    }

    fn rotation(&self, level: usize) -> Count {
        let mut count = self.decompose(level);
        count.add(self.key_product(level), 1.0);
        count.add(self.mod_down(level), 1.0);
        count
    }

    /// Product and relinearisation and rescaling.
    fn multiply(&self, level: usize) -> Count {
        let mut count = self.rotation(level);
        count.add(self.rescale(level), 1.0);
        count.macs += 4.0 * (level as f64 + 1.0);
        count
    }

    /// Baby-step giant-step with double hoisting, without encoding.
    fn linear(&self, offsets: &BTreeSet<usize>, giant: usize, level: usize) -> Count {
        let (babies, giants) = baby_giant(offsets, giant);
        let nonzero = |steps: BTreeSet<usize>| steps.into_iter().filter(|&s| s != 0).count() as f64;
        let (babies, giants) = (nonzero(babies), nonzero(giants));
        let extended = level as f64 + 1.0 + self.special;
        let mut count = self.decompose(level);
        count.add(self.key_product(level), babies);
        count.macs += 2.0 * extended * offsets.len() as f64;
        // One mod-down and decomposition of the second polynomial for each giant step.
        count.add(self.mod_down(level), 0.5 * giants);
        count.add(self.decompose(level), giants);
        count.add(self.key_product(level), giants);
        count.add(self.mod_down(level), 1.0);
        count.add(self.rescale(level), 1.0);
        count
    }

    /// Both transforms, the mod-raise, and the trace.
    fn transforms(&self, parameters: &Parameters) -> Count {
        let top = parameters.top();
        let mut count = Count::default();
        for t in parameters.bootstrap_transforms() {
            count.add(self.linear(&t.offsets, t.giant, t.level), 1.0);
        }
        // Back to the dense secret, in both halves of the trace; the conjugation.
        count.add(self.rotation(top), 2.0);
        count.add(self.rotation(top - parameters.bootstrap.cts.len()), 1.0);
        count
    }

    /// Cosine, double angles and P.
    fn polynomials(&self, parameters: &Parameters, degree: usize) -> Count {
        let shape = &parameters.bootstrap;
        let mut level = parameters.top() - shape.cts.len();
        let mut count = Count::default();
        for (degree, times) in [(shape.cos_degree, 1), (2, shape.double_angles), (degree, 1)] {
            for _ in 0..times {
                // A double angle is 2 y^2 - 1: one level, where a general quadratic takes two.
                let depth = if degree == 2 { 1 } else { depth(degree) };
                // Baby-step giant-step on Chebyshev polynomials: about 2 sqrt(d) products, spread over its levels.
                let products = if degree == 2 {
                    1.0
                } else {
                    (2.0 * (degree as f64 + 1.0).sqrt()).ceil()
                };
                let middle = level.saturating_sub(depth / 2);
                count.add(self.multiply(middle), products);
                count.macs += 2.0 * (degree as f64 + 1.0) * (middle as f64 + 1.0);
                level = level.saturating_sub(depth);
            }
        }
        count
    }
}
