//! The supported operators and their attributes.

use super::attributes::{attribute, ints};
use super::error::{Problem, Step};
use Shapes::{Own, Reader, Same, SameUnfolded};
use tract_onnx::pb::NodeProto;
use tract_onnx::pb::attribute_proto::AttributeType::{
    self, Float, Floats, Int, Ints, String as Text, Tensor,
};

/// Operator sets (domain ai.onnx) whose definitions the importer follows.
pub(super) const OPSETS: std::ops::RangeInclusive<i64> = 9..=22;

/// Axes of a tensor, at most.
const MAX_AXES: i64 = 8;

/// How the shape of an operator's result is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shapes {
    /// tract infers it, and folds the operator where its operands are constants.
    Reader,
    /// That of the first operand; on constants, tract folds the operator.
    Same,
    /// That of the first operand, and never folded.
    SameUnfolded,
    /// `shapes` computes it.
    Own,
}

/// An operator the importer knows.
pub(super) struct Operator {
    pub name: &'static str,
    /// Attributes it may carry; their values are checked where they are used.
    pub attributes: &'static [(&'static str, AttributeType)],
    /// Least and most inputs.
    pub inputs: (usize, usize),
    /// Whether it is folded when all inputs are constants.
    pub folds: bool,
    pub shapes: Shapes,
}

const fn op(
    name: &'static str,
    attributes: &'static [(&'static str, AttributeType)],
    inputs: (usize, usize),
    folds: bool,
    shapes: Shapes,
) -> Operator {
    Operator {
        name,
        attributes,
        inputs,
        folds,
        shapes,
    }
}

const WINDOW: [(&str, AttributeType); 4] = [
    ("auto_pad", Text),
    ("kernel_shape", Ints),
    ("pads", Ints),
    ("strides", Ints),
];
const CONV: [(&str, AttributeType); 6] = [
    WINDOW[0],
    WINDOW[1],
    WINDOW[2],
    WINDOW[3],
    ("dilations", Ints),
    ("group", Int),
];
const CONV_TRANSPOSE: [(&str, AttributeType); 8] = [
    CONV[0],
    CONV[1],
    CONV[2],
    CONV[3],
    CONV[4],
    CONV[5],
    ("output_padding", Ints),
    ("output_shape", Ints),
];
const POOL: [(&str, AttributeType); 8] = [
    WINDOW[0],
    WINDOW[1],
    WINDOW[2],
    WINDOW[3],
    ("dilations", Ints),
    ("ceil_mode", Int),
    ("count_include_pad", Int),
    ("storage_order", Int),
];
const REDUCE: [(&str, AttributeType); 3] = [
    ("axes", Ints),
    ("keepdims", Int),
    ("noop_with_empty_axes", Int),
];
const NORMALIZATION: [(&str, AttributeType); 4] = [
    ("epsilon", Float),
    ("momentum", Float),
    ("spatial", Int),
    ("training_mode", Int),
];
const CONSTANT: [(&str, AttributeType); 5] = [
    ("value", Tensor),
    ("value_float", Float),
    ("value_floats", Floats),
    ("value_int", Int),
    ("value_ints", Ints),
];
const RESIZE: [(&str, AttributeType); 9] = [
    ("mode", Text),
    ("coordinate_transformation_mode", Text),
    ("nearest_mode", Text),
    ("cubic_coeff_a", Float),
    ("exclude_outside", Int),
    ("extrapolation_value", Float),
    ("antialias", Int),
    ("axes", Ints),
    ("keep_aspect_ratio_policy", Text),
];

