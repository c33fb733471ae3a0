//! A graph as it is trained: convolutions and the operands of polynomials normalised, activations on their way to what replaces them.

use hecc_batch::conv::weight_gradient;
use hecc_batch::linear::{Operator, parameter_gradient, window};
use hecc_batch::{Batch, BatchError};
use hecc_ir::nn::{Graph, Linear, Op, Shape, ValueId};
use petgraph::algo::toposort;
use rayon::prelude::*;

use crate::TrainError;
use crate::activation::{Activation, Excess, Replacement, add_scaled};
use crate::normalise::{Moments, Normalisation, moments};
use crate::optimiser::Group;

mod state;

/// Layers in dataflow order; a normalisation follows each convolution, and stands before each polynomial
/// that is trained: through sums, polynomials of polynomials would grow without bound otherwise.
pub(crate) struct Network {
    pub layers: Vec<Layer>,
    output: usize,
    /// Activations, in dataflow order.
    pub activations: Vec<usize>,
    /// Whether trained polynomials become lines beyond their range in training.
    tangent: bool,
}

/// One operator, defining one value.
pub(crate) struct Layer {
    pub op: Step,
    pub operands: Vec<usize>,
    pub shape: Shape,
    /// Operators that read it.
    readers: usize,
    /// The node it came from.
    pub node: ValueId,
    pub name: String,
}

/// What a layer does.
pub(crate) enum Step {
    Input,
    /// `biased`: whether its bias is trained; not where a normalisation follows.
    Linear {
        linear: Linear,
        biased: bool,
    },
    /// A linear operator without constants, prepared with its transpose.
    Moving {
        forward: Operator,
        backward: Operator,
    },
    Normalise(Normalisation),
    Add,
    Mul,
    Activate(Activation),
}

/// What a forward pass leaves for the backward pass.
pub(crate) struct Tape {
    values: Vec<Option<Batch>>,
    /// Of the operands of normalisations.
    pub moments: Vec<Option<Moments>>,
    /// Of all activations together.
    pub excess: Excess,
    /// Operands of activations that have a range.
    pub ranged: u64,
}

/// Whose statistics normalise.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// The batch's own; values are kept for the backward pass.
    Training,
    /// The batch's own; nothing is kept.
    Settling,
    /// The running ones; nothing is kept.
    Evaluating,
}

impl Network {
    /// `graph` with `ops` in the place of its activations, in dataflow order. Normalisations change
    /// nothing yet.
    ///
    /// # Errors
    /// A graph that breaks a rule; an operator that cannot stand for an activation.
    pub fn new(graph: &Graph, ops: &[Op], tangent: bool) -> Result<Self, TrainError> {
        graph.verify()?;
        let mut network = Self {
            layers: Vec::new(),
            output: 0,
            activations: Vec::new(),
            tangent,
        };
        let mut places = vec![0; graph.nodes.node_count()];
        let mut ops = ops.iter();
        // Verified above: without a cycle.
        for id in toposort(&graph.nodes, None).unwrap_or_default() {
            let node = &graph.nodes[id];
            let mut operands: Vec<usize> = graph
                .operands(id)
                .iter()
                .map(|o| places[o.index()])
                .collect();
            let normalised = matches!(&node.op, Op::Linear(Linear::Conv { .. }));
            let mut shift = Vec::new();
            let step = match &node.op {
                Op::Input => Step::Input,
                Op::Add => Step::Add,
                Op::Mul => Step::Mul,
                Op::Linear(linear) if linear.constants()[0].is_empty() => {
                    let shape = network.layers[operands[0]].shape;
                    Step::Moving {
                        forward: Operator::new(linear, shape)?,
                        backward: Operator::transposed(linear, shape)?,
                    }
                }
                Op::Linear(linear) => {
                    let mut linear = linear.clone();
                    // The normalisation behind it takes its bias.
                    if let (true, Some((_, _, bias))) = (normalised, constants_mut(&mut linear)) {
                        shift = std::mem::replace(bias, vec![0.0; bias.len()]);
                    }
                    Step::Linear {
                        linear,
                        biased: !normalised,
                    }
                }
                Op::Activation(function) => {
                    let op = ops.next().ok_or_else(|| too_few(&node.name))?;
                    let activation = Activation::new(function, op, node.shape, &node.name)?;
                    let normalised = &network.layers[operands[0]].op;
                    if matches!(activation.replacement, Replacement::Polynomial(_))
                        && !matches!(normalised, Step::Normalise(_))
                    {
                        let step = Step::Normalise(Normalisation::identity(node.shape.c));
                        let place = network.push(step, operands, node.shape, id, &node.name);
                        operands = vec![place];
                    }
                    network.activations.push(network.layers.len());
                    Step::Activate(activation)
                }
            };
            let mut place = network.push(step, operands, node.shape, id, &node.name);
            if normalised {
                let mut normalisation = Normalisation::identity(node.shape.c);
                normalisation.shift = shift;
                let step = Step::Normalise(normalisation);
                place = network.push(step, vec![place], node.shape, id, &node.name);
            }
            places[id.index()] = place;
        }
        if ops.next().is_some() {
            let names = network.activations.len();
            return Err(TrainError::Data(format!(
                "more operators than the network's {names} activations; give one for each"
            )));
        }
        network.output = places[graph.output.index()];
        Ok(network)
    }

