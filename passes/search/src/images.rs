//! The images a network is judged on, and what it should say about them.

use hecc_batch::{Batch, Network};
use hecc_ir::nn::Graph;
pub(crate) use hecc_ir::nn_eval::class;

use crate::error::SearchError;
use crate::loss::{TEMPERATURE, change, loss};
use crate::share::Share;

/// Nats that one image adds at most: what is broken on a few images is not worse than what is broken
/// on all of them. A network of lines instead of ReLUs has 1.4 on average.
pub(crate) const MAX_NATS: f64 = 5.0;

/// Images with what the network should say about them.
#[derive(Clone, Debug)]
pub struct Images {
    images: Batch,
    classes: Vec<usize>,
    /// Whether the teacher's class is the right one.
    right: Vec<bool>,
    /// Logarithms of the teacher's probabilities at [`TEMPERATURE`], `[image][class]`.
    teacher: Vec<f64>,
    outputs: usize,
}

impl Images {
    /// `teacher` is the exact network, or a better one of the same classes; without `labels` its class
    /// is the right one.
    ///
    /// # Errors
    /// [`SearchError::Images`]: none, not of the teacher's input shape, labels of another number or out
    /// of range, or a teacher whose outputs are not finite on them.
    pub fn new(
        teacher: &Graph,
        images: Batch,
        labels: Option<&[usize]>,
    ) -> Result<Self, SearchError> {
        let refuse = |what: String| Err(SearchError::Images(what));
        let network = Network::new(teacher)?;
        if images.n == 0 {
            return refuse("there are none".into());
        }
        if images.shape != network.input() {
            return refuse(format!(
                "they are {}, the network takes {}",
                images.shape,
                network.input()
            ));
        }
        let outputs = network.output().elements();
        let logits = network.forward(&images);
        let mut teacher = Vec::with_capacity(images.n * outputs);
        for i in 0..images.n {
            match log_softmax(&logits.channels_first(i)) {
                Some(row) => teacher.extend(row),
                None => {
                    return refuse(format!(
                        "the exact network's outputs on image {i} are not finite; check the \
                         preprocessing"
                    ));
                }
            }
        }
        let said: Vec<usize> = (0..images.n)
            .map(|i| class(&logits.channels_first(i)))
            .collect();
        let classes = match labels {
            None => said.clone(),
            Some(labels) if labels.len() != images.n => {
                return refuse(format!("{} labels for {} images", labels.len(), images.n));
            }
            Some(labels) => match labels.iter().position(|&label| label >= outputs) {
                Some(i) => {
                    return refuse(format!(
                        "label {} of image {i}, the network has the classes 0 to {}",
                        labels[i],
                        outputs - 1
                    ));
                }
                None => labels.to_vec(),
            },
        };
        Ok(Self {
            right: said.iter().zip(&classes).map(|(a, b)| a == b).collect(),
            images,
            classes,
            teacher,
            outputs,
        })
    }

    /// How many.
    pub fn count(&self) -> usize {
        self.images.n
    }

    /// The first `count` of them, at least one; all where there are fewer.
    #[must_use]
    pub fn first(&self, count: usize) -> Self {
        let count = count.clamp(1, self.count());
        Self {
            images: self.images.slice(0..count),
            classes: self.classes[..count].to_vec(),
            right: self.right[..count].to_vec(),
            teacher: self.teacher[..count * self.outputs].to_vec(),
            outputs: self.outputs,
        }
    }

    /// Checks that they are `network`'s.
    pub(crate) fn check(&self, network: &Network) -> Result<(), SearchError> {
        let (input, outputs) = (network.input(), network.output().elements());
        match self.images.shape == input && self.outputs == outputs {
            true => Ok(()),
            false => Err(SearchError::Images(format!(
                "they are {} with {} classes, the network takes {input} to {outputs} classes",
                self.images.shape, self.outputs
            ))),
        }
    }

    pub(crate) fn batch(&self, range: std::ops::Range<usize>) -> Batch {
        self.images.slice(range)
    }

    /// Adds the outputs for images `start`.. to a tally.
    pub(crate) fn count_into(&self, tally: &mut Tally, start: usize, logits: &Batch) {
        for k in 0..logits.n {
            let image = start + k;
            let teacher = &self.teacher[image * self.outputs..][..self.outputs];
            let logits = logits.channels_first(k);
            tally.images += 1;
            let correct = match log_softmax(&logits) {
                Some(student) => {
                    tally.change += change(teacher, &student);
                    tally.nats += divergence(teacher, &student).min(MAX_NATS);
                    class(&logits) == self.classes[image]
                }
                None => {
                    tally.change += 1.0;
                    tally.nats += MAX_NATS;
                    false
                }
            };
            tally.correct += usize::from(correct);
            tally.lost += usize::from(self.right[image] && !correct);
        }
    }
}

/// Counts on some images.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Tally {
    pub(crate) images: usize,
    pub(crate) correct: usize,
    /// Those that the teacher gets right, and the network not.
    pub(crate) lost: usize,
    pub(crate) nats: f64,
    /// Sum of [`change`].
    pub(crate) change: f64,
}

impl Tally {
    /// 0 to 1.
    pub(crate) fn accuracy(&self) -> f64 {
        self.correct as f64 / self.images.max(1) as f64
    }

    pub(crate) fn divergence(&self) -> f64 {
        self.nats / self.images.max(1) as f64
    }

    /// By [`loss`].
    pub(crate) fn loss(&self) -> f64 {
        let change = self.change / self.images.max(1) as f64;
        loss(self.lost, self.images, change)
    }

    pub(crate) fn share(&self) -> Share {
        Share {
            correct: self.correct,
            images: self.images,
        }
    }
}

/// Logarithms of the probabilities at [`TEMPERATURE`]; None unless all logits are finite.
pub(crate) fn log_softmax(logits: &[f32]) -> Option<Vec<f64>> {
    if logits.iter().any(|l| !l.is_finite()) {
        return None;
    }
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let shifted = || {
        let logits = logits.iter();
        logits.map(|l| (f64::from(*l) - f64::from(largest)) / TEMPERATURE)
    };
    let sum = shifted().map(f64::exp).sum::<f64>().ln();
    Some(shifted().map(|l| l - sum).collect())
}

/// Kullback-Leibler divergence in nats, of logarithms of probabilities.
pub(crate) fn divergence(teacher: &[f64], student: &[f64]) -> f64 {
    let term = |(t, s): (&f64, &f64)| t.exp() * (t - s);
    teacher.iter().zip(student).map(term).sum::<f64>().max(0.0)
}
