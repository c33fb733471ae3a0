//! Inputs for tests.

use hecc_ir::calibration::{ActivationStatistics, BINS};

/// A bell of standard deviation `sigma` times the span, centred a little below zero.
pub fn bell(sigma: f64) -> ActivationStatistics {
    let histogram = (0..BINS)
        .map(|i| {
            let x = (2.0 * (i as f64 + 0.5) / BINS as f64 - 1.0 + 0.1) / sigma;
            (1e6 * (-0.5 * x * x).exp()) as u64
        })
        .collect();
    ActivationStatistics {
        name: "relu1".into(),
        min: -6.0,
        max: 8.0,
        histogram,
    }
}
