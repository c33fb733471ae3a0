//! One run of a program: the values alive, and what a node makes of them.

use std::borrow::Cow;
use std::time::Instant;

use hecc_ckks::Ciphertext;
use hecc_ir::program::{Node, Op, Value};

use crate::bootstraps::Bootstraps;
use crate::executor::Session;
use crate::matrix::{EncodedMatrix, EncodedRow};
use crate::stats::NodeStats;

/// Compiler and cryptography compute scales in f64 along different ways; a difference beyond this
/// is a disagreement about the program.
const SCALE_TOLERANCE: f64 = 1e-9;

/// Why a node failed.
pub type Step<T> = Result<T, String>;

fn reason(error: hecc_ckks::Error) -> String {
    error.to_string()
}

/// The state of one run. A value is a tensor: one ciphertext a part.
pub struct Execution<'a> {
    session: &'a Session,
    input: Option<Vec<Ciphertext>>,
    /// One per node so far; None once dropped.
    values: Vec<Option<Vec<Ciphertext>>>,
    bootstraps: Bootstraps<'a>,
    /// The matrix of a linear node to come.
    ahead: Option<(Value, Step<EncodedMatrix>)>,
}

impl<'a> Execution<'a> {
    /// Before the first node.
    pub fn new(session: &'a Session, input: Vec<Ciphertext>) -> Self {
        let plan = &session.plan;
        Self {
            session,
            input: Some(input),
            values: Vec::with_capacity(plan.program.nodes.len()),
            bootstraps: Bootstraps::new(&plan.program, plan.parameters.bootstrap.as_ref()),
            ahead: None,
        }
    }

    /// The value made last.
    pub fn latest(&self) -> &[Ciphertext] {
        self.values.last().and_then(Option::as_deref).unwrap_or(&[])
    }

    /// Drops these values, and what no node after `node` needs of the bootstraps.
    pub fn forget(&mut self, node: usize, values: &[Value]) {
        for &value in values {
            self.values[value] = None;
        }
        self.bootstraps.retire(node);
    }

    /// The last value.
    pub fn into_output(mut self) -> Option<Vec<Ciphertext>> {
        self.values.pop().flatten()
    }

    /// Computes the next node, which is `index`.
    pub fn step(&mut self, index: usize) -> Step<NodeStats> {
        let program = &self.session.plan.program;
        let node = &program.nodes[index];
        let mut stats = NodeStats {
            node: index,
            name: node.name.clone(),
            op: node.op.name(),
            parts: node.layout.parts,
            level_in: self.level_in(node)?,
            level_out: node.level,
            predicted_seconds: self.predicted(index),
            ..NodeStats::default()
        };
        let begun = Instant::now();
        let matrix = self.ahead.take_if(|(of, _)| *of == index);
        let next = self
            .prepares(index)
            .filter(|_| self.ahead.is_none())
            .filter(|_| !matrix.as_ref().is_some_and(|(_, matrix)| is_large(matrix)));
        let result = match next {
            Some(next) => {
                let (program, context) = (&self.session.plan, &self.session.context);
                let compute = || self.compute(index, matrix, &mut stats);
                let prepare = || EncodedMatrix::of(program, context, next);
                let (result, ahead) = rayon::join(compute, prepare);
                self.ahead = Some((next, ahead));
                result
            }
            None => self.compute(index, matrix, &mut stats),
        }?;
        check(node, &result)?;
        self.values.push(Some(result));
        stats.seconds = begun.elapsed().as_secs_f64() - stats.setup_seconds;
        Ok(stats)
    }

