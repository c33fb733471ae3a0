//! All measurements of one parameter set.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use hecc_ckks::{BootstrapShape, Bootstrapper, Evaluator, LinearTransform};
use hecc_ir::costs::{Operation, Row};
use hecc_ir::params::Parameters;
use hecc_ir::plan::{KeyManifest, RotationKey};
use indicatif::ProgressBar;

use super::fit;
use super::party::{Party, broken, numbers};
use super::sets::{Set, fits};
use super::stopwatch::Stopwatch;
use super::values;
use crate::failure::Failure;

/// Slots between giant steps, more than the baby steps of any measured map.
const GIANT: usize = 32;
/// No operation is quicker, in seconds.
const LEAST: f64 = 1e-7;
/// As plans have it; of no account for time.
const RHO: f64 = 0.92;

/// Measures everything `set` asks for.
pub fn measure(set: &Set, watch: Stopwatch, bar: &ProgressBar) -> Result<Vec<Row>, Failure> {
    let parameters = &set.parameters;
    let name = format!(
        "ring 2^{}, {} limbs, {} special primes",
        parameters.log_n,
        parameters.q.len(),
        parameters.p.len()
    );
    bar.set_message(format!("{name}: keys"));
    let party = Party::new(parameters)?;
    let weight = parameters.bootstrap.as_ref().map(|b| b.sparse_weight);
    let evaluator = party.evaluator(&keys(set), weight)?;
    bar.inc(1);
    let mut bench = Bench {
        parameters,
        set,
        party,
        evaluator,
        watch,
        // An evaluation has one thread work out a matrix while all are busy with what comes before it.
        values: values::seconds(parameters.slots(), watch).map_err(broken)?
            / rayon::current_num_threads() as f64,
        rows: Vec::new(),
    };
    for &level in &set.levels {
        bar.set_message(format!("{name}: maps at level {level}"));
        bench.maps(level)?;
        bar.inc(1);
        bar.set_message(format!("{name}: products and sums at level {level}"));
        bench.operations(level)?;
        bar.inc(1);
    }
    let [levels, degrees] = &set.polynomials;
    for &level in levels {
        for &degree in degrees.iter().filter(|&&degree| fits(level, degree)) {
            bar.set_message(format!("{name}: degree {degree} at level {level}"));
            bench.polynomial(level, degree)?;
            bar.inc(1);
        }
    }
    if let Some(groups) = set.bootstrap {
        bench.bootstrap(groups, |what| {
            bar.inc(1);
            bar.set_message(format!("{name}: {what}"));
        })?;
    }
    Ok(bench.rows)
}

/// Keys for the measured levels only, for they are large.
fn keys(set: &Set) -> KeyManifest {
    let parameters = &set.parameters;
    let [levels, _] = &set.polynomials;
    let highest = set.levels.iter().max().copied().unwrap_or(0);
    let mut rotations = BTreeMap::<usize, usize>::new();
    for &level in &set.levels {
        let [babies, giants] = set.reach(level);
        for steps in (1..=babies).chain((1..=giants).map(|j| j * GIANT)) {
            let highest = rotations.entry(steps).or_insert(level);
            *highest = level.max(*highest);
        }
    }
    let mut products = levels.iter().copied().fold(highest, usize::max);
    if set.bootstrap.is_some() {
        for key in parameters.bootstrap_rotations() {
            let level = rotations.entry(key.steps).or_insert(key.level);
            *level = key.level.max(*level);
        }
        products = products.max(parameters.bootstrap_products().unwrap_or(0));
    }
    let rotation = |(steps, level)| RotationKey { steps, level };
    KeyManifest {
        rotations: rotations.into_iter().map(rotation).collect(),
        relinearisation: Some(products),
        conjugation: parameters.bootstrap_products(),
        encapsulation: set.bootstrap.is_some(),
    }
}

struct Bench<'a> {
    parameters: &'a Parameters,
    set: &'a Set,
    party: Party,
    evaluator: Evaluator,
    watch: Stopwatch,
    /// Seconds for the numbers of a diagonal.
    values: f64,
    rows: Vec<Row>,
}

