//! Small programs: against the meaning of the language, and against the formulas.

use crate::{Simulator, Totals, predict};
use hecc_ir::function::Function;
use hecc_ir::layout::Layout;
use hecc_ir::nn::{Linear, Shape, Window};
use hecc_ir::params::Parameters;
use hecc_ir::plan::{KeyManifest, Plan, Prediction, Preprocess};
use hecc_ir::program::{LinearMap, Node, Op, Program, Target, Value};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const SHAPE: Shape = Shape { c: 4, h: 8, w: 8 };

/// A program in the making.
struct Builder {
    parameters: Parameters,
    program: Program,
    random: ChaCha8Rng,
}

impl Builder {
    /// On a ring of 2^11.
    fn new(level: usize, bits: i32) -> Self {
        Self::on(11, level, bits)
    }

    fn on(log_n: u32, level: usize, bits: i32) -> Self {
        let mut builder = Self {
            parameters: Parameters::fused(log_n, 15),
            program: Program {
                nodes: Vec::new(),
                maps: Vec::new(),
            },
            random: ChaCha8Rng::seed_from_u64(5),
        };
        builder.push(Op::Input, SHAPE, level, 2f64.powi(bits), 2.0, None);
        builder
    }

    fn push(
        &mut self,
        op: Op,
        shape: Shape,
        level: usize,
        scale: f64,
        unit: f64,
        target: Option<Target>,
    ) -> Value {
        let layout = Layout {
            slots: self.parameters.slots(),
            parts: 1,
            shape,
            gap: 1,
            rows: shape.h,
            cols: shape.w,
            copies: 4,
            twist: 0,
        };
        let name = format!("node{}", self.program.nodes.len());
        self.program.nodes.push(Node {
            op,
            name,
            layout,
            level,
            scale,
            unit,
            target,
        });
        self.program.nodes.len() - 1
    }

    fn last(&self) -> (Value, Node) {
        let value = self.program.nodes.len() - 1;
        (value, self.program.nodes[value].clone())
    }

    fn linear(&mut self, stage: Linear, fold: bool, scale: f64, unit: f64) -> Value {
        let (x, from) = self.last();
        let shape = stage.output_shape(from.layout.shape).unwrap();
        self.program.maps.push(LinearMap {
            stages: vec![stage],
            gain: from.unit / unit,
            bias_gain: 1.0 / unit,
            fold,
            giant: 16,
        });
        let map = self.program.maps.len() - 1;
        self.push(
            Op::Linear { x, map },
            shape,
            from.level - 1,
            scale,
            unit,
            None,
        )
    }

    fn conv(&mut self, fold: bool, scale: f64, unit: f64) -> Value {
        let mut floats = |n: usize| {
            (0..n)
                .map(|_| self.random.random_range(-0.3..0.3))
                .collect()
        };
        let stage = Linear::Conv {
            weight: floats(4 * 4 * 9),
            bias: floats(4),
            out_channels: 4,
            window: Window::same(3, 1),
        };
        self.linear(stage, fold, scale, unit)
    }

    fn plan(self) -> Plan {
        self.program.verify(&self.parameters).unwrap();
        Plan {
            model: "small.onnx".into(),
            parameters: self.parameters,
            insecure: true,
            target_security: 128,
            certificate: Vec::new(),
            preprocess: Preprocess {
                mean: vec![0.5; 4],
                std: vec![0.25; 4],
                width: 8,
                height: 8,
                channels: 3,
                classes: Vec::new(),
            },
            program: self.program,
            keys: KeyManifest::default(),
            prediction: Prediction::default(),
        }
    }
}

/// A function as a series in the cosine of the angle.
fn series(degree: usize, function: fn(f64) -> f64) -> Vec<f64> {
    let theta = |j: usize| std::f64::consts::PI * (j as f64 + 0.5) / 512.0;
    let value = |t: f64| function((t / std::f64::consts::FRAC_PI_2 - 1.0) / 0.92);
    (0..=degree)
        .map(|k| {
            let sum: f64 = (0..512)
                .map(|j| value(theta(j)) * (k as f64 * theta(j)).cos())
                .sum();
            sum * if k == 0 { 1.0 } else { 2.0 } / 512.0
        })
        .collect()
}

fn relu(x: f64) -> f64 {
    x.max(0.0)
}

