//! The latency oracle against the pipeline it stands for.

mod networks;

use hecc_backend::emit;
use hecc_ir::function::{Approximation, Function};
use hecc_ir::nn::{Graph, Linear, Op};
use hecc_ir::plan::Preprocess;
use hecc_passes::latency::{Oracle, Predicted};
use hecc_passes::replace::{activations, apply};
use hecc_passes::{Folded, Lowered, Options, PassError, fold_linear, lower};
use networks::{
    Numbers, Style, calibrate, dense, digits, evaluate, exact, image, mobile, pre_activation,
    resnet,
};

/// Alternatives of an activation, as different in structure as a search's.
const KINDS: usize = 10;

fn alternative(graph: &Graph, activation: usize, kind: usize) -> Op {
    let id = activations(graph)[activation];
    let c = graph.nodes[id].shape.c;
    // Ranges differ, as calibrated ones do.
    let range = 7.0 + 0.37 * activation as f64;
    let series = |degree: usize| -> Vec<f64> {
        let mut series = vec![1e-3; degree + 1];
        series[1] = 0.4;
        series
    };
    let levelled = |degrees: &[usize], times_x| Approximation::Levelled {
        range,
        polynomials: degrees.iter().map(|&d| series(d)).collect(),
        times_x,
    };
    let fused = |degree| Approximation::Fused {
        range,
        rho: 0.92,
        coefficients: series(degree),
    };
    let affine = |scale, shift| {
        Op::Linear(Linear::Affine {
            scale: vec![scale; c],
            shift: vec![shift; c],
        })
    };
    let approximated = |a| Op::Activation(Function::Approximated(a));
    let rows = |n| {
        Op::Activation(Function::Polynomial {
            coefficients: vec![vec![0.1, 0.5, 1e-3]; n],
        })
    };
    match kind {
        0 => affine(1.0, 0.0),
        1 => affine(0.5, 0.25),
        2 => affine(0.5, 0.0),
        3 => rows(c),
        4 => rows(1),
        5 => approximated(levelled(&[7], false)),
        6 => approximated(levelled(&[3, 7], true)),
        7 => approximated(fused(7)),
        8 => approximated(fused(15)),
        _ => approximated(fused(31)),
    }
}

/// What the pipeline finds for the edited network, calibrated by running it.
fn lowered(folded: &Folded, ops: &[Op], options: &Options) -> Result<Predicted, PassError> {
    let edited = fold_linear(&apply(&folded.graph, ops)).unwrap();
    let calibration = calibrate(&edited.graph, 1);
    let accept = &mut |lowered: Lowered| {
        let best = lowered.report.candidates[0].clone();
        let planned = planned(lowered, options);
        let close = (planned - best.seconds).abs() <= 1e-9 * planned;
        assert!(
            close,
            "the plan takes {planned}, its placement {}",
            best.seconds
        );
        Ok(best)
    };
    let best = lower(&edited, &calibration, options, &mut |_, _| (), accept)?;
    Ok(Predicted {
        seconds: best.seconds,
        bootstraps: best.bootstraps,
        log_n: best.log_n,
        levels: best.levels,
    })
}

/// What the finished plan predicts.
fn planned(lowered: Lowered, options: &Options) -> f64 {
    let shape = lowered.program.nodes[0].layout.shape;
    let preprocess = Preprocess {
        mean: vec![0.0; shape.c],
        std: vec![1.0; shape.c],
        width: shape.w,
        height: shape.h,
        channels: shape.c,
        classes: Vec::new(),
    };
    let (program, parameters) = (lowered.program, lowered.parameters);
    let plan = emit(
        program,
        parameters,
        128,
        false,
        "",
        preprocess,
        &options.costs,
    );
    plan.unwrap().prediction.seconds()
}

