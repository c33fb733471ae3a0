//! What operations on ciphertexts cost: a table of measured seconds, and prices between its rows.
//!
//! A row is the wall clock of one operation on one ciphertext, all the table's threads at work on it:
//!
//! | operation | level | what runs |
//! |---|---|---|
//! | `map_input` | operand | for each input part of a linear map: its decomposition |
//! | `map_output` | operand | for each output part: division by the special primes, rescale, bias |
//! | `baby` | operand | one rotation of a decomposed input part by a nonzero step |
//! | `giant` | operand | one rotation of a partial sum by a nonzero step, doubly hoisted |
//! | `diagonal` | operand | one diagonal: working out its numbers beside other work, its encoding and its multiply-accumulate |
//! | `rotation` | operand | one whole rotation |
//! | `mul_const`, `add`, `mul` | operand | the whole operation, with rescale and relinearisation |
//! | `polynomial` | operand | a whole Chebyshev series of `degree` |
//! | `bootstrap` | top | one activation but its P: slots-to-coefficients, mod-raise, coefficients-to-slots in `groups`, conjugation, a cosine of five levels, three double angles |
//! | `bootstrap_setup` | top | building one bootstrapper: the encoding of all transforms |
//!
//! So a map costs inputs x `map_input` + outputs x `map_output` + babies x `baby` + giants x `giant` +
//! diagonals x `diagonal` + folds x `rotation` one level lower; a bootstrap is its row and the
//! `polynomial` of its P, whose operand stands at the top less `groups` less eight.
//!
//! Between rows: the model of kernel counts gives every operation a price anywhere; a row's seconds over
//! its modelled price is a factor, and factors are interpolated, linearly in the level and in log2 of the
//! ring, among the rows whose special primes, digits, degree and groups are nearest.

mod kernel_count;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use crate::linear::{Offsets, baby_giant};
use crate::params::{Parameters, depth};
use kernel_count::{Point, level_of_p};

/// Version that [`CostTable::validate`] accepts.
pub const VERSION: u32 = 1;
/// Most bytes of a table's JSON.
pub const MAX_BYTES: usize = 4 << 20;
/// Most rows of a table.
const MAX_ROWS: usize = 10_000;
/// Longest name of a machine, bytes.
const MAX_NAME: usize = 1_000;
/// Most seconds of an operation.
const MAX_SECONDS: f64 = 1e6;

/// What is measured; the module's documentation says what each one runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// Fixed part of a linear map, for each input part.
    MapInput,
    /// Fixed part of a linear map, for each output part.
    MapOutput,
    /// A hoisted rotation.
    Baby,
    /// A doubly hoisted rotation of a partial sum.
    Giant,
    /// Encoding of a diagonal and the product with it.
    Diagonal,
    /// A whole rotation.
    Rotation,
    /// Multiplication by a constant.
    MulConst,
    /// A sum.
    Add,
    /// A product of ciphertexts.
    Mul,
    /// A Chebyshev series.
    Polynomial,
    /// A bootstrap without its P.
    Bootstrap,
    /// Encoding of a bootstrap's transforms.
    BootstrapSetup,
}

impl Operation {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::MapInput,
        Self::MapOutput,
        Self::Baby,
        Self::Giant,
        Self::Diagonal,
        Self::Rotation,
        Self::MulConst,
        Self::Add,
        Self::Mul,
        Self::Polynomial,
        Self::Bootstrap,
        Self::BootstrapSetup,
    ];
}

/// One measurement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// What was measured.
    pub operation: Operation,
    /// log2 of the ring degree, 10 to 17.
    pub log_n: u32,
    /// Topmost limb of the operand; of the chain for bootstraps. 0 to 63.
    pub level: usize,
    /// Special primes, 1 to 32.
    pub specials: usize,
    /// Primes of a key-switching digit, 1 to 64.
    pub digit: usize,
    /// Of a polynomial, 1 to 1023; None for every other operation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub degree: Option<usize>,
    /// Groups of coefficients-to-slots, 1 to 8, of a bootstrap or its setup; None elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups: Option<usize>,
    /// Wall clock, positive.
    pub seconds: f64,
}

