//! The simulator's prediction of every value's error against what decrypts, on a small insecure ring.

use std::collections::BTreeMap;
use std::sync::Arc;

use hecc_ckks::{Ciphertext, Context, EvaluationKeys};
use hecc_client::{KeyGenerator, SecretKey, SecretSeed};
use hecc_ir::costs::CostTable;
use hecc_ir::layout::Layout;
use hecc_ir::nn::{Linear, Shape, Window};
use hecc_ir::params::{BootstrapChain, Chain, Parameters};
use hecc_ir::plan::{Plan, Preprocess};
use hecc_ir::program::{LinearMap, Node, Op, Program, Value};
use hecc_runtime::{Observer, Session, plan_file};
use hecc_simulator::Simulator;

const LOG_N: u32 = 11;
const SHAPE: Shape = Shape { c: 4, h: 8, w: 8 };
/// Predicted and measured standard deviations agree within this factor. A measured one rests on a
/// thousand slots, of which a bootstrap's few largest errors make up much.
const FACTOR: f64 = 1.5;

/// Reproducible numbers in [-1, 1).
fn numbers(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 40) as f32 / (1u32 << 23) as f32 - 1.0
    };
    next();
    (0..count).map(|_| next()).collect()
}

/// A program in the making; every value has the layout of the input and the unit 1.
struct Builder {
    parameters: Parameters,
    program: Program,
}

impl Builder {
    fn new(chain: &Chain, level: impl Fn(&Parameters) -> usize) -> Self {
        let mut builder = Self {
            parameters: Parameters::from_chain(chain).unwrap(),
            program: Program {
                nodes: Vec::new(),
                maps: Vec::new(),
            },
        };
        let (level, scale) = (level(&builder.parameters), builder.parameters.scale());
        builder.push(Op::Input, level, scale);
        builder
    }

    fn push(&mut self, op: Op, level: usize, scale: f64) -> Value {
        let layout = Layout {
            slots: 1 << (LOG_N - 1),
            parts: 1,
            shape: SHAPE,
            gap: 1,
            rows: SHAPE.h,
            cols: SHAPE.w,
            copies: 4,
            twist: 0,
        };
        let nodes = &mut self.program.nodes;
        nodes.push(Node {
            op,
            name: format!("node{}", nodes.len()),
            layout,
            level,
            scale,
            unit: 1.0,
            target: None,
        });
        nodes.len() - 1
    }

    fn conv(&mut self, x: Value, fold: bool) -> Value {
        let conv = Linear::Conv {
            weight: numbers(4 * 4 * 9, 3).iter().map(|w| w * 0.15).collect(),
            bias: numbers(4, 4).iter().map(|b| b * 0.1).collect(),
            out_channels: 4,
            window: Window::same(3, 1),
        };
        self.program.maps.push(LinearMap {
            stages: vec![conv],
            gain: 1.0,
            bias_gain: 1.0,
            fold,
            giant: 64,
        });
        let (map, level) = (self.program.maps.len() - 1, self.program.nodes[x].level - 1);
        self.push(Op::Linear { x, map }, level, self.parameters.scale())
    }

    fn mul(&mut self, x: Value, y: Value) -> Value {
        let nodes = &self.program.nodes;
        let level = nodes[x].level.min(nodes[y].level) - 1;
        let scale = nodes[x].scale * nodes[y].scale / self.parameters.q[level + 1] as f64;
        self.push(Op::Mul { x, y }, level, scale)
    }

    fn series(&mut self, x: Value, coefficients: Vec<f64>) -> Value {
        let level = self.program.nodes[x].level - hecc_ir::params::depth(coefficients.len() - 1);
        let op = Op::Polynomial { x, coefficients };
        self.push(op, level, self.parameters.scale())
    }

    fn plan(self) -> Plan {
        let preprocess = Preprocess {
            mean: vec![0.0; 4],
            std: vec![1.0; 4],
            width: 8,
            height: 8,
            channels: 4,
            classes: Vec::new(),
        };
        let costs = CostTable::reference();
        hecc_backend::emit(
            self.program,
            self.parameters,
            128,
            true,
            "small.onnx",
            preprocess,
            costs,
        )
        .unwrap()
    }
}

/// Chebyshev coefficients of `function`, by projection.
fn chebyshev(degree: usize, function: fn(f64) -> f64) -> Vec<f64> {
    let theta = |j: usize| std::f64::consts::PI * (j as f64 + 0.5) / 1024.0;
    (0..=degree)
        .map(|k| {
            let term = |j: usize| function(theta(j).cos()) * (k as f64 * theta(j)).cos();
            let sum: f64 = (0..1024).map(term).sum();
            sum * if k == 0 { 1.0 } else { 2.0 } / 1024.0
        })
        .collect()
}

