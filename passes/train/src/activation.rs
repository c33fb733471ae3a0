//! An activation in training: the original function, what replaces it, and how much of each.

use hecc_batch::{Batch, Elementwise};
use hecc_ir::function::Function;
use hecc_ir::nn::{Linear, Op, Shape};
use rayon::prelude::*;

use self::pass::{Columns, Pass, each_image, pixels};
use self::polynomial::compose;
use crate::TrainError;
use crate::slope::Slope;

mod pass;
mod polynomial;

pub(crate) use self::polynomial::Polynomial;

/// y = (1 - t) f(x) + t p(x), f the original function, p what replaces it.
///
/// In training a trained polynomial goes on along its tangent beyond the range of its channel: what
/// leaves the range costs a penalty, but one image cannot blow up the step. In evaluation it is what it
/// will be, a polynomial everywhere.
///
/// Backwards, a trained polynomial has its own derivative and f its own; for anything else the
/// derivative of f stands for that of p: p oscillates around f, and so does its derivative, but
/// widely [AB24].
pub(crate) struct Activation {
    original: Function,
    value: Elementwise,
    slope: Slope,
    pub replacement: Replacement,
    /// Share t of the replacement.
    pub share: f32,
    /// Middle and half width B of the range of every channel: operands x with |x - middle| > B are
    /// counted and cost a penalty.
    pub bounds: Vec<[f32; 2]>,
}

/// What stands for the original function.
pub(crate) enum Replacement {
    /// The function itself.
    None,
    /// Trained, per channel.
    Polynomial(Polynomial),
    /// Given, or fitted to the distribution.
    Fixed {
        /// What it is.
        function: Function,
        /// The same, prepared.
        value: Elementwise,
    },
}

/// The operands of an activation that left its range.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Excess {
    /// Sum of (|x| / B - 1)^2 over them.
    pub squares: f64,
    /// Their number.
    pub count: u64,
}

/// Gradients of an activation: the coefficients' if it has any. The operand's is in place.
pub(crate) type CoefficientGradient = Option<Vec<f32>>;

impl Activation {
    /// `op` in the place of `original`, all of it at once.
    ///
    /// # Errors
    /// [`TrainError::Operator`] for an operator that is no function of one number; parameters out of
    /// bounds.
    pub fn new(original: &Function, op: &Op, shape: Shape, name: &str) -> Result<Self, TrainError> {
        let refuse = |what: &str| TrainError::Operator {
            name: name.to_string(),
            what: what.to_string(),
        };
        let polynomial = |rows: Vec<Vec<f32>>, pruned: bool| {
            let mut polynomial = Polynomial {
                mu: vec![0.0; shape.c],
                sigma: vec![1.0; shape.c],
                terms: rows[0].len(),
                coefficients: vec![0.0; shape.c * rows[0].len()],
                pruned,
            };
            polynomial.set_rows(&rows);
            Replacement::Polynomial(polynomial)
        };
        let replacement = match op {
            Op::Linear(Linear::Affine { scale, shift }) => {
                if scale.len() != shape.c || shift.len() != shape.c {
                    return Err(refuse("a line for another number of channels"));
                }
                let rows = scale.iter().zip(shift).map(|(a, b)| vec![*b, *a]);
                polynomial(rows.collect(), true)
            }
            Op::Activation(function) => {
                function
                    .verify(shape.c)
                    .map_err(|e| refuse(&e.to_string()))?;
                match function {
                    Function::Polynomial { coefficients } if coefficients[0].len() <= 3 => {
                        let rows = coefficients.iter().cycle().take(shape.c);
                        polynomial(rows.cloned().collect(), false)
                    }
                    same if same == original => Replacement::None,
                    other => Replacement::Fixed {
                        value: Elementwise::new(op, shape)?,
                        function: other.clone(),
                    },
                }
            }
            Op::Input | Op::Linear(_) | Op::Add | Op::Mul => {
                return Err(refuse("an operator that is no function of one number"));
            }
        };
        Ok(Self {
            original: original.clone(),
            value: Elementwise::new(&Op::Activation(original.clone()), shape)?,
            slope: Slope::new(original, shape.c),
            replacement,
            share: 1.0,
            bounds: vec![[0.0, f32::INFINITY]; shape.c],
        })
    }

    /// The operator that has been trained; `before`: factor and constant per channel of a line in front
    /// of it, which a polynomial takes in.
    pub fn op(&self, before: Option<&(Vec<f32>, Vec<f32>)>) -> Op {
        let rows = |p: &Polynomial| {
            let mut rows = p.rows();
            if let Some((factor, constant)) = before {
                let lines = factor.iter().zip(constant);
                for (row, (&a, &b)) in rows.iter_mut().zip(lines) {
                    compose(row, f64::from(a), f64::from(b));
                }
            }
            rows
        };
        match &self.replacement {
            Replacement::None => Op::Activation(self.original.clone()),
            Replacement::Fixed { function, .. } => Op::Activation(function.clone()),
            Replacement::Polynomial(p) if p.pruned => {
                let rows = rows(p);
                Op::Linear(Linear::Affine {
                    scale: rows.iter().map(|row| row[1]).collect(),
                    shift: rows.iter().map(|row| row[0]).collect(),
                })
            }
            Replacement::Polynomial(p) => Op::Activation(Function::Polynomial {
                coefficients: rows(p),
            }),
        }
    }

    /// The original function.
    pub fn original(&self) -> &Function {
        &self.original
    }

