//! `hecc evaluate`: a plan in the clear over a data set, against the labels and the model in f32.

use crate::args::Evaluate;
use crate::failure::Failure;
use crate::files;
use crate::inspect::load;
use crate::model;
use crate::print::say;
use crate::progress::bar;
use hecc_images::{Dataset, Values, read_npy};
use hecc_ir::nn::{Graph, Shape};
use hecc_ir::nn_eval::{self, class};
use hecc_ir::plan::Plan;
use rayon::prelude::*;
use std::path::Path;

/// Largest file of labels read, in bytes.
const LIMIT: u64 = 1 << 28;

/// What is reported.
#[derive(Debug, serde::Serialize)]
struct Report {
    images: usize,
    /// Images left out because the model's own values are not finite.
    divergent: usize,
    /// Share of images whose class the plan finds.
    plan_accuracy: Option<f64>,
    /// Share of images whose class the model finds in f32.
    model_accuracy: Option<f64>,
    /// Share of images to which plan and model give the same class.
    agreement: Option<f64>,
    /// Largest difference of a logit between plan and model, relative to the spread of the model's logits.
    largest_error: Option<f64>,
}

/// What one image gives.
struct Outcome {
    plan: usize,
    model: Option<usize>,
    error: f64,
    spread: (f64, f64),
}

/// Runs the command.
pub fn evaluate(args: &Evaluate) -> Result<(), Failure> {
    let (plan, _) = load(&args.plan)?;
    let folded = args
        .onnx
        .as_deref()
        .map(|onnx| model::load(onnx, args.maxpool));
    let graph = folded.transpose()?.map(|(folded, _)| folded.graph);
    let input = plan.program.nodes[0].layout.shape;
    if let (Some(graph), Some(onnx)) = (&graph, &args.onnx) {
        check_same(&plan, input, graph, onnx)?;
    }
    let (data, images, labels) = labelled(&plan, &args.data, args.limit, args.labels.as_deref())?;
    let progress = bar("evaluating", images);
    let one = |index: usize| {
        let outcome = outcome(&plan, graph.as_ref(), &data, index);
        progress.inc(1);
        outcome
    };
    let outcomes: Vec<Option<Outcome>> = (0..images)
        .into_par_iter()
        .map(one)
        .collect::<Result<_, _>>()?;
    progress.finish_and_clear();
    if outcomes.iter().all(Option::is_none) {
        return Err(Failure::in_file(
            &args.data,
            "the model's values are not finite on any of the images",
        )
        .help("check the images and the preprocessing"));
    }
    let report = report(&outcomes, labels.as_deref(), graph.is_some());
    if args.json {
        say!(
            "{}",
            serde_json::to_string_pretty(&report).map_err(|e| Failure::in_file(&args.plan, e))?
        )?;
    } else {
        say!("{}", report.text().trim_end())?;
    }
    Ok(())
}

fn check_same(plan: &Plan, input: Shape, graph: &Graph, onnx: &Path) -> Result<(), Failure> {
    let outputs = plan.program.nodes[plan.program.nodes.len() - 1]
        .layout
        .shape
        .elements();
    let (model_input, model_outputs) = (
        graph.nodes[graph.input].shape,
        graph.nodes[graph.output].shape.elements(),
    );
    if (input, outputs) != (model_input, model_outputs) {
        return Err(Failure::in_file(
            onnx,
            format!("takes {model_input} to {model_outputs} values, the plan (of {}) {input} to {outputs}", plan.model),
        )
        .help("give the model that the plan was compiled from"));
    }
    Ok(())
}

fn outcome(
    plan: &Plan,
    graph: Option<&Graph>,
    data: &Dataset,
    index: usize,
) -> Result<Option<Outcome>, Failure> {
    let image = data.get(index)?;
    let failed = |e: &dyn std::fmt::Display| Failure::new(format!("{}: {e}", data.name(index)));
    let wide: Vec<f64> = image.iter().map(|&v| f64::from(v)).collect();
    let logits = plan.program.evaluate(&wide).map_err(|e| failed(&e))?;
    let mut outcome = Outcome {
        plan: class(&logits),
        model: None,
        error: 0.0,
        spread: (f64::INFINITY, f64::NEG_INFINITY),
    };
    if let Some(graph) = graph {
        let expected =
            nn_eval::evaluate(graph, &image, &mut nn_eval::exact(graph)).map_err(|e| failed(&e))?;
        if expected.iter().any(|v| !v.is_finite()) {
            return Ok(None);
        }
        outcome.model = Some(class(&expected));
        for (got, expected) in logits.iter().zip(expected) {
            let expected = f64::from(expected);
            outcome.error = outcome.error.max((got - expected).abs());
            outcome.spread = (
                outcome.spread.0.min(expected),
                outcome.spread.1.max(expected),
            );
        }
    }
    Ok(Some(outcome))
}

