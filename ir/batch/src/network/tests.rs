use super::*;
use crate::testing::close;
use hecc_ir::function::{Approximation, Function};
use hecc_ir::nn::{Linear, Window};
use hecc_ir::nn_eval::{evaluate, evaluate_observed, exact};
use hecc_ir::testing::{Random, conv};

/// Two residual blocks, a product, pooling and a classifier; values that several operators read.
fn graph(random: &mut Random) -> Graph {
    let mut graph = Graph::new("image", Shape::new(3, 9, 9));
    let wide = Shape::new(8, 9, 9);
    let small = Shape::new(20, 5, 5);
    let x = graph.input;
    let relu = |graph: &mut Graph, shape, x| {
        graph.push(Op::Activation(Function::Relu), "relu", shape, &[x])
    };
    let linear =
        |graph: &mut Graph, linear, shape, x| graph.push(Op::Linear(linear), "linear", shape, &[x]);
    let a = linear(
        &mut graph,
        conv(random, [3, 8], Window::same(3, 1)),
        wide,
        x,
    );
    let a = relu(&mut graph, wide, a);
    let b = linear(
        &mut graph,
        conv(random, [8, 8], Window::same(3, 1).grouped(8)),
        wide,
        a,
    );
    let affine = Linear::Affine {
        scale: random.floats(8),
        shift: random.floats(8),
    };
    let b = linear(&mut graph, affine, wide, b);
    let c = graph.push(Op::Add, "add", wide, &[b, a]);
    let c = relu(&mut graph, wide, c);
    let d = graph.push(Op::Mul, "square", wide, &[c, c]);
    let e = graph.push(Op::Mul, "mul", wide, &[d, c]);
    let f = linear(
        &mut graph,
        conv(random, [8, 20], Window::same(3, 2)),
        small,
        e,
    );
    let skip = conv(random, [8, 20], Window::same(1, 2));
    let g = linear(&mut graph, skip, small, c);
    let h = graph.push(Op::Add, "add", small, &[f, g]);
    let rows = (0..20).map(|_| random.floats(3)).collect();
    let polynomial = Function::Polynomial { coefficients: rows };
    let h = graph.push(Op::Activation(polynomial), "polynomial", small, &[h]);
    // Nobody reads this one.
    relu(&mut graph, small, h);
    let pooled = Shape::new(20, 1, 1);
    let (kernel, stride) = ([5, 5], [1, 1]);
    let p = linear(
        &mut graph,
        Linear::AveragePool { kernel, stride },
        pooled,
        h,
    );
    let gemm = Linear::Gemm {
        weight: random.floats(200),
        bias: random.floats(10),
        rows: 10,
    };
    graph.output = linear(&mut graph, gemm, Shape::new(10, 1, 1), p);
    graph
}

fn images(random: &mut Random, n: usize, shape: Shape) -> (Vec<Vec<f32>>, Batch) {
    let images: Vec<_> = (0..n).map(|_| random.floats(shape.elements())).collect();
    let slices: Vec<&[f32]> = images.iter().map(Vec::as_slice).collect();
    let batch = Batch::from_images(shape, &slices);
    (images, batch)
}

#[test]
fn a_network_is_its_meaning() {
    let mut random = Random::new(8);
    let graph = graph(&mut random);
    let network = Network::new(&graph).unwrap();
    let (images, batch) = images(&mut random, 70, network.input());
    let got = network.forward(&batch);
    let mut seen = BTreeMap::new();
    let observed = network.observe(&batch, &mut |id, value| {
        seen.insert(id, value.clone());
    });
    assert_eq!(seen.len(), graph.nodes.node_count());
    close(&observed.data, &got.data, 1e-6, "observed");
    for (i, image) in images.iter().enumerate() {
        let output = evaluate_observed(&graph, image, &mut exact(&graph), &mut |id, value| {
            close(
                &seen[&id].channels_first(i),
                value,
                1e-5,
                &format!("{id:?}"),
            );
        });
        close(got.image(i), &output.unwrap(), 1e-5, &format!("image {i}"));
    }
}

#[test]
fn genomes_are_networks_of_their_own() {
    let mut random = Random::new(9);
    let graph = graph(&mut random);
    let network = Network::new(&graph).unwrap();
    let (_, batch) = images(&mut random, 40, network.input());
    let alternatives = |id: ValueId| {
        let shape = graph.nodes[id].shape;
        let affine = Linear::Affine {
            scale: vec![0.5; shape.c],
            shift: vec![0.1; shape.c],
        };
        let fused = Approximation::Fused {
            range: 9.0,
            rho: 0.9,
            coefficients: vec![0.3, -0.4, 0.2],
        };
        let square = Function::Polynomial {
            coefficients: vec![vec![0.0, 0.5, 0.1]],
        };
        let fused = Op::Activation(Function::Approximated(fused));
        vec![Op::Linear(affine), Op::Activation(square), fused]
    };
    let ops: Vec<Vec<Op>> = network
        .activations()
        .iter()
        .map(|&id| alternatives(id))
        .collect();
    let elementwise = |(ops, &id): (&Vec<Op>, &ValueId)| -> Vec<Elementwise> {
        let shape = graph.nodes[id].shape;
        ops.iter()
            .map(|op| Elementwise::new(op, shape).unwrap())
            .collect()
    };
    let choices: Vec<_> = ops
        .iter()
        .zip(network.activations())
        .map(elementwise)
        .collect();
    let genes = choices.len();
    let mut genomes: Vec<Vec<usize>> = (0..25)
        .map(|_| (0..genes).map(|_| random.below(3)).collect())
        .collect();
    genomes.push(genomes[3].clone());
    let mut next = 0;
    network.forward_all(&batch, &choices, &genomes, &mut |i, got| {
        assert_eq!(i, next);
        next += 1;
        let mut own = graph.clone();
        for ((&id, ops), &gene) in network.activations().iter().zip(&ops).zip(&genomes[i]) {
            own.nodes[id].op = ops[gene].clone();
        }
        assert_eq!(
            *got,
            Network::new(&own).unwrap().forward(&batch),
            "{:?}",
            genomes[i]
        );
        if let Some(image) = [0, 39].get(i) {
            let expect = evaluate(&own, &batch.channels_first(*image), &mut exact(&own)).unwrap();
            close(got.image(*image), &expect, 1e-4, "evaluated");
        }
    });
    assert_eq!(next, genomes.len());
    network.forward_all(&batch, &choices, &[], &mut |_, _| unreachable!("no genome"));
}

#[test]
fn a_graph_without_activations() {
    let graph = Graph::new("image", Shape::new(2, 3, 3));
    let network = Network::new(&graph).unwrap();
    let (_, batch) = images(&mut Random::new(10), 3, network.input());
    assert_eq!(network.forward(&batch), batch);
    let mut outputs = Vec::new();
    network.forward_all(&batch, &[], &[Vec::new(), Vec::new()], &mut |_, got| {
        outputs.push(got.clone())
    });
    assert_eq!(outputs, [batch.clone(), batch]);
}

#[test]
fn broken_graphs_are_refused() {
    let mut graph = graph(&mut Random::new(11));
    graph.nodes[graph.output].shape = Shape::new(3, 1, 1);
    let message = Network::new(&graph).unwrap_err().to_string();
    assert!(message.contains("(linear)"), "{message}");
}
