//! Folding: equal graphs from equivalent exports, the same network afterwards.

mod networks;

use hecc_ir::nn::{Graph, Linear, Op, Shape};
use hecc_passes::fold_linear::fold_linear;
use networks::{Builder, Numbers, Style, digits, evaluate, image, resnet};

fn folded(graph: &Graph) -> Graph {
    let folded = fold_linear(graph).unwrap().graph;
    folded.verify().unwrap();
    folded
}

fn same(a: &Graph, b: &Graph) {
    let nodes = |g: &Graph| {
        g.nodes
            .node_indices()
            .map(|i| (g.nodes[i].clone(), g.operands(i)))
            .collect::<Vec<_>>()
    };
    for (a, b) in nodes(a).iter().zip(&nodes(b)) {
        assert!(
            a == b,
            "{} {} and {} {}",
            a.0.name,
            a.0.shape,
            b.0.name,
            b.0.shape
        );
    }
    assert_eq!(
        (a.nodes.node_count(), a.output),
        (b.nodes.node_count(), b.output)
    );
}

#[test]
fn exports_become_equal() {
    for build in [|style| resnet(style, 2, 4, 8), digits] {
        let reference = folded(&build(Style::Folded));
        same(&reference, &folded(&build(Style::Kept)));
        same(&reference, &folded(&build(Style::Raw)));
        same(&reference, &folded(&reference));
    }
}

/// Every linear operator in a random order, with additions and activations between.
fn random(seed: u64) -> Graph {
    let mut numbers = Numbers::new(seed);
    let mut b = Builder::new(Shape::new(4, 6, 6), Style::Folded, seed);
    let mut x = b.graph.input;
    let mut kept = None;
    for _ in 0..12 {
        let s = b.shape(x);
        x = match (4.999 * (numbers.next() + 1.0)) as usize {
            0 => b.conv_bn(x, 4, 1),
            1 => {
                let (scale, shift) = (numbers.vec(s.c, 1.0), numbers.vec(s.c, 1.0));
                b.linear(x, Linear::Affine { scale, shift }, s)
            }
            2 => {
                let padded = Shape::new(s.c + 1, s.h + 2, s.w + 1);
                b.linear(
                    x,
                    Linear::Pad {
                        before: [0, 1, 0],
                        after: [1, 1, 1],
                    },
                    padded,
                )
            }
            3 if s.c > 2 && s.h > 3 => {
                let part = Shape::new(s.c - 1, s.h.div_ceil(2), s.w - 1);
                b.linear(
                    x,
                    Linear::Slice {
                        start: [1, 0, 1],
                        step: [1, 2, 1],
                        shape: part,
                    },
                    part,
                )
            }
            4 if s.h > 3 && s.w > 3 => {
                let pooled = Shape::new(s.c, s.h / 2, s.w - 1);
                b.linear(
                    x,
                    Linear::AveragePool {
                        kernel: [2, 2],
                        stride: [2, 1],
                    },
                    pooled,
                )
            }
            5 => {
                let turned = Shape::new(s.h, s.c, s.w);
                b.linear(x, Linear::Reshape { shape: turned }, turned)
            }
            6 => b.relu(x),
            7 => b.add(x, x),
            8 => {
                kept = Some(x);
                x
            }
            _ => match kept {
                Some(y) if b.shape(y) == s => b.add(x, y),
                _ => x,
            },
        };
    }
    let (n, rows) = (b.shape(x).elements(), 3);
    let gemm = Linear::Gemm {
        weight: numbers.vec(rows * n, 0.3),
        bias: numbers.vec(rows, 1.0),
        rows,
    };
    b.graph.output = b.linear(x, gemm, Shape::new(rows, 1, 1));
    b.graph
}

#[test]
fn folding_keeps_the_meaning() {
    for seed in 0..60 {
        let graph = random(seed);
        graph.verify().unwrap();
        let after = folded(&graph);
        let shape = graph.nodes[graph.input].shape;
        let image = image(seed, shape.elements());
        let [a, b] = [&graph, &after].map(|g| evaluate(g, &image, |_, v| v.max(0.0)));
        let size = a.iter().fold(1e-3f64, |m, v| m.max(v.abs()));
        for (a, b) in a.iter().zip(&b) {
            assert!(
                (a - b).abs() < 1e-5 * size,
                "seed {seed}: {a} and {b} of {size}"
            );
        }
        // In normal form a linear operator has one user, and none follows an addition.
        for id in after.nodes.node_indices() {
            if let Op::Linear(_) = after.nodes[id].op {
                let operand = after.operands(id)[0];
                assert!(!matches!(after.nodes[operand].op, Op::Add), "seed {seed}");
                let users = after
                    .nodes
                    .neighbors_directed(id, petgraph::Direction::Outgoing)
                    .count();
                assert!(users == 1 || id == after.output);
            }
        }
    }
}