/// Measured seconds of operations on one machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CostTable {
    /// [`VERSION`].
    pub version: u32,
    /// Where it was measured.
    pub machine: String,
    /// Threads that worked on every operation.
    pub threads: usize,
    /// Every operation at least once.
    pub rows: Vec<Row>,
}

/// A cost table that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cost table: {0}; measure again with `hecc-run bench -o`")]
pub struct CostError(String);

/// How much work a linear map is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MapCounts {
    /// Diagonals of all pairs of parts.
    pub diagonals: usize,
    /// Rotations of input parts by nonzero steps.
    pub babies: usize,
    /// Rotations of partial sums by nonzero steps.
    pub giants: usize,
    /// Rotations that add up copies.
    pub folds: usize,
    /// Input parts.
    pub inputs: usize,
    /// Output parts.
    pub outputs: usize,
}

impl MapCounts {
    /// Of a map with this structure and giant step between values of `inputs` and `outputs` parts.
    pub fn of(structure: &Offsets, giant: usize, inputs: usize, outputs: usize) -> Self {
        let (babies, giants) = baby_giant(&structure.offsets, giant);
        let nonzero = |steps: BTreeSet<(usize, usize)>| steps.iter().filter(|s| s.1 != 0).count();
        Self {
            diagonals: structure.offsets.len(),
            babies: nonzero(babies),
            giants: nonzero(giants),
            folds: structure.folds.len(),
            inputs,
            outputs,
        }
    }
}

/// Seconds of the pieces of linear maps at one level.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MapPrices {
    /// For each input part.
    pub input: f64,
    /// For each output part.
    pub output: f64,
    /// Of one nonzero baby step.
    pub baby: f64,
    /// Of one nonzero giant step.
    pub giant: f64,
    /// Of one diagonal.
    pub diagonal: f64,
    /// Of one fold, at the level of the result.
    pub fold: f64,
}

impl MapPrices {
    /// Seconds of one map.
    pub fn seconds(&self, counts: &MapCounts) -> f64 {
        self.input * counts.inputs as f64
            + self.output * counts.outputs as f64
            + self.baby * counts.babies as f64
            + self.giant * counts.giants as f64
            + self.diagonal * counts.diagonals as f64
            + self.fold * counts.folds as f64
    }
}

