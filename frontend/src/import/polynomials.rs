//! Polynomials spelled out as sums and products.
//!
//! From a value that is read, the operators behind it are followed until all that is open is one
//! value: the value it is a polynomial of, whose coefficients come from algebra in the Chebyshev basis,
//! one row for all channels or one for each. A polynomial of a polynomial stays two, unless its
//! degree is low. Three forms are approximations that were spelled out, and are kept as they are,
//! coefficient by coefficient: a series in a cosine of a line; and, where the value is divided by a
//! number before and multiplied by the same number behind, a composition of series, which may end in
//! a product with the value.

use super::chebyshev::{add, degree, multiply, powers};
use super::patterns::uniform;
use super::raw::{Id, Op, Raw};
use hecc_ir::function::{Approximation, Function};
use hecc_ir::nn::Linear;
use std::collections::{BTreeSet, HashMap};
use std::f64::consts::{FRAC_PI_2, PI};

/// Highest degree of a polynomial that belongs to the network.
const MAX_DEGREE: usize = 15;
/// Highest degree of a series that is an approximation.
const MAX_SERIES: usize = 127;
/// Operators of one polynomial, at most: some four for each degree.
const MAX_OPERATORS: usize = 1024;
/// Products of coefficients, for all polynomials together.
const BUDGET: usize = 1 << 28;
/// What following one operator takes from it.
const STEP: usize = 16;
/// Relative difference of numbers that were one before they were float32.
const SAME: f64 = 1e-6;

/// How a value is computed.
#[derive(Debug)]
pub(super) enum Form {
    /// By its own operator.
    Node,
    /// By a function of another value plus a shift.
    Function {
        of: Id,
        shift: f64,
        function: Function,
    },
}

/// A polynomial of the value `of`, in the Chebyshev basis: one row for all channels, or one for each.
#[derive(Clone, Debug)]
struct Polynomial {
    of: Id,
    rows: Vec<Vec<f64>>,
}

impl Polynomial {
    fn degree(&self) -> usize {
        self.rows.iter().map(|row| degree(row)).max().unwrap_or(0)
    }

    /// The row of all channels.
    fn row(&self) -> Option<&[f64]> {
        match self.rows.as_slice() {
            [row] => Some(row),
            _ => None,
        }
    }
}

/// What is left of [`BUDGET`].
pub(super) struct Forms<'a> {
    raw: &'a Raw,
    budget: usize,
}

impl<'a> Forms<'a> {
    pub fn new(raw: &'a Raw) -> Self {
        let budget = BUDGET;
        Self { raw, budget }
    }

    /// How a value that is read is computed.
    pub fn of(&mut self, id: Id) -> Form {
        let channels = self.raw.nodes[id].shape.c;
        match self.find(id) {
            // Numbers that no longer fit a float32 stay with the operators they come from.
            Some(Form::Function { function, .. }) if function.verify(channels).is_err() => {
                Form::Node
            }
            Some(form) => form,
            None => Form::Node,
        }
    }

    fn find(&mut self, id: Id) -> Option<Form> {
        if !is_part(&self.raw.nodes[id].op) && self.raw.nodes[id].op != Op::Cos {
            return None;
        }
        if let Some(form) = self.scaled(id) {
            return Some(form);
        }
        if self.raw.nodes[id].op == Op::Cos {
            return self.cosine_series(id, id, &[0.0, 1.0]);
        }
        let p = self.polynomial(id)?;
        if self.raw.nodes[p.of].op == Op::Cos {
            return self.cosine_series(id, p.of, p.row()?);
        }
        let n = p.degree() + 1;
        if n < 3 {
            return None;
        }
        let function = if n <= MAX_DEGREE + 1 {
            let row = |row: &Vec<f64>| {
                let mut powers: Vec<f32> = powers(row).into_iter().map(|c| c as f32).collect();
                powers.resize(n, 0.0);
                powers
            };
            let mut coefficients: Vec<Vec<f32>> = p.rows.iter().map(row).collect();
            if coefficients.iter().all(|row| *row == coefficients[0]) {
                coefficients.truncate(1);
            }
            Function::Polynomial { coefficients }
        } else {
            Function::Approximated(Approximation::Levelled {
                range: 1.0,
                polynomials: vec![singles(p.row()?, 1.0)],
                times_x: false,
            })
        };
        Some(Form::Function {
            of: p.of,
            shift: 0.0,
            function,
        })
    }

