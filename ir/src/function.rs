//! Scalar functions that a network applies to every element, and what stands for them on ciphertexts.

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_PI};

mod approximation;

pub use approximation::{Approximation, MAX_COMPOSED};

/// Largest degree of [`Function::Polynomial`] and exponent of [`Function::Power`].
pub const MAX_DEGREE: usize = 16;

/// A parameter out of bounds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{function}: {what}")]
pub struct FunctionError {
    /// [`Function::name`].
    pub function: &'static str,
    /// Expected and got.
    pub what: String,
}

/// A function of one number, applied element by element.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub enum Function {
    /// max(x, 0).
    Relu,
    /// x for x >= 0, `slope` x below.
    LeakyRelu {
        /// Slope of the negative half.
        slope: f32,
    },
    /// x limited to [`min`, `max`].
    Clip {
        /// Least value.
        min: f32,
        /// Largest value.
        max: f32,
    },
    /// 1 / (1 + e^-x).
    Sigmoid,
    /// `alpha` x + `beta` limited to [0, 1].
    HardSigmoid {
        /// Slope.
        alpha: f32,
        /// Value at 0.
        beta: f32,
    },
    /// x * hard_sigmoid(x) with slope 1/6 and value 1/2.
    HardSwish,
    /// x * sigmoid(x).
    Silu,
    /// x Phi(x), Phi the normal distribution; `tanh`: its approximation by a tanh.
    Gelu {
        /// Whether the tanh form is meant.
        tanh: bool,
    },
    /// Hyperbolic tangent.
    Tanh,
    /// x for x >= 0, `alpha` (e^x - 1) below.
    Elu {
        /// Limit at minus infinity, negated.
        alpha: f32,
    },
    /// `gamma` * elu(x, alpha).
    Selu {
        /// Of the exponential part.
        alpha: f32,
        /// Of the whole.
        gamma: f32,
    },
    /// ln(1 + e^x).
    Softplus,
    /// x tanh(softplus(x)).
    Mish,
    /// |x|.
    Abs,
    /// Square root; 0 below 0.
    Sqrt,
    /// e^x.
    Exp,
    /// 1 / x.
    Reciprocal,
    /// x^`exponent`, 2 and up.
    Power {
        /// Exponent.
        exponent: u32,
    },
    /// sum_k c_k x^k; one row of coefficients for all channels, or one a channel.
    Polynomial {
        /// `[1 or channels][degree + 1]`, all rows of one length.
        coefficients: Vec<Vec<f32>>,
    },
    /// An approximation spelled out in the model: exactly this, no other.
    Approximated(Approximation),
}

fn map(values: &mut [f32], f: impl Fn(f32) -> f32) {
    values.iter_mut().for_each(|x| *x = f(*x));
}

fn finite(parameters: &[f32]) -> Result<(), String> {
    match parameters.iter().find(|p| !p.is_finite()) {
        Some(p) => Err(format!("a parameter {p}, expected a finite number")),
        None => Ok(()),
    }
}

impl Function {
    /// Checks the parameters of a function that is applied to `channels` channels: finite numbers,
    /// `min` at most `max`, an exponent of 2 to [`MAX_DEGREE`], one row of coefficients or one a
    /// channel, all of the same degree 1 to [`MAX_DEGREE`].
    ///
    /// # Errors
    /// The first rule broken.
    pub fn verify(&self, channels: usize) -> Result<(), FunctionError> {
        self.check(channels).map_err(|what| FunctionError {
            function: self.name(),
            what,
        })
    }

