//! Tensors of the network to and from ciphertexts, one a part.

use hecc_ckks::{Ciphertext, Context, Error, SeededCiphertext};
use hecc_client::SecretKey;
use hecc_ir::program::Node;

/// Encrypts network values (c-major) where `node`'s layout puts them, at its level and scale.
///
/// # Errors
/// When a value is not finite or too large, or the system has no randomness.
pub fn encrypt(
    context: &Context,
    secret: &SecretKey,
    node: &Node,
    values: &[f64],
) -> Result<Vec<SeededCiphertext>, Error> {
    let values: Vec<f64> = values.iter().map(|v| v / node.unit).collect();
    let slots = node.layout.pack(&values);
    let part = |slots: &[f64]| hecc_client::encrypt(context, secret, slots, node.level, node.scale);
    slots.chunks(node.layout.slots).map(part).collect()
}

/// The slots of all parts, one part after the other: network values over the node's unit.
pub fn slots(context: &Context, secret: &SecretKey, parts: &[Ciphertext]) -> Vec<f64> {
    let part = |part| hecc_client::decrypt(context, secret, part);
    parts.iter().flat_map(part).collect()
}

/// The network values (c-major) of the tensor that `node` defines.
pub fn decrypt(
    context: &Context,
    secret: &SecretKey,
    node: &Node,
    parts: &[Ciphertext],
) -> Vec<f64> {
    let mut values = node.layout.unpack(&slots(context, secret, parts));
    values.iter_mut().for_each(|value| *value *= node.unit);
    values
}