/// conv, bootstrapped ReLU, folding conv, square, its polynomial, classifier.
fn mixed() -> Plan {
    let mut b = Builder::new(3, 30);
    let conv = b.conv(false, 2f64.powi(30), 4.0);
    let relu = Op::Activate {
        x: conv,
        coefficients: series(3, relu),
        rho: 0.92,
    };
    let target = |x, function| Some(Target { x, function });
    let top = b.parameters.activation_out(3).unwrap();
    b.push(
        relu,
        SHAPE,
        top,
        2f64.powi(30),
        4.0,
        target(conv, Some(Function::Relu)),
    );
    let folded = b.conv(true, 2f64.powi(30), 6.0);
    let q = b.parameters.q[top - 1] as f64;
    let square = Op::Mul {
        x: folded,
        y: folded,
    };
    b.push(square, SHAPE, top - 2, 2f64.powi(60) / q, 36.0, None);
    let gemm = Linear::Gemm {
        weight: (0..10 * 256)
            .map(|i| ((i * 37 % 101) as f32 - 50.0) / 400.0)
            .collect(),
        bias: vec![0.25; 10],
        rows: 10,
    };
    b.linear(gemm, true, 2f64.powi(30), 8.0);
    b.plan()
}

fn images(n: u64) -> impl Iterator<Item = Vec<f32>> {
    (0..n).map(|i| {
        let mut random = ChaCha8Rng::seed_from_u64(100 + i);
        (0..256).map(|_| random.random_range(-2.0..2.0)).collect()
    })
}

#[test]
fn without_noise_the_language_with_targets_the_network() {
    let plan = mixed();
    let simulator = Simulator::new(&plan).unwrap();
    for image in images(4) {
        let wide: Vec<f64> = image.iter().map(|&v| f64::from(v)).collect();
        let run = simulator.run(&image, 1).unwrap();
        let near = |got: &[f32], expect: &[f64]| {
            assert_eq!(got.len(), expect.len());
            for (&got, expect) in got.iter().zip(expect) {
                assert!((f64::from(got) - expect).abs() < 1e-4, "{got}, {expect}");
            }
        };
        near(&run.exact, &plan.program.evaluate(&wide).unwrap());
        let network = plan.program.reference(&wide).unwrap();
        near(&run.network, network.last().unwrap().as_ref().unwrap());
        assert_eq!(run, simulator.run(&image, 1).unwrap());
        assert_ne!(run.output, simulator.run(&image, 2).unwrap().output);
        assert!(run.nodes[2].approximation.unwrap().square > 1e-3);
        assert!(run.nodes[2].outside.is_some() && run.nodes[3].outside.is_none());
        assert!(simulator.run(&image[1..], 1).is_err());
    }
}

/// Noise of the last value over some runs, and what its operation adds by formula.
fn observed(plan: &Plan, operand: f64) -> (f64, f64) {
    let simulator = Simulator::new(plan).unwrap();
    let mut sum = crate::NodeRun::default();
    let last = plan.program.nodes.len() - 1;
    for (seed, image) in images(40).enumerate() {
        let run = simulator.run(&image, seed as u64).unwrap();
        sum = sum.merge(run.nodes[last]);
    }
    (sum.noise_sd(), simulator.own_noise(last, operand))
}

#[test]
fn observed_deviations_are_the_formulas() {
    let check = |build: &dyn Fn(&mut Builder), passed: f64| {
        let mut b = Builder::new(12, 30);
        build(&mut b);
        let (seen, own) = observed(&b.plan(), 0.5);
        let expect = (own * own + passed * passed).sqrt();
        assert!((seen / expect - 1.0).abs() < 0.05, "{seen:e}, {expect:e}");
    };
    let b = Builder::new(12, 30);
    let model = crate::noise::Model::new(&b.parameters);
    let fresh = model.fresh(2f64.powi(30));
    check(&|_| (), 0.0);
    check(
        &|b| {
            let factor = Op::MulConst { x: 0, factor: 0.25 };
            b.push(factor, SHAPE, 11, 2f64.powi(30), 8.0, None);
        },
        fresh / 4.0,
    );
    // x^2 with x uniform in +-1 passes 2 x e: root mean square 2/sqrt(3).
    check(
        &|b| {
            let scale = 2f64.powi(60) / b.parameters.q[12] as f64;
            b.push(Op::Mul { x: 0, y: 0 }, SHAPE, 11, scale, 4.0, None);
        },
        fresh * 2.0 / 3f64.sqrt(),
    );
    check(
        &|b| {
            b.push(Op::Add { x: 0, y: 0 }, SHAPE, 12, 2f64.powi(30), 2.0, None);
        },
        2.0 * fresh,
    );
    // Four channels of nine taps of variance 0.03, less what the padding takes: 22/24 each way.
    let row = (36.0 * 0.03 * (22.0f64 / 24.0).powi(2)).sqrt();
    for fold in [false, true] {
        check(
            &|b| {
                b.conv(fold, 2f64.powi(30), 2.0);
            },
            fresh * row,
        );
    }
    // The identity as a series of degree 1 passes on its operand's noise.
    check(
        &|b| {
            let identity = Op::Polynomial {
                x: 0,
                coefficients: vec![0.0, 1.0],
            };
            b.push(identity, SHAPE, 11, 2f64.powi(30), 2.0, None);
        },
        fresh,
    );
}

