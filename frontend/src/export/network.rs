//! A program as an ONNX graph, in the network's own numbers: changes of unit are undone, so that
//! weights are those of the maps' stages, and layouts, levels and scales are gone.

use super::activations;
use super::linear::{self, Tensor, flattened, unflattened};
use super::onnx::Writer;
use crate::import::{Stated, rounded};
use hecc_ir::function::{Approximation, MAX_COMPOSED};
use hecc_ir::nn::Shape;
use hecc_ir::plan::Plan;
use hecc_ir::program::{Op, Program, Value};
use std::collections::BTreeMap;

/// A written network.
pub struct Network {
    /// The graph.
    pub writer: Writer,
    /// The logits.
    pub output: String,
    /// Their dimensions after the batch.
    pub dims: Vec<usize>,
    /// What groups of nodes stand for.
    pub stated: Vec<Stated>,
    /// Unit of the values, by the name of their node.
    pub units: BTreeMap<String, f64>,
}

/// Writes the program of a checked plan.
///
/// # Errors
/// A map whose stages do not fit its operand, with the value's name.
pub fn write(plan: &Plan) -> Result<Network, String> {
    let program = &plan.program;
    let image = program.nodes[0].layout.shape;
    let input = program.nodes[0].name.as_str();
    let mut export = Export {
        program,
        writer: Writer::new("network", input, &[image.c, image.h, image.w]),
        tensors: Vec::with_capacity(program.nodes.len()),
        stated: Vec::new(),
        units: BTreeMap::from([(input.to_string(), program.nodes[0].unit)]),
        aliases: BTreeMap::new(),
    };
    let compositions = Compositions::of(program);
    for value in 0..program.nodes.len() {
        let tensor = export.node(value, &compositions)?;
        export.tensors.push(tensor);
    }
    let Export {
        mut writer,
        tensors,
        stated,
        mut units,
        aliases,
        ..
    } = export;
    units.extend(aliases);
    let last = tensors.len() - 1;
    let shape = program.nodes[last].layout.shape;
    // Logits are a vector; a network without operators has a node nevertheless.
    let (mut output, dims) = match shape.h * shape.w {
        1 => (
            flattened(&mut writer, "logits", &tensors[last]).name,
            vec![shape.c],
        ),
        _ => (tensors[last].name.clone(), vec![shape.c, shape.h, shape.w]),
    };
    if output == input {
        output = writer.node("Identity", "output", &[input], &[]);
    }
    Ok(Network {
        writer,
        output,
        dims,
        stated,
        units,
    })
}

struct Export<'a> {
    program: &'a Program,
    writer: Writer,
    /// Of every value so far; those inside a composition have none of their own.
    tensors: Vec<Tensor>,
    stated: Vec<Stated>,
    units: BTreeMap<String, f64>,
    /// Units to which values are brought where they are used.
    aliases: BTreeMap<String, f64>,
}

