//! **explore**: the network, packed and placed on every parameter set that could serve it.
//!
//! Does: for every ring, sets with a bootstrap for the largest fused degree, and sets without one for
//! the levels that the network takes; layouts once for each of these lists, at the prices of its first
//! set; a placement on each set.
//!
//! Does not: choose among the sets. Where only the fastest is wanted, sets are left out that cannot be
//! it: the sum of what every operation costs at least exceeds the best placement so far.

use std::sync::Arc;

use hecc_ir::costs::{CostTable, MapCounts};
use hecc_ir::function::Approximation;
use hecc_ir::params::{Parameters, depth};
use hecc_ir::slots;

use crate::PassError;
use crate::approximate::IDENTITY_DEGREE;
use crate::choose_layouts::{Layouts, Request, choose_layouts_knowing};
use crate::choose_parameters::{self, Constraints, RINGS, Sets, twist_granularity};
use crate::cost::Prices;
use crate::known::{Known, Memo};
use crate::lower_to_slots::{Units, lower_to_slots};
use crate::place::{Mode, Placed, depth_of, least_setup, levelled_depth, place_at, problem};
use crate::placement::Problem;
use crate::rates::Rates;
use crate::steps::{HubKind, Steps};

/// The network before anything depends on a ring.
pub struct Network {
    /// Its maps and hubs.
    pub steps: Steps,
    /// For every activation how it can be computed.
    pub ways: Vec<Vec<Approximation>>,
    /// What a slot that holds 1 stands for.
    pub units: Units,
}

/// The network in the slots of one ring.
pub struct Packed {
    /// Where values sit.
    pub layouts: Layouts,
    /// The program.
    pub graph: slots::Graph,
    /// What its maps cost.
    pub counts: Vec<MapCounts>,
}

/// A parameter set with the network placed on it.
pub struct Candidate {
    /// Index into the packings.
    pub packed: usize,
    /// The set.
    pub rates: Arc<Rates>,
    /// The placement.
    pub placed: Placed,
    /// Where it stands among all sets.
    order: usize,
}

/// What was found.
#[derive(Default)]
pub struct Explored {
    /// Networks in slots.
    pub packings: Vec<Packed>,
    /// In the order of rings and levels.
    pub candidates: Vec<Candidate>,
    /// Why there are not more.
    pub refused: Vec<String>,
    /// Sets without a bootstrap that were left out.
    skipped: bool,
    /// Sets so far.
    order: usize,
}

/// Sets of one ring for one purpose, the cheapest in levels first.
pub struct Shelf {
    sets: Vec<Arc<Rates>>,
    refused: Vec<String>,
    /// Of maps at a typical level of the first set.
    prices: Option<Prices>,
}

/// All parameter sets, found and priced when they are asked for.
pub struct Catalogue {
    costs: Arc<CostTable>,
    constraints: Constraints,
    /// By ring and levels of P.
    with: Memo<(u32, usize), Arc<Shelf>>,
    /// By ring and levels.
    without: Memo<(u32, usize), Arc<Shelf>>,
}

/// Shelves of a catalogue.
const CAPACITY: usize = 1 << 10;

impl Catalogue {
    /// Of these constraints, at these prices.
    pub fn new(constraints: &Constraints, costs: &CostTable) -> Self {
        Self {
            costs: Arc::new(costs.clone()),
            constraints: constraints.clone(),
            with: Memo::new(CAPACITY),
            without: Memo::new(CAPACITY),
        }
    }

    /// The rings to look at.
    pub fn rings(&self) -> Vec<u32> {
        self.constraints
            .ring
            .map_or(RINGS.to_vec(), |ring| vec![ring])
    }

    /// Sets with a bootstrap for series of up to `degree`.
    pub fn with_bootstrap(&self, log_n: u32, degree: usize) -> Arc<Shelf> {
        self.with.of((log_n, depth(degree)), |_| {
            self.shelf(choose_parameters::with_bootstrap(
                log_n,
                degree,
                &self.constraints,
            ))
        })
    }

    /// Sets without a bootstrap for so many levels.
    pub fn without_bootstrap(&self, log_n: u32, levels: usize) -> Arc<Shelf> {
        self.without.of((log_n, levels), |_| {
            self.shelf(choose_parameters::without_bootstrap(
                log_n,
                levels,
                &self.constraints,
            ))
        })
    }

    fn shelf(&self, found: Sets) -> Arc<Shelf> {
        let level = |set: &Parameters| match set.activation_in() {
            Some(enter) => enter + 1,
            None => set.top().div_ceil(2),
        };
        let first = found.sets.first();
        Arc::new(Shelf {
            prices: first.map(|set| Prices::new(&self.costs, set, level(set))),
            refused: found.refused,
            sets: found
                .sets
                .into_iter()
                .map(|set| Arc::new(Rates::new(set, &self.costs)))
                .collect(),
        })
    }
}

