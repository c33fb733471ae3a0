//! A small residual network as a program and as a plan.

use std::collections::BTreeMap;

use super::{Random, conv};
use crate::layout::Layout;
use crate::nn::{Linear, Shape, Window};
use crate::params::Parameters;
use crate::plan::{KeyManifest, Plan, Prediction, Preprocess, RotationKey};
use crate::program::{LinearMap, Node, Op, Program};
use crate::security;

/// A residual network on 3x8x8 images in 1024 slots, at the levels of `Parameters::fused(11, 15)`:
/// conv, activation, a twisted folding conv with a scaled skip, a stride-2 convolution and its
/// shortcut, pooling and a classifier.
pub fn residual_program() -> Program {
    let mut random = Random::new(11);
    let shape = Shape::new;
    let layout = |shape: Shape, gap, copies, twist| Layout {
        slots: 1024,
        parts: 1,
        shape,
        gap,
        rows: 8,
        cols: 8,
        copies,
        twist,
    };
    let mut coefficients: Vec<f64> = (0..16).map(|_| random.unit() / 4.0).collect();
    coefficients[0] = 0.1;
    let mut program = Program {
        nodes: Vec::new(),
        maps: Vec::new(),
    };
    let plain = layout(shape(4, 8, 8), 1, 4, 0);
    let twisted = layout(shape(4, 8, 8), 1, 4, 64);
    let gapped = layout(shape(8, 4, 4), 2, 8, 0);
    let logits = Layout {
        rows: 1,
        cols: 1,
        ..layout(shape(10, 1, 1), 1, 64, 0)
    };
    let mut push = |op: Op, layout: &Layout, level, unit| {
        let name = format!("node{}", program.nodes.len());
        program.nodes.push(Node {
            op,
            name,
            layout: layout.clone(),
            level,
            scale: f64::from(1 << 30),
            unit,
            target: None,
        });
    };
    let activate = |x| Op::Activate {
        x,
        coefficients: coefficients.clone(),
        rho: 0.92,
    };
    push(Op::Input, &layout(shape(3, 8, 8), 1, 4, 0), 3, 2.5);
    push(Op::Linear { x: 0, map: 0 }, &plain, 2, 4.0);
    push(activate(1), &twisted, 3, 3.0);
    push(Op::Linear { x: 2, map: 1 }, &plain, 2, 5.0);
    push(Op::Linear { x: 2, map: 2 }, &plain, 2, 5.0);
    push(Op::Add { x: 3, y: 4 }, &plain, 2, 5.0);
    push(activate(5), &plain, 3, 5.0);
    push(Op::Linear { x: 6, map: 3 }, &gapped, 2, 6.0);
    push(Op::Linear { x: 6, map: 4 }, &gapped, 2, 6.0);
    push(Op::Add { x: 7, y: 8 }, &gapped, 2, 6.0);
    push(activate(9), &gapped, 3, 6.0);
    push(Op::Linear { x: 10, map: 5 }, &gapped, 2, 7.0);
    push(activate(11), &gapped, 3, 1.0);
    push(
        Op::MulConst {
            x: 10,
            factor: 6.0 / 8.0,
        },
        &gapped,
        2,
        8.0,
    );
    push(Op::Linear { x: 12, map: 6 }, &gapped, 2, 8.0);
    push(Op::Add { x: 13, y: 14 }, &gapped, 2, 8.0);
    push(activate(15), &gapped, 3, 8.0);
    push(Op::Linear { x: 16, map: 7 }, &logits, 2, 9.0);
    let shortcut = vec![
        Linear::Slice {
            start: [0; 3],
            step: [1, 2, 2],
            shape: shape(4, 4, 4),
        },
        Linear::Pad {
            before: [2, 0, 0],
            after: [2, 0, 0],
        },
    ];
    let classifier = vec![
        Linear::AveragePool {
            kernel: [4, 4],
            stride: [4, 4],
        },
        Linear::Reshape {
            shape: shape(8, 1, 1),
        },
        Linear::Gemm {
            weight: random.floats(80),
            bias: random.floats(10),
            rows: 10,
        },
    ];
    let mut conv = |channels, stride| vec![conv(&mut random, channels, Window::same(3, stride))];
    let stages = [
        (conv([3, 4], 1), false),
        (conv([4, 4], 1), true),
        (Vec::new(), false),
        (conv([4, 8], 2), false),
        (shortcut, false),
        (conv([8, 8], 1), false),
        (conv([8, 8], 1), false),
        (classifier, true),
    ];
    for (map, (stages, fold)) in stages.into_iter().enumerate() {
        let uses = |node: &&Node| matches!(node.op, Op::Linear { map: m, .. } if m == map);
        let node = program.nodes.iter().find(uses).expect("every map is used");
        let unit_in = program.nodes[node.op.operands()[0]].unit;
        let (gain, bias_gain) = (unit_in / node.unit, 1.0 / node.unit);
        program.maps.push(LinearMap {
            stages,
            gain,
            bias_gain,
            fold,
            giant: 64,
        });
    }
    program
}

/// A plan of [`residual_program`] on a small insecure ring.
pub fn residual_plan() -> Plan {
    let program = residual_program();
    let parameters = Parameters::fused(11, 15);
    let mut highest: BTreeMap<usize, usize> = BTreeMap::new();
    for key in parameters.bootstrap_rotations() {
        highest.insert(key.steps, key.level);
    }
    for node in &program.nodes {
        if let Op::Linear { x, map } = node.op {
            let (x, map) = (&program.nodes[x], &program.maps[map]);
            let offsets = map.offsets(&x.layout, &node.layout).expect("layouts fit");
            let inside = offsets
                .rotations(map.giant)
                .into_iter()
                .map(|steps| (steps, x.level));
            let folds = offsets.folds.iter().map(|&steps| (steps, node.level));
            for (steps, level) in inside.chain(folds) {
                let entry = highest.entry(steps).or_insert(level);
                *entry = level.max(*entry);
            }
        }
    }
    let products = parameters.bootstrap_products();
    let keys = KeyManifest {
        rotations: highest
            .into_iter()
            .map(|(steps, level)| RotationKey { steps, level })
            .collect(),
        relinearisation: products,
        conjugation: products,
        encapsulation: true,
    };
    Plan {
        model: "residual.onnx".to_string(),
        target_security: 128,
        insecure: true,
        certificate: security::certificate(&parameters, &keys),
        preprocess: Preprocess {
            mean: vec![0.5; 3],
            std: vec![0.25; 3],
            width: 8,
            height: 8,
            channels: 3,
            classes: (0..10).map(|i| format!("class {i}")).collect(),
        },
        prediction: Prediction {
            nodes: vec![0.125; program.nodes.len()],
            setup: 0.5,
            threads: 2,
            machine: "reference".to_string(),
            peak_bytes: 1 << 30,
            key_bytes: 1 << 29,
        },
        program,
        keys,
        parameters,
    }
}
