//! Runs a program on ciphertexts.

use std::sync::Arc;
use std::time::Instant;

use hecc_ckks::{Ciphertext, Complex64, Context, EvaluationKeys, Evaluator, LinearTransform};
use hecc_ir::nn::Linear;
use hecc_ir::plan::Plan;
use hecc_ir::program::{LinearMap, Node, Op, Program, Value};

use crate::bootstraps::Bootstraps;
use crate::error::{Error, Result};
use crate::frame::short;
use crate::stats::{NodeStats, Stats};

/// Compiler and cryptography compute scales in f64 along different ways; a difference beyond this
/// is a disagreement about the program.
const SCALE_TOLERANCE: f64 = 1e-9;

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

/// A plan with its context and evaluation keys, ready for inputs.
pub struct Session {
    plan: Plan,
    context: Arc<Context>,
    evaluator: Evaluator,
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

    /// Evaluates the program on an encrypted image at the input node's level and scale.
    ///
    /// A value is dropped after its last use, encoded constants after their node.
    pub fn run(
        &self,
        input: Ciphertext,
        mut progress: impl FnMut(Progress),
    ) -> Result<(Ciphertext, Stats)> {
        let start = Instant::now();
        let nodes = &self.plan.program.nodes;
        let last_use = last_uses(nodes);
        let maps = &self.plan.program.maps;
        let work: Vec<f64> = nodes
            .iter()
            .map(|node| predicted_work(node, maps))
            .collect();
        let total: f64 = work.iter().sum();
        let mut done = 0.0;
        let mut execution = Execution {
            session: self,
            input: Some(input),
            values: Vec::with_capacity(nodes.len()),
            bootstraps: Bootstraps::new(&self.plan.program, &self.plan.parameters.bootstrap),
            ahead: None,
        };
        let mut stats = Vec::with_capacity(nodes.len());
        for (index, node) in nodes.iter().enumerate() {
            progress(Progress {
                node: index,
                name: &node.name,
                share: done / total,
            });
            let (value, node_stats) =
                execution.step(index, node).map_err(|reason| Error::Node {
                    node: index,
                    name: node.name.clone(),
                    reason,
                })?;
            execution.values.push(Some(value));
            for &value in &last_use[index] {
                execution.values[value] = None;
            }
            execution.bootstraps.retire(index);
            stats.push(node_stats);
            done += work[index];
        }
        progress(Progress {
            node: nodes.len(),
            name: "",
            share: 1.0,
        });
        let output = execution.values.pop().flatten();
        let output = output.ok_or_else(|| Error::Parameters("the program is empty".into()))?;
        let stats = Stats {
            model: self.plan.model.clone(),
            plan: short(&self.plan.id()),
            threads: rayon::current_num_threads(),
            seconds: start.elapsed().as_secs_f64(),
            nodes: stats,
            ..Stats::default()
        };
        Ok((output, stats))
    }
}

/// Why a node failed.
type Step<T> = std::result::Result<T, String>;

fn reason(error: hecc_ckks::Error) -> String {
    error.to_string()
}

/// The state of one run.
struct Execution<'a> {
    session: &'a Session,
    input: Option<Ciphertext>,
    /// One per node so far; None once dropped.
    values: Vec<Option<Ciphertext>>,
    bootstraps: Bootstraps<'a>,
    /// The matrix of a linear node to come.
    ahead: Option<(usize, Step<Matrix>)>,
}

/// A linear map as diagonals, not yet encoded.
struct Matrix {
    /// Offset to one value per slot.
    diagonals: Vec<(usize, Vec<Complex64>)>,
    bias: Vec<f64>,
    folds: Vec<usize>,
}

impl Matrix {
    /// Of the linear node `index`; computes on one thread.
    fn of(program: &Program, index: usize, x: Value, map: usize) -> Step<Self> {
        let (input, output) = (&program.nodes[x].layout, &program.nodes[index].layout);
        let matrix = program.maps[map].diagonals(input, output);
        let matrix = matrix.map_err(|e| e.to_string())?;
        let complex = |values: Vec<f64>| values.into_iter().map(Complex64::from).collect();
        let diagonals = matrix.diagonals.into_iter();
        Ok(Self {
            diagonals: diagonals.map(|(d, v)| (d, complex(v))).collect(),
            bias: matrix.bias,
            folds: matrix.folds,
        })
    }
}

