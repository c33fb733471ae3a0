//! The genome that is best at once for seconds and errors, by one exact placement on each parameter set.

use std::collections::{BTreeMap, BTreeSet};

use hecc_ir::function::{Approximation, Function};
use hecc_ir::nn::{Linear, Op};
use hecc_ir::params::depth;
use hecc_ir::slots;

use super::{Oracle, units};
use crate::PassError;
use crate::approximate::IDENTITY_DEGREE;
use crate::explore::{Network, Packed, Shelf, fused_degree};
use crate::place::{Mode, depth_of, place_at, problem};
use crate::placement::{Problem, Way};
use crate::rates::Rates;
use crate::replace::activations;
use crate::steps::{Hub, Steps};

/// Genomes whose true seconds are asked for.
const FINALISTS: usize = 6;
/// Most levels of a network without a bootstrap.
const MOST_LEVELS: usize = 60;
/// Sets are left out when they cannot come within this factor of the best so far.
const HOPELESS: f64 = 1.05;

/// What the placement chooses from, for one activation.
struct Choices {
    /// Index of the candidate and how it is computed.
    ways: Vec<(usize, Approximation)>,
    /// Candidates that only scale and shift.
    pruned: Vec<usize>,
    /// Seconds that the errors of the candidates are worth.
    worth: Vec<f64>,
}

/// A genome and what the placement thinks of it.
struct Found {
    seconds: f64,
    genome: Vec<usize>,
}

impl Oracle {
    /// The genome `g` with the least seconds + lambda * sum of `errors[i][g[i]]`, where `candidates[i]`
    /// are the operators that may replace activation i, in the order of [`crate::replace::activations`].
    ///
    /// On each parameter set the placement is exact over levels, bootstraps and choices at once, every
    /// candidate being a way to compute its activation. It sees the network unfolded: what the
    /// neighbours of a pruned activation save by merging, and what other layouts would, it does not
    /// know. So the true seconds of the few best genomes decide.
    ///
    /// # Errors
    /// [`PassError::Option`] for numbers of candidates and errors that do not match the network, for
    /// errors or a lambda that are negative or not finite, and for an operator that is neither affine
    /// nor a quadratic nor an approximation; [`PassError::NoParameters`] where nothing fits.
    pub fn best(
        &self,
        candidates: &[Vec<Op>],
        errors: &[Vec<f64>],
        lambda: f64,
    ) -> Result<Vec<usize>, PassError> {
        self.check(candidates, errors, lambda)?;
        let choices: Vec<Choices> = candidates
            .iter()
            .zip(errors)
            .map(|(ops, errors)| Choices::new(ops, errors, lambda))
            .collect::<Result<_, _>>()?;
        let steps = Steps::read_knowing(&self.graph, &self.known)?;
        let order = self.order(&steps);
        let mut found = Vec::new();
        self.with_bootstrap(&steps, &order, &choices, &mut found)?;
        self.without_bootstrap(&steps, &order, &choices, &mut found)?;
        found.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
        let mut best: Option<(f64, Vec<usize>)> = None;
        let mut finalists: Vec<Vec<usize>> = Vec::new();
        for Found { genome, .. } in found {
            if finalists.len() >= FINALISTS {
                break;
            }
            if finalists.contains(&genome) {
                continue;
            }
            let ops: Vec<Op> = candidates
                .iter()
                .zip(&genome)
                .map(|(ops, &k)| ops[k].clone())
                .collect();
            let worth = choices.iter().zip(&genome).map(|(c, &k)| c.worth[k]);
            if let Ok(predicted) = self.predict(&ops) {
                let total = predicted.seconds + worth.sum::<f64>();
                if best.as_ref().is_none_or(|b| total < b.0) {
                    best = Some((total, genome.clone()));
                }
            }
            finalists.push(genome);
        }
        best.map(|b| b.1).ok_or_else(|| {
            PassError::NoParameters("no parameter set holds any of the candidates".to_string())
        })
    }

    /// For every activation of the steps its number among those of the graph.
    fn order(&self, steps: &Steps) -> Vec<usize> {
        let ids = activations(&self.graph);
        let numbers: BTreeMap<&str, usize> = ids
            .iter()
            .enumerate()
            .map(|(at, &id)| (self.graph.nodes[id].name.as_str(), at))
            .collect();
        let of = |(_, hub, _): (usize, &Hub, _)| numbers[hub.name.as_str()];
        steps.activations().map(of).collect()
    }

