//! What `hecc export` states in a model's metadata: which nodes spell out which approximation, and how
//! large values are. A statement is believed only where the nodes compute what it says.

use super::error::{Problem, Step};
use super::patterns::uniform;
use super::raw::{Id, Node, Op, Raw};
use hecc_ir::calibration::Calibration;
use hecc_ir::function::{Approximation, Function};
use hecc_ir::nn::Linear;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashMap};
use tract_onnx::pb::ModelProto;

/// Metadata key of a list of [`Stated`], as JSON.
pub const APPROXIMATIONS: &str = "hecc.approximations";
/// Metadata key of a [`Calibration`], as JSON.
pub const CALIBRATION: &str = "hecc.calibration";

/// Longest entry read, in bytes.
const LIMIT: usize = 16 << 20;
/// Operators evaluated, over all statements and sample points.
const BUDGET: usize = 1 << 26;
/// Operators of one approximation, at most.
const MAX_OPERATORS: usize = 1 << 13;
/// Points at which nodes and statement are compared.
const SAMPLES: usize = 33;
/// Difference allowed, relative to the largest value: constants are float32.
const TOLERANCE: f64 = 1e-4;
/// Difference from the identity that a plain bootstrap may have, relative to its range.
const IDENTITY: f64 = 5e-3;

/// That the results of a node, and some before it, are an approximation of one earlier value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stated {
    /// Name of the last node.
    pub node: String,
    /// Whether it is a plain bootstrap, which is to change nothing: the network is without it.
    pub refresh: bool,
    /// What the nodes compute.
    pub approximation: Approximation,
}

/// To the precision of the file's constants, which is that in which approximations are made.
pub fn rounded(mut approximation: Approximation) -> Approximation {
    let single = |v: &mut f64| *v = f64::from(*v as f32);
    let series = |c: &mut Vec<f64>| {
        c.iter_mut().for_each(single);
        while c.len() > 2 && c.last() == Some(&0.0) {
            c.pop();
        }
    };
    match &mut approximation {
        Approximation::Fused {
            range,
            rho,
            coefficients,
        } => {
            single(range);
            single(rho);
            series(coefficients);
        }
        Approximation::Levelled {
            range, polynomials, ..
        } => {
            single(range);
            polynomials.iter_mut().for_each(series);
        }
        Approximation::Square { range } => single(range),
    }
    approximation
}

/// The metadata of a model.
#[derive(Debug, Default)]
pub(super) struct Metadata {
    pub stated: Vec<Stated>,
    pub calibration: Option<Calibration>,
}

/// Reads the metadata, where there is any.
pub(super) fn read(model: &ModelProto) -> Step<Metadata> {
    let mut metadata = Metadata::default();
    if let Some(mut stated) = entry::<Vec<Stated>>(model, APPROXIMATIONS)? {
        for s in &mut stated {
            // Reading decimal digits may be off by the last bit.
            s.approximation = rounded(s.approximation.clone());
            s.approximation
                .verify()
                .map_err(|e| broken(APPROXIMATIONS, &e.to_string()))?;
        }
        metadata.stated = stated;
    }
    if let Some(calibration) = entry::<Calibration>(model, CALIBRATION)? {
        calibration
            .validate()
            .map_err(|e| broken(CALIBRATION, &e.to_string()))?;
        metadata.calibration = Some(calibration);
    }
    Ok(metadata)
}

fn entry<T: for<'a> Deserialize<'a>>(model: &ModelProto, key: &str) -> Step<Option<T>> {
    let Some(found) = model.metadata_props.iter().find(|e| e.key == key) else {
        return Ok(None);
    };
    if found.value.len() > LIMIT {
        return Err(broken(key, &format!("more than {LIMIT} bytes")));
    }
    match serde_json::from_str(&found.value) {
        Ok(value) => Ok(Some(value)),
        Err(e) => Err(broken(key, &e.to_string())),
    }
}

fn broken(key: &str, what: &str) -> Problem {
    let what: String = what.chars().take(200).collect();
    Problem::new(format!("metadata {key:?} cannot be used: {what}"))
        .help("export the plan again, or remove the entry from the model's metadata_props")
}

