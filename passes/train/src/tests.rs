//! Whole runs on small networks.

use std::cell::Cell;
use std::ops::ControlFlow;
use std::path::Path;

use hecc_batch::Batch;
use hecc_ir::function::{Approximation, Function};
use hecc_ir::nn::{Graph, Linear, Op, Shape, Window};
use hecc_ir::nn_eval::{evaluate, exact};
use hecc_ir::testing::{Random, conv};

use crate::measure::prepare;
use crate::network::{Mode, Network};
use crate::{Data, Event, Homotopy, Images, Outcome, Recipe, Task, TrainError, train};

const IMAGE: Shape = Shape { c: 2, h: 6, w: 6 };

/// A residual network of two blocks with a padded shortcut, a pool and a product.
fn network() -> Graph {
    let mut random = Random::new(7);
    let mut graph = Graph::new("image", IMAGE);
    let mut scaled = |channels: [usize; 2], stride: usize| {
        let mut op = conv(&mut random, channels, Window::same(3, stride));
        if let Linear::Conv { weight, .. } = &mut op {
            weight.iter_mut().for_each(|w| *w *= 0.5);
        }
        Op::Linear(op)
    };
    let relu = || Op::Activation(Function::Relu);
    let wide = Shape::new(4, 6, 6);
    let small = Shape::new(6, 3, 3);
    let x = graph.push(scaled([2, 4], 1), "conv1", wide, &[graph.input]);
    let x = graph.push(relu(), "relu1", wide, &[x]);
    let y = graph.push(scaled([4, 4], 1), "conv2", wide, &[x]);
    let y = graph.push(relu(), "relu2", wide, &[y]);
    let y = graph.push(scaled([4, 4], 1), "conv3", wide, &[y]);
    let y = graph.push(Op::Add, "add1", wide, &[y, x]);
    let x = graph.push(relu(), "relu3", wide, &[y]);
    let y = graph.push(scaled([4, 6], 2), "conv4", small, &[x]);
    let slice = Linear::Slice {
        start: [0; 3],
        step: [1, 2, 2],
        shape: Shape::new(4, 3, 3),
    };
    let x = graph.push(Op::Linear(slice), "slice", Shape::new(4, 3, 3), &[x]);
    let pad = Linear::Pad {
        before: [1, 0, 0],
        after: [1, 0, 0],
    };
    let x = graph.push(Op::Linear(pad), "pad", small, &[x]);
    let y = graph.push(Op::Add, "add2", small, &[x, y]);
    let x = graph.push(relu(), "relu4", small, &[y]);
    let gate = Linear::Affine {
        scale: vec![0.3; 6],
        shift: vec![0.5; 6],
    };
    let gate = graph.push(Op::Linear(gate), "gate", small, &[x]);
    let x = graph.push(Op::Mul, "mul", small, &[x, gate]);
    let pool = Linear::AveragePool {
        kernel: [3, 3],
        stride: [3, 3],
    };
    let x = graph.push(Op::Linear(pool), "pool", Shape::new(6, 1, 1), &[x]);
    let gemm = Linear::Gemm {
        weight: random.floats(18),
        bias: random.floats(3),
        rows: 3,
    };
    graph.output = graph.push(Op::Linear(gemm), "gemm", Shape::new(3, 1, 1), &[x]);
    graph.verify().unwrap();
    graph
}

fn quadratic() -> Op {
    Op::Activation(Function::Polynomial {
        coefficients: vec![vec![0.2, 0.5, 0.2]],
    })
}

fn line(channels: usize) -> Op {
    Op::Linear(Linear::Affine {
        scale: vec![0.5; channels],
        shift: vec![0.0; channels],
    })
}

fn series() -> Op {
    Op::Activation(Function::Approximated(Approximation::Levelled {
        range: 4.0,
        polynomials: vec![vec![0.3, 0.5, 0.2, 0.0, -0.04]],
        times_x: false,
    }))
}

fn images(count: usize) -> Vec<Vec<f32>> {
    let mut random = Random::new(11);
    (0..count)
        .map(|_| random.floats(IMAGE.elements()))
        .collect()
}

/// The class that the network itself gives.
fn classes(graph: &Graph, images: &[Vec<f32>]) -> Vec<usize> {
    let class = |image: &Vec<f32>| {
        let logits = evaluate(graph, image, &mut exact(graph)).unwrap();
        crate::loss::first_largest(&logits)
    };
    images.iter().map(class).collect()
}

