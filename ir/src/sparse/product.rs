//! Products of sparse matrices: row by row where they stay sparse, column block by column block where
//! they fill.

use super::Sparse;

/// Columns of a block: a row of it stays in registers.
const BLOCK: usize = 32;
/// Terms of dense rows that take the time of one that is found by its column.
const DENSE: usize = 8;

/// The time of a product in terms that are found by their column, a nanosecond or two each: `terms` of
/// them, or `entries` of the second matrix times dense rows of `cols`, whichever is quicker.
pub fn work(terms: usize, entries: usize, cols: usize) -> usize {
    terms.min(entries.saturating_mul(cols) / DENSE)
}

impl Sparse {
    /// The [`work`] of `self * first`.
    pub fn work(&self, first: &Sparse) -> usize {
        work(self.terms(first), self.entries.len(), first.cols)
    }

    fn terms(&self, first: &Sparse) -> usize {
        let terms = |&(middle, _): &(u32, f64)| first.row(middle as usize).len();
        self.entries.iter().map(terms).sum()
    }

    /// `self * first`: the map that applies `first`, then `self`. None when it would need more than
    /// `limit` entries.
    pub fn product(&self, first: &Sparse, limit: usize) -> Option<Sparse> {
        let rows = match self.work(first) < self.terms(first) {
            true => self.by_blocks(first, limit),
            false => self.by_rows(first, limit),
        }?;
        let mut starts = vec![0];
        starts.extend(rows.iter().scan(0, |end, row| {
            *end += row.len();
            Some(*end)
        }));
        Some(Sparse {
            cols: first.cols,
            starts,
            entries: rows.into_iter().flatten().collect(),
        })
    }

    /// The rows of the product; None where they are more than `limit` entries.
    fn by_rows(&self, first: &Sparse, limit: usize) -> Option<Vec<Vec<(u32, f64)>>> {
        let mut sums = vec![0.0; first.cols];
        let mut seen = vec![false; first.cols];
        let mut touched = Vec::new();
        let mut stored = 0;
        let row = |row| {
            for &(middle, factor) in self.row(row) {
                for &(col, value) in first.row(middle as usize) {
                    if !std::mem::replace(&mut seen[col as usize], true) {
                        touched.push(col);
                    }
                    sums[col as usize] += factor * value;
                }
            }
            touched.sort_unstable();
            let entry = |col: u32| {
                seen[col as usize] = false;
                (col, std::mem::take(&mut sums[col as usize]))
            };
            let entries = touched.drain(..).map(entry);
            let entries: Vec<_> = entries.filter(|&(_, value)| value != 0.0).collect();
            stored += entries.len();
            (stored <= limit).then_some(entries)
        };
        (0..self.rows()).map(row).collect()
    }

    /// The same, [`BLOCK`] columns of all rows at a time. Sums run in the same order.
    fn by_blocks(&self, first: &Sparse, limit: usize) -> Option<Vec<Vec<(u32, f64)>>> {
        let mut rows = vec![Vec::new(); self.rows()];
        let mut stored = 0;
        let mut rest: Vec<&[(u32, f64)]> = (0..first.rows()).map(|row| first.row(row)).collect();
        let mut block = vec![[0.0; BLOCK]; first.rows()];
        for from in (0..first.cols).step_by(BLOCK) {
            for (rest, dense) in rest.iter_mut().zip(&mut block) {
                *dense = [0.0; BLOCK];
                let count = rest.partition_point(|&(col, _)| (col as usize) < from + BLOCK);
                for &(col, value) in &rest[..count] {
                    dense[col as usize - from] += value;
                }
                *rest = &rest[count..];
            }
            for (row, entries) in rows.iter_mut().enumerate() {
                let mut sums = [0.0; BLOCK];
                for &(middle, factor) in self.row(row) {
                    let dense = &block[middle as usize];
                    sums.iter_mut()
                        .zip(dense)
                        .for_each(|(s, x)| *s += factor * x);
                }
                let entry = |(i, value): (usize, f64)| ((from + i) as u32, value);
                let before = entries.len();
                let sums = sums.into_iter().enumerate().map(entry);
                entries.extend(sums.filter(|&(_, value)| value != 0.0));
                stored += entries.len() - before;
            }
            if stored > limit {
                return None;
            }
        }
        Some(rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matrix(rows: usize, cols: usize, density: f64) -> impl Strategy<Value = Sparse> {
        let entry = prop::option::weighted(density, -4i8..=4);
        let row = prop::collection::vec(entry, cols);
        prop::collection::vec(row, rows).prop_map(move |rows| {
            let mut matrix = Sparse {
                cols,
                starts: vec![0],
                entries: Vec::new(),
            };
            for row in rows {
                let row = row.into_iter().enumerate();
                let entries = row.filter_map(|(col, value)| Some((col as u32, value?.into())));
                matrix.entries.extend(entries);
                matrix.starts.push(matrix.entries.len());
            }
            matrix
        })
    }

    proptest! {
        #[test]
        fn both_ways_give_the_product_of_the_sums(
            (second, first) in (1usize..9, 1usize..9, 1usize..80, 0.05f64..1.0).prop_flat_map(
                |(rows, middle, cols, density)| (
                    matrix(rows, middle, density),
                    matrix(middle, cols, density),
                ),
            ),
        ) {
            let rows = second.by_rows(&first, usize::MAX).unwrap();
            prop_assert_eq!(&second.by_blocks(&first, usize::MAX).unwrap(), &rows);
            let dense = |matrix: &Sparse, row: usize, col: usize| {
                let entry = matrix.row(row).iter().find(|e| e.0 as usize == col);
                entry.map_or(0.0, |e| e.1)
            };
            for (i, row) in rows.iter().enumerate() {
                let expect = (0..first.cols).filter_map(|col| {
                    let terms = (0..first.rows()).map(|m| dense(&second, i, m) * dense(&first, m, col));
                    let sum: f64 = terms.sum();
                    (sum != 0.0).then_some((col as u32, sum))
                });
                prop_assert_eq!(row, &expect.collect::<Vec<_>>());
            }
            let stored = rows.iter().map(Vec::len).sum::<usize>();
            let product = second.product(&first, stored).unwrap();
            prop_assert_eq!(product.rows(), second.rows());
            for (i, row) in rows.iter().enumerate() {
                prop_assert_eq!(product.row(i), row.as_slice());
            }
            if let Some(less) = stored.checked_sub(1) {
                prop_assert_eq!(second.product(&first, less), None);
            }
            prop_assert!(second.work(&first) <= second.entries() * first.rows() * first.cols);
        }
    }
}