    fn push(
        &mut self,
        op: Step,
        operands: Vec<usize>,
        shape: Shape,
        node: ValueId,
        name: &str,
    ) -> usize {
        for &operand in &operands {
            self.layers[operand].readers += 1;
        }
        self.layers.push(Layer {
            op,
            operands,
            shape,
            readers: 0,
            node,
            name: name.to_string(),
        });
        self.layers.len() - 1
    }

    /// The activation of a layer.
    pub fn activation(&self, layer: usize) -> Option<&Activation> {
        match &self.layers[layer].op {
            Step::Activate(activation) => Some(activation),
            Step::Input
            | Step::Linear { .. }
            | Step::Moving { .. }
            | Step::Normalise(_)
            | Step::Add
            | Step::Mul => None,
        }
    }

    /// The activation of a layer.
    pub fn activation_mut(&mut self, layer: usize) -> Option<&mut Activation> {
        match &mut self.layers[layer].op {
            Step::Activate(activation) => Some(activation),
            Step::Input
            | Step::Linear { .. }
            | Step::Moving { .. }
            | Step::Normalise(_)
            | Step::Add
            | Step::Mul => None,
        }
    }

    /// Logits of a batch, and what the backward pass needs; `see` gets every layer's
    /// number, first operand and value.
    ///
    /// # Errors
    /// When an operator cannot be applied.
    pub fn forward(
        &self,
        images: Batch,
        mode: Mode,
        see: &mut dyn FnMut(usize, Option<&Batch>, &Batch),
    ) -> Result<(Batch, Tape), BatchError> {
        let mut tape = Tape {
            values: (0..self.layers.len()).map(|_| None).collect(),
            moments: vec![None; self.layers.len()],
            excess: Excess::default(),
            ranged: 0,
        };
        let mut readers: Vec<usize> = self.layers.iter().map(|l| l.readers).collect();
        let mut images = Some(images);
        for (i, layer) in self.layers.iter().enumerate() {
            let operand = |k: usize| {
                let value = tape.values[layer.operands[k]].as_ref();
                value.expect("operands are kept until their last reader")
            };
            let value = match &layer.op {
                Step::Input => images.take().expect("one input"),
                Step::Linear { linear, .. } => hecc_batch::linear::forward(linear, operand(0))?,
                Step::Moving { forward, .. } => forward.apply(operand(0)),
                Step::Normalise(normalisation) => {
                    let x = operand(0);
                    let by = match mode {
                        Mode::Evaluating => normalisation.running(),
                        Mode::Training | Mode::Settling => moments(x),
                    };
                    let y = normalisation.forward(x, &by);
                    tape.moments[i] = Some(by);
                    y
                }
                Step::Add => {
                    let mut y = operand(0).clone();
                    add_scaled(&mut y, 1.0, operand(1));
                    y
                }
                Step::Mul => product(operand(0), operand(1)),
                Step::Activate(activation) => {
                    let x = operand(0);
                    let (y, excess) =
                        activation.forward(x, self.tangent && mode != Mode::Evaluating);
                    tape.excess.squares += excess.squares;
                    tape.excess.count += excess.count;
                    if activation.ranged() {
                        tape.ranged += x.data.len() as u64;
                    }
                    y
                }
            };
            let first = layer.operands.first();
            see(i, first.and_then(|&o| tape.values[o].as_ref()), &value);
            tape.values[i] = Some(value);
            for &operand in &layer.operands {
                readers[operand] -= 1;
                if mode != Mode::Training && readers[operand] == 0 && operand != self.output {
                    tape.values[operand] = None;
                }
            }
        }
        let logits = match mode {
            Mode::Training => tape.values[self.output].clone(),
            Mode::Settling | Mode::Evaluating => tape.values[self.output].take(),
        };
        Ok((logits.expect("the output was computed"), tape))
    }