    fn check(&self, channels: usize) -> Result<(), String> {
        match self {
            Self::LeakyRelu { slope } => finite(&[*slope]),
            Self::Clip { min, max } => {
                finite(&[*min, *max])?;
                match min <= max {
                    true => Ok(()),
                    false => Err(format!("an empty range {min}..{max}")),
                }
            }
            Self::HardSigmoid { alpha, beta } => finite(&[*alpha, *beta]),
            Self::Elu { alpha } => finite(&[*alpha]),
            Self::Selu { alpha, gamma } => finite(&[*alpha, *gamma]),
            Self::Power { exponent } => match (2..=MAX_DEGREE).contains(&(*exponent as usize)) {
                true => Ok(()),
                false => Err(format!("exponent {exponent}, expected 2 to {MAX_DEGREE}")),
            },
            Self::Polynomial { coefficients } => {
                let rows = coefficients.len();
                if rows != 1 && rows != channels {
                    return Err(format!(
                        "{rows} rows of coefficients for {channels} channels"
                    ));
                }
                let columns = coefficients.first().map_or(0, Vec::len);
                if !(2..=MAX_DEGREE + 1).contains(&columns) {
                    return Err(format!(
                        "{columns} coefficients, expected 2 to {}",
                        MAX_DEGREE + 1
                    ));
                }
                if coefficients.iter().any(|row| row.len() != columns) {
                    return Err("rows of coefficients of different lengths".to_string());
                }
                coefficients.iter().try_for_each(|row| finite(row))
            }
            Self::Approximated(approximation) => approximation.check(),
            Self::Relu
            | Self::Sigmoid
            | Self::HardSwish
            | Self::Silu
            | Self::Gelu { .. }
            | Self::Tanh
            | Self::Softplus
            | Self::Mish
            | Self::Abs
            | Self::Sqrt
            | Self::Exp
            | Self::Reciprocal => Ok(()),
        }
    }

    /// f of every value, in place; `plane` values in turn belong to a channel. In f32 where that loses
    /// nothing.
    pub fn apply_all(&self, plane: usize, values: &mut [f32]) {
        match self {
            Self::Relu => map(values, |x| x.max(0.0)),
            Self::LeakyRelu { slope } => map(values, |x| if x < 0.0 { slope * x } else { x }),
            Self::Clip { min, max } => map(values, |x| x.max(*min).min(*max)),
            Self::HardSigmoid { alpha, beta } => {
                map(values, |x| (alpha * x + beta).clamp(0.0, 1.0))
            }
            Self::HardSwish => map(values, |x| x * (x / 6.0 + 0.5).clamp(0.0, 1.0)),
            Self::Abs => map(values, f32::abs),
            Self::Sigmoid
            | Self::Silu
            | Self::Gelu { .. }
            | Self::Tanh
            | Self::Elu { .. }
            | Self::Selu { .. }
            | Self::Softplus
            | Self::Mish
            | Self::Sqrt
            | Self::Exp
            | Self::Reciprocal
            | Self::Power { .. }
            | Self::Polynomial { .. }
            | Self::Approximated(_) => {
                for (channel, values) in values.chunks_mut(plane.max(1)).enumerate() {
                    for x in values {
                        *x = self.apply(channel, f64::from(*x)) as f32;
                    }
                }
            }
        }
    }

    /// f(x) on channel `channel` (of account for [`Function::Polynomial`] only).
    pub fn apply(&self, channel: usize, x: f64) -> f64 {
        let relu = |x: f64| x.max(0.0);
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        let softplus = |x: f64| relu(x) + (-x.abs()).exp().ln_1p();
        let elu = |alpha: f64, x: f64| if x >= 0.0 { x } else { alpha * x.exp_m1() };
        match self {
            Self::Relu => relu(x),
            Self::LeakyRelu { slope } if x < 0.0 => f64::from(*slope) * x,
            Self::LeakyRelu { .. } => x,
            Self::Clip { min, max } => x.max(f64::from(*min)).min(f64::from(*max)),
            Self::Sigmoid => sigmoid(x),
            Self::HardSigmoid { alpha, beta } => {
                (f64::from(*alpha) * x + f64::from(*beta)).clamp(0.0, 1.0)
            }
            Self::HardSwish => x * (x / 6.0 + 0.5).clamp(0.0, 1.0),
            Self::Silu => x * sigmoid(x),
            // 1 + erf(z) = erfc(-z), which does not cancel.
            Self::Gelu { tanh: false } => 0.5 * x * libm::erfc(-x * FRAC_1_SQRT_2),
            Self::Gelu { tanh: true } => {
                let inner = FRAC_2_PI.sqrt() * (x + 0.044_715 * x * x * x);
                0.5 * x * (1.0 + inner.tanh())
            }
            Self::Tanh => x.tanh(),
            Self::Elu { alpha } => elu(f64::from(*alpha), x),
            Self::Selu { alpha, gamma } => f64::from(*gamma) * elu(f64::from(*alpha), x),
            Self::Softplus => softplus(x),
            Self::Mish => x * softplus(x).tanh(),
            Self::Abs => x.abs(),
            Self::Sqrt => relu(x).sqrt(),
            Self::Exp => x.exp(),
            Self::Reciprocal => 1.0 / x,
            Self::Power { exponent } => x.powi(*exponent as i32),
            Self::Polynomial { coefficients } => {
                let row = &coefficients[if coefficients.len() == 1 { 0 } else { channel }];
                row.iter().rev().fold(0.0, |sum, &c| sum * x + f64::from(c))
            }
            Self::Approximated(approximation) => approximation.apply(x),
        }
    }

