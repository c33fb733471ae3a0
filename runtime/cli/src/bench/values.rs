//! What the numbers of a diagonal cost before they are encoded.

use hecc_ir::layout::Layout;
use hecc_ir::linear::LinearError;
use hecc_ir::nn::{Linear, Shape, Window};
use hecc_ir::program::LinearMap;

use super::stopwatch::Stopwatch;

/// Channels of the convolution that is measured.
const CHANNELS: usize = 16;

/// Seconds a diagonal that one thread takes to work a convolution out into diagonals of `slots` slots, and
/// to free them.
pub fn seconds(slots: usize, watch: Stopwatch) -> Result<f64, LinearError> {
    let plane = slots / CHANNELS;
    let rows = 1 << (plane.ilog2() / 2);
    let cols = plane / rows;
    let layout = Layout {
        slots,
        parts: 1,
        shape: Shape::new(CHANNELS, rows, cols),
        gap: 1,
        rows,
        cols,
        copies: 1,
        twist: 0,
    };
    let conv = Linear::Conv {
        weight: vec![0.1; CHANNELS * CHANNELS * 9],
        bias: vec![0.0; CHANNELS],
        out_channels: CHANNELS,
        window: Window::same(3, 1),
    };
    let map = LinearMap {
        stages: vec![conv],
        gain: 1.0,
        bias_gain: 1.0,
        fold: false,
        giant: 1,
    };
    let count = map.offsets(&layout, &layout)?.offsets.len();
    let seconds = watch.median(|| map.diagonals(&layout, &layout).map(drop))?;
    Ok(seconds / count as f64)
}
