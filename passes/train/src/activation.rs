//! An activation in training: the original function, what replaces it, and how much of each.

use hecc_batch::{Batch, Elementwise};
use hecc_ir::function::Function;
use hecc_ir::nn::{Linear, Op, Shape};
use rayon::prelude::*;

use crate::TrainError;
use crate::slope::Slope;

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

/// A line or a quadratic per channel in Hermite's basis: sigma (c_0 + c_1 u + c_2 (u^2 - 1) / sqrt 2),
/// u = (x - mu) / sigma. The terms are orthonormal for a normal distribution: steps along them do not
/// disturb each other, and coefficients of all channels are of one size [PKK+22].
#[derive(Clone)]
pub(crate) struct Polynomial {
    /// mu, one per channel, constant in training.
    pub mu: Vec<f32>,
    /// sigma, one per channel, constant in training.
    pub sigma: Vec<f32>,
    /// `[channel][terms]`.
    pub coefficients: Vec<f32>,
    /// 2 or 3.
    pub terms: usize,
    /// Whether it becomes an affine map of the graph.
    pub pruned: bool,
}

impl Polynomial {
    /// Of c_0, c_1, c_2 in every channel, the powers k_0, k_1, k_2 of x: k_i = sum_j m_ij c_j.
    fn bases(&self) -> impl Iterator<Item = [[f64; 3]; 3]> {
        let channels = self.mu.iter().zip(&self.sigma);
        channels.map(|(&mu, &sigma)| {
            let (mu, sigma) = (f64::from(mu), f64::from(sigma));
            let root = std::f64::consts::SQRT_2;
            [
                [sigma, -mu, (mu * mu / sigma - sigma) / root],
                [0.0, 1.0, -root * mu / sigma],
                [0.0, 0.0, 1.0 / (root * sigma)],
            ]
        })
    }

    /// Rows of coefficients of powers of x.
    pub fn rows(&self) -> Vec<Vec<f32>> {
        let rows = self.coefficients.chunks_exact(self.terms);
        rows.zip(self.bases())
            .map(|(row, base)| {
                let power = |base: [f64; 3]| {
                    let terms = base.iter().zip(row);
                    terms.map(|(m, c)| m * f64::from(*c)).sum::<f64>() as f32
                };
                base.into_iter().take(self.terms).map(power).collect()
            })
            .collect()
    }

    /// Takes over rows of coefficients of powers of x.
    pub fn set_rows(&mut self, rows: &[Vec<f32>]) {
        let bases: Vec<_> = self.bases().collect();
        let targets = self.coefficients.chunks_exact_mut(self.terms);
        for ((target, row), base) in targets.zip(rows).zip(bases) {
            // Triangular: from the highest power down.
            for i in (0..row.len()).rev() {
                let known = (i + 1..row.len()).map(|j| base[i][j] * f64::from(target[j]));
                target[i] = ((f64::from(row[i]) - known.sum::<f64>()) / base[i][i]) as f32;
            }
        }
    }

    /// [k_0, k_1, k_2] of x for every channel.
    fn powers(&self) -> Vec<[f32; 3]> {
        let pad = |row: Vec<f32>| [row[0], row[1], row.get(2).copied().unwrap_or(0.0)];
        self.rows().into_iter().map(pad).collect()
    }
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

/// What a pass needs of every channel, one column each, so that the compiler makes vectors of it.
struct Columns {
    /// t k_0, t k_1, t k_2.
    k: [Vec<f32>; 3],
    /// Between which polynomials are themselves.
    low: Vec<f32>,
    high: Vec<f32>,
    middle: Vec<f32>,
    /// 1 / B.
    inverse: Vec<f32>,
}

impl Columns {
    fn new(k: &[[f32; 3]], ends: &[[f32; 2]], bounds: &[[f32; 2]], t: f32) -> Self {
        Self {
            k: [0, 1, 2].map(|i| k.iter().map(|k| t * k[i]).collect()),
            low: ends.iter().map(|e| e[0]).collect(),
            high: ends.iter().map(|e| e[1]).collect(),
            middle: bounds.iter().map(|b| b[0]).collect(),
            inverse: bounds.iter().map(|b| 1.0 / b[1]).collect(),
        }
    }

    /// y = rest max(x, 0) + k_0 + k_1 x + k_2 u (2 x - u), u the operand cut to its range, of a pixel.
    #[inline]
    fn polynomial(&self, rest: f32, x: &[f32], y: &mut [f32]) {
        let c = self.low.len();
        let [k0, k1, k2] = [0, 1, 2].map(|i| &self.k[i][..c]);
        let (low, high, x, y) = (&self.low[..c], &self.high[..c], &x[..c], &mut y[..c]);
        for i in 0..c {
            let x = x[i];
            let u = cut(x, low[i], high[i]);
            let relu = if x > 0.0 { x } else { 0.0 };
            y[i] = rest * relu + k0[i] + k1[i] * x + k2[i] * u * (x + (x - u));
        }
    }

