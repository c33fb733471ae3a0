//! What a linear map costs, for comparing layouts, giant steps and ways to cut chains.

use std::collections::BTreeSet;

use hecc_ir::costs::{CostTable, MapCounts, MapPrices};
use hecc_ir::layout::Layout;
use hecc_ir::linear::{MAX_VALUES, MAX_VISITED, Place};
use hecc_ir::params::Parameters;

use crate::relation::{self, Distances};

/// Degree of the activation that a bootstrap is priced with.
const TYPICAL_DEGREE: usize = 15;

/// Prices in seconds, at one level of one parameter set.
#[derive(Clone, Debug, PartialEq)]
pub struct Prices {
    /// Of the pieces of linear maps.
    pub map: MapPrices,
    /// Multiplication of one ciphertext by a constant.
    pub scale: f64,
    /// Product of two ciphertexts.
    pub mul: f64,
    /// An activation of one ciphertext.
    pub activation: f64,
    /// Building one bootstrapper: encoding the transforms of both directions at the top of the chain.
    /// Activations that turn their copies alike share one.
    pub bootstrapper: f64,
    /// Groups of coefficients-to-slots: of a bootstrapper beside another, only the first is encoded.
    pub groups: usize,
    /// Keeping one, of a gigabyte or two, over one further hub: a tie-breaker for memory.
    pub alive: f64,
}

/// Seconds for keeping a bootstrapper over one further hub.
const ALIVE: f64 = 4.0e-3;

impl Prices {
    /// Of maps whose operand stands at `level`; of activations of a typical degree inside a bootstrap, where
    /// the parameters have one, and of squares elsewhere.
    pub fn new(table: &CostTable, parameters: &Parameters, level: usize) -> Self {
        let mul = table.mul(parameters, level);
        let activation = match parameters.bootstrap {
            Some(_) => table.bootstrap(parameters, TYPICAL_DEGREE),
            None => mul,
        };
        Self {
            map: table.map_prices(parameters, level),
            scale: table.mul_const(parameters, level),
            mul,
            activation,
            bootstrapper: table.bootstrap_setup(parameters),
            groups: parameters.bootstrap.as_ref().map_or(1, |b| b.cts.len()),
            alive: ALIVE,
        }
    }

    /// At level 3 of the 2^15 ring (4 limbs, 4 special primes), one thread of the reference machine: for
    /// choices that must not depend on parameters, and for tests.
    pub fn reference() -> Self {
        Self {
            map: MapPrices {
                input: 1.5e-3,
                output: 1.5e-3,
                baby: 1.5e-3,
                giant: 3.0e-3,
                diagonal: 1.15e-3,
                fold: 2.5e-3,
            },
            scale: 0.3e-3,
            mul: 3.0e-3,
            activation: 0.5,
            bootstrapper: 0.7,
            groups: 3,
            alive: ALIVE,
        }
    }
}

/// The way one linear map is computed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MapChoice {
    /// Whether copies share the terms of the sum.
    pub fold: bool,
    /// Giant step, in slots.
    pub giant: usize,
    /// Diagonals.
    pub diagonals: usize,
    /// Rotations of the input.
    pub babies: usize,
    /// Rotations of partial sums.
    pub giants: usize,
    /// Rotations that add up the copies.
    pub folds: usize,
    /// Ciphertexts of the input.
    pub inputs: usize,
    /// Ciphertexts of the output.
    pub outputs: usize,
    /// Seconds; infinite for a map too large to be encoded.
    pub cost: f64,
}

/// All ways to compute one map, whatever they cost.
#[derive(Clone, Debug, PartialEq)]
pub struct MapOptions {
    /// Every copy by itself, by giant step.
    plain: Vec<MapChoice>,
    /// The copies share the terms of the sum; empty where they cannot.
    shared: Vec<MapChoice>,
}