    /// Gradients of all parameters, in the order of [`Network::parameters`], from that by the logits.
    /// `penalty` weighs the squares of [`Tape::excess`].
    ///
    /// # Errors
    /// When an operator cannot be applied.
    pub fn backward(
        &self,
        tape: Tape,
        gradient: Batch,
        penalty: f32,
    ) -> Result<Vec<Vec<f32>>, BatchError> {
        let Tape {
            mut values,
            moments,
            ..
        } = tape;
        let mut open: Vec<Option<Batch>> = self.layers.iter().map(|_| None).collect();
        let mut parameters: Vec<Vec<Vec<f32>>> = vec![Vec::new(); self.layers.len()];
        open[self.output] = Some(gradient);
        for (i, layer) in self.layers.iter().enumerate().rev() {
            // Nothing reads it any more: whoever did came before.
            values[i] = None;
            let Some(mut g) = open[i].take() else {
                parameters[i] = self.still(i);
                continue;
            };
            let x = |k: usize| {
                let value: &Option<Batch> = &values[layer.operands[k]];
                value.as_ref().expect("operands are kept in training")
            };
            // The image needs no gradient.
            let wanted = |k: usize| !matches!(self.layers[layer.operands[k]].op, Step::Input);
            match &layer.op {
                Step::Input => {}
                Step::Linear { linear, biased } => {
                    parameters[i] = match window(linear).filter(|_| !biased) {
                        Some(window) => vec![weight_gradient(x(0), &g, &window)?],
                        None => parameter_gradient(linear, x(0), &g)?.into(),
                    };
                    if wanted(0) {
                        let down = hecc_batch::linear::input_gradient(linear, x(0).shape, &g)?;
                        add(&mut open, layer.operands[0], down);
                    }
                }
                Step::Moving { backward, .. } => {
                    if wanted(0) {
                        add(&mut open, layer.operands[0], backward.apply(&g));
                    }
                }
                Step::Normalise(normalisation) => {
                    let by = moments[i].as_ref().expect("kept in training");
                    parameters[i] = normalisation.backward(x(0), by, &mut g).into();
                    add(&mut open, layer.operands[0], g);
                }
                Step::Add => {
                    add(&mut open, layer.operands[0], g.clone());
                    add(&mut open, layer.operands[1], g);
                }
                Step::Mul => {
                    let (first, second) = (product(&g, x(1)), product(&g, x(0)));
                    add(&mut open, layer.operands[0], first);
                    add(&mut open, layer.operands[1], second);
                }
                Step::Activate(activation) => {
                    let scaled = penalty / g.n as f32;
                    let coefficients = activation.backward(x(0), &mut g, scaled, self.tangent);
                    parameters[i].extend(coefficients);
                    add(&mut open, layer.operands[0], g);
                }
            }
        }
        Ok(parameters.into_iter().flatten().collect())
    }

    /// Zero gradients of a layer that the output does not depend on.
    fn still(&self, layer: usize) -> Vec<Vec<f32>> {
        match &self.layers[layer].op {
            Step::Linear { linear, biased } => {
                let blocks = linear.constants();
                let zeros = blocks.iter().map(|block| vec![0.0; block.len()]);
                zeros.take(if *biased { 2 } else { 1 }).collect()
            }
            Step::Normalise(n) => vec![vec![0.0; n.scale.len()]; 2],
            Step::Activate(activation) => match &activation.replacement {
                Replacement::Polynomial(p) => vec![vec![0.0; p.coefficients.len()]],
                Replacement::None | Replacement::Fixed { .. } => Vec::new(),
            },
            Step::Input | Step::Moving { .. } | Step::Add | Step::Mul => Vec::new(),
        }
    }

