//! The run: epochs of steps, judged on held-out images, stopped and resumed at will.

use std::ops::ControlFlow;
use std::path::Path;

use hecc_ir::nn::{Graph, Op, Shape};

use crate::checkpoint::{Checkpoint, Header, failure};
use crate::data::Data;
use crate::history::{Epoch, History};
use crate::loss::loss;
use crate::measure::{correct, prepare, refit, settle};
use crate::network::{Mode, Network};
use crate::optimiser::Optimiser;
use crate::{Recipe, TrainError};

/// Parts of an epoch that get a point of [`History::losses`].
const PARTS: usize = 20;

/// What is trained.
#[derive(Clone, Copy)]
pub struct Task<'a> {
    /// Folded; its constants are the start, its activations the original ones.
    pub network: &'a Graph,
    /// What takes the place of each activation, in dataflow order: an affine map (pruned), a polynomial
    /// of degree 2 (trained), an approximation (fitted), or the activation itself.
    pub ops: &'a [Op],
    /// Gives the logits to imitate; most often `network` itself.
    pub teacher: &'a Graph,
}

/// What a run reports as it goes.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// A step is done.
    Step {
        /// Epochs finished.
        epoch: usize,
        /// Steps finished in the next one.
        step: usize,
        /// Steps of an epoch.
        steps: usize,
        /// Loss of the step's batch, without the penalty.
        loss: f64,
        /// Norm of the gradient before clipping.
        norm: f64,
        /// Share of the operands beyond their range.
        outside: f64,
    },
    /// An epoch is done and saved.
    Epoch {
        /// All so far.
        history: &'a History,
    },
}

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The trained graph, with the nodes of [`Task::network`]; fold it again before it is lowered.
    pub graph: Graph,
    /// Whether all epochs are done; otherwise the callback broke off.
    pub finished: bool,
    /// All epochs.
    pub history: History,
    /// Held-out images that `graph` gives their class.
    pub correct: usize,
}

/// Trains by `recipe`. `checkpoint` names a file to write the state to after every epoch, and when
/// `watch` breaks off; where it exists, the run goes on from there, to the same bits at any number of
/// threads. The best epoch's network is the result ([`History::best`]), or where no epoch is finished
/// with the new activations, the network as it stands with all of them.
///
/// # Errors
/// A recipe, network, operators or data that do not fit together; a checkpoint of another run;
/// [`TrainError::Diverged`].
pub fn train(
    task: Task<'_>,
    data: Data<'_>,
    recipe: &Recipe,
    checkpoint: Option<&Path>,
    watch: &mut dyn FnMut(Event<'_>) -> ControlFlow<()>,
) -> Result<Outcome, TrainError> {
    task.network.verify()?;
    let shape = task.network.nodes[task.network.input].shape;
    let classes = task.network.nodes[task.network.output].shape;
    recipe.verify(shape.c)?;
    data.verify(classes.elements())?;
    let teacher = hecc_batch::Network::new(task.teacher)?;
    let ends = |g: &Graph| [g.input, g.output].map(|id| g.nodes[id].shape);
    if ends(task.teacher) != ends(task.network) {
        return Err(TrainError::Data(
            "the teacher takes or gives tensors of another shape than the network".to_string(),
        ));
    }
    let mut run = Run::start(task, data, recipe, checkpoint, shape)?;
    while run.epoch < recipe.epochs {
        if run.steps(&teacher, watch)?.is_break() {
            run.save()?;
            return run.outcome(false);
        }
        run.end_epoch()?;
        run.save()?;
        let history = &run.history;
        if watch(Event::Epoch { history }).is_break() {
            let finished = run.epoch == recipe.epochs;
            return run.outcome(finished);
        }
    }
    run.outcome(true)
}

struct Run<'a> {
    task: Task<'a>,
    data: Data<'a>,
    recipe: &'a Recipe,
    checkpoint: Option<&'a Path>,
    shape: Shape,
    identity: String,
    network: Network,
    optimiser: Optimiser,
    epoch: usize,
    step: usize,
    history: History,
    sums: Sums,
    best: Vec<Vec<f32>>,
    /// Whether the checkpoint file holds a state of this run.
    saved: bool,
}

/// Over the steps of an epoch.
#[derive(Clone, Copy, Default)]
struct Sums {
    loss: f64,
    penalty: f64,
    norm: f64,
    /// Loss since the last point of the curve.
    part: f64,
    correct: u64,
    outside: u64,
    ranged: u64,
}