    /// The ONNX operator or the pattern it stands for, for messages and dumps.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Relu => "relu",
            Self::LeakyRelu { .. } => "leaky_relu",
            Self::Clip { .. } => "clip",
            Self::Sigmoid => "sigmoid",
            Self::HardSigmoid { .. } => "hard_sigmoid",
            Self::HardSwish => "hard_swish",
            Self::Silu => "silu",
            Self::Gelu { tanh: false } => "gelu",
            Self::Gelu { tanh: true } => "gelu_tanh",
            Self::Tanh => "tanh",
            Self::Elu { .. } => "elu",
            Self::Selu { .. } => "selu",
            Self::Softplus => "softplus",
            Self::Mish => "mish",
            Self::Abs => "abs",
            Self::Sqrt => "sqrt",
            Self::Exp => "exp",
            Self::Reciprocal => "reciprocal",
            Self::Power { .. } => "power",
            Self::Polynomial { .. } => "polynomial",
            Self::Approximated(approximation) => approximation.name(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Python's math module at -2.5, 0.7 and 3.
    const GELU_TANH: [f64; 3] = [-0.015084266089998577, 0.5305701347051167, 2.996362607918227];
    const GELU: [f64; 3] = [-0.015524163314440348, 0.5306254434438489, 2.99595030590511];
    const TANH: [f64; 3] = [-0.9866142981514303, 0.6043677771171636, 0.9950547536867305];
    const ELU: [f64; 3] = [-0.45895750068805063, 0.7, 3.0];
    const SOFTPLUS: [f64; 3] = [0.07888973429254963, 1.103186048885458, 3.048587351573742];
    const MISH: [f64; 3] = [-0.19681620390653337, 0.5611483776438518, 2.9865350049679575];
    const FAR: f64 = -2.1317785344932424e-32;

    #[test]
    fn known_values() {
        let check = |f: Function, expect: [f64; 3]| {
            f.verify(4).unwrap();
            for (x, expect) in [-2.5, 0.7, 3.0].into_iter().zip(expect) {
                let got = f.apply(0, x);
                assert!((got - expect).abs() < 1e-14, "{f:?} of {x}: {got}");
                let mut all = [x as f32; 2];
                f.apply_all(1, &mut all);
                let worst = all.map(|y| (f64::from(y) - expect).abs());
                assert!(worst[0].max(worst[1]) < 1e-6, "{f:?} of {x}: {all:?}");
            }
        };
        check(Function::Relu, [0.0, 0.7, 3.0]);
        check(Function::LeakyRelu { slope: 0.25 }, [-0.625, 0.7, 3.0]);
        let (min, max) = (-1.0, 2.0);
        check(Function::Clip { min, max }, [-1.0, 0.7, 2.0]);
        check(
            Function::Sigmoid,
            [
                0.075_858_180_021_243_55,
                0.668_187_772_168_166_2,
                0.952_574_126_822_433_1,
            ],
        );
        let (alpha, beta) = (0.25, 0.5);
        check(Function::HardSigmoid { alpha, beta }, [0.0, 0.675, 1.0]);
        check(
            Function::HardSwish,
            [-2.5 / 12.0, 0.7 * (0.7 / 6.0 + 0.5), 3.0],
        );
        check(
            Function::Silu,
            [
                -0.189_645_450_053_108_88,
                0.467_731_440_517_716_3,
                2.857_722_380_467_299_5,
            ],
        );
        check(Function::Gelu { tanh: false }, GELU);
        check(Function::Gelu { tanh: true }, GELU_TANH);
        check(Function::Tanh, TANH);
        check(Function::Elu { alpha: 0.5 }, ELU);
        let (alpha, gamma) = (0.5, 2.0);
        check(Function::Selu { alpha, gamma }, ELU.map(|y| 2.0 * y));
        check(Function::Softplus, SOFTPLUS);
        check(Function::Mish, MISH);
        check(Function::Abs, [2.5, 0.7, 3.0]);
        check(Function::Sqrt, [0.0, 0.7f64.sqrt(), 3f64.sqrt()]);
        check(Function::Exp, [-2.5, 0.7, 3.0].map(f64::exp));
        check(Function::Reciprocal, [-0.4, 1.0 / 0.7, 1.0 / 3.0]);
        check(Function::Power { exponent: 3 }, [-15.625, 0.343, 27.0]);
        let coefficients = vec![vec![1.0, -2.0, 0.5]];
        check(Function::Polynomial { coefficients }, [9.125, -0.155, -0.5]);
        let square = Approximation::Square { range: 3.0 };
        check(Function::Approximated(square), [6.25, 0.49, 9.0]);
        let relu = Approximation::Levelled {
            range: 4.0,
            polynomials: vec![vec![0.0, 1.0], vec![0.5, 0.5]],
            times_x: true,
        };
        // x (1/2 + x/8).
        check(Function::Approximated(relu), [-0.468_75, 0.411_25, 2.625]);
    }

    #[test]
    fn nothing_overflows_or_cancels_far_out() {
        let check = |f: Function, x: f64, expect: f64| {
            let got = f.apply(0, x);
            assert!(
                (got - expect).abs() <= 1e-12 * expect.abs(),
                "{f:?} of {x}: {got}"
            );
        };
        check(Function::Gelu { tanh: false }, -12.0, FAR);
        check(Function::Sigmoid, -800.0, 0.0);
        check(Function::Softplus, 800.0, 800.0);
        check(Function::Mish, 800.0, 800.0);
        check(Function::Elu { alpha: 1.0 }, -1e-13, -1e-13);
    }

    #[test]
    fn polynomials_know_their_channel() {
        let f = Function::Polynomial {
            coefficients: vec![vec![0.0, 2.0], vec![1.0, -1.0]],
        };
        let mut values = [1.0, 2.0, 1.0, 2.0];
        f.apply_all(2, &mut values);
        assert_eq!(values, [2.0, 4.0, 0.0, -1.0]);
    }

    #[test]
    fn parameters_out_of_bounds_are_errors() {
        let check = |f: Function, expect: &str| {
            let message = f.verify(3).unwrap_err().to_string();
            assert!(message.contains(expect), "{message}");
        };
        let polynomial = |coefficients| Function::Polynomial { coefficients };
        let fused = |range, rho, coefficients| {
            Function::Approximated(Approximation::Fused {
                range,
                rho,
                coefficients,
            })
        };
        let levelled = |polynomials| {
            Function::Approximated(Approximation::Levelled {
                range: 1.0,
                polynomials,
                times_x: false,
            })
        };
        check(
            Function::LeakyRelu { slope: f32::NAN },
            "leaky_relu: a parameter NaN",
        );
        let (min, max) = (1.0, 0.0);
        check(Function::Clip { min, max }, "empty range 1..0");
        check(Function::Power { exponent: 1 }, "exponent 1");
        check(Function::Power { exponent: 17 }, "exponent 17");
        check(polynomial(vec![vec![1.0; 2]; 2]), "2 rows");
        check(polynomial(vec![vec![1.0; 18]]), "18 coefficients");
        check(polynomial(vec![vec![1.0]]), "1 coefficients");
        check(
            polynomial(vec![vec![1.0; 2], vec![1.0; 2], vec![1.0; 3]]),
            "different lengths",
        );
        check(polynomial(Vec::new()), "0 rows");
        check(fused(0.0, 0.9, vec![1.0; 4]), "range 0");
        check(fused(1.0, 1.1, vec![1.0; 4]), "rho 1.1");
        check(fused(1.0, 0.9, vec![1.0]), "1 coefficients");
        check(fused(1.0, 0.9, vec![1.0, 0.0]), "last nonzero");
        check(levelled(Vec::new()), "0 polynomials");
        check(levelled(vec![vec![f64::NAN, 1.0]]), "finite");
    }
}
