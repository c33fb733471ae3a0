//! Small networks with pseudo-random weights, built by hand.
#![allow(dead_code, reason = "each test file uses its share")]

use std::cell::RefCell;
use std::collections::BTreeMap;

use hecc_ir::calibration::{ActivationStatistics, Agreement, BINS, Calibration, VERSION};
use hecc_ir::kernel;
use hecc_ir::nn::{Graph, Linear, Op, Shape, ValueId};
use petgraph::visit::Topo;

/// Deterministic numbers in [-1, 1).
pub struct Numbers(u64);

impl Numbers {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self) -> f32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }

    pub fn vec(&mut self, n: usize, size: f32) -> Vec<f32> {
        (0..n).map(|_| size * self.next()).collect()
    }
}

/// How a network is written down; the network is the same.
#[derive(Clone, Copy, PartialEq)]
pub enum Style {
    /// BatchNormalization folded into the convolutions.
    Folded,
    /// BatchNormalization kept as `Affine`.
    Kept,
    /// Folded, with superfluous reshapes, split slices and swapped additions.
    Raw,
}

/// Builds a network operator by operator.
pub struct Builder {
    pub graph: Graph,
    pub style: Style,
    numbers: Numbers,
    count: usize,
}

impl Builder {
    pub fn new(shape: Shape, style: Style, seed: u64) -> Self {
        Self {
            graph: Graph::new("image", shape),
            style,
            numbers: Numbers::new(seed),
            count: 0,
        }
    }

    pub fn shape(&self, x: ValueId) -> Shape {
        self.graph.nodes[x].shape
    }

    fn name(&mut self, kind: &str) -> String {
        self.count += 1;
        match self.style {
            Style::Folded => format!("{kind}_{}", self.count),
            Style::Kept => format!("net/{kind}.{}", self.count),
            Style::Raw => format!("{}", self.count),
        }
    }

    pub fn linear(&mut self, x: ValueId, linear: Linear, shape: Shape) -> ValueId {
        let name = self.name("linear");
        self.graph.push(Op::Linear(linear), &name, shape, &[x])
    }

    /// 3x3 convolution with padding 1, then batch normalisation.
    pub fn conv_bn(&mut self, x: ValueId, out: usize, stride: usize) -> ValueId {
        let input = self.shape(x);
        let shape = Shape::new(out, (input.h - 1) / stride + 1, (input.w - 1) / stride + 1);
        let size = (2.0 / (9 * input.c) as f32).sqrt() * 1.7;
        let mut weight = self.numbers.vec(out * input.c * 9, size);
        let scale: Vec<f32> = self.numbers.vec(out, 0.4).iter().map(|s| s + 1.0).collect();
        let shift = self.numbers.vec(out, 0.3);
        let mut bias = vec![0.0; out];
        if self.style != Style::Kept {
            for (row, s) in weight.chunks_mut(input.c * 9).zip(&scale) {
                row.iter_mut().for_each(|w| *w *= s);
            }
            bias.clone_from(&shift);
        }
        let conv = Linear::Conv {
            weight,
            bias,
            out_channels: out,
            kernel: [3, 3],
            stride: [stride, stride],
            pads: [1; 4],
            dilation: [1, 1],
            groups: 1,
        };
        let y = self.linear(x, conv, shape);
        if self.style == Style::Kept {
            return self.linear(y, Linear::Affine { scale, shift }, shape);
        }
        y
    }

    pub fn relu(&mut self, x: ValueId) -> ValueId {
        let (name, shape) = (self.name("relu"), self.shape(x));
        self.graph.push(Op::Relu, &name, shape, &[x])
    }

    pub fn add(&mut self, x: ValueId, y: ValueId) -> ValueId {
        let (name, shape) = (self.name("add"), self.shape(x));
        let operands = if self.style == Style::Raw {
            [y, x]
        } else {
            [x, y]
        };
        self.graph.push(Op::Add, &name, shape, &operands)
    }

    /// Every second row and column; channels padded on both sides.
    pub fn shortcut(&mut self, x: ValueId) -> ValueId {
        let s = self.shape(x);
        let half = Shape::new(s.c, s.h.div_ceil(2), s.w.div_ceil(2));
        let mut y = x;
        if self.style == Style::Raw {
            let rows = Shape::new(s.c, half.h, s.w);
            y = self.linear(
                y,
                Linear::Slice {
                    start: [0; 3],
                    step: [1, 2, 1],
                    shape: rows,
                },
                rows,
            );
            y = self.linear(
                y,
                Linear::Slice {
                    start: [0; 3],
                    step: [1, 1, 2],
                    shape: half,
                },
                half,
            );
        } else {
            y = self.linear(
                y,
                Linear::Slice {
                    start: [0; 3],
                    step: [1, 2, 2],
                    shape: half,
                },
                half,
            );
        }
        let pad = s.c / 2;
        self.linear(
            y,
            Linear::Pad {
                before: [pad, 0, 0],
                after: [pad, 0, 0],
            },
            Shape::new(2 * s.c, half.h, half.w),
        )
    }

