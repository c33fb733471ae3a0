//! The network in the nn language: what the output depends on, each value in its form.

use super::error::{Problem, Step};
use super::polynomials::{Form, Forms};
use super::raw::{Id, Op, Raw};
use hecc_ir::function::Function;
use hecc_ir::nn::{self, Graph, Linear, Shape};

/// The nn graph of what the output depends on. Problems name the position of an ONNX node.
pub(super) fn emit(raw: &Raw, output: Id) -> Result<Graph, (usize, Problem)> {
    let mut forms = Forms::new(raw);
    let mut needed: Vec<Option<Form>> = raw.nodes.iter().map(|_| None).collect();
    let mut read = vec![false; raw.nodes.len()];
    read[output] = true;
    for id in (0..=output).rev().filter(|&id| id < raw.nodes.len()) {
        if !read[id] {
            continue;
        }
        let form = forms.of(id);
        match &form {
            Form::Node => raw.nodes[id].operands.iter().for_each(|&o| read[o] = true),
            Form::Function { of, .. } => read[*of] = true,
        }
        needed[id] = Some(form);
    }
    let input = &raw.nodes[0];
    let mut emission = Emission {
        raw,
        graph: Graph::new(&input.name, input.shape),
        places: vec![None; raw.nodes.len()],
    };
    emission.places[0] = Some(emission.graph.input);
    for (id, form) in needed.iter().enumerate().skip(1) {
        if let Some(form) = form {
            let place = emission
                .node(id, form, id == output)
                .map_err(|p| (raw.nodes[id].origin, p))?;
            emission.places[id] = Some(place);
        }
    }
    let mut graph = emission.graph;
    graph.output = emission.places[output].unwrap_or(graph.input);
    Ok(graph)
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

    fn node(&mut self, id: Id, form: &Form, last: bool) -> Step<nn::ValueId> {
        let node = &self.raw.nodes[id];
        let (name, shape) = (node.name.as_str(), node.shape);
        let operand = |i: usize| self.place(node.operands[i]);
        let (op, operands) = match (form, &node.op) {
            (
                Form::Function {
                    of,
                    shift,
                    function,
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
                if let Function::Polynomial { coefficients } = function
                    && apart(coefficients, last)
                {
                    return Ok(self.powers(name, shape, x, coefficients));
                }
                (nn::Op::Activation(function.clone()), vec![x])
            }
            (Form::Node, Op::Linear(linear)) => (nn::Op::Linear(linear.clone()), vec![operand(0)?]),
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

    /// A polynomial as powers, each times its coefficients, and their sum.
    fn powers(
        &mut self,
        name: &str,
        shape: Shape,
        x: nn::ValueId,
        rows: &[Vec<f32>],
    ) -> nn::ValueId {
        let of = |k: usize| -> Vec<f32> {
            let row = |c: usize| &rows[if rows.len() == 1 { 0 } else { c }];
            (0..shape.c).map(|c| row(c)[k]).collect()
        };
        let line = Linear::Affine {
            scale: of(1),
            shift: of(0),
        };
        let part = |what: &str| format!("{name}/{what}");
        let line_name = part("line");
        let mut sum = self
            .graph
            .push(nn::Op::Linear(line), &line_name, shape, &[x]);
        for k in 2..rows[0].len() {
            let scale = of(k);
            if scale.iter().all(|&s| s == 0.0) {
                continue;
            }
            let power = Function::Power { exponent: k as u32 };
            let power = self.graph.push(
                nn::Op::Activation(power),
                &part(&format!("power{k}")),
                shape,
                &[x],
            );
            let term = Linear::Affine {
                scale,
                shift: vec![0.0; shape.c],
            };
            let term = self.graph.push(
                nn::Op::Linear(term),
                &part(&format!("term{k}")),
                shape,
                &[power],
            );
            sum = self.graph.push(nn::Op::Add, name, shape, &[sum, term]);
        }
        sum
    }
}

/// Whether a polynomial is better written as a sum of powers, which are the same for all channels:
/// quadratics are completed to squares later, if a linear operator behind them can take their
/// coefficients up; beyond the square, coefficients that differ between channels have no other place.
fn apart(rows: &[Vec<f32>], last: bool) -> bool {
    match rows[0].len() {
        0..=3 => last,
        _ => rows.len() > 1,
    }
}