    fn check(
        &self,
        candidates: &[Vec<Op>],
        errors: &[Vec<f64>],
        lambda: f64,
    ) -> Result<(), PassError> {
        let option = |name: &str, expected: String, got: String| {
            let name = name.to_string();
            Err(PassError::Option {
                name,
                expected,
                got,
            })
        };
        let lengths = candidates.iter().map(Vec::len);
        let same = lengths.clone().eq(errors.iter().map(Vec::len));
        if candidates.len() != self.activations || !same || lengths.min() == Some(0) {
            return option(
                "candidates",
                format!(
                    "one or more, with as many errors, for each of {} activations",
                    self.activations
                ),
                format!("{} lists and {} of errors", candidates.len(), errors.len()),
            );
        }
        let sound = |x: &f64| x.is_finite() && *x >= 0.0;
        if let Some(bad) = errors.iter().flatten().find(|e| !sound(e)) {
            return option("errors", "finite, 0 or more".to_string(), bad.to_string());
        }
        if !sound(&lambda) {
            return option(
                "lambda",
                "finite, 0 or more".to_string(),
                lambda.to_string(),
            );
        }
        Ok(())
    }

    /// Placements on all sets with a bootstrap, for every largest degree; with and without the twists
    /// that only bootstraps can make.
    fn with_bootstrap(
        &self,
        steps: &Steps,
        order: &[usize],
        choices: &[Choices],
        found: &mut Vec<Found>,
    ) -> Result<(), PassError> {
        let mut depths: BTreeSet<usize> = choices
            .iter()
            .flat_map(|c| &c.ways)
            .filter_map(|(_, way)| fused_degree(way))
            .map(depth)
            .collect();
        depths.insert(depth(IDENTITY_DEGREE));
        for degree in depths.into_iter().map(|depth| (1 << depth) - 1) {
            for twisted in [false, true] {
                let trial = Trial::new(steps, order, choices, degree, twisted);
                for log_n in self.catalogue.rings() {
                    let shelf = self
                        .catalogue
                        .with_bootstrap(log_n, degree.max(IDENTITY_DEGREE));
                    self.place(&trial, log_n, true, &shelf, found)?;
                }
            }
        }
        Ok(())
    }

    /// Placements without a bootstrap: for every number of levels, in the smallest ring that has them.
    fn without_bootstrap(
        &self,
        steps: &Steps,
        order: &[usize],
        choices: &[Choices],
        found: &mut Vec<Found>,
    ) -> Result<(), PassError> {
        let trial = Trial::new(steps, order, choices, 0, false);
        let deepest = |ways: &Vec<Approximation>| ways.iter().filter_map(depth_of).max();
        let depths = trial.network.ways.iter().filter_map(deepest);
        let most = depths.sum::<usize>() + 2 * steps.sums.len();
        for levels in 1..=most.min(MOST_LEVELS) {
            let rings = self.catalogue.rings().into_iter();
            let mut shelves = rings.map(|n| (n, self.catalogue.without_bootstrap(n, levels)));
            let Some((log_n, shelf)) = shelves.find(|(_, shelf)| !shelf.sets().is_empty()) else {
                break;
            };
            self.place(&trial, log_n, false, &shelf, found)?;
        }
        Ok(())
    }

    /// The exact placements of a trial on the sets of a shelf.
    fn place(
        &self,
        trial: &Trial,
        log_n: u32,
        bootstrap: bool,
        shelf: &Shelf,
        found: &mut Vec<Found>,
    ) -> Result<(), PassError> {
        if shelf.sets().is_empty() {
            return Ok(());
        }
        let packed = self
            .explorer()
            .pack(&trial.network, log_n, bootstrap, shelf)?;
        for rates in shelf.sets() {
            let (problem, offers) = trial.problem(&packed, rates);
            let best = found.iter().map(|f| f.seconds).min_by(f64::total_cmp);
            if best.is_some_and(|best| problem.least() > HOPELESS * best) {
                continue;
            }
            let Ok(placed) = place_at(&packed.graph, &problem, rates, Mode::Exact) else {
                continue;
            };
            let mut genome = vec![0; offers.len()];
            for offer in &offers {
                let way = placed.placement.choices[offer.value].way;
                genome[offer.activation] = offer.candidates[way];
            }
            found.push(Found {
                seconds: placed.seconds(),
                genome,
            });
        }
        Ok(())
    }
}

