//! How much noise every operation adds: standard deviations in slot units, that is after decryption
//! and division by the ciphertext's scale.
//!
//! All formulas are for a dense ternary secret, and start from the canonical embedding: a real slot is
//! a sum of the N coefficients, each times a cosine, so that coefficients of variance v give a slot of
//! variance N/2 v [CKKS17]. Measured on a ring of 2^15 they hold within a few per cent (the tests
//! below).

use hecc_ir::params::{Bootstrap, Parameters, depth};

/// Variance of a coefficient of a fresh error: centred binomial of 42 bits, sigma = 3.24.
pub const ERROR_VARIANCE: f64 = 10.5;

/// Variance of a rounding to an integer.
const ROUNDING: f64 = 1.0 / 12.0;

/// The error of cosine and double angles in roundings at their scale: this times the degree of the
/// cosine times [`DOUBLING`] for every double angle.
///
/// Calibrated: 880 roundings were measured at degree 30 with three double angles and a range of 16.
const COSINE_GAIN: f64 = 1.3;
/// y -> 2 y^2 - 1 multiplies an error by 4y, and a cosine is 1/sqrt(2) in root mean square.
const DOUBLING: f64 = 4.0 * std::f64::consts::FRAC_1_SQRT_2;

/// The noise of operations under one parameter set.
#[derive(Clone, Copy, Debug)]
pub struct Model<'p> {
    parameters: &'p Parameters,
}

/// A linear map, as far as its noise depends on it.
#[derive(Clone, Copy, Debug)]
pub struct MapShape {
    /// Level of the operand once dropped: one above the result's.
    pub level: usize,
    /// Scale of the operand.
    pub scale_in: f64,
    /// Scale of the result.
    pub scale_out: f64,
    /// Diagonals per output ciphertext.
    pub diagonals: usize,
    /// Mean over the output's elements of the sum of the squares of their matrix row.
    pub row_square: f64,
    /// Rotations that add up copies afterwards.
    pub folds: usize,
}

/// Variance of a linear map's own noise: `fixed + per_square * mean(x^2)`, with x the operand's slots.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MapNoise {
    /// Independent of the operand.
    pub fixed: f64,
    /// Per unit of the operand's mean square.
    pub per_square: f64,
}

impl<'p> Model<'p> {
    /// For these parameters.
    pub fn new(parameters: &'p Parameters) -> Self {
        Self { parameters }
    }

    /// Coefficients.
    fn n(&self) -> f64 {
        (self.parameters.log_n as f64).exp2()
    }

    /// Standard deviation of a slot whose coefficients have this variance.
    fn slot(&self, variance: f64) -> f64 {
        (self.n() / 2.0 * variance).sqrt()
    }

    /// A fresh encryption: the error, and the rounding of the message's coefficients.
    pub fn fresh(&self, scale: f64) -> f64 {
        self.slot(ERROR_VARIANCE + ROUNDING) / scale
    }

    /// One division with rounding of a ciphertext, as every rescale, key switching and multiplication
    /// ends with: r0 + r1 s, where r1 meets the secret's 2N/3 nonzero coefficients [CKKS17, Lemma 2].
    /// The key's own noise is included: every digit of size D multiplies an error, and the sum is
    /// divided by the special primes P, which leaves N D^2/12 sigma^2 / P^2 per digit [HK20].
    ///
    /// `level` is where the key switching happens, `scale` the result's.
    pub fn step(&self, level: usize, scale: f64) -> f64 {
        let rounding = ROUNDING * (1.0 + self.n() * 2.0 / 3.0);
        self.slot(rounding + self.key_noise(level)) / scale
    }

    fn key_noise(&self, level: usize) -> f64 {
        let bits = |primes: &[u64]| primes.iter().map(|&q| (q as f64).log2()).sum::<f64>();
        let special = bits(&self.parameters.p);
        let digits = self.parameters.q[..=level].chunks(self.parameters.digit.max(1));
        let squares: f64 = digits.map(|d| (2.0 * (bits(d) - special)).exp2()).sum();
        squares * self.n() * ROUNDING * ERROR_VARIANCE
    }