impl Shelf {
    /// The sets.
    pub fn sets(&self) -> &[Arc<Rates>] {
        &self.sets
    }
}

/// What is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Every set, with programs that are complete.
    All,
    /// The fastest set; programs without the operators of their maps.
    Fastest,
}

/// One exploration.
pub struct Explorer<'a> {
    /// Parameter sets.
    pub catalogue: &'a Catalogue,
    /// Maps.
    pub known: &'a Known,
    /// How bootstraps are placed.
    pub mode: Mode,
    /// What is looked for.
    pub wanted: Wanted,
}

impl Explorer<'_> {
    /// The network on every set; a set with a bootstrap that nobody uses is none, where there are sets
    /// without.
    ///
    /// # Errors
    /// Those of the layouts.
    pub fn explore(&self, network: &Network) -> Result<Explored, PassError> {
        let mut found = self.search(network, self.wanted == Wanted::Fastest)?;
        if found.skipped && found.fastest().is_some_and(Candidate::is_idle) {
            // Whether that counts depends on the sets left out.
            found = self.search(network, false)?;
        }
        let candidates = &mut found.candidates;
        if candidates.iter().any(|c| !c.bootstraps()) {
            candidates.retain(|c| !c.is_idle());
        }
        candidates.sort_by_key(|c| c.order);
        Ok(found)
    }

    /// `leave_out`: sets that cannot be the fastest.
    fn search(&self, network: &Network, leave_out: bool) -> Result<Explored, PassError> {
        let fused = network.ways.iter().flatten().filter_map(fused_degree).max();
        // Plain bootstraps at least.
        let degree = fused.unwrap_or(IDENTITY_DEGREE);
        let mut found = Explored::default();
        for log_n in self.catalogue.rings() {
            let shelf = self.catalogue.with_bootstrap(log_n, degree);
            found.refused.extend_from_slice(&shelf.refused);
            let hopeless = leave_out && found.beats(least(network, &shelf));
            if !shelf.sets.is_empty() && !hopeless {
                let packed = self.pack(network, log_n, true, &shelf)?;
                self.add(packed, &shelf, leave_out, &mut found);
            }
            let Some(levels) = steps_depth(network) else {
                continue;
            };
            let mut shelf = self.catalogue.without_bootstrap(log_n, levels);
            found.refused.extend_from_slice(&shelf.refused);
            if shelf.sets.is_empty() {
                continue;
            }
            let packed = self.pack(network, log_n, false, &shelf)?;
            // Changes of layout take levels of their own.
            if let Some(more) = levelled_depth(&packed.graph).filter(|&more| more > levels) {
                shelf = self.catalogue.without_bootstrap(log_n, more);
                found.refused.extend_from_slice(&shelf.refused);
            }
            self.add(packed, &shelf, leave_out, &mut found);
        }
        Ok(found)
    }

    /// Places the packed network on the sets; what does not fit is refused.
    fn add(&self, packed: Packed, shelf: &Shelf, leave_out: bool, found: &mut Explored) {
        let mut sets: Vec<(f64, usize, Problem)> = Vec::with_capacity(shelf.sets.len());
        for (at, rates) in shelf.sets.iter().enumerate() {
            let problem = problem(&packed.graph, &packed.counts, rates);
            let bound = problem.least() + least_setup(&packed.graph, &problem, rates);
            sets.push((bound, at, problem));
        }
        if leave_out {
            sets.sort_by(|a, b| a.0.total_cmp(&b.0));
        }
        for (bound, at, problem) in sets {
            let rates = &shelf.sets[at];
            if leave_out && found.beats(bound) {
                found.skipped |= rates.parameters.bootstrap.is_none();
                continue;
            }
            match place_at(&packed.graph, &problem, rates, self.mode) {
                Ok(placed) => found.candidates.push(Candidate {
                    packed: found.packings.len(),
                    rates: Arc::clone(rates),
                    placed,
                    order: found.order + at,
                }),
                Err(e) => found.refused.push(format!(
                    "the ring 2^{} with {} levels: {e}",
                    rates.parameters.log_n,
                    rates.parameters.top()
                )),
            }
        }
        found.order += shelf.sets.len();
        found.packings.push(packed);
    }

    /// Layouts in the ring 2^log_n, and the program in its slots.
    ///
    /// # Errors
    /// [`PassError::TooLarge`].
    pub fn pack(
        &self,
        network: &Network,
        log_n: u32,
        bootstrap: bool,
        shelf: &Shelf,
    ) -> Result<Packed, PassError> {
        let prices = shelf.prices.as_ref().expect("there is a first set");
        let mut fused = vec![false; network.steps.hubs.len()];
        for ((hub, ..), ways) in network.steps.activations().zip(&network.ways) {
            // A twist leaves only the fused way: it is for activations that prefer that.
            fused[hub] = bootstrap && ways.first().and_then(fused_degree).is_some();
        }
        let request = Request {
            slots: 1 << (log_n - 1),
            granularity: twist_granularity(log_n, bootstrap),
            fused: &fused,
            prices,
        };
        let layouts = choose_layouts_knowing(&network.steps, &request, self.known)?;
        let (units, ways) = (&network.units, &network.ways);
        let graph = match self.wanted {
            Wanted::Fastest => {
                lower_to_slots(&network.steps.without_operators(), &layouts, units, ways)
            }
            Wanted::All => {
                let graph = lower_to_slots(&network.steps, &layouts, units, ways);
                graph.verify().map_err(|e| PassError::Verify {
                    pass: "lower_to_slots",
                    what: e.to_string(),
                })?;
                graph
            }
        };
        let maps = layouts.maps.iter().flatten().flatten();
        Ok(Packed {
            counts: maps.map(|map| map.counts()).collect(),
            layouts,
            graph,
        })
    }
}

