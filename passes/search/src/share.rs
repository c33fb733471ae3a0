//! A share that was counted, with what the count leaves open.

use serde::{Deserialize, Serialize};

/// The 0.975 quantile of the normal distribution.
const Z: f64 = 1.959_963_984_540_054;

/// `correct` of `images`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Share {
    /// Images classified as their label says.
    pub correct: usize,
    /// Images in all, at least one.
    pub images: usize,
}

impl Share {
    /// 0 to 1.
    pub fn value(&self) -> f64 {
        self.correct as f64 / self.images as f64
    }

    /// The 95 % interval of the share behind it [Wil27].
    pub fn interval(&self) -> (f64, f64) {
        let (n, p) = (self.images as f64, self.value());
        let spread = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
        let (middle, scale) = (p + Z * Z / (2.0 * n), 1.0 + Z * Z / n);
        (
            ((middle - spread) / scale).max(0.0),
            ((middle + spread) / scale).min(1.0),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_of_the_literature() {
        // 81 of 263 and 15 of 148: Newcombe, Statistics in Medicine 17 (1998), table I.
        let check = |correct, images, low: f64, high: f64| {
            let (a, b) = Share { correct, images }.interval();
            assert!((a - low).abs() < 5e-5 && (b - high).abs() < 5e-5, "{a} {b}");
        };
        check(81, 263, 0.2553, 0.3662);
        check(15, 148, 0.0624, 0.1605);
        check(0, 20, 0.0, 0.1611);
        check(1, 29, 0.0061, 0.1718);
    }
}
