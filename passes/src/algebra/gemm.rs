//! A Gemm behind another operator.

use hecc_ir::nn::Linear;

use super::{Shapes, per_element, picks};

/// `W first(x) + b` as one Gemm.
pub fn after(
    first: &Linear,
    weight: &[f32],
    bias: &[f32],
    rows: usize,
    shapes: Shapes,
) -> Option<Linear> {
    let (cols, inputs) = (shapes.middle.elements(), shapes.input.elements());
    let gemm = |weight: Vec<f32>, bias: Vec<f32>| Some(Linear::Gemm { weight, bias, rows });
    match first {
        // Both read their input in c-major order, which is all a Reshape keeps.
        Linear::Reshape { .. } => gemm(weight.to_vec(), bias.to_vec()),
        Linear::Affine { .. } | Linear::Elementwise { .. } => {
            let (scale, shift) = per_element(first, shapes.middle)?;
            let (mut weight, mut bias) = (weight.to_vec(), bias.to_vec());
            for (row, b) in weight.chunks_mut(cols).zip(&mut bias) {
                let dot = |(w, t): (&f32, &f32)| f64::from(*w) * f64::from(*t);
                *b = (f64::from(*b) + row.iter().zip(&shift).map(dot).sum::<f64>()) as f32;
                row.iter_mut().zip(&scale).for_each(|(w, s)| *w *= s);
            }
            gemm(weight, bias)
        }
        Linear::Slice { .. } | Linear::Pad { .. } | Linear::Gather { .. } => {
            // Only where the matrix does not grow.
            if inputs > cols {
                return None;
            }
            let picks = picks(first, shapes.input, shapes.middle)?;
            let mut out = vec![0.0; rows * inputs];
            for (from, to) in weight.chunks(cols).zip(out.chunks_mut(inputs)) {
                for (w, pick) in from.iter().zip(&picks) {
                    if let Some(i) = pick {
                        to[*i as usize] += w;
                    }
                }
            }
            gemm(out, bias.to_vec())
        }
        Linear::Gemm {
            weight: inner,
            bias: offset,
            ..
        } => {
            let both = inner.len() + weight.len();
            if rows.saturating_mul(inputs) > both {
                return None;
            }
            let mut out = Vec::with_capacity(rows * inputs);
            let mut shifted = bias.to_vec();
            for (row, b) in weight.chunks(cols).zip(&mut shifted) {
                let mut sums = vec![0.0f64; inputs];
                let mut constant = f64::from(*b);
                for ((w, inner), t) in row.iter().zip(inner.chunks(inputs)).zip(offset) {
                    constant += f64::from(*w) * f64::from(*t);
                    let add = |(s, v): (&mut f64, &f32)| *s += f64::from(*w) * f64::from(*v);
                    sums.iter_mut().zip(inner).for_each(add);
                }
                out.extend(sums.into_iter().map(|s| s as f32));
                *b = constant as f32;
            }
            gemm(out, shifted)
        }
        Linear::Conv { .. } | Linear::ConvTranspose { .. } | Linear::AveragePool { .. } => None,
    }
}
