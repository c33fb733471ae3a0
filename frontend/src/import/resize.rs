//! Resize and Upsample by nearest neighbours: every output element takes one input element.
//! Source: the definitions of ONNX operators Resize (11 to 19) and Upsample (9).

use super::attributes::{attribute, floats, int, ints, text};
use super::error::{Problem, Step};
use super::fold::{Fact, Facts};
use super::shapes::{along, integers};
use super::tensors;
use tract_onnx::pb::NodeProto;

/// How one axis is resized.
struct Axis {
    input: usize,
    output: usize,
    scale: f32,
}

/// Dimensions of the result.
pub(super) fn output(node: &NodeProto, facts: &Facts, x: &[usize]) -> Step<Vec<usize>> {
    Ok(axes(node, facts, x)?.iter().map(|a| a.output).collect())
}

/// For every axis, the input position behind every output position.
pub(super) fn sources(node: &NodeProto, facts: &Facts, x: &[usize]) -> Step<Vec<Vec<usize>>> {
    let mode = text(node, "mode", "nearest");
    if mode != "nearest" {
        return Err(Problem::new(format!("attribute \"mode\" is {mode:?}"))
            .help("supported: mode = \"nearest\"; or a ConvTranspose with fixed weights"));
    }
    if int(node, "antialias", 0) != 0 {
        return Err(Problem::new("attribute \"antialias\" is not 0"));
    }
    let (coordinates, rounding) = match node.op_type.as_str() {
        "Upsample" => ("asymmetric".into(), "floor".into()),
        _ => (
            text(node, "coordinate_transformation_mode", "half_pixel"),
            text(node, "nearest_mode", "round_prefer_floor"),
        ),
    };
    let one = |axis: &Axis| {
        let position = |i: usize| -> Step<usize> {
            if axis.input == axis.output && axis.scale == 1.0 {
                return Ok(i);
            }
            let at = original(i as f32, axis, &coordinates)?;
            let nearest = match rounding.as_ref() {
                "round_prefer_floor" => (at - 0.5).ceil(),
                "round_prefer_ceil" => (at + 0.5).floor(),
                "floor" => at.floor(),
                "ceil" => at.ceil(),
                other => {
                    return Err(
                        Problem::new(format!("attribute \"nearest_mode\" is {other:?}"))
                            .help("supported: floor, ceil, round_prefer_floor, round_prefer_ceil"),
                    );
                }
            };
            Ok(nearest.clamp(0.0, (axis.input - 1) as f32) as usize)
        };
        (0..axis.output).map(position).collect()
    };
    axes(node, facts, x)?.iter().map(one).collect()
}

/// The coordinate in the input behind output position `i`; in float32, as runtimes compute it, so that
/// ties fall to the same side.
fn original(i: f32, axis: &Axis, mode: &str) -> Step<f32> {
    let (input, output, scale) = (axis.input as f32, axis.output as f32, axis.scale);
    Ok(match mode {
        "asymmetric" => i / scale,
        "half_pixel" => (i + 0.5) / scale - 0.5,
        "pytorch_half_pixel" if axis.output == 1 => 0.0,
        "pytorch_half_pixel" => (i + 0.5) / scale - 0.5,
        "align_corners" if axis.output == 1 => 0.0,
        "align_corners" => i * (input - 1.0) / (output - 1.0),
        "half_pixel_symmetric" => {
            let adjustment = output / (scale * input);
            let offset = input / 2.0 * (1.0 - adjustment);
            offset + (i + 0.5) / scale - 0.5
        }
        other => {
            return Err(Problem::new(format!(
                "attribute \"coordinate_transformation_mode\" is {other:?}"
            ))
            .help("supported: asymmetric, half_pixel, pytorch_half_pixel, align_corners, half_pixel_symmetric"));
        }
    })
}

fn axes(node: &NodeProto, facts: &Facts, x: &[usize]) -> Step<Vec<Axis>> {
    let policy = text(node, "keep_aspect_ratio_policy", "stretch");
    if policy != "stretch" {
        return Err(Problem::new(format!(
            "attribute \"keep_aspect_ratio_policy\" is {policy:?}"
        ))
        .help("supported: stretch"));
    }
    let (scales_at, sizes_at) = match (node.op_type.as_str(), attribute(node, "scales")) {
        ("Upsample", _) => (1, usize::MAX),
        // Operator set 10 has scales as operand 1, later ones a region before them.
        _ if node.input.len() == 2 => (1, usize::MAX),
        _ => (2, 3),
    };
    let scales = match constant(node, facts, scales_at)? {
        Some(scales) => Some(scales),
        None => floats(node, "scales").map(<[f32]>::to_vec),
    }
    .filter(|s| !s.is_empty());
    let sizes = integers(node, facts, sizes_at, "sizes").filter(|s| !s.is_empty());
    let chosen: Vec<usize> = match ints(node, "axes") {
        Some(axes) => axes
            .iter()
            .map(|&a| along(a, x.len()))
            .collect::<Step<_>>()?,
        None => (0..x.len()).collect(),
    };
    let mut all: Vec<Axis> = x
        .iter()
        .map(|&n| Axis {
            input: n,
            output: n,
            scale: 1.0,
        })
        .collect();
    let count = scales.as_ref().map_or(0, Vec::len) + sizes.as_ref().map_or(0, Vec::len);
    if count != chosen.len() {
        return Err(Problem::new(format!(
            "has {count} constant scales or sizes for {} axes",
            chosen.len()
        ))
        .help("supported: constant scales, or constant sizes, one per axis"));
    }
    for (i, &at) in chosen.iter().enumerate() {
        let input = x[at] as f32;
        all[at] = match (&scales, &sizes) {
            (Some(scales), _) => {
                let scale = scales[i];
                let output = (input * scale).floor();
                // NaN fails this test too.
                if !(1.0..=65536.0).contains(&output) {
                    return Err(Problem::new(format!("scales {input} by {scale}")));
                }
                Axis {
                    input: x[at],
                    output: output as usize,
                    scale,
                }
            }
            (None, Some(sizes)) => {
                if !(1..=1 << 16).contains(&sizes[i]) {
                    return Err(Problem::new(format!("has a size of {}", sizes[i])));
                }
                Axis {
                    input: x[at],
                    output: sizes[i] as usize,
                    scale: sizes[i] as f32 / input,
                }
            }
            (None, None) => continue,
        };
    }
    Ok(all)
}

fn constant(node: &NodeProto, facts: &Facts, i: usize) -> Step<Option<Vec<f32>>> {
    match node
        .input
        .get(i)
        .filter(|n| !n.is_empty())
        .map(|n| &facts[n])
    {
        None => Ok(None),
        Some(Fact::Constant(tensor)) => Ok(tensors::floats(tensor)),
        Some(Fact::Data(_) | Fact::Unknown) => Err(Problem::new(format!(
            "scales (operand {i}) depend on the image"
        ))
        .help("export with a fixed size or fixed scale factors")),
    }
}
