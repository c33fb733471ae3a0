//! A convolution or its transpose, prepared for many images: positions, and weights in the order the
//! kernel reads them.

use super::Window;
use super::depthwise::Depthwise;
use super::positions::Axis;
use super::tiles::{LANES, Tiles};
use crate::Batch;
use crate::error::BatchError;
use hecc_ir::nn::Shape;
use pulp::Arch;

/// Most elements of a padded image.
const MAX_PADDED: usize = 1 << 26;

/// Memory that a thread keeps from image to image.
#[derive(Default)]
pub struct Scratch {
    padded: Vec<f32>,
}

/// A convolution or its transpose.
#[derive(Clone, Debug)]
pub struct Correlation {
    source: Shape,
    target: Shape,
    padding: Padding,
    groups: usize,
    depthwise: bool,
    parts: Vec<Part>,
    /// `[group][padded output]`, or `[channel]` when depthwise.
    bias: Vec<f32>,
}

/// The frame of zeros around an image.
#[derive(Clone, Debug)]
struct Padding {
    rows: [usize; 2],
    columns: [usize; 2],
}

impl Padding {
    fn is_none(&self) -> bool {
        [self.rows, self.columns] == [[0; 2]; 2]
    }
    fn columns_of(&self, source: Shape) -> usize {
        source.w + self.columns[0] + self.columns[1]
    }
    fn rows_of(&self, source: Shape) -> usize {
        source.h + self.rows[0] + self.rows[1]
    }
}

/// Pixels of the result that meet the same taps.
#[derive(Clone, Debug)]
pub(super) struct Part {
    /// Per pixel, where it meets the padded operand.
    pub bases: Vec<u32>,
    /// Per pixel, where it starts in the result.
    pub places: Vec<u32>,
    /// Per tap, what it adds to a base.
    pub taps: Vec<u32>,
    /// Per tap, its number `ky * kw + kx`.
    pub numbers: Vec<usize>,
    /// `[group][tap][input][padded output]`, or `[tap][channel]` when depthwise.
    weights: Vec<f32>,
}

impl Correlation {
    /// The convolution from `input` to `output`; no bias where `bias` is empty.
    pub fn forward(
        window: &Window,
        input: Shape,
        output: Shape,
        weight: &[f32],
        bias: &[f32],
    ) -> Result<Self, BatchError> {
        let mut this = Self::unweighted(window, input, output, Axis::forward, "conv")?;
        let (per_group, taps) = (input.c / window.groups, window.kernel[0] * window.kernel[1]);
        this.pack(bias, |tap, from, to| {
            weight[(to * per_group + from % per_group) * taps + tap]
        });
        Ok(this)
    }

    /// Its transpose, from `output` to `input`.
    pub fn backward(
        window: &Window,
        input: Shape,
        output: Shape,
        weight: &[f32],
        bias: &[f32],
    ) -> Result<Self, BatchError> {
        let mut this = Self::unweighted(window, output, input, Axis::backward, "transposed conv")?;
        let (per_group, taps) = (input.c / window.groups, window.kernel[0] * window.kernel[1]);
        this.pack(bias, |tap, from, to| {
            weight[(from * per_group + to % per_group) * taps + tap]
        });
        Ok(this)
    }

    /// Positions alone.
    pub(super) fn unweighted(
        window: &Window,
        source: Shape,
        target: Shape,
        positions: impl Fn(&Window, usize, usize, usize) -> Vec<Axis>,
        op: &'static str,
    ) -> Result<Self, BatchError> {
        let rows = positions(window, 0, source.h, target.h);
        let columns = positions(window, 1, source.w, target.w);
        let padding = Padding {
            rows: Axis::padding(&rows, source.h),
            columns: Axis::padding(&columns, source.w),
        };
        let (height, pitch) = (padding.rows_of(source), padding.columns_of(source));
        let elements = height as u128 * pitch as u128 * source.c as u128;
        if elements > MAX_PADDED as u128 {
            return Err(BatchError::Padding {
                op,
                shape: source,
                elements,
                limit: MAX_PADDED,
            });
        }
        let mut parts = Vec::new();
        for row in &rows {
            for column in &columns {
                let mut part = Part {
                    bases: Vec::with_capacity(row.count * column.count),
                    places: Vec::with_capacity(row.count * column.count),
                    taps: Vec::new(),
                    numbers: Vec::new(),
                    weights: Vec::new(),
                };
                for y in 0..row.count {
                    for x in 0..column.count {
                        let base = y * row.advance * pitch + x * column.advance;
                        part.bases.push((base * source.c) as u32);
                        let (y, x) = (row.first + y * row.step, column.first + x * column.step);
                        part.places.push(((y * target.w + x) * target.c) as u32);
                    }
                }
                for &(ky, y) in &row.taps {
                    for &(kx, x) in &column.taps {
                        // The padding makes both sums nonnegative.
                        let y = (y + padding.rows[0] as isize) as usize;
                        let x = (x + padding.columns[0] as isize) as usize;
                        part.taps.push(((y * pitch + x) * source.c) as u32);
                        part.numbers.push(ky * window.kernel[1] + kx);
                    }
                }
                parts.push(part);
            }
        }
        let depthwise = window.groups > 1 && source.c == window.groups && target.c == window.groups;
        Ok(Self {
            source,
            target,
            padding,
            groups: window.groups,
            depthwise,
            parts,
            bias: Vec::new(),
        })
    }

