//! `hecc calibrate`: what enters every activation, and how low a degree keeps the classes.

use crate::args::Calibrate;
use crate::failure::Failure;
use crate::files;
use crate::histogram::Histogram;
use crate::import::import;
use crate::model_hash::model_hash;
use crate::progress::bar;
use hecc_images::Dataset;
use hecc_ir::calibration::{ActivationStatistics, Agreement, Calibration, VERSION};
use hecc_ir::nn::{Graph, ValueId};
use hecc_ir::nn_eval::{evaluate, relu};
use hecc_passes::choose_degree::DEGREES;
use hecc_passes::{Activation, Options, fit};
use indicatif::ProgressBar;
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::path::Path;

/// Runs the command.
pub fn calibrate(args: &Calibrate) -> Result<(), Failure> {
    let graph = import(&args.model)?;
    let data = open(&args.model, args.preprocess.as_deref(), &args.data, &graph)?;
    let images = data.len().min(args.limit as usize);
    let calibration = measure(&graph, &args.model, &data, images)?;
    let path = args
        .output
        .clone()
        .unwrap_or_else(|| files::beside(&args.model, "calib.json"));
    let mut json = serde_json::to_vec(&calibration).map_err(|e| Failure::in_file(&path, e))?;
    json.push(b'\n');
    files::write(&path, &json)?;
    println!(
        "{images} images, {} activations",
        calibration.activations.len()
    );
    for Agreement { degree, same_class } in &calibration.agreement {
        println!(
            "degree {degree:>2}: same class as the model on {:.1} %",
            100.0 * same_class
        );
    }
    println!("written to {}", path.display());
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

/// Measures the first `images` inputs of `data`.
fn measure(
    graph: &Graph,
    model: &Path,
    data: &Dataset,
    images: usize,
) -> Result<Calibration, Failure> {
    let progress = bar("measuring", images * (1 + DEGREES.len()));
    let ranges = ranges(graph, data, images, &progress)?;
    let activations: Vec<ActivationStatistics> = ranges
        .histograms
        .iter()
        .map(|(id, h)| h.statistics(&graph.nodes[*id].name))
        .collect();
    let mut agreement = Vec::new();
    for degree in DEGREES {
        let Options { margin, rho, .. } = Options::default();
        let fitted: Result<Vec<Activation>, _> = activations
            .iter()
            .map(|s| fit(s, degree, margin, rho))
            .collect();
        let tables = ranges
            .histograms
            .keys()
            .copied()
            .zip(fitted?.iter().map(Table::new))
            .collect();
        let same = same_class(graph, data, &ranges.classes, &tables, &progress)?;
        agreement.push(Agreement {
            degree,
            same_class: same as f64 / images as f64,
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
        images,
        activations,
        logits: ranges.logits.into(),
        agreement,
    };
    calibration
        .validate()
        .map_err(|e| Failure::in_file(model, e))?;
    Ok(calibration)
}

/// What one pass over the images gives.
#[derive(Default)]
struct Ranges {
    histograms: BTreeMap<ValueId, Histogram>,
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
    let one = |mut ranges: Ranges, index: usize| {
        let mut finite = true;
        let mut record = |id: ValueId, x: &mut [f32]| {
            finite &= ranges.histograms.entry(id).or_default().add(x);
            relu(id, x);
        };
        let logits = run(graph, data, index, &mut record)?;
        if !finite || logits.iter().any(|l| !l.is_finite()) {
            return Err(Failure::new(format!(
                "{}: the model's values on it are not finite",
                data.name(index)
            ))
            .help("check the image and the preprocessing"));
        }
        ranges.logits = logits.iter().fold(ranges.logits, |m, l| m.max(l.abs()));
        ranges.classes.insert(index, class(&logits));
        progress.inc(1);
        Ok(ranges)
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
    let one = |(&index, &expected): (&usize, &usize)| {
        let mut activate = |id: ValueId, x: &mut [f32]| tables[&id].apply(x);
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
    fn new(activation: &Activation) -> Self {
        let at =
            |i: usize| (2.0 * i as f64 / STEPS as f64 - 1.0) / activation.rho * activation.range;
        let values = (0..=STEPS)
            .map(|i| activation.apply(at(i)) as f32)
            .collect();
        Self {
            range: activation.range as f32,
            rho: activation.rho as f32,
            values,
        }
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
        let activation = Activation {
            range: 7.0,
            rho: 0.92,
            coefficients,
        };
        let table = Table::new(&activation);
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
