//! A model from its bytes to a plan, without files: import, fold, measure, lower, emit.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use hecc_frontend::import::import_bytes;
use hecc_frontend::model_hash;
use hecc_ir::calibration::{
    ActivationStatistics, Agreement, BINS, Calibration, VERSION, ValueRange,
};
use hecc_ir::nn::{Graph, Op, ValueId};
use hecc_ir::nn_eval::{evaluate_observed, exact};
use hecc_ir::plan::{Plan, Preprocess};
use hecc_passes::report::Report;
use hecc_passes::{Folded, Options, fold_linear, lower};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tract_onnx::onnx;
use tract_onnx::prelude::*;

/// An imported model with its measurements.
#[derive(Clone, Debug)]
pub struct Model {
    /// As imported.
    pub graph: Graph,
    /// In normal form.
    pub folded: Folded,
    /// On the images of [`image`] with the seeds 0 to `images` - 1.
    pub calibration: Calibration,
}

impl Model {
    /// Imports, folds and measures on `images` images.
    ///
    /// # Errors
    /// When one of the steps refuses.
    pub fn new(bytes: &[u8], images: usize) -> Result<Self> {
        let graph = import_bytes("model.onnx", bytes)?;
        let folded = fold_linear(&graph)?;
        let calibration = calibrate(&folded.graph, images)?;
        Ok(Self {
            graph,
            folded,
            calibration,
        })
    }

    /// Elements of the image.
    pub fn elements(&self) -> usize {
        self.graph.nodes[self.graph.input].shape.elements()
    }

    /// The output of the imported graph in f32.
    ///
    /// # Errors
    /// When the image does not fit.
    pub fn evaluate(&self, image: &[f32]) -> Result<Vec<f32>> {
        let graph = &self.graph;
        Ok(hecc_ir::nn_eval::evaluate(graph, image, &mut exact(graph))?)
    }

    /// The plan, and what was chosen; the fastest one with, or without, bootstraps if that is asked for.
    ///
    /// # Errors
    /// When a pass or the backend refuses.
    pub fn compile(&self, options: &Options, bootstraps: Option<bool>) -> Result<(Plan, Report)> {
        let input = self.graph.nodes[self.graph.input].shape;
        let preprocess = Preprocess {
            mean: vec![0.5; input.c],
            std: vec![0.25; input.c],
            width: input.w,
            height: input.h,
            channels: input.c,
            classes: Vec::new(),
        };
        let constraints = &options.constraints;
        let mut accept = |lowered: hecc_passes::Lowered| {
            let report = lowered.report;
            if bootstraps.is_some_and(|with| with != lowered.parameters.bootstrap.is_some()) {
                return Err("the other kind was asked for".to_string());
            }
            hecc_backend::emit(
                lowered.program,
                lowered.parameters,
                constraints.security,
                constraints.allow_insecure,
                "model.onnx",
                preprocess.clone(),
                &options.costs,
            )
            .map(|plan| (plan, report))
            .map_err(|e| e.to_string())
        };
        let folded = &self.folded;
        Ok(lower(
            folded,
            &self.calibration,
            options,
            &mut |_, _| (),
            &mut accept,
        )?)
    }
}

/// A reproducible image, elements from -1 to 1.
pub fn image(elements: usize, seed: u64) -> Vec<f32> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    (0..elements)
        .map(|_| random.random_range(-1.0..1.0))
        .collect()
}

/// The output of an ONNX model by tract alone; `shape` is the image's, with its batch of 1.
///
/// # Errors
/// When tract refuses the model.
pub fn tract(bytes: &[u8], shape: &[usize], image: &[f32]) -> Result<Vec<f32>> {
    let model = onnx().model_for_read(&mut &bytes[..])?;
    let model = model.into_typed()?.into_runnable()?;
    let input = Tensor::from_shape(shape, image)?;
    let output = model.run(tvec!(input.into()))?;
    let logits = output[0].to_plain_array_view::<f32>()?;
    Ok(logits.iter().copied().collect())
}

/// Largest magnitude.
pub fn largest(values: &[f32]) -> f32 {
    values.iter().fold(0.0, |m, v| m.max(v.abs()))
}

/// What `hecc calibrate` measures, but for the agreement, on random images.
fn calibrate(graph: &Graph, images: usize) -> Result<Calibration> {
    let mut ranges: BTreeMap<ValueId, f32> = BTreeMap::new();
    let mut samples: BTreeMap<ValueId, Vec<f32>> = BTreeMap::new();
    let mut logits = 0.0f32;
    let elements = graph.nodes[graph.input].shape.elements();
    for seed in 0..images {
        let function = exact(graph);
        let mut record = |id: ValueId, x: &mut [f32]| {
            samples.entry(id).or_default().extend(&*x);
            function(id, x);
        };
        let mut observe = |id: ValueId, x: &[f32]| {
            let range = ranges.entry(id).or_default();
            *range = range.max(largest(x));
        };
        let image = image(elements, seed as u64);
        let output = evaluate_observed(graph, &image, &mut record, &mut observe)?;
        logits = logits.max(largest(&output));
    }
    let name = |id: &ValueId| graph.nodes[*id].name.clone();
    let is_activation = |id: &&ValueId| matches!(graph.nodes[**id].op, Op::Activation(_));
    let calibration = Calibration {
        version: VERSION,
        model: "model.onnx".to_string(),
        model_hash: model_hash(graph),
        images,
        activations: samples
            .keys()
            .filter(is_activation)
            .map(|id| statistics(&name(id), &samples[id]))
            .collect(),
        values: ranges
            .iter()
            .map(|(id, &largest)| ValueRange {
                name: name(id),
                largest: largest.into(),
            })
            .collect(),
        logits: logits.into(),
        agreement: vec![Agreement {
            degree: 15,
            same_class: 1.0,
        }],
    };
    calibration.validate().context("a calibration")?;
    Ok(calibration)
}

fn statistics(name: &str, samples: &[f32]) -> ActivationStatistics {
    let min = samples.iter().copied().fold(f32::INFINITY, f32::min);
    let max = samples.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let largest = max.abs().max(min.abs()).max(f32::MIN_POSITIVE);
    let mut histogram = vec![0; BINS];
    for v in samples {
        let bin = (0.5 * (v / largest + 1.0) * BINS as f32) as usize;
        histogram[bin.min(BINS - 1)] += 1;
    }
    ActivationStatistics {
        name: name.to_string(),
        min: min.into(),
        max: max.into(),
        histogram,
    }
}
