//! What is measured on images before and between epochs: the start of normalisations and polynomials,
//! running statistics, ranges and new fits of approximations.

use hecc_batch::{Batch, Elementwise};
use hecc_ir::calibration::ActivationStatistics;
use hecc_ir::function::{Approximation, Function};
use hecc_ir::histogram::Histogram;
use hecc_ir::nn::{Linear, Op, Shape};
use hecc_passes::approximate;

use crate::activation::Replacement;
use crate::data::Data;
use crate::distribution::{PowerSums, is_series, uniform};
use crate::network::{Mode, Network, Step};
use crate::normalise::{EPSILON, Moments, moments};
use crate::{Recipe, TrainError};

/// Images of a batch when nothing is learned.
pub(crate) const CHUNK: usize = 128;
/// Norm of every channel's weights in front of a normalisation, squared: that of a fresh network for
/// ReLUs (He's initialisation), so that a rate means the same for every network.
const NORM: f64 = 2.0;
/// Sum of an image's logits, signs aside, over that of the middle image, beyond which nothing is measured on
/// it.
const ASTRAY: f32 = 100.0;

const NOT_FINITE: &str = "the network's values are not finite on the images, or grow without bound on many; \
                          check their normalisation";

/// Moments of several batches together.
#[derive(Clone, Default)]
pub(crate) struct Pooled {
    /// Images or batches.
    weight: f64,
    mean: Vec<f64>,
    square: Vec<f64>,
}

impl Pooled {
    pub fn add(&mut self, moments: &Moments, weight: usize) {
        let weight = weight as f64;
        self.mean.resize(moments.mean.len(), 0.0);
        self.square.resize(moments.mean.len(), 0.0);
        let sums = self.mean.iter_mut().zip(&mut self.square);
        let values = moments.mean.iter().zip(&moments.variance);
        for ((mean, square), (&m, &v)) in sums.zip(values) {
            *mean += weight * f64::from(m);
            *square += weight * (f64::from(v) + f64::from(m).powi(2));
        }
        self.weight += weight;
    }

    pub fn moments(&self) -> Moments {
        let mean: Vec<f64> = self.mean.iter().map(|m| m / self.weight).collect();
        let variance = self.square.iter().zip(&mean);
        Moments {
            variance: variance
                .map(|(s, m)| (s / self.weight - m * m).max(0.0) as f32)
                .collect(),
            mean: mean.iter().map(|&m| m as f32).collect(),
        }
    }
}

/// Starts training: normalisations get the moments that their operands have in the original network, so
/// that nothing changes; polynomials that are alike in all channels become the closest ones on each
/// channel's distribution; every replaced activation gets its range.
///
/// # Errors
/// Images that cannot be read; values that are not finite.
pub(crate) fn prepare(
    network: &mut Network,
    data: &Data<'_>,
    shape: Shape,
    recipe: &Recipe,
) -> Result<(), TrainError> {
    begin(network, recipe);
    let count = network.layers.len();
    let mut pooled: Vec<Option<Pooled>> = vec![None; count];
    let mut sums: Vec<Option<(Histogram, PowerSums)>> = (0..count).map(|_| None).collect();
    let mut finite = true;
    let images = measured(network, data, shape, recipe)?
        .ok_or_else(|| TrainError::Data(NOT_FINITE.into()))?;
    for chunk in images.chunks(CHUNK) {
        let batch = data.plain(shape, chunk)?;
        network.forward(batch, Mode::Evaluating, &mut |i, x, y| {
            let Some(x) = x else { return };
            match &network.layers[i].op {
                Step::Normalise(_) => {
                    let pooled = pooled[i].get_or_insert_default();
                    pooled.add(&moments(x), x.n);
                }
                Step::Activate(activation) => match &activation.replacement {
                    Replacement::None => {}
                    Replacement::Polynomial(_) | Replacement::Fixed { .. } => {
                        let (histogram, powers) = sums[i].get_or_insert_with(|| {
                            (Histogram::default(), PowerSums::new(x.shape.c))
                        });
                        finite &= histogram.add(&x.data);
                        powers.add(x, y);
                    }
                },
                Step::Input | Step::Linear { .. } | Step::Moving { .. } | Step::Add | Step::Mul => {
                }
            }
        })?;
    }
    if !finite {
        return Err(TrainError::Data(NOT_FINITE.into()));
    }
    for i in 0..count {
        if let Some(pooled) = &pooled[i] {
            normalise(network, i, &pooled.moments());
        }
        if let (Some((histogram, powers)), Some(activation)) = (&sums[i], network.activation_mut(i))
        {
            let largest = histogram.largest().max(f32::MIN_POSITIVE.sqrt());
            match &mut activation.replacement {
                Replacement::None => {}
                Replacement::Fixed { function, .. } => {
                    let b = match function {
                        Function::Approximated(a) => a.range() as f32,
                        _ => largest,
                    };
                    activation.bounds.fill([0.0, b]);
                }
                Replacement::Polynomial(p) => {
                    let rows = p.rows();
                    (p.mu, p.sigma) = powers.normal();
                    let ranges = p.mu.iter().zip(&p.sigma);
                    let bound = |(mu, sigma): (&f32, &f32)| [*mu, recipe.reach * sigma];
                    activation.bounds = ranges.map(bound).collect();
                    match uniform(&rows) {
                        true => p.set_rows(&powers.fit(p.terms)),
                        false => p.set_rows(&rows),
                    }
                }
            }
        }
    }
    Ok(())
}