impl Execution<'_> {
    fn step(&mut self, index: usize, node: &Node) -> Step<(Ciphertext, NodeStats)> {
        let begun = Instant::now();
        let mut stats = NodeStats {
            node: index,
            name: node.name.clone(),
            op: match node.op {
                Op::Input => "input",
                Op::Linear { .. } => "linear",
                Op::MulConst { .. } => "mul_const",
                Op::Add { .. } => "add",
                Op::Activate { .. } => "activate",
            },
            level_in: match node.op.operands().first() {
                Some(&operand) => value(&self.values, operand)?.level(),
                None => node.level,
            },
            ..NodeStats::default()
        };
        let evaluator = &self.session.evaluator;
        let result = match &node.op {
            Op::Input => self.input.take().ok_or("the program has two inputs")?,
            Op::Linear { x, map } => self.linear(index, *x, *map, &mut stats)?,
            Op::MulConst { x, factor } => evaluator
                .mul_const(value(&self.values, *x)?, *factor, node.scale)
                .map_err(reason)?,
            Op::Add { x, y } => evaluator
                .add(value(&self.values, *x)?, value(&self.values, *y)?)
                .map_err(reason)?,
            Op::Activate {
                x,
                coefficients,
                rho,
            } => self.activate(index, *x, coefficients, *rho, &mut stats)?,
        };
        if result.level() != node.level {
            let (got, planned) = (result.level(), node.level);
            return Err(format!(
                "the result is at level {got}, planned is {planned}"
            ));
        }
        if (result.scale() / node.scale - 1.0).abs() > SCALE_TOLERANCE {
            let (got, planned) = (result.scale(), node.scale);
            return Err(format!("the result has scale {got}, planned is {planned}"));
        }
        stats.level_out = result.level();
        stats.seconds = begun.elapsed().as_secs_f64();
        Ok((result, stats))
    }

    fn linear(
        &mut self,
        index: usize,
        x: Value,
        map: usize,
        stats: &mut NodeStats,
    ) -> Step<Ciphertext> {
        let Session {
            plan,
            context,
            evaluator,
        } = self.session;
        let begun = Instant::now();
        let matrix = match self.ahead.take() {
            Some((node, matrix)) if node == index => matrix?,
            // Another linear node comes before the one that was prepared.
            other => {
                self.ahead = other;
                Matrix::of(&plan.program, index, x, map)?
            }
        };
        let (input, node) = (value(&self.values, x)?, &plan.program.nodes[index]);
        let (level, giant) = (input.level(), plan.program.maps[map].giant);
        let scale = node.scale * plan.parameters.q[level] as f64 / input.scale();
        stats.diagonals = matrix.diagonals.len();
        let transform = LinearTransform::new(context, matrix.diagonals, giant, level, scale);
        let transform = transform.map_err(reason)?;
        stats.rotations = transform.rotations().len() + matrix.folds.len();
        stats.encode_seconds = begun.elapsed().as_secs_f64();
        let mut sum = evaluator.transform(&transform, input).map_err(reason)?;
        drop(transform);
        for &steps in &matrix.folds {
            let rotated = evaluator.rotate(&sum, steps).map_err(reason)?;
            sum = evaluator.add(&sum, &rotated).map_err(reason)?;
        }
        evaluator
            .add_plain(&mut sum, &matrix.bias)
            .map_err(reason)?;
        Ok(sum)
    }

    fn activate(
        &mut self,
        index: usize,
        x: Value,
        coefficients: &[f64],
        rho: f64,
        stats: &mut NodeStats,
    ) -> Step<Ciphertext> {
        let Session {
            plan,
            context,
            evaluator,
        } = self.session;
        let begun = Instant::now();
        let nodes = &plan.program.nodes;
        let node = &nodes[index];
        let bootstrapper = self
            .bootstraps
            .get(context, &nodes[x], node, rho)
            .map_err(reason)?;
        stats.encode_seconds = begun.elapsed().as_secs_f64();
        stats.bootstraps = 1;
        stats.rotations = bootstrapper.rotations().len();
        let x = value(&self.values, x)?;
        let activate = || bootstrapper.activate(evaluator, x, coefficients, node.scale);
        // The next matrix takes one thread a tenth of a second: beside the bootstrap it is free,
        // before its own node all other threads would wait.
        let next = (index + 1..nodes.len()).find_map(|next| match nodes[next].op {
            Op::Linear { x, map } => Some((next, x, map)),
            Op::Input | Op::MulConst { .. } | Op::Add { .. } | Op::Activate { .. } => None,
        });
        let prepare = || next.map(|(node, x, map)| (node, Matrix::of(&plan.program, node, x, map)));
        let result = if self.ahead.is_none() {
            let (result, ahead) = rayon::join(activate, prepare);
            self.ahead = ahead;
            result
        } else {
            activate()
        };
        result.map_err(reason)
    }
}

/// A value that is still needed.
fn value(values: &[Option<Ciphertext>], value: Value) -> Step<&Ciphertext> {
    values
        .get(value)
        .and_then(Option::as_ref)
        .ok_or_else(|| format!("v{value} is not available"))
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

/// Work of a node in bootstraps, for the progress bar only. Measured on ResNet-20 at N = 2^15: a
/// convolution takes a third of a bootstrap, a pooling, a shortcut or a classifier a tenth.
fn predicted_work(node: &Node, maps: &[LinearMap]) -> f64 {
    let convolves = |map: &LinearMap| {
        let conv =
            |stage: &Linear| matches!(stage, Linear::Conv { kernel, .. } if *kernel != [1, 1]);
        map.stages.iter().any(conv)
    };
    match node.op {
        Op::Input | Op::MulConst { .. } | Op::Add { .. } => 0.002,
        Op::Linear { map, .. } if maps.get(map).is_some_and(convolves) => 0.33,
        Op::Linear { .. } => 0.1,
        Op::Activate { .. } => 1.0,
    }
}
