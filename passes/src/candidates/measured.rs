//! The measured distribution, and errors on it.

use hecc_ir::calibration::ActivationStatistics;
use hecc_ir::function::Function;
use hecc_ir::nn::{Op, Shape};

use super::lines::least_squares;
use crate::PassError;

/// Points in a bin of the histogram.
const PER_BIN: usize = 32;
/// Least slope of a line: a map of zeros is nothing that layouts could carry.
const LEAST_SLOPE: f32 = 1e-3;
/// Density where nothing was measured, over its mean on [-B, B]: a composition must not explode there.
const FLOOR: f64 = 1e-2;

/// A function on the points of a histogram.
pub(super) struct Measured {
    /// B.
    range: f64,
    /// Of |x|, over B: the mass of equal bins from 0 to `span`.
    folded: Vec<f64>,
    span: f64,
    /// Network values.
    points: Vec<f64>,
    /// Shares, of sum 1, one a point.
    weights: Vec<f64>,
    /// The function's values, a row a channel that differs from the others.
    targets: Vec<Vec<f64>>,
}

impl Measured {
    pub(super) fn new(
        function: &Function,
        shape: Shape,
        statistics: &ActivationStatistics,
        range: f64,
    ) -> Result<Self, PassError> {
        let (points, weights) = spread(statistics);
        let rows = match function {
            Function::Polynomial { coefficients } if coefficients.len() > 1 => shape.c,
            _ => 1,
        };
        let values = |channel| -> Vec<f64> {
            let value = |&x: &f64| function.apply(channel, x);
            points.iter().map(value).collect()
        };
        let targets: Vec<Vec<f64>> = (0..rows).map(values).collect();
        if let Some(at) = targets.iter().flatten().position(|y| !y.is_finite()) {
            let x = points[at % points.len()];
            return Err(PassError::Calibration(format!(
                "activation {}: {} of {x}, which was measured, is not finite; calibrate with other images",
                statistics.name,
                function.name()
            )));
        }
        let (folded, span) = folded(statistics, range);
        Ok(Self {
            range,
            folded,
            span,
            points,
            weights,
            targets,
        })
    }

    /// B.
    pub(super) fn range(&self) -> f64 {
        self.range
    }

    /// The points of [`grid`] with weights x^2 density(x): under them, squares of errors of a sign are
    /// those of a ReLU, which is the same for x and -x.
    pub(super) fn folded(&self, count: usize) -> Vec<(f64, f64)> {
        let density = |x: f64| {
            let bins = self.folded.len() as f64;
            let bin = self.folded.get((x / self.span * bins) as usize);
            FLOOR + bin.map_or(0.0, |mass| mass * bins / self.span)
        };
        let weigh = |(x, width): (f64, f64)| (x, width * x * x * density(x));
        grid(count).map(weigh).collect()
    }

    /// Root mean square of op - function, over B; infinite where the operator is.
    pub(super) fn error(&self, op: &Op) -> f64 {
        let mean = |channel: usize, target: &Vec<f64>| -> f64 {
            let points = self.points.iter().zip(&self.weights);
            points
                .zip(target)
                .map(|((&x, &w), &y)| w * ((value(op, channel, x) - y) / self.range).powi(2))
                .sum()
        };
        let rows = self.targets.iter().enumerate();
        let square: f64 = rows.map(|(c, target)| mean(c, target)).sum();
        match (square / self.targets.len() as f64).sqrt() {
            error if error.is_finite() => error,
            _ => f64::INFINITY,
        }
    }

    /// The closest polynomial in network values, for functions that are the same on all channels.
    pub(super) fn polynomial(&self, degree: usize) -> Vec<f32> {
        self.fit(degree, &self.targets[0])
    }

    /// The closest line of every channel, as slopes and constants.
    pub(super) fn lines(&self, channels: usize) -> (Vec<f32>, Vec<f32>) {
        let line = |target: &Vec<f64>| {
            let row = self.fit(1, target);
            let slope = match row[1] {
                slope if slope.abs() >= LEAST_SLOPE => slope,
                slope => LEAST_SLOPE.copysign(slope),
            };
            (slope, row[0])
        };
        match &self.targets[..] {
            [target] => {
                let (slope, constant) = line(target);
                (vec![slope; channels], vec![constant; channels])
            }
            targets => targets.iter().map(line).unzip(),
        }
    }

    /// c_0, c_1, .. in network values.
    fn fit(&self, degree: usize, target: &[f64]) -> Vec<f32> {
        let scaled: Vec<f64> = self.points.iter().map(|x| x / self.range).collect();
        let coefficients = least_squares(degree, &scaled, &self.weights, target);
        let mut unit = 1.0;
        coefficients
            .into_iter()
            .map(|c| {
                let coefficient = (c / unit) as f32;
                unit *= self.range;
                coefficient
            })
            .collect()
    }
}

/// Points of (0, 1) and their shares of it, denser towards both ends: compositions rise at 0, and wave
/// fastest at 1.
pub(super) fn grid(count: usize) -> impl Iterator<Item = (f64, f64)> {
    let step = std::f64::consts::PI / count as f64;
    let angle = move |i: usize| (i as f64 + 0.5) * step;
    (0..count)
        .map(angle)
        .map(move |t| (0.5 - 0.5 * t.cos(), 0.5 * step * t.sin()))
}

/// An element-by-element operator's value.
fn value(op: &Op, channel: usize, x: f64) -> f64 {
    use hecc_ir::nn::Linear;
    match op {
        Op::Linear(Linear::Affine { scale, shift }) => {
            f64::from(scale[channel]) * x + f64::from(shift[channel])
        }
        Op::Activation(function) => function.apply(channel, x),
        Op::Input | Op::Linear(_) | Op::Add | Op::Mul => f64::NAN,
    }
}

/// Points spread evenly over the bins, as far as values were measured there.
fn spread(statistics: &ActivationStatistics) -> (Vec<f64>, Vec<f64>) {
    let largest = statistics.min.abs().max(statistics.max.abs());
    let bins = statistics.histogram.len();
    let total: f64 = statistics.histogram.iter().map(|&n| n as f64).sum();
    if largest == 0.0 || total == 0.0 {
        return (vec![0.0], vec![1.0]);
    }
    let (mut points, mut weights) = (Vec::new(), Vec::new());
    let width = 2.0 * largest / bins as f64;
    for (bin, &count) in statistics.histogram.iter().enumerate() {
        if count == 0 {
            continue;
        }
        let low = (bin as f64 * width - largest).max(statistics.min);
        let high = ((bin + 1) as f64 * width - largest).min(statistics.max);
        for part in 0..PER_BIN {
            points.push(low + (high - low) * (part as f64 + 0.5) / PER_BIN as f64);
            weights.push(count as f64 / (total * PER_BIN as f64));
        }
    }
    (points, weights)
}

/// Masses of |x| in equal bins, and where they end, over `range`.
fn folded(statistics: &ActivationStatistics, range: f64) -> (Vec<f64>, f64) {
    let largest = statistics.min.abs().max(statistics.max.abs());
    let total: f64 = statistics.histogram.iter().map(|&n| n as f64).sum();
    let bins = statistics.histogram.len();
    if largest == 0.0 || total == 0.0 || !bins.is_multiple_of(2) {
        return (vec![1.0], 1.0);
    }
    let half = bins / 2;
    let mass = |i: usize| {
        let counts =
            statistics.histogram[half + i] as f64 + statistics.histogram[half - 1 - i] as f64;
        counts / total
    };
    ((0..half).map(mass).collect(), largest / range)
}
