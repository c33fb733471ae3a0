//! What stands for a function on ciphertexts.

use super::FunctionError;
use crate::program_eval::{activate, chebyshev};
use crate::rules::{verify_coefficients, verify_rho};

/// Most polynomials that a levelled approximation composes.
pub const MAX_COMPOSED: usize = 16;

/// What stands for a function on ciphertexts. x is the network's value over `range`, and the result
/// is the network's value over `range` too.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub enum Approximation {
    /// P(cos((pi/2)(1 + rho x))), P a Chebyshev series, evaluated inside a bootstrap.
    Fused {
        /// Network value at x = 1.
        range: f64,
        /// Share of the half circle that |x| <= 1 fills.
        rho: f64,
        /// c_0.. of P.
        coefficients: Vec<f64>,
    },
    /// Chebyshev series composed, first applied first; `times_x` multiplies the result by x at last:
    /// x (1/2 + sgn(x)/2) is a ReLU.
    Levelled {
        /// Network value at x = 1.
        range: f64,
        /// At least one, each of degree 1 or more.
        polynomials: Vec<Vec<f64>>,
        /// Whether x multiplies the composition.
        times_x: bool,
    },
    /// x^2 by one multiplication, exact: network value (range x)^2.
    Square {
        /// Network value at x = 1.
        range: f64,
    },
}

impl Approximation {
    /// Network value at x = 1.
    pub fn range(&self) -> f64 {
        match self {
            Self::Fused { range, .. } | Self::Levelled { range, .. } | Self::Square { range } => {
                *range
            }
        }
    }

    /// The kind of approximation, for messages and dumps.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Fused { .. } => "cosine_series",
            Self::Levelled { .. } => "chebyshev_series",
            Self::Square { .. } => "square",
        }
    }

    /// Degrees of its series, first applied first; none for a square.
    pub fn degrees(&self) -> Vec<usize> {
        let degree = |series: &Vec<f64>| series.len().saturating_sub(1);
        match self {
            Self::Fused { coefficients, .. } => vec![degree(coefficients)],
            Self::Levelled { polynomials, .. } => polynomials.iter().map(degree).collect(),
            Self::Square { .. } => Vec::new(),
        }
    }

    /// [`Approximation::degrees`] as text, `between` every two.
    pub fn degrees_between(&self, between: &str) -> String {
        let degrees: Vec<String> = self.degrees().iter().map(usize::to_string).collect();
        degrees.join(between)
    }

    /// Checks that the range is positive, 0 < rho <= 1, and that every series has 2 to
    /// [`MAX_COEFFICIENTS`](crate::program_verify::MAX_COEFFICIENTS) finite coefficients, the last one nonzero; 1 to [`MAX_COMPOSED`] series.
    ///
    /// # Errors
    /// The first rule broken.
    pub fn verify(&self) -> Result<(), FunctionError> {
        self.check().map_err(|what| FunctionError {
            function: self.name(),
            what,
        })
    }

    pub(super) fn check(&self) -> Result<(), String> {
        let range = self.range();
        if !(range.is_finite() && range > 0.0) {
            return Err(format!("range {range}, expected a positive number"));
        }
        match self {
            Self::Fused {
                rho, coefficients, ..
            } => {
                verify_rho(*rho)?;
                verify_coefficients(coefficients)
            }
            Self::Levelled { polynomials, .. } => {
                if !(1..=MAX_COMPOSED).contains(&polynomials.len()) {
                    let found = polynomials.len();
                    return Err(format!("{found} polynomials, expected 1 to {MAX_COMPOSED}"));
                }
                polynomials.iter().try_for_each(|p| verify_coefficients(p))
            }
            Self::Square { .. } => Ok(()),
        }
    }

    /// The network's value that results from the network's value `value`.
    pub fn apply(&self, value: f64) -> f64 {
        match self {
            Self::Fused {
                range,
                rho,
                coefficients,
            } => range * activate(coefficients, *rho, value / range),
            Self::Levelled {
                range,
                polynomials,
                times_x,
            } => {
                let x = value / range;
                let composed = polynomials.iter().fold(x, |x, p| chebyshev(p, x));
                range * if *times_x { x * composed } else { composed }
            }
            Self::Square { .. } => value * value,
        }
    }
}

impl std::fmt::Display for Approximation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let degrees = self.degrees_between(",");
        match self {
            Self::Fused { range, rho, .. } => write!(f, "range {range} rho {rho} degree {degrees}"),
            Self::Levelled { range, times_x, .. } => {
                let times = if *times_x { " times x" } else { "" };
                write!(f, "range {range} degrees {degrees}{times}")
            }
            Self::Square { range } => write!(f, "range {range}"),
        }
    }
}
