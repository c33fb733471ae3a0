//! Batch normalisation as a reparametrisation: it comes behind a convolution for training and is folded
//! into it at the end [IS15].

use hecc_batch::Batch;
use rayon::prelude::*;

/// Added to variances.
pub(crate) const EPSILON: f32 = 1e-5;

/// y = scale (x - mean) / sqrt(variance + [`EPSILON`]) + shift, per channel.
#[derive(Clone, Debug)]
pub(crate) struct Normalisation {
    pub scale: Vec<f32>,
    pub shift: Vec<f32>,
    /// Running, for evaluation.
    pub mean: Vec<f32>,
    /// Running, for evaluation.
    pub variance: Vec<f32>,
}

/// Per channel, over all images and pixels of a batch.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Moments {
    pub mean: Vec<f32>,
    pub variance: Vec<f32>,
}

/// Sums over a batch of `count` quantities per channel: `row` adds a pixel's channels to the rows of
/// sums. f32 within a row of pixels, f64 beyond, images in order: the same for any number of threads.
pub(crate) fn channel_sums<const COUNT: usize>(
    channels: usize,
    width: usize,
    images: usize,
    row: impl Fn(usize, usize, &mut [Vec<f32>; COUNT]) + Sync,
    rows: usize,
) -> [Vec<f64>; COUNT] {
    let of_image = |image: usize| {
        let mut total: [Vec<f64>; COUNT] = std::array::from_fn(|_| vec![0.0; channels]);
        let mut part: [Vec<f32>; COUNT] = std::array::from_fn(|_| vec![0.0; channels]);
        for y in 0..rows {
            row(image, y * width * channels, &mut part);
            for (total, part) in total.iter_mut().zip(&mut part) {
                for (t, p) in total.iter_mut().zip(part.iter_mut()) {
                    *t += f64::from(*p);
                    *p = 0.0;
                }
            }
        }
        total
    };
    let per_image: Vec<_> = (0..images).into_par_iter().map(of_image).collect();
    let mut sums: [Vec<f64>; COUNT] = std::array::from_fn(|_| vec![0.0; channels]);
    for image in per_image {
        for (sums, image) in sums.iter_mut().zip(image) {
            sums.iter_mut().zip(image).for_each(|(s, v)| *s += v);
        }
    }
    sums
}

/// Mean and variance of every channel.
pub(crate) fn moments(x: &Batch) -> Moments {
    let shape = x.shape;
    let (c, w) = (shape.c, shape.w);
    let sums = channel_sums::<2>(
        c,
        w,
        x.n,
        |image, begin, [sum, square]| {
            let (sum, square) = (&mut sum[..c], &mut square[..c]);
            for x in x.image(image)[begin..begin + w * c].chunks_exact(c) {
                let x = &x[..c];
                for i in 0..c {
                    sum[i] += x[i];
                    square[i] += x[i] * x[i];
                }
            }
        },
        shape.h,
    );
    let count = (x.n * shape.h * shape.w).max(1) as f64;
    let mean: Vec<f64> = sums[0].iter().map(|s| s / count).collect();
    let variance = sums[1].iter().zip(&mean);
    Moments {
        variance: variance
            .map(|(s, m)| (s / count - m * m).max(0.0) as f32)
            .collect(),
        mean: mean.iter().map(|&m| m as f32).collect(),
    }
}

impl Normalisation {
    /// One that changes nothing, but for [`EPSILON`].
    pub fn identity(channels: usize) -> Self {
        Self {
            scale: vec![1.0; channels],
            shift: vec![0.0; channels],
            mean: vec![0.0; channels],
            variance: vec![1.0 - EPSILON; channels],
        }
    }

    /// The map per channel that it is with `moments`: factor and constant.
    pub fn line(&self, moments: &Moments) -> (Vec<f32>, Vec<f32>) {
        let factor: Vec<f32> = self
            .scale
            .iter()
            .zip(&moments.variance)
            .map(|(scale, variance)| scale / (variance + EPSILON).sqrt())
            .collect();
        let constant = self.shift.iter().zip(&moments.mean).zip(&factor);
        let constant = constant
            .map(|((shift, mean), factor)| shift - mean * factor)
            .collect();
        (factor, constant)
    }

    /// The running statistics.
    pub fn running(&self) -> Moments {
        Moments {
            mean: self.mean.clone(),
            variance: self.variance.clone(),
        }
    }

    /// Result with the given moments.
    pub fn forward(&self, x: &Batch, moments: &Moments) -> Batch {
        let (factor, constant) = self.line(moments);
        let mut y = Batch::zeros(x.n, x.shape);
        let size = x.shape.elements();
        let images = y.data.par_chunks_mut(size.max(1));
        images
            .zip(x.data.par_chunks(size.max(1)))
            .for_each(|(y, x)| {
                let channels = factor.len();
                let (a, b) = (&factor[..channels], &constant[..channels]);
                for (y, x) in y.chunks_exact_mut(channels).zip(x.chunks_exact(channels)) {
                    let (y, x) = (&mut y[..channels], &x[..channels]);
                    for i in 0..channels {
                        y[i] = a[i] * x[i] + b[i];
                    }
                }
            });
        y
    }

