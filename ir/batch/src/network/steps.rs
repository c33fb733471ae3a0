//! One operator after the other on few images, with the values that later operators need.

use crate::conv::Scratch;
use crate::elementwise::Elementwise;
use crate::linear::Operator;
use hecc_ir::nn::{Shape, ValueId};
use std::rc::Rc;

/// What a step computes.
#[derive(Clone, Debug)]
pub enum Work {
    /// The images.
    Input,
    /// A linear operator.
    Linear(Operator),
    /// A function of every element.
    Activation(Elementwise),
    /// Sum of two values.
    Add,
    /// Product of two values, element by element.
    Mul,
}

/// A value and how it is computed from values before it.
#[derive(Clone, Debug)]
pub struct Step {
    /// In the graph.
    pub id: ValueId,
    /// Of the value.
    pub shape: Shape,
    /// How it is computed.
    pub work: Work,
    /// Steps whose values it takes.
    pub operands: Vec<usize>,
    /// Steps whose values nobody needs from here on.
    pub dead: Vec<usize>,
}

impl Step {
    /// The sum or the product, into `x`.
    pub fn combine(&self, x: &mut [f32], y: &[f32]) {
        match self.work {
            Work::Mul => x.iter_mut().zip(y).for_each(|(x, y)| *x *= y),
            Work::Add | Work::Input | Work::Linear(_) | Work::Activation(_) => {
                x.iter_mut().zip(y).for_each(|(x, y)| *x += y);
            }
        }
    }
}

/// Memory that a thread keeps: allocation would cost as much as a light operator.
#[derive(Default)]
pub struct Workspace {
    free: Vec<Vec<f32>>,
    scratch: Scratch,
}

impl Workspace {
    /// A buffer of `length` old values.
    fn take(&mut self, length: usize) -> Vec<f32> {
        let mut buffer = self.free.pop().unwrap_or_default();
        buffer.resize(length, 0.0);
        buffer
    }

    /// Takes the memory back once nobody else reads it.
    fn release(&mut self, value: Rc<Vec<f32>>) {
        self.free.extend(Rc::into_inner(value));
    }

    /// The value to write to: itself if nobody else reads it, or a copy.
    fn own(&mut self, value: Rc<Vec<f32>>) -> Vec<f32> {
        Rc::try_unwrap(value).unwrap_or_else(|shared| {
            let mut copy = self.take(shared.len());
            copy.copy_from_slice(&shared);
            copy
        })
    }
}

/// The values of a few images between two steps. A clone shares them.
#[derive(Clone)]
pub struct State {
    images: usize,
    /// Step and value, of those still needed.
    values: Vec<(usize, Rc<Vec<f32>>)>,
}

impl State {
    /// Before the first step.
    pub fn new(images: usize) -> Self {
        Self {
            images,
            values: Vec::new(),
        }
    }

    /// Step `i`; `function` in place of its own activation.
    pub fn run(
        &mut self,
        i: usize,
        step: &Step,
        function: Option<&Elementwise>,
        images: &[f32],
        workspace: &mut Workspace,
    ) {
        let mut operands = step.operands.iter().map(|&operand| self.operand(operand));
        let (first, second) = (operands.next(), operands.next());
        for &dead in &step.dead {
            if let Some(at) = self.values.iter().position(|v| v.0 == dead) {
                let (_, value) = self.values.swap_remove(at);
                workspace.release(value);
            }
        }
        let value = match (&step.work, first, second) {
            (Work::Activation(own), Some(x), _) => {
                let mut x = workspace.own(x);
                function.unwrap_or(own).apply_here(&mut x);
                x
            }
            (Work::Linear(operator), Some(x), _) => match operator.in_place() {
                Some(function) => {
                    let mut x = workspace.own(x);
                    if let Some(function) = function {
                        function.apply_here(&mut x);
                    }
                    x
                }
                None => {
                    let mut target = workspace.take(self.images * step.shape.elements());
                    operator.apply_into(self.images, &x, &mut target, &mut workspace.scratch);
                    workspace.release(x);
                    target
                }
            },
            (Work::Add | Work::Mul, Some(x), Some(y)) => {
                // Both commute: the operand that nobody else reads takes the result.
                let (x, y) = if Rc::strong_count(&x) == 1 {
                    (x, y)
                } else {
                    (y, x)
                };
                let mut x = workspace.own(x);
                step.combine(&mut x, &y);
                workspace.release(y);
                x
            }
            // The graph is verified: every other operator has its operands.
            (Work::Input | Work::Linear(_) | Work::Activation(_) | Work::Add | Work::Mul, ..) => {
                let mut copy = workspace.take(images.len());
                copy.copy_from_slice(images);
                copy
            }
        };
        if step.dead.contains(&i) {
            workspace.free.push(value);
        } else {
            self.values.push((i, Rc::new(value)));
        }
    }

    fn operand(&self, step: usize) -> Rc<Vec<f32>> {
        let value = self.values.iter().find(|v| v.0 == step);
        Rc::clone(&value.expect("an operand lives until its last reader").1)
    }

    /// Copies the value of step `last` and gives all memory back.
    pub fn take(self, last: usize, result: &mut [f32], workspace: &mut Workspace) {
        for (step, value) in self.values {
            if step == last {
                result.copy_from_slice(&value);
            }
            workspace.release(value);
        }
    }
}
