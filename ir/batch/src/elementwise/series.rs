//! Chebyshev series composed, by Clenshaw's recurrence [Cle55] in f32.
//!
//! No table: outside of [-1, 1] a series explodes, and that has to be seen.

use pulp::Simd;

/// Vectors computed together: the recurrence is a chain.
const VECTORS: usize = 4;

/// `range * p_k(...p_1(x / range))`, times `x / range` perhaps.
#[derive(Clone, Debug)]
pub struct Series {
    range: f32,
    polynomials: Vec<Vec<f32>>,
    times_x: bool,
}

impl Series {
    /// As [`hecc_ir::function::Approximation::Levelled`].
    pub fn new(range: f64, polynomials: &[Vec<f64>], times_x: bool) -> Self {
        let rounded = |p: &Vec<f64>| p.iter().map(|&c| c as f32).collect();
        Self {
            range: range as f32,
            polynomials: polynomials.iter().map(rounded).collect(),
            times_x,
        }
    }

    /// Of every element.
    #[inline(always)]
    pub fn apply<S: Simd>(&self, simd: S, x: &mut [f32]) {
        let (vectors, tail) = S::as_mut_simd_f32s(x);
        let (blocks, single) = vectors.as_chunks_mut::<VECTORS>();
        for block in blocks {
            *block = self.of(simd, *block);
        }
        for vector in single {
            [*vector] = self.of(simd, [*vector]);
        }
        let [last] = self.of(simd, [simd.partial_load_f32s(tail)]);
        simd.partial_store_f32s(tail, last);
    }

    #[inline(always)]
    fn of<S: Simd, const V: usize>(&self, simd: S, value: [S::f32s; V]) -> [S::f32s; V] {
        let (over, range) = (
            simd.splat_f32s(self.range.recip()),
            simd.splat_f32s(self.range),
        );
        let x = value.map(|v| simd.mul_f32s(v, over));
        let mut y = x;
        for polynomial in &self.polynomials {
            let twice = y.map(|y| simd.add_f32s(y, y));
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
        std::array::from_fn(|v| {
            let y = if self.times_x {
                simd.mul_f32s(x[v], y[v])
            } else {
                y[v]
            };
            simd.mul_f32s(range, y)
        })
    }
}