    /// The linear node whose matrix is made beside node `index`: the next one, if of all nodes since the
    /// map before it this one takes longest. A matrix takes one thread a tenth of a second at first: with
    /// enough other work beside it, no thread waits.
    fn prepares(&self, index: usize) -> Option<Value> {
        let nodes = &self.session.plan.program.nodes;
        let is_map = |i: &Value| matches!(nodes[*i].op, Op::Linear { .. });
        let next = (index + 1..nodes.len()).find(is_map)?;
        let before = (0..=index).rev().find(is_map).unwrap_or(0);
        let seconds = |i: Value| self.predicted(i);
        let longest = (before..next).max_by(|&a, &b| seconds(a).total_cmp(&seconds(b)));
        (longest == Some(index)).then_some(next)
    }

    fn level_in(&self, node: &Node) -> Step<usize> {
        let levels = node.op.operands().into_iter().map(|x| {
            let parts = value(&self.values, x)?;
            Ok(parts.first().map_or(0, Ciphertext::level))
        });
        let levels = levels.collect::<Step<Vec<usize>>>()?;
        Ok(levels.into_iter().max().unwrap_or(node.level))
    }

    fn predicted(&self, index: usize) -> f64 {
        let seconds = self.session.plan.prediction.nodes.get(index);
        seconds.copied().unwrap_or_default()
    }

    fn compute(
        &mut self,
        index: usize,
        matrix: Option<(Value, Step<EncodedMatrix>)>,
        stats: &mut NodeStats,
    ) -> Step<Vec<Ciphertext>> {
        let Session {
            plan,
            context,
            evaluator,
        } = self.session;
        let node = &plan.program.nodes[index];
        let values = &self.values;
        let enter = node.enters_at(&plan.parameters).unwrap_or(node.level);
        match &node.op {
            Op::Input => self
                .input
                .take()
                .ok_or_else(|| "the program has two inputs".into()),
            Op::Linear { x, .. } => {
                let matrix = match matrix {
                    Some((_, matrix)) => matrix?,
                    None => EncodedMatrix::of(plan, context, index)?,
                };
                self.linear(*x, matrix, stats)
            }
            Op::MulConst { x, factor } => each(value(values, *x)?, |x| {
                let x = at(x, enter)?;
                evaluator.mul_const(&x, *factor, node.scale).map_err(reason)
            }),
            Op::Add { x, y } => pairs(value(values, *x)?, value(values, *y)?, |x, y| {
                let (x, y) = (at(x, enter)?, at(y, enter)?);
                evaluator.add(&x, &y).map_err(reason)
            }),
            Op::Mul { x, y } => pairs(value(values, *x)?, value(values, *y)?, |x, y| {
                let (x, y) = (at(x, enter)?, at(y, enter)?);
                evaluator.mul(&x, &y).map_err(reason)
            }),
            Op::Polynomial { x, coefficients } => each(value(values, *x)?, |x| {
                let x = at(x, enter)?;
                let result = evaluator.chebyshev(&x, coefficients, node.scale);
                result.map_err(reason)
            }),
            Op::Activate {
                x, coefficients, ..
            } => self.activate(index, *x, coefficients, stats),
        }
    }

    fn linear(
        &self,
        x: Value,
        matrix: EncodedMatrix,
        stats: &mut NodeStats,
    ) -> Step<Vec<Ciphertext>> {
        let evaluator = &self.session.evaluator;
        let inputs = value(&self.values, x)?;
        stats.diagonals = matrix.diagonals;
        stats.rotations = matrix.rotations;
        stats.encode_seconds = matrix.seconds;
        // Rotations of the operand serve all parts of the result; one part makes them on the way.
        let rotated = match matrix.outputs.as_slice() {
            [] | [_] => None,
            [first, ..] => {
                let level = first.transform.level();
                let rotated = evaluator.prepare(inputs, &matrix.babies, level, matrix.diagonals);
                Some(rotated.map_err(reason)?)
            }
        };
        let mut outputs = Vec::with_capacity(matrix.outputs.len());
        for EncodedRow { transform, bias } in matrix.outputs {
            let mut sum = match &rotated {
                Some(rotated) => evaluator.apply(rotated, &transform),
                None => evaluator.transform_parts(&transform, inputs),
            }
            .map_err(reason)?;
            drop(transform);
            for &steps in &matrix.folds {
                let rotation = evaluator.rotate(&sum, steps).map_err(reason)?;
                sum = evaluator.add(&sum, &rotation).map_err(reason)?;
            }
            evaluator.add_plain(&mut sum, &bias).map_err(reason)?;
            outputs.push(sum);
        }
        Ok(outputs)
    }

