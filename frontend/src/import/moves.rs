//! Operators that move elements: every one takes input elements, at places that do not depend on
//! the image.

use super::attributes::{float, int, ints, text};
use super::error::{Problem, Step};
use super::fold::Fact;
use super::raw::{self, Id, Op};
use super::shapes::{along, block, integers, pads};
use super::translate::{Translator, Value};
use super::{resize, tensors};
use hecc_ir::nn::{Linear, Shape};
use tract_onnx::pb::NodeProto;

impl<'a> Translator<'a> {
    /// The elements of `x` at the sums of one entry of each table, in row-major order of `dims`.
    pub(super) fn select(&mut self, x: Id, dims: &[usize], tables: &[Vec<usize>]) -> Step<Id> {
        self.raw.reserve(dims.iter().product())?;
        let mut source = vec![0usize];
        for table in tables {
            source = source
                .iter()
                .flat_map(|&at| table.iter().map(move |&k| at + k))
                .collect();
        }
        let source = source.into_iter().map(|s| s as u32).collect();
        self.raw.gather(x, raw::shape(dims), source)
    }

    pub(super) fn transpose(&mut self, node: &'a NodeProto, dims: &'a [usize]) -> Step<Id> {
        let x = self.data(node, 0)?;
        let rank = x.dims.len();
        let perm: Vec<usize> = match ints(node, "perm") {
            Some(perm) if perm.len() == rank => perm.iter().map(|&a| a as usize).collect(),
            Some(perm) => {
                return Err(Problem::new(format!("permutes {:?} by {perm:?}", x.dims)));
            }
            None => (0..rank).rev().collect(),
        };
        self.permute(x.id, x.dims, &perm, dims)
    }

    /// `x` of dimensions `from` with its axes in the order `perm`.
    pub(super) fn permute(
        &mut self,
        x: Id,
        from: &[usize],
        perm: &[usize],
        to: &[usize],
    ) -> Step<Id> {
        let strides = strides(from);
        let table = |&axis: &usize| (0..from[axis]).map(|k| k * strides[axis]).collect();
        self.select(x, to, &perm.iter().map(table).collect::<Vec<_>>())
    }

    pub(super) fn slice(&mut self, node: &'a NodeProto, dims: &'a [usize]) -> Step<Id> {
        let x = self.data(node, 0)?;
        let rank = x.dims.len();
        let need = |what: &str| Problem::new(format!("has no constant {what}"));
        let starts = integers(node, self.facts, 1, "starts").ok_or_else(|| need("starts"))?;
        let axes = integers(node, self.facts, 3, "axes")
            .unwrap_or_else(|| (0..starts.len() as i64).collect());
        let steps = integers(node, self.facts, 4, "steps").unwrap_or_else(|| vec![1; starts.len()]);
        if axes.len() != starts.len() || steps.len() != starts.len() {
            return Err(Problem::new(format!(
                "has {} starts, {} axes and {} steps",
                starts.len(),
                axes.len(),
                steps.len()
            )));
        }
        let (mut from, mut by) = (vec![0; rank], vec![1; rank]);
        for ((&start, &axis), &step) in starts.iter().zip(&axes).zip(&steps) {
            let axis = along(axis, rank)?;
            let size = x.dims[axis] as i64;
            let start = if start < 0 {
                start.saturating_add(size)
            } else {
                start
            };
            // Backwards, the last element is the first that can be taken.
            let last = if step < 0 { size - 1 } else { size };
            (from[axis], by[axis]) = (start.clamp(0, last), step);
        }
        self.strided(x, &from, &by, dims)
    }

    /// Elements `from + k by` along every axis, as many as `dims` says.
    fn strided(&mut self, x: Value<'a>, from: &[i64], by: &[i64], dims: &[usize]) -> Step<Id> {
        let outside = || Problem::new(format!("takes {dims:?} of {:?}", x.dims));
        let strides = strides(x.dims);
        let table = |axis: usize| -> Step<Vec<usize>> {
            let at = |k: usize| {
                (k as i64)
                    .checked_mul(by[axis])
                    .and_then(|d| d.checked_add(from[axis]))
                    .and_then(|i| usize::try_from(i).ok())
                    .filter(|&i| i < x.dims[axis])
                    .map(|i| i * strides[axis])
                    .ok_or_else(outside)
            };
            (0..dims[axis]).map(at).collect()
        };
        if dims.len() != x.dims.len() {
            return Err(outside());
        }
        let tables: Vec<Vec<usize>> = (0..dims.len()).map(table).collect::<Step<_>>()?;
        let (mut start, mut step) = ([0; 3], [1; 3]);
        for axis in 0..dims.len() {
            // A step beyond the only element is the same as a step of 1.
            let by = if dims[axis] == 1 { 1 } else { by[axis] };
            match place(axis, x.dims) {
                Some(i) if by >= 1 => (start[i], step[i]) = (from[axis] as usize, by as usize),
                None if x.dims[axis] == dims[axis] && by == 1 => {}
                Some(_) | None => return self.select(x.id, dims, &tables),
            }
        }
        let shape = raw::shape(dims);
        let elements = shape.elements() == dims.iter().product::<usize>();
        if !elements || place_count(dims) != place_count(x.dims) {
            return self.select(x.id, dims, &tables);
        }
        self.raw.linear(x.id, Linear::Slice { start, step, shape })
    }