    /// Adds g times the derivatives by k_0, k_1, k_2 to their sums.
    #[inline]
    fn derivatives(&self, x: &[f32], g: &[f32], sums: &mut [Vec<f32>; 3]) {
        let c = self.low.len();
        let [p0, p1, p2] = sums;
        let (p0, p1, p2) = (&mut p0[..c], &mut p1[..c], &mut p2[..c]);
        let (low, high, x, g) = (&self.low[..c], &self.high[..c], &x[..c], &g[..c]);
        for i in 0..c {
            let u = cut(x[i], low[i], high[i]);
            p0[i] += g[i];
            p1[i] += g[i] * x[i];
            p2[i] += g[i] * u * (x[i] + (x[i] - u));
        }
    }

    /// g (slope + k_1 + 2 k_2 u) and the penalty's derivative.
    #[inline]
    fn chain(&self, pull: f32, x: &[f32], g: &mut [f32], slope: impl Fn(usize, f32) -> f32) {
        let c = self.low.len();
        let [_, k1, k2] = [0, 1, 2].map(|i| &self.k[i][..c]);
        let (low, high, x, g) = (&self.low[..c], &self.high[..c], &x[..c], &mut g[..c]);
        let (middle, inverse) = (&self.middle[..c], &self.inverse[..c]);
        for i in 0..c {
            let u = cut(x[i], low[i], high[i]);
            // Beyond one end or the other, |x - middle| / B - 1 with its sign.
            let place = (x[i] - middle[i]) * inverse[i];
            let over = place - cut(place, -1.0, 1.0);
            g[i] = g[i] * (slope(i, x[i]) + k1[i] + 2.0 * k2[i] * u) + pull * inverse[i] * over;
        }
    }
}

#[inline]
fn cut(x: f32, low: f32, high: f32) -> f32 {
    let x = if x < low { low } else { x };
    if x > high { high } else { x }
}

/// One pass over operands and gradients.
struct Pass<'a> {
    columns: &'a Columns,
    /// Twice the weight of the penalty.
    pull: f32,
    /// Coefficients that gradients are wanted for.
    terms: usize,
}

impl Pass<'_> {
    /// Turns gradients by results into gradients by operands; per channel, the sums of g times the
    /// derivatives by k_0, k_1, k_2. Images in order: the same for any number of threads.
    fn run(
        &self,
        x: &Batch,
        g: &mut Batch,
        slope: impl Fn(usize, f32) -> f32 + Sync,
    ) -> [Vec<f64>; 3] {
        let c = self.columns.low.len();
        let row = (x.shape.w * c).max(1);
        let size = x.shape.elements().max(1);
        let of_image = |(x, g): (&[f32], &mut [f32])| {
            let mut total: [Vec<f64>; 3] = std::array::from_fn(|_| vec![0.0; c]);
            let mut part: [Vec<f32>; 3] = std::array::from_fn(|_| vec![0.0; c]);
            for (x, g) in x.chunks(row).zip(g.chunks_mut(row)) {
                if self.terms > 0 {
                    for (x, g) in x.chunks_exact(c).zip(g.chunks_exact(c)) {
                        self.columns.derivatives(x, g, &mut part);
                    }
                    for (total, part) in total.iter_mut().zip(&mut part) {
                        for (total, part) in total.iter_mut().zip(part.iter_mut()) {
                            *total += f64::from(*part);
                            *part = 0.0;
                        }
                    }
                }
                for (x, g) in x.chunks_exact(c).zip(g.chunks_exact_mut(c)) {
                    self.columns.chain(self.pull, x, g, &slope);
                }
            }
            total
        };
        let images = x.data.par_chunks(size).zip(g.data.par_chunks_mut(size));
        let images: Vec<_> = images.map(of_image).collect();
        let mut sums: [Vec<f64>; 3] = std::array::from_fn(|_| vec![0.0; c]);
        for image in images {
            for (sums, image) in sums.iter_mut().zip(image) {
                sums.iter_mut().zip(image).for_each(|(s, v)| *s += v);
            }
        }
        sums
    }
}

/// p(x) to p(a x + b), for two or three coefficients.
fn compose(row: &mut [f32], a: f64, b: f64) {
    let [k0, k1, k2] = [0, 1, 2].map(|k| row.get(k).map_or(0.0, |&c| f64::from(c)));
    let composed = [(k2 * b + k1) * b + k0, (2.0 * k2 * b + k1) * a, k2 * a * a];
    let new = row.iter_mut().zip(composed);
    new.for_each(|(c, new)| *c = new as f32);
}

fn pixels<'a>(
    x: &'a [f32],
    y: &'a mut [f32],
    channels: usize,
) -> impl Iterator<Item = (&'a [f32], &'a mut [f32])> {
    x.chunks_exact(channels).zip(y.chunks_exact_mut(channels))
}

