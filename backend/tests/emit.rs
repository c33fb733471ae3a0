//! Plans of small programs built by hand: keys, certificates, predictions, refusals.

use hecc_backend::{BackendError, emit};
use hecc_ir::costs::CostTable;
use hecc_ir::layout::Layout;
use hecc_ir::nn::{Linear, Shape, Window};
use hecc_ir::params::{Chain, Parameters};
use hecc_ir::plan::{Plan, Preprocess, RotationKey};
use hecc_ir::program::{LinearMap, Node, Op, Program};

const UNIT: f64 = 2.0;

fn layout(parameters: &Parameters) -> Layout {
    Layout {
        slots: parameters.slots(),
        parts: 1,
        shape: Shape::new(4, 8, 8),
        gap: 1,
        rows: 8,
        cols: 8,
        copies: 1,
        twist: 0,
    }
}

/// Nodes of these operators at these levels, all of one layout, scale and unit but where a product says
/// otherwise; every map a convolution that shifts along rows: offsets 0, 1 and -1.
fn program(parameters: &Parameters, nodes: &[(Op, usize)]) -> Program {
    let mut program = Program {
        nodes: Vec::new(),
        maps: Vec::new(),
    };
    for (op, level) in nodes {
        let (mut scale, mut unit) = (parameters.scale(), UNIT);
        match op {
            Op::Mul { x, y } => {
                let (x, y) = (&program.nodes[*x], &program.nodes[*y]);
                scale = x.scale * y.scale / parameters.q[level + 1] as f64;
                unit = x.unit * y.unit;
            }
            Op::Linear { x, .. } => program.maps.push(LinearMap {
                stages: vec![Linear::Conv {
                    weight: (0..12).map(|i| 0.1 * i as f32).collect(),
                    bias: vec![0.5; 4],
                    out_channels: 4,
                    window: Window {
                        kernel: [1, 3],
                        stride: [1, 1],
                        pads: [0, 1, 0, 1],
                        dilation: [1, 1],
                        groups: 4,
                    },
                }],
                gain: program.nodes[*x].unit / UNIT,
                bias_gain: 1.0 / UNIT,
                fold: false,
                giant: 4,
            }),
            Op::Input
            | Op::MulConst { .. }
            | Op::Add { .. }
            | Op::Polynomial { .. }
            | Op::Activate { .. } => {}
        }
        program.nodes.push(Node {
            op: op.clone(),
            name: format!("node{}", program.nodes.len()),
            layout: layout(parameters),
            level: *level,
            scale,
            unit,
            target: None,
        });
    }
    program.verify(parameters).unwrap();
    program
}

/// A map, its square, and a map on an operand that stands two levels higher than it needs.
fn levelled(parameters: &Parameters) -> Program {
    let nodes = [
        (Op::Input, 4),
        (Op::Linear { x: 0, map: 0 }, 3),
        (Op::Mul { x: 1, y: 1 }, 2),
        (Op::Linear { x: 2, map: 1 }, 0),
    ];
    program(parameters, &nodes)
}

/// A map and an activation whose result falls to the last map.
fn bootstrapped(parameters: &Parameters) -> Program {
    let activate = Op::Activate {
        x: 1,
        coefficients: vec![0.1; 16],
        rho: 0.9,
    };
    let nodes = [
        (Op::Input, 3),
        (Op::Linear { x: 0, map: 0 }, 2),
        (activate, 2),
        (Op::Linear { x: 2, map: 1 }, 0),
    ];
    program(parameters, &nodes)
}

fn chain(log_n: u32, levels: usize) -> Parameters {
    Parameters::from_chain(&Chain {
        log_n,
        bottom: 40,
        levelled: (levels, 34),
        bootstrap: None,
        special: (3, 40),
        digit: 3,
    })
    .unwrap()
}

fn preprocess() -> Preprocess {
    Preprocess {
        mean: vec![0.5; 4],
        std: vec![0.25; 4],
        width: 8,
        height: 8,
        channels: 4,
        classes: Vec::new(),
    }
}

fn plan(program: Program, parameters: Parameters, target: u32) -> Result<Plan, BackendError> {
    let insecure = parameters.log_n < 13;
    let costs = CostTable::reference();
    emit(
        program,
        parameters,
        target,
        insecure,
        "m.onnx",
        preprocess(),
        costs,
    )
}

