//! The normal form that `fold_linear` leaves, read as two lists: hubs, which are the values that are
//! computed once, and the sums of chains of linear operators on earlier hubs that they are made of.
//!
//! Every addend becomes one linear map of one level, its stages multiplied into one matrix. Where that
//! matrix would cost more than two maps and a level, or is too large to be multiplied, the chain is cut:
//! the value in between becomes a hub of its own.

mod cut;

use std::collections::BTreeMap;

use hecc_ir::function::Function;
use hecc_ir::nn::{Graph, Linear, Op, Shape, ValueId};

use crate::PassError;
use crate::cost::Prices;
use crate::known::Known;

/// A chain of linear operators on one hub.
#[derive(Clone, Debug)]
pub struct Addend {
    /// Index of the hub.
    pub source: usize,
    /// First applied first; empty for the hub itself.
    pub stages: Vec<Linear>,
    /// Canonical name of the chain's first operator, or of the hub itself.
    pub name: String,
}

/// A sum of chains.
#[derive(Clone, Debug)]
pub struct Sum {
    /// Canonical name of the value: of the last addition or operator, or of the hub when it is one.
    pub name: String,
    /// Shape of the value.
    pub shape: Shape,
    /// At least one.
    pub addends: Vec<Addend>,
}

/// How a hub is made; numbers are indices of sums.
#[derive(Clone, Debug, PartialEq)]
pub enum HubKind {
    /// The image.
    Input,
    /// A function of a sum.
    Activation {
        /// The operand.
        x: usize,
        /// The function.
        function: Function,
    },
    /// The product of two sums.
    Mul {
        /// Left operand.
        x: usize,
        /// Right operand.
        y: usize,
    },
    /// A sum that is read more than once, is the output, or cuts a chain.
    Sum {
        /// The sum.
        x: usize,
    },
}

impl HubKind {
    /// The sums it is made of.
    pub fn sums(&self) -> impl Iterator<Item = usize> + use<> {
        let (x, y) = match *self {
            HubKind::Input => (None, None),
            HubKind::Activation { x, .. } | HubKind::Sum { x } => (Some(x), None),
            HubKind::Mul { x, y } => (Some(x), Some(y)),
        };
        x.into_iter().chain(y)
    }
}

/// A value that is computed once.
#[derive(Clone, Debug)]
pub struct Hub {
    /// Canonical name of the value.
    pub name: String,
    /// Shape of the value, and of its sums.
    pub shape: Shape,
    /// How it is made.
    pub kind: HubKind,
}

/// All hubs and sums in execution order.
#[derive(Clone, Debug)]
pub struct Steps {
    /// The first is the input, the last the output.
    pub hubs: Vec<Hub>,
    /// Each belongs to one hub, and reads hubs before that.
    pub sums: Vec<Sum>,
}

impl Steps {
    /// Reads a graph in normal form. Chains are cut by the reference prices, so that the sums, and
    /// with them the units of values, do not depend on the parameter set.
    ///
    /// # Errors
    /// [`PassError::NotNormal`] for a graph that `fold_linear` did not make.
    pub fn read(graph: &Graph) -> Result<Self, PassError> {
        Self::read_knowing(graph, &Known::default())
    }

    /// [`Steps::read`] with what is known of the maps.
    pub(crate) fn read_knowing(graph: &Graph, known: &Known) -> Result<Self, PassError> {
        let mut reader = Reader {
            graph,
            known,
            prices: Prices::reference(),
            hub_of: BTreeMap::new(),
            steps: Self {
                hubs: Vec::new(),
                sums: Vec::new(),
            },
        };
        for id in graph.nodes.node_indices() {
            reader.node(id)?;
        }
        Ok(reader.steps)
    }

    /// The same hubs and sums, with nothing on the way from one to the other.
    pub(crate) fn without_operators(&self) -> Self {
        let addend = |addend: &Addend| Addend {
            source: addend.source,
            stages: Vec::new(),
            name: addend.name.clone(),
        };
        let sums = self.sums.iter().map(|sum| Sum {
            name: sum.name.clone(),
            shape: sum.shape,
            addends: sum.addends.iter().map(addend).collect(),
        });
        Self {
            hubs: self.hubs.clone(),
            sums: sums.collect(),
        }
    }

    /// The earlier sum that a sum is nothing but the value of.
    pub(crate) fn same_as(&self, sum: usize) -> Option<usize> {
        let [addend] = &self.sums[sum].addends[..] else {
            return None;
        };
        match self.hubs[addend.source].kind {
            HubKind::Sum { x } if addend.stages.is_empty() => Some(x),
            HubKind::Sum { .. }
            | HubKind::Input
            | HubKind::Activation { .. }
            | HubKind::Mul { .. } => None,
        }
    }

