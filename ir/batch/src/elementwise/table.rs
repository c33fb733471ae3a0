//! Functions by linear interpolation.

use hecc_ir::function::{Approximation, Function};

/// Steps of one period: the values fill the first-level cache of 32 KiB half.
const PERIODIC: usize = 1 << 12;
/// Steps over `|x| <` [`REACH`].
const STEPS: usize = 1 << 13;
/// Where the table of a smooth function ends.
const REACH: f32 = 16.0;

/// Elements looked up together.
const BLOCK: usize = 64;

/// A tabulated function.
#[derive(Clone, Debug)]
pub enum Table {
    /// Even in theta and of period 2 pi: a cosine series.
    Fused {
        /// theta / pi = (1 + scale x) / 2.
        scale: f32,
        /// At theta = pi i / [`PERIODIC`]; zeros beyond the last.
        values: Box<[f32; 2 * PERIODIC]>,
    },
    /// Exact where the table ends.
    Smooth {
        /// The function itself.
        function: Function,
        /// At x = (2 i / [`STEPS`] - 1) [`REACH`]; zeros beyond the last.
        values: Box<[f32; 2 * STEPS]>,
    },
}

fn values<const N: usize>(steps: usize, at: impl Fn(f64) -> f64) -> Box<[f32; N]> {
    let share = |i: usize| i as f64 / steps as f64;
    let mut values: Vec<f32> = (0..=steps).map(|i| at(share(i)) as f32).collect();
    values.resize(N, 0.0);
    values.try_into().expect("resized to N")
}

impl Table {
    /// `range * P(cos((pi/2)(1 + rho x / range)))`.
    pub fn fused(range: f64, rho: f64, coefficients: &[f64]) -> Self {
        let series = Approximation::Fused {
            range,
            rho,
            coefficients: coefficients.to_vec(),
        };
        Self::Fused {
            scale: (rho / range) as f32,
            values: values(PERIODIC, |turn| {
                series.apply((2.0 * turn - 1.0) / rho * range)
            }),
        }
    }

    /// A function without rows of coefficients.
    pub fn smooth(function: &Function) -> Self {
        let reach = f64::from(REACH);
        Self::Smooth {
            values: values(STEPS, |share| {
                function.apply(0, (2.0 * share - 1.0) * reach)
            }),
            function: function.clone(),
        }
    }

    /// Of every element.
    #[inline(always)]
    pub fn apply(&self, x: &mut [f32]) {
        match self {
            Self::Fused { scale, values } => {
                for x in x {
                    // Half of theta / pi; of period 1 and even about its whole numbers.
                    let turn = 0.25 * (1.0 + scale * *x);
                    let turn = turn - turn.floor();
                    let place = (1.0 - (2.0 * turn - 1.0).abs()) * PERIODIC as f32;
                    *x = interpolate(values, place, *x);
                }
            }
            Self::Smooth { function, values } => {
                let (blocks, rest) = x.as_chunks_mut::<BLOCK>();
                for block in blocks {
                    smooth(function, values, block);
                }
                smooth(function, values, rest);
            }
        }
    }
}

/// An element beyond the table is rare: then its whole block is computed as written.
#[inline(always)]
fn smooth(function: &Function, values: &[f32; 2 * STEPS], block: &mut [f32]) {
    let within = block.iter().fold(true, |all, x| all & (x.abs() < REACH));
    if within {
        for x in block {
            let place = (*x + REACH) * (STEPS as f32 / 2.0 / REACH);
            *x = interpolate(values, place, *x);
        }
    } else {
        for x in block {
            *x = function.apply(0, f64::from(*x)) as f32;
        }
    }
}

/// Between the neighbours of `place`, which is below N / 2, or not finite as `x` is: then the result is
/// not a number.
#[inline(always)]
fn interpolate<const N: usize>(values: &[f32; N], place: f32, x: f32) -> f32 {
    // N is a power of two: the remainders keep the indices within the table without a branch.
    let i = place as i32 as usize;
    let share = place - i as i32 as f32;
    let (low, high) = (values[i % N], values[(i + 1) % N]);
    low + (high - low) * share + 0.0 * x
}
