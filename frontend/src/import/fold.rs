//! Shapes and constants, by tract-onnx, node by node.
//!
//! Nodes are visited in dataflow order, the batch fixed to 1, so that one forward inference of each
//! suffices. Before tract evaluates an operator on constants, the size of the result is bounded: the
//! shape arithmetic of an exporter is tiny, that of a hostile file need not be.

use super::error::{Problem, Step};
use super::operators::{self, Shapes};
use super::shapes;
use super::tensors;
use super::validate::Checked;
use hecc_ir::nn_verify::{MAX_DIM, MAX_ELEMENTS};
use std::cell::Cell;
use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Once};
use tract_onnx::model::ParseResult;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension};
use tract_onnx::pb::type_proto::{self, Value as TypeValue};
use tract_onnx::pb::{
    GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorShapeProto, TypeProto,
    ValueInfoProto,
};
use tract_onnx::prelude::{
    Datum as _, InferenceFact, InferenceModel, OutletId, TVec, Tensor, tvec,
};
use tract_onnx::tract_hir::infer::Factoid;

/// Elements of one folded constant that is larger than its operands.
const MAX_FOLDED: u64 = 1 << 20;
/// Elements of all folded constants together.
const MAX_FOLDED_TOTAL: u64 = 1 << 28;

/// What is known of a value.
#[derive(Clone, Debug)]
pub(super) enum Fact {
    /// Known before the image is.
    Constant(Arc<Tensor>),
    /// Depends on the image; ONNX dimensions.
    Data(Vec<usize>),
    /// Result of something that is not supported.
    Unknown,
}

/// Facts of all values by name.
pub(super) type Facts = HashMap<String, Fact>;

/// Infers and folds. What is wrong with a node joins the model's faults, and its result is unknown.
pub(super) fn fold(model: &mut Checked) -> Step<Facts> {
    let parsed = guarded(|| {
        tract_onnx::onnx()
            .with_ignore_value_info(true)
            .parse(&proto(model), None)
    })?;
    let ParseResult {
        model: mut inference,
        outlets_by_name: outlets,
        ..
    } = parsed;
    let mut facts = Facts::new();
    for tensor in &model.initialisers {
        let fact = &inference
            .outlet_fact(outlets[&tensor.name])
            .map_err(|e| reader(&e))?;
        facts.insert(tensor.name.clone(), read(fact)?);
    }
    facts.insert(model.input.clone(), Fact::Data(model.input_dims.clone()));
    let mut budget = MAX_FOLDED_TOTAL;
    for (node, fault) in model.nodes.iter().zip(&mut model.faults) {
        let found = match fault {
            Some(_) => Ok(unsupported(node, &facts)),
            None => result(node, &facts, &mut inference, &outlets, &mut budget),
        };
        let results = found.unwrap_or_else(|problem| {
            *fault = Some(problem);
            unsupported(node, &facts)
        });
        let names = node.output.iter().filter(|name| !name.is_empty());
        for (name, fact) in names.zip(results.into_iter().chain(std::iter::repeat(Fact::Unknown))) {
            // tract reads the facts of its own nodes' operands from its model.
            if let (Some(&outlet), Fact::Data(dims)) = (outlets.get(name), &fact) {
                let known = InferenceFact::dt_shape(f32::datum_type(), dims.as_slice());
                inference
                    .set_outlet_fact(outlet, known)
                    .map_err(|e| reader(&e))?;
            }
            facts.insert(name.clone(), fact);
        }
    }
    Ok(facts)
}

/// Facts of a node's results, as many as are defined.
fn result(
    node: &NodeProto,
    facts: &Facts,
    inference: &mut InferenceModel,
    outlets: &HashMap<String, OutletId>,
    budget: &mut u64,
) -> Step<Vec<Fact>> {
    let unknown = |name: &String| !name.is_empty() && matches!(facts[name], Fact::Unknown);
    if node.input.iter().any(unknown) {
        return Ok(unsupported(node, facts));
    }
    check_axes(node, facts)?;
    let constant = bound(node, facts, budget)?;
    if !constant && let Some(dims) = shapes::results(node, facts)? {
        let checked = |dims: Vec<usize>| sized(dims.iter().map(|&d| d as i64)).map(Fact::Data);
        return dims.into_iter().map(checked).collect();
    }
    let outlet = outlets[&node.output[0]];
    let fact = read(&guarded(|| infer(inference, outlet.node))?)?;
    if constant && matches!(fact, Fact::Data(_)) {
        return Err(Problem::new(
            "is computed from constants only, in a way that hecc does not fold",
        )
        .help("simplify the model first, e.g. with onnxsim"));
    }
    Ok(vec![fact])
}

