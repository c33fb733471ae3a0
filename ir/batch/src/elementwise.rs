//! Functions of one number, compiled for many.

mod horner;
mod series;
mod table;

use crate::Batch;
use crate::error::BatchError;
use crate::linear::channels_last;
use hecc_ir::function::{Approximation, Function};
use hecc_ir::nn::{Linear, Op, Shape};
use horner::Rows;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;
use series::Series;
use table::Table;

/// Most coefficients of a fused series that is summed for every element: beyond, a table is as fast, and
/// rounding errors grow with the square of the degree.
const DIRECT: usize = 48;

/// A function of one number per element, of values of one shape.
///
/// How it is computed:
/// - polynomials up to degree 16, affine maps, levelled series, squares, and functions of few
///   operations: as written, in f32;
/// - fused series: as written, in f32, or, of a high degree, a table of one period, linear in 4,096
///   steps; both off by some 1e-5 of the range;
/// - smooth functions (sigmoid, SiLU, GELU, tanh, ...): a table of |x| < 16, linear in 8,192 steps, off
///   by at most 2e-6; as written, in f64, beyond.
#[derive(Clone, Debug)]
pub struct Elementwise {
    shape: Shape,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    Relu,
    LeakyRelu(f32),
    Clip(f32, f32),
    HardSigmoid(f32, f32),
    HardSwish,
    Abs,
    Sqrt,
    Reciprocal,
    Power(u32),
    /// Polynomials, one per channel.
    Rows(Rows),
    /// Scale and shift per element, channels last.
    Elements(Vec<f32>, Vec<f32>),
    Series(Series),
    Table(Table),
    /// Element by element in f64.
    Exact(Function),
}

impl Elementwise {
    /// Of an activation, or an affine or elementwise map, of a value of `shape`.
    ///
    /// # Errors
    /// Another operator, or parameters that do not fit the shape.
    pub fn new(op: &Op, shape: Shape) -> Result<Self, BatchError> {
        let kind = match op {
            Op::Activation(function) => {
                function.verify(shape.c).map_err(|e| BatchError::Function {
                    function: e.function,
                    shape,
                    what: e.what,
                })?;
                Kind::new(function, shape)
            }
            Op::Linear(linear @ Linear::Affine { scale, shift }) => {
                linear.output_shape(shape)?;
                Kind::Rows(Rows::new(&[shift.clone(), scale.clone()]))
            }
            Op::Linear(linear @ Linear::Elementwise { scale, shift }) => {
                linear.output_shape(shape)?;
                Kind::Elements(channels_last(shape, scale), channels_last(shape, shift))
            }
            Op::Linear(linear) => return Err(BatchError::NotElementwise { op: linear.name() }),
            Op::Input => return Err(BatchError::NotElementwise { op: "input" }),
            Op::Add => return Err(BatchError::NotElementwise { op: "add" }),
            Op::Mul => return Err(BatchError::NotElementwise { op: "mul" }),
        };
        Ok(Self { shape, kind })
    }

    /// f of every element in place, images in parallel.
    ///
    /// # Panics
    /// When the batch has another shape than the function was prepared for.
    pub fn apply(&self, batch: &mut Batch) {
        assert_eq!(batch.shape, self.shape, "shape of a batch");
        batch
            .data
            .par_chunks_exact_mut(self.shape.elements())
            .for_each(|x| self.apply_here(x));
    }

    /// Of images in a row, on this thread.
    pub(crate) fn apply_here(&self, x: &mut [f32]) {
        Arch::new().dispatch(Apply { function: self, x });
    }
}

impl Kind {
    fn new(function: &Function, shape: Shape) -> Self {
        match function {
            Function::Relu => Self::Relu,
            Function::LeakyRelu { slope } => Self::LeakyRelu(*slope),
            Function::Clip { min, max } => Self::Clip(*min, *max),
            Function::HardSigmoid { alpha, beta } => Self::HardSigmoid(*alpha, *beta),
            Function::HardSwish => Self::HardSwish,
            Function::Abs => Self::Abs,
            Function::Sqrt => Self::Sqrt,
            Function::Reciprocal => Self::Reciprocal,
            Function::Power { exponent } => Self::Power(*exponent),
            Function::Polynomial { coefficients } => {
                let degrees = 0..coefficients[0].len();
                let column =
                    |k: usize| (0..shape.c).map(move |c| coefficients[c % coefficients.len()][k]);
                let columns: Vec<_> = degrees.map(|k| column(k).collect()).collect();
                Self::Rows(Rows::new(&columns))
            }
            Function::Approximated(Approximation::Square { .. }) => Self::Power(2),
            Function::Approximated(Approximation::Fused {
                range,
                rho,
                coefficients,
            }) if coefficients.len() <= DIRECT => {
                Self::Series(Series::fused(*range, *rho, coefficients))
            }
            Function::Approximated(Approximation::Fused {
                range,
                rho,
                coefficients,
            }) => Self::Table(Table::fused(*range, *rho, coefficients)),
            Function::Approximated(Approximation::Levelled {
                range,
                polynomials,
                times_x,
            }) => Self::Series(Series::levelled(*range, polynomials, *times_x)),
            Function::Sigmoid
            | Function::Silu
            | Function::Gelu { .. }
            | Function::Tanh
            | Function::Elu { .. }
            | Function::Selu { .. }
            | Function::Softplus
            | Function::Mish => Self::Table(Table::smooth(function)),
            // Too steep for a table.
            Function::Exp => Self::Exact(function.clone()),
        }
    }
}

struct Apply<'a> {
    function: &'a Elementwise,
    x: &'a mut [f32],
}

impl WithSimd for Apply<'_> {
    type Output = ();

    // Plain loops are vectorised for the instruction set that pulp dispatches to.
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let x = self.x;
        match &self.function.kind {
            Kind::Relu => map(x, |x| if x > 0.0 { x } else { 0.0 }),
            Kind::LeakyRelu(slope) => map(x, |x| if x < 0.0 { slope * x } else { x }),
            Kind::Clip(min, max) => map(x, |x| x.max(*min).min(*max)),
            Kind::HardSigmoid(alpha, beta) => map(x, |x| (alpha * x + beta).clamp(0.0, 1.0)),
            Kind::HardSwish => map(x, |x| x * (x / 6.0 + 0.5).clamp(0.0, 1.0)),
            Kind::Abs => map(x, f32::abs),
            Kind::Sqrt => map(x, |x| x.max(0.0).sqrt()),
            Kind::Reciprocal => map(x, |x| 1.0 / x),
            Kind::Power(2) => map(x, |x| x * x),
            Kind::Power(exponent) => map(x, |x| (1..*exponent).fold(x, |y, _| y * x)),
            Kind::Rows(rows) => rows.apply(simd, x),
            Kind::Elements(scale, shift) => {
                for image in x.chunks_exact_mut(scale.len()) {
                    for ((x, scale), shift) in image.iter_mut().zip(scale).zip(shift) {
                        *x = scale * *x + shift;
                    }
                }
            }
            Kind::Series(series) => series.apply(simd, x),
            Kind::Table(table) => table.apply(x),
            // Without rows of coefficients all channels are alike.
            Kind::Exact(function) => map(x, |x| function.apply(0, x.into()) as f32),
        }
    }
}

#[inline(always)]
fn map(x: &mut [f32], f: impl Fn(f32) -> f32) {
    x.iter_mut().for_each(|x| *x = f(*x));
}

#[cfg(test)]
mod tests;
