//! **candidates**: what may stand in the network in an activation's place, from nothing at all to a
//! series of degree 127 in the bootstrap.
//!
//! Does: gives an activation its alternatives as operators of the nn language, cheapest first. Each
//! replaces the activation's operator; `fold_linear` and `lower` take the graph from there. Where
//! several methods find coefficients, the one with the least error on the measured distribution is
//! used, and the errors of all are kept.
//!
//! | kind | operator | levels |
//! |---|---|---|
//! | pruned | a line, which the neighbours absorb | 0 |
//! | quadratic | a polynomial of degree 2 | 1, as a square between lines |
//! | levelled | one Chebyshev series of degree 3 to 63 | ceil(log2(degree + 1)) |
//! | composite | x (a + b sgn x), the sign composed of odd polynomials [AB24] | their sum, and 1 |
//! | fused | a series of degree 7 to 127 in the bootstrap | those of the bootstrap |
//!
//! A polynomial (a quadratic network's, a power, an approximation that the model spells out) is pruned
//! or stays itself.
//!
//! Does not: look at other layers; choose.
//!
//! In: statistics with finite ranges. Out: index 0 is pruned; the others in the order of their depth,
//! then of their products, the fused ones last. A levelled one that takes as many levels and products
//! as another and has no less error is left out, unless it is the last of its kind.
//!
//! Errors say nothing about inputs beyond the measured ones. Series and compositions are held on all of
//! [-B, B] by a floor of their weight; a quadratic is not.
//!
//! Test: `every_kind_in_order`, `least_squares_are_the_dense_ones` in `candidates/tests.rs`.

use std::fmt;

use hecc_ir::calibration::ActivationStatistics;
use hecc_ir::function::{Approximation, Function};
use hecc_ir::nn::{Linear, Op, Shape};
use hecc_ir::params::depth;
use serde::{Deserialize, Serialize};

use crate::PassError;
use crate::approximate::{check_options, fit, fit_levelled, range};

mod composites;
mod gauss_newton;
mod lines;
mod measured;
mod memo;
mod odd;
mod rccde;
mod table;

#[cfg(test)]
mod tests;

use measured::Measured;

pub use table::{Row, describe};

/// Degrees of single series.
const LEVELLED: [usize; 5] = [3, 7, 15, 31, 63];
/// Degrees of series in the bootstrap.
const FUSED: [usize; 7] = [7, 11, 15, 23, 31, 63, 127];

/// What a candidate is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// No activation: a line.
    Pruned,
    /// A polynomial of degree 2.
    Quadratic,
    /// One polynomial of this degree.
    Levelled(usize),
    /// x times a composition of polynomials of these degrees, first applied first.
    Composite(Vec<usize>),
    /// A series of this degree inside the bootstrap.
    Fused(usize),
}

impl Kind {
    /// Levels it takes; those of P for a fused one.
    pub fn depth(&self) -> usize {
        match self {
            Self::Pruned => 0,
            Self::Quadratic => 1,
            Self::Levelled(degree) | Self::Fused(degree) => depth(*degree),
            Self::Composite(degrees) => degrees.iter().map(|&d| depth(d)).sum::<usize>() + 1,
        }
    }

    /// Products of ciphertexts by baby-step giant-step, about.
    fn products(&self) -> usize {
        match self {
            Self::Pruned => 0,
            Self::Quadratic => 1,
            Self::Levelled(degree) | Self::Fused(degree) => products(*degree),
            Self::Composite(degrees) => degrees.iter().map(|&d| products(d)).sum::<usize>() + 1,
        }
    }

    /// Whether a bootstrap evaluates it.
    pub fn is_fused(&self) -> bool {
        matches!(self, Self::Fused(_))
    }

    fn order(&self) -> (bool, usize, usize) {
        (self.is_fused(), self.depth(), self.products())
    }
}

/// Babies T_2..T_2^b, giants up to the degree, and a product for each giant step.
fn products(degree: usize) -> usize {
    let depth = depth(degree);
    (1..=depth)
        .map(|b| (1 << b) - 1 + (depth - b) + (degree + 1).div_ceil(1 << b) - 1)
        .min()
        .unwrap_or(0)
}

