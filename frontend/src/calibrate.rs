//! `hecc calibrate`: what enters every activation, and how low a degree keeps the classes.

use crate::args::Calibrate;
use crate::failure::Failure;
use crate::files;
use crate::histogram::Histogram;
use crate::model::load;
use crate::model_hash::model_hash;
use crate::print::{note, say};
use crate::progress::bar;
use hecc_images::Dataset;
use hecc_ir::calibration::{ActivationStatistics, Agreement, Calibration, VERSION, ValueRange};
use hecc_ir::function::{Approximation, Function};
use hecc_ir::nn::{Graph, Op, ValueId};
use hecc_ir::nn_eval::{evaluate, evaluate_observed, exact};
use hecc_passes::approximate;
use hecc_passes::choose_degree::DEGREES;
use hecc_passes::{Options, fit};
use indicatif::ProgressBar;
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::path::Path;

/// Runs the command.
pub fn calibrate(args: &Calibrate) -> Result<(), Failure> {
    let (folded, _) = load(&args.model, args.maxpool)?;
    let graph = folded.graph;
    let data = open(&args.model, args.preprocess.as_deref(), &args.data, &graph)?;
    let images = data.len().min(args.limit as usize);
    let (calibration, divergent) = measure(&graph, &args.model, &data, images)?;
    let path = args
        .output
        .clone()
        .unwrap_or_else(|| files::beside(&args.model, "calib.json"));
    let mut json = serde_json::to_vec(&calibration).map_err(|e| Failure::in_file(&path, e))?;
    json.push(b'\n');
    files::write(&path, &json)?;
    say!(
        "{} images, {} activations",
        calibration.images,
        calibration.activations.len()
    )?;
    for Agreement { degree, same_class } in &calibration.agreement {
        say!(
            "degree {degree:>2}: same class as the model on {:.1} %",
            100.0 * same_class
        )?;
    }
    say!("written to {}", path.display())?;
    if divergent > 0 {
        note!("note: {divergent} images left out: the model's values on them are not finite");
    }
    Ok(())
}

/// The data set through the model's preprocessing; only raw arrays may do without one.
pub fn open(
    model: &Path,
    preprocess: Option<&Path>,
    data: &Path,
    graph: &Graph,
) -> Result<Dataset, Failure> {
    let (input, output) = (
        graph.nodes[graph.input].shape,
        graph.nodes[graph.output].shape,
    );
    let described = files::preprocess(preprocess, model, input, output.elements())?;
    let none = described.is_none();
    let set = Dataset::open(
        data,
        &described.unwrap_or_else(|| files::plain_preprocess(input)),
    )?;
    if none && !set.is_raw() {
        let expected = files::beside(model, "preprocess.toml");
        return Err(Failure::new(format!(
            "{}: images need a preprocessing description",
            data.display()
        ))
        .help(format!(
            "give --preprocess FILE or write {} (mean, std, width, height, channels, classes)",
            expected.display()
        )));
    }
    Ok(set)
}

/// Measures the first `images` inputs of `data`; with it the number of those left out.
fn measure(
    graph: &Graph,
    model: &Path,
    data: &Dataset,
    images: usize,
) -> Result<(Calibration, usize), Failure> {
    let approximated = graph.nodes.node_weights().any(|node| match &node.op {
        Op::Activation(function) => !is_exact(function),
        Op::Input | Op::Linear(_) | Op::Add | Op::Mul => false,
    });
    let passes = 1 + if approximated { DEGREES.len() } else { 0 };
    let progress = bar("measuring", images * passes);
    let ranges = ranges(graph, data, images, &progress)?;
    let measured = ranges.classes.len();
    if measured == 0 {
        return Err(Failure::in_file(
            model,
            "the model's values are not finite on any of the images",
        )
        .help("check the images and the preprocessing"));
    }
    let name = |id: &ValueId| graph.nodes[*id].name.clone();
    let activations: Vec<ActivationStatistics> = ranges
        .histograms
        .iter()
        .map(|(id, h)| h.statistics(&name(id)))
        .collect();
    let mut agreement = Vec::new();
    for degree in DEGREES.into_iter().filter(|_| approximated) {
        let tables = tables(graph, &ranges, &activations, degree)?;
        let same = same_class(graph, data, &ranges.classes, &tables, &progress)?;
        agreement.push(Agreement {
            degree,
            same_class: same as f64 / measured as f64,
        });
    }
    progress.finish_and_clear();
    let calibration = Calibration {
        version: VERSION,
        model: model
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned(),
        model_hash: model_hash(graph),
        images: measured,
        activations,
        values: ranges
            .values
            .iter()
            .map(|(id, &largest)| ValueRange {
                name: name(id),
                largest: largest.into(),
            })
            .collect(),
        // An all-zero network still divides by it.
        logits: f64::from(ranges.logits).max(f64::MIN_POSITIVE.sqrt()),
        agreement,
    };
    calibration
        .validate()
        .map_err(|e| Failure::in_file(model, e))?;
    Ok((calibration, images - measured))
}

