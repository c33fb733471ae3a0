//! What the runs over a data set say about a plan.

use std::collections::BTreeMap;

use crate::node_run::{NodeRun, Spread};
use crate::simulator::{Run, Simulator};

/// 97.5 % quantile of the normal distribution.
const Z: f64 = 1.96;
/// Standard deviations of the output's error that a run must stay within: 1 in 10^8 for a normal
/// error, which sums over many slots are.
const SIGMAS: f64 = 6.0;

/// How many of how many, with the 95 % Wilson interval of the share.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Share {
    /// Of these.
    pub of: usize,
    /// So many.
    pub count: usize,
    /// Their share, 0 to 1.
    pub share: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
}

/// Error of the output against the plan without noise, in network units.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct OutputError {
    /// Root mean square over all outputs of all images.
    pub sd: f64,
    /// Six times that: an encrypted run's errors stay below.
    pub bound: f64,
    /// The largest seen.
    pub largest: f64,
    /// Root mean square of what approximations change, against the network in f32.
    pub approximation: f64,
}

/// One value of the program, over all images that did not diverge.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Layer {
    /// Value.
    pub value: usize,
    /// ONNX name.
    pub name: String,
    /// Operator.
    pub op: &'static str,
    /// Index of the topmost limb.
    pub level: usize,
    /// Network value of a slot that holds 1.
    pub unit: f64,
    /// Standard deviation of the noise that this operation adds itself, by formula, in slot units.
    pub own_noise: f64,
    /// Standard deviation of the noise of the value, in slot units.
    pub noise: f64,
    /// -log2 of it.
    pub bits: Option<f64>,
    /// -log2 of the largest noise seen.
    pub worst_bits: Option<f64>,
    /// -log2 of the root mean square of what approximations change; None where the network has no such
    /// value, or the same.
    pub approximation_bits: Option<f64>,
    /// Share of the operands of a series outside [-1, 1]; None for other operators.
    pub outside: Option<f64>,
}

/// Where the plan diverges.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Divergence {
    /// Value.
    pub value: usize,
    /// ONNX name.
    pub name: String,
    /// Images that diverge there first.
    pub images: usize,
}

/// The whole.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Report {
    /// Images run.
    pub images: usize,
    /// Images on which the plan diverges: a value is not finite, or too large for its modulus. They
    /// count as wrong.
    pub divergent: usize,
    /// Where they do.
    pub divergences: Vec<Divergence>,
    /// Images on which the network itself has no finite output in f32. They count for no agreement.
    pub network_divergent: usize,
    /// Right classes with noise.
    pub accuracy: Option<Share>,
    /// Right classes of the network in f32.
    pub network_accuracy: Option<Share>,
    /// Same class with noise as the network in f32.
    pub agreement: Share,
    /// Same class without noise as the network in f32.
    pub noise_free_agreement: Share,
    /// Same class with noise as without.
    pub stable: Share,
    /// Predictions whose two largest outputs are nearer to each other than the error bound of their
    /// difference: noise could turn them.
    pub could_flip: Share,
    /// Error of the output.
    pub output: OutputError,
    /// One per value.
    pub layers: Vec<Layer>,
}

/// Sums over runs.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    images: usize,
    /// Images by the value on which they diverge.
    divergences: BTreeMap<usize, usize>,
    network_divergent: usize,
    labelled: usize,
    right: usize,
    network_right: usize,
    /// Images on which neither the plan nor the network diverges.
    compared: usize,
    agreeing: usize,
    exact_agreeing: usize,
    stable: usize,
    /// Difference of the two largest outputs without noise.
    margins: Vec<f32>,
    nodes: Vec<NodeRun>,
}

impl Totals {
    /// Adds one image; `label` is its class.
    pub fn add(&mut self, run: &Run, label: Option<usize>) {
        self.images += 1;
        let class = of_largest(&run.output);
        let network = network_class(run);
        if let Some(label) = label {
            self.labelled += 1;
            self.right += usize::from(run.diverged.is_none() && class == label);
            self.network_right += usize::from(network == Some(label));
        }
        self.network_divergent += usize::from(network.is_none());
        if let Some(value) = run.diverged {
            *self.divergences.entry(value).or_default() += 1;
            return;
        }
        let exact = of_largest(&run.exact);
        self.compared += usize::from(network.is_some());
        self.agreeing += usize::from(network == Some(class));
        self.exact_agreeing += usize::from(network == Some(exact));
        self.stable += usize::from(exact == class);
        self.margins.push(margin(&run.exact));
        self.nodes.resize(run.nodes.len(), NodeRun::default());
        for (sum, node) in self.nodes.iter_mut().zip(&run.nodes) {
            *sum = sum.merge(*node);
        }
    }

