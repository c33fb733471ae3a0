//! Calibration on batches: the same numbers as `hecc calibrate` finds, image by image, on the way.

use crate::failure::Failure;
use crate::histogram::Histogram;
use crate::model_hash::model_hash;
use hecc_batch::{Batch, Network};
use hecc_ir::calibration::{Calibration, VERSION, ValueRange};
use hecc_ir::nn::{Graph, Op, ValueId};
use rayon::prelude::*;
use std::collections::BTreeMap;

/// Images evaluated at a time.
const BATCH: usize = 64;

/// What the images measure.
#[derive(Default)]
struct Measured {
    images: usize,
    histograms: BTreeMap<ValueId, Histogram>,
    values: BTreeMap<ValueId, f32>,
    logits: f32,
}

impl Measured {
    fn merge(&mut self, other: Self) {
        self.images += other.images;
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
    }
}

/// The calibration of a folded graph on `images`, `[c][h][w]` each, without the agreement by degree;
/// `name` is the model's. Images on which some value is not finite are left out, and counted beside it.
///
/// # Errors
/// When no image is left, or the network cannot be evaluated.
pub fn measure(
    graph: &Graph,
    name: &str,
    images: &[Vec<f32>],
) -> Result<(Calibration, usize), Failure> {
    let network = Network::new(graph)?;
    let mut measured = Measured::default();
    for chunk in images.chunks(BATCH) {
        let chunk: Vec<&[f32]> = chunk.iter().map(Vec::as_slice).collect();
        let (part, finite) = observe(graph, &network, &chunk);
        if finite.iter().all(|finite| *finite) {
            measured.merge(part);
            continue;
        }
        let kept: Vec<&[f32]> = chunk
            .iter()
            .zip(&finite)
            .filter_map(|(image, finite)| finite.then_some(*image))
            .collect();
        if !kept.is_empty() {
            measured.merge(observe(graph, &network, &kept).0);
        }
    }
    if measured.images == 0 {
        return Err(Failure::new(format!(
            "{name}: the model's values are not finite on any of the images"
        ))
        .help("check the images and the preprocessing"));
    }
    let divergent = images.len() - measured.images;
    let node = |id: &ValueId| graph.nodes[*id].name.clone();
    let calibration = Calibration {
        version: VERSION,
        model: name.to_string(),
        model_hash: model_hash(graph),
        images: measured.images,
        activations: measured
            .histograms
            .iter()
            .map(|(id, h)| h.statistics(&node(id)))
            .collect(),
        values: measured
            .values
            .iter()
            .map(|(id, &largest)| ValueRange {
                name: node(id),
                largest: largest.into(),
            })
            .collect(),
        // An all-zero network still divides by it.
        logits: f64::from(measured.logits).max(f64::MIN_POSITIVE.sqrt()),
        agreement: Vec::new(),
    };
    calibration
        .validate()
        .map_err(|e| Failure::new(e.to_string()))?;
    Ok((calibration, divergent))
}

/// One pass over a few images, and which of them are finite throughout.
fn observe(graph: &Graph, network: &Network, images: &[&[f32]]) -> (Measured, Vec<bool>) {
    let batch = Batch::from_images(graph.nodes[graph.input].shape, images);
    let mut operands: BTreeMap<ValueId, Vec<ValueId>> = BTreeMap::new();
    for id in graph.nodes.node_indices() {
        if matches!(graph.nodes[id].op, Op::Activation(_)) {
            for operand in graph.operands(id) {
                operands.entry(operand).or_default().push(id);
            }
        }
    }
    let mut measured = Measured {
        images: images.len(),
        ..Measured::default()
    };
    let mut finite = vec![true; images.len()];
    let logits = network.observe(&batch, &mut |id, value| {
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
        measured
            .values
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
            measured.histograms.insert(*activation, histogram);
        }
    });
    measured.logits = logits.data.iter().fold(0.0, |m, l| m.max(l.abs()));
    (measured, finite)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;
    use hecc_ir::function::Function;
    use hecc_passes::fold_linear;

    /// Against image-by-image evaluation.
    #[test]
    fn measures_as_calibrate_does() {
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
