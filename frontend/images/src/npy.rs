//! NumPy's `.npy` format, versions 1 to 3, little-endian, C order.
//! Source: numpy/lib/format.py, "Format Version 1.0".

use crate::error::{Error, Result, read_bounded};
use std::path::Path;

/// Largest `.npy` file read.
const LIMIT: u64 = 4 << 30;
/// Axes of an array.
const MAX_AXES: usize = 8;

/// An array as stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// Lengths of the axes, slowest first.
    pub shape: Vec<usize>,
    /// Elements in C order, as many as the product of `shape`.
    pub values: Values,
}

/// Elements by type.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// `|u1`.
    U8(Vec<u8>),
    /// `<f4`; `<f8` is rounded.
    F32(Vec<f32>),
    /// `<i8`, `<i4`.
    I64(Vec<i64>),
}

pub(crate) fn is_npy(path: &Path) -> bool {
    path.extension()
        .is_some_and(|e| e.eq_ignore_ascii_case("npy"))
}

/// Reads a `.npy` file of uint8, float32, float64, int32 or int64.
///
/// # Errors
/// [`Error`] for a file that is no array, is truncated, or has another element type or order.
pub fn read_npy(path: &Path) -> Result<Array> {
    parse(&read_bounded(path, LIMIT)?).map_err(|what| {
        Error::with_help(path, what, "save it with numpy.save(file, numpy.ascontiguousarray(a, dtype)), dtype uint8 or float32")
    })
}

fn parse(bytes: &[u8]) -> std::result::Result<Array, String> {
    let truncated = || "the .npy header is truncated".to_string();
    if bytes.get(..6) != Some(b"\x93NUMPY") {
        return Err("is not a .npy array (no NUMPY magic)".to_string());
    }
    let version = *bytes.get(6).ok_or_else(truncated)?;
    let (length, start) = match version {
        1 => (
            u64::from(u16::from_le_bytes(field(bytes, 8).ok_or_else(truncated)?)),
            10,
        ),
        2 | 3 => (
            u64::from(u32::from_le_bytes(field(bytes, 8).ok_or_else(truncated)?)),
            12,
        ),
        other => return Err(format!("is of .npy version {other}, expected 1 to 3")),
    };
    let end = usize::try_from(length)
        .ok()
        .and_then(|l| l.checked_add(start))
        .ok_or_else(truncated)?;
    let header = bytes.get(start..end).ok_or_else(truncated)?;
    let header =
        std::str::from_utf8(header).map_err(|_| "the .npy header is not text".to_string())?;
    if entry(header, "fortran_order")?.starts_with("True") {
        return Err("is in Fortran order, expected C order".to_string());
    }
    let shape = parse_shape(entry(header, "shape")?)?;
    let elements = shape
        .iter()
        .try_fold(1usize, |product, &n| product.checked_mul(n))
        .ok_or_else(|| format!("has an absurd shape {shape:?}"))?;
    let data = &bytes[end..];
    let descr = entry(header, "descr")?;
    let code = descr
        .get(1..)
        .and_then(|d| d.split(['\'', '"']).next())
        .unwrap_or("");
    let values = match code {
        "|u1" | "<u1" => Values::U8(fixed::<1>(data, elements)?.map(|b| b[0]).collect()),
        "<f4" => Values::F32(
            fixed::<4>(data, elements)?
                .map(f32::from_le_bytes)
                .collect(),
        ),
        "<f8" => Values::F32(
            fixed::<8>(data, elements)?
                .map(|b| f64::from_le_bytes(b) as f32)
                .collect(),
        ),
        "<i4" => Values::I64(
            fixed::<4>(data, elements)?
                .map(|b| i64::from(i32::from_le_bytes(b)))
                .collect(),
        ),
        "<i8" => Values::I64(
            fixed::<8>(data, elements)?
                .map(i64::from_le_bytes)
                .collect(),
        ),
        _ => {
            return Err(format!(
                "has element type {code:?}, expected uint8, float32, float64, int32 or int64"
            ));
        }
    };
    Ok(Array { shape, values })
}