impl CostTable {
    /// The table that is built in, of two cores of a Zen 4: the mean of two runs of `hecc-run bench`, in a
    /// slow and a fast hour of a virtual machine, a quarter apart.
    pub fn reference() -> &'static Self {
        static REFERENCE: LazyLock<CostTable> = LazyLock::new(|| {
            let json = include_str!("costs_reference.json");
            CostTable::from_json(json).expect("the table built in is held by a test")
        });
        &REFERENCE
    }

    /// Reads a table of at most [`MAX_BYTES`] and validates it.
    ///
    /// # Errors
    /// When it is no JSON of a table, or [`CostTable::validate`] refuses it.
    pub fn from_json(json: &str) -> Result<Self, CostError> {
        if json.len() > MAX_BYTES {
            let found = json.len();
            return Err(CostError(format!("{found} bytes, at most {MAX_BYTES}")));
        }
        let table: Self = serde_json::from_str(json).map_err(|e| CostError(e.to_string()))?;
        table.validate()?;
        Ok(table)
    }

    /// Checks the version, the ranges that [`Row`] names, that no measurement occurs twice, and that every
    /// operation has one.
    ///
    /// # Errors
    /// The first rule broken.
    pub fn validate(&self) -> Result<(), CostError> {
        let refuse = |what: String| Err(CostError(what));
        if self.version != VERSION {
            let found = self.version;
            return refuse(format!(
                "version {found}, this program reads version {VERSION}"
            ));
        }
        if self.machine.len() > MAX_NAME || !(1..=1024).contains(&self.threads) {
            let (bytes, threads) = (self.machine.len(), self.threads);
            return refuse(format!("a machine of {bytes} bytes and {threads} threads"));
        }
        if self.rows.len() > MAX_ROWS {
            return refuse(format!("{} rows, at most {MAX_ROWS}", self.rows.len()));
        }
        let mut seen = BTreeSet::new();
        for (i, row) in self.rows.iter().enumerate() {
            let polynomial = row.operation == Operation::Polynomial;
            let bootstrap = matches!(
                row.operation,
                Operation::Bootstrap | Operation::BootstrapSetup
            );
            let optional = |value: Option<usize>, wanted: bool, most: usize| match value {
                Some(value) => wanted && (1..=most).contains(&value),
                None => !wanted,
            };
            let sane = (10..=17).contains(&row.log_n)
                && row.level < 64
                && (1..=32).contains(&row.specials)
                && (1..=64).contains(&row.digit)
                && optional(row.degree, polynomial, 1023)
                && optional(row.groups, bootstrap, 8)
                && row.seconds > 0.0
                && row.seconds <= MAX_SECONDS;
            if !sane {
                return refuse(format!("row {i} is out of range: {row:?}"));
            }
            let Row {
                operation,
                log_n,
                level,
                specials,
                digit,
                degree,
                groups,
                seconds: _,
            } = *row;
            if !seen.insert((operation, log_n, level, specials, digit, degree, groups)) {
                return refuse(format!("row {i} repeats a measurement: {row:?}"));
            }
        }
        let missing = |o: &&Operation| !self.rows.iter().any(|row| row.operation == **o);
        match Operation::ALL.iter().find(missing) {
            Some(operation) => refuse(format!("no row of the operation {operation:?}")),
            None => Ok(()),
        }
    }

    /// Seconds of the pieces of linear maps whose operand stands at `level`.
    pub fn map_prices(&self, parameters: &Parameters, level: usize) -> MapPrices {
        let price = |operation, level| self.seconds(&point(operation, parameters, level));
        MapPrices {
            input: price(Operation::MapInput, level),
            output: price(Operation::MapOutput, level),
            baby: price(Operation::Baby, level),
            giant: price(Operation::Giant, level),
            diagonal: price(Operation::Diagonal, level),
            fold: price(Operation::Rotation, level.saturating_sub(1)),
        }
    }

    /// Seconds of a linear map whose operand stands at `level`.
    pub fn map(&self, parameters: &Parameters, level: usize, counts: &MapCounts) -> f64 {
        self.map_prices(parameters, level).seconds(counts)
    }

    /// Seconds of a multiplication by a constant, operand at `level`.
    pub fn mul_const(&self, parameters: &Parameters, level: usize) -> f64 {
        self.seconds(&point(Operation::MulConst, parameters, level))
    }

    /// Seconds of a sum at `level`.
    pub fn add(&self, parameters: &Parameters, level: usize) -> f64 {
        self.seconds(&point(Operation::Add, parameters, level))
    }

    /// Seconds of a product, operands at `level`.
    pub fn mul(&self, parameters: &Parameters, level: usize) -> f64 {
        self.seconds(&point(Operation::Mul, parameters, level))
    }

    /// Seconds of a Chebyshev series of `degree`, operand at `level`.
    pub fn polynomial(&self, parameters: &Parameters, level: usize, degree: usize) -> f64 {
        self.seconds(&Point {
            degree: degree.max(1),
            ..point(Operation::Polynomial, parameters, level)
        })
    }

    /// Seconds of an activation inside the bootstrap of one ciphertext, P of `degree`; 0 for a set without
    /// bootstrap.
    pub fn bootstrap(&self, parameters: &Parameters, degree: usize) -> f64 {
        let Some(at) = bootstrap(Operation::Bootstrap, parameters) else {
            return 0.0;
        };
        let p = level_of_p(at.level, at.groups);
        self.seconds(&at) + self.polynomial(parameters, p, degree)
    }

    /// Seconds of building one bootstrapper; 0 for a set without bootstrap.
    pub fn bootstrap_setup(&self, parameters: &Parameters) -> f64 {
        bootstrap(Operation::BootstrapSetup, parameters).map_or(0.0, |at| self.seconds(&at))
    }

    fn seconds(&self, at: &Point) -> f64 {
        let below = self.ring(at, |n| n <= at.log_n, true);
        let above = self.ring(at, |n| n >= at.log_n, false);
        let factor = match (below, above) {
            (Some((n, low)), Some((m, high))) if n < m => {
                let share = f64::from(at.log_n - n) / f64::from(m - n);
                low + share * (high - low)
            }
            (Some((_, factor)), _) | (None, Some((_, factor))) => factor,
            // A table that passed its validation has rows of every operation.
            (None, None) => 1.0,
        };
        factor * at.modelled()
    }

    /// The nearest ring among those that `side` admits, and the factor there.
    fn ring(&self, at: &Point, side: impl Fn(u32) -> bool, largest: bool) -> Option<(u32, f64)> {
        let rings = self
            .rows_of(at.operation)
            .map(|row| row.log_n)
            .filter(|&n| side(n));
        let ring = if largest { rings.max() } else { rings.min() }?;
        let distance = |row: &Row| {
            let degree = row.degree.unwrap_or(0);
            let differs = [
                row.specials.abs_diff(at.specials) + row.digit.abs_diff(at.digit),
                depth(degree).abs_diff(depth(at.degree))
                    + row.groups.unwrap_or(0).abs_diff(at.groups),
                degree.abs_diff(at.degree),
            ];
            // The shape of the work counts before the sizes of keys.
            (differs[1], differs[2], differs[0])
        };
        let rows = || self.rows_of(at.operation).filter(|row| row.log_n == ring);
        let nearest = rows().map(distance).min()?;
        let rows = || rows().filter(|row| distance(row) == nearest);
        let factor = |row: &Row| row.seconds / row.point().modelled();
        let below = rows()
            .filter(|row| row.level <= at.level)
            .max_by_key(|row| row.level);
        let above = rows()
            .filter(|row| row.level >= at.level)
            .min_by_key(|row| row.level);
        let factor = match (below, above) {
            (Some(low), Some(high)) if low.level < high.level => {
                let share = (at.level - low.level) as f64 / (high.level - low.level) as f64;
                factor(low) + share * (factor(high) - factor(low))
            }
            (Some(row), _) | (None, Some(row)) => factor(row),
            (None, None) => return None,
        };
        Some((ring, factor))
    }

    fn rows_of(&self, operation: Operation) -> impl Iterator<Item = &Row> {
        self.rows
            .iter()
            .filter(move |row| row.operation == operation)
    }
}

impl Row {
    fn point(&self) -> Point {
        Point {
            operation: self.operation,
            log_n: self.log_n,
            level: self.level,
            specials: self.specials,
            digit: self.digit,
            degree: self.degree.unwrap_or(0),
            groups: self.groups.unwrap_or(0),
        }
    }
}

fn point(operation: Operation, parameters: &Parameters, level: usize) -> Point {
    Point {
        operation,
        log_n: parameters.log_n,
        level,
        specials: parameters.p.len(),
        digit: parameters.digit,
        degree: 0,
        groups: 0,
    }
}

fn bootstrap(operation: Operation, parameters: &Parameters) -> Option<Point> {
    let groups = parameters.bootstrap.as_ref()?.cts.len();
    Some(Point {
        groups,
        ..point(operation, parameters, parameters.top())
    })
}
