//! Networks in the clear: tensors with approximations in the place of functions, and slots.

mod networks;

use std::collections::BTreeMap;

use hecc_ir::function::{Approximation, Function};
use hecc_ir::nn::{Graph, Linear, Shape, ValueId};
use hecc_ir::slots::{self, Op};
use hecc_passes::choose_layouts::{Layouts, Request, choose_layouts};
use hecc_passes::cost::Prices;
use hecc_passes::fold_linear::fold_linear;
use hecc_passes::lower_to_slots::{Units, lower_to_slots, result_unit};
use hecc_passes::steps::{HubKind, Steps};
use networks::{
    Builder, Numbers, Style, dense, digits, evaluate, evaluate_all, image, lenet, mobile,
    pre_activation, resnet, vgg,
};

/// The kinds of approximation that stand for all functions of a network.
#[derive(Clone, Copy, PartialEq)]
enum Ways {
    Fused,
    Square,
    Mixed,
}

/// The way that a function is computed in, with its range; any function will do.
fn way(ways: Ways, index: usize, range: f64, function: &Function) -> Approximation {
    let coefficients = vec![0.1, -0.5, 0.2, 0.15];
    if let Function::Approximated(given) = function {
        return given.clone();
    }
    match (ways, index % 3) {
        (Ways::Fused, _) | (Ways::Mixed, 0) => Approximation::Fused {
            range,
            rho: 0.9,
            coefficients,
        },
        (Ways::Square, _) | (Ways::Mixed, 1) => Approximation::Square { range },
        (Ways::Mixed, _) => Approximation::Levelled {
            range,
            polynomials: vec![vec![0.0, 0.5, 0.1], coefficients],
            times_x: index.is_multiple_of(2),
        },
    }
}

struct Lowered {
    folded: Graph,
    steps: Steps,
    ways: BTreeMap<String, Approximation>,
    slots: slots::Graph,
}

fn lower(graph: &Graph, slots: usize, granularity: usize, ways: Ways, seed: u64) -> Lowered {
    let folded = fold_linear(graph).unwrap().graph;
    let steps = Steps::read(&folded).unwrap();
    let image = image(seed, graph.nodes[graph.input].shape.elements());
    let mut numbers = Numbers::new(seed);
    let mut unit = || 1.0 + 0.5 * f64::from(numbers.next());
    let mut units = Units {
        input: unit(),
        sums: steps.sums.iter().map(|_| unit()).collect(),
        activations: Vec::new(),
    };
    let mut all = Vec::new();
    let mut by_name = BTreeMap::new();
    for (index, (_, hub, function)) in steps.activations().enumerate() {
        let HubKind::Activation { x, .. } = hub.kind else {
            panic!("an activation");
        };
        // As a calibration would: within the range nothing grows without bound.
        let known = |name: &str, _: &Function, _: usize, v: f64| {
            by_name
                .get(name)
                .map_or(0.0, |way: &Approximation| way.apply(v))
        };
        let values = evaluate_all(&folded, &image, known);
        let node = folded
            .nodes
            .node_indices()
            .find(|&i| folded.nodes[i].name == hub.name);
        let operand = &values[&folded.operands(node.unwrap())[0]];
        let largest = operand.iter().fold(1e-3f64, |m, v| m.max(v.abs()));
        let way = way(ways, index, 1.2 * largest, function);
        units.sums[x] = way.range();
        by_name.insert(hub.name.clone(), way.clone());
        units
            .activations
            .push(result_unit(std::slice::from_ref(&way)));
        all.push(vec![way]);
    }
    let mut fused = vec![false; steps.hubs.len()];
    for ((hub, _, _), ways) in steps.activations().zip(&all) {
        fused[hub] = matches!(ways[0], Approximation::Fused { .. });
    }
    let request = Request {
        slots,
        granularity,
        fused: &fused,
        prices: &Prices::reference(),
    };
    let layouts = choose_layouts(&steps, &request).unwrap();
    let slots = lower_to_slots(&steps, &layouts, &units, &all);
    counts_bound_diagonals(&slots, &layouts);
    slots
        .verify()
        .unwrap_or_else(|e| panic!("{e}\n{}", slots.dump()));
    Lowered {
        folded,
        steps,
        ways: by_name,
        slots,
    }
}

