//! Images per second of a ResNet-20 on 3x32x32 images, with random weights.

use criterion::{Criterion, Throughput};
use hecc_batch::{Batch, Elementwise, Network, linear};
use hecc_ir::function::{Approximation, Function};
use hecc_ir::nn::{Graph, Linear, Op, Shape, ValueId, Window};
use hecc_ir::nn_eval::{evaluate, exact};
use rand::{Rng, SeedableRng, rngs::SmallRng};
use std::hint::black_box;

const IMAGES: usize = 256;

/// Uniform, of variance 2 / fan-in.
fn weights(random: &mut SmallRng, count: usize, inputs: usize) -> Vec<f32> {
    let reach = (6.0 / inputs as f32).sqrt();
    (0..count)
        .map(|_| random.random_range(-reach..reach))
        .collect()
}

fn conv(random: &mut SmallRng, from: usize, to: usize, kernel: usize, stride: usize) -> Linear {
    let inputs = from * kernel * kernel;
    Linear::Conv {
        weight: weights(random, to * inputs, inputs),
        bias: weights(random, to, 100),
        out_channels: to,
        window: Window::same(kernel, stride),
    }
}

/// Three stages of three residual blocks of 16, 32 and 64 channels.
fn resnet20(random: &mut SmallRng) -> Graph {
    let mut graph = Graph::new("image", Shape::new(3, 32, 32));
    let mut x = graph.input;
    let mut shape = Shape::new(16, 32, 32);
    let push = |graph: &mut Graph, linear, shape, x: ValueId| {
        graph.push(Op::Linear(linear), "linear", shape, &[x])
    };
    let relu = |graph: &mut Graph, shape, x: ValueId| {
        graph.push(Op::Activation(Function::Relu), "relu", shape, &[x])
    };
    x = push(&mut graph, conv(random, 3, 16, 3, 1), shape, x);
    x = relu(&mut graph, shape, x);
    for (stage, channels) in [16, 32, 64].into_iter().enumerate() {
        for block in 0..3 {
            let (from, input) = (shape.c, x);
            let stride = if stage > 0 && block == 0 { 2 } else { 1 };
            shape = Shape::new(channels, shape.h / stride, shape.w / stride);
            let mut y = push(
                &mut graph,
                conv(random, from, channels, 3, stride),
                shape,
                x,
            );
            y = relu(&mut graph, shape, y);
            y = push(&mut graph, conv(random, channels, channels, 3, 1), shape, y);
            let skip = match stride {
                1 => input,
                _ => push(
                    &mut graph,
                    conv(random, from, channels, 1, stride),
                    shape,
                    input,
                ),
            };
            y = graph.push(Op::Add, "add", shape, &[y, skip]);
            x = relu(&mut graph, shape, y);
        }
    }
    let pool = Linear::AveragePool {
        kernel: [8, 8],
        stride: [1, 1],
    };
    x = push(&mut graph, pool, Shape::new(64, 1, 1), x);
    let gemm = Linear::Gemm {
        weight: weights(random, 640, 64),
        bias: weights(random, 10, 64),
        rows: 10,
    };
    graph.output = push(&mut graph, gemm, Shape::new(10, 1, 1), x);
    graph
}

/// The ReLU as a cosine series of `degree` on [-`range`, `range`].
fn fused(range: f64, degree: usize) -> Function {
    let (rho, steps) = (0.92, 2000);
    let angle = |i: usize| std::f64::consts::PI * (i as f64 + 0.5) / steps as f64;
    let value = |theta: f64| (theta / std::f64::consts::FRAC_PI_2 - 1.0).max(0.0) / rho;
    let coefficient = |k: usize| {
        let sum: f64 = (0..steps)
            .map(|i| value(angle(i)) * (k as f64 * angle(i)).cos())
            .sum();
        sum * if k == 0 { 1.0 } else { 2.0 } / steps as f64
    };
    let coefficients = (0..=degree).map(coefficient).collect();
    Function::Approximated(Approximation::Fused {
        range,
        rho,
        coefficients,
    })
}

