//! The network between ONNX and the nn language: the same operators, and a few that exist only
//! inside patterns (`erf`, `cos`, quotients). Values are numbered in dataflow order.
//!
//! A tensor of any ONNX dimensions is `[c, h, w]` here in the same row-major order: the batch of 1
//! is dropped, and axes beyond three are merged into the channels.

use super::error::{Problem, Step};
use hecc_ir::function::Function;
use hecc_ir::nn::{Linear, Shape};
use hecc_ir::nn_verify::MAX_NODES;

/// A value.
pub(super) type Id = usize;

/// Numbers in all constants that the import makes together, so that a small file cannot make a
/// large graph.
const MAX_CONSTANTS: usize = 1 << 27;

/// An operator.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Op {
    /// The image.
    Input,
    /// One operand.
    Linear(Linear),
    /// Two operands of equal shape.
    Add,
    /// Product, element by element.
    Mul,
    /// Quotient, element by element.
    Div,
    /// One operand, element by element.
    Activation(Function),
    /// The error function; part of a pattern.
    Erf,
    /// Cosine; part of a pattern.
    Cos,
    /// Result of something that is not supported: a model with one of these has problems.
    Unknown,
}

/// An operator, its result's shape, and the ONNX node it comes from.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub op: Op,
    /// ONNX name, of parts with a number behind.
    pub name: String,
    /// Position of the ONNX node in dataflow order.
    pub origin: usize,
    pub shape: Shape,
    pub operands: Vec<Id>,
}

/// The network; the first node is the image.
#[derive(Debug)]
pub(super) struct Raw {
    pub nodes: Vec<Node>,
    /// Name, position and number of results so far of the ONNX node that is being translated.
    current: (String, usize, usize),
    constants: usize,
}

impl Raw {
    pub fn new(input: &str, shape: Shape) -> Self {
        let image = Node {
            op: Op::Input,
            name: input.to_string(),
            origin: 0,
            shape,
            operands: Vec::new(),
        };
        Self {
            nodes: vec![image],
            current: (String::new(), 0, 0),
            constants: 0,
        }
    }

    /// What is pushed from now on belongs to this ONNX node.
    pub fn at(&mut self, name: &str, origin: usize) {
        self.current = (name.to_string(), origin, 0);
    }

    pub fn shape(&self, x: Id) -> Shape {
        self.nodes[x].shape
    }

    pub fn push(&mut self, op: Op, shape: Shape, operands: &[Id]) -> Step<Id> {
        if self.nodes.len() >= MAX_NODES {
            return Err(Problem::new(format!(
                "the network takes more than {MAX_NODES} operations"
            )));
        }
        let (name, origin, parts) = &mut self.current;
        *parts += 1;
        let name = match *parts {
            1 => name.clone(),
            part => format!("{name}/{part}"),
        };
        self.nodes.push(Node {
            op,
            name,
            origin: *origin,
            shape,
            operands: operands.to_vec(),
        });
        Ok(self.nodes.len() - 1)
    }

    /// Accounts for constants before they are made.
    pub fn reserve(&mut self, numbers: usize) -> Step<()> {
        self.constants = self.constants.saturating_add(numbers);
        if self.constants > MAX_CONSTANTS {
            return Err(Problem::new(format!(
                "the network's constants take more than {MAX_CONSTANTS} numbers"
            )));
        }
        Ok(())
    }

    /// A linear operator on `x`; those that do nothing leave no node.
    pub fn linear(&mut self, x: Id, linear: Linear) -> Step<Id> {
        let input = self.shape(x);
        let shape = linear
            .output_shape(input)
            .map_err(|e| Problem::new(e.to_string()))?;
        if let Some(c) = linear
            .constants()
            .into_iter()
            .flatten()
            .find(|c| !c.is_finite())
        {
            return Err(Problem::new(format!(
                "has a constant {c}; constants must be finite"
            )));
        }
        if shape == input && is_identity(&linear) {
            return Ok(x);
        }
        self.push(Op::Linear(linear), shape, &[x])
    }

    pub fn activation(&mut self, x: Id, function: Function) -> Step<Id> {
        let shape = self.shape(x);
        function
            .verify(shape.c)
            .map_err(|e| Problem::new(e.to_string()))?;
        self.push(Op::Activation(function), shape, &[x])
    }

    /// Sum, product or quotient of two values of one shape.
    pub fn binary(&mut self, op: Op, x: Id, y: Id) -> Step<Id> {
        let (a, b) = (self.shape(x), self.shape(y));
        if a != b {
            return Err(Problem::new(format!("has operands of {a} and {b}")));
        }
        self.push(op, a, &[x, y])
    }

    /// `scale * x + shift`, the same for all elements.
    pub fn uniform(&mut self, x: Id, scale: f32, shift: f32) -> Step<Id> {
        let c = self.shape(x).c;
        self.reserve(2 * c)?;
        let linear = Linear::Affine {
            scale: vec![scale; c],
            shift: vec![shift; c],
        };
        self.linear(x, linear)
    }

    /// `scale * x + shift` with constants per element; per channel where that is enough.
    pub fn elementwise(&mut self, x: Id, scale: Vec<f32>, shift: Vec<f32>) -> Step<Id> {
        let shape = self.shape(x);
        let area = shape.h * shape.w;
        let constant = |v: &[f32]| v.chunks(area).all(|c| c.iter().all(|v| *v == c[0]));
        let linear = if constant(&scale) && constant(&shift) {
            let first = |v: &[f32]| v.chunks(area).map(|c| c[0]).collect();
            Linear::Affine {
                scale: first(&scale),
                shift: first(&shift),
            }
        } else {
            Linear::Elementwise { scale, shift }
        };
        self.linear(x, linear)
    }

    pub fn reshape(&mut self, x: Id, shape: Shape) -> Step<Id> {
        self.linear(x, Linear::Reshape { shape })
    }

    /// The elements `source` of `x`; a change of shape where that is all.
    pub fn gather(&mut self, x: Id, shape: Shape, source: Vec<u32>) -> Step<Id> {
        let whole = source.len() == self.shape(x).elements();
        if whole && source.iter().enumerate().all(|(i, &s)| i == s as usize) {
            return self.reshape(x, shape);
        }
        self.linear(x, Linear::Gather { shape, source })
    }
}

/// Whether an operator that keeps the shape keeps the values.
fn is_identity(linear: &Linear) -> bool {
    match linear {
        Linear::Affine { scale, shift } | Linear::Elementwise { scale, shift } => {
            scale.iter().all(|&s| s == 1.0) && shift.iter().all(|&s| s == 0.0)
        }
        Linear::AveragePool { kernel, .. } => *kernel == [1, 1],
        Linear::Slice { .. } | Linear::Pad { .. } | Linear::Reshape { .. } => true,
        Linear::Conv { .. }
        | Linear::ConvTranspose { .. }
        | Linear::Gemm { .. }
        | Linear::Gather { .. } => false,
    }
}

/// The shape behind ONNX dimensions.
pub(super) fn shape(dims: &[usize]) -> Shape {
    let dims = match dims {
        [1, rest @ ..] => rest,
        all => all,
    };
    match *dims {
        [] => Shape::new(1, 1, 1),
        [c] => Shape::new(c, 1, 1),
        [c, h] => Shape::new(c, h, 1),
        [ref merged @ .., h, w] => Shape::new(merged.iter().product(), h, w),
    }
}
