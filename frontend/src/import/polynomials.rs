//! Polynomials spelled out as sums and products, and the step to the nn language.
//!
//! Every value is a polynomial of some earlier value, if only of itself. Where two operands of a sum
//! or a product are polynomials of one value, so is the result, up to a degree. A polynomial of
//! degree 2 or more becomes one activation, where something else than a larger polynomial of the
//! same value reads it. A polynomial of a cosine of a line is an approximation that was spelled out:
//! it is kept as it is, coefficient by coefficient.

use super::chebyshev::{add, degree, multiply, powers};
use super::error::{Problem, Step};
use super::patterns::uniform;
use super::raw::{Id, Op, Raw};
use hecc_ir::function::{Approximation, Function};
use hecc_ir::nn::{self, Graph, Linear};
use std::f64::consts::{FRAC_PI_2, PI};

/// Highest degree of a polynomial of a value of the network.
const MAX_DEGREE: usize = 15;
/// Highest degree of a polynomial of a cosine.
const MAX_COSINE_DEGREE: usize = 127;
/// Products of coefficients, altogether; a value beyond is read as it is.
const BUDGET: usize = 1 << 28;

/// A polynomial of the value `of`, in the Chebyshev basis: one row for all channels, or one for each.
#[derive(Clone, Debug)]
struct Polynomial {
    of: Id,
    rows: Vec<Vec<f64>>,
}

impl Polynomial {
    fn identity(of: Id) -> Self {
        Self {
            of,
            rows: vec![vec![0.0, 1.0]],
        }
    }

    fn degree(&self) -> usize {
        self.rows.iter().map(|row| degree(row)).max().unwrap_or(0)
    }

    fn numbers(&self) -> usize {
        self.rows.iter().map(Vec::len).sum()
    }

    /// Row by row; a single row stands for all channels.
    fn zip(&self, other: &Self, f: impl Fn(&[f64], &[f64]) -> Vec<f64>) -> Self {
        let n = self.rows.len().max(other.rows.len());
        let row = |p: &Self, i: usize| if p.rows.len() == 1 { 0 } else { i };
        let rows = (0..n).map(|i| f(&self.rows[row(self, i)], &other.rows[row(other, i)]));
        Self {
            of: self.of,
            rows: rows.collect(),
        }
    }
}

/// The nn graph of what the output depends on. Problems name the position of an ONNX node.
pub(super) fn emit(raw: &Raw, output: Id) -> Result<Graph, (usize, Problem)> {
    let polynomials = polynomials(raw);
    let forms: Vec<Form> = (0..raw.nodes.len())
        .map(|id| form(raw, &polynomials, id))
        .collect();
    let mut needed = vec![false; raw.nodes.len()];
    needed[output] = true;
    for id in (0..raw.nodes.len()).rev().filter(|&id| id <= output) {
        if needed[id] {
            match &forms[id] {
                Form::Node => raw.nodes[id].operands.iter().for_each(|&o| needed[o] = true),
                Form::Polynomial(of, _) | Form::Cosine { of, .. } => needed[*of] = true,
            }
        }
    }
    let input = &raw.nodes[0];
    let mut emission = Emission {
        raw,
        graph: Graph::new(&input.name, input.shape),
        places: vec![None; raw.nodes.len()],
    };
    emission.places[0] = Some(emission.graph.input);
    for id in (1..raw.nodes.len()).filter(|&id| needed[id]) {
        let place = emission
            .node(id, &forms[id])
            .map_err(|p| (raw.nodes[id].origin, p))?;
        emission.places[id] = Some(place);
    }
    let mut graph = emission.graph;
    graph.output = emission.places[output].unwrap_or(graph.input);
    Ok(graph)
}

/// How a value is computed.
enum Form {
    /// By its own operator.
    Node,
    /// By a polynomial of a value.
    Polynomial(Id, Function),
    /// By a polynomial of a cosine of `of` plus a shift.
    Cosine {
        of: Id,
        shift: f64,
        approximation: Approximation,
    },
}

