//! Kernels that an operation on ciphertexts runs: number-theoretic transforms and multiply-accumulates on
//! vectors of one limb, as hybrid key switching with hoisting executes them.
//!
//! Cost tables hold measured seconds of some operations at some levels; this model carries them to others.

use super::Operation;
use crate::params::depth;

/// Kernel prices at N = 2^15 on one thread of a 2-core Zen 4 with AVX-512.
mod price {
    /// Seconds of one transform of 2^15 points.
    pub const NTT: f64 = 71e-6;
    /// Seconds of one multiply-accumulate of 2^15 residues.
    pub const MAC: f64 = 9.9e-6;
    /// Seconds of one encoding's embedding, 2^14 complex points.
    pub const EMBED: f64 = 150e-6;
}

/// Levels of the cosine and of the double angles, which all sets have in common.
const COSINE: usize = 5 + 3;

/// An operation and where it takes place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Point {
    pub operation: Operation,
    pub log_n: u32,
    /// Topmost limb of the operand; the top of the chain for bootstraps.
    pub level: usize,
    pub specials: usize,
    pub digit: usize,
    /// Of a polynomial, else 0.
    pub degree: usize,
    /// Of coefficients-to-slots in a bootstrap, else 0.
    pub groups: usize,
}

/// Vectors processed, each of N residues.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    ntts: f64,
    macs: f64,
    embeddings: f64,
}

impl Count {
    fn new(ntts: f64, macs: f64) -> Self {
        Self {
            ntts,
            macs,
            embeddings: 0.0,
        }
    }

    fn add(&mut self, other: Count, times: f64) {
        self.ntts += times * other.ntts;
        self.macs += times * other.macs;
        self.embeddings += times * other.embeddings;
    }
}

impl Point {
    /// Seconds on one thread, by counting; positive.
    pub fn modelled(&self) -> f64 {
        let Count {
            ntts,
            macs,
            embeddings,
        } = self.count();
        let size = f64::from(self.log_n).exp2() / 32768.0;
        let log = f64::from(self.log_n) / 15.0;
        size * (ntts * price::NTT * log + macs * price::MAC + embeddings * price::EMBED * log)
    }

    fn at(&self, level: usize) -> Self {
        Self { level, ..*self }
    }

    fn limbs(&self) -> f64 {
        self.level as f64 + 1.0
    }

    fn extended(&self) -> f64 {
        self.limbs() + self.specials as f64
    }

    fn digits(&self) -> f64 {
        (self.level + 1).div_ceil(self.digit.max(1)) as f64
    }

    fn count(&self) -> Count {
        match self.operation {
            Operation::MapInput => self.decompose(),
            Operation::MapOutput => {
                let mut count = self.mod_down();
                count.add(self.rescale(), 1.0);
                count
            }
            Operation::Baby => {
                let mut count = self.key_product();
                if self.low() {
                    count.add(self.mod_down(), 1.0);
                }
                count
            }
            Operation::Giant => {
                let mut count = self.mod_down();
                count.add(self.mod_down(), -0.5);
                count.add(self.decompose(), 1.0);
                count.add(self.key_product(), 1.0);
                count
            }
            // Real diagonals go two by two through embedding and transforms.
            Operation::Diagonal => {
                let limbs = if self.low() {
                    self.limbs()
                } else {
                    self.extended()
                };
                Count {
                    ntts: 0.5 * limbs,
                    macs: 2.0 * limbs,
                    embeddings: 0.5,
                }
            }
            Operation::Rotation => self.switch(),
            Operation::MulConst => self.rescale(),
            Operation::Add => Count::new(0.0, self.limbs()),
            Operation::Mul => self.multiply(),
            Operation::Polynomial => self.polynomial(self.degree),
            Operation::Bootstrap => self.bootstrap(),
            Operation::BootstrapSetup => self.transforms(|at, diagonals, _| {
                let encode = at.extended() * diagonals;
                Count {
                    ntts: encode,
                    macs: encode,
                    embeddings: diagonals,
                }
            }),
        }
    }

    /// Whether the special primes outnumber the limbs so far that maps divide every rotation by them.
    fn low(&self) -> bool {
        self.level < 2 * self.specials
    }

