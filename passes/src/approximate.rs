//! **approximate**: what may stand for each activation on ciphertexts.
//!
//! Does: gives an activation its alternatives, for the placement to choose from. A fused one is the
//! series `P(cos theta) = sum_k c_k cos(k theta)`, theta = (pi/2)(1 + rho x), a levelled one a
//! Chebyshev series in x, or a composition of minimax polynomials for the sign; x is the network's
//! value over the range B = margin * calibrated maximum. Series are closest to the function by
//! weighted least squares, the weight being the calibrated histogram plus a floor. The part of the
//! half circle beyond B (a share 1 - rho) is a smooth roll-off with slope 0 at both ends, where every
//! cosine series has slope 0: a target left free there lets the series blow up. Polynomials stay
//! themselves in a levelled alternative.
//!
//! Does not: choose the degree (`choose_degree`), choose among the alternatives (`place`), search
//! coefficients against the network's output.
//!
//! In: statistics with at least one finite sample; degree 1..=127; margin >= 1; 0 < rho <= 1.
//! Out: at least one alternative, with finite coefficients that survive a conversion to f32, so that a
//! plan and the network exported from it agree exactly.
//!
//! Depth: ceil(log2(degree + 1)) levels. Rotations: none.
//!
//! Source: functional bootstrapping as a cosine series [AKP24]; composites [LLL+21]; least squares by
//! the normal equations, which are Toeplitz plus Hankel for cosines and well conditioned down to the
//! floor's weight.
//!
//! Test: `relu_error_by_degree`, `every_function_is_approximated` below.

use hecc_ir::calibration::ActivationStatistics;
use hecc_ir::function::{Approximation, Function};

use crate::PassError;
use crate::least_squares::{GRID, angle, cosine_series};
use crate::minimax::composite_sign;

/// Weight of the least squares where the histogram is empty, relative to its mean over [-B, B].
const FLOOR: f64 = 0.02;

/// Which alternatives an activation gets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Ways {
    /// Fused and levelled ones.
    #[default]
    Any,
    /// Inside the bootstrap only.
    Fused,
    /// Levelled only: one Chebyshev series, or the polynomial itself.
    Levelled,
    /// Composite minimax polynomials of these degrees, for functions that are made of a sign.
    Composite(Vec<usize>),
}

/// What a user may choose about approximations.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// Degree of series, 1..=127.
    pub degree: usize,
    /// B over the calibrated maximum, at least 1.
    pub margin: f64,
    /// Share of the half circle that [-B, B] fills, in (0, 1].
    pub rho: f64,
    /// Alternatives wanted.
    pub ways: Ways,
}

/// The alternatives of one activation, the first the preferred one.
///
/// # Errors
/// [`PassError::Option`] for a degree, margin or rho out of range, or composites for a function that
/// has none; [`PassError::Calibration`] for statistics that are not finite.
pub fn alternatives(
    function: &Function,
    statistics: &ActivationStatistics,
    choice: &Choice,
) -> Result<Vec<Approximation>, PassError> {
    if let Function::Polynomial { coefficients } = function
        && coefficients.len() > 1
    {
        return Err(PassError::PolynomialPerChannel {
            name: statistics.name.clone(),
            channels: coefficients.len(),
        });
    }
    let range = range(statistics, choice.margin)?;
    let fused = || match exact(function, range) {
        // A polynomial deserves the precision of a plain bootstrap.
        Some(_) => fit_with_floor(
            function,
            statistics,
            choice.degree,
            choice.margin,
            choice.rho.min(IDENTITY_RHO),
            IDENTITY_FLOOR,
        ),
        None => fit(
            function,
            statistics,
            choice.degree,
            choice.margin,
            choice.rho,
        ),
    };
    let levelled = || match function {
        Function::Power { exponent: 2 } => Ok(Approximation::Square { range }),
        _ => fit_levelled(function, statistics, choice.degree, choice.margin),
    };
    match &choice.ways {
        Ways::Any if exact(function, range).is_some() => Ok(vec![levelled()?, fused()?]),
        Ways::Any => Ok(vec![fused()?, levelled()?]),
        Ways::Fused => Ok(vec![fused()?]),
        Ways::Levelled => Ok(vec![levelled()?]),
        Ways::Composite(degrees) => match composite(function, degrees, range) {
            Some(approximation) => Ok(vec![approximation]),
            None => Ok(vec![levelled()?]),
        },
    }
}

