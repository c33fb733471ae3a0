//! The derivative of an activation.

use hecc_ir::function::Function;

/// Steps of the table.
const STEPS: usize = 1 << 14;
/// The table covers [-REACH, REACH]; beyond, the slope at the end goes on along a line.
const REACH: f32 = 64.0;

/// The derivative of a function of one number by central differences, tabulated; the step at a kink is
/// as wide as one step of the table.
pub(crate) struct Slope {
    /// One row for all channels, or one a channel.
    rows: Vec<Vec<f32>>,
}

impl Slope {
    /// Of `function` on `channels` channels.
    pub fn new(function: &Function, channels: usize) -> Self {
        let rows = match function {
            Function::Polynomial { coefficients } if coefficients.len() > 1 => channels,
            _ => 1,
        };
        let step = f64::from(2.0 * REACH) / STEPS as f64;
        let half = 1e-4;
        let row = |channel: usize| {
            let at = |i: usize| {
                let x = i as f64 * step - f64::from(REACH);
                let (up, down) = (x + half, x - half);
                let rise = function.apply(channel, up) - function.apply(channel, down);
                (rise / (2.0 * half)) as f32
            };
            (0..=STEPS).map(at).collect()
        };
        Self {
            rows: (0..rows).map(row).collect(),
        }
    }

    /// The derivative at `x`.
    pub fn at(&self, channel: usize, x: f32) -> f32 {
        let row = &self.rows[if self.rows.len() == 1 { 0 } else { channel }];
        let place = (x + REACH) * (STEPS as f32 / (2.0 * REACH));
        let i = (place.max(0.0) as usize).min(STEPS - 1);
        let share = place - i as f32;
        row[i] + share * (row[i + 1] - row[i])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slopes_of_known_functions() {
        let check = |function: Function, channel: usize, x: f32, expect: f32| {
            let got = Slope::new(&function, 2).at(channel, x);
            assert!(
                (got - expect).abs() < 1e-3,
                "{} at {x}: {got}",
                function.name()
            );
        };
        check(Function::Relu, 0, 1.0, 1.0);
        check(Function::Relu, 1, -0.1, 0.0);
        check(Function::Tanh, 0, 0.5, 1.0 - 0.5f32.tanh().powi(2));
        check(Function::Power { exponent: 2 }, 0, -70.0, -140.0);
        let rows = Function::Polynomial {
            coefficients: vec![vec![0.0, 1.0, 0.0], vec![1.0, 2.0, 3.0]],
        };
        check(rows.clone(), 0, 3.0, 1.0);
        check(rows, 1, -3.0, -16.0);
    }
}
