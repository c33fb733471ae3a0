//! What a client does with the result: Softmax and ArgMax at the end of a network are left to it.

use super::validate::describe;
use std::collections::HashMap;
use tract_onnx::pb::NodeProto;

/// The name of the value before the last Softmax, LogSoftmax or ArgMax, if only changes of shape
/// follow it; otherwise `output`. With a note for each operator dropped.
pub(super) fn strip(nodes: &[NodeProto], output: &str) -> (String, Vec<String>) {
    let producers: HashMap<&str, &NodeProto> = nodes
        .iter()
        .flat_map(|n| n.output.iter().map(move |o| (o.as_str(), n)))
        .collect();
    let (mut result, mut notes) = (output, Vec::new());
    let mut name = output;
    // A file may hold a cycle.
    for _ in 0..nodes.len() {
        let Some(node) = producers.get(name) else {
            break;
        };
        let Some(input) = node.input.first() else {
            break;
        };
        match node.op_type.as_str() {
            "Softmax" | "LogSoftmax" | "ArgMax" => {
                let work = match node.op_type.as_str() {
                    "ArgMax" => "takes the position of the largest value",
                    _ => "applies it to the decrypted values; the order of the classes is the same",
                };
                notes.push(format!(
                    "{} is left to the client, which {work}",
                    describe(node)
                ));
                result = input;
            }
            "Identity" | "Cast" | "Squeeze" | "Unsqueeze" | "Flatten" | "Reshape" | "Dropout" => {}
            _ => break,
        }
        name = input;
    }
    (result.to_string(), notes)
}