    /// A linear map by baby-step giant-step:
    /// - the division at its end;
    /// - the rounding of the encoded diagonals: each coefficient by 1/sqrt(12), hence a slot by
    ///   sqrt(N/24) over the plaintext's scale, times the operand, once per diagonal;
    /// - where rotations are divided by P one by one (operands of fewer than twice as many levels as
    ///   there are special primes; above, hoisting is double [BMTH21]), a division of every rotated
    ///   operand, which passes through the matrix. The one diagonal in a giant step that is not
    ///   rotated is counted too;
    /// - every fold adds the noise of other copies to its own, and a division.
    pub fn map(&self, map: &MapShape) -> MapNoise {
        let step = self.step(map.level, map.scale_out).powi(2);
        let plain = map.scale_out * self.parameters.q[map.level] as f64 / map.scale_in;
        let encoding = (self.slot(ROUNDING) / plain).powi(2) * map.diagonals as f64;
        let hoisted_once = map.level < 2 * self.parameters.p.len();
        let babies = match hoisted_once {
            true => self.step(map.level, map.scale_in).powi(2) * map.row_square,
            false => 0.0,
        };
        // Folding f times sums 2^f copies, and the fold that comes i-th of f is itself summed by the
        // f - i that follow: 1 + 2 + 4 + .. divisions.
        let copies = (map.folds as f64).exp2();
        MapNoise {
            fixed: copies * step + babies + (copies - 1.0) * step,
            per_square: copies * encoding,
        }
    }

    /// y = cos of the bootstrap, before P, where y = 0: the errors of coefficients-to-slots and of the
    /// cosine's powers grow with the cosine's degree and with every double angle. What
    /// slots-to-coefficients adds is some hundred times smaller and left out.
    ///
    /// The last double angle makes y = 2 c^2 - 1 with an error of 4 c e, where c = sqrt((1 + y)/2):
    /// elsewhere the standard deviation is sqrt(1 + y) times this one. The angles before it differ from
    /// slot to slot by multiples of a quarter turn and more, at random.
    pub fn cosine(&self, bootstrap: &Bootstrap) -> f64 {
        let after = self.parameters.top().saturating_sub(bootstrap.cts.len());
        let steps = depth(bootstrap.cos_degree) + bootstrap.double_angles as usize;
        let primes = &self.parameters.q[(after + 1).saturating_sub(steps)..=after];
        let bits = primes.iter().map(|&q| (q as f64).log2()).sum::<f64>() / primes.len() as f64;
        let gain = COSINE_GAIN
            * bootstrap.cos_degree as f64
            * DOUBLING.powi(bootstrap.double_angles as i32);
        gain * self.step(after, bits.exp2())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Within this factor of what was measured.
    fn near(formula: f64, measured: f64, factor: f64) {
        let ratio = formula / measured;
        assert!(
            ratio < factor && ratio > 1.0 / factor,
            "{formula:e}, measured {measured:e}"
        );
    }

    /// The figures are what `cargo run --release -p hecc-client --example noise` printed: N = 2^15,
    /// q: 32 | 30 x 3 | 34 x 4 | 35 x 11, P: 46 x 4, digits of 5; 2^14 slots a figure.
    #[test]
    fn formulas_give_what_was_measured() {
        let parameters = Parameters::fused(15, 15);
        let model = Model::new(&parameters);
        let (low, high) = (2f64.powi(30), 2f64.powi(34));
        near(model.fresh(low), 3.880e-7, 1.05);
        near(model.fresh(high), 2.408e-8, 1.05);
        // Rotation, product, product with 1/3.
        for (level, scale, measured) in [
            (3, low, [5.059e-6, 5.005e-6, 5.093e-6]),
            (7, high, [3.169e-7, 3.174e-7, 3.199e-7]),
            (14, high, [3.143e-7, 3.179e-7, 3.179e-7]),
        ] {
            for figure in measured {
                near(model.step(level, scale), figure, 1.05);
            }
        }
        // 144 diagonals, uniform of 0.0866 in root mean square, on an operand uniform in +-1.
        for (level, scale, measured) in [
            (3, low, 7.132e-6),
            (7, high, 4.462e-7),
            (14, high, 3.165e-7),
        ] {
            let noise = model.map(&MapShape {
                level,
                scale_in: scale,
                scale_out: scale,
                diagonals: 144,
                row_square: 144.0 * 0.15 * 0.15 / 3.0,
                folds: 0,
            });
            near((noise.fixed + noise.per_square / 3.0).sqrt(), measured, 1.1);
        }
        let bootstrap = parameters.bootstrap.as_ref().expect("fused");
        near(model.cosine(bootstrap), 1.426e-4, 1.1);
    }

    #[test]
    fn folds_sum_copies() {
        let parameters = Parameters::fused(15, 15);
        let model = Model::new(&parameters);
        let of = |folds| {
            model.map(&MapShape {
                level: 3,
                scale_in: 2f64.powi(30),
                scale_out: 2f64.powi(30),
                diagonals: 10,
                row_square: 0.0,
                folds,
            })
        };
        // x + rotate(x) twice: 4 divisions of the map, 2 of the first fold, 1 of the second.
        let ratio = of(2).fixed / of(0).fixed;
        assert!((ratio - 7.0).abs() < 1e-9, "{ratio}");
    }
}
