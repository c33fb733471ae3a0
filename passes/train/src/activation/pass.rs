//! Passes over operands and gradients of a trained polynomial: channels are columns, so that the compiler
//! makes vectors of them.

use hecc_batch::Batch;
use rayon::prelude::*;

/// What a pass needs of every channel, one column each, so that the compiler makes vectors of it.
pub(crate) struct Columns {
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
    pub fn new(k: &[[f32; 3]], ends: &[[f32; 2]], bounds: &[[f32; 2]], t: f32) -> Self {
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
    pub fn polynomial(&self, rest: f32, x: &[f32], y: &mut [f32]) {
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
pub(crate) struct Pass<'a> {
    pub columns: &'a Columns,
    /// Twice the weight of the penalty.
    pub pull: f32,
    /// Coefficients that gradients are wanted for.
    pub terms: usize,
}

impl Pass<'_> {
    /// Turns gradients by results into gradients by operands; per channel, the sums of g times the
    /// derivatives by k_0, k_1, k_2. Images in order: the same for any number of threads.
    pub fn run(
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

pub(crate) fn pixels<'a>(
    x: &'a [f32],
    y: &'a mut [f32],
    channels: usize,
) -> impl Iterator<Item = (&'a [f32], &'a mut [f32])> {
    x.chunks_exact(channels).zip(y.chunks_exact_mut(channels))
}

pub(crate) fn each_image(x: &Batch, y: &mut Batch, work: impl Fn(&[f32], &mut [f32]) + Sync) {
    let size = x.shape.elements().max(1);
    let images = x.data.par_chunks(size).zip(y.data.par_chunks_mut(size));
    images.for_each(|(x, y)| work(x, y));
}
