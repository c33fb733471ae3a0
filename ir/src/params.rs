//! Parameter sets: the ring, its primes, the bootstrap's shape, and the levels that follow from them.

mod chain;

use std::collections::{BTreeMap, BTreeSet};

pub use chain::{BootstrapChain, Chain};

use crate::plan::RotationKey;
use crate::primes::is_prime;

/// An RNS-CKKS parameter set with the actual primes.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameters {
    /// log2 of the ring degree N; a ciphertext has N/2 real slots.
    pub log_n: u32,
    /// Ciphertext primes, bottom to top; the level of a ciphertext is the index of its last prime.
    pub q: Vec<u64>,
    /// Special primes of key switching.
    pub p: Vec<u64>,
    /// Ciphertext primes per key-switching digit.
    pub digit: usize,
    /// The bootstrap's shape; None for plans without one.
    pub bootstrap: Option<Bootstrap>,
}

/// Shape of the fused bootstrap: slots-to-coefficients, mod-raise, coefficients-to-slots, cosine,
/// double angles, P.
///
/// The transforms act on h = N/4 complex slots: butterfly stages in groups, one level a group.
/// The level bookkeeping: StC enters at level `stc.len()` and leaves at 0; the mod-raise goes to
/// the top level; CtS takes `cts.len()`, the cosine ceil(log2(cos_degree + 1)), each double angle
/// one, P ceil(log2(degree + 1)).
#[derive(Clone, Debug, PartialEq)]
pub struct Bootstrap {
    /// log2 of the radix of each slots-to-coefficients group, first applied first; sums to log_n - 2.
    pub stc: Vec<u32>,
    /// The same for coefficients-to-slots.
    pub cts: Vec<u32>,
    /// Degree of the Chebyshev series of the cosine (even).
    pub cos_degree: usize,
    /// Number of double-angle steps.
    pub double_angles: u32,
    /// The mod-raise overflow is at most this many multiples of q0.
    pub range: u32,
    /// Hamming weight of the sparse secret of the mod-raise [BTH22].
    pub sparse_weight: usize,
}

/// A parameter set that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("parameters: {0}")]
pub struct ParametersError(pub String);

/// One linear transform of the bootstrap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transform {
    /// Offsets of its diagonals, below N/2.
    pub offsets: BTreeSet<usize>,
    /// Giant step.
    pub giant: usize,
    /// Level of its operand.
    pub level: usize,
}

/// Levels that a polynomial of this degree takes in the Chebyshev basis: ceil(log2(degree + 1)).
pub fn depth(degree: usize) -> usize {
    (usize::BITS - degree.leading_zeros()) as usize
}

impl Bootstrap {
    /// The usual shape in the ring 2^log_n: slots-to-coefficients in two groups, a cosine of degree 30
    /// of an eighth of the angle, h = 32.
    fn of(log_n: u32, cts_groups: u32) -> Self {
        let stages = log_n - 2;
        Self {
            stc: vec![stages / 2, stages.div_ceil(2)],
            cts: (0..cts_groups)
                .map(|i| (stages + cts_groups - 1 - i) / cts_groups)
                .collect(),
            cos_degree: 30,
            double_angles: 3,
            range: 16,
            sparse_weight: 32,
        }
    }

    /// Levels above P: coefficients-to-slots, cosine and double angles.
    pub fn upper(&self) -> usize {
        self.cts.len() + depth(self.cos_degree) + self.double_angles as usize
    }
}

impl Parameters {
    /// Real slots of a ciphertext.
    pub fn slots(&self) -> usize {
        1 << (self.log_n - 1)
    }

    /// The highest level.
    pub fn top(&self) -> usize {
        self.q.len() - 1
    }

    /// Level at which an activation takes its operand; None without a bootstrap.
    pub fn activation_in(&self) -> Option<usize> {
        self.bootstrap.as_ref().map(|b| b.stc.len())
    }

    /// Highest level of an activation's result; None without a bootstrap, and when the chain is too
    /// short for its degree.
    pub fn activation_out(&self, degree: usize) -> Option<usize> {
        let b = self.bootstrap.as_ref()?;
        self.top()
            .checked_sub(b.upper().checked_add(depth(degree))?)
    }

    /// Level of the products that follow coefficients-to-slots, the highest of a bootstrap; None without.
    pub fn bootstrap_products(&self) -> Option<usize> {
        let b = self.bootstrap.as_ref()?;
        self.top().checked_sub(b.cts.len())
    }

