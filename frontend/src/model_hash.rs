//! What binds a calibration to a model.
//!
//! Exports of one network fold to graphs of one structure whose weights differ in the last bits, as
//! each rounds in its own order. A hash of the weights would tell them apart, and rounding before
//! hashing would do so wherever a weight lies near an edge. So only the structure is hashed: the
//! operators with their attributes, names, shapes and operands. For the weights, four sums with
//! pseudo-random signs are kept and compared with a tolerance: every operator adds its constants over
//! their norm, and the logarithm of that norm, so that each counts the same whatever its size.

use hecc_ir::function::{Approximation, Function};
use hecc_ir::nn::{Graph, Linear, Op, Window};
use std::fmt::Write as _;

/// Hexadecimal digits of the structure's part.
const STRUCTURE: usize = 32;
/// Largest difference of a sum: exports differ by some 1e-6, one layer trained on by a thousandth of
/// its norm by some 1e-3.
const TOLERANCE: f32 = 1e-3;

/// 64 hexadecimal digits of an imported and folded graph: 32 of BLAKE3 of its structure, and four sums
/// over its weights as f32, 8 digits each.
pub fn model_hash(graph: &Graph) -> String {
    let mut hasher = blake3::Hasher::new();
    let mut sums = [0.0f64; 4];
    for (index, id) in graph.nodes.node_indices().enumerate() {
        let node = &graph.nodes[id];
        let operands: Vec<usize> = graph.operands(id).iter().map(|o| o.index()).collect();
        let text = format!(
            "{} {} {} {operands:?};",
            structure(&node.op),
            node.name,
            node.shape
        );
        hasher.update(text.as_bytes());
        if let Op::Linear(Linear::Gather { source, .. }) = &node.op {
            for place in source {
                hasher.update(&place.to_le_bytes());
            }
        }
        let constants = constants(&node.op);
        let norm = constants.iter().map(|v| v * v).sum::<f64>().sqrt();
        if norm > 0.0 {
            let signs = |place: usize| mix(((index as u64) << 32) ^ place as u64);
            add(&mut sums, signs(u32::MAX as usize), norm.ln());
            for (place, value) in constants.iter().enumerate() {
                add(&mut sums, signs(place), value / norm);
            }
        }
    }
    hasher.update(format!("returns {}", graph.output.index()).as_bytes());
    let mut text = hasher.finalize().to_hex()[..STRUCTURE].to_string();
    for sum in sums {
        // Writing to a string does not fail.
        let _ = write!(text, "{:08x}", (sum as f32).to_bits());
    }
    text
}

/// Whether two hashes are of one network, up to the rounding of its weights.
pub fn same_model(a: &str, b: &str) -> bool {
    let sums = |text: &str| -> Option<Vec<f32>> {
        let part = |i: usize| text.get(STRUCTURE + 8 * i..STRUCTURE + 8 * (i + 1));
        let bits = |i: usize| u32::from_str_radix(part(i)?, 16).ok();
        (0..4).map(|i| bits(i).map(f32::from_bits)).collect()
    };
    let structure = a
        .get(..STRUCTURE)
        .is_some_and(|s| b.get(..STRUCTURE) == Some(s));
    match (sums(a), sums(b)) {
        (Some(x), Some(y)) => {
            structure && x.iter().zip(&y).all(|(x, y)| (x - y).abs() <= TOLERANCE)
        }
        _ => false,
    }
}

fn windows(window: &Window, output_padding: Option<&[usize; 2]>) -> String {
    let Window {
        kernel,
        stride,
        pads,
        dilation,
        groups,
    } = window;
    let extra = output_padding.map(|extra| format!(" {extra:?}"));
    let extra = extra.unwrap_or_default();
    format!("{kernel:?} {stride:?} {pads:?}{extra} {dilation:?} {groups}")
}

/// An operator without its weights.
fn structure(op: &Op) -> String {
    match op {
        Op::Input => "input".to_string(),
        Op::Add => "add".to_string(),
        Op::Mul => "mul".to_string(),
        Op::Activation(function) => format!("{} {}", function.name(), degrees(function)),
        Op::Linear(linear) => {
            let name = linear.name();
            match linear {
                Linear::Conv { window, .. } => format!("{name} {}", windows(window, None)),
                Linear::ConvTranspose {
                    window,
                    output_padding,
                    ..
                } => format!("{name} {}", windows(window, Some(output_padding))),
                Linear::AveragePool { kernel, stride } => format!("{name} {kernel:?} {stride:?}"),
                Linear::Slice { start, step, .. } => format!("{name} {start:?} {step:?}"),
                Linear::Pad { before, after } => format!("{name} {before:?} {after:?}"),
                Linear::Gemm { .. }
                | Linear::Affine { .. }
                | Linear::Elementwise { .. }
                | Linear::Gather { .. }
                | Linear::Reshape { .. } => name.to_string(),
            }
        }
    }
}