fn polynomials(raw: &Raw) -> Vec<Polynomial> {
    let mut all: Vec<Polynomial> = Vec::with_capacity(raw.nodes.len());
    let mut budget = BUDGET;
    for (id, node) in raw.nodes.iter().enumerate() {
        let operand = |i: usize| &all[node.operands[i]];
        let found = match &node.op {
            Op::Linear(Linear::Affine { scale, shift }) => {
                let line = match uniform_rows(scale, shift) {
                    Some(row) => vec![row],
                    None => (scale.iter().zip(shift))
                        .map(|(&a, &b)| vec![f64::from(b), f64::from(a)])
                        .collect(),
                };
                let line = Polynomial { of: 0, rows: line };
                // a x + b of a polynomial: its coefficients times a, and b.
                spend(&mut budget, operand(0).numbers().max(2) * line.rows.len()).then(|| {
                    operand(0).zip(&line, |p, line| {
                        let mut row: Vec<f64> = p.iter().map(|c| c * line[1]).collect();
                        row[0] += line[0];
                        row
                    })
                })
            }
            Op::Add if operand(0).of == operand(1).of => {
                let work = operand(0).numbers() + operand(1).numbers();
                spend(&mut budget, work).then(|| operand(0).zip(operand(1), add))
            }
            Op::Mul if operand(0).of == operand(1).of => {
                product(raw, operand(0), operand(1), &mut budget)
            }
            Op::Activation(Function::Power { exponent }) if *exponent as usize <= MAX_DEGREE => {
                let mut power = Some(operand(0).clone());
                for _ in 1..*exponent {
                    power = power.and_then(|p| product(raw, &p, operand(0), &mut budget));
                }
                power
            }
            Op::Add
            | Op::Mul
            | Op::Div
            | Op::Linear(_)
            | Op::Activation(_)
            | Op::Input
            | Op::Erf
            | Op::Cos
            | Op::Unknown => None,
        };
        all.push(found.unwrap_or_else(|| Polynomial::identity(id)));
    }
    all
}

fn uniform_rows(scale: &[f32], shift: &[f32]) -> Option<Vec<f64>> {
    let (a, b) = (scale.first()?, shift.first()?);
    let same = scale.iter().all(|s| s == a) && shift.iter().all(|s| s == b);
    same.then(|| vec![f64::from(*b), f64::from(*a)])
}

fn product(raw: &Raw, x: &Polynomial, y: &Polynomial, budget: &mut usize) -> Option<Polynomial> {
    let limit = match raw.nodes[x.of].op {
        Op::Cos => MAX_COSINE_DEGREE,
        _ => MAX_DEGREE,
    };
    let rows = x.rows.len().max(y.rows.len());
    let work = rows * x.rows[0].len() * y.rows[0].len();
    let fits = x.degree() + y.degree() <= limit && spend(budget, work);
    fits.then(|| {
        x.zip(y, |a, b| {
            let mut row = multiply(a, b);
            row.truncate(limit + 1);
            row
        })
    })
}

fn spend(budget: &mut usize, work: usize) -> bool {
    let enough = work <= *budget;
    *budget = budget.saturating_sub(work);
    enough
}

fn form(raw: &Raw, polynomials: &[Polynomial], id: Id) -> Form {
    let p = &polynomials[id];
    let cosine = raw.nodes[p.of].op == Op::Cos;
    match (cosine, p.rows.as_slice()) {
        (true, [row]) => {
            cosine_series(raw, id, p.of, row).unwrap_or(Form::Node)
        }
        (false, rows) if p.of != id && p.degree() >= 2 => {
            let n = p.degree() + 1;
            let row = |row: &Vec<f64>| {
                let mut powers: Vec<f32> = powers(row).into_iter().map(|c| c as f32).collect();
                powers.resize(n, 0.0);
                powers
            };
            let mut coefficients: Vec<Vec<f32>> = rows.iter().map(row).collect();
            if coefficients.iter().all(|row| *row == coefficients[0]) {
                coefficients.truncate(1);
            }
            Form::Polynomial(p.of, Function::Polynomial { coefficients })
        }
        _ => Form::Node,
    }
}

