//! Shapes of results that tract is not asked for: the definitions of ONNX, in one place.

use super::attributes::{int, ints};
use super::error::{Problem, Step};
use super::fold::{Fact, Facts};
use super::operators::{self, Shapes};
use super::resize;
use super::tensors;
use super::window::{ConvTranspose, Window, spatial};
use tract_onnx::pb::NodeProto;
use tract_onnx::prelude::Tensor;

/// Dimensions of every result; `None` where tract infers them. The operands are known.
pub(super) fn results(node: &NodeProto, facts: &Facts) -> Step<Option<Vec<Vec<usize>>>> {
    let operator = operators::find(&node.op_type)?;
    let dims = match operator.shapes {
        Shapes::Reader => return Ok(None),
        Shapes::Same | Shapes::SameUnfolded => match &facts[&node.input[0]] {
            Fact::Data(dims) => dims.clone(),
            // A constant first operand: the translation refuses, and says so better.
            Fact::Constant(tensor) => tensor.shape().to_vec(),
            Fact::Unknown => return Ok(None),
        },
        Shapes::Own => return own(node, facts).map(Some),
    };
    Ok(Some(vec![dims]))
}

/// Dimensions of operand `i`, constant or not.
fn dims_of<'a>(node: &NodeProto, facts: &'a Facts, i: usize) -> Step<&'a [usize]> {
    match node.input.get(i).and_then(|name| facts.get(name)) {
        Some(Fact::Data(dims)) => Ok(dims),
        Some(Fact::Constant(tensor)) => Ok(tensor.shape()),
        Some(Fact::Unknown) | None => Err(Problem::new(format!("has no operand {i}"))),
    }
}

/// The tensor behind operand `i`, if it is there and constant.
fn constant<'a>(node: &NodeProto, facts: &'a Facts, i: usize) -> Option<&'a Tensor> {
    match node.input.get(i).and_then(|name| facts.get(name)) {
        Some(Fact::Constant(tensor)) => Some(tensor),
        Some(Fact::Data(_) | Fact::Unknown) | None => None,
    }
}

/// Integers of operand `i`, or of an attribute in older operator sets.
pub(super) fn integers(node: &NodeProto, facts: &Facts, i: usize, name: &str) -> Option<Vec<i64>> {
    match constant(node, facts, i) {
        Some(tensor) => tensors::integers(tensor),
        None => ints(node, name).map(<[i64]>::to_vec),
    }
}

fn own(node: &NodeProto, facts: &Facts) -> Step<Vec<Vec<usize>>> {
    let x = dims_of(node, facts, 0)?;
    let one = match node.op_type.as_str() {
        "Conv" => {
            let (_, [h, w], rank) = spatial(x)?;
            let weight = dims_of(node, facts, 1)?;
            let window = Window::of_conv(node, weight, [h, w], rank)?;
            image(x, weight[0], window.output([h, w])?)
        }
        "ConvTranspose" => {
            let (_, [h, w], rank) = spatial(x)?;
            let weight = dims_of(node, facts, 1)?;
            let conv = ConvTranspose::read(node, weight, [h, w], rank)?;
            image(x, conv.out_channels, conv.output([h, w])?)
        }
        "AveragePool" | "MaxPool" => {
            let (c, size, rank) = spatial(x)?;
            image(x, c, Window::of_pool(node, size, rank)?.output(size)?)
        }
        "GlobalAveragePool" | "GlobalMaxPool" => {
            let (c, _, _) = spatial(x)?;
            image(x, c, [1, 1])
        }
        "ReduceMean" | "ReduceSum" | "ReduceMax" => {
            let reduced = reduced(node, facts, x.len())?;
            let keep = int(node, "keepdims", 1) != 0;
            let kept = |(axis, &size): (usize, &usize)| match (reduced[axis], keep) {
                (false, _) => Some(size),
                (true, true) => Some(1),
                (true, false) => None,
            };
            x.iter().enumerate().filter_map(kept).collect()
        }
        "ArgMax" => x.to_vec(),
        "Max" | "Min" | "Sum" => {
            let mut all = x.to_vec();
            for i in 1..node.input.len() {
                all = broadcast(&all, dims_of(node, facts, i)?)?;
            }
            all
        }
        "Expand" => {
            let target = integers(node, facts, 1, "shape")
                .ok_or_else(|| Problem::new("has a shape that depends on the image"))?;
            broadcast(x, &sizes(&target)?)?
        }
        "Pad" => {
            let pads = pads(node, facts, x.len())?;
            let size = |(axis, &size): (usize, &usize)| size + pads[axis].0 + pads[axis].1;
            x.iter().enumerate().map(size).collect()
        }
        "Split" => return split(node, facts, x),
        "DepthToSpace" | "SpaceToDepth" => {
            let (&[n, c, h, w], b) = (x, block(node)?) else {
                return Err(Problem::new(format!("is applied to dimensions {x:?}"))
                    .help("supported: [1, c, h, w]"));
            };
            let fits = match node.op_type.as_str() {
                "DepthToSpace" => c.is_multiple_of(b * b),
                _ => h.is_multiple_of(b) && w.is_multiple_of(b),
            };
            if !fits {
                return Err(Problem::new(format!(
                    "has a blocksize of {b} on dimensions {x:?}"
                )));
            }
            match node.op_type.as_str() {
                "DepthToSpace" => vec![n, c / (b * b), h * b, w * b],
                _ => vec![n, c * b * b, h / b, w / b],
            }
        }
        "Resize" | "Upsample" => resize::output(node, facts, x)?,
        other => return Err(Problem::new(format!("operator {other} has no shape rule"))),
    };
    Ok(vec![one])
}

