//! What a linear map costs, for comparing layouts, giant steps and ways to cut chains.

use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use hecc_ir::costs::{CostTable, MapCounts, MapPrices};
use hecc_ir::layout::Layout;
use hecc_ir::linear::{MAX_VALUES, MAX_VISITED, Place};
use hecc_ir::params::Parameters;

use crate::relation::{self, Distances, Relation};

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

/// Counts maps, and remembers the distances between layouts, which candidates that differ in copies
/// and twist share.
#[derive(Default)]
pub struct Counter {
    /// By number of the relation, input and output.
    distances: HashMap<(usize, Layout, Layout), Rc<Vec<Distances>>>,
}

impl Counter {
    /// The cheaper of computing every copy by itself and sharing the sum between the copies. The
    /// relation comes with a number of its own.
    pub fn cheapest_map(
        &mut self,
        (number, relation): (usize, &Relation),
        input: &Layout,
        output: &Layout,
        prices: &Prices,
    ) -> MapChoice {
        let key = (number, relation::single(input), relation::single(output));
        let distances = self
            .distances
            .entry(key)
            .or_insert_with_key(|(_, from, to)| Rc::new(relation.distances(from, to)));
        let (distances, entries) = (Rc::clone(distances), relation.entries());
        choose_fold(&distances, entries, [input, output], prices)
    }
}

/// The cheaper of computing every copy by itself and sharing the sum between the copies.
fn choose_fold(
    distances: &[Distances],
    entries: usize,
    [input, output]: [&Layout; 2],
    prices: &Prices,
) -> MapChoice {
    let folds = output.copies.trailing_zeros() as usize;
    let steps = giant_steps(input, output);
    let choose = |fold: bool| {
        let places = relation::places(distances, input, output, fold);
        let mut choice = choose_giant(&places, [input, output], &steps, prices);
        choice.fold = fold;
        choice.folds = if fold { folds } else { 0 };
        choice.cost += prices.map.fold * choice.folds as f64;
        let visited = entries.saturating_mul(output.copies);
        if visited > MAX_VISITED || places.len().saturating_mul(input.slots) > MAX_VALUES {
            choice.cost = f64::INFINITY;
        }
        choice
    };
    let plain = choose(false);
    if folds == 0 || output.twist != 0 {
        return plain;
    }
    let shared = choose(true);
    if shared.cost < plain.cost {
        shared
    } else {
        plain
    }
}

/// The cheapest giant step for diagonals at `places`.
fn choose_giant(
    places: &[Place],
    [input, output]: [&Layout; 2],
    steps: &[usize],
    prices: &Prices,
) -> MapChoice {
    let slots = input.slots;
    let mut best: Option<MapChoice> = None;
    let mut seen = vec![false; slots * input.parts.max(output.parts)];
    for &giant in steps {
        let babies = distinct(&mut seen, places, |p| (p.input * slots, p.offset % giant));
        let giants = distinct(&mut seen, places, |p| {
            (p.output * slots, p.offset - p.offset % giant)
        });
        let cost = prices.map.seconds(&MapCounts {
            diagonals: places.len(),
            babies,
            giants,
            folds: 0,
            inputs: input.parts,
            outputs: output.parts,
        });
        if best.is_none_or(|b| cost < b.cost) {
            best = Some(MapChoice {
                fold: false,
                giant,
                diagonals: places.len(),
                babies,
                giants,
                folds: 0,
                inputs: input.parts,
                outputs: output.parts,
                cost,
            });
        }
    }
    best.expect("there is a giant step")
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