    /// Decomposition into digits and their extension to the special primes.
    fn decompose(&self) -> Count {
        Count::new(
            self.digits() * self.extended(),
            self.limbs() * self.extended(),
        )
    }

    /// Inner product of the digits with one key.
    fn key_product(&self) -> Count {
        Count::new(0.0, 2.0 * self.digits() * self.extended())
    }

    /// Division by the special primes, both polynomials.
    fn mod_down(&self) -> Count {
        let macs = 2.0 * self.limbs() * (self.specials as f64 + 1.0);
        Count::new(2.0 * self.extended(), macs)
    }

    fn rescale(&self) -> Count {
        Count::new(2.0 * self.limbs(), 2.0 * self.limbs())
    }

    /// One key switch.
    fn switch(&self) -> Count {
        let mut count = self.decompose();
        count.add(self.key_product(), 1.0);
        count.add(self.mod_down(), 1.0);
        count
    }

    /// Product, relinearisation and rescaling.
    fn multiply(&self) -> Count {
        let mut count = self.switch();
        count.add(self.rescale(), 1.0);
        count.macs += 4.0 * self.limbs();
        count
    }

    /// Paterson-Stockmeyer in the Chebyshev basis: leaves of 4 or 8 coefficients, powers of two as giants.
    fn polynomial(&self, degree: usize) -> Count {
        let leaf = if degree < 32 { 4 } else { 8 };
        let depth = depth(degree);
        let mut count = Count::default();
        let powers = (2..=degree).filter(|k| *k < leaf || k.is_power_of_two());
        for k in powers {
            let down = k.next_power_of_two().ilog2() as usize - 1;
            count.add(self.at(self.level.saturating_sub(down)).multiply(), 1.0);
        }
        let low = self.at(self.level.saturating_sub(depth.saturating_sub(1)));
        let joints = (degree + 1).div_ceil(leaf) - 1;
        // The first joint is the last operation; half of the others stand a level higher, and so on.
        let middle = self.at(low.level + usize::from(joints > 1));
        count.add(middle.multiply(), joints as f64);
        count.add(low.rescale(), 1.0);
        count.macs += 2.0 * (degree as f64 + 1.0) * middle.limbs();
        count
    }

    /// Slots-to-coefficients, mod-raise with the trace, coefficients-to-slots, conjugation, cosine,
    /// double angles.
    fn bootstrap(&self) -> Count {
        let mut count = self.transforms(|at, diagonals, rotations| {
            let mut count = at.decompose();
            count.add(at.key_product(), rotations / 2.0);
            let giant = Point {
                operation: Operation::Giant,
                ..at
            };
            count.add(giant.count(), rotations / 2.0);
            count.macs += 2.0 * at.extended() * diagonals;
            count.add(at.mod_down(), 1.0);
            count.add(at.rescale(), 1.0);
            count
        });
        // One digit: the raised halves are small.
        let flat = Point {
            digit: self.level + 1,
            ..*self
        };
        count.add(flat.switch(), 2.0);
        let after = self.at(self.level.saturating_sub(self.groups));
        count.add(after.switch(), 1.0);
        // A cosine of degree 30 is a series of degree 15 in the square.
        count.add(after.multiply(), 1.0);
        count.add(after.at(after.level.saturating_sub(1)).polynomial(15), 1.0);
        for doubling in 5..COSINE {
            count.add(
                after.at(after.level.saturating_sub(doubling)).multiply(),
                1.0,
            );
        }
        count
    }

    /// Sums `each(level, diagonals, rotations)` over the groups of both transforms.
    fn transforms(&self, each: impl Fn(Point, f64, f64) -> Count) -> Count {
        let stages = self.log_n - 2;
        let mut count = Count::default();
        let groups = self.groups.max(1) as u32;
        let high = (0..groups).map(|i| (self.level.saturating_sub(i as usize), groups));
        for (level, parts) in high.chain([(2, 2), (1, 2)]) {
            let radix = f64::from(stages) / f64::from(parts);
            let diagonals = 2.0 * radix.exp2() - 1.0;
            count.add(each(self.at(level), diagonals, 2.0 * diagonals.sqrt()), 1.0);
        }
        count
    }
}

/// The level of the operand of P in a bootstrap.
pub(super) fn level_of_p(top: usize, groups: usize) -> usize {
    top.saturating_sub(groups + COSINE)
}