/// Maps with and without folds, products, and a ReLU as x times a composition of steep polynomials.
fn levelled() -> Plan {
    let chain = Chain {
        log_n: LOG_N,
        bottom: 44,
        levelled: (16, 34),
        bootstrap: None,
        special: (3, 48),
        digit: 3,
    };
    let mut b = Builder::new(&chain, Parameters::top);
    let x = b.conv(0, false);
    let x = b.conv(x, true);
    let square = b.mul(x, x);
    let constant = b.program.nodes[x].level - 1;
    let scale = b.program.nodes[square].scale;
    let third = b.push(Op::MulConst { x, factor: 1.0 }, constant, scale);
    let x = b.push(
        Op::Add {
            x: square,
            y: third,
        },
        constant,
        scale,
    );
    let x = b.conv(x, false);
    let inner = b.series(x, chebyshev(7, |x| (3.0 * x).tanh()));
    let sign = b.series(inner, chebyshev(27, |x| 0.5 + 0.5 * (8.0 * x).tanh()));
    b.mul(x, sign);
    b.plan()
}

/// Two activations inside bootstraps, one of them the identity.
fn bootstrapped() -> Plan {
    let chain = Chain {
        log_n: LOG_N,
        bottom: 32,
        levelled: (1, 30),
        bootstrap: Some(BootstrapChain {
            p: (4, 34),
            cosine: 35,
            cts_groups: 3,
        }),
        special: (4, 46),
        digit: 5,
    };
    let mut b = Builder::new(&chain, |p| p.activation_out(15).unwrap());
    let (level, scale) = (b.program.nodes[0].level, b.parameters.scale());
    let relu = chebyshev(15, |y| {
        ((y.acos() / std::f64::consts::FRAC_PI_2 - 1.0) / 0.92).max(0.0)
    });
    let identity = chebyshev(7, |y| (y.acos() / std::f64::consts::FRAC_PI_2 - 1.0) / 0.92);
    let activate = |x, coefficients| Op::Activate {
        x,
        coefficients,
        rho: 0.92,
    };
    let x = b.conv(0, false);
    let x = b.push(activate(x, relu), level, scale);
    let x = b.conv(x, true);
    let x = b.push(activate(x, identity), level, scale);
    b.conv(x, false);
    b.plan()
}

/// Root mean square over the slots of every value's error.
struct Errors<'a> {
    context: &'a Context,
    secret: &'a SecretKey,
    exact: &'a [Vec<f64>],
    measured: Vec<f64>,
}

impl Observer for Errors<'_> {
    fn value(&mut self, value: Value, parts: &[Ciphertext]) {
        let decrypt = |part| hecc_client::decrypt(self.context, self.secret, part);
        let slots = parts.iter().flat_map(decrypt);
        let exact = &self.exact[value];
        let square: f64 = slots.zip(exact).map(|(a, b)| (a - b).powi(2)).sum();
        self.measured.push((square / exact.len() as f64).sqrt());
    }
}

fn check(plan: Plan) {
    let context = plan_file::context(&plan).unwrap();
    let secret = SecretKey::from_seed(&context, &SecretSeed::random().unwrap());
    let mut make = KeyGenerator::new(&context, &secret).unwrap();
    let keys = &plan.keys;
    let bootstrap = plan.parameters.bootstrap.as_ref();
    let rotations = keys.rotations.iter();
    let keys = EvaluationKeys {
        relinearisation: keys
            .relinearisation
            .map(|level| make.relinearisation(level)),
        conjugation: keys.conjugation.map(|level| make.conjugation(level)),
        encapsulation: bootstrap.map(|b| make.encapsulation(b.sparse_weight)),
        rotations: rotations
            .map(|key| (key.steps, make.rotation(key.steps, key.level)))
            .collect::<BTreeMap<_, _>>(),
    };

    let image = numbers(SHAPE.elements(), 9);
    let wide: Vec<f64> = image.iter().map(|&v| f64::from(v)).collect();
    let mut exact = Vec::new();
    plan.program
        .evaluate_slots(&wide, &mut |_, slots| exact.push(slots.to_vec()))
        .unwrap();
    let predicted = Simulator::new(&plan).unwrap().predict(&image, 1).unwrap();
    let names: Vec<String> = plan
        .program
        .nodes
        .iter()
        .map(|n| format!("{:?}", n.op))
        .collect();

    let input = &plan.program.nodes[0];
    let encrypted = hecc_client::encrypt(
        &context,
        &secret,
        &input.layout.pack(&wide),
        input.level,
        input.scale,
    );
    let encrypted = vec![encrypted.unwrap().expand(&context)];
    let mut errors = Errors {
        context: &context,
        secret: &secret,
        exact: &exact,
        measured: Vec::new(),
    };
    let session = Session::new(plan, Arc::clone(&context), keys);
    session.run(encrypted, &mut errors).unwrap();
    let mut wrong = Vec::new();
    for (value, (predicted, measured)) in predicted.iter().zip(&errors.measured).enumerate() {
        let ratio = predicted / measured;
        let line = format!(
            "v{value} predicted {predicted:.2e} measured {measured:.2e} ratio {ratio:.2} {:.40}",
            names[value]
        );
        println!("{line}");
        if !(1.0 / FACTOR..FACTOR).contains(&ratio) {
            wrong.push(line);
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn levelled_values_have_the_predicted_errors() {
    check(levelled());
}

#[test]
fn bootstrapped_values_have_the_predicted_errors() {
    check(bootstrapped());
}