/// What is known of the result of a node that is not supported, or whose operands are unknown.
fn unsupported(node: &NodeProto, facts: &Facts) -> Vec<Fact> {
    let keeps = operators::find(&node.op_type).map_or_else(
        |_| operators::keeps_shape(&node.op_type),
        |o| matches!(o.shapes, Shapes::Same | Shapes::SameUnfolded),
    );
    match node.input.first().and_then(|name| facts.get(name)) {
        Some(Fact::Data(dims)) if keeps => vec![Fact::Data(dims.clone())],
        _ => vec![Fact::Unknown],
    }
}

/// Checks axes that come as an operand.
fn check_axes(node: &NodeProto, facts: &Facts) -> Step<()> {
    let operand = operators::axes_operand(&node.op_type).and_then(|i| node.input.get(i));
    match operand.and_then(|name| facts.get(name)) {
        Some(Fact::Constant(tensor)) => {
            operators::check_axes("axes", &tensors::integers(tensor).unwrap_or_default())
        }
        Some(Fact::Data(_) | Fact::Unknown) | None => Ok(()),
    }
}

/// Whether all operands of a node are constants; then, whether its result is small enough to compute.
fn bound(node: &NodeProto, facts: &Facts, budget: &mut u64) -> Step<bool> {
    let operands: Option<Vec<&Tensor>> = node
        .input
        .iter()
        .filter(|name| !name.is_empty())
        .map(|name| match &facts[name] {
            Fact::Constant(tensor) => Some(&**tensor),
            Fact::Data(_) | Fact::Unknown => None,
        })
        .collect();
    let Some(operands) = operands else {
        return Ok(false);
    };
    if !operators::find(&node.op_type)?.folds {
        return Err(Problem::new("is applied to constants only")
            .help("fold it before the export, e.g. with onnxsim"));
    }
    let sum: u64 = operands.iter().map(|t| t.len() as u64).sum();
    let size = match node.op_type.as_str() {
        "Constant" => {
            let values = node.attribute.iter().map(|a| {
                a.t.as_ref()
                    .map_or(Ok(a.ints.len() as u64 + a.floats.len() as u64 + 1), |t| {
                        tensors::check(t, &a.name)
                    })
            });
            values.sum::<Step<u64>>()?
        }
        "ConstantOfShape" => {
            let dims = tensors::integers(operands[0]).unwrap_or_default();
            if dims.len() > 8 || dims.iter().any(|&d| d < 0) {
                return Err(Problem::new(format!(
                    "makes a constant of shape {:?}",
                    &dims[..dims.len().min(9)]
                )));
            }
            dims.iter().fold(1u64, |n, &d| n.saturating_mul(d as u64))
        }
        // Both bounds hold for every broadcast and every gather.
        "Add" | "Sub" | "Mul" | "Div" | "Pow" | "Equal" | "Where" | "Gather" => operands
            .iter()
            .fold(1u64, |n, t| n.saturating_mul(t.len() as u64)),
        _ => sum,
    };
    if size > MAX_FOLDED.max(sum) || size > *budget {
        return Err(Problem::new(format!(
            "makes a constant of {size} elements, at most {MAX_FOLDED} are supported"
        )));
    }
    *budget -= size;
    Ok(true)
}

/// One forward inference; the facts of the operands are known.
fn infer(model: &mut InferenceModel, id: usize) -> tract_onnx::prelude::TractResult<InferenceFact> {
    let (inputs, outputs) = model.node_facts(id)?;
    let inputs: TVec<InferenceFact> = inputs.into_iter().cloned().collect();
    let outputs: TVec<InferenceFact> = outputs.into_iter().cloned().collect();
    let op = &mut model.node_mut(id).op;
    let (_, inferred, _) = op.infer(inputs.iter().collect(), outputs.iter().collect(), tvec!())?;
    let fact = inferred.into_iter().next().unwrap_or_default();
    model.set_outlet_fact(OutletId::new(id, 0), fact.clone())?;
    Ok(fact)
}

