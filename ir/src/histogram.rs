//! The distribution of the values that enter one activation, in one pass over the data: how the
//! statistics of a calibration are measured.

use crate::calibration::{ActivationStatistics, BINS};

/// Bins kept while measuring: at least eight to each of the result's.
const FINE: usize = 16 * BINS;

/// Counts in equal bins over [-range, range]; the range doubles when a value lies beyond, so that
/// the result does not depend on the order of the values.
#[derive(Clone, Debug)]
pub struct Histogram {
    min: f32,
    max: f32,
    range: f32,
    counts: Vec<u64>,
}

impl Default for Histogram {
    fn default() -> Self {
        // Small enough that the first images widen it to the data's own scale.
        Self {
            min: f32::INFINITY,
            max: f32::NEG_INFINITY,
            range: f32::EPSILON,
            counts: vec![0; FINE],
        }
    }
}

impl Histogram {
    /// Counts finite values; others are counted in neither bin nor range, and give `false`.
    pub fn add(&mut self, values: &[f32]) -> bool {
        let (mut low, mut high, mut finite) = (self.min, self.max, true);
        for &v in values {
            low = low.min(v);
            high = high.max(v);
            finite &= v.is_finite();
        }
        if !finite {
            return false;
        }
        (self.min, self.max) = (low, high);
        self.widen(low.abs().max(high.abs()));
        let scale = FINE as f32 / 2.0 / self.range;
        for &v in values {
            let bin = ((v + self.range) * scale) as usize;
            self.counts[bin.min(FINE - 1)] += 1;
        }
        true
    }

    /// Adds what another histogram counted.
    pub fn merge(mut self, mut other: Self) -> Self {
        let range = self.range.max(other.range);
        self.widen(range);
        other.widen(range);
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        self.counts
            .iter_mut()
            .zip(other.counts)
            .for_each(|(a, b)| *a += b);
        self
    }

    /// The largest magnitude; infinite before the first value.
    pub fn largest(&self) -> f32 {
        self.min.abs().max(self.max.abs())
    }

    /// Doubles the range until it is at least `largest`; each doubling merges bins in pairs.
    fn widen(&mut self, largest: f32) {
        while self.range < largest && self.range < f32::MAX / 4.0 {
            let mut counts = vec![0; FINE];
            for (i, pair) in self.counts.chunks(2).enumerate() {
                counts[FINE / 4 + i] = pair.iter().sum();
            }
            (self.counts, self.range) = (counts, 2.0 * self.range);
        }
    }

    /// The statistics, in [`BINS`] bins over [-m, m], m the largest magnitude.
    pub fn statistics(&self, name: &str) -> ActivationStatistics {
        let m = self.largest();
        let mut histogram = vec![0; BINS];
        for (i, count) in self.counts.iter().enumerate() {
            let centre = ((i as f32 + 0.5) / FINE as f32 * 2.0 - 1.0) * self.range;
            let bin = if m > 0.0 {
                (centre / m + 1.0) * (BINS as f32 / 2.0)
            } else {
                BINS as f32 / 2.0
            };
            histogram[(bin.max(0.0) as usize).min(BINS - 1)] += count;
        }
        ActivationStatistics {
            name: name.to_string(),
            min: self.min.into(),
            max: self.max.into(),
            histogram,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_pass_counts_as_a_second_pass_would() {
        let values: Vec<f32> = (0..100_000)
            .map(|i| ((i * 7919 % 100_003) as f32 / 100_003.0).powi(3) * 9.0 - 2.5)
            .collect();
        let mut parts = values.chunks(7001).map(|chunk| {
            let mut h = Histogram::default();
            assert!(h.add(chunk));
            h
        });
        let first = parts.next().unwrap();
        let got = parts.fold(first, Histogram::merge).statistics("a");
        let m = values.iter().fold(0f32, |m, v| m.max(v.abs()));
        let mut expect = vec![0u64; BINS];
        for v in &values {
            expect[(((v / m + 1.0) * 128.0) as usize).min(BINS - 1)] += 1;
        }
        assert_eq!(got.histogram.iter().sum::<u64>(), 100_000);
        // The fine bins at the edges of the coarse ones may fall to either side.
        let mut sums = (0u64, 0u64);
        for (a, b) in got.histogram.iter().zip(&expect) {
            sums = (sums.0 + a, sums.1 + b);
            assert!(sums.0.abs_diff(sums.1) < 2000, "{sums:?}");
        }
        assert!(!Histogram::default().add(&[1.0, f32::NAN]));
    }

    #[test]
    fn zeros_have_statistics() {
        let mut h = Histogram::default();
        assert!(h.add(&[0.0; 9]));
        let s = h.statistics("a");
        assert_eq!(
            (s.min, s.max, s.histogram.iter().sum::<u64>()),
            (0.0, 0.0, 9)
        );
    }
}
