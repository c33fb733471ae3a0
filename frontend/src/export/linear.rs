//! Linear operators of the nn language as ONNX operators.

use super::onnx::Attribute::{self, Int, Ints};
use super::onnx::Writer;
use hecc_ir::nn::{Linear, Shape, Window};

/// A tensor of the written graph.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Its name.
    pub name: String,
    /// Whether it is `[batch, c]`, not `[batch, c, h, w]`; then h = w = 1.
    pub flat: bool,
}

impl Tensor {
    /// `[batch, c, h, w]`.
    pub fn image(name: String) -> Self {
        Self { name, flat: false }
    }

    fn flat(name: String) -> Self {
        Self { name, flat: true }
    }
}

/// `x` of the shape `shape` as `[batch, c, h, w]`.
pub fn unflattened(writer: &mut Writer, name: &str, x: &Tensor, shape: Shape) -> Tensor {
    match x.flat {
        true => reshaped(writer, &format!("{name}/image"), &x.name, shape),
        false => x.clone(),
    }
}

fn reshaped(writer: &mut Writer, name: &str, x: &str, shape: Shape) -> Tensor {
    let dims = [-1, shape.c as i64, shape.h as i64, shape.w as i64];
    let dims = writer.integers(&format!("{name}/shape"), &dims);
    Tensor::image(writer.node("Reshape", name, &[x, &dims], &[]))
}

/// `x` as `[batch, c h w]`.
pub fn flattened(writer: &mut Writer, name: &str, x: &Tensor) -> Tensor {
    match x.flat {
        true => x.clone(),
        false => {
            let name = format!("{name}/flat");
            Tensor::flat(writer.node("Flatten", &name, &[&x.name], &[Int("axis", 1)]))
        }
    }
}

/// Appends `linear` from the shape `input` to `output`; nodes are named after `name`, the last one
/// `name` itself unless the operator does nothing.
pub fn write(
    writer: &mut Writer,
    name: &str,
    x: &Tensor,
    linear: &Linear,
    (input, output): (Shape, Shape),
) -> Tensor {
    let of = |part: &str| format!("{name}/{part}");
    match linear {
        Linear::Conv {
            weight,
            bias,
            out_channels,
            window,
        } => {
            let x = unflattened(writer, name, x, input);
            let [kh, kw] = window.kernel;
            let dims = [*out_channels, input.c / window.groups, kh, kw];
            let attributes = attributes(window);
            let inputs = weights(writer, name, &x.name, (&dims, weight), bias);
            Tensor::image(writer.node("Conv", name, &texts(&inputs), &attributes))
        }
        Linear::ConvTranspose {
            weight,
            bias,
            out_channels,
            window,
            output_padding,
        } => {
            let x = unflattened(writer, name, x, input);
            let [kh, kw] = window.kernel;
            let dims = [input.c, out_channels / window.groups, kh, kw];
            let mut attributes = attributes(window);
            attributes.push(Ints("output_padding", output_padding.to_vec()));
            let inputs = weights(writer, name, &x.name, (&dims, weight), bias);
            Tensor::image(writer.node("ConvTranspose", name, &texts(&inputs), &attributes))
        }
        Linear::Gemm { weight, bias, rows } => {
            let x = flattened(writer, name, x);
            let dims = [*rows, input.elements()];
            let inputs = weights(writer, name, &x.name, (&dims, weight), bias);
            Tensor::flat(writer.node("Gemm", name, &texts(&inputs), &[Int("transB", 1)]))
        }
        Linear::AveragePool { kernel, stride } => {
            let x = unflattened(writer, name, x, input);
            let attributes = [
                Ints("kernel_shape", kernel.to_vec()),
                Ints("strides", stride.to_vec()),
            ];
            Tensor::image(writer.node("AveragePool", name, &[&x.name], &attributes))
        }
        Linear::Affine { scale, shift } => {
            let dims = if x.flat {
                vec![input.c]
            } else {
                vec![input.c, 1, 1]
            };
            affine(writer, name, x, &dims, scale, shift)
        }
        Linear::Elementwise { scale, shift } => {
            let dims = match x.flat {
                true => vec![input.c],
                false => vec![input.c, input.h, input.w],
            };
            affine(writer, name, x, &dims, scale, shift)
        }
        Linear::Slice { start, step, shape } => {
            let x = unflattened(writer, name, x, input);
            let sizes = [shape.c, shape.h, shape.w];
            let end = |i: usize| (start[i] + (sizes[i] - 1) * step[i] + 1) as i64;
            let starts = writer.integers(&of("starts"), &start.map(|s| s as i64));
            let ends = writer.integers(&of("ends"), &[end(0), end(1), end(2)]);
            let axes = writer.integers(&of("axes"), &[1, 2, 3]);
            let steps = writer.integers(&of("steps"), &step.map(|s| s as i64));
            let inputs = [x.name.as_str(), &starts, &ends, &axes, &steps];
            Tensor::image(writer.node("Slice", name, &inputs, &[]))
        }
        Linear::Pad { before, after } => {
            let x = unflattened(writer, name, x, input);
            let side = |v: &[usize; 3]| [0, v[0] as i64, v[1] as i64, v[2] as i64];
            let pads = [side(before), side(after)].concat();
            let pads = writer.integers(&of("pads"), &pads);
            Tensor::image(writer.node("Pad", name, &[&x.name, &pads], &[]))
        }
        Linear::Gather { source, .. } => {
            let x = flattened(writer, name, x);
            let places: Vec<i64> = source.iter().map(|&s| i64::from(s)).collect();
            let places = writer.integers(&of("places"), &places);
            let attributes = [Int("axis", 1)];
            if output.h * output.w == 1 {
                let inputs = [x.name.as_str(), &places];
                return Tensor::flat(writer.node("Gather", name, &inputs, &attributes));
            }
            let inputs = [x.name.as_str(), &places];
            let taken = writer.node("Gather", &of("taken"), &inputs, &attributes);
            reshaped(writer, name, &taken, output)
        }
        Linear::Reshape { shape } => reshaped(writer, name, &x.name, *shape),
    }
}

