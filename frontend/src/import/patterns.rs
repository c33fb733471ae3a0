//! Activations that exporters spell out: `x sigmoid(x)`, `x (1 + erf(x/sqrt 2)) / 2` and their like.
//!
//! Where two branches of one value join in a sum, product or quotient, the function from that value
//! to the join is computed at sample points, and compared with the functions of the language. The
//! order and grouping of an exporter's operators do not matter then, nor does how it rounds.

use super::error::Step;
use super::raw::{Id, Node, Op, Raw};
use hecc_ir::function::Function;
use hecc_ir::nn::Linear;
use std::collections::{BTreeSet, HashMap};

/// Operators of one pattern, at most.
const MAX_OPERATORS: usize = 32;
/// Difference from the function of the language, relative to its values: constants are float32, and
/// the two forms of Gelu differ by 5e-4.
const TOLERANCE: f64 = 2e-5;
/// Points at which functions are compared.
const SAMPLES: usize = 48;

/// Replaces joins that are functions of the language, times a constant, of one value times a constant.
pub(super) fn recognise(raw: &mut Raw, output: &mut Id) -> Step<()> {
    let found: Vec<Option<Found>> = (0..raw.nodes.len()).map(|id| matching(raw, id)).collect();
    if found.iter().all(Option::is_none) {
        return Ok(());
    }
    let old = std::mem::take(&mut raw.nodes);
    let mut places: Vec<Id> = Vec::with_capacity(old.len());
    for (mut node, found) in old.into_iter().zip(found) {
        let Some(found) = found else {
            node.operands.iter_mut().for_each(|o| *o = places[*o]);
            raw.nodes.push(node);
            places.push(raw.nodes.len() - 1);
            continue;
        };
        raw.at(&node.name, node.origin);
        let x = raw.uniform(places[found.base], found.inner as f32, 0.0)?;
        let y = raw.activation(x, found.function)?;
        places.push(raw.uniform(y, found.outer as f32, 0.0)?);
    }
    *output = places[*output];
    Ok(())
}

/// One operator of a pattern, on numbers computed before it; number 0 is the value itself.
enum Part {
    Affine(f64, f64, usize),
    Add(usize, usize),
    Mul(usize, usize),
    Div(usize, usize),
    Apply(Function, usize),
    Erf(usize),
}

/// The nearest value that the join `id` is a function of, and the operators from there to the join.
fn pattern(raw: &Raw, id: Id) -> Option<(Id, Vec<Part>)> {
    let operands = &raw.nodes[id].operands;
    if !matches!(raw.nodes[id].op, Op::Add | Op::Mul | Op::Div) || operands[0] == operands[1] {
        return None;
    }
    let mut open: BTreeSet<Id> = operands.iter().copied().collect();
    let mut inside = vec![id];
    while open.len() > 1 {
        let last = open.pop_last()?;
        if inside.len() >= MAX_OPERATORS || !is_part(&raw.nodes[last]) {
            return None;
        }
        inside.push(last);
        open.extend(&raw.nodes[last].operands);
    }
    let base = open.pop_last()?;
    inside.reverse();
    let mut numbers = HashMap::from([(base, 0)]);
    let mut parts = Vec::new();
    for id in inside {
        let node = &raw.nodes[id];
        let x = *numbers.get(node.operands.first()?)?;
        let y = node
            .operands
            .get(1)
            .map_or(Some(x), |y| numbers.get(y).copied())?;
        parts.push(match &node.op {
            Op::Linear(linear) => {
                let (scale, shift) = uniform(linear)?;
                Part::Affine(scale, shift, x)
            }
            Op::Add => Part::Add(x, y),
            Op::Mul => Part::Mul(x, y),
            Op::Div => Part::Div(x, y),
            Op::Activation(function) => Part::Apply(function.clone(), x),
            Op::Erf => Part::Erf(x),
            Op::Cos | Op::Input | Op::Unknown => return None,
        });
        numbers.insert(id, parts.len());
    }
    Some((base, parts))
}