/// "pruned", "quadratic", "cheb 15", "evo 7.7", "fused 31".
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Pruned => "pruned".to_string(),
            Self::Quadratic => "quadratic".to_string(),
            Self::Levelled(degree) => format!("cheb {degree}"),
            Self::Composite(degrees) => {
                let degrees: Vec<_> = degrees.iter().map(usize::to_string).collect();
                format!("evo {}", degrees.join("."))
            }
            Self::Fused(degree) => format!("fused {degree}"),
        };
        f.pad(&text)
    }
}

/// How coefficients were found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Not at all: x itself.
    Identity,
    /// Weighted least squares on the measured distribution.
    LeastSquares,
    /// Exchange algorithm of Remez, on the whole range.
    Remez,
    /// Regularised cooperative coevolution by differential evolution [AB24], on the whole range.
    Rccde,
    /// The function is a polynomial.
    Exact,
}

/// "identity", "least squares", "remez", "r-ccde", "exact".
impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Identity => "identity",
            Self::LeastSquares => "least squares",
            Self::Remez => "remez",
            Self::Rccde => "r-ccde",
            Self::Exact => "exact",
        })
    }
}

/// One method's error for one kind.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// The method.
    pub method: Method,
    /// As [`Candidate::error`].
    pub error: f64,
}

/// An operator that may stand in an activation's place.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// What it is.
    pub kind: Kind,
    /// Replaces the activation's operator.
    pub op: Op,
    /// Root mean square of op - function on the measured distribution, over the range B.
    pub error: f64,
    /// The method that found its coefficients.
    pub method: Method,
    /// Errors of all methods tried, the least first.
    pub trials: Vec<Trial>,
}

/// What a user may choose about candidates.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// B over the calibrated maximum, at least 1.
    pub margin: f64,
    /// Share of the half circle that [-B, B] fills, in (0, 1].
    pub rho: f64,
    /// Of the random numbers of [`Method::Rccde`].
    pub seed: u64,
    /// Restarts of [`Method::Rccde`], some 0.2 s of one core each, once a process; 0 does without it.
    pub restarts: u64,
    /// Whether candidates stay that another one beats in levels, products and error.
    pub dominated: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            margin: 1.25,
            rho: 0.92,
            seed: 0,
            restarts: 10,
            dominated: false,
        }
    }
}

/// The alternatives of one activation whose operand has `shape`, cheapest first; see the module's
/// documentation.
///
/// # Errors
/// [`PassError::Option`] for a margin or rho out of range; [`PassError::Calibration`] for statistics
/// that are not finite, or a function that is not finite on them; [`PassError::Verify`] for a function
/// with parameters out of bounds.
pub fn candidates(
    function: &Function,
    shape: Shape,
    statistics: &ActivationStatistics,
    options: &Options,
) -> Result<Vec<Candidate>, PassError> {
    check_options(1, options.margin, options.rho)?;
    function.verify(shape.c).map_err(|e| PassError::Verify {
        pass: "candidates",
        what: format!("activation {}: {e}", statistics.name),
    })?;
    let range = range(statistics, options.margin)?;
    let measured = Measured::new(function, shape, statistics, range)?;
    let mut found = vec![pruned(function, shape, &measured)];
    match exact(function) {
        Some(Kind::Pruned) => {}
        Some(kind) => {
            let op = Op::Activation(function.clone());
            found.push(best(kind, vec![(Method::Exact, op)], &measured));
        }
        None => approximated(function, statistics, options, &measured, &mut found)?,
    }
    // Stable: pruned stays first.
    found.sort_by_key(|c| c.kind.order());
    Ok(match options.dominated {
        true => found,
        false => without_dominated(found),
    })
}

/// Everything for a function that is no polynomial.
fn approximated(
    function: &Function,
    statistics: &ActivationStatistics,
    options: &Options,
    measured: &Measured,
    found: &mut Vec<Candidate>,
) -> Result<(), PassError> {
    let activation = |approximation| Op::Activation(Function::Approximated(approximation));
    let mut push = |kind, ways| found.push(best(kind, ways, measured));
    let quadratic = Op::Activation(Function::Polynomial {
        coefficients: vec![measured.polynomial(2)],
    });
    push(Kind::Quadratic, vec![(Method::LeastSquares, quadratic)]);
    for degree in LEVELLED {
        let series = fit_levelled(function, statistics, degree, options.margin)?;
        push(
            Kind::Levelled(degree),
            vec![(Method::LeastSquares, activation(series))],
        );
    }
    for degree in FUSED {
        let series = fit(function, statistics, degree, options.margin, options.rho)?;
        push(
            Kind::Fused(degree),
            vec![(Method::LeastSquares, activation(series))],
        );
    }
    found.extend(composites::composites(function, options, measured));
    Ok(())
}

