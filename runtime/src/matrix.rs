//! A linear map as diagonals, ready to be encoded output part by output part.

use std::collections::BTreeSet;

use hecc_ir::program::{Op, Program, Value};

/// A map between two layouts, of one node.
pub struct Matrix {
    /// What makes each part of the output.
    pub outputs: Vec<Row>,
    /// Left rotations that sum up the copies afterwards: x += rotate(x, r).
    pub folds: Vec<usize>,
}

/// What makes one part of the output.
pub struct Row {
    /// One value a slot by input part and offset.
    pub diagonals: Vec<((usize, usize), Vec<f64>)>,
    /// One value a slot.
    pub bias: Vec<f64>,
}

impl Matrix {
    /// Of the linear node `index`. Computes on one thread: to be done beside other work.
    ///
    /// # Errors
    /// When the map does not fit its layouts.
    pub fn of(program: &Program, index: Value) -> Result<Self, String> {
        let node = &program.nodes[index];
        let Op::Linear { x, map } = node.op else {
            return Err("is not a linear map".into());
        };
        let input = &program.nodes[x].layout;
        let matrix = program.maps[map].diagonals(input, &node.layout);
        let matrix = matrix.map_err(|e| e.to_string())?;
        let row = |bias| Row {
            diagonals: Vec::new(),
            bias,
        };
        let mut outputs: Vec<Row> = matrix.bias.into_iter().map(row).collect();
        for (place, values) in matrix.diagonals {
            let row = outputs.get_mut(place.output);
            let row = row.ok_or_else(|| format!("a diagonal of part {}", place.output))?;
            row.diagonals.push(((place.input, place.offset), values));
        }
        Ok(Self {
            outputs,
            folds: matrix.folds,
        })
    }

    /// Diagonals of all parts.
    pub fn diagonals(&self) -> usize {
        self.outputs.iter().map(|row| row.diagonals.len()).sum()
    }

    /// Bytes of all diagonals.
    pub fn bytes(&self) -> usize {
        let rows = self.outputs.iter().flat_map(|row| &row.diagonals);
        rows.map(|(_, values)| size_of_val(values.as_slice())).sum()
    }

    /// Rotations of input parts, (part, steps), that all rows need when offsets are split as
    /// giant * j + baby; steps of 0 included.
    pub fn babies(&self, giant: usize) -> BTreeSet<(usize, usize)> {
        let places = self.outputs.iter().flat_map(|row| &row.diagonals);
        places
            .map(|&((input, offset), _)| (input, offset % giant))
            .collect()
    }

    /// Key switches: rotations of inputs and of partial sums, and folds.
    pub fn rotations(&self, giant: usize) -> usize {
        let babies = self.babies(giant);
        let giants = |row: &Row| -> BTreeSet<usize> {
            let offsets = row.diagonals.iter().map(|((_, offset), _)| offset);
            offsets
                .map(|offset| offset - offset % giant)
                .filter(|&g| g != 0)
                .collect()
        };
        babies.iter().filter(|(_, steps)| *steps != 0).count()
            + self
                .outputs
                .iter()
                .map(|row| giants(row).len())
                .sum::<usize>()
            + self.folds.len()
    }
}
