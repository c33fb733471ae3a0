//! The decoded model against what the importer supports, before tract sees it.

use super::error::{Problem, Step};
use super::heads;
use super::operators::{self, OPSETS};
use super::tensors;
use hecc_ir::nn_verify::{MAX_DIM, MAX_ELEMENTS, MAX_NODES};
use std::collections::{HashMap, HashSet};
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::Dimension;
use tract_onnx::pb::tensor_shape_proto::dimension::Value as DimValue;
use tract_onnx::pb::type_proto::Value as TypeValue;
use tract_onnx::pb::{GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto};

/// A model whose every node is supported, reduced to what its output depends on.
pub(super) struct Checked {
    /// Nodes in dataflow order, each with a name of its own.
    pub nodes: Vec<NodeProto>,
    /// What is wrong with each of them, as far as its operator and attributes tell.
    pub faults: Vec<Option<Problem>>,
    /// Constants of the file.
    pub initialisers: Vec<TensorProto>,
    /// Name of the image.
    pub input: String,
    /// Its dimensions, the first of them 1.
    pub input_dims: Vec<usize>,
    /// Name of the result.
    pub output: String,
    /// Version of the operator set.
    pub opset: i64,
    /// What is left to the client.
    pub notes: Vec<String>,
}

/// `node 'name' (Operator)`, for messages.
pub(super) fn describe(node: &NodeProto) -> String {
    format!(
        "node '{}' ({})",
        shorten(&node.name),
        shorten(&node.op_type)
    )
}

fn shorten(text: &str) -> String {
    text.chars().take(120).collect()
}

/// Checks a model.
pub(super) fn validate(model: ModelProto) -> Step<Checked> {
    let opset = check_opset(&model)?;
    let graph = model
        .graph
        .ok_or_else(|| Problem::new("holds no graph; is it an ONNX model?"))?;
    if graph.node.len() > MAX_NODES || graph.initializer.len() > MAX_NODES {
        return Err(Problem::new(format!(
            "has {} nodes, at most {MAX_NODES} are supported",
            graph.node.len()
        )));
    }
    let mut constants = HashSet::new();
    for tensor in &graph.initializer {
        tensors::check(tensor, &shorten(&tensor.name))?;
        if !constants.insert(tensor.name.as_str()) {
            return Err(Problem::new(format!(
                "defines the tensor {:?} twice",
                shorten(&tensor.name)
            )));
        }
    }
    let (input, input_dims) = check_input(&graph, &constants)?;
    let [output] = graph.output.as_slice() else {
        return Err(
            Problem::new(format!("has {} outputs, expected one", graph.output.len()))
                .help("export the logits as the only output"),
        );
    };
    let nodes = named(graph.node);
    let faults: Vec<Option<Problem>> = nodes.iter().map(|n| check_node(n).err()).collect();
    let (output, notes) = heads::strip(&nodes, &output.name);
    let mut known: HashSet<&str> = constants;
    known.insert(&input);
    let order = dataflow_order(&nodes, &faults, &known, &output)?;
    let mut taken: Vec<Option<(NodeProto, Option<Problem>)>> =
        nodes.into_iter().zip(faults).map(Some).collect();
    let (nodes, faults): (Vec<NodeProto>, Vec<Option<Problem>>) =
        order.into_iter().filter_map(|i| taken[i].take()).unzip();
    let used: HashSet<&str> = nodes
        .iter()
        .flat_map(|n| &n.input)
        .map(String::as_str)
        .collect();
    let initialisers = graph
        .initializer
        .into_iter()
        .filter(|t| used.contains(t.name.as_str()))
        .collect();
    Ok(Checked {
        nodes,
        faults,
        initialisers,
        input,
        input_dims,
        output,
        opset,
        notes,
    })
}

fn check_opset(model: &ModelProto) -> Step<i64> {
    let mut standard = model.opset_import.iter().filter(|o| is_standard(&o.domain));
    let Some(set) = standard.next() else {
        return Err(Problem::new("names no operator set of the domain ai.onnx")
            .help("is it an ONNX model? export it again"));
    };
    if !OPSETS.contains(&set.version) {
        return Err(Problem::new(format!(
            "uses operator set {}, expected {} to {}",
            set.version,
            OPSETS.start(),
            OPSETS.end()
        ))
        .help("export with opset_version=17, or convert with onnx.version_converter"));
    }
    Ok(set.version)
}

fn is_standard(domain: &str) -> bool {
    domain.is_empty() || domain == "ai.onnx"
}

