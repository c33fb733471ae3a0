//! The wire format, walked before it is decoded.
//!
//! A decoded message takes a hundred times the bytes of an empty one on the wire, so the number of
//! fields is bounded first. Kinds of messages that no supported model has (subgraphs, functions,
//! sparse tensors, training) are refused here, so that only the ones below are ever decoded.
//! Source: onnx.proto; the protobuf encoding guide.

use super::error::{Problem, Step};
use prost::Message;
use tract_onnx::pb::ModelProto;

/// Fields of all messages together.
const MAX_FIELDS: usize = 1 << 21;

/// Messages that are walked into.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
    ValueInfo,
    Type,
    TensorType,
    Shape,
    Dim,
    Pair,
    Opset,
}

/// What a length-delimited field holds.
enum Content {
    Message(Kind),
    Bytes,
    Refused(&'static str),
}

fn content(kind: Kind, field: u64) -> Content {
    use Content::{Bytes, Message, Refused};
    match (kind, field) {
        (Kind::Model, 7) => Message(Kind::Graph),
        (Kind::Model, 8) => Message(Kind::Opset),
        (Kind::Model, 14) => Message(Kind::Pair),
        (Kind::Model, 20) => Refused("training information"),
        (Kind::Model, 25) => Refused("model-local functions"),
        (Kind::Graph, 1) => Message(Kind::Node),
        (Kind::Graph, 5) => Message(Kind::Tensor),
        (Kind::Graph, 11..=13) => Message(Kind::ValueInfo),
        (Kind::Graph, 14) => Refused("quantization annotations"),
        (Kind::Graph, 15) => Refused("sparse initialisers"),
        (Kind::Node, 5) => Message(Kind::Attribute),
        (Kind::Attribute, 5) => Message(Kind::Tensor),
        (Kind::Attribute, 6 | 11) => Refused("subgraphs (If, Loop, Scan)"),
        (Kind::Attribute, 10) => Refused("lists of tensors as attributes"),
        (Kind::Attribute, 14 | 15 | 22 | 23) => Refused("sparse tensors or types as attributes"),
        (Kind::Tensor, 13) => Message(Kind::Pair),
        (Kind::ValueInfo, 2) => Message(Kind::Type),
        (Kind::Type, 1) => Message(Kind::TensorType),
        (Kind::Type, 4 | 5 | 7 | 8 | 9) => Refused("values that are no tensors"),
        (Kind::TensorType, 2) => Message(Kind::Shape),
        (Kind::Shape, 1) => Message(Kind::Dim),
        _ => Bytes,
    }
}

/// Decodes what [`check`] has accepted.
pub(super) fn decode(bytes: &[u8]) -> Step<ModelProto> {
    ModelProto::decode(bytes).map_err(|e| not_onnx(&format!("is not an ONNX model: {e}")))
}

/// Walks the wire format.
pub(super) fn check(bytes: &[u8]) -> Step<()> {
    if bytes.is_empty() {
        return Err(not_onnx("is empty, expected an ONNX model"));
    }
    let mut fields = 0;
    let mut pending = vec![(Kind::Model, 0, bytes.len())];
    while let Some((kind, mut at, end)) = pending.pop() {
        while at < end {
            fields += 1;
            if fields > MAX_FIELDS {
                return Err(Problem::new(format!(
                    "has more than {MAX_FIELDS} fields; no model that hecc can compile has"
                )));
            }
            let start = at;
            let broken = |what: &str| {
                not_onnx(&format!(
                    "is truncated or no ONNX model: {what} at byte {start}"
                ))
            };
            let key = varint(bytes, &mut at, end).ok_or_else(|| broken("a broken field"))?;
            let size = match key & 7 {
                0 => varint(bytes, &mut at, end).map(|_| 0),
                1 => Some(8),
                2 => varint(bytes, &mut at, end),
                5 => Some(4),
                other => return Err(broken(&format!("a field of wire type {other}"))),
            };
            let size = size.ok_or_else(|| broken("a broken field"))?;
            let next = usize::try_from(size)
                .ok()
                .and_then(|s| at.checked_add(s))
                .filter(|&next| next <= end);
            let next = next.ok_or_else(|| {
                broken(&format!(
                    "a field of {size} bytes, {} bytes are left,",
                    end - at
                ))
            })?;
            if key & 7 == 2 {
                match content(kind, key >> 3) {
                    Content::Message(inner) => pending.push((inner, at, next)),
                    Content::Bytes => {}
                    Content::Refused(what) => {
                        let help = "export a plain inference graph of standard operators, e.g. torch.onnx.export(model.eval(), ..., dynamo=False)";
                        return Err(
                            Problem::new(format!("uses {what}, which is not supported")).help(help)
                        );
                    }
                }
            }
            at = next;
        }
    }
    Ok(())
}

fn varint(bytes: &[u8], at: &mut usize, end: usize) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..70).step_by(7) {
        let byte = *bytes[..end].get(*at)?;
        *at += 1;
        value |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn not_onnx(what: &str) -> Problem {
    Problem::new(what).help("export the model again; hecc reads binary ONNX files (.onnx)")
}
