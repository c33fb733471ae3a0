//! From residues modulo one set of primes to residues modulo another.

use super::Modulus;
use super::kernels::{each, pad, unpad};
use super::lanes::Lanes;
use super::products::sum_products;
use super::simd::simd;

/// Elements that one round of a conversion treats: eight limbs of them fill the nearest cache.
const TILE: usize = 512;

/// Base conversion {q_i} -> {p_j} of the centred representative, on coefficients. With x_i = src_i (Q/q_i)^-1 mod q_i
/// and v = round(sum_i x_i / q_i), in f64, the value is sum_i x_i Q/q_i - v Q [HPS19]. It is exact but for values
/// within 2^-40 Q of the wrap at +-Q/2, which may come out Q away.
#[derive(Clone, Debug)]
pub struct BaseConversion {
    from: Vec<Modulus>,
    to: Vec<Modulus>,
    /// (Q/q_i)^-1 mod q_i
    scale: Vec<u64>,
    /// 1 / q_i
    reciprocals: Vec<f64>,
    /// Q/q_i mod p_j, then -Q mod p_j: one row for each j
    weights: Vec<Vec<u64>>,
}

impl BaseConversion {
    /// Panics unless the `from` are pairwise coprime.
    pub fn new(from: &[Modulus], to: &[Modulus]) -> Self {
        let product_without = |m: &Modulus, skip: usize| {
            let others = from.iter().enumerate().filter(|(k, _)| *k != skip);
            others.fold(1, |product, (_, q)| m.mul(product, m.reduce_u64(q.value())))
        };
        let scale = (0..from.len())
            .map(|i| {
                from[i]
                    .inv_vartime(product_without(&from[i], i))
                    .expect("coprime moduli")
            })
            .collect();
        let weights = to
            .iter()
            .map(|p| {
                let mut row: Vec<u64> = (0..from.len()).map(|i| product_without(p, i)).collect();
                row.push(p.neg(product_without(p, usize::MAX)));
                row
            })
            .collect();
        BaseConversion {
            from: from.to_vec(),
            to: to.to_vec(),
            scale,
            reciprocals: from.iter().map(|q| 1.0 / q.value() as f64).collect(),
            weights,
        }
    }

    /// The primes it converts from.
    pub fn from(&self) -> &[Modulus] {
        &self.from
    }

    /// The primes it converts to.
    pub fn to(&self) -> &[Modulus] {
        &self.to
    }

    /// All targets: one slice of residues for each prime. It goes by tiles that stay in the nearest cache.
    pub fn convert(&self, src: &[&[u64]], dst: &mut [&mut [u64]]) {
        assert!(src.len() == self.from.len() && dst.len() == self.to.len());
        let n = src[0].len();
        let mut tile = vec![0; (self.from.len() + 1) * TILE];
        for at in (0..n).step_by(TILE) {
            let range = at..n.min(at + TILE);
            let (scaled, quotient) = tile.split_at_mut(self.from.len() * TILE);
            let quotient = &mut quotient[..range.len()];
            quotient.fill(0);
            for (i, x) in scaled.chunks_exact_mut(TILE).enumerate() {
                self.scale(i, &src[i][range.clone()], &mut x[..range.len()], quotient);
            }
            round(quotient);
            for ((p, weights), out) in self.to.iter().zip(&self.weights).zip(&mut *dst) {
                weigh_tile(p, weights, &tile, &mut out[range.clone()]);
            }
        }
    }

    /// The part common to all targets: `scaled` gets x_i and `quotient` gets v.
    pub fn prepare(&self, src: &[&[u64]], scaled: &mut [&mut [u64]], quotient: &mut [u64]) {
        assert!(src.len() == self.from.len() && scaled.len() == self.from.len());
        quotient.fill(0);
        for (i, x) in scaled.iter_mut().enumerate() {
            self.scale(i, src[i], x, quotient);
        }
        round(quotient);
    }

    /// One target, from what [`BaseConversion::prepare`] gave.
    pub fn convert_limb(
        &self,
        target: usize,
        scaled: &[&[u64]],
        quotient: &[u64],
        dst: &mut [u64],
    ) {
        assert_eq!(scaled.len(), self.from.len());
        weigh(
            &self.to[target],
            &self.weights[target],
            scaled,
            quotient,
            dst,
        );
    }

    fn scale(&self, i: usize, src: &[u64], x: &mut [u64], sums: &mut [u64]) {
        scale_limb(
            &self.from[i],
            self.scale[i],
            self.reciprocals[i],
            src,
            x,
            sums,
        );
    }
}

simd! {
    /// x = src * scale, and sums += x / q, as f64.
    fn scale_limb(s, q: &Modulus, scale: u64, reciprocal: f64, src: &[u64], x: &mut [u64], sums: &mut [u64]) {
        assert!(src.len() == x.len() && src.len() == sums.len());
        let l = Lanes::new(s, q);
        let (w, w_shoup) = (s.splat(scale), s.splat(q.shoup(scale)));
        let reciprocal = s.splat(reciprocal.to_bits());
        let ((src, src_rest), (x, x_rest)) = (s.chunks(src), s.chunks_mut(x));
        let (sums, sums_rest) = s.chunks_mut(sums);
        for ((y, x), sum) in src.iter().zip(x).zip(sums) {
            let scaled = l.reduce_from_2q(l.mul_shoup_lazy(s.load(y), w, w_shoup));
            s.store(x, scaled);
            let fraction = s.f64_mul(s.f64_from(scaled), reciprocal);
            s.store(sum, s.f64_add(s.load(sum), fraction));
        }
        if !src_rest.is_empty() {
            let scaled = l.reduce_from_2q(l.mul_shoup_lazy(pad(s, src_rest), w, w_shoup));
            unpad(s, x_rest, scaled);
            let fraction = s.f64_mul(s.f64_from(scaled), reciprocal);
            let sum = s.f64_add(pad(s, sums_rest), fraction);
            unpad(s, sums_rest, sum);
        }
    }

    /// Nearest integers of f64.
    fn round(s, sums: &mut [u64]) {
        each(s, sums, #[inline(always)] |sum| s.f64_to(sum));
    }

    /// out = sum_i weights_i scaled_i + weight_last quotient.
    fn weigh(s, p: &Modulus, weights: &[u64], scaled: &[&[u64]], quotient: &[u64], out: &mut [u64]) {
        let l = Lanes::new(s, p);
        sum_products(l, weights.len(), #[inline(always)] |i: usize| {
            (weights[i], [scaled.get(i).copied().unwrap_or(quotient)])
        }, [out], false);
    }

    /// The same with all parts in one tile.
    fn weigh_tile(s, p: &Modulus, weights: &[u64], tile: &[u64], out: &mut [u64]) {
        let (l, len) = (Lanes::new(s, p), out.len());
        sum_products(l, weights.len(), #[inline(always)] |i: usize| {
            (weights[i], [&tile[i * TILE..][..len]])
        }, [out], false);
    }
}
