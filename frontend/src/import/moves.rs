//! Operators that move elements: reshapes, slices, padding.

use super::error::{Problem, Step};
use super::operators::{float, ints, text};
use super::translate::{Translator, shape};
use hecc_ir::nn::{Linear, Op, ValueId};
use tract_onnx::pb::NodeProto;

impl<'a> Translator<'a> {
    pub(super) fn reshape(&mut self, node: &'a NodeProto, dims: &'a [usize]) -> Step<ValueId> {
        let x = self.data(node, 0)?;
        let shape = shape(dims)?;
        if self.graph.nodes[x.id].shape == shape {
            return Ok(x.id);
        }
        self.push(Op::Linear(Linear::Reshape { shape }), node, dims, &[x.id])
    }

    /// A permutation that moves nothing, because it only moves axes of length 1.
    pub(super) fn transpose(&mut self, node: &'a NodeProto, dims: &'a [usize]) -> Step<ValueId> {
        let x = self.data(node, 0)?;
        let reversed: Vec<i64> = (0..x.dims.len() as i64).rev().collect();
        let perm = ints(node, "perm").unwrap_or(&reversed);
        let long = perm.iter().filter(|&&axis| {
            usize::try_from(axis).is_ok_and(|a| x.dims.get(a).is_some_and(|&d| d > 1))
        });
        if !long.is_sorted() {
            return Err(Problem::new(format!("permutes {:?} by {perm:?}", x.dims))
                .help("supported: permutations that move axes of length 1 only; export with channels first"));
        }
        self.reshape(node, dims)
    }

    pub(super) fn slice(&self, node: &'a NodeProto, dims: &[usize]) -> Step<Linear> {
        let x = self.data(node, 0)?;
        let rank = x.dims.len();
        let need = |what: &str| Problem::new(format!("has no {what}"));
        let starts = self
            .integers(node, 1, "starts")?
            .ok_or_else(|| need("starts"))?;
        let axes = self
            .integers(node, 3, "axes")?
            .unwrap_or_else(|| (0..starts.len() as i64).collect());
        let steps = self
            .integers(node, 4, "steps")?
            .unwrap_or_else(|| vec![1; starts.len()]);
        if axes.len() != starts.len() || steps.len() != starts.len() {
            return Err(Problem::new(format!(
                "has {} starts, {} axes and {} steps",
                starts.len(),
                axes.len(),
                steps.len()
            )));
        }
        let (mut start, mut step) = ([0; 3], [1; 3]);
        for ((&from, &axis), &by) in starts.iter().zip(&axes).zip(&steps) {
            let axis = along(axis, rank)?;
            if by < 1 {
                return Err(Problem::new(format!("has a step of {by}"))
                    .help("supported: steps of at least 1"));
            }
            let size = x.dims[axis] as i64;
            let from = if from < 0 {
                (from.saturating_add(size)).max(0)
            } else {
                from.min(size)
            } as usize;
            match place(axis, rank, x.dims) {
                Some(i) => (start[i], step[i]) = (from, by as usize),
                None if from == 0 => {}
                None => {
                    return Err(Problem::new("slices the batch")
                        .help("supported: channels, rows and columns"));
                }
            }
        }
        let shape = shape(dims)?;
        // A step beyond the only element is the same as a step of 1.
        for (step, size) in step.iter_mut().zip(shape.axes()) {
            *step = if size == 1 { 1 } else { *step };
        }
        Ok(Linear::Slice { start, step, shape })
    }

    pub(super) fn pad(&self, node: &'a NodeProto) -> Step<Linear> {
        let x = self.data(node, 0)?;
        let rank = x.dims.len();
        let mode = text(node, "mode", "constant");
        if mode != "constant" {
            return Err(Problem::new(format!("attribute \"mode\" is {mode:?}"))
                .help("supported: mode = \"constant\" with value 0"));
        }
        let value = match self.constant(node, 2, "value")? {
            Some(_) => self
                .floats(node, 2, "value")?
                .first()
                .copied()
                .unwrap_or(0.0),
            None => float(node, "value", 0.0)?,
        };
        if value != 0.0 {
            return Err(Problem::new(format!("pads with {value}"))
                .help("supported: mode = \"constant\" with value 0"));
        }
        let pads = self
            .integers(node, 1, "pads")?
            .ok_or_else(|| Problem::new("has no pads"))?;
        let axes = self
            .integers(node, 3, "axes")?
            .unwrap_or_else(|| (0..rank as i64).collect());
        if pads.len() != 2 * axes.len() || pads.iter().any(|p| !(0..=1 << 16).contains(p)) {
            return Err(Problem::new(format!(
                "has pads {:?} for {} axes",
                &pads[..pads.len().min(16)],
                axes.len()
            ))
            .help("supported: two pads per axis, none negative"));
        }
        let (mut before, mut after) = ([0; 3], [0; 3]);
        for (i, &axis) in axes.iter().enumerate() {
            let (low, high) = (pads[i] as usize, pads[i + axes.len()] as usize);
            match place(along(axis, rank)?, rank, x.dims) {
                Some(at) => (before[at], after[at]) = (low, high),
                None if low == 0 && high == 0 => {}
                None => {
                    return Err(Problem::new("pads the batch")
                        .help("supported: channels, rows and columns"));
                }
            }
        }
        Ok(Linear::Pad { before, after })
    }
}

fn along(axis: i64, rank: usize) -> Step<usize> {
    let from_end = if axis < 0 {
        axis.saturating_add(rank as i64)
    } else {
        axis
    };
    usize::try_from(from_end)
        .ok()
        .filter(|&a| a < rank)
        .ok_or_else(|| Problem::new(format!("names axis {axis} of {rank}")))
}

/// Which of c, y, x an ONNX axis is; `None` for the batch. Agrees with [`shape`].
fn place(axis: usize, rank: usize, dims: &[usize]) -> Option<usize> {
    let batch = rank == 4 || rank >= 2 && dims[0] == 1;
    if batch {
        axis.checked_sub(1)
    } else {
        Some(axis)
    }
}
