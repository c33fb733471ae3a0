//! The search over candidates: starts, and coordinate descent.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use hecc_ir::bootstrappers::encoded;
use hecc_ir::layout::Layout;

use super::tables::Tables;
use super::{Request, find, untwisted};
use crate::cost::Prices;

/// Rounds of coordinate descent; ResNets settle in two or three.
const MAX_SWEEPS: usize = 12;
/// A gain below this many seconds is none, so that equal costs do not swap for ever.
const LEAST_GAIN: f64 = 1e-12;

/// Copies turned by one activation: stride and twist; (0, 0) for none.
type Turn = (usize, usize);

/// One search.
pub struct Descent<'a> {
    tables: &'a Tables<'a>,
    prices: &'a Prices,
    fused: &'a [bool],
}

/// Which activations make which turn. Each turn has a bootstrapper, alive from its first use to its
/// last.
struct Turns(BTreeMap<Turn, BTreeSet<usize>>);

impl Turns {
    fn insert(&mut self, turn: Turn, hub: usize) {
        self.0.entry(turn).or_default().insert(hub);
    }

    fn remove(&mut self, turn: Turn, hub: usize) {
        if let Some(hubs) = self.0.get_mut(&turn) {
            hubs.remove(&hub);
        }
    }

    /// Seconds, were `hub` to make `turn` as well.
    fn cost(&self, more: Option<(Turn, usize)>, prices: &Prices) -> f64 {
        let known = |(turn, hubs): (&Turn, &BTreeSet<usize>)| {
            let extra = more.filter(|(t, _)| t == turn).map(|(_, hub)| hub);
            let first = hubs.first().copied().into_iter().chain(extra).min()?;
            let last = hubs.last().copied().into_iter().chain(extra).max()?;
            Some(((), first, last))
        };
        let new = more.filter(|(turn, _)| !self.0.contains_key(turn));
        // One family: rho is the same for all activations but those of a search.
        let lives = self.0.iter().filter_map(known);
        let lives = lives.chain(new.map(|(_, hub)| ((), hub, hub)));
        let alive: usize = lives.clone().map(|(_, first, last)| last - first).sum();
        prices.bootstrapper * encoded(lives, prices.groups) + prices.alive * alive as f64
    }
}

impl<'a> Descent<'a> {
    pub fn new(tables: &'a Tables<'a>, request: &Request<'a>) -> Self {
        Self {
            tables,
            prices: request.prices,
            fused: request.fused,
        }
    }

    /// The first or last plain layout of every hub, twisted where it can be or not.
    pub fn uniform(&self, last: bool, twisted: bool) -> Vec<usize> {
        let pick = |hub: usize| {
            let candidates = self.tables.candidates(hub);
            let at = if last { candidates.len() - 1 } else { 0 };
            find(candidates, &untwisted(&candidates[at].seen), twisted)
        };
        (0..self.fused.len()).map(pick).collect()
    }

    /// The cheapest choice when every hub is read along one path only: by dynamic programming over the
    /// tree of main operands, once without the other edges, and once with these as the first round left
    /// them.
    pub fn along_the_tree(&self, twisted: bool) -> Vec<usize> {
        let first = self.tree(None, twisted);
        let second = self.tree(Some(&first), twisted);
        match self.total(&second) < self.total(&first) {
            true => second,
            false => first,
        }
    }

    fn tree(&self, before: Option<&[usize]>, twisted: bool) -> Vec<usize> {
        let hubs = self.fused.len();
        let mut costs = self.tables.own.clone();
        for (hub, costs) in costs.iter_mut().enumerate() {
            let candidates = self.tables.candidates(hub).iter();
            for (cost, candidate) in costs.iter_mut().zip(candidates) {
                if !twisted && candidate.seen.twist != 0 {
                    *cost = f64::INFINITY;
                }
            }
        }
        // For every hub but the input: its cheapest candidate for each of its parent's.
        let mut answers = vec![Vec::new(); hubs];
        for hub in (1..hubs).rev() {
            let edges = self.tables.into[hub].clone();
            for (&edge, before) in edges[1..].iter().flat_map(|e| Some((e, before?))) {
                let source = before[self.tables.edges[edge].source];
                for (c, cost) in costs[hub].iter_mut().enumerate() {
                    *cost += self.tables.cost(edge, source, c);
                }
            }
            let parent = self.tables.edges[edges[0]].source;
            for p in 0..costs[parent].len() {
                let mut best = (f64::INFINITY, 0);
                if costs[parent][p].is_finite() {
                    for (c, own) in costs[hub].iter().enumerate().filter(|(_, o)| o.is_finite()) {
                        let cost = own + self.tables.cost(edges[0], p, c);
                        if cost < best.0 {
                            best = (cost, c);
                        }
                    }
                }
                costs[parent][p] += best.0;
                answers[hub].push(best.1);
            }
        }
        let cheapest = costs[0]
            .iter()
            .enumerate()
            .min_by(|a, b| a.1.total_cmp(b.1));
        let mut choice = vec![cheapest.map_or(0, |(c, _)| c)];
        for (hub, answers) in answers.iter().enumerate().skip(1) {
            let parent = self.tables.edges[self.tables.into[hub][0]].source;
            choice.push(answers[choice[parent]]);
        }
        choice
    }