/// What layouts were chosen by is hardly ever less than what the maps turn out to be.
fn counts_bound_diagonals(slots: &slots::Graph, layouts: &Layouts) {
    let mut counted = layouts.maps.iter().flatten().flatten();
    for node in &slots.nodes {
        let Op::Linear { x, map } = node.op else {
            continue;
        };
        let from = &slots.nodes[x].layout;
        let found = slots.maps[map].offsets(from, &node.layout).unwrap();
        let count = counted.next().unwrap();
        assert!(
            4 * found.offsets.len() <= 5 * count.diagonals + 8,
            "{} from {from} to {}: {} diagonals, counted {}",
            node.name,
            node.layout,
            found.offsets.len(),
            count.diagonals
        );
    }
}

/// Slots against tensors of the folded graph; and returns what was made.
fn agree(graph: &Graph, slots: usize, granularity: usize, ways: Ways, seed: u64) -> Lowered {
    let lowered = lower(graph, slots, granularity, ways, seed);
    let image = image(seed, graph.nodes[graph.input].shape.elements());
    let expect = evaluate(&lowered.folded, &image, |name, _, _, v| {
        lowered.ways[name].apply(v)
    });
    let got = lowered.slots.evaluate(&image).unwrap();
    let size = expect.iter().fold(1e-3f64, |m, v| m.max(v.abs()));
    assert_eq!(expect.len(), got.len());
    for (a, b) in expect.iter().zip(&got) {
        assert!(
            (a - b).abs() < 1e-9 * size,
            "seed {seed}: {a} and {b} of {size}\n{}",
            lowered.slots.dump()
        );
    }
    lowered
}

#[test]
fn slots_agree_with_tensors() {
    let twisted = |l: &Lowered| l.slots.nodes.iter().filter(|n| n.layout.twist != 0).count();
    let parts = |l: &Lowered| l.slots.nodes.iter().map(|n| n.layout.parts).max();
    for ways in [Ways::Fused, Ways::Square, Ways::Mixed] {
        agree(&digits(Style::Folded), 1 << 10, 16, ways, 1);
        agree(&lenet(Style::Folded), 1 << 11, 64, ways, 2);
        agree(&lenet(Style::Folded), 1 << 8, 16, ways, 2);
    }
    agree(&digits(Style::Folded), 1 << 10, 1024, Ways::Fused, 3);
    // Deep enough for a twist to pay for its bootstrapper.
    let deep = agree(
        &resnet(Style::Folded, 8, 4, 16),
        1 << 10,
        16,
        Ways::Fused,
        4,
    );
    assert!(twisted(&deep) >= 10, "{}", deep.slots.dump());
    agree(
        &resnet(Style::Folded, 1, 4, 12),
        1 << 11,
        16,
        Ways::Mixed,
        5,
    );
    let wide = agree(&resnet(Style::Folded, 1, 8, 12), 1 << 8, 16, Ways::Fused, 6);
    assert!(parts(&wide) > Some(4), "{}", wide.slots.dump());
    agree(&mobile(Style::Folded, 16, 4), 1 << 9, 16, Ways::Fused, 7);
    agree(&mobile(Style::Folded, 12, 4), 1 << 10, 0, Ways::Mixed, 8);
    agree(&dense(Style::Folded, 3, 3, 9), 1 << 8, 16, Ways::Fused, 9);
    agree(
        &pre_activation(Style::Folded, 2, 4, 10),
        1 << 9,
        16,
        Ways::Mixed,
        10,
    );
    let widths = [(8, true), (16, true), (32, true)];
    let net = agree(
        &vgg(Style::Folded, 16, &widths, 24),
        1 << 10,
        16,
        Ways::Fused,
        11,
    );
    assert!(parts(&net) > Some(1), "{}", net.slots.dump());
}