/// Dimensions of an image with other channels and another size.
fn image(x: &[usize], channels: usize, size: [usize; 2]) -> Vec<usize> {
    match x.len() {
        3 => vec![x[0], channels, size[0]],
        _ => vec![x[0], channels, size[0], size[1]],
    }
}

/// The dimensions that two broadcast to.
pub(super) fn broadcast(x: &[usize], y: &[usize]) -> Step<Vec<usize>> {
    let rank = x.len().max(y.len());
    let at = |dims: &[usize], axis: usize| match (axis + dims.len()).checked_sub(rank) {
        Some(i) => dims[i],
        None => 1,
    };
    let axis = |axis| match (at(x, axis), at(y, axis)) {
        (a, b) if a == b || b == 1 => Ok(a),
        (1, b) => Ok(b),
        _ => Err(Problem::new(format!(
            "has operands of dimensions {x:?} and {y:?}, which do not broadcast"
        ))),
    };
    (0..rank).map(axis).collect()
}

/// Which axes a reduction sums over.
pub(super) fn reduced(node: &NodeProto, facts: &Facts, rank: usize) -> Step<Vec<bool>> {
    if node.input.get(1).is_some_and(|n| !n.is_empty()) && constant(node, facts, 1).is_none() {
        return Err(
            Problem::new("axes (operand 1) depend on the image").help("supported: constant axes")
        );
    }
    let axes = integers(node, facts, 1, "axes").unwrap_or_default();
    if axes.is_empty() {
        return Ok(vec![int(node, "noop_with_empty_axes", 0) == 0; rank]);
    }
    let mut reduced = vec![false; rank];
    for axis in axes {
        reduced[along(axis, rank)?] = true;
    }
    Ok(reduced)
}

/// Pads before and after every axis; none negative.
pub(super) fn pads(node: &NodeProto, facts: &Facts, rank: usize) -> Step<Vec<(usize, usize)>> {
    let pads =
        integers(node, facts, 1, "pads").ok_or_else(|| Problem::new("has no constant pads"))?;
    let axes = integers(node, facts, 3, "axes").unwrap_or_else(|| (0..rank as i64).collect());
    if pads.len() != 2 * axes.len() || pads.iter().any(|p| !(0..=1 << 16).contains(p)) {
        return Err(Problem::new(format!(
            "has pads {:?} for {} axes",
            &pads[..pads.len().min(16)],
            axes.len()
        ))
        .help("supported: two pads per axis, none negative; use Slice to cut"));
    }
    let mut both = vec![(0, 0); rank];
    for (i, &axis) in axes.iter().enumerate() {
        both[along(axis, rank)?] = (pads[i] as usize, pads[i + axes.len()] as usize);
    }
    Ok(both)
}

fn split(node: &NodeProto, facts: &Facts, x: &[usize]) -> Step<Vec<Vec<usize>>> {
    let axis = along(int(node, "axis", 0), x.len())?;
    let parts = node.output.len();
    let sizes = match integers(node, facts, 1, "split") {
        Some(sizes) => self::sizes(&sizes)?,
        // Equal parts; where they do not fit, the last is smaller.
        None => {
            let each = x[axis].div_ceil(parts);
            let rest = |i: usize| x[axis].saturating_sub(i * each).min(each);
            (0..parts).map(rest).collect()
        }
    };
    if sizes.len() != parts || sizes.iter().sum::<usize>() != x[axis] {
        return Err(Problem::new(format!(
            "splits {} into {:?} for {parts} outputs",
            x[axis],
            &sizes[..sizes.len().min(16)]
        )));
    }
    let part = |size: usize| {
        let mut dims = x.to_vec();
        dims[axis] = size;
        dims
    };
    Ok(sizes.into_iter().map(part).collect())
}

/// Attribute "blocksize".
pub(super) fn block(node: &NodeProto) -> Step<usize> {
    match int(node, "blocksize", 0) {
        b @ 1..=256 => Ok(b as usize),
        b => Err(Problem::new(format!(
            "attribute \"blocksize\" is {b}, expected 1 to 256"
        ))),
    }
}

/// Non-negative integers as sizes, within what a tensor can have.
fn sizes(values: &[i64]) -> Step<Vec<usize>> {
    let size = |&v: &i64| match v {
        0..=0x10000 => Ok(v as usize),
        _ => Err(Problem::new(format!(
            "has a dimension of {v}, expected 1 to 65536"
        ))),
    };
    if values.len() > 1 << 16 {
        return Err(Problem::new(format!("names {} sizes", values.len())));
    }
    values.iter().map(size).collect()
}

/// An axis counted from the front.
pub(super) fn along(axis: i64, rank: usize) -> Step<usize> {
    let from_front = if axis < 0 {
        axis.saturating_add(rank as i64)
    } else {
        axis
    };
    usize::try_from(from_front)
        .ok()
        .filter(|&a| a < rank)
        .ok_or_else(|| Problem::new(format!("names axis {axis} of {rank}")))
}
