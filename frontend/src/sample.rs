//! Small random networks and their plans, for tests.

use crate::model_hash::model_hash;
use hecc_ir::calibration::{ActivationStatistics, Agreement, Calibration, VERSION, ValueRange};
use hecc_ir::function::Function;
use hecc_ir::histogram::Histogram;
use hecc_ir::nn::{Graph, Linear, Op, Shape, ValueId, Window};
use hecc_ir::nn_eval::{evaluate_observed, exact};
use hecc_ir::plan::{Plan, Preprocess};
use hecc_passes::choose_parameters::Constraints;
use hecc_passes::{Folded, Options, Ways, fold_linear, lower};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;

/// Writes networks with random weights.
pub struct Builder {
    pub graph: Graph,
    random: ChaCha8Rng,
}

impl Builder {
    pub fn new(seed: u64) -> Self {
        Self {
            graph: Graph::new("image", Shape::new(3, 8, 8)),
            random: ChaCha8Rng::seed_from_u64(seed),
        }
    }

    fn floats(&mut self, n: usize, size: f32) -> Vec<f32> {
        (0..n)
            .map(|_| self.random.random_range(-size..size))
            .collect()
    }

    pub fn linear(&mut self, x: ValueId, linear: Linear) -> ValueId {
        let shape = linear.output_shape(self.graph.nodes[x].shape).unwrap();
        self.graph.push(Op::Linear(linear), "linear", shape, &[x])
    }

    pub fn conv(&mut self, x: ValueId, out: usize, stride: usize) -> ValueId {
        let input = self.graph.nodes[x].shape.c;
        let conv = Linear::Conv {
            weight: self.floats(out * input * 9, 0.3),
            bias: self.floats(out, 0.2),
            out_channels: out,
            window: Window::same(3, stride),
        };
        self.linear(x, conv)
    }

    pub fn function(&mut self, x: ValueId, function: Function) -> ValueId {
        let shape = self.graph.nodes[x].shape;
        self.graph
            .push(Op::Activation(function), "function", shape, &[x])
    }

    pub fn binary(&mut self, op: Op, x: ValueId, y: ValueId) -> ValueId {
        let shape = self.graph.nodes[x].shape;
        self.graph.push(op, "binary", shape, &[x, y])
    }

    /// Mean over the image, then five logits.
    pub fn head(mut self, x: ValueId) -> Graph {
        let Shape { c, h, w } = self.graph.nodes[x].shape;
        let (kernel, stride) = ([h, w], [1; 2]);
        let mean = self.linear(x, Linear::AveragePool { kernel, stride });
        let gemm = Linear::Gemm {
            weight: self.floats(5 * c, 1.0),
            bias: self.floats(5, 0.1),
            rows: 5,
        };
        self.graph.output = self.linear(mean, gemm);
        self.graph
    }
}

/// A residual block between two convolutions.
pub fn residual(function: Function) -> Graph {
    let mut b = Builder::new(1);
    let x = b.conv(ValueId::new(0), 4, 1);
    let x = b.function(x, function.clone());
    let y = b.conv(x, 4, 1);
    let y = b.function(y, function.clone());
    let y = b.conv(y, 4, 1);
    let sum = b.binary(Op::Add, y, x);
    let x = b.function(sum, function);
    b.head(x)
}

/// A product of two branches, a square, moved elements.
pub fn products() -> Graph {
    let mut b = Builder::new(2);
    let x = b.conv(ValueId::new(0), 4, 2);
    let x = b.function(x, Function::Power { exponent: 2 });
    let (y, z) = (b.conv(x, 4, 1), b.conv(x, 4, 1));
    let turned = (0..64)
        .map(|i| (i / 16 * 16 + i % 4 * 4 + i % 16 / 4) as u32)
        .collect();
    let shape = Shape::new(4, 4, 4);
    let z = b.linear(
        z,
        Linear::Gather {
            shape,
            source: turned,
        },
    );
    let x = b.binary(Op::Mul, y, z);
    b.head(x)
}

/// Random images of a graph's input.
pub fn images(graph: &Graph, count: usize) -> Vec<Vec<f32>> {
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let n = graph.nodes[graph.input].shape.elements();
    let image = |_| (0..n).map(|_| random.random_range(-1.0..1.0)).collect();
    (0..count).map(image).collect()
}

/// What random images measure.
pub fn calibrated(graph: &Graph) -> Calibration {
    let mut histograms: BTreeMap<ValueId, Histogram> = BTreeMap::new();
    let mut values: BTreeMap<ValueId, f32> = BTreeMap::new();
    let function = exact(graph);
    let mut logits = 0.0f32;
    for image in images(graph, 8) {
        let mut record = |id: ValueId, x: &mut [f32]| {
            histograms.entry(id).or_default().add(x);
            function(id, x);
        };
        let mut observe = |id: ValueId, x: &[f32]| {
            let largest = values.entry(id).or_default();
            *largest = x.iter().fold(*largest, |m, v| m.max(v.abs()));
        };
        let output = evaluate_observed(graph, &image, &mut record, &mut observe).unwrap();
        logits = output.iter().fold(logits, |m, v| m.max(v.abs()));
    }
    let name = |id: &ValueId| graph.nodes[*id].name.clone();
    let activations: Vec<ActivationStatistics> = histograms
        .iter()
        .map(|(id, h)| h.statistics(&name(id)))
        .collect();
    let range = |(id, &largest): (&ValueId, &f32)| ValueRange {
        name: name(id),
        largest: largest.into(),
    };
    Calibration {
        version: VERSION,
        model: "sample.onnx".to_string(),
        model_hash: model_hash(graph),
        images: 8,
        activations,
        values: values.iter().map(range).collect(),
        logits: logits.into(),
        agreement: vec![Agreement {
            degree: 15,
            same_class: 1.0,
        }],
    }
}

/// The plan of a network on a ring that is too small to be safe.
pub fn plan(graph: &Graph, ways: Ways) -> Plan {
    let folded = fold_linear(graph).unwrap();
    let calibration = calibrated(&folded.graph);
    compiled(&folded, &calibration, ways)
}

/// The same with a calibration.
pub fn compiled(folded: &Folded, calibration: &Calibration, ways: Ways) -> Plan {
    let options = Options {
        degree: Some(15),
        ways,
        constraints: Constraints {
            ring: Some(11),
            security: 128,
            precision: 20,
            allow_insecure: true,
        },
        ..Options::default()
    };
    let shape = folded.graph.nodes[folded.graph.input].shape;
    let preprocess = Preprocess {
        mean: vec![0.0; shape.c],
        std: vec![1.0; shape.c],
        width: shape.w,
        height: shape.h,
        channels: shape.c,
        classes: Vec::new(),
    };
    let mut accept = |lowered: hecc_passes::Lowered| {
        let (program, parameters) = (lowered.program, lowered.parameters);
        let name = &calibration.model;
        hecc_backend::emit(
            program,
            parameters,
            128,
            true,
            name,
            preprocess.clone(),
            &options.costs,
        )
        .map_err(|e| e.to_string())
    };
    lower(folded, calibration, &options, &mut |_, _| (), &mut accept).unwrap()
}
