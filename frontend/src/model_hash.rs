//! What binds a calibration to a model.

use hecc_ir::nn::{Graph, Op};

/// BLAKE3, hexadecimal, of an imported graph: operators, names, shapes, operands and constants.
pub fn model_hash(graph: &Graph) -> String {
    let mut hasher = blake3::Hasher::new();
    // The dump has everything but the constants, of which it has short hashes.
    hasher.update(graph.dump().as_bytes());
    for node in graph.nodes.node_weights() {
        if let Op::Linear(linear) = &node.op {
            for value in linear.constants().into_iter().flatten() {
                hasher.update(&value.to_le_bytes());
            }
        }
    }
    hasher.finalize().to_hex().to_string()
}