fn report(all: &[Option<Outcome>], labels: Option<&[usize]>, compared: bool) -> Report {
    let outcomes: Vec<&Outcome> = all.iter().flatten().collect();
    let labels = labels.map(|labels| {
        let kept = all
            .iter()
            .zip(labels)
            .filter(|(outcome, _)| outcome.is_some());
        kept.map(|(_, label)| *label).collect::<Vec<_>>()
    });
    let images = outcomes.len();
    let share = |count: usize| count as f64 / images as f64;
    let accuracy = |of: &dyn Fn(&Outcome) -> Option<usize>| {
        labels.as_ref().map(|labels| {
            let right = outcomes
                .iter()
                .zip(labels)
                .filter(|(o, l)| of(o) == Some(**l));
            share(right.count())
        })
    };
    let spread = outcomes
        .iter()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |s, o| {
            (s.0.min(o.spread.0), s.1.max(o.spread.1))
        });
    let error = outcomes.iter().fold(0.0, |m: f64, o| m.max(o.error));
    Report {
        images,
        divergent: all.len() - images,
        plan_accuracy: accuracy(&|o| Some(o.plan)),
        model_accuracy: accuracy(&|o| o.model).filter(|_| compared),
        agreement: compared
            .then(|| share(outcomes.iter().filter(|o| o.model == Some(o.plan)).count())),
        largest_error: compared.then(|| error / (spread.1 - spread.0).max(f64::MIN_POSITIVE)),
    }
}

impl Report {
    fn text(&self) -> String {
        let mut out = format!("images                     {}\n", self.images);
        let mut line = |what: &str, value: Option<f64>| {
            if let Some(value) = value {
                out += &format!("{what:<26} {:.2} %\n", 100.0 * value);
            }
        };
        line("accuracy, plan in clear", self.plan_accuracy);
        line("accuracy, model in f32", self.model_accuracy);
        line("same class", self.agreement);
        line("largest error / spread", self.largest_error);
        if self.divergent > 0 {
            out += &format!("left out, not finite       {}\n", self.divergent);
        }
        out
    }
}

/// The data set through the plan's preprocessing, how many of its images count, and their classes where
/// there is a file of labels.
pub fn labelled(
    plan: &Plan,
    data: &Path,
    limit: Option<u32>,
    path: Option<&Path>,
) -> Result<(Dataset, usize, Option<Vec<usize>>), Failure> {
    let data = Dataset::open(data, &plan.preprocess)?;
    let images = data.len().min(limit.map_or(usize::MAX, |l| l as usize));
    let labels = path.map(|path| labels(path, Some(images))).transpose()?;
    Ok((data, images, labels))
}

/// Classes of the first `images` images, or of all: an array of integers, or one byte each.
pub fn labels(path: &Path, images: Option<usize>) -> Result<Vec<usize>, Failure> {
    let npy = path
        .extension()
        .is_some_and(|e| e.eq_ignore_ascii_case("npy"));
    let values: Vec<i64> = if npy {
        match read_npy(path)?.values {
            Values::U8(values) => values.into_iter().map(i64::from).collect(),
            Values::I64(values) => values,
            Values::F32(_) => {
                return Err(Failure::in_file(
                    path,
                    "holds floats, expected integers (classes from 0)",
                ));
            }
        }
    } else {
        files::read(path, LIMIT)?
            .into_iter()
            .map(i64::from)
            .collect()
    };
    let images = images.unwrap_or(values.len());
    if values.len() < images {
        return Err(Failure::in_file(
            path,
            format!("has {} labels for {images} images", values.len()),
        ));
    }
    let class = |v: &i64| {
        usize::try_from(*v)
            .map_err(|_| Failure::in_file(path, format!("holds the class {v}, expected 0 or more")))
    };
    values.iter().take(images).map(class).collect()
}
