//! Candidates of every hub, and what every map between two candidates costs.

use std::collections::HashMap;

use hecc_ir::layout::Layout;
use hecc_ir::linear::MAX_VISITED;

use super::{HubLayout, Layouts, Request};
use crate::PassError;
use crate::cost::{Counter, MapChoice, Prices};
use crate::layout_candidates::{
    Candidate, Twist, plain_candidates, total_stride, with_copies, with_twists,
};
use crate::relation::Relation;
use crate::steps::{HubKind, Steps};

/// One addend, from the hub it reads to the hub it belongs to.
#[derive(Clone, Copy, Debug)]
pub struct Edge {
    /// Hub that is read.
    pub source: usize,
    /// Hub that is made.
    pub target: usize,
    class: usize,
}

/// Edges of one relation between equal candidates cost the same.
struct Class {
    relation: usize,
    /// Whether nothing happens when the layouts are equal.
    plain: bool,
    /// By candidate of the source, then of the target.
    cells: Vec<Option<Cell>>,
    columns: usize,
}

/// How an addend is computed; no map when it is only scaled.
#[derive(Clone, Copy)]
struct Cell {
    map: Option<MapChoice>,
    cost: f64,
}

/// All that the search looks up.
pub struct Tables {
    /// Edges in the order of sums and addends.
    pub edges: Vec<Edge>,
    /// For every hub the edges it is made of.
    pub into: Vec<Vec<usize>>,
    /// For every hub the edges that read it.
    pub out_of: Vec<Vec<usize>>,
    /// For every hub what each candidate costs by itself, in seconds.
    pub own: Vec<Vec<f64>>,
    prices: Prices,
    /// For every hub the index of its list.
    list_of: Vec<usize>,
    lists: Vec<Vec<Candidate>>,
    relations: Vec<Relation>,
    classes: Vec<Class>,
    counter: Counter,
}

impl Tables {
    /// # Errors
    /// [`PassError::TooLarge`].
    pub fn new(steps: &Steps, request: &Request) -> Result<Self, PassError> {
        let mut tables = Self {
            edges: Vec::new(),
            into: vec![Vec::new(); steps.hubs.len()],
            out_of: vec![Vec::new(); steps.hubs.len()],
            own: Vec::new(),
            prices: request.prices.clone(),
            list_of: Vec::new(),
            lists: Vec::new(),
            relations: Vec::new(),
            classes: Vec::new(),
            counter: Counter::default(),
        };
        let mut lists: HashMap<Vec<Layout>, usize> = HashMap::new();
        let mut relations: HashMap<Relation, usize> = HashMap::new();
        let mut classes: HashMap<[usize; 4], usize> = HashMap::new();
        for (h, hub) in steps.hubs.iter().enumerate() {
            let addends = || hub.kind.sums().flat_map(|s| &steps.sums[s].addends);
            let inherited: Vec<_> = addends()
                .flat_map(|addend| {
                    let shape = steps.hubs[addend.source].shape;
                    let stride = total_stride(&addend.stages, shape);
                    let candidates = &tables.lists[tables.list_of[addend.source]];
                    let plain = candidates.iter().filter(|c| c.seen.twist == 0);
                    plain.map(move |c| (c.seen.clone(), stride))
                })
                .collect();
            let reads: Vec<Relation> = addends()
                .map(|a| Relation::new(&a.stages, steps.hubs[a.source].shape, hub.shape))
                .collect();
            let plain = plain_candidates(hub.shape, request.slots, &inherited, &hub.name)?;
            let entries = reads.iter().map(Relation::entries).max();
            let copies = MAX_VISITED / entries.unwrap_or(1).max(1);
            let twist = match hub.kind {
                // The client packs the image in any way.
                HubKind::Input => Twist::Free { granularity: 1 },
                HubKind::Activation { .. } if request.fused[h] => Twist::Free {
                    granularity: request.granularity,
                },
                HubKind::Activation { .. } | HubKind::Mul { .. } | HubKind::Sum { .. } => {
                    Twist::ByMaps
                }
            };
            let with: Vec<Candidate> = plain
                .into_iter()
                .flat_map(|l| with_twists(with_copies(l, copies), twist))
                .collect();
            let both = with.iter().flat_map(|c| [c.plain.clone(), c.seen.clone()]);
            let seen: Vec<Layout> = both.collect();
            let list = *lists.entry(seen).or_insert_with(|| {
                tables.lists.push(with);
                tables.lists.len() - 1
            });
            tables.list_of.push(list);
            tables
                .own
                .push(own_costs(&hub.kind, &tables.lists[list], request.prices));
            for (addend, relation) in addends().zip(reads) {
                let relation = *relations.entry(relation).or_insert_with_key(|relation| {
                    tables.relations.push(relation.clone());
                    tables.relations.len() - 1
                });
                let (source, plain) = (tables.list_of[addend.source], addend.stages.is_empty());
                let key = [relation, source, list, usize::from(plain)];
                let class = *classes.entry(key).or_insert_with(|| {
                    let columns = tables.lists[list].len();
                    tables.classes.push(Class {
                        relation,
                        plain,
                        cells: vec![None; tables.lists[source].len() * columns],
                        columns,
                    });
                    tables.classes.len() - 1
                });
                tables.into[h].push(tables.edges.len());
                tables.out_of[addend.source].push(tables.edges.len());
                tables.edges.push(Edge {
                    source: addend.source,
                    target: h,
                    class,
                });
            }
        }
        Ok(tables)
    }

