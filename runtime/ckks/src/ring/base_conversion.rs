//! From residues modulo one set of primes to residues modulo another.

use super::Modulus;

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

    /// All targets: one slice of residues for each prime.
    pub fn convert(&self, src: &[&[u64]], dst: &mut [&mut [u64]]) {
        let n = src.first().map_or(0, |s| s.len());
        let mut scaled = vec![0; n * src.len()];
        let mut quotient = vec![0; n];
        let mut parts: Vec<&mut [u64]> = scaled.chunks_exact_mut(n.max(1)).collect();
        self.prepare(src, &mut parts, &mut quotient);
        let parts: Vec<&[u64]> = scaled.chunks_exact(n.max(1)).collect();
        for (j, out) in dst.iter_mut().enumerate() {
            self.convert_limb(j, &parts, &quotient, out);
        }
    }

    /// The part common to all targets: `scaled` gets x_i and `quotient` gets v.
    pub fn prepare(&self, src: &[&[u64]], scaled: &mut [&mut [u64]], quotient: &mut [u64]) {
        assert!(src.len() == self.from.len() && scaled.len() == self.from.len());
        for (k, v) in quotient.iter_mut().enumerate() {
            let mut sum = 0.0;
            for (i, q) in self.from.iter().enumerate() {
                let x = q.mul(src[i][k], self.scale[i]);
                scaled[i][k] = x;
                sum += x as f64 * self.reciprocals[i];
            }
            *v = sum.round_ties_even() as u64;
        }
    }

    /// One target, from what [`BaseConversion::prepare`] gave.
    pub fn convert_limb(
        &self,
        target: usize,
        scaled: &[&[u64]],
        quotient: &[u64],
        dst: &mut [u64],
    ) {
        let weights = &self.weights[target];
        for (k, x) in dst.iter_mut().enumerate() {
            let parts = scaled.iter().map(|s| s[k]).chain([quotient[k]]);
            let sum = parts
                .zip(weights)
                .map(|(s, w)| u128::from(s) * u128::from(*w))
                .sum();
            *x = self.to[target].reduce_u128(sum);
        }
    }
}
