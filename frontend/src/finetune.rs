//! `hecc finetune`: the network of a point, or of choices of one's own, trained with its polynomials and
//! added to the front.
//!
//! The images that the front's accuracies come of are drawn as the search drew them, and kept out of
//! training; those that judged candidates say which epoch is best.

mod data;

use crate::args::Finetune;
use crate::compile::cost_table;
use crate::export;
use crate::failure::Failure;
use crate::import::MaxPool;
use crate::model::load;
use crate::model_hash::{model_hash, same_model};
use crate::pick::point;
use crate::print::{note, say};
use crate::search::binding::Binding;
use crate::search::emit::{Emitter, cost};
use crate::search::finish::stage_texts;
use crate::search::folder::{FRONT, Folder, MODEL, STATE, Staged};
use crate::search::interrupt;
use crate::search::{End, progress::Progress};
use data::{Parts, Source};
use hecc_batch::{Batch, Network};
use hecc_ir::nn::Graph;
use hecc_ir::nn_eval::class;
use hecc_passes::replace::apply;
use hecc_passes::{Folded, Options};
use hecc_search::{Front, Genome, Point, Share, State, Tuned};
use hecc_train::{Data, Event, Outcome, Recipe, Task, train};
use std::ops::ControlFlow;
use std::path::Path;

/// Images evaluated at a time.
const BATCH: usize = 128;
/// Steps between two checkpoints: half a minute on ResNet-20.
const CHECKPOINT_STEPS: usize = 75;

/// Names of what training a genome leaves in the folder; not by the point's number, which is another after
/// the search has gone on.
struct Names {
    checkpoint: String,
    curve: String,
    model: String,
    plan: String,
    description: String,
}

impl Names {
    fn of(genome: &Genome) -> Self {
        let hash = blake3::hash(genome).to_hex();
        let name = |ending: &str| format!("tuned-{}.{ending}", &hash[..8]);
        Self {
            checkpoint: name("checkpoint"),
            curve: name("svg"),
            model: name("onnx"),
            plan: name("plan.bin"),
            description: name("preprocess.toml"),
        }
    }
}

/// Runs the command.
pub fn finetune(args: &Finetune) -> Result<End, Failure> {
    interrupt::listen()?;
    let mut progress = Progress::new();
    let result = run(args, &mut progress);
    progress.finish();
    result
}

fn run(args: &Finetune, progress: &mut Progress) -> Result<End, Failure> {
    let folder = Folder::open(&args.front, FRONT)?;
    let front = folder.front()?;
    let genome = genome(args, &front, &folder)?;
    let names = Names::of(&genome);
    let checkpoint = folder.at(&names.checkpoint);
    match (args.resume, checkpoint.exists()) {
        (false, true) => {
            return Err(
                Failure::in_file(&checkpoint, "holds a training of these choices already")
                    .help("go on from it with --resume, or remove it"),
            );
        }
        (true, false) => {
            return Err(
                Failure::in_file(&checkpoint, "there is no training to go on from")
                    .help("leave --resume out"),
            );
        }
        (false, false) | (true, true) => {}
    }
    progress.phase("reading the model and the images");
    let folded = network(&folder, &front)?;
    let graph = &folded.graph;
    let source = Source::open(args, &folder.at(MODEL), graph)?;
    let parts = Parts::draw(&front, &source, &args.data)?;
    let ops = front.ops(&genome)?;
    let before = share(&apply(graph, &ops), &source, &parts.confirmation)?;
    let recipe = recipe(args, &source);
    let outcome = train(
        Task {
            network: graph,
            ops: &ops,
            teacher: graph,
        },
        Data {
            images: &source,
            labels: &source.labels,
            training: &parts.training,
            held_out: &parts.search,
        },
        &recipe,
        Some(&checkpoint),
        &mut |event| watch(event, &recipe, progress),
    )?;
    folder.write(&names.curve, outcome.history.svg().as_bytes())?;
    if !outcome.finished {
        progress.finish();
        say!(
            "stopped after {} of {} epochs; {} holds the state, --resume goes on",
            outcome.history.epochs.len(),
            recipe.epochs,
            checkpoint.display()
        )?;
        return Ok(End::Interrupted);
    }
    progress.phase("compiling the trained network");
    let after = share(&outcome.graph, &source, &parts.confirmation)?;
    let tuned = Tuned {
        model: names.model.clone(),
        epochs: outcome.history.epochs.len(),
        before,
    };
    let result = Trained {
        outcome: &outcome,
        names: &names,
        after,
        tuned,
    };
    add(
        args, &folder, front, genome, &folded, &source, &parts, result,
    )?;
    progress.finish();
    say!(
        "{:.2} % before, {:.2} % after {} epochs, on {} images",
        100.0 * before.value(),
        100.0 * after.value(),
        outcome.history.epochs.len(),
        after.images
    )?;
    say!(
        "{}, {} and {} written to {}",
        names.plan,
        names.model,
        names.curve,
        args.front.display()
    )?;
    Ok(End::Done)
}

/// The choices to train: a point's, or those that are named.
fn genome(args: &Finetune, front: &Front, folder: &Folder) -> Result<Genome, Failure> {
    if let Some(kinds) = &args.choices {
        return front.genome(kinds).map_err(|e| {
            Failure::new(format!("--choices: {e}"))
                .help("report.md lists the activations and their kinds; one kind alone stands for all of them")
        });
    }
    let number = point(args.point.unwrap_or_default(), front, folder)?;
    match &front.points[number].tuned {
        None => Ok(front.points[number].genome.clone()),
        Some(tuned) => Err(Failure::in_file(
            &folder.at(FRONT),
            format!("point {number} is trained already ({})", tuned.model),
        )
        .help("train the point of the search that it came of, with more --epochs")),
    }
}

