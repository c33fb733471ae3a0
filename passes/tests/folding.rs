//! Folding: equal graphs from equivalent exports, the same network afterwards.

mod networks;

use hecc_ir::function::Function;
use hecc_ir::nn::{Graph, Linear, Op, Shape, ValueId};
use hecc_passes::fold_linear::fold_linear;
use networks::{
    Builder, Numbers, Style, dense, digits, evaluate, exact, image, mobile, pre_activation, resnet,
};

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
    let all: [fn(Style) -> Graph; 5] = [
        |style| resnet(style, 2, 4, 8),
        digits,
        |style| mobile(style, 16, 8),
        |style| dense(style, 5, 4, 8),
        |style| pre_activation(style, 2, 4, 8),
    ];
    for build in all {
        let reference = folded(&build(Style::Folded));
        same(&reference, &folded(&build(Style::Kept)));
        same(&reference, &folded(&build(Style::Raw)));
        same(&reference, &folded(&reference));
    }
}

/// Every operator in a random order.
fn random(seed: u64) -> Graph {
    let mut numbers = Numbers::new(seed);
    let mut b = Builder::new(Shape::new(4, 6, 6), Style::Folded, seed);
    let mut x = b.graph.input;
    let mut kept = None;
    for _ in 0..16 {
        let s = b.shape(x);
        x = match (9.499 * (numbers.next() + 1.0)) as usize {
            0 => b.conv_bn(x, 4, 1),
            1 => b.batch_norm(x),
            2 => b.derived(
                x,
                Linear::Pad {
                    before: [0, 1, 0],
                    after: [1, 1, 1],
                },
            ),
            3 if s.c > 2 && s.h > 3 && s.w > 1 => b.derived(
                x,
                Linear::Slice {
                    start: [1, 0, 1],
                    step: [1, 2, 1],
                    shape: Shape::new(s.c - 1, s.h.div_ceil(2), s.w - 1),
                },
            ),
            4 if s.h > 3 && s.w > 3 => b.pool(x, [2, 1]),
            5 => b.derived(
                x,
                Linear::Reshape {
                    shape: Shape::new(s.h, s.c, s.w),
                },
            ),
            6 => b.relu(x),
            7 => b.add(x, x),
            8 | 9 => {
                kept = Some(x);
                x
            }
            10 => b.elementwise(x),
            11 if s.elements() < 400 => b.conv_transpose(x, 2 * s.c, s.c),
            12 if s.elements() < 400 => b.resize(x, [1, 2]),
            13 => b.transpose(x),
            14 => {
                let y = b.activation(x, Function::Tanh);
                b.mul(x, y)
            }
            // Channels added, then taken away.
            15 => {
                let y = b.conv(x, 3, [1, 1, 0, 1]);
                let y = b.concat(y, x);
                b.derived(
                    y,
                    Linear::Slice {
                        start: [1, 0, 0],
                        step: [2, 1, 1],
                        shape: Shape::new(s.c.div_ceil(2), s.h, s.w),
                    },
                )
            }
            16 => b.conv(x, 2 * s.c, [3, 2, 1, s.c]),
            _ => match kept {
                Some(y) if b.shape(y) == s => b.mul(x, y),
                _ => x,
            },
        };
    }
    b.head(x, 3)
}

fn readers(graph: &Graph, id: ValueId) -> usize {
    graph.nodes.edges(id).count()
}