fn field<const W: usize>(bytes: &[u8], at: usize) -> Option<[u8; W]> {
    bytes.get(at..at + W)?.try_into().ok()
}

/// Exactly `elements` little-endian words.
fn fixed<const W: usize>(
    data: &[u8],
    elements: usize,
) -> std::result::Result<impl Iterator<Item = [u8; W]>, String> {
    if elements.checked_mul(W) != Some(data.len()) {
        return Err(format!(
            "the header announces {elements} elements of {W} bytes, {} bytes follow",
            data.len()
        ));
    }
    Ok(data.as_chunks::<W>().0.iter().copied())
}

/// The text after `'key':` in the header, a Python dictionary.
fn entry<'a>(header: &'a str, key: &str) -> std::result::Result<&'a str, String> {
    let missing = || format!("the .npy header has no {key}");
    let at = [format!("'{key}'"), format!("\"{key}\"")]
        .iter()
        .find_map(|quoted| header.find(quoted.as_str()).map(|i| i + quoted.len()))
        .ok_or_else(missing)?;
    Ok(header[at..]
        .trim_start()
        .strip_prefix(':')
        .ok_or_else(missing)?
        .trim_start())
}

fn parse_shape(text: &str) -> std::result::Result<Vec<usize>, String> {
    let bad = || "the .npy header has no valid shape".to_string();
    let inside = text
        .strip_prefix('(')
        .and_then(|t| t.split(')').next())
        .ok_or_else(bad)?;
    let axes: Vec<&str> = inside
        .split(',')
        .map(str::trim)
        .filter(|a| !a.is_empty())
        .collect();
    if axes.len() > MAX_AXES {
        return Err(format!(
            "has {} axes, at most {MAX_AXES} are supported",
            axes.len()
        ));
    }
    axes.into_iter()
        .map(|a| a.parse().map_err(|_| bad()))
        .collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn npy(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
        let header =
            format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        bytes
    }

    #[test]
    fn reads_what_numpy_writes() {
        let array = parse(&npy("<f4", "(2, 1)", &[0, 0, 128, 63, 0, 0, 0, 192])).unwrap();
        assert_eq!(
            array,
            Array {
                shape: vec![2, 1],
                values: Values::F32(vec![1.0, -2.0])
            }
        );
        let array = parse(&npy("|u1", "(3,)", &[1, 2, 3])).unwrap();
        assert_eq!(
            array,
            Array {
                shape: vec![3],
                values: Values::U8(vec![1, 2, 3])
            }
        );
        let array = parse(&npy("<i4", "()", &[255, 255, 255, 255])).unwrap();
        assert_eq!(
            array,
            Array {
                shape: vec![],
                values: Values::I64(vec![-1])
            }
        );
    }

    #[test]
    fn refuses_what_is_no_array() {
        let check = |bytes: &[u8], expect: &str| {
            let message = parse(bytes).unwrap_err();
            assert!(message.contains(expect), "{message:?} lacks {expect:?}");
        };
        check(b"", "magic");
        check(b"\x93NUMPY", "truncated");
        check(b"\x93NUMPY\x01\x00\xff\xff{", "truncated");
        check(b"\x93NUMPY\x02\x00\xff\xff\xff\xff{", "truncated");
        check(b"\x93NUMPY\x09\x00\x00\x00", "version 9");
        check(&npy("|u1", "(4,)", &[1, 2, 3]), "announces 4");
        check(&npy("<f4", "(4611686018427387904, 4)", &[]), "absurd");
        check(&npy("<f4", "(4611686018427387904,)", &[]), "announces");
        check(&npy("<f4", "(-1,)", &[]), "shape");
        check(&npy("<c8", "(1,)", &[0; 8]), "element type");
        check(&npy("<f4", "(1,1,1,1,1,1,1,1,1)", &[0; 4]), "axes");
    }
}
