//! Candidates of every hub, and what every map between two candidates costs.

use std::collections::HashMap;

use hecc_ir::costs::MapCounts;
use hecc_ir::layout::Layout;
use hecc_ir::linear::MAX_VISITED;
use hecc_ir::program::LinearMap;

use super::{Effort, HubLayout, Layouts, Request};
use crate::PassError;
use crate::cost::{MapChoice, Prices};
use crate::known::{Cell, Cells, ClassKey, Known, Numbered};
use crate::layout_candidates::{
    Candidate, Twist, plain_candidates, total_stride, with_copies, with_twists,
};
use crate::relation::Relation;
use crate::steps::{Addend, HubKind, Steps};

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
    relation: Numbered<Relation>,
    /// Whether nothing happens when the layouts are equal.
    plain: bool,
    /// By candidate of the source, then of the target.
    cells: Cells,
    columns: usize,
}

/// All that the search looks up.
pub struct Tables<'a> {
    /// Edges in the order of sums and addends.
    pub edges: Vec<Edge>,
    /// For every hub the edges it is made of.
    pub into: Vec<Vec<usize>>,
    /// For every hub the edges that read it.
    pub out_of: Vec<Vec<usize>>,
    /// For every hub what each candidate costs by itself, in seconds.
    pub own: Vec<Vec<f64>>,
    prices: Prices,
    /// For every hub its candidates.
    lists: Vec<Numbered<Vec<Candidate>>>,
    classes: Vec<Class>,
    known: &'a Known,
    lookups: std::cell::Cell<u64>,
}

impl<'a> Tables<'a> {
    /// # Errors
    /// [`PassError::TooLarge`].
    pub fn new(steps: &Steps, request: &Request, known: &'a Known) -> Result<Self, PassError> {
        let mut tables = Self {
            edges: Vec::new(),
            into: vec![Vec::new(); steps.hubs.len()],
            out_of: vec![Vec::new(); steps.hubs.len()],
            own: Vec::new(),
            prices: request.prices.clone(),
            lists: Vec::new(),
            classes: Vec::new(),
            known,
            lookups: std::cell::Cell::new(0),
        };
        let prices = known.prices(request.prices);
        let mut classes: HashMap<ClassKey, usize> = HashMap::new();
        for (h, hub) in steps.hubs.iter().enumerate() {
            let addends = || hub.kind.sums().flat_map(|s| &steps.sums[s].addends);
            let inherited: Vec<_> = addends()
                .flat_map(|addend| {
                    let shape = steps.hubs[addend.source].shape;
                    let stride = total_stride(&addend.stages, shape);
                    let candidates = &tables.lists[addend.source].value;
                    let plain = candidates.iter().filter(|c| c.seen.twist == 0);
                    plain.map(move |c| (c.seen.clone(), stride))
                })
                .collect();
            let reads: Vec<Numbered<Relation>> = addends()
                .map(|a| known.relation(a.stages.iter(), steps.hubs[a.source].shape, hub.shape))
                .collect();
            let plain = plain_candidates(hub.shape, request.slots, &inherited, &hub.name)?;
            let entries = reads.iter().map(|r| r.value.entries()).max();
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
            let list = known.list(with);
            let own = own_costs(&hub.kind, &list.value, request.prices);
            tables.own.push(own);
            for (addend, relation) in addends().zip(reads) {
                let source = &tables.lists[addend.source];
                let key = ClassKey {
                    relation: relation.number,
                    source: source.number,
                    target: list.number,
                    plain: addend.stages.is_empty(),
                    prices,
                };
                let class = *classes.entry(key).or_insert_with(|| {
                    let columns = list.value.len();
                    tables.classes.push(Class {
                        relation,
                        plain: key.plain,
                        cells: known.class(key, source.value.len() * columns),
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
            tables.lists.push(list);
        }
        Ok(tables)
    }

    /// Candidates of a hub.
    pub fn candidates(&self, hub: usize) -> &[Candidate] {
        &self.lists[hub].value
    }

    /// Seconds of an edge between these candidates.
    pub fn cost(&self, edge: usize, source: usize, target: usize) -> f64 {
        self.lookups.set(self.lookups.get() + 1);
        self.cell(edge, source, target).cost
    }

    fn cell(&self, edge: usize, source: usize, target: usize) -> Cell {
        let edge = self.edges[edge];
        let class = &self.classes[edge.class];
        *class.cells[source * class.columns + target].get_or_init(|| {
            let input = &self.candidates(edge.source)[source].seen;
            let output = &self.candidates(edge.target)[target].plain;
            if class.plain && input == output {
                return Cell {
                    map: None,
                    cost: self.prices.scale * output.parts as f64,
                };
            }
            let map = self
                .known
                .cheapest(&class.relation, input, output, &self.prices);
            Cell {
                map: Some(map),
                cost: map.cost,
            }
        })
    }

    /// The map with its true counts: those of candidates are about right where copies are turned.
    fn recounted(
        &self,
        map: MapChoice,
        edge: usize,
        addend: &Addend,
        input: &Layout,
        output: &Layout,
    ) -> MapChoice {
        if input.twist == 0 && output.twist == 0 || map.cost.is_infinite() {
            return map;
        }
        let relation = &self.classes[self.edges[edge].class].relation;
        let split = (map.fold, map.giant);
        let counts = self.known.counts(relation, input, output, split, || {
            let map = LinearMap {
                stages: addend.stages.clone(),
                gain: 1.0,
                bias_gain: 1.0,
                fold: map.fold,
                giant: map.giant,
            };
            let structure = map.offsets(input, output).ok()?;
            Some(MapCounts::of(
                &structure,
                map.giant,
                input.parts,
                output.parts,
            ))
        });
        // A map that cannot be built is refused when it is lowered.
        counts.map_or(map, |counts| MapChoice {
            cost: self.prices.map.seconds(&counts),
            diagonals: counts.diagonals,
            babies: counts.babies,
            giants: counts.giants,
            ..map
        })
    }

    /// What `choice`, one candidate per hub, amounts to.
    pub fn layouts(&self, steps: &Steps, choice: &[usize], cost: f64) -> Layouts {
        let mut edges = 0..self.edges.len();
        let mut maps = vec![Vec::new(); steps.sums.len()];
        for hub in &steps.hubs {
            for sum in hub.kind.sums() {
                for addend in &steps.sums[sum].addends {
                    let edge = edges.next().expect("one edge per addend");
                    let Edge { source, target, .. } = self.edges[edge];
                    let map = self.cell(edge, choice[source], choice[target]).map;
                    let from = &self.candidates(source)[choice[source]].seen;
                    let to = &self.candidates(target)[choice[target]].plain;
                    maps[sum].push(map.map(|map| self.recounted(map, edge, addend, from, to)));
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
            effort: Effort {
                maps: self.classes.iter().map(|class| class.cells.len()).sum(),
                lookups: self.lookups.get(),
            },
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