impl Explored {
    /// The fastest candidate, the first of equals.
    pub fn fastest(&self) -> Option<&Candidate> {
        let seconds = |c: &Candidate| c.placed.seconds();
        let by = |a: &&Candidate, b: &&Candidate| {
            let order = a.order.cmp(&b.order);
            seconds(a).total_cmp(&seconds(b)).then(order)
        };
        self.candidates.iter().min_by(by)
    }

    /// Whether something that takes at least so many seconds cannot be the fastest. An idle candidate
    /// does not count: it may have to go.
    fn beats(&self, seconds: f64) -> bool {
        let counted = self.candidates.iter().filter(|c| !c.is_idle());
        let best = counted.map(|c| c.placed.seconds()).min_by(f64::total_cmp);
        best.is_some_and(|best| seconds > best * (1.0 + 1e-9))
    }
}

impl Candidate {
    /// The parameter set.
    pub fn parameters(&self) -> &Parameters {
        &self.rates.parameters
    }

    fn bootstraps(&self) -> bool {
        self.parameters().bootstrap.is_some()
    }

    /// A set with a bootstrap that nobody uses is a set without one, of another precision.
    fn is_idle(&self) -> bool {
        self.bootstraps() && self.placed.bootstraps == 0
    }
}

/// Seconds of bootstraps that no placement on these sets does without.
fn least(network: &Network, shelf: &Shelf) -> f64 {
    let of_set = |rates: &Arc<Rates>| {
        let slots = 1 << (rates.parameters.log_n - 1);
        let activations = network.steps.activations().zip(&network.ways);
        let seconds = activations.map(|((_, hub, _), ways)| {
            let price = |way| fused_degree(way).map_or(0.0, |degree| rates.bootstrap(degree));
            let parts = hub.shape.elements().div_ceil(slots) as f64;
            parts * ways.iter().map(price).fold(f64::INFINITY, f64::min)
        });
        seconds.sum::<f64>()
    };
    shelf.sets.iter().map(of_set).fold(f64::INFINITY, f64::min)
}

/// Degree of a fused way.
pub fn fused_degree(way: &Approximation) -> Option<usize> {
    match way {
        Approximation::Fused { coefficients, .. } => Some(coefficients.len() - 1),
        Approximation::Levelled { .. } | Approximation::Square { .. } => None,
    }
}

/// Levels from input to output without bootstraps or changes of layout; None when an activation
/// has no levelled way.
fn steps_depth(network: &Network) -> Option<usize> {
    let steps = &network.steps;
    let mut hubs: Vec<usize> = Vec::with_capacity(steps.hubs.len());
    let mut activations = network.ways.iter();
    for hub in &steps.hubs {
        let below = hub
            .kind
            .sums()
            .flat_map(|sum| &steps.sums[sum].addends)
            .map(|a| hubs[a.source] + usize::from(!a.stages.is_empty()))
            .max();
        let own = match &hub.kind {
            HubKind::Input | HubKind::Sum { .. } => 0,
            HubKind::Mul { .. } => 1,
            HubKind::Activation { .. } => activations.next()?.iter().filter_map(depth_of).min()?,
        };
        hubs.push(below.unwrap_or(0) + own);
    }
    hubs.last().copied()
}