#[test]
fn units_that_agree_need_no_operator() {
    let mut b = Builder::new(Shape::new(4, 6, 6), Style::Folded, 1);
    let x = b.conv(b.graph.input, 4, [3, 1, 1, 1]);
    let given = Approximation::Square { range: 2.0 };
    let y = b.activation(x, Function::Approximated(given.clone()));
    b.graph.output = b.add(x, y);
    let folded = fold_linear(&b.graph).unwrap().graph;
    let steps = Steps::read(&folded).unwrap();
    let kinds: Vec<bool> = steps
        .hubs
        .iter()
        .map(|h| matches!(h.kind, HubKind::Sum { .. }))
        .collect();
    assert_eq!(kinds, [false, true, false, true]);
    assert_eq!(
        steps.readers().iter().map(Vec::len).collect::<Vec<_>>(),
        [1, 2, 1, 0]
    );
    let fused = [false; 4];
    let request = Request {
        slots: 256,
        granularity: 0,
        fused: &fused,
        prices: &Prices::reference(),
    };
    let layouts = choose_layouts(&steps, &request).unwrap();
    let dump = |units: &Units| {
        let slots = lower_to_slots(&steps, &layouts, units, &[vec![given.clone()]]);
        slots.verify().unwrap();
        let kind = |op: &Op| match op {
            Op::Input => "input",
            Op::Linear { .. } => "linear",
            Op::Scale { .. } => "scale",
            Op::Add { .. } => "add",
            Op::Mul { .. } => "mul",
            Op::Activation { .. } => "activation",
        };
        let kinds: Vec<&str> = slots.nodes.iter().map(|n| kind(&n.op)).collect();
        kinds.join(" ")
    };
    let mut units = Units {
        input: 1.0,
        sums: vec![2.0, 2.0, 4.0],
        activations: vec![4.0],
    };
    assert_eq!(dump(&units), "input linear activation scale add");
    units.sums = vec![3.0, 2.0, 5.0];
    assert_eq!(
        dump(&units),
        "input linear scale activation scale scale add"
    );
}

/// Small networks of everything, their sizes odd, on ciphertexts that hold a fraction of them.
fn random(seed: u64) -> Graph {
    let mut numbers = Numbers::new(seed + 77);
    let mut pick = |n: usize| ((numbers.next() + 1.0) * 0.5 * n as f32) as usize % n;
    let shape = Shape::new(1 + pick(4), 4 + pick(6), 4 + pick(6));
    let mut b = Builder::new(shape, Style::Folded, seed);
    let mut x = b.conv(b.graph.input, 2 * (1 + pick(4)), [3, 1, 1, 1]);
    let mut kept: Option<ValueId> = None;
    for _ in 0..7 {
        let s = b.shape(x);
        x = match pick(14) {
            0 if s.c.is_multiple_of(2) => b.conv(x, s.c + 2, [3, 1, 1, 2]),
            1 if s.h > 2 && s.w > 2 => b.conv(x, s.c, [3, 2, 1, s.c]),
            2 if s.h > 4 && s.w > 4 => b.conv(x, 3, [5, 1, 1, 1]),
            3 if s.h > 2 && s.w > 2 => b.pool(x, [2, 2]),
            4 => b.relu(x),
            5 => b.activation(x, Function::Silu),
            6 if s.c.is_multiple_of(2) => b.squeeze_excite(x, 2),
            7 => {
                kept = Some(x);
                b.batch_norm(x)
            }
            8 => {
                let y = b.relu(x);
                b.concat(x, y)
            }
            9 if s.elements() < 200 => b.conv_transpose(x, 2, 1),
            10 => b.resize(x, [1, 2]),
            11 => b.transpose(x),
            12 => {
                let y = b.elementwise(x);
                b.mul(x, y)
            }
            _ => match kept {
                Some(y) if b.shape(y) == s => b.add(x, y),
                _ => b.relu(x),
            },
        };
        let s = b.shape(x);
        if s.c > 12 || s.elements() > 1500 {
            let part = Shape::new(
                s.c.min(6).next_multiple_of(2).min(s.c),
                s.h.min(8),
                s.w.min(9),
            );
            x = b.derived(
                x,
                Linear::Slice {
                    start: [0; 3],
                    step: [1; 3],
                    shape: part,
                },
            );
        }
    }
    b.graph.output = b.gemm(x, 5);
    b.graph
}

#[test]
fn random_networks_agree() {
    for seed in 0..80 {
        let graph = random(seed);
        graph.verify().unwrap();
        let ways = [Ways::Fused, Ways::Mixed][seed as usize % 2];
        let lowered = agree(
            &graph,
            1 << (7 + seed % 4),
            [0, 8][seed as usize / 2 % 2],
            ways,
            seed,
        );
        for (hub, _, _) in lowered.steps.activations() {
            assert!(hub > 0);
        }
    }
}
