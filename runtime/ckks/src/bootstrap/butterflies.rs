//! The special FFT of h slots as a few matrices of few diagonals [CHH18, HHC19].

use crate::encoding::stage_roots;
use crate::{Complex64, Error};
use std::collections::BTreeMap;

/// Diagonals of an h x h matrix: offset mod h to one entry per row.
type Matrix = BTreeMap<usize, Vec<Complex64>>;

/// One level of a transform, over the N/2 slots.
pub struct Group {
    /// Offset to one entry per slot.
    pub diagonals: Vec<(usize, Vec<Complex64>)>,
    /// Giant step.
    pub giant: usize,
}

/// Factors of the transform between h slots and h complex coefficients in bit-reversed order.
pub struct Groups {
    h: usize,
}

impl Groups {
    pub fn new(h: usize) -> Self {
        Self { h }
    }

    /// Slots to coefficients: stages of half-length 1, 2, 4, .. h/2. The first group also reads the
    /// upper half of the slots as imaginary parts.
    pub fn slots_to_coefficients(&self, radices: &[u32]) -> Vec<Group> {
        let (h, slots) = (self.h, 2 * self.h);
        let mut half = 1;
        let mut groups = Vec::new();
        for (index, &radix) in radices.iter().enumerate() {
            let stride = half;
            let mut matrix = self.identity();
            for _ in 0..radix {
                matrix = self.product(&self.stage(half), &matrix);
                half *= 2;
            }
            let wraps = index + 1 == radices.len();
            let entry = |row: usize, column: usize, value: Complex64| {
                if index == 0 && column >= h {
                    (row, value * Complex64::I)
                } else {
                    (row, value)
                }
            };
            let diagonals = matrix
                .into_iter()
                .map(|(d, values)| {
                    let offset = self.offset(d, wraps);
                    let row = |s: usize| entry(s, (s + offset) % slots, values[s % h]).1;
                    (offset, (0..slots).map(row).collect())
                })
                .collect();
            groups.push(Group {
                diagonals,
                giant: giant(stride, radix, wraps),
            });
        }
        groups
    }

    /// Coefficients to slots: the inverse stages of half-length h/2 .. 1. The last group leaves the
    /// real parts in the lower and the imaginary parts, times -i, in the upper half of the slots;
    /// rows are permuted as asked.
    pub fn coefficients_to_slots(
        &self,
        radices: &[u32],
        permutation: Option<&[usize]>,
    ) -> Result<Vec<Group>, Error> {
        let (h, slots) = (self.h, 2 * self.h);
        let block = h >> radices[0];
        let source = |s: usize| permutation.map_or(s, |p| p[s]);
        if let Some(p) = permutation {
            let moves_blocks = p.len() == slots
                && p.iter().all(|&s| s < slots)
                && (0..slots).all(|s| {
                    p[s] == p[s / block * block] + s % block && p[s / block * block] % block == 0
                });
            if !moves_blocks {
                return Err(Error::Parameters(format!(
                    "a slot permutation must move whole blocks of {block} slots"
                )));
            }
        }
        let mut half = h / 2;
        let mut groups = Vec::new();
        for (index, &radix) in radices.iter().enumerate() {
            let mut matrix = self.identity();
            for _ in 0..radix {
                matrix = self.product(&self.inverse_stage(half), &matrix);
                half /= 2;
            }
            let stride = (2 * half).max(1);
            let (first, last) = (index == 0, index + 1 == radices.len());
            let mut diagonals: BTreeMap<usize, Vec<Complex64>> = BTreeMap::new();
            for (d, values) in matrix {
                for s in 0..slots {
                    let from = source(s);
                    // Blocks move as a whole, so only the first group, whose strides are whole
                    // blocks and whose operand is periodic, sees the permutation in its offsets.
                    let offset = if first {
                        (from + d + slots - s) % h
                    } else {
                        self.offset(d, false)
                    };
                    let value = values[from % h]
                        * if last && from >= h {
                            -Complex64::I
                        } else {
                            Complex64::ONE
                        };
                    if value != Complex64::ZERO {
                        diagonals
                            .entry(offset)
                            .or_insert_with(|| vec![Complex64::ZERO; slots])[s] = value;
                    }
                }
            }
            groups.push(Group {
                diagonals: diagonals.into_iter().collect(),
                giant: giant(stride, radix, first),
            });
        }
        Ok(groups)
    }

    /// Offsets of a group that does not wrap are small and signed: they are taken modulo all slots.
    fn offset(&self, d: usize, wraps: bool) -> usize {
        if wraps || d < self.h / 2 {
            d
        } else {
            d + self.h
        }
    }

    fn identity(&self) -> Matrix {
        BTreeMap::from([(0, vec![Complex64::ONE; self.h])])
    }

    /// One butterfly stage: low' = low + w high, high' = low - w high.
    fn stage(&self, half: usize) -> Matrix {
        let roots = stage_roots(half);
        self.butterflies(half, |j| {
            [[Complex64::ONE, roots[j]], [Complex64::ONE, -roots[j]]]
        })
    }

    /// Its inverse: low' = (low + high)/2, high' = (low - high) conj(w)/2.
    fn inverse_stage(&self, half: usize) -> Matrix {
        let roots = stage_roots(half);
        self.butterflies(half, |j| {
            [
                [Complex64::new(0.5, 0.0); 2],
                [roots[j].conj() / 2.0, -roots[j].conj() / 2.0],
            ]
        })
    }

    fn butterflies(&self, half: usize, entries: impl Fn(usize) -> [[Complex64; 2]; 2]) -> Matrix {
        let h = self.h;
        let mut matrix = Matrix::new();
        let mut set = |row: usize, column: usize, value: Complex64| {
            matrix
                .entry((column + h - row) % h)
                .or_insert_with(|| vec![Complex64::ZERO; h])[row] = value;
        };
        for row in (0..h).filter(|row| row & half == 0) {
            let [[a, b], [c, d]] = entries(row % half);
            set(row, row, a);
            set(row, row + half, b);
            set(row + half, row, c);
            set(row + half, row + half, d);
        }
        matrix
    }

    /// a after b.
    fn product(&self, a: &Matrix, b: &Matrix) -> Matrix {
        let h = self.h;
        let mut out = Matrix::new();
        for (d1, left) in a {
            for (d2, right) in b {
                let sum = out
                    .entry((d1 + d2) % h)
                    .or_insert_with(|| vec![Complex64::ZERO; h]);
                for (s, sum) in sum.iter_mut().enumerate() {
                    *sum += left[s] * right[(s + d1) % h];
                }
            }
        }
        out
    }
}

/// Giant step for 2^radix (wrapping) or 2^(radix + 1) - 1 offsets, multiples of `stride`.
fn giant(stride: usize, radix: u32, wraps: bool) -> usize {
    let bits = if wraps { radix } else { radix + 1 };
    stride << bits.div_ceil(2)
}