/// Whether an operator may be part of a pattern.
fn is_part(node: &Node) -> bool {
    match &node.op {
        Op::Linear(Linear::Affine { .. }) => true,
        Op::Linear(_) => false,
        Op::Add | Op::Mul | Op::Div | Op::Activation(_) | Op::Erf => true,
        Op::Cos | Op::Input | Op::Unknown => false,
    }
}

/// Scale and shift of an affine map that is the same for all channels.
pub(super) fn uniform(linear: &Linear) -> Option<(f64, f64)> {
    match linear {
        Linear::Affine { scale, shift } => {
            let (a, b) = (*scale.first()?, *shift.first()?);
            let same = scale.iter().all(|s| *s == a) && shift.iter().all(|s| *s == b);
            same.then(|| (f64::from(a), f64::from(b)))
        }
        Linear::Conv { .. }
        | Linear::ConvTranspose { .. }
        | Linear::Gemm { .. }
        | Linear::AveragePool { .. }
        | Linear::Elementwise { .. }
        | Linear::Slice { .. }
        | Linear::Pad { .. }
        | Linear::Gather { .. }
        | Linear::Reshape { .. } => None,
    }
}

/// The join's value where the value it depends on is `x`.
fn value(parts: &[Part], x: f64) -> f64 {
    let mut values = vec![x];
    for part in parts {
        values.push(match part {
            Part::Affine(scale, shift, x) => scale * values[*x] + shift,
            Part::Add(x, y) => values[*x] + values[*y],
            Part::Mul(x, y) => values[*x] * values[*y],
            Part::Div(x, y) => values[*x] / values[*y],
            Part::Apply(function, x) => function.apply(0, values[*x]),
            Part::Erf(x) => libm::erf(values[*x]),
        });
    }
    values[parts.len()]
}

/// `outer * function(inner * x)` of the value `base`.
struct Found {
    base: Id,
    function: Function,
    inner: f64,
    outer: f64,
}

/// The function that the join `id` is, if it is one.
fn matching(raw: &Raw, id: Id) -> Option<Found> {
    let (base, parts) = pattern(raw, id)?;
    let at = |x: f64| value(&parts, x);
    let candidates = [
        Function::Relu,
        Function::HardSwish,
        Function::Gelu { tanh: false },
        Function::Gelu { tanh: true },
        Function::Mish,
    ];
    // Any of them is far from 0 at 3.
    let one = |function: Function| Found {
        base,
        outer: rounded(at(3.0) / function.apply(0, 3.0)),
        inner: 1.0,
        function,
    };
    let mut all: Vec<Found> = candidates.into_iter().map(one).collect();
    // f x sigmoid(b x) is known from two values: f = f(1) - f(-1), sigmoid(b) = f(1) / f.
    let (right, left) = (at(1.0), at(-1.0));
    let factor = right - left;
    let inner = rounded((right / (factor - right)).ln());
    all.push(Found {
        base,
        function: Function::Silu,
        inner,
        outer: rounded(factor / inner),
    });
    all.into_iter().find(|found| {
        let agrees = |k: usize| {
            // Irregular points from -9 to 9; 0 where a quotient may be undefined is not among them.
            let x = (k as f64 + 0.37) / SAMPLES as f64 * 18.0 - 9.0;
            let expected = found.outer * found.function.apply(0, found.inner * x);
            (at(x) - expected).abs() <= TOLERANCE * (found.outer.abs() + expected.abs())
        };
        let usable = |v: f64| v.is_finite() && v.abs() > 1e-6;
        usable(found.inner) && usable(found.outer) && (0..SAMPLES).all(agrees)
    })
}

/// 1 where float32 constants made it almost that.
fn rounded(factor: f64) -> f64 {
    if (factor - 1.0).abs() < TOLERANCE {
        1.0
    } else {
        factor
    }
}
