//! How far logits are from those expected.

use hecc_ir::nn_eval::class;

/// Difference of two vectors of logits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Deviation {
    /// Largest difference of a logit.
    pub error: f64,
    /// Largest minus smallest expected logit.
    pub spread: f64,
    /// Whether the largest logit is at the same place.
    pub same_class: bool,
}

impl Deviation {
    /// Difference of `got` from `expected`; infinite when a logit is not a number or the lengths differ.
    pub fn of(got: &[f64], expected: &[f64]) -> Self {
        let pairs = got.iter().zip(expected);
        let mut error = pairs.map(|(g, e)| (g - e).abs()).fold(0.0, f64::max);
        if got.len() != expected.len() || got.iter().chain(expected).any(|v| !v.is_finite()) {
            error = f64::INFINITY;
        }
        let largest = expected.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let smallest = expected.iter().copied().fold(f64::INFINITY, f64::min);
        Self {
            error,
            spread: largest - smallest,
            same_class: class(got) == class(expected),
        }
    }

    /// Error in percent of the spread.
    pub fn percent(&self) -> f64 {
        100.0 * self.error / self.spread
    }

    /// Correct bits of the spread.
    pub fn bits(&self) -> f64 {
        (self.spread / self.error).log2()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measures() {
        let d = Deviation::of(&[1.0, 8.5, -1.0], &[1.25, 7.0, -1.0]);
        assert_eq!((d.error, d.spread, d.same_class), (1.5, 8.0, true));
        assert_eq!(d.percent(), 18.75);
        assert!((d.bits() - 2.415).abs() < 1e-3);
        assert!(!Deviation::of(&[2.0, 1.0], &[1.0, 2.0]).same_class);
        assert!(
            Deviation::of(&[f64::NAN, 1.0], &[0.0, 1.0])
                .error
                .is_infinite()
        );
        assert!(Deviation::of(&[1.0], &[0.0, 1.0]).error.is_infinite());
    }
}
