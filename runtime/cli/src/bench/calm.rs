//! What noise added is taken away again: whatever disturbs a measurement makes it longer, and an operation
//! never takes longer at a lower level.

use hecc_ir::costs::{Operation, Row};

/// Lowers every row of a whole operation to the least of its like at the same or a higher level. The pieces
/// of maps stay: they were found together, and only their sum is sure to grow with the level.
pub fn calm(rows: &mut [Row]) {
    let of = |row: &Row| {
        let shape = (row.log_n, row.specials, row.digit);
        (row.operation, shape, row.degree, row.groups)
    };
    let least: Vec<f64> = rows
        .iter()
        .map(|row| {
            let above = rows
                .iter()
                .filter(|other| of(other) == of(row) && other.level >= row.level);
            let seconds = above.map(|other| other.seconds);
            seconds.fold(row.seconds, f64::min)
        })
        .collect();
    for (row, least) in rows.iter_mut().zip(least) {
        row.seconds = match row.operation {
            Operation::MapInput
            | Operation::MapOutput
            | Operation::Baby
            | Operation::Giant
            | Operation::Diagonal => row.seconds,
            Operation::Rotation
            | Operation::MulConst
            | Operation::Add
            | Operation::Mul
            | Operation::Polynomial
            | Operation::Bootstrap
            | Operation::BootstrapSetup => least,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_grow_with_the_level() {
        let row = |operation, level, degree, seconds| Row {
            operation,
            log_n: 13,
            level,
            specials: 4,
            digit: 5,
            degree,
            groups: None,
            seconds,
        };
        let mut rows = vec![
            row(Operation::Add, 1, None, 3.0),
            row(Operation::Add, 5, None, 2.5),
            row(Operation::Add, 2, None, 2.0),
            row(Operation::Baby, 1, None, 9.0),
            row(Operation::Baby, 2, None, 1.0),
            row(Operation::Polynomial, 8, Some(3), 7.0),
            row(Operation::Polynomial, 16, Some(2), 6.0),
        ];
        calm(&mut rows);
        let seconds: Vec<f64> = rows.iter().map(|row| row.seconds).collect();
        assert_eq!(seconds, [2.0, 2.5, 2.0, 9.0, 1.0, 7.0, 6.0]);
    }
}