    fn activate(
        &mut self,
        index: usize,
        x: Value,
        coefficients: &[f64],
        stats: &mut NodeStats,
    ) -> Step<Vec<Ciphertext>> {
        let Session {
            plan,
            context,
            evaluator,
        } = self.session;
        let begun = Instant::now();
        let node = &plan.program.nodes[index];
        let bootstrapper = self.bootstraps.get(context, index);
        let bootstrapper = bootstrapper.map_err(reason)?;
        stats.setup_seconds = begun.elapsed().as_secs_f64();
        let parts = value(&self.values, x)?;
        stats.bootstraps = parts.len();
        stats.rotations = parts.len() * bootstrapper.rotations().len();
        let level = bootstrapper.shape().input_level();
        each(parts, |x| {
            let x = at(x, level)?;
            let result = bootstrapper.activate(evaluator, &x, coefficients, node.scale);
            let mut result = result.map_err(reason)?;
            if result.level() > node.level {
                result.drop_to(node.level);
            }
            Ok(result)
        })
    }
}

/// Whether another matrix of the kind would take too much memory beside it.
fn is_large(matrix: &Step<EncodedMatrix>) -> bool {
    const LARGE: usize = 1 << 30;
    matrix.as_ref().is_ok_and(|matrix| matrix.bytes > LARGE)
}

/// A value that is still needed.
fn value(values: &[Option<Vec<Ciphertext>>], value: Value) -> Step<&[Ciphertext]> {
    values
        .get(value)
        .and_then(Option::as_deref)
        .ok_or_else(|| format!("v{value} is not available"))
}

/// The ciphertext at `level`: itself, or a copy with limbs dropped.
fn at(x: &Ciphertext, level: usize) -> Step<Cow<'_, Ciphertext>> {
    match x.level().cmp(&level) {
        std::cmp::Ordering::Equal => Ok(Cow::Borrowed(x)),
        std::cmp::Ordering::Greater => {
            let mut dropped = x.clone();
            dropped.drop_to(level);
            Ok(Cow::Owned(dropped))
        }
        std::cmp::Ordering::Less => {
            let got = x.level();
            Err(format!("an operand is at level {got}, needed is {level}"))
        }
    }
}

fn each(
    parts: &[Ciphertext],
    f: impl Fn(&Ciphertext) -> Step<Ciphertext>,
) -> Step<Vec<Ciphertext>> {
    parts.iter().map(f).collect()
}

fn pairs(
    x: &[Ciphertext],
    y: &[Ciphertext],
    f: impl Fn(&Ciphertext, &Ciphertext) -> Step<Ciphertext>,
) -> Step<Vec<Ciphertext>> {
    if x.len() != y.len() {
        return Err(format!("operands of {} and {} parts", x.len(), y.len()));
    }
    x.iter().zip(y).map(|(x, y)| f(x, y)).collect()
}

/// Whether the result has the parts, the level and the scale of the plan.
fn check(node: &Node, result: &[Ciphertext]) -> Step<()> {
    let (got, planned) = (result.len(), node.layout.parts);
    if got != planned {
        return Err(format!("the result has {got} parts, planned are {planned}"));
    }
    for part in result {
        let (got, planned) = (part.level(), node.level);
        if got != planned {
            return Err(format!(
                "the result is at level {got}, planned is {planned}"
            ));
        }
        let (got, planned) = (part.scale(), node.scale);
        if (got / planned - 1.0).abs() > SCALE_TOLERANCE {
            return Err(format!("the result has scale {got}, planned is {planned}"));
        }
    }
    Ok(())
}
