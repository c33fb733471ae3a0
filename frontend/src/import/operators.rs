//! The supported operators, their attributes, and access to attributes.

use super::error::{Problem, Step};
use tract_onnx::pb::NodeProto;
use tract_onnx::pb::attribute_proto::AttributeType::{
    self, Float, Floats, Int, Ints, String as Text, Tensor,
};

/// Operator sets (domain ai.onnx) whose definitions the importer follows.
pub(super) const OPSETS: std::ops::RangeInclusive<i64> = 9..=22;

/// Axes of a tensor, at most.
const MAX_AXES: i64 = 8;

/// An operator the importer knows.
pub(super) struct Operator {
    pub name: &'static str,
    /// Attributes it may carry; their values are checked where they are used.
    pub attributes: &'static [(&'static str, AttributeType)],
    /// Least and most inputs.
    pub inputs: (usize, usize),
    /// Whether it is folded when all inputs are constants.
    pub folds: bool,
}

const fn op(
    name: &'static str,
    attributes: &'static [(&'static str, AttributeType)],
    inputs: (usize, usize),
    folds: bool,
) -> Operator {
    Operator {
        name,
        attributes,
        inputs,
        folds,
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
const POOL: [(&str, AttributeType); 7] = [
    WINDOW[0],
    WINDOW[1],
    WINDOW[2],
    WINDOW[3],
    ("dilations", Ints),
    ("ceil_mode", Int),
    ("count_include_pad", Int),
];

const OPERATORS: &[Operator] = &[
    op("Add", &[], (2, 2), true),
    op("AveragePool", &POOL, (1, 1), false),
    op(
        "BatchNormalization",
        &[
            ("epsilon", Float),
            ("momentum", Float),
            ("spatial", Int),
            ("training_mode", Int),
        ],
        (5, 5),
        false,
    ),
    op("Cast", &[("to", Int), ("saturate", Int)], (1, 1), true),
    op("Concat", &[("axis", Int)], (1, 64), true),
    op(
        "Constant",
        &[
            ("value", Tensor),
            ("value_float", Float),
            ("value_floats", Floats),
            ("value_int", Int),
            ("value_ints", Ints),
        ],
        (0, 0),
        true,
    ),
    op("ConstantOfShape", &[("value", Tensor)], (1, 1), true),
    op("Conv", &CONV, (2, 3), false),
    op("Div", &[], (2, 2), true),
    op("Dropout", &[("ratio", Float), ("seed", Int)], (1, 2), false),
    op("Flatten", &[("axis", Int)], (1, 1), true),
    op("Gather", &[("axis", Int)], (2, 2), true),
    op(
        "Gemm",
        &[
            ("alpha", Float),
            ("beta", Float),
            ("transA", Int),
            ("transB", Int),
        ],
        (2, 3),
        false,
    ),
    op("GlobalAveragePool", &[], (1, 1), false),
    op("Identity", &[], (1, 1), true),
    op("MatMul", &[], (2, 2), false),
    op("Mul", &[], (2, 2), true),
    op(
        "Pad",
        &[("mode", Text), ("pads", Ints), ("value", Float)],
        (1, 4),
        false,
    ),
    op(
        "ReduceMean",
        &[
            ("axes", Ints),
            ("keepdims", Int),
            ("noop_with_empty_axes", Int),
        ],
        (1, 2),
        false,
    ),
    op("Relu", &[], (1, 1), false),
    op("Reshape", &[("allowzero", Int)], (2, 2), true),
    op("Shape", &[("start", Int), ("end", Int)], (1, 1), true),
    op(
        "Slice",
        &[
            ("starts", Ints),
            ("ends", Ints),
            ("axes", Ints),
            ("steps", Ints),
        ],
        (1, 5),
        true,
    ),
    op("Squeeze", &[("axes", Ints)], (1, 2), true),
    op("Sub", &[], (2, 2), true),
    op("Transpose", &[("perm", Ints)], (1, 1), true),
    op("Unsqueeze", &[("axes", Ints)], (1, 2), true),
];

/// The operator of a node, or why there is none.
pub(super) fn find(name: &str) -> Step<&'static Operator> {
    OPERATORS.iter().find(|o| o.name == name).ok_or_else(|| {
        let all: Vec<&str> = OPERATORS.iter().map(|o| o.name).collect();
        Problem::new(format!("operator {name:?} is not supported")).help(
            nearest(name).map_or_else(|| format!("supported: {}", all.join(", ")), String::from),
        )
    })
}

/// The nearest supported form of operators that people try.
fn nearest(name: &str) -> Option<&'static str> {
    Some(match name {
        "MaxPool" | "GlobalMaxPool" => {
            "use AveragePool, GlobalAveragePool, or a convolution with stride, and train again"
        }
        "Softmax" | "LogSoftmax" | "Sigmoid" => {
            "if it is the last operator, export the logits without it: the order of the classes is the same; elsewhere use Relu"
        }
        "LeakyRelu" | "PRelu" | "Elu" | "Selu" | "Gelu" | "HardSwish" | "HardSigmoid" | "Clip"
        | "Tanh" | "Swish" => "the supported activation is Relu",
        "ConvTranspose" | "Resize" | "Upsample" => {
            "only networks that keep or lower the resolution are supported: Conv, AveragePool"
        }
        "GlobalLpPool" | "ReduceMax" | "ReduceSum" => {
            "use GlobalAveragePool, or ReduceMean over the last two axes"
        }
        "LayerNormalization" | "InstanceNormalization" | "GroupNormalization" => {
            "use BatchNormalization"
        }
        _ => return None,
    })
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
        "ReduceMean" | "Squeeze" | "Unsqueeze" => Some(1),
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

fn attribute<'a>(node: &'a NodeProto, name: &str) -> Option<&'a tract_onnx::pb::AttributeProto> {
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

/// A list of exactly N integers in `low..=65536`, or the default.
pub(super) fn sizes<const N: usize>(
    node: &NodeProto,
    name: &str,
    low: i64,
    default: usize,
) -> Step<[usize; N]> {
    let Some(values) = ints(node, name) else {
        return Ok([default; N]);
    };
    let wrong = || {
        Problem::new(format!(
            "attribute {name:?} is {:?}, expected {N} numbers from {low} to 65536",
            &values[..values.len().min(8)]
        ))
        .help("only two-dimensional images are supported")
    };
    if values.len() != N || values.iter().any(|v| !(low..=1 << 16).contains(v)) {
        return Err(wrong());
    }
    Ok(std::array::from_fn(|i| values[i] as usize))
}