/// Compares the oracle with the pipeline, and the pipeline with its plans, on pseudo-random genomes of `kinds`.
fn check(name: &str, graph: &Graph, genomes: usize, kinds: &[usize]) {
    let folded = fold_linear(graph).unwrap();
    let oracle = Oracle::new(&folded, &Options::default()).unwrap();
    let mut numbers = Numbers::new(41);
    for _ in 0..genomes {
        let ops: Vec<Op> = (0..activations(&folded.graph).len())
            .map(|activation| {
                let share = f64::from(numbers.next() + 1.0) / 2.0;
                let kind = (share * kinds.len() as f64) as usize;
                alternative(&folded.graph, activation, kinds[kind.min(kinds.len() - 1)])
            })
            .collect();
        let got = oracle.predict(&ops);
        let expect = lowered(&folded, &ops, &Options::default());
        match (got, expect) {
            (Ok(got), Ok(expect)) => {
                let close = (got.seconds - expect.seconds).abs() <= 1e-9 * expect.seconds;
                let same = Predicted {
                    seconds: got.seconds,
                    ..expect
                };
                assert!(close && got == same, "{name}: {got:?}, expected {expect:?}");
            }
            (got, expect) => {
                assert_eq!(got.is_err(), expect.is_err(), "{name}: {got:?} {expect:?}")
            }
        }
    }
}

#[test]
fn predictions_are_those_of_lower() {
    let all: Vec<usize> = (0..KINDS).collect();
    check("digits", &digits(Style::Folded), 8, &all);
    check("resnet", &resnet(Style::Kept, 1, 4, 8), 5, &all);
    check(
        "pre-activation",
        &pre_activation(Style::Folded, 1, 4, 8),
        8,
        &all,
    );
    check("dense", &dense(Style::Folded, 2, 4, 8), 6, &all);
    check("mobile", &mobile(Style::Folded, 8, 4), 2, &all);
    // Without bootstraps.
    check("levelled", &digits(Style::Folded), 6, &[0, 1, 2, 3, 5]);
    check(
        "ResNet-20",
        &resnet(Style::Folded, 3, 16, 32),
        1,
        &[0, 1, 3, 5, 7, 8],
    );
}

/// Mixtures of lines, quadratics, series and bootstraps mean on slots what they mean on tensors.
#[test]
fn mixtures_keep_their_meaning() {
    let folded = fold_linear(&pre_activation(Style::Folded, 1, 4, 8)).unwrap();
    let count = activations(&folded.graph).len();
    for shift in 0..KINDS {
        let ops: Vec<Op> = (0..count)
            .map(|a| alternative(&folded.graph, a, (3 * a + shift) % KINDS))
            .collect();
        let edited = fold_linear(&apply(&folded.graph, &ops)).unwrap();
        let calibration = calibrate(&edited.graph, 2);
        let options = Options::default();
        let lowered = lower(&edited, &calibration, &options, &mut |_, _| (), &mut Ok).unwrap();
        let image = image(1, folded.graph.nodes[folded.graph.input].shape.elements());
        let expect = evaluate(&edited.graph, &image, exact);
        let got = lowered.program.evaluate(&image).unwrap();
        // A plain bootstrap, and a square in one, are within 2^-11 of the largest value that goes in.
        let ranges = calibration.activations.iter().map(|a| a.max.max(-a.min));
        let range = ranges.fold(calibration.logits, f64::max);
        for (a, b) in expect.iter().zip(&got) {
            let close = (a - b).abs() <= range / 256.0;
            assert!(close, "{shift}: {a} and {b} of {range}");
        }
    }
}

/// Errors as a search would measure them: smaller for larger degrees, larger for earlier layers.
fn error(activation: usize, kind: usize) -> f64 {
    let of_kind = [0.5, 0.3, 0.35, 0.15, 0.16, 0.04, 0.03, 0.08, 0.02, 0.01];
    of_kind[kind] * (1.0 + 0.2 * (activation * 7 % 5) as f64)
}