/// Name and dimensions of the only input that is no constant.
fn check_input(graph: &GraphProto, constants: &HashSet<&str>) -> Step<(String, Vec<usize>)> {
    let inputs: Vec<&ValueInfoProto> = graph
        .input
        .iter()
        .filter(|i| !constants.contains(i.name.as_str()))
        .collect();
    let [input] = inputs.as_slice() else {
        return Err(Problem::new(format!(
            "has {} inputs, expected one, the image",
            inputs.len()
        )));
    };
    let name = shorten(&input.name);
    let problem = |what: String| {
        Problem::new(format!("input {name:?} {what}"))
            .help("the input must be float32 [1, channels, height, width], [1, channels, length] or [1, n]")
    };
    let Some(TypeValue::TensorType(tensor)) = input.r#type.as_ref().and_then(|t| t.value.as_ref())
    else {
        return Err(problem("has no tensor type".to_string()));
    };
    if tensor.elem_type != DataType::Float as i32 {
        return Err(problem("is not float32".to_string()));
    }
    let dims = tensor
        .shape
        .as_ref()
        .map(|s| s.dim.as_slice())
        .unwrap_or_default();
    if !(2..=4).contains(&dims.len()) {
        return Err(problem(format!("has {} axes", dims.len())));
    }
    let mut sizes = vec![1];
    match fixed(&dims[0]) {
        None | Some(1) => {}
        Some(batch) => {
            return Err(problem(format!(
                "has a batch of {batch}; export with batch 1 or a dynamic batch"
            )));
        }
    }
    for (axis, dim) in dims.iter().enumerate().skip(1) {
        match fixed(dim) {
            Some(size) if (1..=MAX_DIM as i64).contains(&size) => sizes.push(size as usize),
            Some(size) => {
                return Err(problem(format!(
                    "has {size} on axis {axis}, expected 1 to {MAX_DIM}"
                )));
            }
            None => {
                return Err(problem(format!(
                    "has no fixed size on axis {axis}; only the batch may be dynamic"
                )));
            }
        }
    }
    if sizes.iter().product::<usize>() > MAX_ELEMENTS {
        return Err(problem(format!(
            "has dimensions {sizes:?}, more than {MAX_ELEMENTS} elements"
        )));
    }
    Ok((input.name.clone(), sizes))
}

fn fixed(dim: &Dimension) -> Option<i64> {
    match dim.value {
        Some(DimValue::DimValue(size)) => Some(size),
        Some(DimValue::DimParam(_)) | None => None,
    }
}

/// Every node with a name of its own: its ONNX name, or its output's.
fn named(mut nodes: Vec<NodeProto>) -> Vec<NodeProto> {
    let mut seen = HashSet::new();
    for (i, node) in nodes.iter_mut().enumerate() {
        if node.name.is_empty() || !seen.insert(node.name.clone()) {
            node.name = match node.output.first() {
                Some(output) if !output.is_empty() && seen.insert(output.clone()) => output.clone(),
                _ => format!("#{i}"),
            };
        }
    }
    nodes
}

fn check_node(node: &NodeProto) -> Step<()> {
    if !is_standard(&node.domain) {
        return Err(Problem::new(format!(
            "is of the domain {:?}; only standard ONNX operators are supported",
            shorten(&node.domain)
        )));
    }
    operators::check_signature(node)?;
    for attribute in &node.attribute {
        if let Some(tensor) = &attribute.t {
            tensors::check(tensor, &attribute.name)?;
        }
    }
    Ok(())
}

/// Positions of the nodes that `output` depends on, producers first.
fn dataflow_order(
    nodes: &[NodeProto],
    faults: &[Option<Problem>],
    known: &HashSet<&str>,
    output: &str,
) -> Step<Vec<usize>> {
    let mut producer: HashMap<&str, usize> = HashMap::new();
    for (i, node) in nodes.iter().enumerate() {
        // Further outputs of what is not supported anyway are taken for defined.
        let all = faults[i].is_some() || node.op_type == "Split";
        let outputs = node.output.iter().take(if all { usize::MAX } else { 1 });
        for name in outputs.filter(|name| !name.is_empty()) {
            if known.contains(name.as_str()) || producer.insert(name, i).is_some() {
                return Err(Problem::new(format!(
                    "defines {:?}, which is defined elsewhere",
                    shorten(name)
                ))
                .at(&describe(node)));
            }
        }
    }
    let Some(&last) = producer.get(output) else {
        return Err(Problem::new(format!(
            "output {:?} is computed by no node",
            shorten(output)
        )));
    };
    let (mut order, mut state) = (Vec::new(), vec![Visit::New; nodes.len()]);
    // Depth first, iteratively: an entry is a node and the number of its inputs already followed.
    let mut stack = vec![(last, 0)];
    while let Some((i, next)) = stack.pop() {
        state[i] = Visit::Open;
        let Some(name) = nodes[i].input.get(next) else {
            state[i] = Visit::Done;
            order.push(i);
            continue;
        };
        stack.push((i, next + 1));
        if name.is_empty() || known.contains(name.as_str()) {
            continue;
        }
        let Some(&source) = producer.get(name.as_str()) else {
            let second = nodes
                .iter()
                .find(|n| n.output.iter().skip(1).any(|o| o == name));
            let what = match second {
                Some(n) => format!(
                    "uses {:?}, a second output of {}, which is not supported",
                    shorten(name),
                    describe(n)
                ),
                None => format!("uses {:?}, which nothing defines", shorten(name)),
            };
            return Err(Problem::new(what).at(&describe(&nodes[i])));
        };
        match state[source] {
            Visit::Done => {}
            Visit::New => stack.push((source, 0)),
            Visit::Open => {
                return Err(
                    Problem::new("depends on its own result; the graph has a cycle")
                        .at(&describe(&nodes[source])),
                );
            }
        }
    }
    Ok(order)
}

#[derive(Clone, Copy, PartialEq)]
enum Visit {
    New,
    Open,
    Done,
}