/// Whether levelled multiplications compute the function itself.
pub fn is_exact(function: &Function) -> bool {
    matches!(function, Function::Approximated(_)) || exact(function, 1.0).is_some()
}

/// The approximation that the model spells out.
///
/// # Errors
/// [`PassError::Option`] for any other function.
pub fn given(function: &Function) -> Result<Vec<Approximation>, PassError> {
    match function {
        Function::Approximated(approximation) => Ok(vec![approximation.clone()]),
        other => Err(PassError::Option {
            name: "activation".to_string(),
            expected: "an approximation".to_string(),
            got: other.name().to_string(),
        }),
    }
}

/// Unit of an activation's result: the largest magnitude it has for |x| <= 1, or range^2 where it may be
/// a square, whose unit no constant can change.
pub fn result_unit(ways: &[Approximation]) -> f64 {
    let square = |way: &Approximation| matches!(way, Approximation::Square { .. });
    let range = ways[0].range();
    if ways.iter().any(square) {
        return range * range;
    }
    let largest = (0..=256)
        .map(|i| ways[0].apply(range * (f64::from(i) / 128.0 - 1.0)).abs())
        .fold(0.0, f64::max);
    // About the range is the range: a skip then needs no change of unit.
    let close = (0.8..1.25).contains(&(largest / range));
    if close || largest == 0.0 {
        range
    } else {
        largest
    }
}

/// B of an activation: the calibrated maximum times `margin`.
///
/// # Errors
/// [`PassError::Calibration`] when it is not finite.
pub fn range(statistics: &ActivationStatistics, margin: f64) -> Result<f64, PassError> {
    let largest = largest(statistics);
    if !largest.is_finite() {
        return Err(PassError::Calibration(format!(
            "activation {} has a range of {largest}; calibrate again with finite data",
            statistics.name
        )));
    }
    // An activation that never saw anything but zero keeps a range that divides safely.
    let range = if largest > 0.0 { margin * largest } else { 1.0 };
    Ok(f64::from(range as f32))
}

/// Fits a function on the calibrated distribution inside a bootstrap; see the module's documentation.
///
/// # Errors
/// As [`alternatives`].
pub fn fit(
    function: &Function,
    statistics: &ActivationStatistics,
    degree: usize,
    margin: f64,
    rho: f64,
) -> Result<Approximation, PassError> {
    fit_with_floor(function, statistics, degree, margin, rho, FLOOR)
}

fn fit_with_floor(
    function: &Function,
    statistics: &ActivationStatistics,
    degree: usize,
    margin: f64,
    rho: f64,
    floor: f64,
) -> Result<Approximation, PassError> {
    check_options(degree, margin, rho)?;
    let range = range(statistics, margin)?;
    let rho = f64::from(rho as f32);
    let target = Target::new(function, statistics, range);
    let positions: Vec<f64> = (0..GRID).map(|j| position(angle(j), rho)).collect();
    let density = Density::new(statistics, range);
    let weight: Vec<f64> = positions.iter().map(|&x| floor + density.at(x)).collect();
    let values: Vec<f64> = positions
        .iter()
        .map(|&x| target.rolled_off(x, 1.0 / rho))
        .collect();
    Ok(Approximation::Fused {
        range,
        rho,
        coefficients: rounded(cosine_series(degree, &weight, &values)),
    })
}

/// Fits a function by one Chebyshev series on [-B, B]; a polynomial becomes itself.
///
/// # Errors
/// As [`alternatives`].
pub fn fit_levelled(
    function: &Function,
    statistics: &ActivationStatistics,
    degree: usize,
    margin: f64,
) -> Result<Approximation, PassError> {
    check_options(degree, margin, 1.0)?;
    let range = range(statistics, margin)?;
    let series = exact(function, range).unwrap_or_else(|| {
        let target = Target::new(function, statistics, range);
        let density = Density::new(statistics, range);
        // dx = sin(theta) d theta.
        let weight: Vec<f64> = (0..GRID)
            .map(|j| FLOOR + density.at(angle(j).cos()) * angle(j).sin())
            .collect();
        let values: Vec<f64> = (0..GRID).map(|j| target.at(angle(j).cos())).collect();
        cosine_series(degree, &weight, &values)
    });
    Ok(Approximation::Levelled {
        range,
        polynomials: vec![rounded(series)],
        times_x: false,
    })
}