    /// `weight(tap, from, to)` between channels of the operand and of the result.
    fn pack(&mut self, bias: &[f32], weight: impl Fn(usize, usize, usize) -> f32) {
        let (inputs, outputs) = (self.source.c / self.groups, self.target.c / self.groups);
        let across = outputs.next_multiple_of(LANES);
        let bias_of = |to: usize| bias.get(to).copied().unwrap_or(0.0);
        if self.depthwise {
            self.bias = (0..self.target.c).map(bias_of).collect();
        } else {
            self.bias = vec![0.0; self.groups * across];
            for to in 0..self.target.c {
                self.bias[to / outputs * across + to % outputs] = bias_of(to);
            }
        }
        for part in &mut self.parts {
            if self.depthwise {
                let all = |&tap: &usize| (0..self.target.c).map(move |c| (tap, c));
                let all = part.numbers.iter().flat_map(all);
                part.weights = all.map(|(tap, c)| weight(tap, c, c)).collect();
                continue;
            }
            part.weights = vec![0.0; self.groups * part.numbers.len() * inputs * across];
            let rows = part.weights.chunks_exact_mut(across);
            for (row, weights) in rows.enumerate() {
                let (outer, from) = (row / inputs, row % inputs);
                let (group, tap) = (outer / part.numbers.len(), outer % part.numbers.len());
                for (to, w) in weights[..outputs].iter_mut().enumerate() {
                    *w = weight(
                        part.numbers[tap],
                        group * inputs + from,
                        group * outputs + to,
                    );
                }
            }
        }
    }

    /// Of every image.
    pub fn apply(&self, x: &Batch) -> Batch {
        let mut result = Batch::zeros(x.n, self.target);
        x.each_into(&mut result, |x, y, scratch: &mut Scratch| {
            self.one(x, y, scratch)
        });
        result
    }

    /// Of one image, all elements of `target` written.
    pub fn one(&self, source: &[f32], target: &mut [f32], scratch: &mut Scratch) {
        let arch = Arch::new();
        let source = self.padded(source, scratch);
        let (inputs, outputs) = (self.source.c / self.groups, self.target.c / self.groups);
        let across = outputs.next_multiple_of(LANES);
        for part in &self.parts {
            if self.depthwise {
                arch.dispatch(Depthwise {
                    source,
                    bases: &part.bases,
                    taps: &part.taps,
                    weights: &part.weights,
                    bias: &self.bias,
                    target: &mut *target,
                    places: &part.places,
                });
                continue;
            }
            let size = part.taps.len() * inputs * across;
            for group in 0..self.groups {
                arch.dispatch(Tiles {
                    source: &source[group * inputs..],
                    bases: &part.bases,
                    taps: &part.taps,
                    weights: &part.weights[group * size..][..size],
                    bias: &self.bias[group * across..][..across],
                    inputs,
                    outputs,
                    target: &mut target[group * outputs..],
                    places: &part.places,
                });
            }
        }
    }

    pub(super) fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The image within its frame of zeros.
    pub(super) fn padded<'a>(&self, image: &'a [f32], scratch: &'a mut Scratch) -> &'a [f32] {
        if self.padding.is_none() {
            return image;
        }
        let (padding, shape) = (&self.padding, self.source);
        let pitch = padding.columns_of(shape) * shape.c;
        let padded = &mut scratch.padded;
        padded.clear();
        padded.resize(padding.rows_of(shape) * pitch, 0.0);
        let rows = padded[padding.rows[0] * pitch..].chunks_exact_mut(pitch);
        for (row, from) in rows.zip(image.chunks_exact(shape.w * shape.c)) {
            row[padding.columns[0] * shape.c..][..from.len()].copy_from_slice(from);
        }
        padded
    }
}