#[rustfmt::skip]
const OPERATORS: &[Operator] = &[
    op("Abs", &[], (1, 1), true, Same),
    op("Add", &[], (2, 2), true, Reader),
    op("ArgMax", &[("axis", Int), ("keepdims", Int), ("select_last_index", Int)], (1, 1), false, Own),
    op("AveragePool", &POOL, (1, 1), false, Own),
    op("BatchNormalization", &NORMALIZATION, (5, 5), false, SameUnfolded),
    op("Cast", &[("to", Int), ("saturate", Int)], (1, 1), true, Reader),
    op("Ceil", &[], (1, 1), true, Same),
    op("Celu", &[("alpha", Float)], (1, 1), false, SameUnfolded),
    op("Clip", &[("min", Float), ("max", Float)], (1, 3), false, SameUnfolded),
    op("Concat", &[("axis", Int)], (1, 64), true, Reader),
    op("Constant", &CONSTANT, (0, 0), true, Reader),
    op("ConstantOfShape", &[("value", Tensor)], (1, 1), true, Reader),
    op("Conv", &CONV, (2, 3), false, Own),
    op("ConvTranspose", &CONV_TRANSPOSE, (2, 3), false, Own),
    op("Cos", &[], (1, 1), false, SameUnfolded),
    op("DepthToSpace", &[("blocksize", Int), ("mode", Text)], (1, 1), false, Own),
    op("Div", &[], (2, 2), true, Reader),
    op("Dropout", &[("ratio", Float), ("seed", Int)], (1, 3), false, SameUnfolded),
    op("Elu", &[("alpha", Float)], (1, 1), false, SameUnfolded),
    op("Equal", &[], (2, 2), true, Reader),
    op("Erf", &[], (1, 1), false, SameUnfolded),
    op("Exp", &[], (1, 1), true, Same),
    op("Expand", &[], (2, 2), true, Own),
    op("Flatten", &[("axis", Int)], (1, 1), true, Reader),
    op("Floor", &[], (1, 1), true, Same),
    op("Gather", &[("axis", Int)], (2, 2), true, Reader),
    op("Gelu", &[("approximate", Text)], (1, 1), false, SameUnfolded),
    op("Gemm", &[("alpha", Float), ("beta", Float), ("transA", Int), ("transB", Int)], (2, 3), false, Reader),
    op("GlobalAveragePool", &[], (1, 1), false, Own),
    op("GlobalMaxPool", &[], (1, 1), false, Own),
    op("HardSigmoid", &[("alpha", Float), ("beta", Float)], (1, 1), false, SameUnfolded),
    op("HardSwish", &[], (1, 1), false, SameUnfolded),
    op("Identity", &[], (1, 1), true, Same),
    op("LeakyRelu", &[("alpha", Float)], (1, 1), false, SameUnfolded),
    op("LogSoftmax", &[("axis", Int)], (1, 1), false, SameUnfolded),
    op("MatMul", &[], (2, 2), false, Reader),
    op("Max", &[], (1, 64), false, Own),
    op("MaxPool", &POOL, (1, 1), false, Own),
    op("Min", &[], (1, 64), false, Own),
    op("Mish", &[], (1, 1), false, SameUnfolded),
    op("Mul", &[], (2, 2), true, Reader),
    op("Neg", &[], (1, 1), true, Same),
    op("PRelu", &[], (2, 2), false, SameUnfolded),
    op("Pad", &[("mode", Text), ("pads", Ints), ("value", Float)], (1, 4), false, Own),
    op("Pow", &[], (2, 2), true, Same),
    op("Reciprocal", &[], (1, 1), true, Same),
    op("ReduceMax", &REDUCE, (1, 2), false, Own),
    op("ReduceMean", &REDUCE, (1, 2), false, Own),
    op("ReduceSum", &REDUCE, (1, 2), false, Own),
    op("Relu", &[], (1, 1), false, SameUnfolded),
    op("Reshape", &[("allowzero", Int)], (2, 2), true, Reader),
    op("Resize", &RESIZE, (1, 4), false, Own),
    op("Selu", &[("alpha", Float), ("gamma", Float)], (1, 1), false, SameUnfolded),
    op("Shape", &[("start", Int), ("end", Int)], (1, 1), true, Reader),
    op("Sigmoid", &[], (1, 1), false, SameUnfolded),
    op("Slice", &[("starts", Ints), ("ends", Ints), ("axes", Ints), ("steps", Ints)], (1, 5), true, Reader),
    op("Softmax", &[("axis", Int)], (1, 1), false, SameUnfolded),
    op("Softplus", &[], (1, 1), false, SameUnfolded),
    op("SpaceToDepth", &[("blocksize", Int)], (1, 1), false, Own),
    op("Split", &[("axis", Int), ("split", Ints), ("num_outputs", Int)], (1, 2), false, Own),
    op("Sqrt", &[], (1, 1), true, Same),
    op("Squeeze", &[("axes", Ints)], (1, 2), true, Reader),
    op("Sub", &[], (2, 2), true, Reader),
    op("Sum", &[], (1, 64), false, Own),
    op("Tanh", &[], (1, 1), false, SameUnfolded),
    op("Transpose", &[("perm", Ints)], (1, 1), true, Reader),
    op("Unsqueeze", &[("axes", Ints)], (1, 2), true, Reader),
    op("Upsample", &[("mode", Text), ("scales", Floats)], (1, 2), false, Own),
    op("Where", &[], (3, 3), true, Reader),
];

/// The operator of a node, or why there is none.
pub(super) fn find(name: &str) -> Step<&'static Operator> {
    let at = OPERATORS.binary_search_by(|o| o.name.cmp(name));
    at.map(|i| &OPERATORS[i]).map_err(|_| {
        let all: Vec<&str> = OPERATORS.iter().map(|o| o.name).collect();
        Problem::new(format!("operator {name:?} is not supported")).help(
            nearest(name).map_or_else(|| format!("supported: {}", all.join(", ")), String::from),
        )
    })
}