    /// Result for operands `x`; `tangent`: whether polynomials become lines beyond their range.
    pub fn forward(&self, x: &Batch, tangent: bool) -> (Batch, Excess) {
        let t = self.share;
        match &self.replacement {
            Replacement::None => (applied(&self.value, x), Excess::default()),
            Replacement::Fixed { value, .. } => {
                let mut y = applied(value, x);
                if t < 1.0 {
                    blend(&mut y, t, &applied(&self.value, x));
                }
                (y, self.excess(x))
            }
            Replacement::Polynomial(p) => {
                let relu = self.original == Function::Relu;
                let original = (t < 1.0 && !relu).then(|| applied(&self.value, x));
                let rest = if relu { 1.0 - t } else { 0.0 };
                let mut y = Batch::zeros(x.n, x.shape);
                let k = p.powers();
                let lines = Columns::new(&k, &self.ends(tangent), &self.bounds, t);
                each_image(x, &mut y, |x, y| {
                    for (x, y) in pixels(x, y, k.len()) {
                        lines.polynomial(rest, x, y);
                    }
                });
                if let Some(original) = original {
                    add_scaled(&mut y, 1.0 - t, &original);
                }
                (y, self.excess(x))
            }
        }
    }

    /// Turns the gradient by the result into that by the operand `x`. `penalty` weighs
    /// [`Excess::squares`] in what is differentiated.
    pub fn backward(
        &self,
        x: &Batch,
        g: &mut Batch,
        penalty: f32,
        tangent: bool,
    ) -> CoefficientGradient {
        let t = self.share;
        let (f, lines, polynomial) = match &self.replacement {
            Replacement::None | Replacement::Fixed { .. } => (1.0, vec![[0.0; 3]; x.shape.c], None),
            Replacement::Polynomial(p) => (1.0 - t, p.powers(), Some(p)),
        };
        let pull = match &self.replacement {
            Replacement::None => 0.0,
            Replacement::Polynomial(_) | Replacement::Fixed { .. } => 2.0 * penalty,
        };
        let terms = polynomial.map_or(0, |p| p.terms);
        let pass = Pass {
            columns: &Columns::new(&lines, &self.ends(tangent), &self.bounds, t),
            pull,
            terms,
        };
        let sums = if f == 0.0 {
            pass.run(x, g, |_, _| 0.0)
        } else if self.original == Function::Relu {
            pass.run(x, g, |_, x| if x > 0.0 { f } else { 0.0 })
        } else {
            pass.run(x, g, |c, x| f * self.slope.at(c, x))
        };
        polynomial.map(|p| {
            let mut gradient = Vec::with_capacity(p.coefficients.len());
            for (c, base) in p.bases().enumerate() {
                let by = |j: usize| {
                    let rows = base.iter().zip(&sums).take(terms);
                    rows.map(|(row, sum)| row[j] * sum[c]).sum::<f64>()
                };
                gradient.extend((0..terms).map(|j| (f64::from(t) * by(j)) as f32));
            }
            gradient
        })
    }

    /// Lower and upper end of the range of every channel; everything where there is no tangent.
    fn ends(&self, tangent: bool) -> Vec<[f32; 2]> {
        let end = |[middle, b]: &[f32; 2]| match tangent {
            true => [middle - b, middle + b],
            false => [f32::NEG_INFINITY, f32::INFINITY],
        };
        self.bounds.iter().map(end).collect()
    }

    /// Whether operands can leave a range.
    pub fn ranged(&self) -> bool {
        self.bounds.iter().any(|[_, b]| b.is_finite())
    }

    fn excess(&self, x: &Batch) -> Excess {
        if !self.ranged() {
            return Excess::default();
        }
        let c = self.bounds.len();
        let middle: Vec<f32> = self.bounds.iter().map(|b| b[0]).collect();
        let inverse: Vec<f32> = self.bounds.iter().map(|b| 1.0 / b[1]).collect();
        let of_image = |image: &[f32]| {
            let (mut squares, mut counts) = (vec![0.0f32; c], vec![0.0f32; c]);
            for pixel in image.chunks_exact(c) {
                let (squares, counts) = (&mut squares[..c], &mut counts[..c]);
                let (pixel, middle, inverse) = (&pixel[..c], &middle[..c], &inverse[..c]);
                for i in 0..c {
                    let over = ((pixel[i] - middle[i]) * inverse[i]).abs() - 1.0;
                    let over = if over > 0.0 { over } else { 0.0 };
                    squares[i] += over * over;
                    counts[i] += if over > 0.0 { 1.0 } else { 0.0 };
                }
            }
            Excess {
                squares: squares.iter().map(|&s| f64::from(s)).sum(),
                count: counts.iter().map(|&n| n as u64).sum(),
            }
        };
        let images = x.data.par_chunks(x.shape.elements().max(1)).map(of_image);
        let images: Vec<Excess> = images.collect();
        images.iter().fold(Excess::default(), |a, b| Excess {
            squares: a.squares + b.squares,
            count: a.count + b.count,
        })
    }
}

fn applied(value: &Elementwise, x: &Batch) -> Batch {
    let mut y = x.clone();
    value.apply(&mut y);
    y
}

/// y = t y + (1 - t) z.
fn blend(y: &mut Batch, t: f32, z: &Batch) {
    each_image(z, y, |z, y| {
        for (y, z) in y.iter_mut().zip(z) {
            *y = t * *y + (1.0 - t) * z;
        }
    });
}

/// y += a z.
pub(crate) fn add_scaled(y: &mut Batch, a: f32, z: &Batch) {
    each_image(z, y, |z, y| {
        for (y, z) in y.iter_mut().zip(z) {
            *y += a * z;
        }
    });
}

#[cfg(test)]
mod tests;