    /// Turns the gradient by the result into the gradient by the operand `x`; returns the gradients of
    /// scale and shift. `moments` are those of `x`, which the gradient flows through.
    pub fn backward(&self, x: &Batch, moments: &Moments, g: &mut Batch) -> [Vec<f32>; 2] {
        let shape = x.shape;
        let (c, w) = (shape.c, shape.w);
        let inverse: Vec<f32> = moments
            .variance
            .iter()
            .map(|v| 1.0 / (v + EPSILON).sqrt())
            .collect();
        let mean = &moments.mean;
        let sums = {
            let g = &*g;
            channel_sums::<2>(
                c,
                w,
                x.n,
                |image, begin, [sum, product]| {
                    let x = &x.image(image)[begin..begin + w * c];
                    let g = &g.image(image)[begin..begin + w * c];
                    let (sum, product, mean) = (&mut sum[..c], &mut product[..c], &mean[..c]);
                    for (x, g) in x.chunks_exact(c).zip(g.chunks_exact(c)) {
                        let (x, g) = (&x[..c], &g[..c]);
                        for i in 0..c {
                            sum[i] += g[i];
                            product[i] += g[i] * (x[i] - mean[i]);
                        }
                    }
                },
                shape.h,
            )
        };
        let count = (x.n * shape.h * shape.w).max(1) as f64;
        let shift: Vec<f32> = sums[0].iter().map(|&s| s as f32).collect();
        let scale: Vec<f32> = sums[1]
            .iter()
            .zip(&inverse)
            .map(|(&s, &i)| (s * f64::from(i)) as f32)
            .collect();
        // dx = scale inv (g - mean(g) - (x - m) inv^2 mean(g (x - m))) = a g + b x + d.
        let mut lines: [Vec<f32>; 3] = Default::default();
        for k in 0..c {
            let inverse = f64::from(inverse[k]);
            let a = f64::from(self.scale[k]) * inverse;
            let b = -a * inverse * inverse * sums[1][k] / count;
            let d = -a * sums[0][k] / count - b * f64::from(mean[k]);
            for (line, value) in lines.iter_mut().zip([a, b, d]) {
                line.push(value as f32);
            }
        }
        let [a, b, d] = &lines;
        let size = shape.elements().max(1);
        let images = g.data.par_chunks_mut(size).zip(x.data.par_chunks(size));
        images.for_each(|(g, x)| {
            let (a, b, d) = (&a[..c], &b[..c], &d[..c]);
            for (g, x) in g.chunks_exact_mut(c).zip(x.chunks_exact(c)) {
                let (g, x) = (&mut g[..c], &x[..c]);
                for i in 0..c {
                    g[i] = a[i] * g[i] + b[i] * x[i] + d[i];
                }
            }
        });
        [scale, shift]
    }
}

#[cfg(test)]
mod tests {
    use hecc_ir::nn::Shape;
    use hecc_ir::testing::Random;

    use super::*;

    #[test]
    fn gradients_are_slopes() {
        let mut random = Random::new(3);
        let shape = Shape::new(3, 2, 4);
        let data: Vec<f32> = random
            .floats(5 * 24)
            .iter()
            .map(|x| 2.0 * x + 0.7)
            .collect();
        let x = Batch { n: 5, shape, data };
        let weight = random.floats(5 * 24);
        let mut norm = Normalisation::identity(3);
        norm.scale = random.floats(3);
        norm.shift = random.floats(3);
        let value = |norm: &Normalisation, x: &Batch| -> f64 {
            let y = norm.forward(x, &moments(x));
            let terms = y.data.iter().zip(&weight);
            terms.map(|(y, w)| f64::from(y * y * w)).sum()
        };
        let y = norm.forward(&x, &moments(&x));
        let mut g = y.clone();
        g.data
            .iter_mut()
            .zip(&weight)
            .for_each(|(g, w)| *g *= 2.0 * w);
        let [scale, shift] = norm.backward(&x, &moments(&x), &mut g);
        let step = 1e-2;
        let check = |got: f32, up: f64, down: f64| {
            let slope = (up - down) / (2.0 * f64::from(step));
            assert!((slope - f64::from(got)).abs() < 2e-3, "{got} {slope}");
        };
        for i in (0..x.data.len()).step_by(7) {
            let moved = |step: f32| {
                let mut x = x.clone();
                x.data[i] += step;
                value(&norm, &x)
            };
            check(g.data[i], moved(step), moved(-step));
        }
        for k in 0..3 {
            let moved = |step: f32, by_scale: bool| {
                let mut norm = norm.clone();
                match by_scale {
                    true => norm.scale[k] += step,
                    false => norm.shift[k] += step,
                }
                value(&norm, &x)
            };
            check(scale[k], moved(step, true), moved(-step, true));
            check(shift[k], moved(step, false), moved(-step, false));
        }
    }
}
