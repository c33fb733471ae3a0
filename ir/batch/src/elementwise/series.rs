//! Chebyshev series, one after the other, by Clenshaw's recurrence [Cle55] in f32: of the operand, or of
//! a cosine of it.
//!
//! No table: outside of [-1, 1] a levelled series explodes, and that has to be seen.

use pulp::Simd;

/// Vectors computed together: the recurrence is a chain.
const VECTORS: usize = 4;

/// Series composed, the first applied first.
#[derive(Clone, Debug)]
pub struct Series {
    argument: Argument,
    polynomials: Vec<Vec<f32>>,
    /// Whether x / range multiplies the result.
    times_x: bool,
    /// Multiplies the result at last.
    range: f32,
}

/// What the first series is of.
#[derive(Clone, Copy, Debug)]
enum Argument {
    /// The operand over the range.
    Linear(f32),
    /// cos((pi/2)(1 + 4 `quarter` x)).
    Cosine {
        /// rho / 4 over the range.
        quarter: f32,
    },
}

/// sin(pi s) / s in powers of s^2: Taylor's, off by 6e-8 at most where |s| <= 1/2.
const SINE: [f32; 6] = [
    std::f32::consts::PI,
    -5.167_712_8,
    2.550_164,
    -0.599_264_5,
    0.082_145_89,
    -0.007_370_431,
];
/// Added and subtracted, it rounds what is below 2^22.
const ROUND: f32 = 12_582_912.0;

fn rounded(polynomial: &[f64]) -> Vec<f32> {
    polynomial.iter().map(|&c| c as f32).collect()
}

impl Series {
    /// As [`hecc_ir::function::Approximation::Levelled`].
    pub fn levelled(range: f64, polynomials: &[Vec<f64>], times_x: bool) -> Self {
        Self {
            argument: Argument::Linear(range.recip() as f32),
            polynomials: polynomials.iter().map(|p| rounded(p)).collect(),
            times_x,
            range: range as f32,
        }
    }

    /// As [`hecc_ir::function::Approximation::Fused`].
    pub fn fused(range: f64, rho: f64, coefficients: &[f64]) -> Self {
        let quarter = (rho / range / 4.0) as f32;
        Self {
            argument: Argument::Cosine { quarter },
            polynomials: vec![rounded(coefficients)],
            times_x: false,
            range: range as f32,
        }
    }

    /// Of every element.
    #[inline(always)]
    pub fn apply<S: Simd>(&self, simd: S, x: &mut [f32]) {
        let (vectors, tail) = S::as_mut_simd_f32s(x);
        let (blocks, single) = vectors.as_chunks_mut::<VECTORS>();
        for block in blocks {
            self.replace(simd, block);
        }
        for vector in single {
            self.replace(simd, std::array::from_mut(vector));
        }
        let mut last = [simd.partial_load_f32s(tail)];
        self.replace(simd, &mut last);
        simd.partial_store_f32s(tail, last[0]);
    }

    #[inline(always)]
    fn replace<S: Simd, const V: usize>(&self, simd: S, value: &mut [S::f32s; V]) {
        let range = simd.splat_f32s(self.range);
        let x = *value;
        let mut y = x;
        for y in &mut y {
            *y = match self.argument {
                Argument::Linear(over) => simd.mul_f32s(*y, simd.splat_f32s(over)),
                Argument::Cosine { quarter } => cosine(simd, *y, quarter),
            };
        }
        let argument = y;
        for polynomial in &self.polynomials {
            let mut twice = y;
            for twice in &mut twice {
                *twice = simd.add_f32s(*twice, *twice);
            }
            let mut b1 = [simd.splat_f32s(0.0); V];
            let mut b2 = b1;
            for &c in polynomial[1..].iter().rev() {
                let c = simd.splat_f32s(c);
                for v in 0..V {
                    let next = simd.mul_add_f32s(twice[v], b1[v], simd.sub_f32s(c, b2[v]));
                    (b1[v], b2[v]) = (next, b1[v]);
                }
            }
            let c = simd.splat_f32s(polynomial[0]);
            for v in 0..V {
                y[v] = simd.mul_add_f32s(y[v], b1[v], simd.sub_f32s(c, b2[v]));
            }
        }
        for v in 0..V {
            if self.times_x {
                y[v] = simd.mul_f32s(argument[v], y[v]);
            }
            value[v] = simd.mul_f32s(range, y[v]);
        }
    }
}

/// cos((pi/2)(1 + 4 quarter x)): sin(pi s) with s = 1/2 - |2 turn|, the angle being a whole number of
/// turns and `turn` in [-1/2, 1/2]. Not a number where x is not finite.
#[inline(always)]
fn cosine<S: Simd>(simd: S, x: S::f32s, quarter: f32) -> S::f32s {
    let splat = |c| simd.splat_f32s(c);
    let turn = simd.mul_add_f32s(x, splat(quarter), splat(0.25));
    let whole = simd.sub_f32s(simd.add_f32s(turn, splat(ROUND)), splat(ROUND));
    let turn = simd.abs_f32s(simd.sub_f32s(turn, whole));
    // Beyond the reach of ROUND the angle means nothing, but the result has to stay a cosine.
    let turn = simd.min_f32s(turn, splat(0.5));
    let s = simd.mul_add_f32s(turn, splat(-2.0), splat(0.5));
    let square = simd.mul_f32s(s, s);
    let mut sum = splat(SINE[5]);
    for &c in SINE[..5].iter().rev() {
        sum = simd.mul_add_f32s(sum, square, splat(c));
    }
    // min may drop what is not a number.
    simd.mul_add_f32s(s, sum, simd.sub_f32s(x, x))
}
