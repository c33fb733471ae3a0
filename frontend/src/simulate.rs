//! `hecc simulate`: a plan in the clear with the noise of every operation, over a data set.

use crate::args::Simulate;
use crate::evaluate::labelled;
use crate::failure::Failure;
use crate::inspect::load;
use crate::print::say;
use crate::progress::bar;
use hecc_simulator::{Layer, Report, Run, Share, Simulator, Totals};
use rayon::prelude::*;
use std::fmt::Write;

/// Images whose runs are held before they are added up, in the order of the data: a report does not
/// depend on threads.
const BATCH: usize = 256;

/// Runs the command.
pub fn simulate(args: &Simulate) -> Result<(), Failure> {
    let (plan, _) = load(&args.plan)?;
    let (data, images, labels) = labelled(&plan, &args.data, args.limit, args.labels.as_deref())?;
    let simulator = Simulator::new(&plan).map_err(|e| Failure::in_file(&args.plan, e))?;
    let progress = bar("simulating", images);
    let one = |index: usize| -> Result<Run, Failure> {
        let image = data.get(index)?;
        let run = simulator
            .run(&image, args.seed.wrapping_add(index as u64))
            .map_err(|e| Failure::new(format!("{}: {e}", data.name(index))))?;
        progress.inc(1);
        Ok(run)
    };
    let mut totals = Totals::default();
    for first in (0..images).step_by(BATCH) {
        let batch = first..images.min(first + BATCH);
        let runs: Vec<Run> = batch.into_par_iter().map(one).collect::<Result<_, _>>()?;
        for (index, run) in (first..).zip(&runs) {
            totals.add(run, labels.as_ref().map(|labels| labels[index]));
        }
    }
    progress.finish_and_clear();
    let report = totals.report(&simulator);
    if args.json {
        say!(
            "{}",
            serde_json::to_string_pretty(&report).map_err(|e| Failure::in_file(&args.plan, e))?
        )?;
    } else {
        say!("{}\n{}", text(&report), table(&report.layers).trim_end())?;
    }
    Ok(())
}

/// Everything but the layers.
fn text(report: &Report) -> String {
    let mut out = format!("{:<36}{}\n", "images", report.images);
    let mut line = |what: &str, value: String| {
        // Writing to a string does not fail.
        let _ = writeln!(out, "{what:<36}{value}");
    };
    for d in &report.divergences {
        let what = format!("plan diverges at v{}", d.value);
        line(&what, format!("{} images ({})", d.images, d.name));
    }
    if report.network_divergent > 0 {
        line(
            "network diverges",
            format!("{} images", report.network_divergent),
        );
    }
    if let Some(share) = &report.accuracy {
        line("accuracy, with noise", interval(share));
    }
    if let Some(share) = &report.network_accuracy {
        line("accuracy, network in f32", interval(share));
    }
    line(
        "as the network in f32, with noise",
        interval(&report.agreement),
    );
    line(
        "as the network, without noise",
        interval(&report.noise_free_agreement),
    );
    line("same class with noise as without", interval(&report.stable));
    line(
        "within the error bound of flipping",
        interval(&report.could_flip),
    );
    let output = &report.output;
    let error = format!(
        "sd {:.3e}, bound {:.3e}, largest {:.3e}",
        output.sd, output.bound, output.largest
    );
    line("noise of the output", error);
    line(
        "approximation error of the output",
        format!("rms {:.3e}", output.approximation),
    );
    out
}

fn interval(share: &Share) -> String {
    let percent = |share: f64| 100.0 * share;
    format!(
        "{:.2} % ({:.2} to {:.2}), {} of {}",
        percent(share.share),
        percent(share.low),
        percent(share.high),
        share.count,
        share.of
    )
}

/// One line per value; errors in bits below the unit, shares of operands in per cent.
fn table(layers: &[Layer]) -> String {
    let mut out = format!(
        "{:<6}{:<12}{:>5}  {:>9}  {:>9}  {:>6}  {:>6}  {:>7}  {:>9}  {}\n",
        "value",
        "operation",
        "level",
        "own noise",
        "noise",
        "bits",
        "worst",
        "approx.",
        "outside",
        "name"
    );
    let bits = |bits: Option<f64>| bits.map_or("-".to_string(), |b| format!("{b:.1}"));
    for layer in layers {
        let outside = layer
            .outside
            .map_or("-".to_string(), |share| format!("{:.4} %", 100.0 * share));
        let value = format!("v{}", layer.value);
        let _ = writeln!(
            out,
            "{value:<6}{:<12}{:>5}  {:>9.2e}  {:>9.2e}  {:>6}  {:>6}  {:>7}  {outside:>9}  {}",
            layer.op,
            layer.level,
            layer.own_noise,
            layer.noise,
            bits(layer.bits),
            bits(layer.worst_bits),
            bits(layer.approximation_bits),
            layer.name
        );
    }
    out
}