/// `P(cos(a x + b))` as an approximation of its own: `range P(cos((pi/2)(1 + rho x / range)))`.
fn cosine_series(raw: &Raw, id: Id, cosine: Id, row: &[f64]) -> Option<Form> {
    // The line inside the cosine, back to the value that it is a line of.
    let (mut of, mut slope, mut at_zero) = (raw.nodes[cosine].operands[0], 1.0, 0.0);
    while let Op::Linear(linear) = &raw.nodes[of].op
        && let Some((scale, shift)) = uniform(linear)
    {
        at_zero += slope * shift;
        slope *= scale;
        of = raw.nodes[of].operands[0];
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
    let shift = if offset.abs() < 1e-6 { 0.0 } else { offset / slope };
    // The factor behind the series is its range, if that leaves |x| <= range within the half circle.
    let factor = match &raw.nodes[id].op {
        Op::Linear(linear) => uniform(linear).filter(|&(_, b)| b == 0.0).map(|(a, _)| a),
        _ => None,
    };
    let rho_of = |range: f64| slope * range / FRAC_PI_2;
    let range = factor
        .filter(|&a| a > 0.0 && rho_of(a) <= 1.0 + 1e-6 && rho_of(a) > 0.05)
        .unwrap_or(1.0 / rho_of(1.0));
    // A share that a person chose has few digits; float32 constants hide them.
    let digits = (rho_of(range) * 1e4).round() / 1e4;
    let rho = if (rho_of(range) - digits).abs() < 1e-6 {
        digits
    } else {
        rho_of(range).min(1.0)
    };
    // Every number of the file is a float32, and so was the approximation it spells out.
    let single = |v: f64| f64::from(v as f32);
    let coefficients = row[..=degree(row).max(1)].iter().map(|c| single(c / range)).collect();
    Some(Form::Cosine {
        of,
        shift,
        approximation: Approximation::Fused {
            range: single(range),
            rho: single(rho),
            coefficients,
        },
    })
}

struct Emission<'a> {
    raw: &'a Raw,
    graph: Graph,
    places: Vec<Option<nn::ValueId>>,
}

impl Emission<'_> {
    fn place(&self, id: Id) -> Step<nn::ValueId> {
        self.places[id].ok_or_else(|| Problem::new("depends on something that is not supported"))
    }

    fn node(&mut self, id: Id, form: &Form) -> Step<nn::ValueId> {
        let node = &self.raw.nodes[id];
        let (name, shape) = (node.name.as_str(), node.shape);
        let operand = |i: usize| self.place(node.operands[i]);
        let (op, operands) = match (form, &node.op) {
            (Form::Polynomial(of, function), _) => {
                (nn::Op::Activation(function.clone()), vec![self.place(*of)?])
            }
            (
                Form::Cosine {
                    of,
                    shift,
                    approximation,
                },
                _,
            ) => {
                let mut x = self.place(*of)?;
                if *shift != 0.0 {
                    let line = Linear::Affine {
                        scale: vec![1.0; shape.c],
                        shift: vec![*shift as f32; shape.c],
                    };
                    let name = format!("{name}/shift");
                    x = self.graph.push(nn::Op::Linear(line), &name, shape, &[x]);
                }
                let function = Function::Approximated(approximation.clone());
                (nn::Op::Activation(function), vec![x])
            }
            (Form::Node, Op::Linear(linear)) => {
                (nn::Op::Linear(linear.clone()), vec![operand(0)?])
            }
            (Form::Node, Op::Activation(function)) => {
                (nn::Op::Activation(function.clone()), vec![operand(0)?])
            }
            (Form::Node, Op::Add) => (nn::Op::Add, vec![operand(0)?, operand(1)?]),
            (Form::Node, Op::Mul) => (nn::Op::Mul, vec![operand(0)?, operand(1)?]),
            (Form::Node, Op::Div) => {
                let (x, y) = (operand(0)?, operand(1)?);
                let (op, name) = (
                    nn::Op::Activation(Function::Reciprocal),
                    format!("{name}/reciprocal"),
                );
                let inverse = self.graph.push(op, &name, shape, &[y]);
                (nn::Op::Mul, vec![x, inverse])
            }
            (Form::Node, Op::Erf) => {
                return Err(Problem::new("is no part of a Gelu")
                    .help("supported: x (1 + erf(x / sqrt(2))) / 2, as exporters write Gelu"));
            }
            (Form::Node, Op::Cos) => {
                return Err(Problem::new("is no part of a cosine series")
                    .help("supported: polynomials in cos(a x + b), the same for all channels"));
            }
            (Form::Node, Op::Input | Op::Unknown) => return self.place(id),
        };
        Ok(self.graph.push(op, name, shape, &operands))
    }
}