/// Puts an activation in the place of every group of nodes that a statement describes. Nodes that the
/// model lacks are passed over: their operators still say what they compute.
pub(super) fn apply(raw: &mut Raw, all: &[Stated]) -> Step<()> {
    let mut last_of: HashMap<&str, usize> = HashMap::new();
    let mut end_of: HashMap<usize, Id> = HashMap::new();
    for (id, node) in raw.nodes.iter().enumerate().skip(1) {
        last_of.insert(node.name.as_str(), node.origin);
        end_of.insert(node.origin, id);
    }
    let end = |s: &Stated| {
        last_of
            .get(s.node.as_str())
            .and_then(|origin| end_of.get(origin))
            .copied()
    };
    let ends: Vec<Option<Id>> = all.iter().map(end).collect();
    let mut budget = BUDGET;
    for (stated, end) in all.iter().zip(ends) {
        let Some(end) = end else {
            continue;
        };
        let differs = |what: &str| {
            let node: String = stated.node.chars().take(120).collect();
            broken(APPROXIMATIONS, &format!("node '{node}' {what}"))
        };
        let base = base(raw, end, &stated.approximation, &mut budget)
            .ok_or_else(|| differs("computes something else than it says"))?;
        let channels = raw.nodes[end].shape.c;
        let op = match stated.refresh {
            true if !is_identity(&stated.approximation) => {
                return Err(differs("is no plain bootstrap, as it says"));
            }
            true => {
                raw.reserve(2 * channels)?;
                Op::Linear(Linear::Affine {
                    scale: vec![1.0; channels],
                    shift: vec![0.0; channels],
                })
            }
            false => Op::Activation(Function::Approximated(stated.approximation.clone())),
        };
        (raw.nodes[end].op, raw.nodes[end].operands) = (op, vec![base]);
    }
    Ok(())
}

/// The nearest value of which `end` is `approximation`, if there is one.
fn base(raw: &Raw, end: Id, approximation: &Approximation, budget: &mut usize) -> Option<Id> {
    let range = approximation.range();
    // Irregular points from end to end.
    let at = |k: usize| range * (2.0 * (k as f64 * 0.618_034).fract() - 1.0);
    let samples: Vec<(f64, f64)> = (0..SAMPLES)
        .map(|k| (at(k), approximation.apply(at(k))))
        .collect();
    let largest = samples.iter().fold(0.0f64, |m, s| m.max(s.1.abs()));
    let mut spend = |work: usize| {
        *budget = budget.saturating_sub(work);
        (*budget > 0).then_some(())
    };
    let mut open = BTreeSet::from([end]);
    let mut inside: Vec<(Id, Operator)> = Vec::new();
    while let Some(last) = open.pop_last() {
        let node = &raw.nodes[last];
        spend(1 + node.shape.c)?;
        if inside.len() >= MAX_OPERATORS {
            return None;
        }
        inside.push((last, operator(node)?));
        open.extend(&node.operands);
        let (Some(&base), 1) = (open.first(), open.len()) else {
            continue;
        };
        spend(inside.len())?;
        let program = Program::new(raw, base, &inside)?;
        let mut agrees = raw.nodes[base].shape == raw.nodes[end].shape;
        for &(x, expected) in &samples {
            if !agrees {
                break;
            }
            spend(inside.len())?;
            agrees = (program.value(x) - expected).abs() <= TOLERANCE * largest;
        }
        if agrees {
            return Some(base);
        }
    }
    None
}

/// An operator that may be part of an approximation.
#[derive(Clone, Copy)]
enum Operator {
    Line(f64, f64),
    Add,
    Mul,
    Cos,
}

fn operator(node: &Node) -> Option<Operator> {
    match &node.op {
        Op::Linear(linear) => uniform(linear).map(|(scale, shift)| Operator::Line(scale, shift)),
        Op::Add => Some(Operator::Add),
        Op::Mul => Some(Operator::Mul),
        Op::Cos => Some(Operator::Cos),
        Op::Input | Op::Div | Op::Activation(_) | Op::Erf | Op::Unknown => None,
    }
}

fn is_identity(approximation: &Approximation) -> bool {
    let range = approximation.range();
    let at = |k: usize| range * (k as f64 / 16.0 - 1.0);
    (0..=32).all(|k| (approximation.apply(at(k)) - at(k)).abs() <= IDENTITY * range)
}

/// Operators on numbers computed before them; number 0 is the base.
struct Program(Vec<(Operator, usize, usize)>);

impl Program {
    /// The operators `inside`, last first, on the value `base`.
    fn new(raw: &Raw, base: Id, inside: &[(Id, Operator)]) -> Option<Self> {
        let mut numbers = HashMap::from([(base, 0)]);
        let mut parts = Vec::with_capacity(inside.len());
        for &(id, operator) in inside.iter().rev() {
            let operands = &raw.nodes[id].operands;
            let x = *numbers.get(operands.first()?)?;
            let y = operands
                .get(1)
                .map_or(Some(x), |y| numbers.get(y).copied())?;
            parts.push((operator, x, y));
            numbers.insert(id, parts.len());
        }
        Some(Self(parts))
    }

    fn value(&self, x: f64) -> f64 {
        let mut values = Vec::with_capacity(self.0.len() + 1);
        values.push(x);
        let mut last = x;
        for &(operator, x, y) in &self.0 {
            last = match operator {
                Operator::Line(scale, shift) => scale * values[x] + shift,
                Operator::Add => values[x] + values[y],
                Operator::Mul => values[x] * values[y],
                Operator::Cos => values[x].cos(),
            };
            values.push(last);
        }
        last
    }
}
