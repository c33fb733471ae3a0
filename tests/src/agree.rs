//! One model, evaluated in every way there is; each has to agree with the next.

use crate::deviation::Deviation;
use crate::encrypted;
use crate::model::{Model, image, tract};
use hecc_ir::plan::Plan;
use hecc_ir::program::Target;
use hecc_passes::choose_parameters::Constraints;
use hecc_passes::{Options, Ways};
use hecc_simulator::Simulator;

/// Images a model is measured on.
const IMAGES: usize = 4;
/// Agreement of two evaluations in f32, as a share of the largest output.
const F32: f64 = 1e-4;
/// Agreement of two evaluations in f64, likewise.
const F64: f64 = 1e-6;
/// Largest error of an activation's approximation, as a share of its range: series of degree 31, or
/// composites of 7 and 7, next to a kink.
const APPROXIMATION: f64 = 0.08;
/// A value's noise in one simulated run over the predicted one; predictions rest on few samples.
const FACTOR: f64 = 2.0;
/// The same of ciphertexts, all slots counted: what `hecc-run debug` tolerates.
const FACTOR_ENCRYPTED: f64 = 4.0;
/// The same for values of few elements, and of what is made of such: one large error decides.
const FACTOR_OF_FEW: f64 = 6.0;
/// Elements from which on a root mean square is one.
const MANY: usize = 64;

/// A model to check, and how to compile it.
pub struct Check<'a> {
    /// ONNX.
    pub bytes: &'a [u8],
    /// Channels, rows, columns.
    pub input: [usize; 3],
    /// How to compile.
    pub options: Options,
    /// Whether to take the fastest plan with bootstraps, or the fastest without; None for the fastest.
    pub bootstraps: Option<bool>,
}

/// Options for the insecure ring of 2^11.
pub fn insecure() -> Options {
    Options {
        degree: Some(31),
        ways: Ways::Any,
        constraints: Constraints {
            ring: Some(11),
            security: 128,
            precision: 20,
            allow_insecure: true,
        },
        ..Options::default()
    }
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().copied().map(f64::from).collect()
}

fn close(what: &str, got: &[f64], expected: &[f64], share: f64) -> Result<(), String> {
    let error = Deviation::of(got, expected).error;
    let largest = expected.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    match error <= share * largest.max(1e-3) {
        true => Ok(()),
        false => Err(format!(
            "{what}: off by {error:.3e}, the largest is {largest:.3e}\ngot      {got:?}\nexpected {expected:?}"
        )),
    }
}

/// tract = the imported graph = the folded graph = the program's reference; the plan by elements = by
/// slots = the simulator's run without noise; its activations near their functions; the simulator's
/// noise within its prediction. The plan.
///
/// # Errors
/// What refuses, or what does not agree, in words.
pub fn check_clear(check: &Check) -> Result<Plan, String> {
    let text = |e: anyhow::Error| format!("{e:#}");
    let model = Model::new(check.bytes, IMAGES).map_err(text)?;
    let (plan, _) = model
        .compile(&check.options, check.bootstraps)
        .map_err(text)?;
    let image = image(model.elements(), 0);
    let [c, h, w] = check.input;
    let expected = wide(&tract(check.bytes, &[1, c, h, w], &image).map_err(text)?);
    let imported = wide(&model.evaluate(&image).map_err(text)?);
    close("the imported graph", &imported, &expected, F32)?;

    let program = &plan.program;
    let image = wide(&image);
    let failed = |e: hecc_ir::program_verify::ProgramError| e.to_string();
    let reference = program.reference(&image).map_err(failed)?;
    let last = reference.last().cloned().flatten().unwrap_or_default();
    close("the program's reference", &last, &expected, F32)?;

    let mut values = Vec::new();
    let slots = program
        .evaluate_slots(&image, &mut |value, slots: &[f64]| {
            let node = &program.nodes[value];
            let values_of = node.layout.unpack(slots).into_iter();
            values.push(values_of.map(|v| v * node.unit).collect::<Vec<f64>>());
        })
        .map_err(failed)?;
    let elements = program.evaluate(&image).map_err(failed)?;
    close("the plan in slots", &slots, &elements, F64)?;
    approximations(&plan, &values)?;
    simulated(&plan, &image, &elements, &expected)?;
    Ok(plan)
}

