//! The placements that other compilers make, to compare with.
//!
//! Both walk the program once in its order, keep every value as high as it comes, and bootstrap an
//! operand when the next operation does not fit into the levels left. A value that turns out to
//! need a bootstrap gets it for all users still to come. In the end levels that nobody uses are given
//! up, so that a baseline pays for where it bootstraps and not for computing higher than it has to.

use super::reach::{Reach, reach};
use super::{Choice, Placement, PlacementError, Problem, Way, evaluate};

/// AutoFHE's placement \[AB24\]: bootstraps as late as possible.
///
/// Where an operation does not fit and can also be fused into a bootstrap, the cheaper of the two
/// bootstraps is taken.
///
/// # Errors
/// As [`super::exact()`].
pub fn greedy(problem: &Problem) -> Result<Placement, PlacementError> {
    walk(problem, false)
}

/// A bootstrap before every activation, as with polynomials of high degree \[LLK+22\]; further ones as
/// [`greedy`] does, where levels run out between activations.
///
/// An activation whose only way is the bootstrap itself gets no second one, and no value is
/// bootstrapped that already stands as high as a bootstrap leaves it.
///
/// # Errors
/// As [`super::exact()`].
pub fn before_every_activation(problem: &Problem) -> Result<Placement, PlacementError> {
    walk(problem, true)
}

/// One way to compute a node, with what has to be bootstrapped before.
struct Attempt {
    choice: Choice,
    /// Operands to bootstrap.
    short: Vec<usize>,
    seconds: f64,
}

fn walk(problem: &Problem, eager: bool) -> Result<Placement, PlacementError> {
    let reach = reach(problem)?;
    let mut choices: Vec<Choice> = Vec::with_capacity(problem.nodes.len());
    for (value, node) in problem.nodes.iter().enumerate() {
        let levelled = |way: &Way| matches!(way, Way::Levelled { .. });
        let eager = eager && node.activation && node.ways.iter().any(levelled);
        if eager {
            for &x in &node.operands {
                refresh(problem, &mut choices, x);
            }
        }
        let ways = || node.ways.iter().enumerate();
        let attempts =
            || ways().filter_map(|(way, _)| attempt(problem, &reach, &choices, value, way));
        let late = attempts()
            .filter(|attempt| attempt.short.is_empty() && levelled(&node.ways[attempt.choice.way]))
            .max_by_key(|attempt| attempt.choice.level);
        let attempt = late
            .or_else(|| {
                let allowed = attempts().filter(|a| !eager || levelled(&node.ways[a.choice.way]));
                allowed.min_by(|a, b| a.seconds.total_cmp(&b.seconds))
            })
            .or_else(|| attempts().min_by(|a, b| a.seconds.total_cmp(&b.seconds)))
            .expect("operands that are high enough or can be bootstrapped have a way");
        for x in attempt.short {
            refresh(problem, &mut choices, x);
        }
        choices.push(attempt.choice);
    }
    if choices[problem.output].available() < problem.output_floor {
        refresh(problem, &mut choices, problem.output);
    }
    give_up_unused_levels(problem, &mut choices);
    Ok(Placement {
        seconds: evaluate(problem, &choices)?,
        choices,
        bound: 0.0,
        optimal: false,
        effort: 0,
    })
}

/// The level of a value after a bootstrap, where there is one and it raises the value.
fn raised(problem: &Problem, choices: &[Choice], value: usize) -> Option<usize> {
    let refresh = problem.nodes[value].refresh.as_ref()?;
    let choice = choices[value];
    let leave = refresh.leave()?;
    let raises =
        choice.refreshed.is_none() && choice.level >= refresh.enter && leave > choice.level;
    raises.then_some(leave)
}

fn refresh(problem: &Problem, choices: &mut [Choice], value: usize) {
    if let Some(level) = raised(problem, choices, value) {
        choices[value].refreshed = Some(level);
    }
}

/// The highest result of a way, after as few bootstraps of operands as leave enough levels for what
/// follows, or enough to bootstrap the result; `None` where no bootstrap of operands does.
fn attempt(
    problem: &Problem,
    reach: &Reach,
    choices: &[Choice],
    value: usize,
    way: usize,
) -> Option<Attempt> {
    let node = &problem.nodes[value];
    let how = &node.ways[way];
    let least = reach.least[value];
    let later = node
        .refresh
        .as_ref()
        .filter(|refresh| refresh.leave() >= Some(least));
    let demand = how.demand(later.map_or(least, |refresh| refresh.enter.min(least)))?;
    let mut operands = node.operands.clone();
    operands.sort_unstable();
    operands.dedup();
    let mut attempt = Attempt {
        choice: Choice {
            way,
            level: 0,
            refreshed: None,
        },
        short: Vec::new(),
        seconds: 0.0,
    };
    let mut have = None;
    for x in operands {
        let mut level = choices[x].available();
        if level < demand {
            level = raised(problem, choices, x).filter(|&level| level >= demand)?;
            attempt.short.push(x);
            let refresh = problem.nodes[x].refresh.as_ref()?;
            attempt.seconds += refresh.seconds[level];
        }
        have = Some(have.map_or(level, |have: usize| have.min(level)));
    }
    attempt.choice.level = how.highest(have)?;
    attempt.seconds += how.seconds()[attempt.choice.level];
    Some(attempt)
}

/// Gives every value the least level that its users, as they are computed, leave it.
fn give_up_unused_levels(problem: &Problem, choices: &mut [Choice]) {
    let mut used = vec![0; problem.nodes.len()];
    used[problem.output] = problem.output_floor;
    for (value, node) in problem.nodes.iter().enumerate().rev() {
        let choice = &mut choices[value];
        choice.level = match (&mut choice.refreshed, &node.refresh) {
            (Some(after), Some(refresh)) => {
                *after = used[value];
                refresh.enter
            }
            (Some(_), None) | (None, _) => used[value],
        };
        let demand = node.ways[choice.way].demand(choice.level).unwrap_or(0);
        for &x in &node.operands {
            used[x] = used[x].max(demand);
        }
    }
}