impl<'a> Run<'a> {
    fn start(
        task: Task<'a>,
        data: Data<'a>,
        recipe: &'a Recipe,
        checkpoint: Option<&'a Path>,
        shape: Shape,
    ) -> Result<Self, TrainError> {
        let mut network = Network::new(task.network, task.ops, recipe.tangent)?;
        let lengths: Vec<usize> = network.parameters().iter().map(|(_, v)| v.len()).collect();
        let mut run = Self {
            identity: identity(&task, &data),
            task,
            data,
            recipe,
            checkpoint,
            shape,
            network,
            optimiser: Optimiser::new(lengths.into_iter()),
            epoch: 0,
            step: 0,
            history: History::default(),
            sums: Sums::default(),
            best: Vec::new(),
            saved: false,
        };
        let found = match checkpoint {
            Some(path) => Checkpoint::read(path)?.map(|found| (path, found)),
            None => None,
        };
        match found {
            Some((path, found)) => run.resume(path, found)?,
            None => prepare(&mut run.network, &data, shape, recipe)?,
        }
        Ok(run)
    }

    fn resume(&mut self, path: &Path, found: Checkpoint) -> Result<(), TrainError> {
        let Checkpoint { header, blocks } = found;
        let another = |what: &str| {
            failure(
                path,
                format!("is of a run with another {what}; remove it, or name another file"),
            )
        };
        if header.identity != self.identity {
            return Err(another("network, operators or images"));
        }
        if header.recipe != *self.recipe {
            return Err(another("recipe"));
        }
        let [state, velocity, best] = blocks;
        let fits = velocity.len() == self.optimiser.velocity.len()
            && velocity
                .iter()
                .zip(&self.optimiser.velocity)
                .all(|(a, b)| a.len() == b.len());
        let most = self.steps_per_epoch();
        if !fits
            || header.epoch > self.recipe.epochs
            || header.step > most
            || header.history.epochs.len() != header.epoch
            || best.is_empty() != header.history.best().is_none()
            || (!best.is_empty() && !self.network.set_state(&best)?)
            || !self.network.set_state(&state)?
        {
            return Err(another("network"));
        }
        self.optimiser.velocity = velocity;
        (self.epoch, self.step) = (header.epoch, header.step);
        self.history = header.history;
        self.sums = Sums::from_bits(&header.sums);
        self.best = best;
        self.saved = true;
        Ok(())
    }

    fn steps_per_epoch(&self) -> usize {
        (self.data.training.len() / self.recipe.batch).max(1)
    }