/// The figures are what `cargo run --release -p hecc-client --example noise` printed for whole
/// bootstraps of operands uniform in +-1: N = 2^15, y at scale 2^34, result at scale 2^30.
#[test]
fn bootstraps_have_the_noise_that_was_measured() {
    let measured = [
        (1, [1.257e-4, 6.299e-5]),
        (7, [2.153e-4, 5.378e-5]),
        (15, [2.422e-4, 5.464e-5]),
    ];
    for (degree, figures) in measured {
        let functions: [fn(f64) -> f64; 2] = [|x| x, relu];
        for (function, figure) in functions.into_iter().zip(figures) {
            let mut b = Builder::on(15, 2, 30);
            let op = Op::Activate {
                x: 0,
                coefficients: series(degree, function),
                rho: 0.92,
            };
            b.push(op, SHAPE, 3, 2f64.powi(30), 1.0, None);
            let (seen, _) = observed(&b.plan(), 0.0);
            assert!(
                (seen / figure - 1.0).abs() < 0.15,
                "{degree}: {seen:e}, {figure:e}"
            );
        }
    }
}

#[test]
fn divergence_is_found_and_counted() {
    let mut b = Builder::new(12, 35);
    let steep = Op::Polynomial {
        x: 0,
        coefficients: series(31, relu),
    };
    b.push(steep, SHAPE, 7, 2f64.powi(30), 2.0, None);
    let plan = b.plan();
    let simulator = Simulator::new(&plan).unwrap();
    let mut totals = Totals::default();
    for (value, expect) in [
        (0.5, None),
        (1e20, Some(1)),
        (f32::NAN, Some(0)),
        (4e3, Some(1)),
    ] {
        let run = simulator.run(&[value; 256], 3).unwrap();
        assert_eq!(run.diverged, expect, "{value}");
        totals.add(&run, Some(0));
    }
    let report = totals.report(&simulator);
    assert_eq!((report.images, report.divergent), (4, 3));
    let divergences = report.divergences.iter().map(|d| (d.value, d.images));
    assert!(divergences.eq([(0, 1), (1, 2)]));
    assert_eq!((report.agreement.of, report.stable.of), (1, 1));
    assert_eq!(report.layers[1].outside, Some(0.0));
    assert!(
        predict(&plan)
            .unwrap()
            .iter()
            .all(|&sd| sd > 0.0 && sd < 1e-2)
    );
}

#[test]
fn reports() {
    let plan = mixed();
    let simulator = Simulator::new(&plan).unwrap();
    let mut totals = Totals::default();
    for (seed, image) in images(64).enumerate() {
        let run = simulator.run(&image, seed as u64).unwrap();
        totals.add(&run, Some(seed % 10));
    }
    let report = totals.report(&simulator);
    assert_eq!(
        (report.images, report.divergent, report.network_divergent),
        (64, 0, 0)
    );
    assert_eq!(report.accuracy.unwrap().of, 64);
    assert!(report.output.largest < report.output.bound && report.output.sd > 0.0);
    assert!(report.output.approximation > report.output.sd);
    // v2 is the first approximated value; before, plan and network are the same.
    let approximated = |value: usize| report.layers[value].approximation_bits;
    assert!(approximated(1).is_none() && approximated(2).unwrap() < 9.0);
    // The noise of a bootstrap passes through P, of slope up to 1.
    let activation = &report.layers[2];
    assert!(activation.noise > 5.0 * activation.own_noise);
}
