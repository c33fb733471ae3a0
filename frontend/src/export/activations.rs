//! Approximations as ONNX operators: a cosine series as `Mul, Add, Cos` and the recurrence of its
//! Chebyshev polynomials, a composition as one recurrence after the other, a square as one product.

use super::onnx::Writer;
use hecc_ir::function::Approximation;
use std::f64::consts::FRAC_PI_2;

/// Appends `approximation` of the tensor `x`; the last node carries `name` where that is possible.
pub fn write(writer: &mut Writer, name: &str, x: &str, approximation: &Approximation) -> String {
    let of = |part: &str| format!("{name}/{part}");
    let last = |range: f64| range as f32 == 1.0;
    match approximation {
        Approximation::Fused {
            range,
            rho,
            coefficients,
        } => {
            let slope = (FRAC_PI_2 * rho / range) as f32;
            let scaled = writer.times(&of("scaled"), x, slope);
            let angle = writer.plus(&of("angle"), &scaled, FRAC_PI_2 as f32);
            let cosine = writer.node("Cos", &of("cos"), &[&angle], &[]);
            let sum = if last(*range) {
                name.to_string()
            } else {
                of("sum")
            };
            let sum = series(writer, &sum, &cosine, coefficients);
            writer.times(name, &sum, *range as f32)
        }
        Approximation::Levelled {
            range,
            polynomials,
            times_x,
        } => {
            let scaled = writer.times(&of("scaled"), x, (1.0 / range) as f32);
            let mut value = scaled.clone();
            for polynomial in polynomials {
                value = series(writer, &of("sum"), &value, polynomial);
            }
            if *times_x {
                value = writer.node("Mul", &of("product"), &[&scaled, &value], &[]);
            }
            writer.times(name, &value, *range as f32)
        }
        Approximation::Square { .. } => writer.node("Mul", name, &[x, x], &[]),
    }
}

/// `sum_k c_k T_k(y)` by Clenshaw's recurrence `b_k = c_k + 2 y b_{k+1} - b_{k+2}` [Cle55]. Every
/// coefficient stands in the file as it is.
fn series(writer: &mut Writer, name: &str, y: &str, coefficients: &[f64]) -> String {
    let c: Vec<f32> = coefficients.iter().map(|&c| c as f32).collect();
    let of = |k: usize| format!("{name}/b{k}");
    let degree = c.len().saturating_sub(1);
    let twice = match degree {
        0 | 1 => String::new(),
        _ => writer.times(&format!("{name}/twice"), y, 2.0),
    };
    // b_{k+1} and b_{k+2}, constants at first.
    let (mut next, mut second) = (
        Term::Constant(c.get(degree).copied().unwrap_or(0.0)),
        Term::Constant(0.0),
    );
    for k in (0..degree).rev() {
        let factor = if k == 0 { y } else { &twice };
        let product = match &next {
            Term::Constant(c) => writer.times(&format!("{}/product", of(k)), factor, *c),
            Term::Tensor(b) => writer.node("Mul", &format!("{}/product", of(k)), &[factor, b], &[]),
        };
        let rest = match &second {
            Term::Constant(c) => writer.plus(&format!("{}/rest", of(k)), &product, -c),
            Term::Tensor(b) => writer.node("Sub", &format!("{}/rest", of(k)), &[&product, b], &[]),
        };
        let name = if k == 0 { name.to_string() } else { of(k) };
        let b = Term::Tensor(writer.plus(&name, &rest, c[k]));
        (second, next) = (next, b);
    }
    match next {
        Term::Tensor(b) => b,
        // A checked series has degree 1 or more.
        Term::Constant(_) => y.to_string(),
    }
}

enum Term {
    Constant(f32),
    Tensor(String),
}
