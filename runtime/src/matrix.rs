//! A linear map as encoded diagonals, output part by output part.

use std::collections::BTreeSet;
use std::time::Instant;

use hecc_ckks::{Context, LinearTransform};
use hecc_ir::plan::Plan;
use hecc_ir::program::{Op, Program, Value};

/// A map between two layouts, of one node, encoded at the level and scale of the plan.
pub struct EncodedMatrix {
    /// What makes each part of the output.
    pub outputs: Vec<EncodedRow>,
    /// Left rotations that sum up the copies afterwards: x += rotate(x, r).
    pub folds: Vec<usize>,
    /// Rotations of input parts, (part, steps), that all rows need; steps of 0 included.
    pub babies: BTreeSet<(usize, usize)>,
    /// Diagonals of all parts.
    pub diagonals: usize,
    /// Key switches: rotations of inputs and of partial sums, and folds.
    pub rotations: usize,
    /// Bytes of all diagonals.
    pub bytes: usize,
    /// Seconds that encoding took.
    pub seconds: f64,
}

/// What makes one part of the output.
pub struct EncodedRow {
    /// The product with the diagonals.
    pub transform: LinearTransform,
    /// One value a slot.
    pub bias: Vec<f64>,
}

impl EncodedMatrix {
    /// Of the linear node `index`. Works the numbers out on one thread, encodes them on all that are
    /// free: to be done beside other work.
    ///
    /// # Errors
    /// When the map does not fit its layouts, or its numbers do not fit the scale.
    pub fn of(plan: &Plan, context: &Context, index: Value) -> Result<Self, String> {
        let program = &plan.program;
        let node = &program.nodes[index];
        let Op::Linear { x, map } = node.op else {
            return Err("is not a linear map".into());
        };
        let matrix = Matrix::of(program, index)?;
        let giant = program.maps[map].giant;
        let level = node.level + 1;
        let prime = plan.parameters.q.get(level);
        let prime = *prime.ok_or_else(|| format!("an operand at level {level}"))? as f64;
        let scale = node.scale * prime / program.nodes[x].scale;
        let (babies, rotations) = (matrix.babies(giant), matrix.rotations(giant));
        let (diagonals, bytes) = (matrix.diagonals(), matrix.bytes());
        let begun = Instant::now();
        let encode = |Row { diagonals, bias }| {
            let transform = LinearTransform::real(context, diagonals, giant, level, scale);
            let transform = transform.map_err(|e| e.to_string())?;
            Ok(EncodedRow { transform, bias })
        };
        let outputs = matrix.outputs.into_iter().map(encode);
        Ok(Self {
            outputs: outputs.collect::<Result<_, String>>()?,
            folds: matrix.folds,
            babies,
            diagonals,
            rotations,
            bytes,
            seconds: begun.elapsed().as_secs_f64(),
        })
    }
}

/// A map between two layouts, of one node.
struct Matrix {
    /// What makes each part of the output.
    outputs: Vec<Row>,
    /// Left rotations that sum up the copies afterwards: x += rotate(x, r).
    folds: Vec<usize>,
}

/// What makes one part of the output.
struct Row {
    /// One value a slot by input part and offset.
    diagonals: Vec<((usize, usize), Vec<f64>)>,
    /// One value a slot.
    bias: Vec<f64>,
}

impl Matrix {
    /// Of the linear node `index`.
    ///
    /// # Errors
    /// When the map does not fit its layouts.
    fn of(program: &Program, index: Value) -> Result<Self, String> {
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
    fn diagonals(&self) -> usize {
        self.outputs.iter().map(|row| row.diagonals.len()).sum()
    }

    /// Bytes of all diagonals.
    fn bytes(&self) -> usize {
        let rows = self.outputs.iter().flat_map(|row| &row.diagonals);
        rows.map(|(_, values)| size_of_val(values.as_slice())).sum()
    }

    /// Rotations of input parts, (part, steps), that all rows need when offsets are split as
    /// giant * j + baby; steps of 0 included.
    fn babies(&self, giant: usize) -> BTreeSet<(usize, usize)> {
        let places = self.outputs.iter().flat_map(|row| &row.diagonals);
        places
            .map(|&((input, offset), _)| (input, offset % giant))
            .collect()
    }

    /// Key switches: rotations of inputs and of partial sums, and folds.
    fn rotations(&self, giant: usize) -> usize {
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