fn key(steps: usize, level: usize) -> RotationKey {
    RotationKey { steps, level }
}

#[test]
fn keys_are_as_high_as_operators_run() {
    let parameters = chain(11, 4);
    let plan = plan(levelled(&parameters), parameters, 128).unwrap();
    assert!(plan.insecure);
    // Offset -1 is baby 3 and giant 1020; the second map runs at level 1, not at its operand's 2.
    assert_eq!(plan.keys.rotations, [key(1, 4), key(3, 4), key(1020, 4)]);
    assert_eq!(plan.keys.relinearisation, Some(3));
    assert_eq!(
        (plan.keys.conjugation, plan.keys.encapsulation),
        (None, false)
    );
    assert_eq!(plan.certificate.len(), 3);
    assert_eq!(plan.prediction.setup, 0.0);
    assert_eq!(plan.prediction.nodes.len(), 4);
    assert!(plan.prediction.nodes[1] > plan.prediction.nodes[3]);
    // 3 rotations of two digits at 176 bits and 3 special primes, a product at level 3; keys of 2^11.
    let bits = |level: usize| {
        let primes = plan.parameters.q[..=level].iter().chain(&plan.parameters.p);
        primes.map(|q| u64::from(q.ilog2()) + 1).sum::<u64>()
    };
    let expect = 120 + 4 * 64 + 256 * 2 * (3 * bits(4) + bits(3));
    assert_eq!(plan.prediction.key_bytes, expect);
    assert!(plan.prediction.peak_bytes > expect);
}

#[test]
fn keys_of_a_bootstrap() {
    let parameters = Parameters::fused(11, 15);
    let plan = plan(bootstrapped(&parameters), parameters.clone(), 128).unwrap();
    let after = parameters.bootstrap_products();
    assert_eq!(plan.keys.conjugation, after);
    assert_eq!(plan.keys.relinearisation, after);
    assert!(
        plan.keys.encapsulation
            && plan.keys.rotations.len() >= parameters.bootstrap_rotations().len()
    );
    assert_eq!(plan.certificate.len(), 6);
    let costs = CostTable::reference();
    assert_eq!(plan.prediction.nodes[2], costs.bootstrap(&parameters, 15));
    assert_eq!(plan.prediction.setup, costs.bootstrap_setup(&parameters));
}

#[test]
fn targets() {
    let check = |parameters: Parameters, target: u32, expect: Option<&str>| {
        let program = match parameters.bootstrap {
            Some(_) => bootstrapped(&parameters),
            None => levelled(&parameters),
        };
        match (plan(program, parameters, target), expect) {
            (Ok(plan), None) => {
                assert!(!plan.insecure && plan.target_security == target);
                assert!(
                    plan.certificate
                        .iter()
                        .all(|k| k.security >= f64::from(target))
                );
            }
            (Err(error), Some(expect)) => {
                assert!(error.to_string().contains(expect), "{error}");
            }
            (result, expect) => panic!("{:?}, expected {expect:?}", result.map(|p| p.certificate)),
        }
    };
    let fused = || Parameters::fused(15, 15);
    check(fused(), 128, None);
    check(fused(), 192, Some("only a plan without one"));
    check(fused(), 100, Some("a target of 100 bits"));
    // 40 + 4 * 34 + 3 * 40 = 296 bits.
    check(chain(14, 4), 192, None);
    check(chain(15, 4), 256, None);
    check(chain(14, 4), 256, Some("use a larger ring"));
    check(chain(13, 4), 128, Some("worth 93 bits"));
}

#[test]
fn preprocessing_fits_the_input() {
    let check = |edit: fn(&mut Preprocess)| {
        let parameters = chain(11, 4);
        let mut preprocess = preprocess();
        edit(&mut preprocess);
        let program = levelled(&parameters);
        let costs = CostTable::reference();
        let error = emit(program, parameters, 128, true, "m", preprocess, costs).unwrap_err();
        assert!(matches!(error, BackendError::Preprocess(_)), "{error}");
    };
    check(|p| p.width = 9);
    check(|p| p.mean = Vec::new());
    check(|p| p.classes = vec!["cat".to_string()]);
}