/// The kind of a function that multiplications or the bootstrap compute as it is.
fn exact(function: &Function) -> Option<Kind> {
    let of_degree = |degree: usize| match degree {
        0 | 1 => Kind::Pruned,
        2 => Kind::Quadratic,
        degree => Kind::Levelled(degree),
    };
    match function {
        Function::Power { exponent } => Some(of_degree(*exponent as usize)),
        Function::Polynomial { coefficients } => {
            Some(of_degree(coefficients.first()?.len().saturating_sub(1)))
        }
        Function::Approximated(approximation) => {
            let degrees = approximation.degrees();
            Some(match (approximation, &degrees[..]) {
                (Approximation::Square { .. }, _) => Kind::Quadratic,
                (Approximation::Fused { .. }, degrees) => Kind::Fused(degrees[0]),
                (Approximation::Levelled { times_x: false, .. }, &[degree]) => {
                    Kind::Levelled(degree)
                }
                (Approximation::Levelled { .. }, degrees) => Kind::Composite(degrees.to_vec()),
            })
        }
        Function::Relu
        | Function::LeakyRelu { .. }
        | Function::Clip { .. }
        | Function::Sigmoid
        | Function::HardSigmoid { .. }
        | Function::HardSwish
        | Function::Silu
        | Function::Gelu { .. }
        | Function::Tanh
        | Function::Elu { .. }
        | Function::Selu { .. }
        | Function::Softplus
        | Function::Mish
        | Function::Abs
        | Function::Sqrt
        | Function::Exp
        | Function::Reciprocal => None,
    }
}

/// The best line, or the identity.
fn pruned(function: &Function, shape: Shape, measured: &Measured) -> Candidate {
    let affine = |scale, shift| Op::Linear(Linear::Affine { scale, shift });
    let identity = affine(vec![1.0; shape.c], vec![0.0; shape.c]);
    let (line, method) = match function {
        Function::Polynomial { coefficients } if coefficients[0].len() == 2 => {
            let row = |c: usize| &coefficients[if coefficients.len() == 1 { 0 } else { c }];
            let scale = (0..shape.c).map(|c| row(c)[1]).collect();
            let shift = (0..shape.c).map(|c| row(c)[0]).collect();
            (affine(scale, shift), Method::Exact)
        }
        _ => {
            let (scale, shift) = measured.lines(shape.c);
            (affine(scale, shift), Method::LeastSquares)
        }
    };
    let ways = vec![(method, line), (Method::Identity, identity)];
    best(Kind::Pruned, ways, measured)
}

/// The way with the least error; the first of equals.
fn best(kind: Kind, ways: Vec<(Method, Op)>, measured: &Measured) -> Candidate {
    let mut tried: Vec<(f64, Method, Op)> = ways
        .into_iter()
        .map(|(method, op)| (measured.error(&op), method, op))
        .collect();
    tried.sort_by(|a, b| a.0.total_cmp(&b.0));
    let trials = tried
        .iter()
        .map(|&(error, method, _)| Trial { method, error })
        .collect();
    let (error, method, op) = tried.swap_remove(0);
    Candidate {
        kind,
        op,
        error,
        method,
        trials,
    }
}

/// Leaves out levelled candidates that another one beats in levels, products and error.
fn without_dominated(mut found: Vec<Candidate>) -> Vec<Candidate> {
    let same_kind = |a: &Kind, b: &Kind| std::mem::discriminant(a) == std::mem::discriminant(b);
    // From the dearest down; of two alike, the one that stays is the first.
    for index in (0..found.len()).rev() {
        let candidate = &found[index];
        if candidate.kind.is_fused() {
            continue;
        }
        let beaten = found.iter().enumerate().any(|(other, by)| {
            let (_, depth, products) = by.kind.order();
            other != index
                && !by.kind.is_fused()
                && depth <= candidate.kind.depth()
                && products <= candidate.kind.products()
                && (by.error < candidate.error || (by.error == candidate.error && other < index))
        });
        let kin = found
            .iter()
            .filter(|other| same_kind(&other.kind, &candidate.kind))
            .count();
        if beaten && kin > 1 {
            found.remove(index);
        }
    }
    found
}
