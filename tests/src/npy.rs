//! Arrays for the commands to read.

use std::io::Write;
use std::path::Path;

use anyhow::Result;

/// Writes an array of float32, NumPy's format 1.0.
pub fn write_npy(path: &Path, shape: &[usize], values: &[f32]) -> Result<()> {
    let axes: String = shape.iter().map(|axis| format!("{axis}, ")).collect();
    let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({axes}), }}");
    // Magic, version and length take 10 bytes; the header ends with a newline at a multiple of 64.
    let padding = 64 - (10 + header.len() + 1) % 64;
    header.push_str(&" ".repeat(padding % 64));
    header.push('\n');
    let mut file = std::fs::File::create(path)?;
    file.write_all(b"\x93NUMPY\x01\x00")?;
    file.write_all(&u16::try_from(header.len())?.to_le_bytes())?;
    file.write_all(header.as_bytes())?;
    let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    Ok(file.write_all(&bytes)?)
}