impl Bench<'_> {
    fn row(&mut self, operation: Operation, level: usize, seconds: f64) -> &mut Row {
        let at = self.rows.len();
        self.rows.push(Row {
            operation,
            log_n: self.parameters.log_n,
            level,
            specials: self.parameters.p.len(),
            digit: self.parameters.digit,
            degree: None,
            groups: None,
            // Three digits say all that a measurement knows.
            seconds: rounded(seconds.max(LEAST)),
        });
        &mut self.rows[at]
    }

    /// A scale as large as the prime that the next operation divides away.
    fn scale(&self, level: usize) -> f64 {
        (self.parameters.q[level] as f64).log2().round().exp2()
    }

    /// Prices of the parts of maps from maps of several shapes.
    fn maps(&mut self, level: usize) -> Result<(), Failure> {
        let [babies, giants] = self.set.reach(level);
        let shapes = [
            (0..1, 0..1),
            (1..2, 0..1),
            (1..babies + 1, 0..1),
            (0..1, 0..giants + 1),
            (1..babies + 1, 0..giants + 1),
            (1..babies + 1, 0..giants / 2 + 1),
            (1..babies / 2 + 1, 0..giants + 1),
        ];
        let slots = self.parameters.slots();
        let values: Vec<Vec<f64>> = (0..babies * (giants + 1))
            .map(|i| numbers(slots, i as u64))
            .collect();
        let mut samples = Vec::with_capacity(shapes.len());
        for (babies, giants) in shapes {
            samples.push(self.map(level, babies, giants, &values)?);
        }
        let prices = fit::prices(&samples, LEAST);
        let mut prices =
            prices.ok_or_else(|| broken("the shapes of maps do not tell their parts apart"))?;
        let [.., diagonal] = &mut prices;
        *diagonal += self.values;
        let operations = [
            Operation::MapInput,
            Operation::MapOutput,
            Operation::Baby,
            Operation::Giant,
            Operation::Diagonal,
        ];
        for (operation, seconds) in operations.into_iter().zip(prices) {
            self.row(operation, level, seconds);
        }
        Ok(())
    }

    /// Inputs, outputs, nonzero babies, nonzero giants and diagonals of a full grid, and its seconds:
    /// encoding included, as in an evaluation, but not the numbers to encode. An input is decomposed only to be rotated.
    fn map(
        &self,
        level: usize,
        babies: Range<usize>,
        giants: Range<usize>,
        values: &[Vec<f64>],
    ) -> Result<([f64; 5], f64), Failure> {
        let nonzero = |steps: &Range<usize>| steps.clone().filter(|&s| s != 0).count() as f64;
        let offsets = giants
            .clone()
            .flat_map(|giant| babies.clone().map(move |baby| giant * GIANT + baby));
        let offsets: Vec<usize> = offsets.collect();
        let counts = [
            f64::from(u8::from(nonzero(&babies) > 0.0)),
            1.0,
            nonzero(&babies),
            nonzero(&giants),
            offsets.len() as f64,
        ];
        let (evaluator, context) = (&self.evaluator, &self.party.context);
        let scale = self.scale(level);
        let x = [self.party.encrypt(level, scale)?];
        let plain = self.parameters.q[level] as f64;
        let seconds = self.watch.median(|| {
            let diagonals = offsets.iter().zip(values).map(|(&d, v)| ((0, d), v));
            let transform = LinearTransform::real(context, diagonals, GIANT, level, plain)?;
            let mut sum = evaluator.transform_parts(&transform, &x)?;
            evaluator.add_plain(&mut sum, &values[0])?;
            Ok(sum)
        });
        Ok((counts, seconds.map_err(|e: hecc_ckks::Error| broken(e))?))
    }

    fn operations(&mut self, level: usize) -> Result<(), Failure> {
        let scale = self.scale(level);
        let (x, y) = (
            self.party.encrypt(level, scale)?,
            self.party.encrypt(level, scale)?,
        );
        let (e, watch) = (&self.evaluator, self.watch);
        let measured = [
            (Operation::Rotation, watch.median(|| e.rotate(&x, 1))),
            (
                Operation::MulConst,
                watch.median(|| e.mul_const(&x, 0.7, scale)),
            ),
            (Operation::Add, watch.median(|| e.add(&x, &y))),
            (Operation::Mul, watch.median(|| e.mul(&x, &y))),
        ];
        for (operation, seconds) in measured {
            self.row(operation, level, seconds.map_err(broken)?);
        }
        Ok(())
    }

    fn polynomial(&mut self, level: usize, degree: usize) -> Result<(), Failure> {
        let scale = self.scale(level);
        let x = self.party.encrypt(level, scale)?;
        let series: Vec<f64> = (0..=degree).map(|k| 0.5 / (1 + k) as f64).collect();
        let run = || self.evaluator.chebyshev(&x, &series, scale);
        let seconds = self.watch.median(run).map_err(broken)?;
        self.row(Operation::Polynomial, level, seconds).degree = Some(degree);
        Ok(())
    }

    /// The bootstrap without its P. A plan builds a bootstrapper in memory that was laid up: so does this,
    /// in what another one has left.
    fn bootstrap(&mut self, groups: usize, mut step: impl FnMut(&str)) -> Result<(), Failure> {
        let Some(shape) = &self.parameters.bootstrap else {
            return Err(broken("a set without a bootstrap"));
        };
        let (top, scale) = (self.parameters.top(), self.parameters.scale());
        let shape = BootstrapShape {
            stc: shape.stc.clone(),
            cts: shape.cts.clone(),
            cos_degree: shape.cos_degree,
            double_angles: shape.double_angles,
            range: shape.range,
            rho: RHO,
            input_scale: scale,
        };
        let entry = shape.input_level();
        let watch = Stopwatch {
            patience: self.watch.patience.max(Duration::from_secs(2)),
            ..self.watch
        };
        step("the bootstrap's transforms");
        let build = || Bootstrapper::new(&self.party.context, shape.clone(), None);
        let setup = watch.median(build).map_err(broken)?;
        let bootstrapper = build().map_err(broken)?;
        self.row(Operation::BootstrapSetup, top, setup).groups = Some(groups);
        step("bootstraps");
        let x = self.party.encrypt(entry, scale)?;
        let seconds = watch.median(|| bootstrapper.cosine(&self.evaluator, &x));
        let seconds = seconds.map_err(broken)?;
        self.row(Operation::Bootstrap, top, seconds).groups = Some(groups);
        Ok(())
    }
}

/// To four digits.
fn rounded(seconds: f64) -> f64 {
    let unit = 10f64.powf(seconds.log10().floor() - 3.0);
    let digits = (seconds / unit).round();
    // Dividing by a power of ten prints shorter than multiplying by its inverse.
    digits / (1.0 / unit).round()
}