/// With another function in place of every activation.
fn with(graph: &Graph, function: &Function) -> Graph {
    let mut graph = graph.clone();
    for node in graph.nodes.node_weights_mut() {
        if matches!(node.op, Op::Activation(_)) {
            node.op = Op::Activation(function.clone());
        }
    }
    graph
}

/// Three images against the meaning of the language.
fn check(graph: &Graph, network: &Network, images: &Batch) {
    let images = images.slice(0..3);
    let got = network.forward(&images);
    for i in 0..images.n {
        let expect = evaluate(graph, &images.channels_first(i), &mut exact(graph));
        let expect = expect.expect("the graph is verified");
        let largest = expect.iter().fold(1.0f32, |m, e| m.max(e.abs()));
        for (g, e) in got.image(i).iter().zip(&expect) {
            assert!((g - e).abs() < 2e-3 * largest, "image {i}: {g}, not {e}");
        }
    }
}

fn bench(c: &mut Criterion) {
    let mut random = SmallRng::seed_from_u64(20);
    let graph = resnet20(&mut random);
    let shape = Shape::new(3, 32, 32);
    let data = (0..IMAGES * shape.elements())
        .map(|_| random.random_range(-1.0..1.0))
        .collect();
    let images = Batch {
        n: IMAGES,
        shape,
        data,
    };
    let mut group = c.benchmark_group("resnet20");
    group
        .sample_size(10)
        .throughput(Throughput::Elements(IMAGES as u64));
    let levelled = Function::Approximated(Approximation::Levelled {
        range: 12.0,
        polynomials: vec![vec![0.3, 0.5, 0.2, 0.0, -0.05, 0.0, 0.02, 0.001]],
        times_x: false,
    });
    let quadratic = Function::Polynomial {
        coefficients: vec![vec![0.1, 0.5, 0.05]],
    };
    let functions = [
        ("relu", Function::Relu),
        ("fused 15", fused(12.0, 15)),
        ("levelled 7", levelled),
        ("quadratic", quadratic),
        ("silu", Function::Silu),
    ];
    for (name, function) in functions {
        let graph = with(&graph, &function);
        let network = Network::new(&graph).expect("the graph is verified");
        // A levelled series explodes on what random weights make of noise.
        if !matches!(name, "levelled 7" | "quadratic") {
            check(&graph, &network, &images);
        }
        group.bench_function(name, |b| {
            b.iter(|| black_box(network.forward(black_box(&images))))
        });
    }

    let network = Network::new(&graph).expect("the graph is verified");
    let activations: Vec<Shape> = network
        .activations()
        .iter()
        .map(|&id| graph.nodes[id].shape)
        .collect();
    let choices: Vec<Vec<Elementwise>> = activations
        .iter()
        .map(|&shape| {
            [Function::Relu, fused(12.0, 15)]
                .map(|f| Elementwise::new(&Op::Activation(f), shape).expect("fits"))
                .into()
        })
        .collect();
    let genomes: Vec<Vec<usize>> = (0..16)
        .map(|_| {
            (0..choices.len())
                .map(|_| random.random_range(0..2))
                .collect()
        })
        .collect();
    let few = images.slice(0..32);
    group.throughput(Throughput::Elements(32 * 16));
    group.bench_function("16 random genomes", |b| {
        b.iter(|| {
            network.forward_all(&few, &choices, &genomes, &mut |_, out| {
                black_box(out);
            })
        });
    });

    let few = images.slice(0..64);
    group.throughput(Throughput::Elements(64));
    group.bench_function("all gradients of the linear operators", |b| {
        let mut values = std::collections::BTreeMap::new();
        network.observe(&few, &mut |id, value| {
            values.insert(id, value.clone());
        });
        b.iter(|| {
            for id in graph.nodes.node_indices() {
                if let Op::Linear(operator) = &graph.nodes[id].op {
                    let x = &values[&graph.operands(id)[0]];
                    let gradient = &values[&id];
                    black_box(linear::parameter_gradient(operator, x, gradient).expect("fits"));
                    black_box(linear::input_gradient(operator, x.shape, gradient).expect("fits"));
                }
            }
        });
    });
    group.finish();
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    bench(&mut criterion);
    criterion.final_summary();
}