/// Lengths of a function's series.
fn degrees(function: &Function) -> String {
    match function {
        Function::Power { exponent } => exponent.to_string(),
        Function::Polynomial { coefficients } => {
            format!("{}x{}", coefficients.len(), coefficients[0].len())
        }
        Function::Approximated(Approximation::Fused { coefficients, .. }) => {
            coefficients.len().to_string()
        }
        Function::Approximated(Approximation::Levelled {
            polynomials,
            times_x,
            ..
        }) => {
            let lengths: Vec<usize> = polynomials.iter().map(Vec::len).collect();
            format!("{lengths:?} {times_x}")
        }
        Function::Relu
        | Function::LeakyRelu { .. }
        | Function::Clip { .. }
        | Function::Sigmoid
        | Function::HardSigmoid { .. }
        | Function::HardSwish
        | Function::Silu
        | Function::Gelu { .. }
        | Function::Tanh
        | Function::Elu { .. }
        | Function::Selu { .. }
        | Function::Softplus
        | Function::Mish
        | Function::Abs
        | Function::Sqrt
        | Function::Exp
        | Function::Reciprocal
        | Function::Approximated(Approximation::Square { .. }) => String::new(),
    }
}

/// The weights of an operator and the numbers of a function.
fn constants(op: &Op) -> Vec<f64> {
    let wide = |v: &[f32]| v.iter().map(|&v| f64::from(v)).collect::<Vec<f64>>();
    match op {
        Op::Input | Op::Add | Op::Mul => Vec::new(),
        Op::Linear(linear) => linear.constants().into_iter().flat_map(wide).collect(),
        Op::Activation(function) => match function {
            Function::LeakyRelu { slope } => wide(&[*slope]),
            Function::Clip { min, max } => wide(&[*min, *max]),
            Function::HardSigmoid { alpha, beta } => wide(&[*alpha, *beta]),
            Function::Elu { alpha } => wide(&[*alpha]),
            Function::Selu { alpha, gamma } => wide(&[*alpha, *gamma]),
            Function::Polynomial { coefficients } => {
                coefficients.iter().flat_map(|row| wide(row)).collect()
            }
            Function::Approximated(approximation) => {
                let mut all = vec![approximation.range()];
                match approximation {
                    Approximation::Fused {
                        rho, coefficients, ..
                    } => {
                        all.push(*rho);
                        all.extend(coefficients);
                    }
                    Approximation::Levelled { polynomials, .. } => {
                        all.extend(polynomials.iter().flatten());
                    }
                    Approximation::Square { .. } => {}
                }
                all
            }
            Function::Relu
            | Function::Sigmoid
            | Function::HardSwish
            | Function::Silu
            | Function::Gelu { .. }
            | Function::Tanh
            | Function::Softplus
            | Function::Mish
            | Function::Abs
            | Function::Sqrt
            | Function::Exp
            | Function::Reciprocal
            | Function::Power { .. } => Vec::new(),
        },
    }
}

/// Adds `value` to four sums, each with the sign that one bit says.
fn add(sums: &mut [f64; 4], signs: u64, value: f64) {
    for (bit, sum) in sums.iter_mut().enumerate() {
        *sum += if signs >> bit & 1 == 1 { value } else { -value };
    }
}

/// The output function of SplitMix64.
fn mix(seed: u64) -> u64 {
    let z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hecc_ir::nn::{Shape, ValueId};

    fn graph(edit: fn(&mut Vec<f32>)) -> Graph {
        let mut weight: Vec<f32> = (0..2 * 2 * 9)
            .map(|i| ((i * 37 % 19) as f32) * 0.1 - 0.9)
            .collect();
        edit(&mut weight);
        let mut graph = Graph::new("x", Shape::new(2, 6, 6));
        let conv = Linear::Conv {
            weight,
            bias: vec![0.1, 0.2],
            out_channels: 2,
            window: Window::same(3, 1),
        };
        let shape = Shape::new(2, 6, 6);
        let y = graph.push(Op::Linear(conv), "conv1", shape, &[ValueId::new(0)]);
        graph.output = graph.push(Op::Activation(Function::Relu), "relu1", shape, &[y]);
        graph
    }

    #[test]
    fn rounding_is_forgiven_and_training_is_not() {
        let original = model_hash(&graph(|_| ()));
        assert_eq!(original.len(), 64);
        let same = |edit| same_model(&original, &model_hash(&graph(edit)));
        assert!(same(|w| w
            .iter_mut()
            .for_each(|v| *v *= 1.0 + f32::EPSILON)));
        assert!(same(|w| w[3] += 1e-6));
        assert!(!same(|w| w[3] += 0.02));
        assert!(!same(|w| w.swap(0, 1)));
        assert!(!same(|w| w.iter_mut().for_each(|v| *v *= 1.01)));
        let mut other = graph(|_| ());
        let output = other.output;
        other.nodes[output].op = Op::Activation(Function::Silu);
        assert!(!same_model(&original, &model_hash(&other)));
        assert!(!same_model(&original, "") && !same_model("", "") && !same_model("é", &original));
    }
}