fn each_image(x: &Batch, y: &mut Batch, work: impl Fn(&[f32], &mut [f32]) + Sync) {
    let size = x.shape.elements().max(1);
    let images = x.data.par_chunks(size).zip(y.data.par_chunks_mut(size));
    images.for_each(|(x, y)| work(x, y));
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
mod tests {
    use crate::testing::Random;

    use super::*;

    const SHAPE: Shape = Shape { c: 3, h: 2, w: 4 };

    fn sample(random: &mut Random) -> Batch {
        let data = random.floats(5 * SHAPE.elements());
        Batch {
            n: 5,
            shape: SHAPE,
            data: data.iter().map(|x| 3.0 * x).collect(),
        }
    }

    fn rows(random: &mut Random, terms: usize) -> Vec<Vec<f32>> {
        (0..3).map(|_| random.floats(terms)).collect()
    }

    /// Gradients of sum w y + penalty * squares against differences.
    fn check(original: Function, op: Op, share: f32) {
        let mut random = Random::new(5);
        let mut activation = Activation::new(&original, &op, SHAPE, "a").unwrap();
        if let Replacement::Polynomial(p) = &mut activation.replacement {
            let rows = p.rows();
            p.sigma = vec![0.5, 1.0, 3.0];
            p.mu = vec![0.1, 0.0, -1.0];
            p.set_rows(&rows);
            for (a, b) in rows.iter().flatten().zip(p.rows().iter().flatten()) {
                assert!((a - b).abs() < 1e-6);
            }
        }
        activation.share = share;
        activation.bounds = vec![[0.2, 1.5], [0.0, 2.0], [0.0, f32::INFINITY]];
        let x = sample(&mut random);
        let weight = random.floats(x.data.len());
        let penalty = 0.3;
        let value = |activation: &Activation, x: &Batch| {
            let (y, excess) = activation.forward(x, true);
            let terms = y.data.iter().zip(&weight);
            let sum: f64 = terms.map(|(y, w)| f64::from(y * w)).sum();
            sum + f64::from(penalty) * excess.squares
        };
        let mut g = Batch {
            data: weight.clone(),
            ..x.clone()
        };
        let coefficients = activation.backward(&x, &mut g, penalty, true);
        let step = 1e-2f32;
        let close = |got: f32, up: f64, down: f64| {
            let slope = (up - down) / (2.0 * f64::from(step));
            assert!(
                (slope - f64::from(got)).abs() < 6e-3,
                "{op:?}: {got} {slope}"
            );
        };
        for i in (0..x.data.len())
            .step_by(4)
            .filter(|&i| x.data[i].abs() > 0.05)
        {
            let moved = |step: f32| {
                let mut x = x.clone();
                x.data[i] += step;
                value(&activation, &x)
            };
            let (up, down) = (moved(step), moved(-step));
            close(g.data[i], up, down);
        }
        let count = coefficients.as_ref().map_or(0, Vec::len);
        for i in 0..count {
            let mut moved = |step: f32| {
                if let Replacement::Polynomial(p) = &mut activation.replacement {
                    p.coefficients[i] += step;
                }
                value(&activation, &x)
            };
            let (up, down) = (moved(step), moved(-2.0 * step));
            moved(step);
            close(coefficients.as_ref().unwrap()[i], up, down);
        }
    }

    #[test]
    fn gradients_are_slopes() {
        let mut random = Random::new(4);
        let quadratic = |random: &mut Random| {
            Op::Activation(Function::Polynomial {
                coefficients: rows(random, 3),
            })
        };
        let line = Op::Linear(Linear::Affine {
            scale: random.floats(3),
            shift: random.floats(3),
        });
        for share in [0.0, 0.3, 1.0] {
            check(Function::Relu, quadratic(&mut random), share);
            check(Function::Silu, quadratic(&mut random), share);
            check(Function::Relu, line.clone(), share);
        }
        check(Function::Relu, Op::Activation(Function::Relu), 1.0);
        check(Function::Tanh, Op::Activation(Function::Tanh), 1.0);
    }

    #[test]
    fn straight_through_fixed_functions() {
        let op = Op::Activation(Function::Silu);
        let mut activation = Activation::new(&Function::Relu, &op, SHAPE, "a").unwrap();
        let x = sample(&mut Random::new(1));
        let mut g = Batch {
            data: vec![2.0; x.data.len()],
            ..x.clone()
        };
        assert_eq!(activation.backward(&x, &mut g, 1.0, true), None);
        for (x, g) in x.data.iter().zip(&g.data) {
            assert_eq!(*g, if *x > 0.0 { 2.0 } else { 0.0 });
        }
        activation.share = 0.25;
        let (y, _) = activation.forward(&x, true);
        for (x, y) in x.data.iter().zip(&y.data) {
            let silu = Function::Silu.apply(0, f64::from(*x)) as f32;
            assert!((y - 0.75 * x.max(0.0) - 0.25 * silu).abs() < 1e-3);
        }
    }

    #[test]
    fn operators_that_are_no_function() {
        let pool = Linear::AveragePool {
            kernel: [1, 1],
            stride: [1, 1],
        };
        let short = Linear::Affine {
            scale: vec![1.0],
            shift: vec![0.0],
        };
        for op in [Op::Add, Op::Linear(pool), Op::Linear(short)] {
            let error = Activation::new(&Function::Relu, &op, SHAPE, "relu_3").err();
            let message = error.unwrap().to_string();
            assert!(message.contains("'relu_3'"), "{message}");
        }
    }
}
