//! Access to a node's attributes, with bounds.

use super::error::{Problem, Step};
use tract_onnx::pb::{AttributeProto, NodeProto};

pub(super) fn attribute<'a>(node: &'a NodeProto, name: &str) -> Option<&'a AttributeProto> {
    node.attribute.iter().find(|a| a.name == name)
}

/// An integer attribute.
pub(super) fn int(node: &NodeProto, name: &str, default: i64) -> i64 {
    attribute(node, name).map_or(default, |a| a.i)
}

/// A float attribute.
pub(super) fn float(node: &NodeProto, name: &str, default: f32) -> Step<f32> {
    let value = attribute(node, name).map_or(default, |a| a.f);
    if value.is_finite() {
        Ok(value)
    } else {
        Err(Problem::new(format!(
            "attribute {name:?} is {value}, expected a finite number"
        )))
    }
}

/// A text attribute.
pub(super) fn text<'a>(
    node: &'a NodeProto,
    name: &str,
    default: &'static str,
) -> std::borrow::Cow<'a, str> {
    attribute(node, name).map_or(default.into(), |a| String::from_utf8_lossy(&a.s))
}

/// A list of integers.
pub(super) fn ints<'a>(node: &'a NodeProto, name: &str) -> Option<&'a [i64]> {
    attribute(node, name).map(|a| a.ints.as_slice())
}

/// Floats.
pub(super) fn floats<'a>(node: &'a NodeProto, name: &str) -> Option<&'a [f32]> {
    attribute(node, name).map(|a| a.floats.as_slice())
}

/// Two integers in `low..=65536`, or the default; one, on images of `rank` 1, stands for rows.
pub(super) fn pair(
    node: &NodeProto,
    name: &str,
    rank: usize,
    low: i64,
    default: usize,
) -> Step<[usize; 2]> {
    let values = bounded(node, name, rank, low)?;
    let at = |i: usize| values.map_or(default, |v| v[i] as usize);
    // Columns of a one-dimensional image: one, which every window covers.
    Ok(match rank {
        1 => [at(0), 1],
        _ => [at(0), at(1)],
    })
}

/// `[top, left, bottom, right]` from the attribute "pads", or none.
pub(super) fn four(node: &NodeProto, name: &str, rank: usize) -> Step<[usize; 4]> {
    let values = bounded(node, name, 2 * rank, 0)?;
    let at = |i: usize| values.map_or(0, |v| v[i] as usize);
    Ok(match rank {
        1 => [at(0), 0, at(1), 0],
        _ => [at(0), at(1), at(2), at(3)],
    })
}

fn bounded<'a>(node: &'a NodeProto, name: &str, n: usize, low: i64) -> Step<Option<&'a [i64]>> {
    match ints(node, name) {
        Some(values)
            if values.len() != n || values.iter().any(|v| !(low..=1 << 16).contains(v)) =>
        {
            Err(Problem::new(format!(
                "attribute {name:?} is {:?}, expected {n} numbers from {low} to 65536",
                &values[..values.len().min(8)]
            ))
            .help("supported: images of one or two dimensions"))
        }
        other => Ok(other),
    }
}
