//! Constants: checked before tract reads them, read after it has folded them.

use super::error::{Problem, Step};
use tract_onnx::pb::TensorProto;
use tract_onnx::pb::tensor_proto::{DataLocation, DataType};
use tract_onnx::prelude::Tensor;

/// Elements of one constant.
const MAX_ELEMENTS: u64 = 1 << 27;
/// Axes of one constant.
const MAX_AXES: usize = 8;

/// Checks type, dimensions, data length and finiteness of a stored tensor; `name` stands for it in
/// errors. Gives the number of elements.
pub(super) fn check(tensor: &TensorProto, name: &str) -> Step<u64> {
    let problem = |what: String| Problem::new(format!("tensor {name:?} {what}"));
    if tensor.data_location == Some(DataLocation::External as i32)
        || !tensor.external_data.is_empty()
    {
        return Err(problem("is stored in another file".to_string())
            .help("store the weights inside the model: onnx.save(onnx.load(\"model.onnx\"), \"single.onnx\")"));
    }
    if tensor.segment.is_some() {
        return Err(problem(
            "is stored in segments, which is not supported".to_string(),
        ));
    }
    let (width, typed) = match DataType::try_from(tensor.data_type) {
        Ok(DataType::Float) => (4, tensor.float_data.len()),
        Ok(DataType::Int64) => (8, tensor.int64_data.len()),
        Ok(DataType::Int32) => (4, tensor.int32_data.len()),
        Ok(DataType::Bool) => (1, tensor.int32_data.len()),
        Ok(other) => {
            return Err(
                problem(format!("holds elements of type {}", other.as_str_name()))
                    .help("export the model in float32; shapes may be int64, int32 or bool"),
            );
        }
        Err(_) => {
            return Err(problem(format!(
                "has the unknown element type {}",
                tensor.data_type
            )));
        }
    };
    if tensor.dims.len() > MAX_AXES {
        return Err(problem(format!(
            "has {} axes, at most {MAX_AXES} are supported",
            tensor.dims.len()
        )));
    }
    // An empty list of axes, a shape without dimensions or a region left out is a vector of length 0.
    let empty_list = tensor.dims == [0];
    if let Some(dim) = tensor
        .dims
        .iter()
        .find(|&&d| d < 0 || d == 0 && !empty_list)
    {
        return Err(problem(format!(
            "has a dimension of {dim}, expected at least 1"
        )));
    }
    let elements = tensor
        .dims
        .iter()
        .try_fold(1u64, |n, &d| n.checked_mul(d as u64));
    let elements = elements.filter(|&n| n <= MAX_ELEMENTS).ok_or_else(|| {
        problem(format!(
            "has dimensions {:?}, more than {MAX_ELEMENTS} elements",
            tensor.dims
        ))
    })?;
    let (found, expected) = match tensor.raw_data.len() {
        0 => (typed as u64, elements),
        bytes => (bytes as u64, elements * width),
    };
    if found != expected {
        return Err(problem(format!(
            "has dimensions {:?} but {found} instead of {expected} bytes or elements of data",
            tensor.dims
        ))
        .help("the file is damaged; export the model again"));
    }
    if tensor.data_type == DataType::Float as i32 {
        let raw = tensor
            .raw_data
            .as_chunks::<4>()
            .0
            .iter()
            .map(|b| f32::from_le_bytes(*b));
        if let Some((i, v)) = raw
            .chain(tensor.float_data.iter().copied())
            .enumerate()
            .find(|(_, v)| !v.is_finite())
        {
            return Err(
                problem(format!("element {i} is {v}; weights must be finite"))
                    .help("the training diverged or the file is damaged"),
            );
        }
    }
    Ok(elements)
}

/// Integers of a folded constant.
pub(super) fn integers(tensor: &Tensor) -> Option<Vec<i64>> {
    let cast = tensor.cast_to::<i64>().ok()?;
    Some(
        cast.try_as_plain_ram()
            .ok()?
            .as_slice::<i64>()
            .ok()?
            .to_vec(),
    )
}

/// Floats of a folded float32 constant.
pub(super) fn floats(tensor: &Tensor) -> Option<Vec<f32>> {
    Some(
        tensor
            .try_as_plain_ram()
            .ok()?
            .as_slice::<f32>()
            .ok()?
            .to_vec(),
    )
}

/// Numbers of a folded constant of any type.
pub(super) fn numbers(tensor: &Tensor) -> Option<Vec<f64>> {
    let cast = tensor.cast_to::<f64>().ok()?;
    Some(
        cast.try_as_plain_ram()
            .ok()?
            .as_slice::<f64>()
            .ok()?
            .to_vec(),
    )
}