#[test]
fn folding_keeps_the_meaning() {
    for seed in 0..150 {
        let graph = random(seed);
        graph.verify().unwrap();
        let after = folded(&graph);
        same(&after, &folded(&after));
        let shape = graph.nodes[graph.input].shape;
        let image = image(seed, shape.elements());
        let [a, b] = [&graph, &after].map(|g| evaluate(g, &image, exact));
        let size = a.iter().fold(1e-3f64, |m, v| m.max(v.abs()));
        for (a, b) in a.iter().zip(&b) {
            assert!(
                (a - b).abs() < 1e-5 * size,
                "seed {seed}: {a} and {b} of {size}"
            );
        }
        for id in after.nodes.node_indices() {
            let op = &after.nodes[id].op;
            assert!(readers(&after, id) > 0 || id == after.output, "seed {seed}");
            let Op::Linear(_) = op else { continue };
            // What a linear operator follows is a hub or a chain.
            let operand = after.operands(id)[0];
            let sum = matches!(after.nodes[operand].op, Op::Add);
            assert!(!sum || readers(&after, operand) > 1, "seed {seed}");
        }
    }
}

/// The operators of a folded graph, by name.
fn operators(graph: &Graph) -> Vec<&'static str> {
    let name = |id: ValueId| match &graph.nodes[id].op {
        Op::Input => "input",
        Op::Linear(linear) => linear.name(),
        Op::Add => "add",
        Op::Mul => "mul",
        Op::Activation(function) => function.name(),
    };
    graph.nodes.node_indices().map(name).collect()
}

#[test]
fn what_merges() {
    let check = |build: fn(&mut Builder, ValueId) -> ValueId, expect: &str| {
        let mut b = Builder::new(Shape::new(4, 6, 6), Style::Kept, 1);
        let x = b.graph.input;
        b.graph.output = build(&mut b, x);
        assert_eq!(operators(&folded(&b.graph))[1..].join(" "), expect);
    };
    check(|b, x| b.conv_bn(x, 8, 1), "conv");
    check(
        |b, x| {
            let y = b.conv(x, 8, [3, 1, 1, 1]);
            let y = b.pool(y, [2, 2]);
            b.batch_norm(y)
        },
        "conv average_pool",
    );
    check(
        |b, x| {
            let y = b.conv_transpose(x, 2, 1);
            b.batch_norm(y)
        },
        "conv_transpose",
    );
    check(
        |b, x| {
            let y = b.batch_norm(x);
            let y = b.elementwise(y);
            let y = b.batch_norm(y);
            let y = b.transpose(y);
            b.gemm(y, 5)
        },
        "gemm",
    );
    check(
        |b, x| {
            let y = b.transpose(x);
            let y = b.resize(y, [2, 1]);
            b.derived(
                y,
                Linear::Reshape {
                    shape: Shape::new(288, 1, 1),
                },
            )
        },
        "gather",
    );
    // The convolution of a concatenation is a sum of convolutions.
    check(
        |b, x| {
            let y = b.relu(x);
            let z = b.activation(x, Function::Tanh);
            let y = b.concat(y, z);
            b.conv(y, 3, [3, 1, 1, 1])
        },
        "relu tanh conv conv add",
    );
    // A sum that two operators read is computed once; a slice for each of its readers.
    check(
        |b, x| {
            let y = b.conv(x, 4, [3, 1, 1, 1]);
            let y = b.add(y, x);
            let z = b.relu(y);
            b.add(y, z)
        },
        "conv add relu add",
    );
    check(
        |b, x| {
            let slice = Linear::Slice {
                start: [0; 3],
                step: [1, 2, 2],
                shape: Shape::new(4, 3, 3),
            };
            let y = b.derived(x, slice);
            let z = b.relu(y);
            b.add(y, z)
        },
        "slice relu slice add",
    );
}

/// Four times as deep takes some four times as long, not sixteen times; the least of three, so that what
/// else the machine does counts little.
#[test]
fn time_is_linear_in_depth() {
    let least = |blocks: usize| {
        let network = pre_activation(Style::Kept, blocks, 2, 4);
        let run = || {
            let start = std::time::Instant::now();
            let after = folded(&network);
            assert!(after.nodes.node_count() > 7 * blocks);
            start.elapsed()
        };
        (0..3).map(|_| run()).min().expect("three runs")
    };
    let (shallow, deep) = (least(100), least(400));
    assert!(deep < 10 * shallow, "{shallow:?}, {deep:?}");
}