/// Lets every activation stand as training finds it at first: what is fitted is measured where the
/// original function stands, and so is what fades in; what comes trained, as it is.
fn begin(network: &mut Network, recipe: &Recipe) {
    network.set_shares(|_, _| 0.0);
    if recipe.homotopy_epochs > 0.0 {
        return;
    }
    for layer in network.activations.clone() {
        if let Some(activation) = network.activation_mut(layer) {
            let trained = match &activation.replacement {
                Replacement::None => false,
                Replacement::Polynomial(p) => !uniform(&p.rows()),
                Replacement::Fixed { .. } => true,
            };
            activation.share = if trained { 1.0 } else { 0.0 };
        }
    }
}

/// Scales the channels of the convolution in front of normalisation `layer`, whose results have these
/// moments, and sets the normalisation to undo it.
fn normalise(network: &mut Network, layer: usize, found: &Moments) {
    let before = network.layers[layer].operands[0];
    let mut factors = vec![1.0; found.mean.len()];
    if let Step::Linear { linear, .. } = &mut network.layers[before].op
        && let Linear::Conv { weight, .. } = linear
    {
        let row = (weight.len() / factors.len().max(1)).max(1);
        for (row, factor) in weight.chunks_mut(row).zip(&mut factors) {
            let norm: f64 = row.iter().map(|&w| f64::from(w).powi(2)).sum();
            if norm > 1e-12 {
                *factor = (NORM / norm).sqrt() as f32;
                row.iter_mut().for_each(|w| *w *= *factor);
            }
        }
    }
    if let Step::Normalise(n) = &mut network.layers[layer].op {
        for (k, factor) in factors.iter().enumerate() {
            let (mean, variance) = (found.mean[k], found.variance[k]);
            n.mean[k] = mean * factor;
            n.variance[k] = variance * factor * factor;
            n.scale[k] = (n.variance[k] + EPSILON).sqrt() / factor;
            n.shift[k] += mean;
        }
    }
}

/// Averages the statistics of normalisation over batches of the epoch's images; `false` when they are
/// not finite.
///
/// # Errors
/// Images that cannot be read.
pub(crate) fn settle(
    network: &mut Network,
    data: &Data<'_>,
    shape: Shape,
    recipe: &Recipe,
    epoch: usize,
) -> Result<bool, TrainError> {
    let order = data.order(recipe.seed, epoch);
    let mut pooled: Vec<Option<Pooled>> = vec![None; network.layers.len()];
    for (k, chunk) in order.chunks(recipe.batch).take(recipe.settled).enumerate() {
        let batch = data.augmented(shape, chunk, recipe, epoch, k * recipe.batch)?;
        let (_, tape) = network.forward(batch, Mode::Settling, &mut |_, _, _| ())?;
        for (pooled, moments) in pooled.iter_mut().zip(&tape.moments) {
            if let Some(moments) = moments {
                pooled.get_or_insert_default().add(moments, chunk.len());
            }
        }
    }
    let mut finite = true;
    for (layer, pooled) in network.layers.iter_mut().zip(pooled) {
        if let (Step::Normalise(n), Some(pooled)) = (&mut layer.op, pooled) {
            let found = pooled.moments();
            let numbers = found.mean.iter().chain(&found.variance);
            finite &= numbers.into_iter().all(|v| v.is_finite());
            (n.mean, n.variance) = (found.mean, found.variance);
        }
    }
    Ok(finite)
}