/// Degree of a plain bootstrap's series.
pub const IDENTITY_DEGREE: usize = 7;
/// Share of the half circle that a plain bootstrap's operand fills: on less of it the identity needs a
/// lower degree. Three levels then leave an error of 2^-12.6, root mean square, as much as noise does.
pub const IDENTITY_RHO: f64 = 0.65;
/// Weight of the roll-off of a plain bootstrap.
const IDENTITY_FLOOR: f64 = 1e-4;

/// The Chebyshev series of P(cos) that leaves |x| <= 1 as it is: what a plain bootstrap evaluates.
pub fn identity(degree: usize, rho: f64) -> Vec<f64> {
    let positions = (0..GRID).map(|j| position(angle(j), rho));
    let weight: Vec<f64> = positions
        .clone()
        .map(|x| if x.abs() <= 1.0 { 1.0 } else { IDENTITY_FLOOR })
        .collect();
    let values: Vec<f64> = positions
        .map(|x| x.signum() * roll_off(x.abs(), 1.0, 1.0, 1.0 / rho))
        .collect();
    // An odd function of x: odd powers of y only.
    let mut series = cosine_series(degree, &weight, &values);
    series.iter_mut().step_by(2).for_each(|c| *c = 0.0);
    rounded(series)
}

/// The function as an exact Chebyshev series of x = value / range, where it is a polynomial.
fn exact(function: &Function, range: f64) -> Option<Vec<f64>> {
    let powers: Vec<f64> = match function {
        Function::Power { exponent } => (0..=*exponent)
            .map(|k| if k == *exponent { 1.0 } else { 0.0 })
            .collect(),
        Function::Polynomial { coefficients } if coefficients.len() == 1 => {
            coefficients[0].iter().map(|&c| f64::from(c)).collect()
        }
        _ => return None,
    };
    // Horner in the Chebyshev basis: x T_k = (T_{k+1} + T_{|k-1|}) / 2.
    let mut series: Vec<f64> = vec![0.0];
    for &c in powers.iter().rev() {
        let mut next = vec![0.0; series.len() + 1];
        for (k, &s) in series.iter().enumerate() {
            next[k + 1] += 0.5 * range * s;
            next[k.abs_diff(1)] += 0.5 * range * s;
        }
        next[0] += c;
        series = next;
    }
    series.iter_mut().for_each(|c| *c /= range);
    while series.len() > 2 && series.last() == Some(&0.0) {
        series.pop();
    }
    Some(series)
}

/// (a, b) of a function that is x (a + b sgn x).
pub(crate) fn made_of_sign(function: &Function) -> Option<(f64, f64)> {
    match function {
        Function::Relu => Some((0.5, 0.5)),
        Function::LeakyRelu { slope } => {
            let slope = f64::from(*slope);
            Some((0.5 * (1.0 + slope), 0.5 * (1.0 - slope)))
        }
        Function::Abs => Some((0.0, 1.0)),
        _ => None,
    }
}

/// x (a + b sgn x) with the sign composed of minimax polynomials; None for other functions.
fn composite(function: &Function, degrees: &[usize], range: f64) -> Option<Approximation> {
    let (constant, sign) = made_of_sign(function)?;
    let mut polynomials = composite_sign(degrees);
    if let Some(last) = polynomials.last_mut() {
        last.iter_mut().for_each(|c| *c *= sign);
        last[0] += constant;
    }
    Some(Approximation::Levelled {
        range,
        polynomials: polynomials.into_iter().map(rounded).collect(),
        times_x: true,
    })
}

/// Checks the numbers a user may give.
///
/// # Errors
/// [`PassError::Option`].
pub fn check_options(degree: usize, margin: f64, rho: f64) -> Result<(), PassError> {
    let option = |name: &str, expected: &str, got: f64| {
        Err(PassError::Option {
            name: name.to_string(),
            expected: expected.to_string(),
            got: got.to_string(),
        })
    };
    if !(1..=127).contains(&degree) {
        return option("degree", "1 to 127", degree as f64);
    }
    if !(1.0..=100.0).contains(&margin) {
        return option("margin", "1 to 100", margin);
    }
    if !(rho > 0.0 && rho <= 1.0) {
        return option("rho", "more than 0, at most 1", rho);
    }
    Ok(())
}

/// A function in units of B.
struct Target<'a> {
    function: &'a Function,
    range: f64,
    /// Where the function is meant, in network values; beyond, its value at the end.
    domain: (f64, f64),
}

