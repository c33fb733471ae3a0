//! The whole pipeline in the clear: tensors with the polynomials in place of ReLU, and slots.

mod networks;

use std::collections::BTreeMap;

use hecc_ir::nn::Graph;
use hecc_ir::slots;
use hecc_passes::choose_layouts::choose_layouts;
use hecc_passes::fold_linear::fold_linear;
use hecc_passes::lower_to_slots::lower_to_slots;
use hecc_passes::steps::Steps;
use hecc_passes::{Activation, Options, PassError, fit, lower};
use networks::{Style, calibrate, digits, evaluate, image, resnet};

/// The folded graph, its activations by name, and its slots graph.
fn to_slots(
    graph: &Graph,
    log_slots: u32,
    granularity: usize,
) -> (Graph, BTreeMap<String, Activation>, slots::Graph) {
    let folded = fold_linear(graph).unwrap().graph;
    let steps = Steps::read(&folded).unwrap();
    let calibration = calibrate(&folded, 3);
    let activation = |name: &String| {
        let statistics = calibration
            .activations
            .iter()
            .find(|a| a.name == *name)
            .unwrap();
        fit(statistics, 15, 1.25, 0.92).unwrap()
    };
    let names: Vec<&String> = steps
        .steps
        .iter()
        .filter_map(|s| s.activation.as_ref())
        .collect();
    let activations: Vec<Activation> = names.iter().map(|&name| activation(name)).collect();
    let layouts = choose_layouts(&steps, 1 << log_slots, granularity).unwrap();
    let slots = lower_to_slots(&steps, &layouts, &activations, calibration.logits);
    slots.verify().unwrap();
    (
        folded,
        names.into_iter().cloned().zip(activations).collect(),
        slots,
    )
}

#[test]
fn slots_agree_with_tensors() {
    let check = |graph: Graph, log_slots: u32, granularity: usize, twists: usize| {
        let (folded, activations, slots) = to_slots(&graph, log_slots, granularity);
        assert!(slots.nodes.iter().filter(|n| n.layout.twist != 0).count() >= twists);
        let shape = graph.nodes[graph.input].shape;
        for seed in 50..52 {
            let image = image(seed, shape.elements());
            let expect = evaluate(&folded, &image, |name, v| activations[name].apply(v));
            let got = slots.evaluate(&image).unwrap();
            let size = expect.iter().fold(0.0f64, |m, v| m.max(v.abs()));
            for (a, b) in expect.iter().zip(&got) {
                assert!((a - b).abs() < 1e-9 * size, "{a} and {b} of {size}");
            }
        }
    };
    check(digits(Style::Folded), 10, 16, 0);
    check(digits(Style::Folded), 10, 1024, 0);
    // Deep enough for a twist to pay for its bootstrapper.
    check(resnet(Style::Folded, 8, 4, 16), 10, 16, 10);
    check(resnet(Style::Folded, 1, 4, 12), 11, 16, 0);
}

#[test]
fn exports_give_the_same_program_and_meaning() {
    let reference = digits(Style::Folded);
    let calibration = calibrate(&fold_linear(&reference).unwrap().graph, 3);
    let options = Options {
        insecure_ring: Some(11),
        allow_insecure: true,
        ..Options::default()
    };
    let mut dumps = Vec::new();
    let folded = fold_linear(&reference).unwrap().graph;
    let lowered = lower(reference, &calibration, &options, &mut |name, _| {
        dumps.push(name.to_string())
    })
    .unwrap();
    assert_eq!(dumps.len(), 8);
    assert_eq!(lowered.report.degree, 15);
    assert_eq!(
        (lowered.parameters.log_n, lowered.report.activations.len()),
        (11, 3)
    );
    let image = image(9, 64);
    let by_name = |name: &str| {
        calibration
            .activations
            .iter()
            .find(|a| a.name == name)
            .unwrap()
    };
    let expect = evaluate(&folded, &image, |name, v| {
        fit(by_name(name), 15, 1.25, 0.92).unwrap().apply(v)
    });
    let got = [
        lowered.program.evaluate(&image).unwrap(),
        lowered
            .program
            .evaluate_slots(&image, &mut |_, _| ())
            .unwrap(),
    ];
    for got in got {
        for (a, b) in expect.iter().zip(&got) {
            assert!((a - b).abs() < 1e-9 * calibration.logits, "{a} and {b}");
        }
    }
    for style in [Style::Kept, Style::Raw] {
        let other = lower(digits(style), &calibration, &options, &mut |_, _| {}).unwrap();
        assert_eq!(other.program, lowered.program);
    }
}

#[test]
fn refusals() {
    let calibration = calibrate(&digits(Style::Folded), 1);
    let check = |edit: fn(&mut Options), expect: fn(&PassError) -> bool| {
        let mut options = Options::default();
        edit(&mut options);
        let error = lower(
            digits(Style::Folded),
            &calibration,
            &options,
            &mut |_, _| {},
        )
        .unwrap_err();
        assert!(expect(&error), "{error}");
    };
    check(
        |o| o.tolerance = 0.001,
        |e| matches!(e, PassError::NoDegree { .. }),
    );
    check(
        |o| o.degree = Some(200),
        |e| matches!(e, PassError::Option { .. }),
    );
    check(|o| o.rho = 0.0, |e| matches!(e, PassError::Option { .. }));
    check(
        |o| o.insecure_ring = Some(11),
        |e| matches!(e, PassError::NoParameters(_)),
    );
    let mut other = calibration.clone();
    other.activations.clear();
    let error = lower(
        digits(Style::Folded),
        &other,
        &Options::default(),
        &mut |_, _| {},
    )
    .unwrap_err();
    assert!(matches!(error, PassError::Calibration(_)), "{error}");
}