    /// The polynomial that `id` is of the nearest value that all its operators come from.
    fn polynomial(&mut self, id: Id) -> Option<Polynomial> {
        let mut open = BTreeSet::from([id]);
        let mut inside: Vec<Id> = Vec::new();
        let mut best: Option<Polynomial> = None;
        // Whether a sum or a product is among the operators since the last stop.
        let mut joined = false;
        loop {
            let only = *open.first()?;
            if open.len() == 1 && (joined || best.is_none()) {
                // A series in multiples of a cosine is one in the cosine.
                if let Some(cosine) = self.cosine_behind(only) {
                    let mut at = only;
                    while at != cosine {
                        inside.push(at);
                        at = self.raw.nodes[at].operands[0];
                    }
                    return self.evaluate(cosine, &inside, id);
                }
            }
            if open.len() == 1 && joined {
                let Some(found) = self.evaluate(only, &inside, id) else {
                    return best;
                };
                // A polynomial of a polynomial: one, if the degree stays low.
                if found.degree() > MAX_DEGREE {
                    return best.or(Some(found));
                }
                best = Some(found);
                joined = false;
            }
            if !self.step(&mut open, &mut inside, &mut joined) {
                return best;
            }
        }
    }

    /// Follows the last open value to its operands; whether it could be.
    fn step(&mut self, open: &mut BTreeSet<Id>, inside: &mut Vec<Id>, joined: &mut bool) -> bool {
        let Some(last) = open.pop_last() else {
            return false;
        };
        let node = &self.raw.nodes[last];
        let within = inside.len() < MAX_OPERATORS && is_part(&node.op);
        self.budget = self.budget.saturating_sub(STEP);
        if !within || self.budget == 0 {
            return false;
        }
        *joined |= !matches!(node.op, Op::Linear(_));
        inside.push(last);
        open.extend(&node.operands);
        true
    }

    /// The cosine that a value is a uniform line of.
    fn cosine_behind(&self, id: Id) -> Option<Id> {
        let mut at = id;
        for _ in 0..MAX_OPERATORS {
            match &self.raw.nodes[at].op {
                Op::Cos => return Some(at),
                Op::Linear(linear) if uniform(linear).is_some() => {
                    at = self.raw.nodes[at].operands[0];
                }
                _ => return None,
            }
        }
        None
    }

    /// The polynomial of `base` that `id` is; `inside` are the operators between, last first.
    fn evaluate(&mut self, base: Id, inside: &[Id], id: Id) -> Option<Polynomial> {
        let mut all: HashMap<Id, Vec<Vec<f64>>> = HashMap::from([(base, vec![vec![0.0, 1.0]])]);
        for &at in inside.iter().rev() {
            let node = &self.raw.nodes[at];
            let x = all.get(node.operands.first()?)?;
            let rows = match &node.op {
                Op::Linear(Linear::Affine { scale, shift }) => {
                    let lines = match uniform_line(scale, shift) {
                        Some(line) => vec![line],
                        None => (scale.iter().zip(shift))
                            .map(|(&a, &b)| vec![f64::from(b), f64::from(a)])
                            .collect(),
                    };
                    self.zip(x, &lines, 1, |p, line| {
                        let mut row: Vec<f64> = p.iter().map(|c| c * line[1]).collect();
                        row[0] += line[0];
                        row
                    })?
                }
                Op::Add => self.zip(x, all.get(&node.operands[1])?, 1, add)?,
                Op::Mul => {
                    let y = all.get(&node.operands[1])?;
                    self.product(x, y)?
                }
                Op::Activation(Function::Power { exponent }) => {
                    let mut power = x.clone();
                    for _ in 1..*exponent {
                        power = self.product(&power, x)?;
                    }
                    power
                }
                _ => return None,
            };
            all.insert(at, rows);
        }
        let rows = all.remove(&id)?;
        Some(Polynomial { of: base, rows })
    }

    fn product(&mut self, x: &[Vec<f64>], y: &[Vec<f64>]) -> Option<Vec<Vec<f64>>> {
        let degree_of = |rows: &[Vec<f64>]| rows.iter().map(|r| degree(r)).max().unwrap_or(0);
        let n = degree_of(x) + degree_of(y);
        if n > MAX_SERIES {
            return None;
        }
        self.zip(x, y, degree_of(y) + 1, |a, b| {
            let mut row = multiply(a, b);
            row.truncate((n + 1).max(2));
            row
        })
    }

    /// Row by row; a single row stands for all channels.
    fn zip(
        &mut self,
        x: &[Vec<f64>],
        y: &[Vec<f64>],
        work: usize,
        f: impl Fn(&[f64], &[f64]) -> Vec<f64>,
    ) -> Option<Vec<Vec<f64>>> {
        let n = x.len().max(y.len());
        let spent = n * x[0].len().max(y[0].len()) * work;
        self.budget = self.budget.checked_sub(spent)?;
        let row = |rows: &[Vec<f64>], i: usize| if rows.len() == 1 { 0 } else { i };
        Some((0..n).map(|i| f(&x[row(x, i)], &y[row(y, i)])).collect())
    }