    /// What the runs of this simulator say.
    pub fn report(&self, simulator: &Simulator) -> Report {
        let nodes = &simulator.plan().program.nodes;
        let divergent = self.divergences.values().sum();
        let converged = self.images - divergent;
        let last = self.nodes.last().copied().unwrap_or_default();
        let unit = nodes.last().map_or(1.0, |node| node.unit);
        let rms = |spread: Spread| unit * (spread.square / last.elements.max(1) as f64).sqrt();
        let output = OutputError {
            sd: rms(last.noise),
            bound: SIGMAS * rms(last.noise),
            largest: unit * f64::from(last.noise.largest),
            approximation: rms(last.approximation.unwrap_or_default()),
        };
        // The difference of two outputs.
        let bound = output.bound * std::f64::consts::SQRT_2;
        let near = self.margins.iter().filter(|&&m| f64::from(m) < bound);
        let labelled = |count| (self.labelled > 0).then(|| Share::new(count, self.labelled));
        Report {
            images: self.images,
            divergent,
            divergences: self
                .divergences
                .iter()
                .map(|(&value, &images)| Divergence {
                    value,
                    name: nodes[value].name.clone(),
                    images,
                })
                .collect(),
            network_divergent: self.network_divergent,
            accuracy: labelled(self.right),
            network_accuracy: labelled(self.network_right),
            agreement: Share::new(self.agreeing, self.compared),
            noise_free_agreement: Share::new(self.exact_agreeing, self.compared),
            stable: Share::new(self.stable, converged),
            could_flip: Share::new(near.count(), converged),
            output,
            layers: (0..self.nodes.len())
                .map(|value| self.layer(simulator, value))
                .collect(),
        }
    }

    fn layer(&self, simulator: &Simulator, value: usize) -> Layer {
        let nodes = &simulator.plan().program.nodes;
        let (node, run) = (&nodes[value], &self.nodes[value]);
        let rms = |spread: Spread| (spread.square / run.elements.max(1) as f64).sqrt();
        let bits = |error: f64| (error > 0.0).then(|| -error.log2());
        let operands = node.op.operands();
        let mean = operands
            .first()
            .map_or(0.0, |&x| self.nodes[x].mean_magnitude());
        Layer {
            value,
            name: node.name.clone(),
            op: node.op.name(),
            level: node.level,
            unit: node.unit,
            own_noise: simulator.own_noise(value, mean),
            noise: run.noise_sd(),
            bits: bits(run.noise_sd()),
            worst_bits: bits(f64::from(run.noise.largest)),
            approximation_bits: run.approximation.and_then(|spread| bits(rms(spread))),
            outside: run
                .outside
                .map(|count| count as f64 / run.elements.max(1) as f64),
        }
    }
}

impl Share {
    /// `count` of `of`, with Wilson's interval.
    pub fn new(count: usize, of: usize) -> Self {
        let (n, z2) = (of.max(1) as f64, Z * Z);
        let share = count as f64 / n;
        let middle = (share + z2 / (2.0 * n)) / (1.0 + z2 / n);
        let half = Z / (1.0 + z2 / n) * (share * (1.0 - share) / n + z2 / (4.0 * n * n)).sqrt();
        Self {
            of,
            count,
            share,
            low: (middle - half).max(0.0),
            high: (middle + half).min(1.0),
        }
    }
}

/// Position of the largest output; the first of equal ones.
fn of_largest(output: &[f32]) -> usize {
    let better = |best: usize, i: usize| if output[i] > output[best] { i } else { best };
    (1..output.len()).fold(0, better)
}

fn network_class(run: &Run) -> Option<usize> {
    let finite = !run.network.is_empty() && run.network.iter().all(|v| v.is_finite());
    finite.then(|| of_largest(&run.network))
}

/// The largest output minus the second; infinite for a single one.
fn margin(output: &[f32]) -> f32 {
    let best = of_largest(output);
    let others = output.iter().enumerate().filter(|&(i, _)| i != best);
    output.get(best).map_or(f32::INFINITY, |top| {
        others.fold(f32::INFINITY, |m, (_, v)| m.min(top - v))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wilson_intervals() {
        // Newcombe, Statistics in Medicine 17 (1998), table I, method 3.
        for (count, of, low, high) in [
            (81, 263, 0.2553, 0.3662),
            (15, 148, 0.0624, 0.1605),
            (0, 20, 0.0, 0.1611),
            (1, 29, 0.0061, 0.1718),
        ] {
            let share = Share::new(count, of);
            assert!(
                (share.low - low).abs() < 1e-4 && (share.high - high).abs() < 1e-4,
                "{share:?}"
            );
        }
        assert_eq!(Share::new(0, 0).share, 0.0);
    }

    #[test]
    fn margins_and_classes() {
        assert_eq!(
            (of_largest(&[1.0, 4.0, 4.0, 2.0]), margin(&[1.0, 4.0, 3.5])),
            (1, 0.5)
        );
        assert_eq!((of_largest(&[7.0]), margin(&[7.0])), (0, f32::INFINITY));
        assert_eq!((of_largest(&[]), margin(&[])), (0, f32::INFINITY));
    }
}