    /// Basic residual block.
    pub fn block(&mut self, x: ValueId, out: usize, stride: usize) -> ValueId {
        let y = self.conv_bn(x, out, stride);
        let y = self.relu(y);
        let y = self.conv_bn(y, out, 1);
        let skip = if stride == 1 { x } else { self.shortcut(x) };
        let sum = self.add(y, skip);
        self.relu(sum)
    }

    /// Global average pool and a dense layer.
    pub fn head(mut self, x: ValueId, classes: usize) -> Graph {
        let s = self.shape(x);
        let y = self.linear(
            x,
            Linear::AveragePool {
                kernel: [s.h, s.w],
                stride: [s.h, s.w],
            },
            Shape::new(s.c, 1, 1),
        );
        let flat = Shape::new(s.c, 1, 1);
        let y = if self.style == Style::Raw {
            self.linear(y, Linear::Reshape { shape: flat }, flat)
        } else {
            y
        };
        let weight = self.numbers.vec(classes * s.c, 0.5);
        let bias = self.numbers.vec(classes, 0.1);
        self.graph.output = self.linear(
            y,
            Linear::Gemm {
                weight,
                bias,
                rows: classes,
            },
            Shape::new(classes, 1, 1),
        );
        self.graph
    }
}

/// ResNet of depth 6n + 2 for `3 x size x size` images, `width` channels in the first stage.
pub fn resnet(style: Style, n: usize, width: usize, size: usize) -> Graph {
    let mut b = Builder::new(Shape::new(3, size, size), style, 7);
    let x = b.graph.input;
    let x = b.conv_bn(x, width, 1);
    let mut x = b.relu(x);
    for stage in 0..3 {
        for block in 0..n {
            let stride = if stage > 0 && block == 0 { 2 } else { 1 };
            x = b.block(x, width << stage, stride);
        }
    }
    b.head(x, 10)
}

/// The shape of the shipped digits network: conv, strided conv, residual conv, dense layer.
pub fn digits(style: Style) -> Graph {
    let mut b = Builder::new(Shape::new(1, 8, 8), style, 3);
    let x = b.graph.input;
    let x = b.conv_bn(x, 4, 1);
    let x = b.relu(x);
    let x = b.conv_bn(x, 8, 2);
    let x = b.relu(x);
    let y = b.conv_bn(x, 8, 1);
    let y = b.add(y, x);
    let y = b.relu(y);
    b.head(y, 10)
}

/// The graph on an image, in f64; `activate` gets the name of the node and the value.
pub fn evaluate(graph: &Graph, image: &[f64], activate: impl Fn(&str, f64) -> f64) -> Vec<f64> {
    let mut values: BTreeMap<ValueId, Vec<f64>> = BTreeMap::new();
    let mut walk = Topo::new(&graph.nodes);
    while let Some(id) = walk.next(&graph.nodes) {
        let node = &graph.nodes[id];
        let operands = graph.operands(id);
        let operand = |i: usize| &values[&operands[i]];
        let value = match &node.op {
            Op::Input => image.to_vec(),
            Op::Linear(linear) => {
                let input = graph.nodes[operands[0]].shape;
                kernel::apply(linear, input, node.shape, operand(0), true)
            }
            Op::Add => operand(0)
                .iter()
                .zip(operand(1))
                .map(|(a, b)| a + b)
                .collect(),
            Op::Relu => operand(0)
                .iter()
                .map(|&v| activate(&node.name, v))
                .collect(),
        };
        values.insert(id, value);
    }
    values.remove(&graph.output).unwrap()
}

/// A calibration of `graph` on pseudo-random images.
pub fn calibrate(graph: &Graph, images: usize) -> Calibration {
    let elements = graph.nodes[graph.input].shape.elements();
    let seen = RefCell::new(BTreeMap::<String, Vec<f64>>::new());
    let mut logits = 0.0f64;
    for i in 0..images {
        let outputs = evaluate(graph, &image(i as u64, elements), |name, v| {
            seen.borrow_mut()
                .entry(name.to_string())
                .or_default()
                .push(v);
            v.max(0.0)
        });
        logits = outputs.iter().fold(logits, |m, v| m.max(v.abs()));
    }
    let activations = seen.into_inner().into_iter().map(|(name, values)| {
        let min = values.iter().copied().fold(f64::INFINITY, f64::min);
        let max = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let largest = max.abs().max(min.abs());
        let mut histogram = vec![0; BINS];
        for v in values {
            let bin = (0.5 * (v / largest + 1.0) * BINS as f64) as usize;
            histogram[bin.min(BINS - 1)] += 1;
        }
        ActivationStatistics {
            name,
            min,
            max,
            histogram,
        }
    });
    Calibration {
        version: VERSION,
        model: "test.onnx".to_string(),
        model_hash: "0".repeat(64),
        images,
        activations: activations.collect(),
        logits,
        agreement: vec![Agreement {
            degree: 15,
            same_class: 0.99,
        }],
    }
}

/// A pseudo-random image.
pub fn image(seed: u64, elements: usize) -> Vec<f64> {
    let values = Numbers::new(seed + 1000).vec(elements, 1.5);
    values.into_iter().map(f64::from).collect()
}