struct Sample {
    graph: Graph,
    images: Vec<Vec<f32>>,
    labels: Vec<usize>,
    all: Vec<usize>,
}

impl Sample {
    fn new(count: usize) -> Self {
        let (mut graph, images) = (network(), images(count));
        // All classes about as often.
        let mut mean = [0.0; 3];
        for image in &images {
            let logits = evaluate(&graph, image, &mut exact(&graph)).unwrap();
            let parts = mean.iter_mut().zip(logits);
            parts.for_each(|(m, l)| *m += l / count as f32);
        }
        if let Op::Linear(Linear::Gemm { bias, .. }) = &mut graph.nodes[graph.output].op {
            bias.iter_mut().zip(mean).for_each(|(b, m)| *b -= m);
        }
        Self {
            labels: classes(&graph, &images),
            all: (0..count).collect(),
            graph,
            images,
        }
    }

    fn data<'a>(&'a self, images: &'a dyn Images) -> Data<'a> {
        let cut = self.all.len() * 3 / 4;
        Data {
            images,
            labels: &self.labels,
            training: &self.all[..cut],
            held_out: &self.all[cut..],
        }
    }

    fn train(
        &self,
        ops: &[Op],
        recipe: &Recipe,
        file: Option<&Path>,
        watch: &mut dyn FnMut(Event<'_>) -> ControlFlow<()>,
    ) -> Result<Outcome, TrainError> {
        let task = Task {
            network: &self.graph,
            ops,
            teacher: &self.graph,
        };
        train(task, self.data(&self.images), recipe, file, watch)
    }
}

fn recipe() -> Recipe {
    Recipe {
        epochs: 6,
        batch: 16,
        rate: 0.05,
        homotopy_epochs: 2.0,
        measured: 64,
        settled: 4,
        shift: 0,
        mirror: false,
        ..Recipe::default()
    }
}

fn go(_: Event<'_>) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

#[test]
fn starting_changes_nothing_and_folds_back() {
    let sample = Sample::new(96);
    let ops = vec![Op::Activation(Function::Relu); 4];
    let mut network = Network::new(&sample.graph, &ops, true).unwrap();
    let data = sample.data(&sample.images);
    prepare(&mut network, &data, IMAGE, &recipe()).unwrap();
    let folded = network.graph(&sample.graph);
    assert_ne!(
        folded.dump(),
        sample.graph.dump(),
        "constants are computed anew"
    );
    let batch = data.plain(IMAGE, &sample.all).unwrap();
    let (logits, _) = network
        .forward(batch, Mode::Evaluating, &mut |_, _, _| ())
        .unwrap();
    for (i, image) in sample.images.iter().enumerate() {
        let expect = evaluate(&sample.graph, image, &mut exact(&sample.graph)).unwrap();
        let again = evaluate(&folded, image, &mut exact(&folded)).unwrap();
        for ((a, b), c) in logits.image(i).iter().zip(&expect).zip(&again) {
            assert!((a - b).abs() < 2e-4 && (c - b).abs() < 2e-4, "{a} {b} {c}");
        }
    }
}

/// Statistics of normalisation are those of the polynomials that come trained, not of the functions that
/// they replaced: by the measured images' own statistics the network is the same.
#[test]
fn what_comes_trained_begins_unchanged() {
    let sample = Sample::new(64);
    let rows = |c: usize| {
        let row = |k: usize| vec![0.1 + 0.1 * k as f32, 0.7, 0.2];
        Op::Activation(Function::Polynomial {
            coefficients: (0..c).map(row).collect(),
        })
    };
    let ops = [rows(4), line(4), series(), rows(6)];
    let recipe = Recipe {
        homotopy_epochs: 0.0,
        ..recipe()
    };
    let mut network = Network::new(&sample.graph, &ops, false).unwrap();
    let data = Data {
        training: &sample.all,
        ..sample.data(&sample.images)
    };
    prepare(&mut network, &data, IMAGE, &recipe).unwrap();
    // The line is fitted: it was measured as the function that it replaces.
    network.set_shares(|index, _| if index == 1 { 0.0 } else { 1.0 });
    let logits = |mode| {
        let batch = data.plain(IMAGE, &sample.all).unwrap();
        network.forward(batch, mode, &mut |_, _, _| ()).unwrap().0
    };
    let (measured, own) = (logits(Mode::Evaluating), logits(Mode::Training));
    let largest = measured.data.iter().fold(0.0f32, |m, l| m.max(l.abs()));
    for (a, b) in measured.data.iter().zip(&own.data) {
        assert!((a - b).abs() < 1e-3 * largest, "{a} {b}");
    }
}

/// One image that grows without bound tells nothing of the others; many are an error.
#[test]
fn what_goes_astray_is_not_measured() {
    let mut sample = Sample::new(64);
    sample.images[5].iter_mut().for_each(|x| *x *= 1e30);
    let ops = [quadratic(), line(4), series(), quadratic()];
    let bounds = |training: &[usize]| {
        let mut network = Network::new(&sample.graph, &ops, true).unwrap();
        let data = Data {
            training,
            ..sample.data(&sample.images)
        };
        let of = |network: &Network, &i: &usize| network.activation(i).unwrap().bounds.clone();
        prepare(&mut network, &data, IMAGE, &recipe()).map(|()| {
            let activations = network.activations.iter();
            activations.map(|i| of(&network, i)).collect::<Vec<_>>()
        })
    };
    let others: Vec<usize> = (0..48).filter(|&i| i != 5).collect();
    assert_eq!(bounds(&sample.all[..48]).unwrap(), bounds(&others).unwrap());
    let message = bounds(&[5]).unwrap_err().to_string();
    assert!(message.contains("not finite"), "{message}");
}

#[test]
fn gradients_of_the_whole_are_slopes() {
    let sample = Sample::new(8);
    let ops = [quadratic(), line(4), series(), quadratic()];
    let mut network = Network::new(&sample.graph, &ops, true).unwrap();
    let data = Data {
        training: &sample.all,
        ..sample.data(&sample.images)
    };
    prepare(&mut network, &data, IMAGE, &recipe()).unwrap();
    // The series goes straight through: only what lies behind it can be compared.
    network.set_shares(|index, _| [0.5, 1.0, 0.0, 0.7][index]);
    let weight = Random::new(9).floats(24);
    let value = |network: &Network| -> f64 {
        let batch = data.plain(IMAGE, &sample.all).unwrap();
        let (logits, tape) = network
            .forward(batch, Mode::Training, &mut |_, _, _| ())
            .unwrap();
        let terms = logits.data.iter().zip(&weight);
        let sum: f64 = terms.map(|(l, w)| f64::from(l * w)).sum();
        sum + 0.1 * tape.excess.squares / 8.0
    };
    let batch = data.plain(IMAGE, &sample.all).unwrap();
    let (logits, tape) = network
        .forward(batch, Mode::Training, &mut |_, _, _| ())
        .unwrap();
    let gradient = Batch {
        data: weight.clone(),
        ..logits
    };
    let gradients = network.backward(tape, gradient, 0.1).unwrap();
    let lengths: Vec<usize> = network.parameters().iter().map(|(_, v)| v.len()).collect();
    assert_eq!(lengths, gradients.iter().map(Vec::len).collect::<Vec<_>>());
    let step = 2e-3;
    let (mut error, mut norm) = (0.0, 0.0);
    for (block, gradient) in gradients.iter().enumerate() {
        for i in (0..gradient.len()).step_by(17) {
            network.parameters()[block].1[i] += step;
            let up = value(&network);
            network.parameters()[block].1[i] -= 2.0 * step;
            let down = value(&network);
            network.parameters()[block].1[i] += step;
            let slope = (up - down) / (2.0 * f64::from(step));
            error += (slope - f64::from(gradient[i])).powi(2);
            norm += slope * slope;
        }
    }
    // Kinks of the ReLUs and f32 leave a little.
    assert!(error.sqrt() < 0.02 * norm.sqrt(), "{error} of {norm}");
}

#[test]
fn small_networks_learn() {
    let sample = Sample::new(384);
    let check = |ops: &[Op], homotopy: Homotopy| {
        let recipe = Recipe {
            homotopy,
            ..recipe()
        };
        let replaced = Sample::accuracy_untrained(&sample, ops);
        let outcome = sample.train(ops, &recipe, None, &mut go).unwrap();
        assert!(outcome.finished && outcome.history.epochs.len() == 6);
        let best = &outcome.history.epochs[outcome.history.best().unwrap()];
        assert!(best.correct.abs_diff(outcome.correct) <= 1, "{best:?}");
        assert!(
            outcome.correct >= 64 && outcome.correct > replaced + 8,
            "{} of 96, {replaced} before",
            outcome.correct
        );
        outcome.graph.verify().unwrap();
    };
    check(&vec![quadratic(); 4], Homotopy::FrontToBack);
    check(
        &[series(), line(4), quadratic(), series()],
        Homotopy::Together,
    );
}

impl Sample {
    /// Held-out images right when the operators are put in without training.
    fn accuracy_untrained(&self, ops: &[Op]) -> usize {
        let graph = hecc_passes::replace::apply(&self.graph, ops);
        let classes = classes(&graph, &self.images);
        let cut = self.all.len() * 3 / 4;
        let pairs = classes[cut..].iter().zip(&self.labels[cut..]);
        pairs.filter(|(a, b)| a == b).count()
    }
}

#[test]
fn a_resumed_run_gives_the_same_bits() {
    let sample = Sample::new(128);
    let ops = [quadratic(), line(4), series(), quadratic()];
    let recipe = Recipe {
        epochs: 3,
        shift: 1,
        mirror: true,
        checkpoint_steps: 2,
        ..recipe()
    };
    let whole = sample.train(&ops, &recipe, None, &mut go).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("run.pat");
    // Broken off in the middle of an epoch, at the end of one, and by two threads.
    let mut finished = false;
    for stop in [4, 5, 1000] {
        let count = Cell::new(0);
        let mut watch = |event: Event<'_>| {
            count.set(count.get() + 1);
            match (event, count.get() >= stop) {
                (Event::Step { .. } | Event::Epoch { .. }, true) => ControlFlow::Break(()),
                (Event::Step { .. } | Event::Epoch { .. }, false) => ControlFlow::Continue(()),
            }
        };
        let part = sample
            .train(&ops, &recipe, Some(&file), &mut watch)
            .unwrap();
        finished = part.finished;
        if finished {
            assert_eq!(part.history, whole.history);
            assert_eq!(part.graph.dump(), whole.graph.dump());
        }
    }
    assert!(finished);
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build()
        .unwrap();
    let alone =
        pool.install(|| sample.train(&ops, &recipe, None, &mut |_| ControlFlow::Continue(())));
    assert_eq!(alone.unwrap().graph.dump(), whole.graph.dump());

    let refused = |ops: &[Op], recipe: &Recipe, expect: &str| {
        let error = sample.train(ops, recipe, Some(&file), &mut go).unwrap_err();
        assert!(error.to_string().contains(expect), "{error}");
    };
    refused(&vec![quadratic(); 4], &recipe, "another network, operators");
    let faster = Recipe {
        rate: 0.1,
        ..recipe.clone()
    };
    refused(&ops, &faster, "another recipe; remove it");
}

#[test]
fn divergence_stops_with_the_last_good_state_kept() {
    let sample = Sample::new(128);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("run.pat");
    let wild = Recipe {
        rate: 100.0,
        coefficient_rate: 100.0,
        warmup: 0.0,
        homotopy_epochs: 0.0,
        clip: 1e30,
        checkpoint_steps: 1,
        ..recipe()
    };
    let ops = vec![quadratic(); 4];
    let error = sample.train(&ops, &wild, Some(&file), &mut go).unwrap_err();
    let message = error.to_string();
    assert!(
        matches!(
            error,
            TrainError::Diverged {
                epoch: 0,
                checkpoint: Some(_),
                ..
            }
        ),
        "{message}"
    );
    assert!(
        message.contains("lower rate") && message.contains("longer homotopy"),
        "{message}"
    );
    let kept = crate::checkpoint::Checkpoint::read(&file).unwrap().unwrap();
    assert!(kept.header.step >= 1);
}

#[test]
fn inputs_that_do_not_fit() {
    let sample = Sample::new(32);
    let check = |ops: &[Op], recipe: &Recipe, expect: &str| {
        let error = sample.train(ops, recipe, None, &mut go).unwrap_err();
        assert!(error.to_string().contains(expect), "{error}");
    };
    check(
        &vec![quadratic(); 3],
        &recipe(),
        "activation 'relu4': no operator",
    );
    check(
        &vec![quadratic(); 5],
        &recipe(),
        "more operators than the network's 4",
    );
    check(
        &[quadratic(), Op::Add, quadratic(), quadratic()],
        &recipe(),
        "'relu2'",
    );
    let no = Recipe {
        epochs: 0,
        ..recipe()
    };
    check(&vec![quadratic(); 4], &no, "epochs is 0");
}