impl<'a> Target<'a> {
    fn new(function: &'a Function, statistics: &ActivationStatistics, range: f64) -> Self {
        // Functions that grow fast or have a pole would spend the whole series where nothing is.
        let bounded = match function {
            Function::Exp | Function::Reciprocal | Function::Sqrt => true,
            Function::Power { exponent } => *exponent > 3,
            Function::Polynomial { coefficients } => coefficients.iter().any(|row| row.len() > 4),
            _ => false,
        };
        let domain = match bounded {
            true => {
                let (low, high) = (statistics.min, statistics.max);
                let more = 0.05 * (high - low);
                // A pole at 0 stays outside.
                let low = if low > 0.0 {
                    (low - more).max(0.5 * low)
                } else {
                    low - more
                };
                let high = if high < 0.0 {
                    (high + more).min(0.5 * high)
                } else {
                    high + more
                };
                (low, high)
            }
            false => (f64::NEG_INFINITY, f64::INFINITY),
        };
        Self {
            function,
            range,
            domain,
        }
    }

    fn at(&self, x: f64) -> f64 {
        let value = (self.range * x).max(self.domain.0).min(self.domain.1);
        self.function.apply(0, value) / self.range
    }

    /// The function on [-1, 1]; beyond, a parabola whose slope reaches 0 at |x| = `end`.
    fn rolled_off(&self, x: f64, end: f64) -> f64 {
        if x.abs() <= 1.0 {
            return self.at(x);
        }
        let edge = x.signum();
        let step = 1e-4;
        let slope = (self.at(edge) - self.at(edge * (1.0 - step))) / step;
        roll_off(x.abs(), self.at(edge), slope, end)
    }
}

/// `value` at x = 1 with `slope`, which reaches 0 at x = `end`.
fn roll_off(x: f64, value: f64, slope: f64, end: f64) -> f64 {
    if x <= 1.0 {
        return value + slope * (x - 1.0);
    }
    let beyond = x - 1.0;
    value + slope * (beyond - beyond * beyond / (2.0 * (end - 1.0)))
}

/// The calibrated density over x, of mean 1 on [-1, 1].
struct Density<'a> {
    statistics: &'a ActivationStatistics,
    largest: f64,
    range: f64,
    unit: f64,
}

impl<'a> Density<'a> {
    fn new(statistics: &'a ActivationStatistics, range: f64) -> Self {
        let largest = largest(statistics);
        let bins = statistics.histogram.len();
        let total: f64 = statistics.histogram.iter().map(|&n| n as f64).sum();
        let unit = if total > 0.0 && largest > 0.0 {
            bins as f64 * range / (largest * total)
        } else {
            0.0
        };
        Self {
            statistics,
            largest,
            range,
            unit,
        }
    }

    fn at(&self, x: f64) -> f64 {
        if self.unit == 0.0 {
            return 0.0;
        }
        let bins = self.statistics.histogram.len();
        // Linear between the centres of bins.
        let at = 0.5 * (x * self.range / self.largest + 1.0) * bins as f64 - 0.5;
        let (below, part) = (at.floor(), at - at.floor());
        let count = |i: f64| match i >= 0.0 && i < bins as f64 {
            true => self.statistics.histogram[i as usize] as f64,
            false => 0.0,
        };
        self.unit * (count(below) * (1.0 - part) + count(below + 1.0) * part)
    }
}

/// Largest magnitude that entered the activation: half the histogram's span.
fn largest(statistics: &ActivationStatistics) -> f64 {
    statistics.min.abs().max(statistics.max.abs())
}

/// x at theta.
fn position(theta: f64, rho: f64) -> f64 {
    (2.0 * theta / std::f64::consts::PI - 1.0) / rho
}

/// To the precision of an ONNX constant.
pub(crate) fn rounded(mut series: Vec<f64>) -> Vec<f64> {
    series.iter_mut().for_each(|c| *c = f64::from(*c as f32));
    series
}

#[cfg(test)]
mod tests {
    use hecc_ir::calibration::BINS;

    use super::*;
    use crate::testing::bell;

    /// Root mean square error under the bell, relative to B.
    fn error(approximation: &Approximation, function: &Function, s: &ActivationStatistics) -> f64 {
        let (mut square, mut total) = (0.0, 0.0);
        for (i, &count) in s.histogram.iter().enumerate() {
            let value = 8.0 * (2.0 * (i as f64 + 0.5) / BINS as f64 - 1.0);
            let error = approximation.apply(value) - function.apply(0, value);
            square += count as f64 * (error / approximation.range()).powi(2);
            total += count as f64;
        }
        (square / total).sqrt()
    }