/// The network of the search, whatever a MaxPool became then.
fn network(folder: &Folder, front: &Front) -> Result<Folded, Failure> {
    let path = folder.at(MODEL);
    for maxpool in [MaxPool::default(), MaxPool::Average] {
        let (folded, _) = load(&path, maxpool)?;
        if same_model(&model_hash(&folded.graph), &front.model_hash) {
            return Ok(folded);
        }
    }
    Err(
        Failure::in_file(&path, format!("is not the network of {FRONT}"))
            .help("search again into another folder"),
    )
}

fn recipe(args: &Finetune, source: &Source) -> Recipe {
    let base = Recipe::default();
    let epochs = args.epochs as usize;
    Recipe {
        epochs,
        batch: args.batch as usize,
        rate: args.rate.map_or(base.rate, |rate| rate as f32),
        warmup: base.warmup.min(epochs as f32 / 2.0),
        homotopy_epochs: args
            .homotopy
            .map_or(base.homotopy_epochs.min(epochs as f32 / 3.0), |e| e as f32),
        checkpoint_steps: CHECKPOINT_STEPS,
        shift: args.shift as usize,
        mirror: !args.no_mirror,
        fill: source.black(),
        seed: args.seed,
        ..base
    }
}

fn watch(event: Event<'_>, recipe: &Recipe, progress: &mut Progress) -> ControlFlow<()> {
    match event {
        Event::Step {
            epoch,
            step,
            steps,
            loss,
            ..
        } => {
            let what = format!(
                "epoch {} of {}, loss {loss:.4}, step",
                epoch + 1,
                recipe.epochs
            );
            progress.step(&what, step, steps);
        }
        Event::Epoch { history } => {
            if let Some(last) = history.epochs.last() {
                progress.note(&format!(
                    "epoch {} of {}: loss {:.4}, {:.2} % of the held-out images, {:.3} % of the operands outside of their range",
                    history.epochs.len(),
                    recipe.epochs,
                    last.loss,
                    100.0 * last.accuracy(),
                    100.0 * last.outside
                ));
            }
        }
    }
    match interrupt::asked() {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    }
}

/// How many of some images a graph classifies as their labels say.
fn share(graph: &Graph, source: &Source, places: &[usize]) -> Result<Share, Failure> {
    let network = Network::new(graph)?;
    let shape = graph.nodes[graph.input].shape;
    let mut correct = 0;
    for chunk in places.chunks(BATCH) {
        let images = source.images(chunk)?;
        let refs: Vec<&[f32]> = images.iter().map(Vec::as_slice).collect();
        let logits = network.forward(&Batch::from_images(shape, &refs));
        for (i, &place) in chunk.iter().enumerate() {
            let logits = logits.image(i);
            // What is not finite is wrong.
            let finite = logits.iter().all(|l| l.is_finite());
            correct += usize::from(finite && class(logits) == source.labels[place]);
        }
    }
    Ok(Share {
        correct,
        images: places.len(),
    })
}

struct Trained<'a> {
    outcome: &'a Outcome,
    names: &'a Names,
    after: Share,
    tuned: Tuned,
}

/// Compiles the trained network and writes it into the folder.
fn add(
    args: &Finetune,
    folder: &Folder,
    mut front: Front,
    genome: Genome,
    folded: &Folded,
    source: &Source,
    parts: &Parts,
    trained: Trained<'_>,
) -> Result<(), Failure> {
    let options = Options {
        costs: cost_table(args.costs.as_deref())?,
        ..Options::default()
    };
    let images = source.images(&parts.calibration)?;
    let emitter = Emitter {
        folded,
        name: &front.model,
        preprocess: &source.preprocess,
        images: &images,
        options: &options,
        max_memory: max_memory(folder, args.costs.as_deref()),
    };
    let plan = emitter.compile(&trained.outcome.graph)?;
    let names = trained.names;
    let point = Point {
        genome,
        accuracy: trained.after,
        loss: None,
        searched: trained.outcome.correct as f64 / parts.search.len().max(1) as f64,
        cost: cost(&plan),
        peak_bytes: plan.prediction.peak_bytes,
        plan: names.plan.clone(),
        tuned: Some(trained.tuned),
    };
    front.points.retain(|p| p.plan != names.plan);
    front.points.push(point);
    front.measured.remove(&names.plan);
    let mut staged = Staged::new(folder);
    staged.add(&names.plan, &plan.to_bytes())?;
    staged.add(&names.model, &export::model(&plan)?)?;
    if let Some(text) = export::description(&plan.preprocess) {
        staged.add(&names.description, text.as_bytes())?;
    }
    stage_texts(&mut staged, &front)?;
    staged.publish()
}

/// The limit of the search, if its state is still there.
fn max_memory(folder: &Folder, costs: Option<&Path>) -> Option<u64> {
    let state = State::from_json(&folder.read(STATE).ok()?).ok()?;
    let binding: Binding = serde_json::from_str(state.binding()).ok()?;
    let given = serde_json::to_vec(&cost_table(costs).ok()?).ok()?;
    if blake3::hash(&given).to_hex().as_str() != binding.costs {
        note!("note: the search had other prices; with its --costs the seconds compare");
    }
    binding.max_memory
}
