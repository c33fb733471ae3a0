use super::*;
use crate::images::{MAX_NATS, class, divergence, log_softmax};
use crate::planner::Cost;
use hecc_ir::function::Function;
use hecc_ir::nn::{Linear, Shape, Window};
use hecc_ir::nn_eval::{evaluate, exact};
use hecc_passes::replace::apply;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A second a gene; what sums to 5 cannot be run.
struct Sum;

impl Planner for Sum {
    fn predict(&self, genome: &[u8]) -> Result<Option<Cost>, SearchError> {
        let sum: usize = genome.iter().map(|&g| usize::from(g)).sum();
        Ok((sum != 5).then_some(Cost {
            seconds: sum as f64,
            bootstraps: sum,
            log_n: 15,
            levels: 9,
        }))
    }
    fn best(&self, errors: &[Vec<f64>], _lambda: f64) -> Result<Genome, SearchError> {
        Ok(vec![0; errors.len()])
    }
}

const SHAPE: Shape = Shape { c: 2, h: 3, w: 3 };

/// A residual block with two activations; the second is pushed before the first.
fn graph() -> Graph {
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let mut floats =
        |n: usize| -> Vec<f32> { (0..n).map(|_| rng.random_range(-1.0..1.0)).collect() };
    let mut graph = Graph::new("image", SHAPE);
    let conv = Linear::Conv {
        weight: floats(2 * 2 * 9),
        bias: floats(2),
        out_channels: 2,
        window: Window::same(3, 1),
    };
    let gemm = Linear::Gemm {
        weight: floats(4 * 18),
        bias: floats(4),
        rows: 4,
    };
    let relu = || Op::Activation(Function::Relu);
    let second = graph.push(relu(), "second", SHAPE, &[]);
    let x = graph.push(Op::Linear(conv), "conv", SHAPE, &[graph.input]);
    let first = graph.push(relu(), "first", SHAPE, &[x]);
    let sum = graph.push(Op::Add, "sum", SHAPE, &[first, graph.input]);
    graph.nodes.add_edge(sum, second, 0);
    let flat = Shape::new(4, 1, 1);
    graph.output = graph.push(Op::Linear(gemm), "gemm", flat, &[second]);
    graph
}

fn candidates() -> Vec<Vec<Op>> {
    let line = |a: f32| {
        Op::Linear(Linear::Affine {
            scale: vec![a; 2],
            shift: vec![0.1; 2],
        })
    };
    let polynomial = |row: Vec<f32>| {
        Op::Activation(Function::Polynomial {
            coefficients: vec![row],
        })
    };
    let first = vec![
        line(0.5),
        polynomial(vec![0.2, 0.5, 0.3]),
        polynomial(vec![0.0, f32::MAX, f32::MAX]),
        Op::Activation(Function::Relu),
    ];
    vec![
        first,
        vec![
            line(0.7),
            polynomial(vec![0.1, 0.5, 0.2]),
            Op::Activation(Function::Relu),
        ],
    ]
}

fn inputs(count: usize) -> Vec<Vec<f32>> {
    let mut rng = ChaCha8Rng::seed_from_u64(8);
    let mut one = |_| {
        (0..SHAPE.elements())
            .map(|_| rng.random_range(-1.0..1.0))
            .collect()
    };
    (0..count).map(&mut one).collect()
}

fn batch(images: &[Vec<f32>]) -> Batch {
    let slices: Vec<&[f32]> = images.iter().map(Vec::as_slice).collect();
    Batch::from_images(SHAPE, &slices)
}

fn all_genomes() -> Vec<Genome> {
    (0..12).map(|i| vec![i % 4, i / 4]).collect()
}

