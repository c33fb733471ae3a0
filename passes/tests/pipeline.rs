//! The whole pipeline in the clear: tensors with the approximations in the place of functions, slots,
//! programs.

mod networks;

use hecc_ir::calibration::Calibration;
use hecc_ir::nn::Graph;
use hecc_passes::{Folded, Lowered, Options, PassError, Ways, fit, fold_linear, lower};
use networks::{Style, calibrate, digits, evaluate, image};

fn options() -> Options {
    let mut options = Options {
        degree: Some(15),
        ways: Ways::Fused,
        ..Options::default()
    };
    options.constraints.ring = Some(11);
    options.constraints.allow_insecure = true;
    options
}

fn compile(
    graph: &Graph,
    calibration: &Calibration,
    options: &Options,
) -> Result<Lowered, PassError> {
    let folded: Folded = fold_linear(graph).unwrap();
    lower(&folded, calibration, options, &mut |_, _| {}, &mut Ok)
}

#[test]
fn exports_give_the_same_program_and_meaning() {
    let folded = fold_linear(&digits(Style::Folded)).unwrap();
    let calibration = calibrate(&folded.graph, 3);
    let mut dumps = Vec::new();
    let mut dump = |name: &str, _: &str| dumps.push(name.to_string());
    let lowered = lower(&folded, &calibration, &options(), &mut dump, &mut Ok).unwrap();
    assert!(dumps.len() > 5, "{dumps:?}");
    assert_eq!(lowered.report.degree, 15);
    assert_eq!(lowered.parameters.log_n, 11);
    assert_eq!(lowered.report.activations.len(), 3);
    let image = image(9, 64);
    let by_name = |name: &str| calibration.activations.iter().find(|a| a.name == name);
    let expect = evaluate(&folded.graph, &image, |name, function, _, v| {
        let fitted = fit(function, by_name(name).unwrap(), 15, 1.25, 0.92);
        fitted.unwrap().apply(v)
    });
    let slots = |image: &[f64]| lowered.program.evaluate_slots(image, &mut |_, _| ());
    for got in [
        lowered.program.evaluate(&image).unwrap(),
        slots(&image).unwrap(),
    ] {
        for (a, b) in expect.iter().zip(&got) {
            assert!((a - b).abs() < 1e-9 * calibration.logits, "{a} and {b}");
        }
    }
    for style in [Style::Kept, Style::Raw] {
        let other = compile(&digits(style), &calibration, &options()).unwrap();
        assert_eq!(other.program, lowered.program);
    }
}

#[test]
fn refusals() {
    let folded = fold_linear(&digits(Style::Folded)).unwrap();
    let calibration = calibrate(&folded.graph, 1);
    let check = |edit: fn(&mut Options), expect: fn(&PassError) -> bool| {
        let mut options = options();
        edit(&mut options);
        let error = compile(&digits(Style::Folded), &calibration, &options).unwrap_err();
        assert!(expect(&error), "{error}");
    };
    check(
        |o| (o.degree, o.tolerance) = (None, 0.001),
        |e| matches!(e, PassError::NoDegree { .. }),
    );
    check(
        |o| o.degree = Some(200),
        |e| matches!(e, PassError::Option { .. }),
    );
    check(|o| o.rho = 0.0, |e| matches!(e, PassError::Option { .. }));
    check(
        |o| o.constraints.allow_insecure = false,
        |e| matches!(e, PassError::NoParameters(_) | PassError::Option { .. }),
    );
    let mut other = calibration.clone();
    other.activations.clear();
    let error = compile(&digits(Style::Folded), &other, &options()).unwrap_err();
    assert!(matches!(error, PassError::Calibration(_)), "{error}");
}