/// Whether a plan computes the function itself; quadratics are completed to squares, whatever their
/// coefficients.
fn is_exact(function: &Function) -> bool {
    let quadratic = |rows: &[Vec<f32>]| rows.iter().all(|row| row.len() <= 3);
    match function {
        Function::Polynomial { coefficients } if quadratic(coefficients) => true,
        other => approximate::is_exact(other),
    }
}

/// The approximation of every activation that has one, at one degree.
fn tables(
    graph: &Graph,
    ranges: &Ranges,
    activations: &[ActivationStatistics],
    degree: usize,
) -> Result<BTreeMap<ValueId, Table>, Failure> {
    let Options { margin, rho, .. } = Options::default();
    let mut tables = BTreeMap::new();
    for (&id, statistics) in ranges.histograms.keys().zip(activations) {
        let Op::Activation(function) = &graph.nodes[id].op else {
            continue;
        };
        if is_exact(function) {
            continue;
        }
        let fitted = fit(function, statistics, degree, margin, rho)?;
        tables.extend(Table::new(&fitted).map(|table| (id, table)));
    }
    Ok(tables)
}

/// What one pass over the images gives.
#[derive(Clone, Default)]
struct Ranges {
    histograms: BTreeMap<ValueId, Histogram>,
    values: BTreeMap<ValueId, f32>,
    classes: BTreeMap<usize, usize>,
    logits: f32,
}

impl Ranges {
    fn merge(mut self, other: Self) -> Self {
        for (id, histogram) in other.histograms {
            let ours = self.histograms.remove(&id);
            self.histograms.insert(
                id,
                match ours {
                    Some(ours) => ours.merge(histogram),
                    None => histogram,
                },
            );
        }
        for (id, largest) in other.values {
            let ours = self.values.entry(id).or_default();
            *ours = ours.max(largest);
        }
        self.classes.extend(other.classes);
        self.logits = self.logits.max(other.logits);
        self
    }
}

fn ranges(
    graph: &Graph,
    data: &Dataset,
    images: usize,
    progress: &ProgressBar,
) -> Result<Ranges, Failure> {
    let function = exact(graph);
    let one = |ranges: Ranges, index: usize| -> Result<Ranges, Failure> {
        // Only an image that is finite throughout may count.
        let mut new = Ranges::default();
        let mut finite = true;
        let mut record = |id: ValueId, x: &mut [f32]| {
            finite &= new.histograms.entry(id).or_default().add(x);
            function(id, x);
        };
        let image = data.get(index)?;
        let mut values = BTreeMap::new();
        let mut non_finite = false;
        let mut observe = |id: ValueId, x: &[f32]| {
            let largest = x.iter().fold(0.0f32, |m, v| m.max(v.abs()));
            non_finite |= x.iter().any(|v| !v.is_finite());
            values.insert(id, largest);
        };
        let logits = evaluate_observed(graph, &image, &mut record, &mut observe)
            .map_err(|e| Failure::new(format!("{}: {e}", data.name(index))))?;
        progress.inc(1);
        finite &= !non_finite;
        if !finite {
            return Ok(ranges);
        }
        new.values = values;
        new.logits = logits.iter().fold(0.0, |m, l| m.max(l.abs()));
        new.classes.insert(index, class(&logits));
        Ok(ranges.merge(new))
    };
    (0..images)
        .into_par_iter()
        .try_fold(Ranges::default, one)
        .try_reduce(Ranges::default, |a, b| Ok(a.merge(b)))
}