/// Accuracy and divergence by the graph edited and evaluated image by image.
#[test]
fn scores_are_those_of_the_edited_graph() {
    let (graph, candidates, images) = (graph(), candidates(), inputs(150));
    let logits = |graph: &Graph, image: &[f32]| evaluate(graph, image, &mut exact(graph)).unwrap();
    let labels: Vec<usize> = (0..images.len())
        .map(|i| {
            if i % 5 == 0 {
                i % 4
            } else {
                class(&logits(&graph, &images[i]))
            }
        })
        .collect();
    let judged = Images::new(&graph, batch(&images), Some(&labels)).unwrap();
    let objective = NetworkObjective::new(&graph, &candidates, Sum, judged.clone(), None).unwrap();
    let scores = objective.evaluate(&all_genomes()).unwrap();
    let verdicts = objective.verdicts(&all_genomes()).unwrap();
    for ((genome, score), verdict) in all_genomes().iter().zip(scores).zip(verdicts) {
        let chosen = |(ops, &gene): (&Vec<Op>, &u8)| ops[usize::from(gene)].clone();
        let ops: Vec<Op> = candidates.iter().zip(genome).map(chosen).collect();
        let edited = apply(&graph, &ops);
        let (mut correct, mut lost, mut nats, mut changed) = (0, 0, 0.0, 0.0);
        for (image, &label) in images.iter().zip(&labels) {
            let exact = logits(&graph, image);
            let teacher = log_softmax(&exact).unwrap();
            let student = logits(&edited, image);
            let finite = student.iter().all(|l| l.is_finite());
            let right = finite && class(&student) == label;
            lost += usize::from(class(&exact) == label && !right);
            match log_softmax(&student) {
                Some(log) => {
                    correct += usize::from(class(&student) == label);
                    nats += divergence(&teacher, &log).min(MAX_NATS);
                    changed += crate::loss::change(&teacher, &log);
                }
                None => {
                    nats += MAX_NATS;
                    changed += 1.0;
                }
            }
        }
        let share = Share {
            correct,
            images: 150,
        };
        assert_eq!(verdict.accuracy, share, "{genome:?}");
        let expect = crate::loss::loss(lost, 150, changed / 150.0);
        assert!((verdict.loss - expect).abs() < 1e-5, "{genome:?}");
        if genome[0] + genome[1] == 5 {
            assert_eq!(score, None);
            continue;
        }
        let score = score.unwrap();
        assert_eq!(score.accuracy, correct as f64 / 150.0, "{genome:?}");
        assert_eq!(score.loss, verdict.loss, "{genome:?}");
        assert!((score.divergence - nats / 150.0).abs() < 1e-5, "{genome:?}");
        assert_eq!(score.seconds, f64::from(genome[0] + genome[1]));
    }
    // The exact network is among them, but cannot be run; the overflowing one is wrong throughout.
    let broken = objective.evaluate(&[vec![2, 2]]).unwrap()[0].unwrap();
    assert_eq!((broken.accuracy, broken.divergence), (0.0, MAX_NATS));
    assert_eq!(
        objective.exact_share(),
        objective.verdicts(&[vec![3, 2]]).unwrap()[0].accuracy
    );
    let few = objective.on(judged.first(40)).unwrap();
    let fewer = Images::new(&graph, batch(&images[..40]), Some(&labels[..40])).unwrap();
    assert_eq!(
        few.verdicts(&all_genomes()).unwrap(),
        objective
            .on(fewer)
            .unwrap()
            .verdicts(&all_genomes())
            .unwrap()
    );
    let alone: Vec<_> = all_genomes()
        .iter()
        .flat_map(|g| objective.evaluate(std::slice::from_ref(g)).unwrap())
        .collect();
    assert_eq!(alone, objective.evaluate(&all_genomes()).unwrap());
}

