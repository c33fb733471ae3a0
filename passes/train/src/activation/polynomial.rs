//! The polynomial that stands for an activation and is trained.

/// A line or a quadratic per channel in Hermite's basis: sigma (c_0 + c_1 u + c_2 (u^2 - 1) / sqrt 2),
/// u = (x - mu) / sigma. The terms are orthonormal for a normal distribution: steps along them do not
/// disturb each other, and coefficients of all channels are of one size [PKK+22].
#[derive(Clone)]
pub(crate) struct Polynomial {
    /// mu, one per channel, constant in training.
    pub mu: Vec<f32>,
    /// sigma, one per channel, constant in training.
    pub sigma: Vec<f32>,
    /// `[channel][terms]`.
    pub coefficients: Vec<f32>,
    /// 2 or 3.
    pub terms: usize,
    /// Whether it becomes an affine map of the graph.
    pub pruned: bool,
}

impl Polynomial {
    /// Of c_0, c_1, c_2 in every channel, the powers k_0, k_1, k_2 of x: k_i = sum_j m_ij c_j.
    pub fn bases(&self) -> impl Iterator<Item = [[f64; 3]; 3]> {
        let channels = self.mu.iter().zip(&self.sigma);
        channels.map(|(&mu, &sigma)| {
            let (mu, sigma) = (f64::from(mu), f64::from(sigma));
            let root = std::f64::consts::SQRT_2;
            [
                [sigma, -mu, (mu * mu / sigma - sigma) / root],
                [0.0, 1.0, -root * mu / sigma],
                [0.0, 0.0, 1.0 / (root * sigma)],
            ]
        })
    }

    /// Rows of coefficients of powers of x.
    pub fn rows(&self) -> Vec<Vec<f32>> {
        let rows = self.coefficients.chunks_exact(self.terms);
        rows.zip(self.bases())
            .map(|(row, base)| {
                let power = |base: [f64; 3]| {
                    let terms = base.iter().zip(row);
                    terms.map(|(m, c)| m * f64::from(*c)).sum::<f64>() as f32
                };
                base.into_iter().take(self.terms).map(power).collect()
            })
            .collect()
    }

    /// Takes over rows of coefficients of powers of x.
    pub fn set_rows(&mut self, rows: &[Vec<f32>]) {
        let bases: Vec<_> = self.bases().collect();
        let targets = self.coefficients.chunks_exact_mut(self.terms);
        for ((target, row), base) in targets.zip(rows).zip(bases) {
            // Triangular: from the highest power down.
            for i in (0..row.len()).rev() {
                let known = (i + 1..row.len()).map(|j| base[i][j] * f64::from(target[j]));
                target[i] = ((f64::from(row[i]) - known.sum::<f64>()) / base[i][i]) as f32;
            }
        }
    }

    /// [k_0, k_1, k_2] of x for every channel.
    pub fn powers(&self) -> Vec<[f32; 3]> {
        let pad = |row: Vec<f32>| [row[0], row[1], row.get(2).copied().unwrap_or(0.0)];
        self.rows().into_iter().map(pad).collect()
    }
}

/// p(x) to p(a x + b), for two or three coefficients.
pub(crate) fn compose(row: &mut [f32], a: f64, b: f64) {
    let [k0, k1, k2] = [0, 1, 2].map(|k| row.get(k).map_or(0.0, |&c| f64::from(c)));
    let composed = [(k2 * b + k1) * b + k0, (2.0 * k2 * b + k1) * a, k2 * a * a];
    let new = row.iter_mut().zip(composed);
    new.for_each(|(c, new)| *c = new as f32);
}