/// On how many images the polynomials keep the class.
fn same_class(
    graph: &Graph,
    data: &Dataset,
    classes: &BTreeMap<usize, usize>,
    tables: &BTreeMap<ValueId, Table>,
    progress: &ProgressBar,
) -> Result<usize, Failure> {
    let function = exact(graph);
    let one = |(&index, &expected): (&usize, &usize)| {
        let mut activate = |id: ValueId, x: &mut [f32]| match tables.get(&id) {
            Some(table) => table.apply(x),
            None => function(id, x),
        };
        let logits = run(graph, data, index, &mut activate)?;
        progress.inc(1);
        Ok(usize::from(class(&logits) == expected))
    };
    classes
        .par_iter()
        .map(one)
        .try_reduce(|| 0, |a, b| Ok(a + b))
}

fn run(
    graph: &Graph,
    data: &Dataset,
    index: usize,
    activation: &mut dyn FnMut(ValueId, &mut [f32]),
) -> Result<Vec<f32>, Failure> {
    let image = data.get(index)?;
    evaluate(graph, &image, activation)
        .map_err(|e| Failure::new(format!("{}: {e}", data.name(index))))
}

/// Position of the largest value; the first of equals.
pub fn class<T: PartialOrd>(logits: &[T]) -> usize {
    let mut best = 0;
    for (i, l) in logits.iter().enumerate() {
        if *l > logits[best] {
            best = i;
        }
    }
    best
}

/// An activation over one period of its cosine series, tabulated: a series of degree 63 evaluated
/// for every element would take longer than the convolutions.
struct Table {
    range: f32,
    rho: f32,
    values: Vec<f32>,
}

/// Steps of the table on theta in [0, pi]; linear interpolation is then exact to some 1e-6 of the range.
const STEPS: usize = 1 << 14;

impl Table {
    /// None for what is no cosine series.
    fn new(approximation: &Approximation) -> Option<Self> {
        let Approximation::Fused { range, rho, .. } = approximation else {
            return None;
        };
        let at = |i: usize| (2.0 * i as f64 / STEPS as f64 - 1.0) / rho * range;
        let values = (0..=STEPS).map(|i| approximation.apply(at(i)) as f32);
        Some(Self {
            range: *range as f32,
            rho: *rho as f32,
            values: values.collect(),
        })
    }

    fn apply(&self, x: &mut [f32]) {
        let scale = self.rho / self.range;
        for x in x {
            // theta / pi; the cosine is even and of period 2 in it.
            let turn = (0.5 * (1.0 + scale * *x)).rem_euclid(2.0);
            let place = (1.0 - (turn - 1.0).abs()) * STEPS as f32;
            let i = (place as usize).min(STEPS - 1);
            let share = place - i as f32;
            *x = self.values[i] * (1.0 - share) + self.values[i + 1] * share;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_is_the_activation() {
        let coefficients = (0..64).map(|k| 0.4 / (1.0 + f64::from(k * k))).collect();
        let activation = Approximation::Fused {
            range: 7.0,
            rho: 0.92,
            coefficients,
        };
        let table = Table::new(&activation).unwrap();
        for i in 0..1000 {
            let x = -30.0 + 0.06 * i as f32;
            let mut got = [x];
            table.apply(&mut got);
            let expect = activation.apply(x.into());
            assert!(
                (f64::from(got[0]) - expect).abs() < 1e-4,
                "{x}: {} {expect}",
                got[0]
            );
        }
    }

    #[test]
    fn first_of_the_largest() {
        assert_eq!(class(&[1.0, 3.0, 3.0, f32::NAN]), 1);
    }
}