    /// Candidates of a hub.
    pub fn candidates(&self, hub: usize) -> &[Candidate] {
        &self.lists[self.list_of[hub]]
    }

    /// Seconds of an edge between these candidates.
    pub fn cost(&mut self, edge: usize, source: usize, target: usize) -> f64 {
        self.cell(edge, source, target).cost
    }

    fn cell(&mut self, edge: usize, source: usize, target: usize) -> Cell {
        let edge = self.edges[edge];
        let class = &self.classes[edge.class];
        let at = source * class.columns + target;
        if let Some(known) = class.cells[at] {
            return known;
        }
        let input = &self.lists[self.list_of[edge.source]][source].seen;
        let output = &self.lists[self.list_of[edge.target]][target].plain;
        let cell = if class.plain && input == output {
            Cell {
                map: None,
                cost: self.prices.scale * output.parts as f64,
            }
        } else {
            let relation = (class.relation, &self.relations[class.relation]);
            let map = self
                .counter
                .cheapest_map(relation, input, output, &self.prices);
            Cell {
                map: Some(map),
                cost: map.cost,
            }
        };
        self.classes[edge.class].cells[at] = Some(cell);
        cell
    }

    /// What `choice`, one candidate per hub, amounts to.
    pub fn layouts(&mut self, steps: &Steps, choice: &[usize], cost: f64) -> Layouts {
        let mut edges = 0..self.edges.len();
        let mut maps = vec![Vec::new(); steps.sums.len()];
        for hub in &steps.hubs {
            for sum in hub.kind.sums() {
                for _ in &steps.sums[sum].addends {
                    let edge = edges.next().expect("one edge per addend");
                    let Edge { source, target, .. } = self.edges[edge];
                    maps[sum].push(self.cell(edge, choice[source], choice[target]).map);
                }
            }
        }
        let hubs = choice.iter().enumerate().map(|(hub, &candidate)| {
            let Candidate { plain, seen } = self.candidates(hub)[candidate].clone();
            let sum = match steps.hubs[hub].kind {
                HubKind::Input => seen.clone(),
                HubKind::Activation { .. } | HubKind::Mul { .. } | HubKind::Sum { .. } => plain,
            };
            HubLayout { sum, seen }
        });
        Layouts {
            hubs: hubs.collect(),
            maps,
            cost,
        }
    }
}

/// What a hub costs in each layout, apart from linear maps.
fn own_costs(kind: &HubKind, candidates: &[Candidate], prices: &Prices) -> Vec<f64> {
    let each = match kind {
        HubKind::Activation { .. } => prices.activation,
        HubKind::Mul { .. } => prices.mul,
        HubKind::Input | HubKind::Sum { .. } => 0.0,
    };
    let parts = candidates.iter().map(|c| c.plain.parts as f64);
    parts.map(|parts| each * parts).collect()
}
