//! Small networks with pseudo-random weights, built by hand.
#![allow(dead_code, reason = "each test file uses its share")]

use std::cell::RefCell;
use std::collections::BTreeMap;

use hecc_ir::calibration::{
    ActivationStatistics, Agreement, BINS, Calibration, VERSION, ValueRange,
};
use hecc_ir::function::Function;
use hecc_ir::kernel;
use hecc_ir::nn::{Graph, Linear, Op, Shape, ValueId, Window};
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
            window: Window::same(3, stride),
        };
        let y = self.linear(x, conv, shape);
        if self.style == Style::Kept {
            return self.linear(y, Linear::Affine { scale, shift }, shape);
        }
        y
    }

    /// Square kernel, any groups; without batch normalisation.
    pub fn conv(
        &mut self,
        x: ValueId,
        out: usize,
        [kernel, stride, pad, groups]: [usize; 4],
    ) -> ValueId {
        let input = self.shape(x);
        let fan = input.c / groups * kernel * kernel;
        let size = (2.0 / fan as f32).sqrt() * 1.7;
        let conv = Linear::Conv {
            weight: self.numbers.vec(out * fan, size),
            bias: self.numbers.vec(out, 0.3),
            out_channels: out,
            window: Window {
                kernel: [kernel; 2],
                stride: [stride; 2],
                pads: [pad; 4],
                dilation: [1; 2],
                groups,
            },
        };
        self.derived(x, conv)
    }

    /// Transposed convolution that doubles rows and columns.
    pub fn conv_transpose(&mut self, x: ValueId, out: usize, groups: usize) -> ValueId {
        let input = self.shape(x);
        let conv = Linear::ConvTranspose {
            weight: self.numbers.vec(input.c * out / groups * 9, 0.4),
            bias: self.numbers.vec(out, 0.3),
            out_channels: out,
            window: Window {
                groups,
                ..Window::same(3, 2)
            },
            output_padding: [1; 2],
        };
        self.derived(x, conv)
    }

    /// A linear operator with the shape that follows.
    pub fn derived(&mut self, x: ValueId, linear: Linear) -> ValueId {
        let shape = linear.output_shape(self.shape(x)).unwrap();
        self.linear(x, linear, shape)
    }

    /// Per-channel scale around 1, and shift.
    pub fn batch_norm(&mut self, x: ValueId) -> ValueId {
        let c = self.shape(x).c;
        let scale = self.numbers.vec(c, 0.4).iter().map(|s| s + 1.0).collect();
        let shift = self.numbers.vec(c, 0.3);
        self.derived(x, Linear::Affine { scale, shift })
    }

    /// Per-element scale around 1, and shift.
    pub fn elementwise(&mut self, x: ValueId) -> ValueId {
        let n = self.shape(x).elements();
        let scale = self.numbers.vec(n, 0.4).iter().map(|s| s + 1.0).collect();
        let shift = self.numbers.vec(n, 0.3);
        self.derived(x, Linear::Elementwise { scale, shift })
    }

    pub fn pool(&mut self, x: ValueId, size: [usize; 2]) -> ValueId {
        self.derived(
            x,
            Linear::AveragePool {
                kernel: size,
                stride: size,
            },
        )
    }

    pub fn gemm(&mut self, x: ValueId, rows: usize) -> ValueId {
        let n = self.shape(x).elements();
        let size = (2.0 / n as f32).sqrt() * 1.7;
        let gemm = Linear::Gemm {
            weight: self.numbers.vec(rows * n, size),
            bias: self.numbers.vec(rows, 0.1),
            rows,
        };
        self.derived(x, gemm)
    }

    /// Channels of `x`, then those of `y`.
    pub fn concat(&mut self, x: ValueId, y: ValueId) -> ValueId {
        let (a, b) = (self.shape(x).c, self.shape(y).c);
        let pad = |before, after| Linear::Pad {
            before: [before, 0, 0],
            after: [after, 0, 0],
        };
        let x = self.derived(x, pad(0, b));
        let y = self.derived(y, pad(a, 0));
        self.add(x, y)
    }

    /// Every element `times` times along rows and columns.
    pub fn resize(&mut self, x: ValueId, times: [usize; 2]) -> ValueId {
        let s = self.shape(x);
        let shape = Shape::new(s.c, s.h * times[0], s.w * times[1]);
        let at = |i: usize| {
            let (c, rest) = (i / (shape.h * shape.w), i % (shape.h * shape.w));
            s.index(c, rest / shape.w / times[0], rest % shape.w / times[1]) as u32
        };
        let source = (0..shape.elements()).map(at).collect();
        self.derived(x, Linear::Gather { shape, source })
    }

    /// Axes in the order columns, channels, rows.
    pub fn transpose(&mut self, x: ValueId) -> ValueId {
        let s = self.shape(x);
        let shape = Shape::new(s.w, s.c, s.h);
        let at = |i: usize| {
            let (x, rest) = (i / (s.c * s.h), i % (s.c * s.h));
            s.index(rest / s.h, rest % s.h, x) as u32
        };
        let source = (0..shape.elements()).map(at).collect();
        self.derived(x, Linear::Gather { shape, source })
    }

    /// Squeeze and excitation: `x` times a factor per channel that the means of all channels decide.
    pub fn squeeze_excite(&mut self, x: ValueId, inner: usize) -> ValueId {
        let s = self.shape(x);
        let y = self.pool(x, [s.h, s.w]);
        let y = self.conv(y, inner, [1, 1, 0, 1]);
        let y = self.relu(y);
        let y = self.conv(y, s.c, [1, 1, 0, 1]);
        let y = self.activation(y, Function::Sigmoid);
        let y = self.resize(y, [s.h, s.w]);
        self.mul(x, y)
    }

    pub fn relu(&mut self, x: ValueId) -> ValueId {
        self.activation(x, Function::Relu)
    }

    pub fn activation(&mut self, x: ValueId, function: Function) -> ValueId {
        let (name, shape) = (self.name(function.name()), self.shape(x));
        self.graph
            .push(Op::Activation(function), &name, shape, &[x])
    }

    pub fn mul(&mut self, x: ValueId, y: ValueId) -> ValueId {
        let (name, shape) = (self.name("mul"), self.shape(x));
        let operands = if self.style == Style::Raw {
            [y, x]
        } else {
            [x, y]
        };
        self.graph.push(Op::Mul, &name, shape, &operands)
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

/// The graph on an image, in f64; `activate` gets the name of the node, its function, the channel and
/// the value. All values by node.
pub fn evaluate_all(
    graph: &Graph,
    image: &[f64],
    activate: impl Fn(&str, &Function, usize, f64) -> f64,
) -> BTreeMap<ValueId, Vec<f64>> {
    let mut values: BTreeMap<ValueId, Vec<f64>> = BTreeMap::new();
    let mut walk = Topo::new(&graph.nodes);
    while let Some(id) = walk.next(&graph.nodes) {
        let node = &graph.nodes[id];
        let operands = graph.operands(id);
        let operand = |i: usize| &values[&operands[i]];
        let both = || operand(0).iter().zip(operand(1));
        let value = match &node.op {
            Op::Input => image.to_vec(),
            Op::Linear(linear) => {
                let input = graph.nodes[operands[0]].shape;
                kernel::apply(linear, input, node.shape, operand(0), true)
            }
            Op::Add => both().map(|(a, b)| a + b).collect(),
            Op::Mul => both().map(|(a, b)| a * b).collect(),
            Op::Activation(function) => {
                let plane = node.shape.h * node.shape.w;
                let at = |(i, &v): (usize, &f64)| activate(&node.name, function, i / plane, v);
                operand(0).iter().enumerate().map(at).collect()
            }
        };
        values.insert(id, value);
    }
    values
}

/// The output alone.
pub fn evaluate(
    graph: &Graph,
    image: &[f64],
    activate: impl Fn(&str, &Function, usize, f64) -> f64,
) -> Vec<f64> {
    let mut values = evaluate_all(graph, image, activate);
    values.remove(&graph.output).unwrap()
}

/// The network itself.
pub fn exact(_: &str, function: &Function, channel: usize, v: f64) -> f64 {
    function.apply(channel, v)
}

/// A calibration of `graph` on pseudo-random images.
pub fn calibrate(graph: &Graph, images: usize) -> Calibration {
    let elements = graph.nodes[graph.input].shape.elements();
    let seen = RefCell::new(BTreeMap::<String, Vec<f64>>::new());
    let mut logits = 0.0f64;
    let mut largest = BTreeMap::<ValueId, f64>::new();
    let size = |values: &[f64]| values.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    for i in 0..images {
        let values = evaluate_all(
            graph,
            &image(i as u64, elements),
            |name, function, channel, v| {
                seen.borrow_mut()
                    .entry(name.to_string())
                    .or_default()
                    .push(v);
                function.apply(channel, v)
            },
        );
        logits = logits.max(size(&values[&graph.output]));
        for (id, value) in values {
            let entry = largest.entry(id).or_default();
            *entry = entry.max(size(&value));
        }
    }
    let values = largest.into_iter().map(|(id, largest)| ValueRange {
        name: graph.nodes[id].name.clone(),
        largest,
    });
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
        values: values.collect(),
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

/// MobileNetV2-like: inverted residual blocks with squeeze-and-excitation in the middle one.
pub fn mobile(style: Style, size: usize, width: usize) -> Graph {
    let mut b = Builder::new(Shape::new(3, size, size), style, 11);
    let relu6 = || Function::Clip { min: 0.0, max: 6.0 };
    let x = b.conv_bn(b.graph.input, width, 2);
    let mut x = b.activation(x, relu6());
    for (block, (out, stride)) in [(width, 1), (width, 1), (2 * width, 2), (2 * width, 1)]
        .into_iter()
        .enumerate()
    {
        let input = b.shape(x).c;
        let y = b.conv(x, 4 * input, [1, 1, 0, 1]);
        let y = b.activation(y, relu6());
        let y = b.conv(y, 4 * input, [3, stride, 1, 4 * input]);
        let y = b.activation(y, relu6());
        let y = if block == 1 {
            b.squeeze_excite(y, 4)
        } else {
            y
        };
        let y = b.conv(y, out, [1, 1, 0, 1]);
        let y = b.batch_norm(y);
        x = if stride == 1 && out == input {
            b.add(x, y)
        } else {
            y
        };
    }
    b.head(x, 10)
}

/// DenseNet-like: every layer reads the channels of all before it.
pub fn dense(style: Style, layers: usize, growth: usize, size: usize) -> Graph {
    let mut b = Builder::new(Shape::new(3, size, size), style, 13);
    let mut x = b.conv(b.graph.input, 2 * growth, [3, 1, 1, 1]);
    for _ in 0..layers {
        let y = b.batch_norm(x);
        let y = b.relu(y);
        let y = b.conv(y, growth, [3, 1, 1, 1]);
        x = b.concat(x, y);
    }
    let x = b.batch_norm(x);
    let x = b.relu(x);
    b.head(x, 10)
}

/// ResNet with batch normalisation and activation in front of the convolutions.
pub fn pre_activation(style: Style, n: usize, width: usize, size: usize) -> Graph {
    let mut b = Builder::new(Shape::new(3, size, size), style, 17);
    let mut x = b.conv(b.graph.input, width, [3, 1, 1, 1]);
    for stage in 0..2 {
        for block in 0..n {
            let stride = if stage > 0 && block == 0 { 2 } else { 1 };
            let y = b.batch_norm(x);
            let y = b.relu(y);
            let y = b.conv_bn(y, width << stage, stride);
            let y = b.relu(y);
            let y = b.conv(y, width << stage, [3, 1, 1, 1]);
            let skip = if stride == 1 { x } else { b.shortcut(x) };
            x = b.add(y, skip);
        }
    }
    let x = b.batch_norm(x);
    let x = b.relu(x);
    b.head(x, 10)
}

/// VGG-11-like: `widths` convolutions, each `true` followed by a mean over 2x2, then dense layers.
pub fn vgg(style: Style, size: usize, widths: &[(usize, bool)], dense: usize) -> Graph {
    let mut b = Builder::new(Shape::new(3, size, size), style, 19);
    let mut x = b.graph.input;
    for &(width, pool) in widths {
        x = b.conv_bn(x, width, 1);
        x = b.relu(x);
        if pool {
            x = b.pool(x, [2, 2]);
        }
    }
    let x = b.gemm(x, dense);
    let x = b.relu(x);
    b.graph.output = b.gemm(x, 10);
    b.graph
}

/// LeNet-5 for 28x28 images.
pub fn lenet(style: Style) -> Graph {
    let mut b = Builder::new(Shape::new(1, 28, 28), style, 23);
    let x = b.conv(b.graph.input, 6, [5, 1, 2, 1]);
    let x = b.activation(x, Function::Tanh);
    let x = b.pool(x, [2, 2]);
    let x = b.conv(x, 16, [5, 1, 0, 1]);
    let x = b.activation(x, Function::Tanh);
    let x = b.pool(x, [2, 2]);
    let x = b.gemm(x, 120);
    let x = b.activation(x, Function::Tanh);
    let x = b.gemm(x, 84);
    let x = b.activation(x, Function::Tanh);
    b.graph.output = b.gemm(x, 10);
    b.graph
}