#[test]
fn hopeless_genomes_keep_the_score_of_the_first_stage() {
    let (graph, images) = (graph(), inputs(150));
    let judged = |count: usize| Images::new(&graph, batch(&images[..count]), None).unwrap();
    let screen = Screen {
        images: 40,
        hopeless: 0.2,
    };
    let staged =
        NetworkObjective::new(&graph, &candidates(), Sum, judged(150), Some(screen)).unwrap();
    let all = staged.on(judged(150)).unwrap();
    let few = staged.on(judged(40)).unwrap();
    let mut hopeless = 0;
    for genome in all_genomes() {
        let [a, b, c] = [&staged as &dyn Objective, &all, &few]
            .map(|o| o.evaluate(std::slice::from_ref(&genome)).unwrap()[0]);
        let lost = c.map_or(0.0, |c| 1.0 - c.accuracy);
        hopeless += usize::from(lost > 0.2);
        assert_eq!(a, if lost > 0.2 { c } else { b }, "{genome:?}");
    }
    assert!((1..10).contains(&hopeless));
    let priced = staged.priced(crate::CountBootstraps(Sum));
    assert_eq!(
        priced.evaluate(&[vec![0, 1]]).unwrap()[0].unwrap().seconds,
        1.0
    );
    staged.interrupted().store(true, Ordering::Relaxed);
    assert!(matches!(
        staged.evaluate(&[vec![0, 1]]),
        Err(SearchError::Interrupted)
    ));
}

/// A search on ten images, confirmed on others.
#[test]
fn a_front_is_confirmed_on_other_images() {
    use crate::{Budget, Limits, Settings, State, confirm, search};
    let (graph, images) = (graph(), inputs(200));
    let judged = |images: &[Vec<f32>]| Images::new(&graph, batch(images), None).unwrap();
    let objective =
        NetworkObjective::new(&graph, &candidates(), Sum, judged(&images[..10]), None).unwrap();
    let mut state = State::new(objective.sizes(), Settings::default(), vec![], "").unwrap();
    let mut each = |_: &State, _: &crate::Generation| std::ops::ControlFlow::Continue(());
    search(&objective, &mut state, &Budget::default(), &mut each).unwrap();
    assert_eq!(state.archive().len(), 12);
    let other = objective.on(judged(&images[10..])).unwrap();
    let all = confirm(&other, &state, 12, &Limits::default()).unwrap();
    let scores = other.evaluate(&all_genomes()).unwrap();
    let expect = crate::front(&scores, &Limits::default());
    let worth = |i: &usize| scores[*i].map(|s| (s.seconds, s.accuracy, s.loss));
    let got: Vec<_> = all
        .iter()
        .map(|c| Some((c.cost.seconds, c.verdict.accuracy.value(), c.verdict.loss)))
        .collect();
    assert_eq!(got, expect.iter().map(worth).collect::<Vec<_>>());
    for confirmed in &all {
        let score = state.score(&confirmed.genome).unwrap().unwrap();
        assert_eq!(
            (confirmed.searched, confirmed.verdict.accuracy.images),
            (score.accuracy, 190)
        );
    }
    let demanding = Limits {
        min_accuracy: Some(1.0),
        max_seconds: Some(1.0),
    };
    assert!(confirm(&other, &state, 12, &demanding).unwrap().is_empty());
}

#[test]
fn images_that_do_not_fit_are_refused() {
    let graph = graph();
    let check = |result: Result<Images, SearchError>, expect: &str| {
        let message = result.map(|_| ()).unwrap_err().to_string();
        assert!(message.starts_with("images to judge on: "), "{message}");
        assert!(message.contains(expect), "{message}");
    };
    let images = batch(&inputs(3));
    check(Images::new(&graph, Batch::zeros(0, SHAPE), None), "none");
    check(
        Images::new(&graph, Batch::zeros(1, Shape::new(3, 3, 3)), None),
        "3x3x3",
    );
    check(
        Images::new(&graph, images.clone(), Some(&[0])),
        "1 labels for 3 images",
    );
    check(
        Images::new(&graph, images.clone(), Some(&[0, 4, 0])),
        "label 4 of image 1",
    );
    let mut broken = images;
    broken.data[2 * SHAPE.elements()] = f32::NAN;
    // The image feeds the sum, and a ReLU of NaN is 0; the map before the classifier is not.
    if let Err(e) = Images::new(&graph, broken, None) {
        assert!(e.to_string().contains("image 2"), "{e}");
    }
}
