//! A program without bootstraps: products, a polynomial, two ciphertexts, operands that stand higher.

use std::collections::BTreeMap;

use crate::function::Function;
use crate::layout::Layout;
use crate::nn::{Linear, Shape, Window};
use crate::params::{Chain, Parameters};
use crate::plan::{KeyManifest, Plan, Prediction, Preprocess, RotationKey};
use crate::program::{LinearMap, Node, Op, Program, Target};
use crate::security;
use crate::testing::{Random, conv};

/// Nine levels of about 30 bits in a ring of 1024 slots.
pub fn levelled_parameters() -> Parameters {
    Parameters::from_chain(&Chain {
        log_n: 11,
        bottom: 40,
        levelled: (9, 30),
        bootstrap: None,
        special: (3, 40),
        digit: 3,
    })
    .expect("a small ring")
}

/// On 3x8x8 images in 1024 slots, at the levels of [`levelled_parameters`]: a convolution into two
/// ciphertexts, its square, a convolution back into one, x p(x) in place of a ReLU, a skip, a classifier.
pub fn levelled_program() -> Program {
    let mut random = Random::new(21);
    let q = levelled_parameters().q;
    let layout = |c: usize, parts: usize| Layout {
        slots: 1024,
        parts,
        shape: Shape::new(c, 8, 8),
        gap: 1,
        rows: 8,
        cols: 8,
        copies: 1,
        twist: 0,
    };
    let (image, wide, narrow) = (layout(3, 1), layout(24, 2), layout(4, 1));
    let logits = Layout {
        shape: Shape::new(10, 1, 1),
        rows: 1,
        cols: 1,
        ..narrow.clone()
    };
    let scale = f64::from(1 << 30);
    let function = |x, function| {
        Some(Target {
            x,
            function: Some(function),
        })
    };
    let square = function(1, Function::Power { exponent: 2 });
    let relu = function(3, Function::Relu);
    // About (1 + sgn x)/2.
    let coefficients = vec![0.5, 0.6, 0.0, -0.1];
    let mut nodes = Vec::new();
    let mut push = |op, layout: &Layout, level, scale, unit, target| {
        nodes.push(Node {
            op,
            name: format!("node{}", nodes.len()),
            layout: layout.clone(),
            level,
            scale,
            unit,
            target,
        });
    };
    let product = |level: usize| scale * scale / q[level + 1] as f64;
    push(Op::Input, &image, 9, scale, 2.0, None);
    push(Op::Linear { x: 0, map: 0 }, &wide, 7, scale, 4.0, None);
    push(Op::Mul { x: 1, y: 1 }, &wide, 6, product(6), 16.0, square);
    push(Op::Linear { x: 2, map: 1 }, &narrow, 5, scale, 30.0, None);
    push(
        Op::Polynomial { x: 3, coefficients },
        &narrow,
        3,
        scale,
        1.0,
        None,
    );
    push(Op::Mul { x: 3, y: 4 }, &narrow, 2, product(2), 30.0, relu);
    push(Op::Linear { x: 5, map: 2 }, &narrow, 1, scale, 60.0, None);
    push(
        Op::MulConst { x: 3, factor: 0.5 },
        &narrow,
        1,
        scale,
        60.0,
        None,
    );
    push(Op::Add { x: 6, y: 7 }, &narrow, 1, scale, 60.0, None);
    push(Op::Linear { x: 8, map: 3 }, &logits, 0, scale, 90.0, None);
    let classifier = Linear::Gemm {
        weight: random.floats(10 * 256),
        bias: random.floats(10),
        rows: 10,
    };
    let mut stages = [[3, 24], [24, 4], [4, 4]]
        .map(|channels| conv(&mut random, channels, Window::same(3, 1)))
        .to_vec();
    stages.push(classifier);
    let gains = [(2.0, 4.0), (16.0, 30.0), (30.0, 60.0), (60.0, 90.0)];
    let map = |(stage, (from, to)): (Linear, (f64, f64))| LinearMap {
        stages: vec![stage],
        gain: from / to,
        bias_gain: 1.0 / to,
        fold: false,
        giant: 32,
    };
    Program {
        nodes,
        maps: stages.into_iter().zip(gains).map(map).collect(),
    }
}

/// A plan of [`levelled_program`] on its small insecure ring.
pub fn levelled_plan() -> Plan {
    let (program, parameters) = (levelled_program(), levelled_parameters());
    let mut highest: BTreeMap<usize, usize> = BTreeMap::new();
    for node in &program.nodes {
        if let Op::Linear { x, map } = node.op {
            let (x, map) = (&program.nodes[x], &program.maps[map]);
            let offsets = map.offsets(&x.layout, &node.layout).expect("layouts fit");
            for steps in offsets.rotations(map.giant) {
                let level = highest.entry(steps).or_insert(node.level + 1);
                *level = (node.level + 1).max(*level);
            }
        }
    }
    let keys = KeyManifest {
        rotations: highest
            .into_iter()
            .map(|(steps, level)| RotationKey { steps, level })
            .collect(),
        // The square of node 2.
        relinearisation: Some(7),
        conjugation: None,
        encapsulation: false,
    };
    Plan {
        model: "levelled.onnx".to_string(),
        target_security: 192,
        insecure: true,
        certificate: security::certificate(&parameters, &keys),
        preprocess: Preprocess {
            mean: vec![0.5; 3],
            std: vec![0.25; 3],
            width: 8,
            height: 8,
            channels: 3,
            classes: Vec::new(),
        },
        prediction: Prediction {
            nodes: vec![0.25; program.nodes.len()],
            threads: 2,
            ..Prediction::default()
        },
        program,
        keys,
        parameters,
    }
}
