//! What one image shows about one value.

/// Differences between two evaluations of one value.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spread {
    /// Sum of their squares.
    pub square: f64,
    /// The largest.
    pub largest: f32,
}

/// A value in one run, in slot units.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct NodeRun {
    /// Elements of the tensor.
    pub elements: usize,
    /// With noise against without.
    pub noise: Spread,
    /// Without noise against the network itself; None where the network has no such value.
    pub approximation: Option<Spread>,
    /// Sum of the magnitudes, with noise.
    pub magnitude: f64,
    /// Elements that are a series' operand outside [-1, 1]; None for other operators.
    pub outside: Option<usize>,
}

/// Elements summed side by side.
const LANES: usize = 8;

impl Spread {
    /// Between `a` and `b`. Not finite when one of them is not.
    pub fn between(a: &[f32], b: &[f32]) -> Self {
        let mut spread = Self::default();
        for (a, b) in a.chunks(1024).zip(b.chunks(1024)) {
            let (mut squares, mut largest) = ([0f32; LANES], [0f32; LANES]);
            let mut take = |i: usize, a: f32, b: f32| {
                let d = (a - b).abs();
                squares[i] += d * d;
                largest[i] = if d > largest[i] { d } else { largest[i] };
            };
            let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
            for (a, b) in a.iter().zip(b) {
                (0..LANES).for_each(|i| take(i, a[i], b[i]));
            }
            let rest = a_rest.iter().zip(b_rest).enumerate();
            rest.for_each(|(i, (a, b))| take(i, *a, *b));
            spread.square += squares.iter().map(|&s| f64::from(s)).sum::<f64>();
            spread.largest = largest.into_iter().fold(spread.largest, f32::max);
        }
        spread
    }

    /// Of both sets of differences.
    pub fn merge(self, other: Self) -> Self {
        Self {
            square: self.square + other.square,
            largest: self.largest.max(other.largest),
        }
    }
}

impl NodeRun {
    /// Of two runs of one value, or of one value in two images.
    pub fn merge(self, other: Self) -> Self {
        let both = |a: Option<Spread>, b: Option<Spread>| match (a, b) {
            (Some(a), Some(b)) => Some(a.merge(b)),
            (a, b) => a.or(b),
        };
        Self {
            elements: self.elements + other.elements,
            noise: self.noise.merge(other.noise),
            approximation: both(self.approximation, other.approximation),
            magnitude: self.magnitude + other.magnitude,
            outside: match (self.outside, other.outside) {
                (Some(a), Some(b)) => Some(a + b),
                (a, b) => a.or(b),
            },
        }
    }

    /// Mean magnitude of the value.
    pub fn mean_magnitude(&self) -> f64 {
        self.magnitude / self.elements.max(1) as f64
    }

    /// Root mean square of the noise.
    pub fn noise_sd(&self) -> f64 {
        (self.noise.square / self.elements.max(1) as f64).sqrt()
    }
}

/// How many are outside [-1, 1], or are no numbers.
pub fn outside(x: &[f32]) -> usize {
    x.chunks(1024)
        .map(|x| {
            let inside: u32 = x.iter().map(|v| u32::from(v.abs() <= 1.0)).sum();
            x.len() - inside as usize
        })
        .sum()
}

/// Sum of the magnitudes.
pub fn magnitude(x: &[f32]) -> f64 {
    let lanes = |chunk: &[f32]| {
        let mut sums = [0f32; LANES];
        let (blocks, rest) = chunk.as_chunks::<LANES>();
        blocks
            .iter()
            .for_each(|b| (0..LANES).for_each(|i| sums[i] += b[i].abs()));
        let rest: f32 = rest.iter().map(|v| v.abs()).sum();
        f64::from(sums.iter().sum::<f32>() + rest)
    };
    x.chunks(1024).map(lanes).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums() {
        let a: Vec<f32> = (0..2051).map(|i| i as f32 / 1000.0).collect();
        let b: Vec<f32> = a.iter().map(|v| v - 0.5).collect();
        let spread = Spread::between(&a, &b);
        assert!(
            (spread.square - 2051.0 * 0.25).abs() < 1e-2 && (spread.largest - 0.5).abs() < 1e-6
        );
        assert!(Spread::between(&[f32::NAN], &[0.0]).square.is_nan());
        assert_eq!(outside(&a), 2051 - 1001);
        assert_eq!(outside(&[f32::NAN, -1.5, 0.0]), 2);
        let total: f32 = a.iter().sum();
        assert!((magnitude(&a) / f64::from(total) - 1.0).abs() < 1e-4);
    }
}