impl Export<'_> {
    fn shape(&self, value: Value) -> Shape {
        self.program.nodes[value].layout.shape
    }

    fn node(&mut self, value: Value, compositions: &Compositions) -> Result<Tensor, String> {
        let program = self.program;
        let node = &program.nodes[value];
        let name = node.name.as_str();
        let unit = |x: Value| program.nodes[x].unit;
        let begun = self.writer.len();
        let tensor = match &node.op {
            Op::Input => return Ok(Tensor::image(name.to_string())),
            Op::Linear { x, map } => self.linear(value, *x, *map)?,
            // A change of unit.
            Op::MulConst { x, .. } => self.tensors[*x].clone(),
            Op::Add { x, y } => self.binary("Add", value, *x, *y),
            Op::Polynomial { .. } if compositions.inner[value] => {
                // Written with the last of the composition.
                return Ok(self.tensors[compositions.base(program, value)].clone());
            }
            Op::Polynomial { .. } => {
                let base = compositions.base(program, value);
                let approximation = Approximation::Levelled {
                    range: unit(base),
                    polynomials: compositions.series(program, value, node.unit / unit(base)),
                    times_x: false,
                };
                self.activation(name, base, approximation, false)
            }
            Op::Mul { x, y } if compositions.times_x(program, *x, *y) => {
                let approximation = Approximation::Levelled {
                    range: unit(*x),
                    polynomials: compositions.series(program, *y, node.unit / unit(*x)),
                    times_x: true,
                };
                self.activation(name, *x, approximation, false)
            }
            Op::Mul { x, y } if self.tensors[*x] == self.tensors[*y] => {
                let range = unit(*x);
                self.activation(name, *x, Approximation::Square { range }, false)
            }
            Op::Mul { x, y } => self.binary("Mul", value, *x, *y),
            Op::Activate {
                x,
                coefficients,
                rho,
            } => {
                let refresh = node.target.as_ref().is_some_and(|t| t.function.is_none());
                let gain = node.unit / unit(*x);
                let approximation = Approximation::Fused {
                    range: unit(*x),
                    rho: *rho,
                    coefficients: coefficients.iter().map(|c| c * gain).collect(),
                };
                self.activation(name, *x, approximation, refresh)
            }
        };
        if self.writer.len() == begun {
            let alias = self.aliases.entry(tensor.name.clone()).or_insert(node.unit);
            *alias = alias.max(node.unit);
        }
        // The importer may merge these nodes and keep any of their names.
        for name in self.writer.names_from(begun) {
            self.units.insert(name.to_string(), node.unit);
        }
        Ok(tensor)
    }

    fn linear(&mut self, value: Value, x: Value, map: usize) -> Result<Tensor, String> {
        let node = &self.program.nodes[value];
        let map = &self.program.maps[map];
        let shapes = map
            .shapes(self.shape(x))
            .map_err(|e| format!("v{value} '{}': {e}", node.name))?;
        let mut tensor = self.tensors[x].clone();
        for (i, (stage, step)) in map.stages.iter().zip(shapes.windows(2)).enumerate() {
            let name = match i + 1 == map.stages.len() {
                true => node.name.clone(),
                false => format!("{}/{}", node.name, stage.name()),
            };
            tensor = linear::write(&mut self.writer, &name, &tensor, stage, (step[0], step[1]));
        }
        Ok(tensor)
    }

    fn binary(&mut self, op: &str, value: Value, x: Value, y: Value) -> Tensor {
        let name = &self.program.nodes[value].name;
        let (shape, mut operands) = (self.shape(value), [x, y].map(|x| self.tensors[x].clone()));
        if operands[0].flat != operands[1].flat {
            operands = operands.map(|x| unflattened(&mut self.writer, name, &x, shape));
        }
        let [x, y] = &operands;
        Tensor {
            name: self.writer.node(op, name, &[&x.name, &y.name], &[]),
            flat: x.flat,
        }
    }

    fn activation(
        &mut self,
        name: &str,
        x: Value,
        approximation: Approximation,
        refresh: bool,
    ) -> Tensor {
        let x = self.tensors[x].clone();
        let approximation = rounded(approximation);
        let begun = self.writer.len();
        let result = activations::write(&mut self.writer, name, &x.name, &approximation);
        if self.writer.len() > begun && approximation.verify().is_ok() {
            self.stated.push(Stated {
                node: result.clone(),
                refresh,
                approximation,
            });
        }
        Tensor {
            name: result,
            flat: x.flat,
        }
    }
}

/// Which polynomials are steps of one composition: they have one reader, and it is the next
/// polynomial or a product with what the composition began with.
struct Compositions {
    inner: Vec<bool>,
}

impl Compositions {
    fn of(program: &Program) -> Self {
        let mut readers = vec![Vec::new(); program.nodes.len()];
        for (value, node) in program.nodes.iter().enumerate() {
            for x in node.op.operands() {
                readers[x].push(value);
            }
        }
        let mut all = Self {
            inner: vec![false; program.nodes.len()],
        };
        let mut lengths = vec![1; program.nodes.len()];
        for (value, node) in program.nodes.iter().enumerate() {
            let Op::Polynomial { x, .. } = node.op else {
                continue;
            };
            if all.inner[x] {
                lengths[value] = lengths[x] + 1;
            }
            let [reader] = readers[value][..] else {
                continue;
            };
            all.inner[value] = node.target.is_none()
                && match program.nodes[reader].op {
                    Op::Polynomial { .. } => lengths[value] < MAX_COMPOSED,
                    Op::Mul { x, y } => y == value && x == all.base(program, value),
                    Op::Input
                    | Op::Linear { .. }
                    | Op::MulConst { .. }
                    | Op::Add { .. }
                    | Op::Activate { .. } => false,
                };
        }
        all
    }

    /// What the composition that ends in `value` begins with.
    fn base(&self, program: &Program, mut value: Value) -> Value {
        while let Op::Polynomial { x, .. } = program.nodes[value].op {
            value = x;
            if !self.inner[x] {
                break;
            }
        }
        value
    }

    fn times_x(&self, program: &Program, x: Value, y: Value) -> bool {
        self.inner[y] && self.base(program, y) == x
    }

    /// The series of the composition that ends in `value`, the last times `gain`.
    fn series(&self, program: &Program, mut value: Value, gain: f64) -> Vec<Vec<f64>> {
        let mut all: Vec<Vec<f64>> = Vec::new();
        while let Op::Polynomial { x, coefficients } = &program.nodes[value].op {
            all.push(coefficients.clone());
            value = *x;
            if !self.inner[value] {
                break;
            }
        }
        if let Some(last) = all.first_mut() {
            last.iter_mut().for_each(|c| *c *= gain);
        }
        all.reverse();
        all
    }
}