fn attributes(window: &Window) -> Vec<Attribute> {
    vec![
        Ints("dilations", window.dilation.to_vec()),
        Int("group", window.groups),
        Ints("kernel_shape", window.kernel.to_vec()),
        Ints("pads", window.pads.to_vec()),
        Ints("strides", window.stride.to_vec()),
    ]
}

/// Names of the operand, the weights, and the bias if it is not zero.
fn weights(
    writer: &mut Writer,
    name: &str,
    x: &str,
    (dims, weight): (&[usize], &[f32]),
    bias: &[f32],
) -> Vec<String> {
    let weight = writer.floats(&format!("{name}/weight"), dims, weight);
    let mut inputs = vec![x.to_string(), weight];
    if bias.iter().any(|&b| b != 0.0) {
        inputs.push(writer.floats(&format!("{name}/bias"), &[bias.len()], bias));
    }
    inputs
}

fn texts(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}

/// `scale * x + shift`; the last node is named `name`.
fn affine(
    writer: &mut Writer,
    name: &str,
    x: &Tensor,
    dims: &[usize],
    scale: &[f32],
    shift: &[f32],
) -> Tensor {
    let scales = scale.iter().any(|&s| s != 1.0);
    let shifts = shift.iter().any(|&s| s != 0.0);
    let mut result = x.name.clone();
    if scales {
        let constant = writer.floats(&format!("{name}/scale"), dims, scale);
        let name = if shifts {
            format!("{name}/scaled")
        } else {
            name.to_string()
        };
        result = writer.node("Mul", &name, &[&result, &constant], &[]);
    }
    if shifts {
        let constant = writer.floats(&format!("{name}/shift"), dims, shift);
        result = writer.node("Add", name, &[&result, &constant], &[]);
    }
    Tensor {
        name: result,
        flat: x.flat,
    }
}