    /// Coordinate descent from `choice`: its total cost and the choice it ends in.
    pub fn descend(&self, mut choice: Vec<usize>) -> (f64, Vec<usize>) {
        for _ in 0..MAX_SWEEPS {
            let single = self.sweep(&mut choice);
            let group = self.turn_groups(&mut choice);
            if !single && !group {
                break;
            }
        }
        (self.total(&choice), choice)
    }

    /// Gives every hub in turn its best candidate; whether one changed.
    fn sweep(&self, choice: &mut [usize]) -> bool {
        let mut changed = false;
        let mut turns = self.turns(choice);
        for hub in 0..choice.len() {
            let before = choice[hub];
            if let Some(turn) = self.turn(hub, before) {
                turns.remove(turn, hub);
            }
            let mut best = (self.around(hub, before, choice, &turns), before);
            for candidate in 0..self.tables.own[hub].len() {
                let cost = self.around(hub, candidate, choice, &turns);
                if cost < best.0 - LEAST_GAIN {
                    best = (cost, candidate);
                }
            }
            choice[hub] = best.1;
            if let Some(turn) = self.turn(hub, best.1) {
                turns.insert(turn, hub);
            }
            changed |= best.1 != before;
        }
        changed
    }

    /// Twists, or untwists, all hubs of one plain layout at once: the first twist pays for a
    /// bootstrapper of its own, which no single hub is worth.
    fn turn_groups(&self, choice: &mut Vec<usize>) -> bool {
        let mut changed = false;
        let mut total = self.total(choice);
        let mut groups: HashMap<Layout, Vec<usize>> = HashMap::new();
        let mut order = Vec::new();
        for (hub, &candidate) in choice.iter().enumerate() {
            let plain = untwisted(&self.tables.candidates(hub)[candidate].seen);
            let group = groups.entry(plain).or_insert_with_key(|plain| {
                order.push(plain.clone());
                Vec::new()
            });
            group.push(hub);
        }
        for plain in order {
            for twisted in [false, true] {
                let mut turned = choice.clone();
                for &hub in &groups[&plain] {
                    turned[hub] = find(self.tables.candidates(hub), &plain, twisted);
                }
                if turned == *choice {
                    continue;
                }
                let cost = self.total(&turned);
                if cost < total - LEAST_GAIN {
                    (*choice, total) = (turned, cost);
                    changed = true;
                }
            }
        }
        changed
    }

    /// The turn that an activation inside a bootstrap makes.
    fn turn(&self, hub: usize, candidate: usize) -> Option<Turn> {
        let seen = &self.tables.candidates(hub)[candidate].seen;
        let turn = match seen.twist {
            0 => (0, 0),
            twist => (seen.stride(), twist),
        };
        self.fused[hub].then_some(turn)
    }

    fn turns(&self, choice: &[usize]) -> Turns {
        let mut turns = Turns(BTreeMap::new());
        for (hub, &candidate) in choice.iter().enumerate() {
            if let Some(turn) = self.turn(hub, candidate) {
                turns.insert(turn, hub);
            }
        }
        turns
    }

    /// Cost of everything.
    fn total(&self, choice: &[usize]) -> f64 {
        let mut total = self.turns(choice).cost(None, self.prices);
        for (hub, &candidate) in choice.iter().enumerate() {
            total += self.tables.own[hub][candidate];
        }
        for edge in 0..self.tables.edges.len() {
            let (source, target) = (
                self.tables.edges[edge].source,
                self.tables.edges[edge].target,
            );
            total += self.tables.cost(edge, choice[source], choice[target]);
        }
        total
    }

    /// Cost of all that one hub has a part in; `turns` are those of the others.
    fn around(&self, hub: usize, candidate: usize, choice: &[usize], turns: &Turns) -> f64 {
        let turn = self.turn(hub, candidate).map(|turn| (turn, hub));
        let mut cost = turns.cost(turn, self.prices) + self.tables.own[hub][candidate];
        for i in 0..self.tables.into[hub].len() {
            let edge = self.tables.into[hub][i];
            let source = self.tables.edges[edge].source;
            cost += self.tables.cost(edge, choice[source], candidate);
        }
        for i in 0..self.tables.out_of[hub].len() {
            let edge = self.tables.out_of[hub][i];
            let target = self.tables.edges[edge].target;
            cost += self.tables.cost(edge, candidate, choice[target]);
        }
        cost
    }
}