    /// The scale of a program's values: the size of the primes above q0, to the next power of two.
    pub fn scale(&self) -> f64 {
        let prime = self.q.get(1).unwrap_or(&self.q[0]);
        (*prime as f64).log2().round().exp2()
    }

    /// Highest level at which values of [`Parameters::scale`] may be multiplied with each other: down to
    /// the bottom, every prime that a product divides away is about the scale. 0 when there is none.
    pub fn levelled_top(&self) -> usize {
        let scale = self.scale().log2();
        let about = |q: &&u64| ((**q as f64).log2() - scale).abs() < 0.5;
        self.q[1..].iter().take_while(about).count()
    }

    /// log2 of the modulus of a key for `level`: the primes up to it times the special primes.
    pub fn log_qp(&self, level: usize) -> f64 {
        self.q[..=level]
            .iter()
            .chain(&self.p)
            .map(|&p| (p as f64).log2())
            .sum()
    }

    /// The bootstrap's transforms, coefficients-to-slots first; none without a bootstrap.
    ///
    /// A group of r butterfly stages has diagonals at multiples k of its stride: 0 <= k < 2^r modulo
    /// N/4 where the group reaches across the whole vector, |k| < 2^r modulo N/2 elsewhere.
    pub fn bootstrap_transforms(&self) -> Vec<Transform> {
        let Some(shape) = &self.bootstrap else {
            return Vec::new();
        };
        let (half, slots) = (self.slots() / 2, self.slots());
        let group = |radix: u32, stride: usize, wraps: bool, level: usize| {
            let reach = (0..1usize << radix).map(|k| k * stride);
            let (offsets, share) = match wraps {
                true => (reach.map(|d| d % half).collect(), radix.div_ceil(2)),
                false => (
                    reach.flat_map(|d| [d, (slots - d) % slots]).collect(),
                    (radix + 1).div_ceil(2),
                ),
            };
            Transform {
                offsets,
                giant: stride << share,
                level,
            }
        };
        let mut transforms = Vec::new();
        let mut stages = 0;
        for (i, &radix) in shape.cts.iter().enumerate() {
            stages += radix;
            transforms.push(group(radix, half >> stages, i == 0, self.top() - i));
        }
        stages = 0;
        let groups = shape.stc.len();
        for (i, &radix) in shape.stc.iter().enumerate() {
            transforms.push(group(radix, 1 << stages, i + 1 == groups, groups - i));
            stages += radix;
        }
        transforms
    }

    /// Rotation keys of the bootstrap, sorted by steps.
    pub fn bootstrap_rotations(&self) -> Vec<RotationKey> {
        let mut highest: BTreeMap<usize, usize> = BTreeMap::new();
        for Transform {
            offsets,
            giant,
            level,
        } in self.bootstrap_transforms()
        {
            for offset in offsets {
                for steps in [offset % giant, offset - offset % giant] {
                    let entry = highest.entry(steps).or_insert(level);
                    *entry = level.max(*entry);
                }
            }
        }
        highest.remove(&0);
        highest
            .into_iter()
            .map(|(steps, level)| RotationKey { steps, level })
            .collect()
    }

    /// Checks that the set can be computed with: sizes within bounds, distinct primes below 2^50 that
    /// are 1 mod 2N, special primes larger than a digit, a bootstrap that fits ring and chain. Says
    /// nothing about security.
    ///
    /// # Errors
    /// The first rule broken.
    pub fn verify(&self) -> Result<(), ParametersError> {
        let log_n = self.log_n;
        ensure((10..=17).contains(&log_n), || {
            format!("ring degree 2^{log_n}, expected 2^10 to 2^17")
        })?;
        ensure(
            (1..=64).contains(&self.q.len()) && (1..=32).contains(&self.p.len()),
            || {
                format!(
                    "{} and {} primes, expected 1 to 64 and 1 to 32",
                    self.q.len(),
                    self.p.len()
                )
            },
        )?;
        let mut seen = BTreeSet::new();
        for &prime in self.q.iter().chain(&self.p) {
            let fits = prime < 1 << 50 && prime % (2 << log_n) == 1 && is_prime(prime);
            ensure(fits, || {
                format!(
                    "{prime} is not a prime below 2^50 that is 1 mod 2^{}",
                    log_n + 1
                )
            })?;
            ensure(seen.insert(prime), || format!("{prime} occurs twice"))?;
        }
        ensure((1..=self.q.len()).contains(&self.digit), || {
            format!("digits of {} primes", self.digit)
        })?;
        let bits = |primes: &[u64]| primes.iter().map(|&p| (p as f64).log2()).sum::<f64>();
        let digit = self.q.chunks(self.digit).map(bits).fold(0.0, f64::max);
        ensure(digit <= bits(&self.p), || {
            format!("a digit of {digit:.0} bits exceeds the special primes")
        })?;

        match &self.bootstrap {
            Some(bootstrap) => self.verify_bootstrap(bootstrap),
            None => Ok(()),
        }
    }

