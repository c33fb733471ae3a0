//! What is placed: values, the ways to compute them, and what each costs at each level.

use super::PlacementError;

/// A program on ciphertexts whose levels are still open. Node `i` defines value `i`; operands stand
/// before their users.
///
/// A level counts the multiplications left: dropping a ciphertext to a lower level is free and
/// exact, raising it takes a bootstrap.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    /// The nodes in topological order.
    pub nodes: Vec<Node>,
    /// The value that leaves the program.
    pub output: usize,
    /// The least level at which it may leave.
    pub output_floor: usize,
}

/// One operation.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// For messages.
    pub name: String,
    /// The values it takes; a value may occur twice.
    pub operands: Vec<usize>,
    /// The ways to compute it, at least one.
    pub ways: Vec<Way>,
    /// A bootstrap of its result; `None` where the parameter set has none.
    pub refresh: Option<Refresh>,
    /// Whether it is an activation, in front of which [`super::before_every_activation`] bootstraps.
    pub activation: bool,
}

/// A way to compute a node. Seconds are finite and not negative; they need not grow with the level.
#[derive(Clone, Debug, PartialEq)]
pub enum Way {
    /// Multiplications spend levels: a result at level `l` takes operands at `l + depth` or higher.
    Levelled {
        /// Levels between operands and result.
        depth: usize,
        /// Seconds by level of the result. Its length is the ceiling: a result at level
        /// `seconds.len()` or above is not to be had.
        seconds: Vec<f64>,
    },
    /// The bootstrap itself computes it: operands at `enter` or higher, whatever the result's level.
    Fused {
        /// The level the bootstrap starts from.
        enter: usize,
        /// Seconds by level of the result, up to the level the bootstrap leaves.
        seconds: Vec<f64>,
    },
}

/// A plain bootstrap.
#[derive(Clone, Debug, PartialEq)]
pub struct Refresh {
    /// The least level of its operand.
    pub enter: usize,
    /// Seconds by level of its result, up to the level the bootstrap leaves.
    pub seconds: Vec<f64>,
}

impl Way {
    /// Seconds by level of the result.
    pub fn seconds(&self) -> &[f64] {
        match self {
            Way::Levelled { seconds, .. } | Way::Fused { seconds, .. } => seconds,
        }
    }

    /// The level the operands need for a result at `level`, or `None` above the ceiling.
    pub fn demand(&self, level: usize) -> Option<usize> {
        match self {
            Way::Levelled { depth, seconds } => (level < seconds.len()).then(|| level + depth),
            Way::Fused { enter, seconds } => (level < seconds.len()).then_some(*enter),
        }
    }

    /// The highest result from operands at `level` (any, where there are none); `None` if there is
    /// no result at all.
    pub fn highest(&self, level: Option<usize>) -> Option<usize> {
        let ceiling = self.seconds().len().checked_sub(1)?;
        match (self, level) {
            (_, None) => Some(ceiling),
            (Way::Levelled { depth, .. }, Some(level)) => {
                Some(level.checked_sub(*depth)?.min(ceiling))
            }
            (Way::Fused { enter, .. }, Some(level)) => (level >= *enter).then_some(ceiling),
        }
    }
}

impl Refresh {
    /// The highest level it leaves; `None` if it leaves none.
    pub fn leave(&self) -> Option<usize> {
        self.seconds.len().checked_sub(1)
    }
}

impl Node {
    /// The least level of the operands with which the value can stand at `level` or higher, a
    /// bootstrap of the result included; `None` if nothing reaches it.
    pub(super) fn demand(&self, level: usize) -> Option<usize> {
        let plain = self.ways.iter().filter_map(|way| way.demand(level)).min();
        let refreshed = self.refresh.as_ref().and_then(|refresh| {
            refresh.leave().filter(|&leave| leave >= level)?;
            self.ways
                .iter()
                .filter_map(|way| way.demand(refresh.enter))
                .min()
        });
        plain.into_iter().chain(refreshed).min()
    }

    /// The highest level of the value from operands at `level`, a bootstrap included; `None` if no
    /// way gives a result.
    pub(super) fn highest(&self, level: Option<usize>) -> Option<usize> {
        let plain = self
            .ways
            .iter()
            .filter_map(|way| way.highest(level))
            .max()?;
        let refreshed = self
            .refresh
            .as_ref()
            .filter(|refresh| plain >= refresh.enter)
            .and_then(Refresh::leave);
        Some(plain.max(refreshed.unwrap_or(0)))
    }
}

impl Problem {
    /// Checks that operands are defined before their users, that every node has a way, and that
    /// seconds are finite and not negative. The solvers and [`super::evaluate`] do so themselves.
    ///
    /// # Errors
    /// [`PlacementError::Malformed`].
    pub fn check(&self) -> Result<(), PlacementError> {
        let wrong = |value: usize, name: &str, what: &'static str| PlacementError::Malformed {
            value,
            name: name.to_string(),
            what,
        };
        if self.output >= self.nodes.len() {
            return Err(wrong(self.output, "the output", "no node defines it"));
        }
        for (value, node) in self.nodes.iter().enumerate() {
            let sound = |seconds: &[f64]| {
                !seconds.is_empty() && seconds.iter().all(|&s| s.is_finite() && s >= 0.0)
            };
            let refresh = node.refresh.as_ref();
            let what = if node.operands.iter().any(|&x| x >= value) {
                "an operand is not defined before it"
            } else if node.ways.is_empty() {
                "there is no way to compute it"
            } else if !node.ways.iter().all(|way| sound(way.seconds())) {
                "the seconds of a way are missing, negative or not finite"
            } else if !refresh.is_none_or(|refresh| sound(&refresh.seconds)) {
                "the seconds of its bootstrap are missing, negative or not finite"
            } else {
                continue;
            };
            return Err(wrong(value, &node.name, what));
        }
        Ok(())
    }

    /// Seconds that no placement falls below: of every node its cheapest way at its cheapest level.
    pub fn least(&self) -> f64 {
        let cheapest = |node: &Node| {
            let seconds = node.ways.iter().flat_map(|way| way.seconds());
            seconds.copied().fold(f64::INFINITY, f64::min)
        };
        self.nodes.iter().map(cheapest).sum()
    }

    /// The least of the levels of a node's operands; `None` for a node without.
    pub(super) fn operand_level(&self, node: usize, levels: &[usize]) -> Option<usize> {
        self.nodes[node].operands.iter().map(|&x| levels[x]).min()
    }
}
