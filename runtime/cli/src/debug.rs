//! `hecc-run debug`: evaluates on the client's machine and looks into every value.
//!
//! The secret stays on this side: the evaluation is the server's, and hands its ciphertexts to an
//! observer, which decrypts them.

use hecc_ckks::{Ciphertext, Context};
use hecc_client::SecretKey;
use hecc_ir::program::{Program, Value};
use hecc_runtime::ciphertext_file::{input_node, read_input};
use hecc_runtime::error::Error;
use hecc_runtime::frame::short;
use hecc_runtime::plan_file::{context, load_plan};
use hecc_runtime::server_key::ServerKeyFile;
use hecc_runtime::{Observer, Progress, Session};
use hecc_simulator::Simulator;

use crate::args::Debug;
use crate::client_key::ClientKey;
use crate::eval::pool;
use crate::evaluation_keys::evaluation_keys;
use crate::failure::Failure;
use crate::progress::EvalBar;
use crate::tensor;

/// A value has diverged when its error is beyond the predicted one by this many bits.
const TOLERATED_BITS: f64 = 2.0;
/// Errors below this are as good as none, whatever was predicted.
const EXACT: f64 = 1e-12;

/// Error of one value, in slot units: root of the mean square, and the largest.
#[derive(Clone, Copy, Debug)]
struct Measured {
    rms: f64,
    largest: f64,
}

/// Prints the bits of agreement of every value; whether all are as predicted.
pub fn debug(args: &Debug) -> Result<bool, Failure> {
    pool(args.threads)?.install(|| {
        let plan = load_plan(&args.plan)?;
        let client = ClientKey::read(&args.client, &plan)?;
        let context = context(&plan)?;
        let input = read_input(&args.input, &plan, client.id(), &context)?;
        let secret = client.secret(&context);
        let image = tensor::decrypt(&context, &secret, input_node(&plan), &input);
        let mut reference = Vec::with_capacity(plan.program.nodes.len());
        plan.program
            .evaluate_slots(&image, &mut |_, slots| reference.push(slots.to_vec()))
            .map_err(|e| cannot_simulate(args, e))?;
        let narrow: Vec<f32> = image.iter().map(|&v| v as f32).collect();
        let predicted = Simulator::new(&plan)
            .and_then(|simulator| simulator.predict(&narrow, 1))
            .map_err(|e| cannot_simulate(args, e))?;

        let bar = EvalBar::new(plan.prediction.seconds(), plan.program.nodes.len());
        bar.message("the evaluation keys");
        let keys = match &args.server {
            Some(path) => {
                let file = ServerKeyFile::open(path, &plan, &context)?;
                if file.key() != *client.id() {
                    return Err(Failure::from(Error::WrongKey {
                        path: path.clone(),
                        got: short(&file.key()),
                        expected: short(client.id()),
                    }));
                }
                file.load(&context)?
            }
            None => {
                let weight = plan.parameters.bootstrap.as_ref().map(|b| b.sparse_weight);
                evaluation_keys(&context, &secret, &plan.keys, weight)?
            }
        };
        let session = Session::new(plan, context.clone(), keys);
        let mut probe = Probe {
            context: &context,
            secret: &secret,
            reference,
            measured: Vec::new(),
            bar,
        };
        session.run(input, &mut probe)?;
        let measured = std::mem::take(&mut probe.measured);
        drop(probe);
        Ok(report(&session.plan().program, &measured, &predicted))
    })
}

fn cannot_simulate(args: &Debug, error: impl std::fmt::Display) -> Failure {
    Failure::new(
        format!(
            "{}: cannot be evaluated in the clear: {error}",
            args.plan.display()
        ),
        "compile the plan anew: hecc compile MODEL -o PLAN",
    )
}

/// Decrypts every value and compares it with what it would be without noise.
struct Probe<'a> {
    context: &'a Context,
    secret: &'a SecretKey,
    /// The slots of every value without noise.
    reference: Vec<Vec<f64>>,
    measured: Vec<Measured>,
    bar: EvalBar,
}

impl Observer for Probe<'_> {
    fn progress(&mut self, progress: Progress) {
        self.bar.progress(progress);
    }

    fn value(&mut self, value: Value, parts: &[Ciphertext]) {
        let slots = tensor::slots(self.context, self.secret, parts);
        let reference = std::mem::take(&mut self.reference[value]);
        self.measured.push(Measured::of(&slots, &reference));
    }
}

impl Measured {
    fn of(found: &[f64], reference: &[f64]) -> Self {
        let errors = || found.iter().zip(reference).map(|(f, r)| (f - r).abs());
        let square: f64 = errors().map(|e| e * e).sum();
        Self {
            rms: (square / reference.len().max(1) as f64).sqrt(),
            largest: errors().fold(0.0, f64::max),
        }
    }

    /// Bits by which the error is beyond `predicted`; a value that is lost altogether, or was to be,
    /// is beyond all.
    fn beyond(&self, predicted: f64) -> f64 {
        match self.rms.is_finite() && predicted.is_finite() {
            true if self.rms <= EXACT => f64::NEG_INFINITY,
            true => (self.rms / predicted).log2(),
            false => f64::INFINITY,
        }
    }
}

/// Bits of an error in slot units.
fn bits(error: f64) -> f64 {
    -error.log2()
}

/// Prints the table and the verdict.
fn report(program: &Program, measured: &[Measured], predicted: &[f64]) -> bool {
    let width = program.nodes.iter().map(|node| node.name.chars().count());
    let width = width.max().unwrap_or(0).clamp(4, 40);
    println!(
        "{:6} {:width$} {:>5} {:>9} {:>9} {:>9}",
        "value", "node", "level", "bits", "predicted", "worst"
    );
    let mut first = None;
    for (value, (found, &predicted)) in measured.iter().zip(predicted).enumerate() {
        let node = &program.nodes[value];
        let beyond = found.beyond(predicted);
        let diverged = beyond > TOLERATED_BITS;
        if diverged && first.is_none() {
            first = Some((value, beyond));
        }
        println!(
            "{:6} {:width$} {:5} {:9.2} {:9.2} {:9.2}{}",
            format!("v{value}"),
            node.name,
            node.level,
            bits(found.rms),
            bits(predicted),
            bits(found.largest),
            if diverged { "  diverges" } else { "" }
        );
    }
    match first {
        None => println!("every value agrees within {TOLERATED_BITS} bits of its predicted error"),
        Some((value, beyond)) => {
            let name = &program.nodes[value].name;
            match predicted[value].is_finite() {
                true => println!("v{value} ({name}) is the first to diverge, by {beyond:.1} bits"),
                false => println!(
                    "v{value} ({name}) is the first to diverge: on this image it does so without \
                     encryption, its values are too large for the modulus"
                ),
            }
        }
    }
    first.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_measured_in_bits() {
        let reference = [0.5, -0.25, 0.0, 1.0];
        let off = |by: f64| Measured::of(&reference.map(|v| v + by), &reference);
        let error = off(2f64.powi(-8));
        assert_eq!((bits(error.rms), bits(error.largest)), (8.0, 8.0));
        assert_eq!(error.beyond(2f64.powi(-10)), 2.0);
        assert_eq!(off(0.0).beyond(1e-3), f64::NEG_INFINITY);
        assert_eq!(off(f64::NAN).beyond(1e-3), f64::INFINITY);
        assert_eq!(off(f64::INFINITY).beyond(1e-3), f64::INFINITY);
        assert_eq!(off(0.1).beyond(f64::INFINITY), f64::INFINITY);
    }
}