/// Every value that approximates a function of another is near it, where that other is in range.
fn approximations(plan: &Plan, values: &[Vec<f64>]) -> Result<(), String> {
    for (value, node) in plan.program.nodes.iter().enumerate() {
        let Some(Target { x, function }) = &node.target else {
            continue;
        };
        let from = &plan.program.nodes[*x];
        let area = node.layout.shape.h * node.layout.shape.w;
        for (i, (&got, &x)) in values[value].iter().zip(&values[*x]).enumerate() {
            let expected = match function {
                Some(function) => function.apply(i / area, x),
                None => x,
            };
            let inside = x.abs() <= from.unit;
            let error = (got - expected).abs();
            if inside && error > APPROXIMATION * from.unit.max(node.unit) {
                return Err(format!(
                    "v{value} ({}) {:?}: {got} at {x}, not {expected}; range {}",
                    node.name, node.target, from.unit
                ));
            }
        }
    }
    Ok(())
}

/// Without noise the simulator is the plan, as a network it is the network, and its noise is as it
/// predicts.
fn simulated(plan: &Plan, image: &[f64], elements: &[f64], expected: &[f64]) -> Result<(), String> {
    let narrow: Vec<f32> = image.iter().map(|&v| v as f32).collect();
    let text = |e: hecc_simulator::SimulatorError| e.to_string();
    let simulator = Simulator::new(plan).map_err(text)?;
    let predicted = simulator.predict(&narrow, 1).map_err(text)?;
    let run = simulator.run(&narrow, 1 << 32).map_err(text)?;
    if let Some(value) = run.diverged {
        return Err(format!("the simulation diverges at v{value}"));
    }
    let unit = plan.program.nodes[plan.program.nodes.len() - 1].unit;
    close(
        "the simulator",
        &wide(&run.exact),
        elements,
        F32 * unit.max(1.0),
    )?;
    close(
        "the simulator's network",
        &wide(&run.network),
        expected,
        F32,
    )?;
    let mut independent: Vec<usize> = Vec::with_capacity(run.nodes.len());
    for (value, (node, &predicted)) in run.nodes.iter().zip(&predicted).enumerate() {
        let operands = plan.program.nodes[value].op.operands();
        let fewest = operands.into_iter().map(|x| independent[x]).min();
        independent.push(fewest.map_or(node.elements, |n| n.min(node.elements)));
        let many = independent[value] >= MANY;
        let factor = if many { FACTOR } else { FACTOR_OF_FEW };
        within(plan, value, node.noise_sd(), predicted, factor)?;
    }
    Ok(())
}

fn within(
    plan: &Plan,
    value: usize,
    found: f64,
    predicted: f64,
    factor: f64,
) -> Result<(), String> {
    match found <= factor * predicted {
        true => Ok(()),
        false => {
            let node = &plan.program.nodes[value];
            Err(format!(
                "v{value} ({}, {}): an error of {found:.2e}, predicted {predicted:.2e}",
                node.name,
                node.op.name()
            ))
        }
    }
}

/// Every decrypted value is within a factor of 4 of its predicted error, all slots counted.
///
/// # Errors
/// What refuses, or the first value beyond.
pub fn check_encrypted(plan: Plan) -> Result<(), String> {
    let elements = plan.program.nodes[0].layout.shape.elements();
    let image = image(elements, 0);
    let simulator = Simulator::new(&plan).map_err(|e| e.to_string())?;
    let predicted = simulator.predict(&image, 1).map_err(|e| e.to_string())?;
    let run = encrypted::run(plan.clone(), &image).map_err(|e| format!("{e:#}"))?;
    let clear = plan.program.evaluate(&wide(&image));
    let deviation = Deviation::of(&run.output, &clear.map_err(|e| e.to_string())?);
    println!("encrypted: {:.1} bits of clear", deviation.bits());
    for (value, (&found, &predicted)) in run.errors.iter().zip(&predicted).enumerate() {
        within(&plan, value, found, predicted, FACTOR_ENCRYPTED)?;
    }
    Ok(())
}
