//! What a placement is, what it costs, and whether it is one.

use super::{Node, PlacementError, Problem, Way};

/// How one node is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Index into the node's ways.
    pub way: usize,
    /// The level of the way's result.
    pub level: usize,
    /// The level after a bootstrap of the result, where there is one.
    pub refreshed: Option<usize>,
}

impl Choice {
    /// The level at which users find the value; they drop it where they need less.
    pub fn available(&self) -> usize {
        self.refreshed.unwrap_or(self.level)
    }
}

/// A level for every value and a place for every bootstrap.
#[derive(Clone, Debug, PartialEq)]
pub struct Placement {
    /// One choice a node.
    pub choices: Vec<Choice>,
    /// What it costs altogether.
    pub seconds: f64,
    /// No placement of the problem costs less. Zero where nothing was proven.
    pub bound: f64,
    /// Whether `seconds` is the least possible, up to rounding: `bound` then equals it.
    pub optimal: bool,
    /// Table entries computed to find it: the effort, free of clocks.
    pub effort: u64,
}

impl Placement {
    /// The number of bootstraps: those of a result, and those that compute an activation.
    pub fn bootstraps(&self, problem: &Problem) -> usize {
        let fused = |(choice, node): (&Choice, &Node)| {
            let fused = matches!(node.ways.get(choice.way), Some(Way::Fused { .. }));
            usize::from(fused) + usize::from(choice.refreshed.is_some())
        };
        self.choices.iter().zip(&problem.nodes).map(fused).sum()
    }
}

/// What the choices cost together.
///
/// # Errors
/// [`PlacementError::Invalid`] names the node whose choice its ways, its bootstrap or its operands
/// do not allow; [`PlacementError::Malformed`].
pub fn evaluate(problem: &Problem, choices: &[Choice]) -> Result<f64, PlacementError> {
    problem.check()?;
    let mut seconds = 0.0;
    for (value, node) in problem.nodes.iter().enumerate() {
        let wrong = |what: String| PlacementError::Invalid {
            value,
            name: node.name.clone(),
            what,
        };
        let choice = choices
            .get(value)
            .ok_or_else(|| wrong("it has no choice".to_string()))?;
        let way = node
            .ways
            .get(choice.way)
            .ok_or_else(|| wrong(format!("way {} of {}", choice.way, node.ways.len())))?;
        let demand = way.demand(choice.level).ok_or_else(|| {
            let ceiling = way.seconds().len();
            wrong(format!(
                "level {} where all are below {ceiling}",
                choice.level
            ))
        })?;
        for &x in &node.operands {
            let has = choices[x].available();
            if has < demand {
                return Err(wrong(format!(
                    "operand v{x} at level {has}, expected {demand}"
                )));
            }
        }
        seconds += way.seconds()[choice.level];
        if let Some(after) = choice.refreshed {
            let refresh = node
                .refresh
                .as_ref()
                .ok_or_else(|| wrong("a bootstrap where there is none".to_string()))?;
            if choice.level < refresh.enter {
                return Err(wrong(format!(
                    "a bootstrap from level {}, expected {} or higher",
                    choice.level, refresh.enter
                )));
            }
            seconds += refresh.seconds.get(after).ok_or_else(|| {
                let ceiling = refresh.seconds.len();
                wrong(format!(
                    "a bootstrap to level {after} where all are below {ceiling}"
                ))
            })?;
        }
    }
    let has = choices[problem.output].available();
    if has < problem.output_floor {
        return Err(PlacementError::Invalid {
            value: problem.output,
            name: problem.nodes[problem.output].name.clone(),
            what: format!(
                "the output at level {has}, expected {}",
                problem.output_floor
            ),
        });
    }
    Ok(seconds)
}

/// Checks a placement against its problem: levels, seconds, bound. Shares no code with the solvers.
///
/// # Errors
/// [`PlacementError::Invalid`], [`PlacementError::Malformed`].
pub fn validate(problem: &Problem, placement: &Placement) -> Result<(), PlacementError> {
    let seconds = evaluate(problem, &placement.choices)?;
    let close = |a: f64, b: f64| (a - b).abs() <= 1e-9 * (1.0 + a.abs());
    let what = if placement.choices.len() != problem.nodes.len() {
        format!(
            "{} choices for {} nodes",
            placement.choices.len(),
            problem.nodes.len()
        )
    } else if !close(placement.seconds, seconds) {
        format!("it says {} seconds and takes {seconds}", placement.seconds)
    } else if placement.bound > placement.seconds {
        format!(
            "its bound {} exceeds its {seconds} seconds",
            placement.bound
        )
    } else if placement.optimal && !close(placement.bound, seconds) {
        format!(
            "called optimal with {seconds} seconds and a bound of {}",
            placement.bound
        )
    } else {
        return Ok(());
    };
    Err(PlacementError::Invalid {
        value: problem.output,
        name: problem.nodes[problem.output].name.clone(),
        what,
    })
}