    pub(super) fn split(&mut self, node: &'a NodeProto) -> Step<Vec<Id>> {
        let x = self.data(node, 0)?;
        let axis = along(int(node, "axis", 0), x.dims.len())?;
        let mut begin = 0;
        let mut parts = Vec::new();
        for name in &node.output {
            let Some(Fact::Data(dims)) = self.facts.get(name) else {
                return Err(
                    Problem::new("has an output without a name").help("name every output of Split")
                );
            };
            let mut from = vec![0; x.dims.len()];
            from[axis] = begin;
            begin += dims[axis] as i64;
            parts.push(self.strided(x, &from, &vec![1; x.dims.len()], dims)?);
        }
        Ok(parts)
    }

    pub(super) fn gather(&mut self, node: &'a NodeProto, dims: &'a [usize]) -> Step<Id> {
        let x = self.data(node, 0)?;
        let axis = along(int(node, "axis", 0), x.dims.len())?;
        let indices = self
            .constant(node, 1, "indices")?
            .and_then(tensors::integers)
            .ok_or_else(|| Problem::new("has indices that are no integers"))?;
        let size = x.dims[axis] as i64;
        let strides = strides(x.dims);
        let at = |&i: &i64| {
            let from_front = if i < 0 { i.saturating_add(size) } else { i };
            match (0..size).contains(&from_front) {
                true => Ok(from_front as usize * strides[axis]),
                false => Err(Problem::new(format!("takes element {i} of {size}"))),
            }
        };
        let whole = |a: usize| (0..x.dims[a]).map(|k| k * strides[a]).collect();
        let mut tables: Vec<Vec<usize>> = (0..axis).map(whole).collect();
        tables.push(indices.iter().map(at).collect::<Step<_>>()?);
        tables.extend((axis + 1..x.dims.len()).map(whole));
        self.select(x.id, dims, &tables)
    }

    pub(super) fn pad(&mut self, node: &'a NodeProto, dims: &'a [usize]) -> Step<Id> {
        let x = self.data(node, 0)?;
        let pads = pads(node, self.facts, x.dims.len())?;
        let mode = text(node, "mode", "constant");
        if mode != "constant" {
            let strides = strides(x.dims);
            let table = |(axis, &size): (usize, &usize)| {
                let (before, n) = (pads[axis].0 as i64, x.dims[axis] as i64);
                let at = |k: usize| {
                    let i = k as i64 - before;
                    let inside = match mode.as_ref() {
                        "edge" => i.clamp(0, n - 1),
                        "wrap" => i.rem_euclid(n),
                        "reflect" if n == 1 => 0,
                        "reflect" => (n - 1) - (i.rem_euclid(2 * (n - 1)) - (n - 1)).abs(),
                        other => {
                            let other: String = other.chars().take(40).collect();
                            return Err(Problem::new(format!("attribute \"mode\" is {other:?}"))
                                .help("supported: constant, reflect, edge, wrap"));
                        }
                    };
                    Ok(inside as usize * strides[axis])
                };
                (0..size).map(at).collect::<Step<Vec<usize>>>()
            };
            let tables: Vec<_> = dims.iter().enumerate().map(table).collect::<Step<_>>()?;
            return self.select(x.id, dims, &tables);
        }
        let value = match self.scalar(node, 2, "value")? {
            Some(value) => value,
            None => float(node, "value", 0.0)?,
        };
        let (mut before, mut after) = ([0; 3], [0; 3]);
        for (axis, &(low, high)) in pads.iter().enumerate() {
            match place(axis, x.dims) {
                Some(at) => (before[at], after[at]) = (low, high),
                None if (low, high) == (0, 0) => {}
                None => {
                    return Err(Problem::new(format!("pads axis {axis} of {:?}", x.dims))
                        .help("supported: channels, rows and columns"));
                }
            }
        }
        let inner = self.raw.shape(x.id);
        let padded = self.raw.linear(x.id, Linear::Pad { before, after })?;
        if value == 0.0 {
            return Ok(padded);
        }
        let shape = self.raw.shape(padded);
        self.raw.reserve(2 * shape.elements())?;
        let mut shift = vec![value; shape.elements()];
        for c in 0..inner.c {
            for y in 0..inner.h {
                let row = shape.index(c + before[0], y + before[1], before[2]);
                shift[row..row + inner.w].fill(0.0);
            }
        }
        self.raw
            .elementwise(padded, vec![1.0; shape.elements()], shift)
    }

