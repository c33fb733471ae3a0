//! **complete_squares**: quadratic activations become plain squares.
//!
//! Does: rewrites `a x^2 + b x + c`, its coefficients one per channel, as
//! `a U^2 s^2 + (c - a h^2)` with `s = (x + h) / U`, h = b / 2a, U = margin max|x| + |h|. The first
//! affine map joins the linear operators before the activation, the second those of every reader;
//! what remains is a square of values in [-1, 1], one multiplication.
//!
//! Does not: touch polynomials of higher degree, or other functions.
//!
//! In: the normal form of a folded graph. Out: the same, without quadratic activations. Keeps the
//! meaning up to f32 rounding of the folded constants. Where a channel is all but linear, h would
//! grow without bound and the square would lose its bits: |h| stays within [`FARTHEST`] max|x|, an
//! error of at most 2^-11 of that channel's linear part.
//!
//! Depth: one level an activation instead of two. Rotations: none.
//!
//! Source: quadratic networks [AESPA].
//!
//! Test: `squares_mean_the_polynomial` below.

use std::collections::BTreeMap;

use hecc_ir::calibration::{ActivationStatistics, BINS};
use hecc_ir::function::Function;
use hecc_ir::nn::{Linear, Shape};

use crate::PassError;
use crate::algebra::{self, Shapes};
use crate::steps::{HubKind, Steps};

/// Largest |h| over max|x|.
const FARTHEST: f64 = 1024.0;

/// Rewrites the quadratic activations of `steps`. `statistics` looks a calibrated activation up; the
/// statistics of the squares come back by hub name.
///
/// # Errors
/// Those of `statistics`.
pub fn complete_squares<'a>(
    steps: &mut Steps,
    margin: f64,
    statistics: impl Fn(&str) -> Result<&'a ActivationStatistics, PassError>,
) -> Result<BTreeMap<String, ActivationStatistics>, PassError> {
    let mut squares = BTreeMap::new();
    let readers = steps.readers();
    for (hub, readers) in readers.iter().enumerate() {
        // What leaves the network has no reader to take the second affine map.
        if readers.is_empty() {
            continue;
        }
        let (shape, name) = (steps.hubs[hub].shape, steps.hubs[hub].name.clone());
        let HubKind::Activation { x, function } = &mut steps.hubs[hub].kind else {
            continue;
        };
        let Some(rows) = quadratic(function) else {
            continue;
        };
        let x = *x;
        *function = Function::Power { exponent: 2 };
        let s = statistics(&name)?;
        let largest = s.min.abs().max(s.max.abs());
        let largest = if largest > 0.0 { largest } else { 1.0 };
        let row = |c: usize| rows[if rows.len() == 1 { 0 } else { c }];
        let squares_of: Vec<Square> = (0..shape.c)
            .map(|c| Square::new(row(c), largest, margin))
            .collect();
        let channels = |f: fn(&Square) -> f64| -> Vec<f32> {
            squares_of.iter().map(|q| f(q) as f32).collect()
        };
        let before = Linear::Affine {
            scale: channels(|q| 1.0 / q.unit),
            shift: channels(|q| q.h / q.unit),
        };
        let after = Linear::Affine {
            scale: channels(|q| q.a * q.unit * q.unit),
            shift: channels(|q| q.constant),
        };
        for index in 0..steps.sums[x].addends.len() {
            let source = steps.hubs[steps.sums[x].addends[index].source].shape;
            let mut op = before.clone();
            if let (Linear::Affine { shift, .. }, 1..) = (&mut op, index) {
                shift.fill(0.0);
            }
            append(&mut steps.sums[x].addends[index].stages, source, op, shape);
        }
        for &(sum, addend) in readers {
            prepend(&mut steps.sums[sum].addends[addend].stages, &after, shape);
        }
        let reach = 1.0 / margin;
        let uniform = ActivationStatistics {
            name: name.clone(),
            min: -reach,
            max: reach,
            histogram: vec![1; BINS],
        };
        squares.insert(name, uniform);
    }
    Ok(squares)
}

/// `[c, b, a]` of every row of a polynomial of degree 2.
fn quadratic(function: &Function) -> Option<Vec<[f64; 3]>> {
    let Function::Polynomial { coefficients } = function else {
        return None;
    };
    let row = |c: &Vec<f32>| match c[..] {
        [constant, b, a] => Some([constant, b, a].map(f64::from)),
        _ => None,
    };
    coefficients.iter().map(row).collect()
}

/// a U^2 s^2 + constant with s = (x + h) / U.
struct Square {
    a: f64,
    h: f64,
    unit: f64,
    constant: f64,
}

impl Square {
    fn new([c, b, a]: [f64; 3], largest: f64, margin: f64) -> Self {
        let least = b.abs() / (2.0 * FARTHEST * largest);
        let a = if a.abs() >= least {
            a
        } else {
            least.copysign(a)
        };
        let h = if b == 0.0 { 0.0 } else { b / (2.0 * a) };
        Self {
            a,
            h,
            unit: margin * largest + h.abs(),
            constant: c - a * h * h,
        }
    }
}

/// Applies `op` after `stages`, in one operator with the last of them where possible.
fn append(stages: &mut Vec<Linear>, source: Shape, op: Linear, output: Shape) {
    let before_last = stages.len().saturating_sub(1);
    let shapes = stages[..before_last]
        .iter()
        .try_fold(source, |shape, stage| stage.output_shape(shape))
        .map(|input| Shapes {
            input,
            middle: output,
            output,
        });
    let merged = match (stages.last(), shapes) {
        (Some(last), Ok(shapes)) => algebra::compose(last, &op, shapes),
        _ => None,
    };
    match merged {
        Some(merged) => stages[before_last] = merged,
        None => stages.push(op),
    }
}

/// Applies `op` before `stages`, in one operator with the first of them where possible.
fn prepend(stages: &mut Vec<Linear>, op: &Linear, input: Shape) {
    let merged = stages.first().and_then(|first| {
        let shapes = Shapes {
            input,
            middle: input,
            output: first.output_shape(input).ok()?,
        };
        algebra::compose(op, first, shapes)
    });
    match merged {
        Some(merged) => stages[0] = merged,
        None => stages.insert(0, op.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn squares_mean_the_polynomial() {
        let check = |row: [f64; 3], largest: f64| {
            let q = Square::new(row, largest, 1.25);
            for i in -10..=10 {
                let x = 1.25 * largest * f64::from(i) / 10.0;
                let s = (x + q.h) / q.unit;
                assert!(s.abs() <= 1.0 + 1e-12);
                let got = q.a * q.unit * q.unit * s * s + q.constant;
                let expect = row[0] + x * (row[1] + x * row[2]);
                let scale =
                    row[0].abs() + (row[1] * largest).abs() + row[2].abs() * largest * largest;
                assert!(
                    (got - expect).abs() <= scale / 1024.0,
                    "{row:?} at {x}: {got}, {expect}"
                );
            }
        };
        check([0.1, 0.5, 0.25], 3.0);
        check([0.1, -0.5, -0.25], 3.0);
        check([0.0, 0.0, 1.0], 3.0);
        check([1.0, 2.0, 0.0], 5.0);
        check([1.0, 2.0, 1e-7], 5.0);
        check([1.0, 0.0, 0.0], 5.0);
    }
}
