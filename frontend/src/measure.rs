//! One pass over images: what enters every activation, how large every value gets, and the classes.

use crate::failure::Failure;
use crate::model_hash::model_hash;
use hecc_batch::{Batch, Network};
use hecc_ir::calibration::{Calibration, VERSION, ValueRange};
use hecc_ir::histogram::Histogram;
use hecc_ir::nn::{Graph, Op, ValueId};
use hecc_ir::nn_eval::class;
use rayon::prelude::*;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Most images evaluated at a time.
const BATCH: usize = 64;
/// Bytes that the widest value of the images evaluated at a time may take; a few values live at once.
const BATCH_BYTES: usize = 256 << 20;

/// Gives an image, `[c][h][w]`, of the graph's input shape, by its place.
pub type Read<'a> = dyn Fn(usize) -> Result<Cow<'a, [f32]>, Failure> + Sync + 'a;

/// What images measure. Those on which some value is not finite are left out.
pub struct Measured {
    /// Without the agreement by degree.
    pub calibration: Calibration,
    /// Class of every image that counts, by its place.
    pub classes: BTreeMap<usize, usize>,
}

/// The calibration of a folded graph on `images`, `[c][h][w]` each, without the agreement by degree;
/// `name` is the model's. Beside it the number of images left out.
///
/// # Errors
/// As [`measure_read`].
pub fn measure(
    graph: &Graph,
    name: &str,
    images: &[Vec<f32>],
) -> Result<(Calibration, usize), Failure> {
    let read = |place: usize| Ok(Cow::Borrowed(images[place].as_slice()));
    let measured = measure_read(graph, name, images.len(), &read, &mut |_| ())?;
    let divergent = images.len() - measured.classes.len();
    Ok((measured.calibration, divergent))
}

/// Measures the images at the places below `count`, reading few at a time; `done` gets the number of
/// those just measured.
///
/// # Errors
/// When an image cannot be read, none is left, or the network cannot be evaluated.
pub fn measure_read(
    graph: &Graph,
    name: &str,
    count: usize,
    read: &Read<'_>,
    done: &mut dyn FnMut(u64),
) -> Result<Measured, Failure> {
    let network = Network::new(graph)?;
    let places: Vec<usize> = (0..count).collect();
    let mut sums = Sums::default();
    for places in places.chunks(at_once(graph)) {
        let (part, finite) = observe(graph, &network, places, &batch(graph, places, read)?);
        done(places.len() as u64);
        if finite.iter().all(|finite| *finite) {
            sums.merge(part);
            continue;
        }
        let finite = places.iter().zip(&finite).filter(|(_, finite)| **finite);
        let kept: Vec<usize> = finite.map(|(place, _)| *place).collect();
        if !kept.is_empty() {
            let images = batch(graph, &kept, read)?;
            sums.merge(observe(graph, &network, &kept, &images).0);
        }
    }
    if sums.classes.is_empty() {
        return Err(Failure::new(format!(
            "{name}: the model's values are not finite on any of the images"
        ))
        .help("check the images and the preprocessing"));
    }
    let node = |id: &ValueId| graph.nodes[*id].name.clone();
    let calibration = Calibration {
        version: VERSION,
        model: name.to_string(),
        model_hash: model_hash(graph),
        images: sums.classes.len(),
        activations: sums
            .histograms
            .iter()
            .map(|(id, h)| h.statistics(&node(id)))
            .collect(),
        values: sums
            .values
            .iter()
            .map(|(id, &largest)| ValueRange {
                name: node(id),
                largest: largest.into(),
            })
            .collect(),
        // An all-zero network still divides by it.
        logits: f64::from(sums.logits).max(f64::MIN_POSITIVE.sqrt()),
        agreement: Vec::new(),
    };
    calibration
        .validate()
        .map_err(|e| Failure::new(e.to_string()))?;
    Ok(Measured {
        calibration,
        classes: sums.classes,
    })
}

/// How many images of a graph are evaluated at a time.
pub fn at_once(graph: &Graph) -> usize {
    let elements = graph.nodes.node_weights().map(|n| n.shape.elements());
    let bytes = size_of::<f32>() * elements.max().unwrap_or(1).max(1);
    (BATCH_BYTES / bytes).clamp(1, BATCH)
}

/// The images at some places.
///
/// # Errors
/// When one cannot be read.
pub fn batch(graph: &Graph, places: &[usize], read: &Read<'_>) -> Result<Batch, Failure> {
    let images: Vec<Cow<'_, [f32]>> = places
        .par_iter()
        .map(|&place| read(place))
        .collect::<Result<_, _>>()?;
    let images: Vec<&[f32]> = images.iter().map(AsRef::as_ref).collect();
    Ok(Batch::from_images(graph.nodes[graph.input].shape, &images))
}