    /// Every operand padded to the whole, and their sum; constants are added at last.
    pub(super) fn concat(&mut self, node: &'a NodeProto, dims: &'a [usize]) -> Step<Id> {
        let axis = along(int(node, "axis", 0), dims.len())?;
        // Rows of all axes before the axis; in each, the operands one after the other.
        let inner: usize = dims[axis + 1..].iter().product();
        let outer: usize = dims[..axis].iter().product();
        let width = dims[axis] * inner;
        let placed = place(axis, dims);
        let mut begin = 0;
        let mut total: Option<Id> = None;
        let mut shift: Vec<f32> = Vec::new();
        for i in 0..node.input.len() {
            let size = match &self.facts[&node.input[i]] {
                Fact::Data(own) => own[axis],
                Fact::Constant(tensor) => tensor.shape().get(axis).copied().unwrap_or(0),
                Fact::Unknown => 0,
            };
            if begin + size > dims[axis] {
                return Err(Problem::new(format!("joins more than {dims:?}")));
            }
            if self.is_data(node, i) {
                let mut x = self.data(node, i)?.id;
                let (mut before, mut after) = ([0; 3], [0; 3]);
                match placed {
                    Some(at) => {
                        (before[at], after[at]) = (begin, dims[axis] - begin - size);
                    }
                    None => {
                        x = self.raw.reshape(x, Shape::new(outer, size * inner, 1))?;
                        before[1] = begin * inner;
                        after[1] = (dims[axis] - begin - size) * inner;
                    }
                }
                let padded = self.raw.linear(x, Linear::Pad { before, after })?;
                total = Some(match total {
                    None => padded,
                    Some(sum) => self.raw.binary(Op::Add, sum, padded)?,
                });
            } else {
                let values = self.floats(node, i, "operand")?;
                if shift.is_empty() {
                    self.raw.reserve(2 * outer * width)?;
                    shift = vec![0.0; outer * width];
                }
                for (row, part) in values.chunks(size * inner).enumerate().take(outer) {
                    let at = row * width + begin * inner;
                    shift[at..at + part.len()].copy_from_slice(part);
                }
            }
            begin += size;
        }
        let total = total.ok_or_else(|| Problem::new("does not depend on the image"))?;
        let total = self.raw.reshape(total, raw::shape(dims))?;
        if shift.is_empty() {
            return Ok(total);
        }
        let scale = vec![1.0; shift.len()];
        self.raw.elementwise(total, scale, shift)
    }

    pub(super) fn resize(&mut self, node: &'a NodeProto, dims: &'a [usize]) -> Step<Id> {
        let x = self.data(node, 0)?;
        let strides = strides(x.dims);
        let mut tables = resize::sources(node, self.facts, x.dims)?;
        for (table, stride) in tables.iter_mut().zip(strides) {
            table.iter_mut().for_each(|k| *k *= stride);
        }
        self.select(x.id, dims, &tables)
    }

    /// DepthToSpace and SpaceToDepth: permutations of the axes of a view.
    pub(super) fn blocks(&mut self, node: &'a NodeProto, dims: &'a [usize]) -> Step<Id> {
        let x = self.data(node, 0)?;
        let b = block(node)?;
        let &[_, c, h, w] = x.dims else {
            return Err(Problem::new(format!(
                "is applied to dimensions {:?}",
                x.dims
            )));
        };
        let (view, perm) = match (node.op_type.as_str(), text(node, "mode", "DCR").as_ref()) {
            ("SpaceToDepth", _) => ([c, h / b, b, w / b, b], [2, 4, 0, 1, 3]),
            (_, "DCR") => ([b, b, c / (b * b), h, w], [2, 3, 0, 4, 1]),
            (_, "CRD") => ([c / (b * b), b, b, h, w], [0, 3, 1, 4, 2]),
            (_, other) => {
                let other: String = other.chars().take(40).collect();
                return Err(Problem::new(format!("attribute \"mode\" is {other:?}"))
                    .help("supported: DCR, CRD"));
            }
        };
        self.permute(x.id, &view, &perm, dims)
    }
}

/// Row-major strides.
pub(super) fn strides(dims: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; dims.len()];
    for i in (1..dims.len()).rev() {
        strides[i - 1] = strides[i] * dims[i];
    }
    strides
}

/// Which of c, y, x an ONNX axis is in [`raw::shape`]; `None` for the batch and for merged axes.
fn place(axis: usize, dims: &[usize]) -> Option<usize> {
    let batch = usize::from(dims.first() == Some(&1));
    let rank = dims.len() - batch;
    let axis = axis.checked_sub(batch)?;
    match rank {
        0..=3 => Some(axis),
        _ => (axis + 2 >= rank).then(|| axis + 3 - rank),
    }
}

/// How many axes [`raw::shape`] sees.
fn place_count(dims: &[usize]) -> usize {
    dims.len() - usize::from(dims.first() == Some(&1))
}
