//! Operators that move elements or average few: sparse rows, channels last.

use crate::batch::last;
use hecc_ir::nn::{Linear, Shape};
use hecc_ir::sparse::for_each_entry;

/// A sparse matrix by rows.
#[derive(Clone, Debug)]
pub struct Selection {
    /// Row r is `starts[r]..starts[r + 1]` of `columns` and `weights`.
    starts: Vec<u32>,
    columns: Vec<u32>,
    weights: Vec<f32>,
}

impl Selection {
    /// The matrix of `linear`, which has no bias.
    pub fn new(linear: &Linear, input: Shape, output: Shape) -> Self {
        let mut entries = Vec::new();
        for_each_entry(linear, input, output, &mut |row, column, value| {
            entries.push((
                last(output, row) as u32,
                last(input, column) as u32,
                value as f32,
            ));
        });
        Self::from_entries(entries, output.elements())
    }

    /// Its transpose, with `rows` rows.
    pub fn transposed(&self, rows: usize) -> Self {
        let mut entries = Vec::with_capacity(self.columns.len());
        for (row, ends) in self.starts.windows(2).enumerate() {
            for entry in ends[0] as usize..ends[1] as usize {
                entries.push((self.columns[entry], row as u32, self.weights[entry]));
            }
        }
        Self::from_entries(entries, rows)
    }

    fn from_entries(mut entries: Vec<(u32, u32, f32)>, rows: usize) -> Self {
        entries.sort_unstable_by_key(|&(row, column, _)| (row, column));
        let mut starts = vec![0u32; rows + 1];
        for &(row, ..) in &entries {
            starts[row as usize + 1] += 1;
        }
        for row in 0..rows {
            starts[row + 1] += starts[row];
        }
        Self {
            starts,
            columns: entries.iter().map(|e| e.1).collect(),
            weights: entries.iter().map(|e| e.2).collect(),
        }
    }

    /// Whether every element stays where it is.
    pub fn is_identity(&self) -> bool {
        self.columns.len() + 1 == self.starts.len()
            && self
                .starts
                .iter()
                .enumerate()
                .all(|(i, &s)| s as usize == i)
            && self
                .columns
                .iter()
                .enumerate()
                .all(|(i, &c)| c as usize == i)
            && self.weights.iter().all(|&w| w == 1.0)
    }

    /// Of one image.
    pub fn one(&self, x: &[f32], target: &mut [f32]) {
        for (ends, y) in self.starts.windows(2).zip(target) {
            let row = ends[0] as usize..ends[1] as usize;
            let columns = &self.columns[row.clone()];
            *y = columns
                .iter()
                .zip(&self.weights[row])
                .fold(0.0, |sum, (&column, w)| sum + w * x[column as usize]);
        }
    }
}