    #[test]
    fn relu_error_by_degree() {
        let check = |degree: usize, rms: f64, worst: f64| {
            let statistics = bell(0.15);
            let fused = fit(&Function::Relu, &statistics, degree, 1.25, 0.92).unwrap();
            assert!((fused.range() - 10.0).abs() < 1e-12);
            let got = error(&fused, &Function::Relu, &statistics);
            assert!(got < rms, "degree {degree}: {got}, expected below {rms}");
            let target = Target::new(&Function::Relu, &statistics, 10.0);
            for j in 0..GRID {
                let x = position(angle(j), 0.92);
                let e = fused.apply(10.0 * x) / 10.0 - target.rolled_off(x, 1.0 / 0.92);
                assert!(e.abs() < worst, "degree {degree} at {x}: {e}");
            }
        };
        check(7, 2e-2, 0.15);
        check(15, 1e-2, 0.08);
        check(31, 5e-3, 0.04);
        check(63, 2.5e-3, 0.02);
        check(127, 1.2e-3, 0.01);
    }

    #[test]
    fn every_function_is_approximated() {
        let choice = |ways| Choice {
            degree: 31,
            margin: 1.25,
            rho: 0.92,
            ways,
        };
        let check = |function: Function, worst: f64| {
            let s = bell(0.15);
            for way in alternatives(&function, &s, &choice(Ways::Any)).unwrap() {
                let got = error(&way, &function, &s);
                assert!(got < worst, "{} {way:?}: {got}", function.name());
            }
        };
        check(Function::Relu, 5e-3);
        check(Function::LeakyRelu { slope: 0.1 }, 5e-3);
        check(Function::Clip { min: 0.0, max: 6.0 }, 5e-3);
        check(Function::Sigmoid, 1e-3);
        check(Function::HardSwish, 2e-3);
        check(Function::Silu, 1e-3);
        check(Function::Gelu { tanh: false }, 1e-3);
        check(Function::Tanh, 2e-3);
        check(Function::Elu { alpha: 1.0 }, 2e-3);
        check(Function::Softplus, 1e-3);
        check(Function::Mish, 1e-3);
        check(Function::Abs, 1e-2);
        check(Function::Power { exponent: 2 }, 5e-3);
        check(
            Function::Polynomial {
                coefficients: vec![vec![0.5, 1.0, -0.25, 0.125]],
            },
            1e-1,
        );
        let composite = choice(Ways::Composite(vec![15, 15]));
        let ways = alternatives(&Function::Relu, &bell(0.15), &composite).unwrap();
        assert!(error(&ways[0], &Function::Relu, &bell(0.15)) < 2e-3);
    }

    #[test]
    fn polynomials_stay_themselves() {
        let cubic = Function::Polynomial {
            coefficients: vec![vec![0.5, 1.0, -0.25, 0.125]],
        };
        for function in [cubic, Function::Power { exponent: 5 }] {
            let way = fit_levelled(&function, &bell(0.1), 15, 1.25).unwrap();
            for value in [-9.0, -1.0, 0.0, 3.0, 10.0] {
                let expect = function.apply(0, value);
                let error = (way.apply(value) - expect).abs();
                assert!(error < 1e-5 * expect.abs().max(100.0), "{value}: {error}");
            }
        }
    }

    #[test]
    fn plain_bootstraps_change_nothing() {
        let check = |degree: usize, rho: f64, worst: f64| {
            let series = identity(degree, rho);
            for i in 0..=200 {
                let x = f64::from(i) / 100.0 - 1.0;
                let e = hecc_ir::program_eval::activate(&series, rho, x) - x;
                assert!(e.abs() < worst, "degree {degree} at {x}: {e}");
            }
        };
        check(IDENTITY_DEGREE, IDENTITY_RHO, 1.2e-3);
        check(15, 0.8, 6e-4);
    }

    #[test]
    fn bad_statistics() {
        let mut dead = bell(0.1);
        (dead.min, dead.max, dead.histogram) = (0.0, 0.0, vec![0; BINS]);
        fit(&Function::Relu, &dead, 15, 1.25, 0.92).unwrap();
        dead.max = f64::INFINITY;
        assert!(fit(&Function::Relu, &dead, 15, 1.25, 0.92).is_err());
        for (degree, margin, rho) in [
            (0, 1.25, 0.92),
            (128, 1.25, 0.92),
            (15, 0.9, 0.92),
            (15, 1.25, 0.0),
        ] {
            assert!(fit(&Function::Relu, &bell(0.1), degree, margin, rho).is_err());
        }
    }
}
