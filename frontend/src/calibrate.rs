//! `hecc calibrate`: what enters every activation, and how low a degree keeps the classes.

use crate::args::Calibrate;
use crate::failure::Failure;
use crate::files;
use crate::measure::{Measured, Read, at_once, batch, measure_read};
use crate::model::load;
use crate::print::{note, say};
use crate::progress::bar;
use hecc_batch::{Elementwise, Network};
use hecc_images::Dataset;
use hecc_ir::calibration::{ActivationStatistics, Agreement, Calibration};
use hecc_ir::function::{Approximation, Function};
use hecc_ir::nn::{Graph, Op};
use hecc_ir::nn_eval::class;
use hecc_passes::approximate;
use hecc_passes::choose_degree::DEGREES;
use hecc_passes::{Options, fit};
use indicatif::ProgressBar;
use std::borrow::Cow;
use std::path::Path;

/// Runs the command.
pub fn calibrate(args: &Calibrate) -> Result<(), Failure> {
    let (folded, _) = load(&args.model, args.maxpool)?;
    let graph = folded.graph;
    let data = open(&args.model, args.preprocess.as_deref(), &args.data, &graph)?;
    let images = data.len().min(args.limit as usize);
    let (calibration, divergent) = calibration(&graph, &args.model, &data, images)?;
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
    let described = files::preprocess(preprocess, model, graph)?;
    let set = Dataset::open(data, &described.preprocess)?;
    if described.file.is_none() && !set.is_raw() {
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
fn calibration(
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
    let read = |place: usize| -> Result<Cow<'_, [f32]>, Failure> { Ok(data.get(place)?.into()) };
    let file = model.file_name().unwrap_or_default().to_string_lossy();
    let mut measured = measure_read(graph, &file, images, &read, &mut |images| {
        progress.inc(images)
    })?;
    if approximated {
        let agreement = agreement(graph, &measured, &read, &progress)?;
        measured.calibration.agreement = agreement;
    }
    progress.finish_and_clear();
    Ok((measured.calibration, images - measured.classes.len()))
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

/// On which share of the images that count the approximations of each of [`DEGREES`] keep the class.
fn agreement(
    graph: &Graph,
    measured: &Measured,
    read: &Read<'_>,
    progress: &ProgressBar,
) -> Result<Vec<Agreement>, Failure> {
    let network = Network::new(graph)?;
    let choices = choices(graph, &network, &measured.calibration.activations)?;
    // One choice where the function is its own approximation.
    let genome = |degree: usize| choices.iter().map(|c| degree.min(c.len() - 1)).collect();
    let genomes: Vec<Vec<usize>> = (0..DEGREES.len()).map(genome).collect();
    let classes = &measured.classes;
    let places: Vec<usize> = classes.keys().copied().collect();
    let mut same = [0; DEGREES.len()];
    for places in places.chunks(at_once(graph)) {
        let images = batch(graph, places, read)?;
        network.forward_all(&images, &choices, &genomes, &mut |degree, logits| {
            let keeps = |(i, place)| class(&logits.channels_first(i)) == classes[place];
            same[degree] += places.iter().enumerate().filter(|&p| keeps(p)).count();
        });
        progress.inc((places.len() * DEGREES.len()) as u64);
    }
    let share = |(degree, same)| Agreement {
        degree,
        same_class: same as f64 / classes.len() as f64,
    };
    Ok(DEGREES.into_iter().zip(same).map(share).collect())
}

/// For every activation of the network its approximations by [`DEGREES`], or what it is exactly.
fn choices(
    graph: &Graph,
    network: &Network,
    statistics: &[ActivationStatistics],
) -> Result<Vec<Vec<Elementwise>>, Failure> {
    let Options { margin, rho, .. } = Options::default();
    // Statistics stand in the graph's order, the network's activations in dataflow order.
    let mut order: Vec<usize> = (0..statistics.len()).collect();
    order.sort_by_key(|&i| network.activations()[i]);
    let mut choices = vec![Vec::new(); statistics.len()];
    for (place, statistics) in order.into_iter().zip(statistics) {
        let node = &graph.nodes[network.activations()[place]];
        choices[place] = match &node.op {
            Op::Activation(function) if !is_exact(function) => {
                let fitted = DEGREES.map(|degree| fit(function, statistics, degree, margin, rho));
                let choice = |fitted: Result<Approximation, _>| -> Result<Elementwise, Failure> {
                    let op = Op::Activation(Function::Approximated(fitted?));
                    Ok(Elementwise::new(&op, node.shape)?)
                };
                fitted.into_iter().map(choice).collect::<Result<_, _>>()?
            }
            op @ (Op::Activation(_) | Op::Input | Op::Linear(_) | Op::Add | Op::Mul) => {
                vec![Elementwise::new(op, node.shape)?]
            }
        };
    }
    Ok(choices)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;
    use hecc_ir::nn::ValueId;
    use hecc_ir::nn_eval::{evaluate, exact};
    use hecc_passes::fold_linear;
    use std::collections::BTreeMap;

    /// Against the series in f64, image by image.
    #[test]
    fn agreement_is_that_of_the_fitted_functions() {
        let graph = fold_linear(&sample::residual(Function::Relu))
            .unwrap()
            .graph;
        let images = sample::images(&graph, 40);
        let read = |place: usize| Ok(Cow::Borrowed(images[place].as_slice()));
        let measured = measure_read(&graph, "m", images.len(), &read, &mut |_| ()).unwrap();
        let got = agreement(&graph, &measured, &read, &ProgressBar::hidden()).unwrap();
        let Options { margin, rho, .. } = Options::default();
        for Agreement { degree, same_class } in got {
            let is_activation = |id: &ValueId| matches!(graph.nodes[*id].op, Op::Activation(_));
            let fitted: BTreeMap<ValueId, Approximation> = graph
                .nodes
                .node_indices()
                .filter(is_activation)
                .zip(&measured.calibration.activations)
                .map(|(id, s)| (id, fit(&Function::Relu, s, degree, margin, rho).unwrap()))
                .collect();
            let mut activate = |id: ValueId, x: &mut [f32]| {
                x.iter_mut()
                    .for_each(|x| *x = fitted[&id].apply((*x).into()) as f32);
            };
            let keeps = |image: &&Vec<f32>| {
                let model = evaluate(&graph, image, &mut exact(&graph)).unwrap();
                class(&model) == class(&evaluate(&graph, image, &mut activate).unwrap())
            };
            let same = images.iter().filter(keeps).count();
            assert_eq!(same_class, same as f64 / images.len() as f64, "{degree}");
        }
    }
}