/// The nearest supported form of operators that people try.
fn nearest(name: &str) -> Option<&'static str> {
    Some(match name {
        "LayerNormalization"
        | "InstanceNormalization"
        | "GroupNormalization"
        | "LRN"
        | "MeanVarianceNormalization"
        | "LpNormalization"
        | "RMSNormalization" => "its statistics depend on the image; use BatchNormalization",
        "Softsign" | "ThresholdedRelu" | "Hardmax" | "Sign" | "Sin" | "Tan" | "Log" => {
            "use one of Relu, LeakyRelu, Clip, Sigmoid, HardSigmoid, HardSwish, Gelu, Tanh, Elu, Selu, Softplus, Mish, or a polynomial"
        }
        "LpPool" | "GlobalLpPool" | "ReduceL1" | "ReduceL2" | "ReduceSumSquare" | "ReduceMin"
        | "ReduceProd" | "ReduceLogSum" | "ReduceLogSumExp" => {
            "use AveragePool, MaxPool, ReduceMean or ReduceSum"
        }
        "LSTM" | "GRU" | "RNN" | "Loop" | "Scan" | "If" => {
            "only feed-forward networks are supported"
        }
        "QuantizeLinear" | "DequantizeLinear" | "QLinearConv" | "ConvInteger" => {
            "export the model before quantisation, in float32"
        }
        "Attention" | "MultiHeadAttention" | "Einsum" => {
            "only products with constants are supported: Conv, Gemm, MatMul"
        }
        "GridSample" | "AffineGrid" | "RoiAlign" | "MaxRoiPool" => {
            "use Resize (nearest), Slice or Transpose, whose indices do not depend on the image"
        }
        _ => return None,
    })
}

/// Whether an operator that is not supported keeps the shape of its first operand, so that what
/// follows it can be checked too.
pub(super) fn keeps_shape(name: &str) -> bool {
    matches!(
        name,
        "LayerNormalization"
            | "InstanceNormalization"
            | "GroupNormalization"
            | "LRN"
            | "MeanVarianceNormalization"
            | "LpNormalization"
            | "RMSNormalization"
            | "Softsign"
            | "ThresholdedRelu"
            | "Hardmax"
            | "Sign"
            | "Sin"
            | "Tan"
            | "Log"
            | "Round"
    )
}

/// Checks names and types of a node's attributes, and the number of its inputs.
pub(super) fn check_signature(node: &NodeProto) -> Step<()> {
    let operator = find(&node.op_type)?;
    for (i, attribute) in node.attribute.iter().enumerate() {
        let name = &attribute.name;
        let Some((_, expected)) = operator.attributes.iter().find(|(known, _)| known == name)
        else {
            let known: Vec<&str> = operator.attributes.iter().map(|(n, _)| *n).collect();
            let known = if known.is_empty() {
                "none".to_string()
            } else {
                known.join(", ")
            };
            return Err(Problem::new(format!("attribute {name:?} is not supported"))
                .help(format!("{} may carry: {known}", operator.name)));
        };
        // Files of the first ONNX versions leave the type out.
        if attribute.r#type() != *expected && attribute.r#type() != AttributeType::Undefined {
            return Err(Problem::new(format!(
                "attribute {name:?} is of type {}, expected {expected}",
                attribute.r#type()
            )));
        }
        if !attribute.ref_attr_name.is_empty()
            || node.attribute[..i].iter().any(|a| a.name == *name)
        {
            return Err(Problem::new(format!(
                "attribute {name:?} is given twice, or refers to a function's"
            )));
        }
    }
    for name in ["axis", "axes", "perm"] {
        if let Some(a) = attribute(node, name) {
            check_axes(name, std::slice::from_ref(&a.i))?;
            check_axes(name, &a.ints)?;
        }
    }
    if let Some(perm) = ints(node, "perm") {
        let mut sorted = perm.to_vec();
        sorted.sort_unstable();
        if !sorted.into_iter().eq(0..perm.len() as i64) {
            return Err(Problem::new(format!(
                "attribute \"perm\" is {perm:?}, expected a permutation"
            )));
        }
    }
    let (least, most) = operator.inputs;
    if !(least..=most).contains(&node.input.len())
        || node.input.iter().take(least).any(String::is_empty)
    {
        return Err(Problem::new(format!(
            "has {} inputs, expected {least} to {most}",
            node.input.len()
        )));
    }
    match node.output.first() {
        Some(name) if !name.is_empty() => Ok(()),
        _ => Err(Problem::new("has no output")),
    }
}

/// Which operand of an operator names axes.
pub(super) fn axes_operand(op: &str) -> Option<usize> {
    match op {
        "ReduceMax" | "ReduceMean" | "ReduceSum" | "Squeeze" | "Unsqueeze" => Some(1),
        "Pad" | "Slice" => Some(3),
        _ => None,
    }
}

/// Checks that axes are ones that a tensor can have; tract allocates by the largest.
pub(super) fn check_axes(what: &str, axes: &[i64]) -> Step<()> {
    match axes.iter().find(|a| !(-MAX_AXES..MAX_AXES).contains(*a)) {
        Some(axis) => Err(Problem::new(format!("{what} names axis {axis}"))
            .help(format!("a tensor has at most {MAX_AXES} axes"))),
        None if axes.len() > 2 * MAX_AXES as usize => {
            Err(Problem::new(format!("{what} names {} axes", axes.len())))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted() {
        assert!(OPERATORS.is_sorted_by_key(|o| o.name));
    }
}