impl MapOptions {
    /// The options of a map whose distances are `distances`, of a relation with so many entries.
    pub fn new(distances: &[Distances], entries: usize, [input, output]: [&Layout; 2]) -> Self {
        let steps = giant_steps(input, output);
        let options = |fold: bool| {
            let places = relation::places(distances, input, output, fold);
            let visited = entries.saturating_mul(output.copies);
            let too_large =
                visited > MAX_VISITED || places.len().saturating_mul(input.slots) > MAX_VALUES;
            let folds = if fold {
                output.copies.trailing_zeros() as usize
            } else {
                0
            };
            let start = MapChoice {
                fold,
                giant: 0,
                diagonals: places.len(),
                babies: 0,
                giants: 0,
                folds,
                inputs: input.parts,
                outputs: output.parts,
                cost: if too_large { f64::INFINITY } else { 0.0 },
            };
            by_giant_step(&places, start, [input, output], &steps)
        };
        let shares = output.copies > 1 && output.twist == 0;
        Self {
            plain: options(false),
            shared: if shares { options(true) } else { Vec::new() },
        }
    }

    /// Bytes they take, about.
    pub(crate) fn size(&self) -> usize {
        size_of::<Self>() + size_of::<MapChoice>() * (self.plain.len() + self.shared.len())
    }

    /// The cheaper of computing every copy by itself and sharing the sum between the copies.
    pub fn cheapest(&self, prices: &Prices) -> MapChoice {
        let best = |options: &[MapChoice]| -> Option<MapChoice> {
            let mut best: Option<MapChoice> = None;
            for option in options {
                let cost = prices.map.seconds(&option.counts());
                if best.is_none_or(|b| cost < b.cost) {
                    best = Some(MapChoice { cost, ..*option });
                }
            }
            // Infinite for all options alike: the map is too large.
            let most = options.first().map_or(0.0, |option| option.cost);
            best.map(|b| MapChoice {
                cost: b.cost.max(most),
                ..b
            })
        };
        let plain = best(&self.plain).expect("there is a giant step");
        match best(&self.shared) {
            Some(shared) if shared.cost < plain.cost => shared,
            Some(_) | None => plain,
        }
    }
}

impl MapChoice {
    /// What a cost table prices.
    pub fn counts(&self) -> MapCounts {
        MapCounts {
            diagonals: self.diagonals,
            babies: self.babies,
            giants: self.giants,
            folds: self.folds,
            inputs: self.inputs,
            outputs: self.outputs,
        }
    }
}

/// `start` with the rotations that each giant step asks for. A step that takes no fewer rotations of
/// either kind than a smaller one is left out.
fn by_giant_step(
    places: &[Place],
    start: MapChoice,
    [input, output]: [&Layout; 2],
    steps: &[usize],
) -> Vec<MapChoice> {
    let slots = input.slots;
    let mut options: Vec<MapChoice> = Vec::new();
    let mut seen = vec![false; slots * input.parts.max(output.parts)];
    for &giant in steps {
        let babies = distinct(&mut seen, places, |p| (p.input * slots, p.offset % giant));
        let giants = distinct(&mut seen, places, |p| {
            (p.output * slots, p.offset - p.offset % giant)
        });
        let worse = |o: &MapChoice| o.babies <= babies && o.giants <= giants;
        if !options.iter().any(worse) {
            options.push(MapChoice {
                giant,
                babies,
                giants,
                ..start
            });
        }
    }
    options
}

/// Giant steps worth trying: powers of two, and on other grids the multiples of rows, columns and
/// channel groups that layouts split at.
fn giant_steps(input: &Layout, output: &Layout) -> Vec<usize> {
    let slots = input.slots;
    let powers = |unit: usize| {
        (0..)
            .map(move |i| unit << i)
            .take_while(move |&g| g <= slots)
    };
    let mut steps: BTreeSet<usize> = powers(1).collect();
    for layout in [input, output] {
        for unit in [layout.cols, layout.rows * layout.cols] {
            if !unit.is_power_of_two() {
                steps.extend(powers(unit));
            }
        }
    }
    steps.into_iter().collect()
}

/// How many different pairs (base, step) with a step that is not 0; their sums are below `seen.len()`.
fn distinct(
    seen: &mut [bool],
    places: &[Place],
    split: impl Fn(&Place) -> (usize, usize),
) -> usize {
    seen.fill(false);
    let mut count = 0;
    for (base, step) in places.iter().map(split) {
        if step != 0 && !std::mem::replace(&mut seen[base + step], true) {
            count += 1;
        }
    }
    count
}
