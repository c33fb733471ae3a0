//! Graph to plan, for networks built by hand.

#[path = "../../passes/tests/networks/mod.rs"]
mod networks;

use std::time::Instant;

use hecc_backend::{BackendError, emit};
use hecc_ir::nn::Graph;
use hecc_ir::plan::{Plan, Preprocess};
use hecc_passes::{Options, lower};
use networks::{Style, calibrate, digits, resnet};

fn preprocess(graph: &Graph) -> Preprocess {
    let shape = graph.nodes[graph.input].shape;
    Preprocess {
        mean: vec![0.5; shape.c],
        std: vec![0.25; shape.c],
        width: shape.w,
        height: shape.h,
        channels: shape.c,
        classes: Vec::new(),
    }
}

fn compile(
    graph: Graph,
    options: &Options,
    edit: fn(&mut Preprocess),
) -> Result<Plan, BackendError> {
    let calibration = calibrate(&graph, 1);
    let mut preprocess = preprocess(&graph);
    edit(&mut preprocess);
    let start = Instant::now();
    let lowered = lower(graph, &calibration, options, &mut |_, _| {}).unwrap();
    let lowering = start.elapsed();
    let plan = emit(
        lowered.program,
        lowered.parameters,
        lowered.allow_insecure,
        "m.onnx",
        preprocess,
    );
    println!(
        "lowered in {lowering:?}, emitted in {:?}",
        start.elapsed() - lowering
    );
    plan
}

#[test]
fn resnet20() {
    let plan = compile(
        resnet(Style::Folded, 3, 16, 32),
        &Options::default(),
        |_| {},
    )
    .unwrap();
    assert!(!plan.insecure);
    assert!(plan.certificate.iter().all(|key| key.security >= 128.0));
    let top = plan.parameters.top();
    // Keys of linear maps stay at the bottom of the chain.
    let low = plan.keys.rotations.iter().filter(|r| r.level <= 3).count();
    let high = plan.keys.rotations.len() - low;
    println!(
        "{low} rotation keys at levels up to 3, {high} near {top}; {:.1} s",
        plan.predicted_seconds
    );
    assert!(low < 200 && high < 60);
    assert!(plan.predicted_seconds > 2.0 && plan.predicted_seconds < 20.0);
}

#[test]
fn digits_on_a_small_ring() {
    let options = Options {
        insecure_ring: Some(11),
        allow_insecure: true,
        ..Options::default()
    };
    let plan = compile(digits(Style::Folded), &options, |_| {}).unwrap();
    assert!(plan.insecure && plan.parameters.log_n == 11);
}

#[test]
fn refusals() {
    let check = |edit: fn(&mut Preprocess)| {
        let options = Options {
            insecure_ring: Some(11),
            allow_insecure: true,
            ..Options::default()
        };
        let error = compile(digits(Style::Folded), &options, edit).unwrap_err();
        assert!(matches!(error, BackendError::Preprocess(_)), "{error}");
    };
    check(|p| p.width = 9);
    check(|p| p.mean = Vec::new());
    check(|p| p.classes = vec!["cat".to_string()]);
}
