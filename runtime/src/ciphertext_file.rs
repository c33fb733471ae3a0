//! Ciphertexts in files. Level and scale are the plan's, so a file holds the polynomials only.

use std::path::Path;

use hecc_ckks::{Ciphertext, Context, SeededCiphertext};
use hecc_ir::plan::Plan;
use hecc_ir::program::Node;

use crate::error::Result;
use crate::frame::{Header, Id, Kind, Reader, Writer};
use crate::output_file::OutputFile;

const PART: &str = "the ciphertext";

/// The node that defines the encrypted image.
pub fn input_node(plan: &Plan) -> &Node {
    &plan.program.nodes[0]
}

/// The node that defines the logits.
pub fn output_node(plan: &Plan) -> &Node {
    &plan.program.nodes[plan.program.nodes.len() - 1]
}

/// Reads an encrypted image made for `plan` under key pair `key`, and expands it.
pub fn read_input(path: &Path, plan: &Plan, key: &Id, context: &Context) -> Result<Ciphertext> {
    let node = input_node(plan);
    let length = SeededCiphertext::byte_len(context, node.level) as u64;
    let reader = Reader::open(path, Kind::Input, &plan.id(), Some(key), vec![length])?;
    let bytes = reader.section(0, PART)?;
    SeededCiphertext::from_bytes(context, node.level, node.scale, &bytes)
        .map(|seeded| seeded.expand(context))
        .map_err(|e| reader.invalid(PART, e))
}

/// Reads encrypted logits made for `plan` under key pair `key`.
pub fn read_output(path: &Path, plan: &Plan, key: &Id, context: &Context) -> Result<Ciphertext> {
    let node = output_node(plan);
    let length = Ciphertext::byte_len(context, node.level) as u64;
    let reader = Reader::open(path, Kind::Output, &plan.id(), Some(key), vec![length])?;
    let bytes = reader.section(0, PART)?;
    Ciphertext::from_bytes(context, node.level, node.scale, &bytes)
        .map_err(|e| reader.invalid(PART, e))
}

/// Writes an encrypted image.
pub fn write_input(
    path: &Path,
    plan: &Plan,
    key: &Id,
    context: &Context,
    image: &SeededCiphertext,
) -> Result<()> {
    write_single(path, Kind::Input, plan, key, &image.to_bytes(context))
}

/// Writes encrypted logits.
pub fn write_output(
    path: &Path,
    plan: &Plan,
    key: &Id,
    context: &Context,
    logits: &Ciphertext,
) -> Result<()> {
    write_single(path, Kind::Output, plan, key, &logits.to_bytes(context))
}

fn write_single(path: &Path, kind: Kind, plan: &Plan, key: &Id, body: &[u8]) -> Result<()> {
    let mut file = OutputFile::create(path, false)?;
    fill_single(&mut file, kind, plan, key, body)?;
    file.commit()
}

/// Writes header and only section of a file under construction.
pub fn fill_single(
    file: &mut OutputFile,
    kind: Kind,
    plan: &Plan,
    key: &Id,
    body: &[u8],
) -> Result<()> {
    let header = Header {
        kind,
        plan: plan.id(),
        key: *key,
    };
    let write = Writer::new(&mut *file, &header, &[body.len() as u64]).and_then(|mut writer| {
        writer.section(body)?;
        writer.finish().map(drop)
    });
    write.map_err(|source| file.error(source))
}
