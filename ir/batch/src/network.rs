//! Whole graphs on batches.

mod genomes;
mod steps;

use crate::Batch;
use crate::elementwise::Elementwise;
use crate::error::BatchError;
use crate::linear::Operator;
use hecc_ir::nn::{Graph, Op, Shape, ValueId};
use rayon::prelude::*;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use steps::{State, Step, Work, Workspace};

/// Bytes of values that the images computed together may have at their widest: with the padded copy and
/// the result they share the second-level cache with the weights.
const CHUNK_BYTES: usize = 128 << 10;
/// Most images computed together.
const MAX_CHUNK: usize = 32;

/// A graph prepared for batches. Few images at a time go through the whole network, so that their values
/// stay in the cache; these chunks run in parallel.
#[derive(Clone, Debug)]
pub struct Network {
    input: Shape,
    output: Shape,
    /// In dataflow order.
    steps: Vec<Step>,
    /// The step whose value is the output.
    last: usize,
    /// Steps that are activations.
    activations: Vec<usize>,
    ids: Vec<ValueId>,
    /// Images computed together.
    chunk: usize,
}

impl Network {
    /// Of a graph as it is.
    ///
    /// # Errors
    /// When the graph breaks a rule of its language, or pads an image out of all proportion.
    pub fn new(graph: &Graph) -> Result<Self, BatchError> {
        graph.verify()?;
        let order = dataflow(graph);
        let place: BTreeMap<ValueId, usize> =
            order.iter().enumerate().map(|(i, &id)| (id, i)).collect();
        let mut last_reader = vec![None; order.len()];
        let mut steps = Vec::with_capacity(order.len());
        for (i, &id) in order.iter().enumerate() {
            let node = &graph.nodes[id];
            let operands = graph.operands(id);
            let work = match &node.op {
                Op::Input => Work::Input,
                Op::Linear(linear) => {
                    Work::Linear(Operator::new(linear, graph.nodes[operands[0]].shape)?)
                }
                Op::Activation(_) => Work::Activation(Elementwise::new(&node.op, node.shape)?),
                Op::Add => Work::Add,
                Op::Mul => Work::Mul,
            };
            let operands: Vec<usize> = operands.iter().map(|id| place[id]).collect();
            for &operand in &operands {
                last_reader[operand] = Some(i);
            }
            steps.push(Step {
                id,
                shape: node.shape,
                work,
                operands,
                dead: Vec::new(),
            });
        }
        let last = place[&graph.output];
        for (value, reader) in last_reader.into_iter().enumerate() {
            if value != last {
                // A value that nobody reads goes at once.
                steps[reader.unwrap_or(value)].dead.push(value);
            }
        }
        let is_activation = |&i: &usize| matches!(steps[i].work, Work::Activation(_));
        let activations: Vec<usize> = (0..steps.len()).filter(is_activation).collect();
        let widest = steps.iter().map(|s| s.shape.elements()).max().unwrap_or(1);
        Ok(Self {
            input: graph.nodes[graph.input].shape,
            output: graph.nodes[graph.output].shape,
            ids: activations.iter().map(|&i| steps[i].id).collect(),
            activations,
            steps,
            last,
            chunk: (CHUNK_BYTES / (widest * size_of::<f32>())).clamp(1, MAX_CHUNK),
        })
    }

    /// The activations in dataflow order, the smallest index first where the order is free: the genes of
    /// [`Network::forward_all`]. Where every value has a larger index than its operands, as in graphs
    /// that were pushed node by node, this is the order of their indices.
    pub fn activations(&self) -> &[ValueId] {
        &self.ids
    }

    /// Shape of an image.
    pub fn input(&self) -> Shape {
        self.input
    }

    /// Shape of the result.
    pub fn output(&self) -> Shape {
        self.output
    }

    /// The output of every image, with the graph's own activations.
    ///
    /// # Panics
    /// When the images have another shape than the graph's input.
    pub fn forward(&self, images: &Batch) -> Batch {
        assert_eq!(images.shape, self.input, "shape of the images");
        let mut result = Batch::zeros(images.n, self.output);
        images
            .data
            .par_chunks(self.chunk * self.input.elements())
            .zip(
                result
                    .data
                    .par_chunks_mut(self.chunk * self.output.elements()),
            )
            .for_each_init(Workspace::default, |workspace, (images, result)| {
                let mut state = State::new(images.len() / self.input.elements());
                for (i, step) in self.steps.iter().enumerate() {
                    state.run(i, step, None, images, workspace);
                }
                state.take(self.last, result, workspace);
            });
        result
    }

    /// As [`Network::forward`]; `see` gets every value of the whole batch once it is computed, in
    /// dataflow order, the images and the output included.
    ///
    /// # Panics
    /// When the images have another shape than the graph's input.
    pub fn observe(&self, images: &Batch, see: &mut dyn FnMut(ValueId, &Batch)) -> Batch {
        assert_eq!(images.shape, self.input, "shape of the images");
        let mut values: Vec<Option<Batch>> = vec![None; self.steps.len()];
        for (i, step) in self.steps.iter().enumerate() {
            let operand = |k: usize| {
                values[step.operands[k]]
                    .as_ref()
                    .expect("an operand lives until its last reader")
            };
            let value = match &step.work {
                Work::Input => images.clone(),
                Work::Linear(operator) => operator.apply(operand(0)),
                Work::Activation(function) => {
                    let mut value = operand(0).clone();
                    function.apply(&mut value);
                    value
                }
                Work::Add | Work::Mul => {
                    let mut value = operand(0).clone();
                    step.combine(&mut value.data, &operand(1).data);
                    value
                }
            };
            see(step.id, &value);
            values[i] = Some(value);
            for &dead in &step.dead {
                values[dead] = None;
            }
        }
        values[self.last]
            .take()
            .expect("the output lives to the end")
    }
}

/// The values in dataflow order, the smallest index first where that is free.
fn dataflow(graph: &Graph) -> Vec<ValueId> {
    let mut missing: Vec<usize> = vec![0; graph.nodes.node_count()];
    let mut readers: Vec<Vec<ValueId>> = vec![Vec::new(); graph.nodes.node_count()];
    for id in graph.nodes.node_indices() {
        for operand in graph.operands(id) {
            missing[id.index()] += 1;
            readers[operand.index()].push(id);
        }
    }
    let ready = graph
        .nodes
        .node_indices()
        .filter(|id| missing[id.index()] == 0);
    let mut ready: BinaryHeap<_> = ready.map(Reverse).collect();
    let mut order = Vec::with_capacity(missing.len());
    while let Some(Reverse(id)) = ready.pop() {
        order.push(id);
        for reader in &readers[id.index()] {
            missing[reader.index()] -= 1;
            if missing[reader.index()] == 0 {
                ready.push(Reverse(*reader));
            }
        }
    }
    order
}

#[cfg(test)]
mod tests;