    /// The rest of the epoch's steps.
    fn steps(
        &mut self,
        teacher: &hecc_batch::Network,
        watch: &mut dyn FnMut(Event<'_>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, TrainError> {
        let recipe = self.recipe;
        let steps = self.steps_per_epoch();
        let order = self.data.order(recipe.seed, self.epoch);
        while self.step < steps {
            let at = self.epoch as f32 + self.step as f32 / steps as f32;
            let begin = self.step * recipe.batch;
            let chunk = &order[begin..order.len().min(begin + recipe.batch)];
            let images = self
                .data
                .augmented(self.shape, chunk, recipe, self.epoch, begin)?;
            let labels: Vec<usize> = chunk.iter().map(|&i| self.data.labels[i]).collect();
            let wanted = teacher.forward(&images);
            self.network
                .set_shares(|index, count| recipe.share_at(at, index, count));
            let (logits, tape) = self
                .network
                .forward(images, Mode::Training, &mut |_, _, _| ())?;
            let loss = loss(&logits, &wanted, &labels, recipe.soft, recipe.temperature);
            let (excess, ranged) = (tape.excess, tape.ranged);
            let penalty = f64::from(recipe.penalty) * excess.squares / chunk.len() as f64;
            if !(loss.value + penalty).is_finite() {
                return Err(self.diverged("the loss"));
            }
            let gradients = self.network.backward(tape, loss.gradient, recipe.penalty)?;
            // The first rate of a warm-up is that of its first step's end.
            let rate = recipe.rate_at(at + 1.0 / steps as f32);
            let mut parameters = self.network.parameters();
            let norm = self
                .optimiser
                .step(&mut parameters, &gradients, rate, recipe);
            if !norm.is_finite() {
                return Err(self.diverged("the gradient"));
            }
            self.step += 1;
            self.sums.loss += loss.value;
            self.sums.part += loss.value;
            self.sums.penalty += penalty;
            self.sums.norm += norm;
            self.sums.correct += loss.correct as u64;
            self.sums.outside += excess.count;
            self.sums.ranged += ranged;
            let part = (steps / PARTS).max(1);
            if self.step.is_multiple_of(part) {
                let mean = (self.sums.part / part as f64) as f32;
                let epoch = self.epoch as f32 + self.step as f32 / steps as f32;
                self.history.losses.push([epoch, mean]);
                self.sums.part = 0.0;
            }
            let event = Event::Step {
                epoch: self.epoch,
                step: self.step,
                steps,
                loss: loss.value,
                norm,
                outside: excess.count as f64 / ranged.max(1) as f64,
            };
            if watch(event).is_break() {
                return Ok(ControlFlow::Break(()));
            }
            let every = recipe.checkpoint_steps;
            if every > 0 && self.step.is_multiple_of(every) && self.step < steps {
                self.save()?;
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Statistics, ranges, judgement.
    fn end_epoch(&mut self) -> Result<(), TrainError> {
        let (recipe, shape) = (self.recipe, self.shape);
        let steps = self.steps_per_epoch() as f64;
        let end = (self.epoch + 1) as f32;
        let count = self.network.activations.len();
        self.network
            .set_shares(|index, count| recipe.share_at(end, index, count));
        let settled = settle(&mut self.network, &self.data, shape, recipe, self.epoch)?;
        if !settled || !refit(&mut self.network, &self.data, shape, recipe)? {
            return Err(self.diverged("a statistic"));
        }
        let network = &self.network;
        let correct = correct(&self.data, shape, |batch| {
            let (logits, _) = network.forward(batch, Mode::Evaluating, &mut |_, _, _| ())?;
            Ok(logits)
        })?;
        let shares = (0..count).map(|index| recipe.share_at(end, index, count));
        let sums = std::mem::take(&mut self.sums);
        let seen = (steps as usize * recipe.batch.min(self.data.training.len())) as f64;
        self.history.epochs.push(Epoch {
            loss: sums.loss / steps,
            penalty: sums.penalty / steps,
            training_accuracy: sums.correct as f64 / seen,
            correct,
            held_out: self.data.held_out.len(),
            share: shares.fold(1.0, f32::min),
            outside: sums.outside as f64 / sums.ranged.max(1) as f64,
            norm: sums.norm / steps,
        });
        if self.history.best() == Some(self.epoch) {
            self.best = self.network.state();
        }
        self.epoch += 1;
        self.step = 0;
        Ok(())
    }

    fn save(&mut self) -> Result<(), TrainError> {
        let Some(path) = self.checkpoint else {
            return Ok(());
        };
        let blocks = [
            self.network.state(),
            self.optimiser.velocity.clone(),
            self.best.clone(),
        ];
        let header = Header {
            identity: self.identity.clone(),
            recipe: self.recipe.clone(),
            epoch: self.epoch,
            step: self.step,
            history: self.history.clone(),
            sums: self.sums.bits(),
            blocks: std::array::from_fn(|k| blocks[k].iter().map(Vec::len).collect()),
        };
        Checkpoint { header, blocks }.write(path)?;
        self.saved = true;
        Ok(())
    }

    fn outcome(mut self, finished: bool) -> Result<Outcome, TrainError> {
        if !self.best.is_empty() {
            let best = std::mem::take(&mut self.best);
            self.network.set_state(&best)?;
        } else {
            let (recipe, epoch) = (self.recipe, self.epoch);
            self.network.set_shares(|_, _| 1.0);
            if !settle(&mut self.network, &self.data, self.shape, recipe, epoch)? {
                return Err(self.diverged("a statistic"));
            }
        }
        let graph = self.network.graph(self.task.network);
        let folded = hecc_batch::Network::new(&graph)?;
        let correct = correct(&self.data, self.shape, |batch| Ok(folded.forward(&batch)))?;
        Ok(Outcome {
            graph,
            finished,
            history: self.history,
            correct,
        })
    }

    fn diverged(&self, what: &'static str) -> TrainError {
        TrainError::Diverged {
            epoch: self.epoch,
            step: self.step,
            what,
            rate: self.recipe.rate,
            homotopy: self.recipe.homotopy_epochs,
            checkpoint: self
                .checkpoint
                .filter(|_| self.saved)
                .map(Path::to_path_buf),
        }
    }
}

impl Sums {
    fn bits(&self) -> [u64; 7] {
        let floats = [self.loss, self.penalty, self.norm, self.part].map(f64::to_bits);
        let [a, b, c, d] = floats;
        [a, b, c, d, self.correct, self.outside, self.ranged]
    }

    fn from_bits(bits: &[u64; 7]) -> Self {
        let [loss, penalty, norm, part, correct, outside, ranged] = *bits;
        Self {
            loss: f64::from_bits(loss),
            penalty: f64::from_bits(penalty),
            norm: f64::from_bits(norm),
            part: f64::from_bits(part),
            correct,
            outside,
            ranged,
        }
    }
}

/// What a state may only be used with.
fn identity(task: &Task<'_>, data: &Data<'_>) -> String {
    let mut text = format!("{}\n{}\n", task.network.dump(), task.teacher.dump());
    for op in task.ops {
        text.push_str(&format!("{op:?}\n"));
    }
    for part in [data.labels, data.training, data.held_out] {
        text.push_str(&format!("{part:?}\n"));
    }
    blake3::hash(text.as_bytes()).to_hex().to_string()
}