/// Measures the operands of approximations again and fits every single series to them; `false` when
/// they are not finite.
///
/// # Errors
/// Images that cannot be read; options that no fit accepts.
pub(crate) fn refit(
    network: &mut Network,
    data: &Data<'_>,
    shape: Shape,
    recipe: &Recipe,
) -> Result<bool, TrainError> {
    let fixed = |network: &Network, i: usize| match network.activation(i).map(|a| &a.replacement) {
        Some(Replacement::Fixed { function, .. }) => is_series(function),
        Some(Replacement::None | Replacement::Polynomial(_)) | None => false,
    };
    let mut histograms: Vec<Option<Histogram>> = (0..network.layers.len())
        .map(|i| fixed(network, i).then(Histogram::default))
        .collect();
    if histograms.iter().all(Option::is_none) {
        return Ok(true);
    }
    let mut finite = true;
    let Some(images) = measured(network, data, shape, recipe)? else {
        return Ok(false);
    };
    for chunk in images.chunks(CHUNK) {
        let batch = data.plain(shape, chunk)?;
        network.forward(batch, Mode::Evaluating, &mut |i, x, _| {
            if let (Some(histogram), Some(x)) = (&mut histograms[i], x) {
                finite &= histogram.add(&x.data);
            }
        })?;
    }
    if !finite {
        return Ok(false);
    }
    for (i, histogram) in histograms.iter().enumerate() {
        let (name, of) = (network.layers[i].name.clone(), network.layers[i].shape);
        let (Some(histogram), Some(activation)) = (histogram, network.activation_mut(i)) else {
            continue;
        };
        let original = activation.original().clone();
        let statistics = histogram.statistics(&name);
        if let Replacement::Fixed { function, value } = &mut activation.replacement
            && let Some(new) = fitted(&original, function, &statistics, recipe.margin)?
        {
            activation.bounds.fill([0.0, new.range() as f32]);
            *function = Function::Approximated(new);
            *value = Elementwise::new(&Op::Activation(function.clone()), of)?;
        }
    }
    Ok(true)
}

/// The same kind of series, of the same degree, on another distribution; None where the fit needs fewer
/// coefficients.
fn fitted(
    original: &Function,
    function: &Function,
    statistics: &ActivationStatistics,
    margin: f64,
) -> Result<Option<Approximation>, TrainError> {
    let Function::Approximated(old) = function else {
        return Ok(None);
    };
    let new = match old {
        Approximation::Fused {
            rho, coefficients, ..
        } => approximate::fit(original, statistics, coefficients.len() - 1, margin, *rho)?,
        Approximation::Levelled { polynomials, .. } => {
            approximate::fit_levelled(original, statistics, polynomials[0].len() - 1, margin)?
        }
        Approximation::Square { .. } => return Ok(None),
    };
    let length = |a: &Approximation| match a {
        Approximation::Fused { coefficients, .. } => coefficients.len(),
        Approximation::Levelled { polynomials, .. } => polynomials[0].len(),
        Approximation::Square { .. } => 0,
    };
    Ok((length(&new) == length(old)).then_some(new))
}

/// Images to measure on: the first ones to learn from, but for those that polynomials send astray. One
/// image whose values grow beyond all bounds would be all that moments and ranges tell of. None where more than
/// a tenth are astray.
///
/// # Errors
/// Images that cannot be read.
fn measured(
    network: &Network,
    data: &Data<'_>,
    shape: Shape,
    recipe: &Recipe,
) -> Result<Option<Vec<usize>>, TrainError> {
    let first = &data.training[..data.training.len().min(recipe.measured)];
    let mut sizes: Vec<f32> = Vec::with_capacity(first.len());
    for chunk in first.chunks(CHUNK) {
        let batch = data.plain(shape, chunk)?;
        let (logits, _) = network.forward(batch, Mode::Evaluating, &mut |_, _, _| ())?;
        sizes.extend((0..logits.n).map(|i| logits.image(i).iter().map(|l| l.abs()).sum::<f32>()));
    }
    let mut sorted = sizes.clone();
    sorted.sort_by(f32::total_cmp);
    let most = (ASTRAY * sorted[sorted.len() / 2]).min(f32::MAX);
    let kept = first.iter().zip(&sizes);
    let kept: Vec<usize> = kept.filter(|&(_, &l)| l <= most).map(|(&i, _)| i).collect();
    let astray = first.len() - kept.len();
    Ok((10 * astray <= first.len()).then_some(kept))
}

/// Held-out images that get the class of their label from logits made by `forward`.
pub(crate) fn correct(
    data: &Data<'_>,
    shape: Shape,
    mut forward: impl FnMut(Batch) -> Result<Batch, TrainError>,
) -> Result<usize, TrainError> {
    let mut correct = 0;
    for chunk in data.held_out.chunks(CHUNK) {
        let logits = forward(data.plain(shape, chunk)?)?;
        let found = (0..logits.n).map(|i| crate::loss::first_largest(logits.image(i)));
        let expected = chunk.iter().map(|&i| data.labels[i]);
        correct += found.zip(expected).filter(|(a, b)| a == b).count();
    }
    Ok(correct)
}
