//! Runs a program on ciphertexts: node after node, each value dropped after its last use.

use std::sync::Arc;
use std::time::Instant;

use hecc_ckks::{Buffer, Ciphertext, Context, EvaluationKeys, Evaluator};
use hecc_ir::plan::{Plan, Prediction};
use hecc_ir::program::{Node, Value};

use crate::error::{Error, Result};
use crate::execution::Execution;
use crate::stats::{Predicted, Stats, machine, peak_memory};

/// Share of the predicted peak that is laid up: the prediction is about right.
const CERTAIN: f64 = 0.97;
/// Largest peak that memory is laid up for, over what is in use when the keys are loaded.
const MOST: u64 = 4;

/// Where an evaluation is: told before every node, and once at the end.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// The node that begins now, or the number of nodes at the end.
    pub node: usize,
    /// Its name; empty at the end.
    pub name: &'a str,
    /// Predicted share of the work that is done, 0 to 1.
    pub share: f64,
}

/// Who watches an evaluation: see [`Session::run`].
pub trait Observer {
    /// A node begins, or the evaluation ends.
    fn progress(&mut self, _progress: Progress) {}

    /// The node that defines `value` is done: its ciphertexts, one a part.
    fn value(&mut self, _value: Value, _parts: &[Ciphertext]) {}
}

/// Nobody watches.
impl Observer for () {}

/// A plan with its context and evaluation keys, ready for inputs.
pub struct Session {
    pub(crate) plan: Plan,
    pub(crate) context: Arc<Context>,
    pub(crate) evaluator: Evaluator,
}

impl Session {
    /// Takes a checked plan, its context, and keys loaded for it.
    pub fn new(plan: Plan, context: Arc<Context>, keys: EvaluationKeys) -> Self {
        let evaluator = Evaluator::new(context.clone(), Arc::new(keys));
        Self {
            plan,
            context,
            evaluator,
        }
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The context.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// Lays up the memory that an evaluation will fill, on all threads; else the first evaluation takes
    /// some seconds longer. Does nothing where the system does not tell what is in use.
    pub fn reserve(&self) {
        let Some(used) = peak_memory() else { return };
        // The prediction comes with the plan, from outside: keys that are loaded bound what it can claim.
        let peak = (self.plan.prediction.peak_bytes as f64 * CERTAIN) as u64;
        let peak = peak.min(used.saturating_mul(MOST));
        Buffer::reserve(self.context.n(), peak.saturating_sub(used));
    }

    /// Evaluates the program on an encrypted image: one ciphertext a part, at the input node's level
    /// and scale. `observer` sees every value when it is made.
    ///
    /// A value is dropped after its last use, encoded constants after their node.
    ///
    /// # Errors
    /// When a node's result is not at the level and scale of the plan, or a key is missing: plan, keys
    /// and this program do not belong together.
    pub fn run(
        &self,
        input: Vec<Ciphertext>,
        observer: &mut impl Observer,
    ) -> Result<(Vec<Ciphertext>, Stats)> {
        let start = Instant::now();
        let nodes = &self.plan.program.nodes;
        let last_use = last_uses(nodes);
        let work = work(&self.plan.prediction, nodes.len());
        let total: f64 = work.iter().sum();
        let mut done = 0.0;
        let mut execution = Execution::new(self, input);
        let mut stats = Vec::with_capacity(nodes.len());
        for (index, node) in nodes.iter().enumerate() {
            observer.progress(Progress {
                node: index,
                name: &node.name,
                share: done / total,
            });
            let node_stats = execution.step(index).map_err(|reason| Error::Node {
                node: index,
                name: node.name.clone(),
                reason,
            })?;
            observer.value(index, execution.latest());
            execution.forget(index, &last_use[index]);
            stats.push(node_stats);
            done += work[index];
        }
        observer.progress(Progress {
            node: nodes.len(),
            name: "",
            share: 1.0,
        });
        let output = execution.into_output();
        let output = output.ok_or_else(|| Error::Parameters("the program is empty".into()))?;
        let stats = Stats {
            model: self.plan.model.clone(),
            plan: self.plan.identity(),
            threads: rayon::current_num_threads(),
            machine: machine(),
            seconds: start.elapsed().as_secs_f64(),
            setup_seconds: stats.iter().map(|node| node.setup_seconds).sum(),
            predicted: Predicted::from(&self.plan.prediction),
            nodes: stats,
            ..Stats::default()
        };
        Ok((output, stats))
    }
}

/// For each node, the values that no later node uses.
fn last_uses(nodes: &[Node]) -> Vec<Vec<Value>> {
    let mut last = vec![None; nodes.len()];
    for (index, node) in nodes.iter().enumerate() {
        for value in node.op.operands() {
            last[value] = Some(index);
        }
    }
    let mut dead = vec![vec![]; nodes.len()];
    for (value, index) in last.into_iter().enumerate() {
        if let Some(index) = index {
            dead[index].push(value);
        }
    }
    dead
}

/// Predicted work of every node, for progress only; all alike in a plan without a prediction.
fn work(prediction: &Prediction, nodes: usize) -> Vec<f64> {
    match prediction.nodes.iter().sum::<f64>() > 0.0 {
        true => prediction.nodes.clone(),
        false => vec![1.0; nodes],
    }
}