fn read(fact: &InferenceFact) -> Step<Fact> {
    if let Some(tensor) = fact.value.concretize() {
        return Ok(Fact::Constant(tensor));
    }
    let unknown = || {
        Problem::new("has a result whose shape cannot be inferred")
            .help("export with fixed image dimensions")
    };
    let dims = fact.shape.concretize().ok_or_else(unknown)?;
    let dims: Step<Vec<i64>> = dims
        .iter()
        .map(|d| d.to_i64().map_err(|_| unknown()))
        .collect();
    sized(dims?.into_iter()).map(Fact::Data)
}

/// Dimensions of a tensor that a network may have.
fn sized(dims: impl Iterator<Item = i64>) -> Step<Vec<usize>> {
    let mut sizes = Vec::new();
    for size in dims {
        if !(1..=MAX_DIM as i64).contains(&size) {
            return Err(Problem::new(format!(
                "has a result with a dimension of {size}, expected 1 to {MAX_DIM}"
            )));
        }
        sizes.push(size as usize);
    }
    if sizes
        .iter()
        .try_fold(1usize, |n, &d| n.checked_mul(d))
        .is_none_or(|n| n > MAX_ELEMENTS)
    {
        return Err(Problem::new(format!(
            "has a result of dimensions {sizes:?}, more than {MAX_ELEMENTS} elements"
        )));
    }
    Ok(sizes)
}

/// The checked model as tract takes it: nothing but what was checked.
fn proto(model: &Checked) -> ModelProto {
    let dim = |&size: &usize| Dimension {
        value: Some(dimension::Value::DimValue(size as i64)),
        ..Dimension::default()
    };
    let shape = TensorShapeProto {
        dim: model.input_dims.iter().map(dim).collect(),
    };
    let tensor = type_proto::Tensor {
        elem_type: DataType::Float as i32,
        shape: Some(shape),
    };
    let image = TypeProto {
        value: Some(TypeValue::TensorType(tensor)),
        ..TypeProto::default()
    };
    let info = |name: &str, r#type| ValueInfoProto {
        name: name.to_string(),
        r#type,
        ..ValueInfoProto::default()
    };
    let nodes = model.nodes.iter().zip(&model.faults);
    let graph = GraphProto {
        node: nodes
            .flat_map(|(n, f)| for_tract(n, f, &model.input))
            .collect(),
        initializer: model.initialisers.clone(),
        input: vec![info(&model.input, Some(image))],
        output: vec![info(&model.output, None)],
        ..GraphProto::default()
    };
    ModelProto {
        ir_version: 8,
        opset_import: vec![OperatorSetIdProto {
            domain: String::new(),
            version: model.opset,
        }],
        graph: Some(graph),
        ..ModelProto::default()
    }
}

/// A node as tract is to see it. Where tract's own inference is not asked, or the node is not
/// supported, one identity on the image for each result stands in its place.
fn for_tract(node: &NodeProto, fault: &Option<Problem>, input: &str) -> Vec<NodeProto> {
    let known = operators::find(&node.op_type).ok();
    if fault.is_none() && known.is_some_and(|o| o.folds || o.shapes == Shapes::Reader) {
        let mut node = node.clone();
        node.output.truncate(1);
        return vec![node];
    }
    let outputs = node.output.iter().filter(|o| !o.is_empty()).enumerate();
    let identity = |(i, output): (usize, &String)| NodeProto {
        op_type: "Identity".to_string(),
        name: format!("{}/{i}", node.name),
        input: vec![input.to_string()],
        output: vec![output.clone()],
        ..NodeProto::default()
    };
    outputs.map(identity).collect()
}

thread_local! {
    static SILENT: Cell<bool> = const { Cell::new(false) };
}

/// Runs tract; its errors and, as the last resort, its panics become problems of the model.
fn guarded<T>(run: impl FnOnce() -> tract_onnx::prelude::TractResult<T>) -> Step<T> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !SILENT.get() {
                previous(info);
            }
        }));
    });
    SILENT.set(true);
    let outcome = std::panic::catch_unwind(AssertUnwindSafe(run));
    SILENT.set(false);
    match outcome {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(e)) => Err(reader(&e)),
        Err(_) => Err(Problem::new("the ONNX reader could not make sense of it")
            .help("check the model with onnx.checker")),
    }
}

fn reader(error: &tract_onnx::prelude::TractError) -> Problem {
    let text = format!("{error:#}").replace('\n', " ");
    let text: String = text.chars().take(400).collect();
    Problem::new(format!("the ONNX reader refuses it: {text}"))
        .help("check the model with onnx.checker")
}