    fn verify_bootstrap(&self, b: &Bootstrap) -> Result<(), ParametersError> {
        let log_n = self.log_n;
        let total = |radices: &[u32]| radices.iter().try_fold(0u32, |sum, &r| sum.checked_add(r));
        for radices in [&b.stc, &b.cts] {
            let fits = !radices.contains(&0) && total(radices) == Some(log_n - 2);
            ensure(fits, || {
                format!(
                    "bootstrap radices {radices:?}, expected a sum of {}",
                    log_n - 2
                )
            })?;
        }
        let cosine = (4..=254).contains(&b.cos_degree) && b.cos_degree.is_multiple_of(2);
        ensure(cosine, || {
            format!(
                "a cosine of degree {}, expected even, 4 to 254",
                b.cos_degree
            )
        })?;
        ensure(b.double_angles <= 16, || {
            format!("{} double angles, at most 16", b.double_angles)
        })?;
        ensure((1..=1024).contains(&b.range), || {
            format!("a range of {}, expected 1 to 1024", b.range)
        })?;
        let weight = (1..=1usize << log_n).contains(&b.sparse_weight);
        ensure(weight, || {
            format!("a sparse secret of weight {}", b.sparse_weight)
        })?;
        let above = self.activation_out(1).is_some_and(|out| out >= b.stc.len());
        ensure(above, || {
            format!("{} levels are too few for the bootstrap", self.top())
        })
    }
}

fn ensure(holds: bool, what: impl FnOnce() -> String) -> Result<(), ParametersError> {
    if holds {
        Ok(())
    } else {
        Err(ParametersError(what()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depths() {
        assert_eq!(
            [0, 1, 3, 4, 15, 16, 30, 31, 63].map(depth),
            [0, 1, 2, 3, 4, 5, 5, 5, 6]
        );
    }

    #[test]
    fn bootstrap_rotations_of_fbt15() {
        let p = Parameters::fused(15, 15);
        let found: Vec<_> = p
            .bootstrap_transforms()
            .iter()
            .map(|t| (t.offsets.len(), t.giant, t.level))
            .collect();
        assert_eq!(
            found,
            [
                (32, 2048, 18),
                (31, 128, 17),
                (31, 8, 16),
                (127, 16, 2),
                (128, 1024, 1)
            ]
        );
        let keys = p.bootstrap_rotations();
        let level = |steps| keys.iter().find(|k| k.steps == steps).map(|k| k.level);
        assert_eq!(
            (level(1), level(16), level(256), level(2048), level(0)),
            (Some(16), Some(17), Some(18), Some(18), None)
        );
        assert_eq!(level(16384 - 128), Some(17));
        assert!(keys.is_sorted() && keys.iter().all(|k| k.steps < p.slots()));
    }

    #[test]
    fn verify_refuses() {
        let check = |edit: fn(&mut Parameters), expect: &str| {
            let mut p = Parameters::fused(12, 15);
            edit(&mut p);
            let message = p.verify().unwrap_err().to_string();
            assert!(message.contains(expect), "{message}");
        };
        check(|p| p.log_n = 60, "2^60");
        check(|p| p.q[1] += 2, "is not a prime");
        check(|p| p.q[1] = p.p[0], "twice");
        check(|p| p.q.clear(), "0 and 4 primes");
        check(|p| p.digit = 0, "digits of 0");
        check(|p| p.digit = 9, "exceeds");
        check(
            |p| p.bootstrap.as_mut().unwrap().stc = vec![u32::MAX, 12],
            "radices",
        );
        check(
            |p| p.bootstrap.as_mut().unwrap().cos_degree = usize::MAX,
            "cosine",
        );
        check(|p| p.q.truncate(10), "too few");
    }
}