/// Of some images.
#[derive(Default)]
struct Sums {
    histograms: BTreeMap<ValueId, Histogram>,
    values: BTreeMap<ValueId, f32>,
    logits: f32,
    classes: BTreeMap<usize, usize>,
}

impl Sums {
    fn merge(&mut self, other: Self) {
        for (id, histogram) in other.histograms {
            let ours = self.histograms.remove(&id);
            let both = match ours {
                Some(ours) => ours.merge(histogram),
                None => histogram,
            };
            self.histograms.insert(id, both);
        }
        for (id, largest) in other.values {
            let ours = self.values.entry(id).or_default();
            *ours = ours.max(largest);
        }
        self.logits = self.logits.max(other.logits);
        self.classes.extend(other.classes);
    }
}

/// One pass over the images of some places, and which of them are finite throughout.
fn observe(
    graph: &Graph,
    network: &Network,
    places: &[usize],
    images: &Batch,
) -> (Sums, Vec<bool>) {
    let mut operands: BTreeMap<ValueId, Vec<ValueId>> = BTreeMap::new();
    for id in graph.nodes.node_indices() {
        if matches!(graph.nodes[id].op, Op::Activation(_)) {
            for operand in graph.operands(id) {
                operands.entry(operand).or_default().push(id);
            }
        }
    }
    let mut sums = Sums::default();
    let mut finite = vec![true; places.len()];
    let logits = network.observe(images, &mut |id, value| {
        let elements = value.shape.elements().max(1);
        let largest: Vec<(f32, bool)> = value
            .data
            .par_chunks(elements)
            .map(|image| {
                let largest = image.iter().fold(0.0f32, |m, v| m.max(v.abs()));
                (largest, image.iter().all(|v| v.is_finite()))
            })
            .collect();
        for (finite, (_, now)) in finite.iter_mut().zip(&largest) {
            *finite &= now;
        }
        sums.values
            .insert(id, largest.iter().fold(0.0, |m, (l, _)| m.max(*l)));
        for activation in operands.get(&id).into_iter().flatten() {
            let add = |mut h: Histogram, image: &[f32]| {
                // Of an image that is not finite nothing is counted; it is found above.
                h.add(image);
                h
            };
            let histogram = value
                .data
                .par_chunks(elements)
                .fold(Histogram::default, add)
                .reduce(Histogram::default, Histogram::merge);
            sums.histograms.insert(*activation, histogram);
        }
    });
    sums.logits = logits.data.iter().fold(0.0, |m, l| m.max(l.abs()));
    let classes = (0..places.len()).map(|i| class(&logits.channels_first(i)));
    sums.classes = places.iter().copied().zip(classes).collect();
    (sums, finite)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;
    use hecc_ir::function::Function;
    use hecc_passes::fold_linear;

    #[test]
    fn measures_as_image_by_image() {
        for graph in [sample::residual(Function::Relu), sample::products()] {
            let graph = fold_linear(&graph).unwrap().graph;
            let images = sample::images(&graph, 8);
            let (got, divergent) = measure(&graph, "sample.onnx", &images).unwrap();
            let expect = sample::calibrated(&graph);
            assert_eq!((got.images, divergent), (8, 0));
            assert_eq!(got.model_hash, expect.model_hash);
            let close = |a: f64, b: f64| (a - b).abs() < 1e-4 * (1.0 + b.abs());
            assert_eq!(got.values.len(), expect.values.len());
            for (a, b) in got.values.iter().zip(&expect.values) {
                assert!(
                    a.name == b.name && close(a.largest, b.largest),
                    "{a:?} {b:?}"
                );
            }
            assert_eq!(got.activations.len(), expect.activations.len());
            for (a, b) in got.activations.iter().zip(&expect.activations) {
                assert!(a.name == b.name && close(a.min, b.min) && close(a.max, b.max));
                let total = |h: &[u64]| h.iter().sum::<u64>();
                assert_eq!(total(&a.histogram), total(&b.histogram));
            }
            assert!(close(got.logits, expect.logits));
        }
    }

    #[test]
    fn images_that_diverge_are_left_out() {
        let graph = fold_linear(&sample::residual(Function::Relu))
            .unwrap()
            .graph;
        let mut images = sample::images(&graph, 8);
        let (expect, _) = measure(&graph, "m", &images).unwrap();
        images.insert(3, vec![f32::MAX; images[0].len()]);
        let (got, divergent) = measure(&graph, "m", &images).unwrap();
        assert_eq!((got, divergent), (expect, 1));
        let all = vec![vec![f32::MAX; images[0].len()]; 2];
        assert!(
            measure(&graph, "m", &all)
                .unwrap_err()
                .what
                .contains("not finite")
        );
    }
}