impl Choices {
    fn new(ops: &[Op], errors: &[f64], lambda: f64) -> Result<Self, PassError> {
        let mut choices = Self {
            ways: Vec::new(),
            pruned: Vec::new(),
            worth: errors.iter().map(|error| lambda * error).collect(),
        };
        for (at, op) in ops.iter().enumerate() {
            match op {
                Op::Linear(Linear::Affine { .. }) => choices.pruned.push(at),
                Op::Activation(Function::Approximated(approximation)) => {
                    choices.ways.push((at, approximation.clone()));
                }
                Op::Activation(Function::Polynomial { coefficients })
                    if coefficients.iter().all(|row| row.len() == 3) =>
                {
                    choices
                        .ways
                        .push((at, Approximation::Square { range: 1.0 }));
                }
                Op::Input | Op::Linear(_) | Op::Add | Op::Mul | Op::Activation(_) => {
                    return Err(PassError::Option {
                        name: "candidate".to_string(),
                        expected: "an affine map, a quadratic or an approximation".to_string(),
                        got: format!("candidate {at} of another kind"),
                    });
                }
            }
        }
        Ok(choices)
    }
}

/// The network with the candidates up to one degree.
struct Trial<'a> {
    network: Network,
    choices: &'a [Choices],
    /// Candidate of every way of every activation of the steps.
    of_way: Vec<Vec<usize>>,
    /// Number of every activation of the steps among the graph's.
    order: &'a [usize],
}

/// What one activation of a packed network chooses from.
struct Offer {
    value: usize,
    activation: usize,
    /// By way.
    candidates: Vec<usize>,
}

impl<'a> Trial<'a> {
    /// With fused series up to `degree`, 0 for none. The first way of an activation says whether it would
    /// be twisted.
    fn new(
        steps: &Steps,
        order: &'a [usize],
        choices: &'a [Choices],
        degree: usize,
        twisted: bool,
    ) -> Self {
        let mut ways = Vec::with_capacity(order.len());
        let mut of_way = Vec::with_capacity(order.len());
        for &activation in order {
            let allowed = |way: &&(usize, Approximation)| {
                fused_degree(&way.1).is_none_or(|fused| fused <= degree)
            };
            let mut all: Vec<_> = choices[activation].ways.iter().filter(allowed).collect();
            all.sort_by_key(|way| fused_degree(&way.1).is_some() != twisted);
            of_way.push(all.iter().map(|way| way.0).collect());
            ways.push(all.into_iter().map(|way| way.1.clone()).collect());
        }
        let network = Network {
            units: units(steps, order.len()),
            steps: steps.clone(),
            ways,
        };
        Self {
            network,
            choices,
            of_way,
            order,
        }
    }

    /// The packed network at the prices of a set, errors among them.
    fn problem(&self, packed: &Packed, rates: &Rates) -> (Problem, Vec<Offer>) {
        let mut problem = problem(&packed.graph, &packed.counts, rates);
        let mut offers = Vec::with_capacity(self.order.len());
        let nodes = &packed.graph.nodes;
        for (value, node) in nodes.iter().enumerate() {
            let slots::Op::Activation { x, .. } = &node.op else {
                continue;
            };
            let at = offers.len();
            let (choices, ways) = (&self.choices[self.order[at]], &self.network.ways[at]);
            // Only a bootstrap turns copies.
            let turned = nodes[*x].layout != node.layout;
            let kept = |way: &Approximation| !turned || fused_degree(way).is_some();
            let mut candidates: Vec<usize> = ways
                .iter()
                .zip(&self.of_way[at])
                .filter(|(way, _)| kept(way))
                .map(|(_, &candidate)| candidate)
                .collect();
            if !turned {
                candidates.extend(&choices.pruned);
            }
            let ways = &mut problem.nodes[value].ways;
            ways.resize_with(candidates.len(), || Way::Levelled {
                depth: 0,
                seconds: vec![0.0; rates.parameters.top() + 1],
            });
            for (way, &candidate) in ways.iter_mut().zip(&candidates) {
                let (Way::Levelled { seconds, .. } | Way::Fused { seconds, .. }) = way;
                let worth = choices.worth[candidate];
                seconds.iter_mut().for_each(|s| *s += worth);
            }
            offers.push(Offer {
                value,
                activation: self.order[at],
                candidates,
            });
        }
        (problem, offers)
    }
}