    /// Everything that is trained, layer by layer.
    pub fn parameters(&mut self) -> Vec<(Group, &mut [f32])> {
        let mut blocks: Vec<(Group, &mut [f32])> = Vec::new();
        for layer in &mut self.layers {
            match &mut layer.op {
                Step::Linear { linear, biased } => {
                    if let Some((group, weight, bias)) = constants_mut(linear) {
                        blocks.push((group, weight));
                        if *biased {
                            blocks.push((Group::Shift, bias));
                        }
                    }
                }
                Step::Normalise(n) => {
                    blocks.push((Group::Shift, &mut n.scale));
                    blocks.push((Group::Shift, &mut n.shift));
                }
                Step::Activate(activation) => match &mut activation.replacement {
                    Replacement::Polynomial(p) => {
                        blocks.push((Group::Coefficient, &mut p.coefficients));
                    }
                    Replacement::None | Replacement::Fixed { .. } => {}
                },
                Step::Input | Step::Moving { .. } | Step::Add | Step::Mul => {}
            }
        }
        blocks
    }

    /// The trained graph: `graph` with new constants, the replacements in the place of the activations,
    /// and normalisations folded into the convolution before or the polynomial behind them.
    pub fn graph(&self, graph: &Graph) -> Graph {
        let mut graph = graph.clone();
        // The line that a normalisation before a polynomial is, until the polynomial comes.
        let mut before = None;
        for layer in &self.layers {
            let op = &mut graph.nodes[layer.node].op;
            match &layer.op {
                Step::Linear { linear, .. } => *op = Op::Linear(linear.clone()),
                Step::Normalise(n) => {
                    let line = n.line(&n.running());
                    match op {
                        Op::Linear(linear) => scale_channels(linear, &line),
                        Op::Input | Op::Add | Op::Mul | Op::Activation(_) => before = Some(line),
                    }
                }
                Step::Activate(activation) => *op = activation.op(before.take().as_ref()),
                Step::Input | Step::Moving { .. } | Step::Add | Step::Mul => {}
            }
        }
        graph
    }

    /// Sets the share of the replacement in every activation, in dataflow order.
    pub fn set_shares(&mut self, share: impl Fn(usize, usize) -> f32) {
        let layers = self.activations.clone();
        for (index, &layer) in layers.iter().enumerate() {
            if let Some(activation) = self.activation_mut(layer) {
                activation.share = share(index, layers.len());
            }
        }
    }
}

/// A line per channel behind a convolution.
fn scale_channels(linear: &mut Linear, (factor, constant): &(Vec<f32>, Vec<f32>)) {
    if let Linear::Conv { weight, bias, .. } = linear {
        let row = (weight.len() / factor.len().max(1)).max(1);
        let lines = factor.iter().zip(constant);
        for ((weight, bias), (a, c)) in weight.chunks_mut(row).zip(bias).zip(lines) {
            weight.iter_mut().for_each(|w| *w *= a);
            *bias = a * *bias + c;
        }
    }
}

fn too_few(name: &str) -> TrainError {
    TrainError::Operator {
        name: name.to_string(),
        what: "no operator for it; one is needed for each activation".to_string(),
    }
}

/// Adds a gradient to those that have arrived at a value.
fn add(open: &mut [Option<Batch>], at: usize, g: Batch) {
    match &mut open[at] {
        Some(sum) => add_scaled(sum, 1.0, &g),
        none => *none = Some(g),
    }
}

fn product(x: &Batch, y: &Batch) -> Batch {
    let mut z = x.clone();
    let size = x.shape.elements().max(1);
    let images = z.data.par_chunks_mut(size).zip(y.data.par_chunks(size));
    images.for_each(|(z, y)| z.iter_mut().zip(y).for_each(|(z, y)| *z *= y));
    z
}

/// The constants of a linear operator, in the order of [`Linear::constants`].
fn constants_mut(linear: &mut Linear) -> Option<(Group, &mut Vec<f32>, &mut Vec<f32>)> {
    match linear {
        Linear::Conv { weight, bias, .. }
        | Linear::ConvTranspose { weight, bias, .. }
        | Linear::Gemm { weight, bias, .. } => Some((Group::Weight, weight, bias)),
        Linear::Affine { scale, shift } | Linear::Elementwise { scale, shift } => {
            Some((Group::Shift, scale, shift))
        }
        Linear::AveragePool { .. }
        | Linear::Slice { .. }
        | Linear::Pad { .. }
        | Linear::Gather { .. }
        | Linear::Reshape { .. } => None,
    }
}