    /// Activations in execution order: index of the hub, the hub, its function.
    pub fn activations(&self) -> impl Iterator<Item = (usize, &Hub, &Function)> {
        self.hubs
            .iter()
            .enumerate()
            .filter_map(|(i, hub)| match &hub.kind {
                HubKind::Activation { function, .. } => Some((i, hub, function)),
                HubKind::Input | HubKind::Mul { .. } | HubKind::Sum { .. } => None,
            })
    }

    /// For every hub, who reads it: index of the sum and of the addend.
    pub fn readers(&self) -> Vec<Vec<(usize, usize)>> {
        let mut readers = vec![Vec::new(); self.hubs.len()];
        for (s, sum) in self.sums.iter().enumerate() {
            for (a, addend) in sum.addends.iter().enumerate() {
                readers[addend.source].push((s, a));
            }
        }
        readers
    }
}

/// An operator of a chain, with what is needed to cut behind it.
struct Stage {
    op: Linear,
    shape: Shape,
    name: String,
}

struct Reader<'a> {
    graph: &'a Graph,
    known: &'a Known,
    prices: Prices,
    hub_of: BTreeMap<ValueId, usize>,
    steps: Steps,
}

impl Reader<'_> {
    fn node(&mut self, id: ValueId) -> Result<(), PassError> {
        let node = &self.graph.nodes[id];
        let operands = self.graph.operands(id);
        let kind = match &node.op {
            Op::Input => HubKind::Input,
            Op::Activation(function) => HubKind::Activation {
                x: self.sum(operands[0])?,
                function: function.clone(),
            },
            Op::Mul => HubKind::Mul {
                x: self.sum(operands[0])?,
                y: self.sum(operands[1])?,
            },
            Op::Linear(_) | Op::Add => {
                let readers = self.graph.nodes.edges(id).count();
                if readers < 2 && id != self.graph.output {
                    return Ok(());
                }
                HubKind::Sum { x: self.sum(id)? }
            }
        };
        self.hub(&node.name, node.shape, kind);
        self.hub_of.insert(id, self.steps.hubs.len() - 1);
        Ok(())
    }

    fn hub(&mut self, name: &str, shape: Shape, kind: HubKind) {
        self.steps.hubs.push(Hub {
            name: name.to_string(),
            shape,
            kind,
        });
    }

    /// The sum that ends in `end`.
    fn sum(&mut self, end: ValueId) -> Result<usize, PassError> {
        let mut addends = Vec::new();
        let mut tails = vec![end];
        while let Some(tail) = tails.pop() {
            match self.graph.nodes[tail].op {
                Op::Add if !self.hub_of.contains_key(&tail) => {
                    tails.extend(self.graph.operands(tail).iter().rev());
                }
                Op::Add | Op::Linear(_) | Op::Input | Op::Mul | Op::Activation(_) => {
                    addends.push(self.addend(tail)?);
                }
            }
        }
        let node = &self.graph.nodes[end];
        Ok(self.push_sum(&node.name, node.shape, addends))
    }

    fn push_sum(&mut self, name: &str, shape: Shape, addends: Vec<Addend>) -> usize {
        self.steps.sums.push(Sum {
            name: name.to_string(),
            shape,
            addends,
        });
        self.steps.sums.len() - 1
    }

    /// The chain that ends in `tail`, cut where that pays; what lies before the cuts becomes hubs.
    fn addend(&mut self, tail: ValueId) -> Result<Addend, PassError> {
        let graph = self.graph;
        let mut stages = Vec::new();
        let mut at = tail;
        while let (Op::Linear(linear), None) = (&graph.nodes[at].op, self.hub_of.get(&at)) {
            stages.push(Stage {
                op: linear.clone(),
                shape: graph.nodes[at].shape,
                name: graph.nodes[at].name.clone(),
            });
            at = graph.operands(at)[0];
        }
        stages.reverse();
        let Some(&source) = self.hub_of.get(&at) else {
            return Err(PassError::NotNormal {
                name: graph.nodes[at].name.clone(),
            });
        };
        let cuts = cut::cuts(&stages, graph.nodes[at].shape, &self.prices, self.known);
        let mut source = source;
        let mut rest = stages;
        for count in cuts {
            let tail = rest.split_off(count);
            let (shape, name) = (rest[count - 1].shape, rest[count - 1].name.clone());
            let addend = chain(source, rest, &name);
            let x = self.push_sum(&name, shape, vec![addend]);
            self.hub(&name, shape, HubKind::Sum { x });
            source = self.steps.hubs.len() - 1;
            rest = tail;
        }
        Ok(chain(source, rest, &graph.nodes[at].name))
    }
}

fn chain(source: usize, stages: Vec<Stage>, name: &str) -> Addend {
    Addend {
        source,
        name: stages.first().map_or(name, |s| &s.name).to_string(),
        stages: stages.into_iter().map(|s| s.op).collect(),
    }
}