#[test]
fn the_best_genome_is_about_the_best_of_all() {
    let kinds = [1, 3, 5, 7, 8];
    let check = |name: &str, graph: &Graph| {
        let folded = fold_linear(graph).unwrap();
        let oracle = Oracle::new(&folded, &Options::default()).unwrap();
        let count = activations(&folded.graph).len();
        let candidates: Vec<Vec<Op>> = (0..count)
            .map(|a| kinds.map(|k| alternative(&folded.graph, a, k)).to_vec())
            .collect();
        let errors: Vec<Vec<f64>> = (0..count)
            .map(|a| kinds.map(|k| error(a, k)).to_vec())
            .collect();
        for lambda in [0.0, 1.0, 10.0, 100.0, 1000.0] {
            let total = |genome: &[usize]| {
                let ops: Vec<Op> = (0..count)
                    .map(|a| candidates[a][genome[a]].clone())
                    .collect();
                let worth: f64 = (0..count).map(|a| errors[a][genome[a]]).sum();
                oracle.predict(&ops).unwrap().seconds + lambda * worth
            };
            let all = (0..kinds.len().pow(count as u32)).map(|number| {
                let digit = |a| number / kinds.len().pow(a as u32) % kinds.len();
                (0..count).map(digit).collect::<Vec<usize>>()
            });
            let least = all
                .map(|genome| total(&genome))
                .fold(f64::INFINITY, f64::min);
            let best = oracle.best(&candidates, &errors, lambda).unwrap();
            let got = total(&best);
            assert!(
                got <= 1.05 * least,
                "{name}, {lambda}: {got}, the least is {least}"
            );
        }
    };
    check("digits", &digits(Style::Folded));
    check("dense", &dense(Style::Folded, 3, 4, 8));
}

#[test]
fn wrong_questions_are_refused() {
    let folded = fold_linear(&digits(Style::Folded)).unwrap();
    let mut options = Options::default();
    let oracle = Oracle::new(&folded, &options).unwrap();
    let ops: Vec<Op> = (0..3).map(|a| alternative(&folded.graph, a, 5)).collect();
    let option = |error: Option<PassError>, expect: &str| match error {
        Some(PassError::Option { name, .. }) => assert_eq!(name, expect),
        other => panic!("{other:?}, expected a word on {expect}"),
    };
    option(oracle.predict(&ops[1..]).err(), "operators");
    let mut relu = ops.clone();
    relu[1] = Op::Activation(Function::Relu);
    option(oracle.predict(&relu).err(), "activation");
    let lists = |op: &Op| vec![vec![op.clone()]; 3];
    let best = |candidates: &[Vec<Op>], errors: &[Vec<f64>], lambda| {
        oracle.best(candidates, errors, lambda).err()
    };
    let one = vec![vec![0.5]; 3];
    assert_eq!(best(&lists(&ops[0]), &one, 1.0), None);
    option(best(&lists(&ops[0])[1..], &one, 1.0), "candidates");
    option(best(&lists(&ops[0]), &one[1..], 1.0), "candidates");
    option(
        best(&lists(&ops[0]), &vec![vec![f64::NAN]; 3], 1.0),
        "errors",
    );
    option(best(&lists(&ops[0]), &one, -1.0), "lambda");
    option(best(&lists(&relu[1]), &one, 1.0), "candidate");
    // A degree says what a function becomes.
    options.degree = Some(15);
    assert!(
        Oracle::new(&folded, &options)
            .unwrap()
            .predict(&relu)
            .is_ok()
    );
    options.constraints.ring = Some(20);
    option(Oracle::new(&folded, &options).err(), "ring");
}

/// What was asked before, and by whom, changes nothing.
#[test]
fn predictions_do_not_depend_on_the_past() {
    let folded = fold_linear(&resnet(Style::Folded, 1, 4, 8)).unwrap();
    let count = activations(&folded.graph).len();
    let genome = |shift: usize| -> Vec<Op> {
        (0..count)
            .map(|a| alternative(&folded.graph, a, (a * 3 + shift) % KINDS))
            .collect()
    };
    let new = || Oracle::new(&folded, &Options::default()).unwrap();
    let oracle = new();
    let shared: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|shift| {
                let (oracle, genome) = (&oracle, &genome);
                scope.spawn(move || oracle.predict(&genome(shift)).unwrap())
            })
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    for shift in [3, 0] {
        assert_eq!(new().predict(&genome(shift)).unwrap(), shared[shift]);
    }
}