    /// `range p_k(... p_1(x / range))`, perhaps times `x / range` inside: known by the factor behind,
    /// which undoes the one before.
    fn scaled(&mut self, id: Id) -> Option<Form> {
        let range = factor(self.raw, id)?;
        let top = self.raw.nodes[id].operands[0];
        let unit = |at: Id| factor(self.raw, at).is_some_and(|a| (a * range - 1.0).abs() < SAME);
        let node = &self.raw.nodes[top];
        let (mut at, base, times_x) = match (&node.op, node.operands.as_slice()) {
            (Op::Mul, &[p, x]) if p != x && unit(x) => (p, Some(x), true),
            (Op::Mul, &[x, p]) if p != x && unit(x) => (p, Some(x), true),
            _ => (top, None, false),
        };
        let mut polynomials = Vec::new();
        while !unit(at) {
            let p = self.segment(at)?;
            polynomials.push(singles(p.row()?, 1.0));
            at = p.of;
        }
        if base.is_some_and(|x| x != at) || polynomials.is_empty() {
            return None;
        }
        polynomials.reverse();
        Some(Form::Function {
            of: self.raw.nodes[at].operands[0],
            shift: 0.0,
            function: Function::Approximated(Approximation::Levelled {
                range: f64::from(range as f32),
                polynomials,
                times_x,
            }),
        })
    }

    /// As [`Self::polynomial`], up to the first value that all operators come from.
    fn segment(&mut self, id: Id) -> Option<Polynomial> {
        let mut open = BTreeSet::from([id]);
        let (mut inside, mut joined) = (Vec::new(), false);
        while open.len() > 1 || !joined {
            if !self.step(&mut open, &mut inside, &mut joined) {
                return None;
            }
        }
        self.evaluate(*open.first()?, &inside, id)
    }

    /// `P(cos(a x + b))` as `range P(cos((pi/2)(1 + rho x / range)))`.
    fn cosine_series(&self, id: Id, cosine: Id, row: &[f64]) -> Option<Form> {
        // The line inside the cosine, back to the value that it is a line of.
        let nodes = &self.raw.nodes;
        let (mut of, mut slope, mut at_zero) = (nodes[cosine].operands[0], 1.0, 0.0);
        while let Op::Linear(linear) = &nodes[of].op
            && let Some((scale, shift)) = uniform(linear)
        {
            at_zero += slope * shift;
            slope *= scale;
            of = nodes[of].operands[0];
        }
        if slope < 0.0 {
            (slope, at_zero) = (-slope, -at_zero);
        }
        if slope.abs() < 1e-12 || !slope.is_finite() {
            return None;
        }
        // Whole turns of the cosine do nothing.
        let turns = ((at_zero - FRAC_PI_2) / (2.0 * PI)).round();
        let offset = at_zero - FRAC_PI_2 - 2.0 * PI * turns;
        let shift = if offset.abs() < SAME {
            0.0
        } else {
            offset / slope
        };
        // The factor behind the series is its range, if |x| <= range then stays in the half circle.
        let rho_of = |range: f64| slope * range / FRAC_PI_2;
        let range = factor(self.raw, id)
            .filter(|&a| (0.05..=1.0 + SAME).contains(&rho_of(a)))
            .unwrap_or(1.0 / rho_of(1.0));
        // A share that a person chose has few digits; float32 constants hide them.
        let digits = (rho_of(range) * 1e4).round() / 1e4;
        let rho = if (rho_of(range) - digits).abs() < SAME {
            digits
        } else {
            rho_of(range).min(1.0)
        };
        Some(Form::Function {
            of,
            shift,
            function: Function::Approximated(Approximation::Fused {
                range: f64::from(range as f32),
                rho: f64::from(rho as f32),
                coefficients: singles(row, 1.0 / range),
            }),
        })
    }
}

/// Whether an operator may be part of a polynomial.
fn is_part(op: &Op) -> bool {
    match op {
        Op::Linear(Linear::Affine { .. }) | Op::Add | Op::Mul => true,
        Op::Activation(Function::Power { exponent }) => *exponent as usize <= MAX_DEGREE,
        Op::Linear(_)
        | Op::Activation(_)
        | Op::Input
        | Op::Div
        | Op::Erf
        | Op::Cos
        | Op::Unknown => false,
    }
}

/// The positive factor that a value is multiplied by, if that is all its operator does.
fn factor(raw: &Raw, id: Id) -> Option<f64> {
    match &raw.nodes[id].op {
        Op::Linear(linear) => uniform(linear)
            .filter(|&(a, b)| a > 0.0 && b == 0.0)
            .map(|(a, _)| a),
        _ => None,
    }
}

fn uniform_line(scale: &[f32], shift: &[f32]) -> Option<Vec<f64>> {
    let (a, b) = (scale.first()?, shift.first()?);
    let same = scale.iter().all(|s| s == a) && shift.iter().all(|s| s == b);
    same.then(|| vec![f64::from(*b), f64::from(*a)])
}

/// Coefficients times a factor. Every number of the file is a float32, and so was every coefficient
/// of the approximation it spells out.
fn singles(row: &[f64], factor: f64) -> Vec<f64> {
    let last = degree(row).max(1);
    row[..=last]
        .iter()
        .map(|c| f64::from((c * factor) as f32))
        .collect()
}
