//! Ciphertexts in files: a tensor's parts, one section each. Level, scale and the number of parts are
//! the plan's, so a file holds the polynomials only.

use std::path::Path;

use hecc_ckks::{Ciphertext, Context, Error as CkksError, SeededCiphertext};
use hecc_ir::plan::Plan;
use hecc_ir::program::Node;

use crate::error::Result;
use crate::frame::{Header, Id, Kind, Reader, Writer};
use crate::output_file::OutputFile;

/// The node that defines the encrypted image.
pub fn input_node(plan: &Plan) -> &Node {
    &plan.program.nodes[0]
}

/// The node that defines the logits.
pub fn output_node(plan: &Plan) -> &Node {
    &plan.program.nodes[plan.program.nodes.len() - 1]
}

/// Reads an encrypted image made for `plan` under key pair `key`, and expands it; one ciphertext a part.
///
/// # Errors
/// When the file is not such an image, is damaged, or cannot be read.
pub fn read_input(
    path: &Path,
    plan: &Plan,
    key: &Id,
    context: &Context,
) -> Result<Vec<Ciphertext>> {
    let node = input_node(plan);
    let length = SeededCiphertext::byte_len(context, node.level);
    let file = (path, Kind::Input, plan, key);
    read_parts(file, node, length, |bytes| {
        let seeded = SeededCiphertext::from_bytes(context, node.level, node.scale, bytes)?;
        Ok(seeded.expand(context))
    })
}

/// Reads encrypted logits made for `plan` under key pair `key`; one ciphertext a part.
///
/// # Errors
/// As [`read_input`].
pub fn read_output(
    path: &Path,
    plan: &Plan,
    key: &Id,
    context: &Context,
) -> Result<Vec<Ciphertext>> {
    let node = output_node(plan);
    let length = Ciphertext::byte_len(context, node.level);
    let file = (path, Kind::Output, plan, key);
    read_parts(file, node, length, |bytes| {
        Ciphertext::from_bytes(context, node.level, node.scale, bytes)
    })
}

/// Reads part after part, so that the bytes of one only are in memory beside the ciphertexts.
fn read_parts(
    (path, kind, plan, key): (&Path, Kind, &Plan, &Id),
    node: &Node,
    length: usize,
    parse: impl Fn(&[u8]) -> std::result::Result<Ciphertext, CkksError>,
) -> Result<Vec<Ciphertext>> {
    let parts = node.layout.parts;
    let sections = vec![length as u64; parts];
    let reader = Reader::open(path, kind, &plan.id(), Some(key), sections)?;
    let read = |index| {
        let name = match parts {
            1 => "the ciphertext".to_string(),
            _ => format!("part {index} of the ciphertext"),
        };
        let bytes = reader.section(index, &name)?;
        parse(&bytes).map_err(|e| reader.invalid(&name, e))
    };
    (0..parts).map(read).collect()
}

/// Writes an encrypted image, one ciphertext a part.
///
/// # Errors
/// When the file cannot be written.
pub fn write_input(
    path: &Path,
    plan: &Plan,
    key: &Id,
    context: &Context,
    image: &[SeededCiphertext],
) -> Result<()> {
    let parts: Vec<Vec<u8>> = image.iter().map(|part| part.to_bytes(context)).collect();
    write_parts(path, Kind::Input, plan, key, &parts)
}

/// Writes encrypted logits, one ciphertext a part.
///
/// # Errors
/// When the file cannot be written.
pub fn write_output(
    path: &Path,
    plan: &Plan,
    key: &Id,
    context: &Context,
    logits: &[Ciphertext],
) -> Result<()> {
    let parts: Vec<Vec<u8>> = logits.iter().map(|part| part.to_bytes(context)).collect();
    write_parts(path, Kind::Output, plan, key, &parts)
}

fn write_parts(path: &Path, kind: Kind, plan: &Plan, key: &Id, parts: &[Vec<u8>]) -> Result<()> {
    let mut file = OutputFile::create(path, false)?;
    fill(&mut file, kind, plan, key, parts)?;
    file.commit()
}

/// Writes header and sections of a file under construction.
///
/// # Errors
/// When the file cannot be written.
pub fn fill(
    file: &mut OutputFile,
    kind: Kind,
    plan: &Plan,
    key: &Id,
    sections: &[impl AsRef<[u8]>],
) -> Result<()> {
    let header = Header {
        kind,
        plan: plan.id(),
        key: *key,
    };
    let lengths: Vec<u64> = sections.iter().map(|s| s.as_ref().len() as u64).collect();
    let write = Writer::new(&mut *file, &header, &lengths).and_then(|mut writer| {
        for section in sections {
            writer.section(section.as_ref())?;
        }
        writer.finish().map(drop)
    });
    write.map_err(|source| file.error(source))
}
