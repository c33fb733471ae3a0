//! Between which levels each value can stand at all.

use super::{PlacementError, Problem};

/// The levels of each value in any valid placement.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Reach {
    /// The least level with which what follows can still be computed.
    pub least: Vec<usize>,
    /// The highest level it can be given.
    pub most: Vec<usize>,
}

/// Checks the problem and finds the levels its values can stand at.
///
/// All values can stand at their highest level at once, since a user takes nothing away from
/// another; so there is a placement if and only if there is this one. Linear in nodes and ways.
///
/// # Errors
/// [`PlacementError::Malformed`], [`PlacementError::TooDeep`] at the first node that no placement
/// gives the levels it needs, [`PlacementError::Output`].
pub(super) fn reach(problem: &Problem) -> Result<Reach, PlacementError> {
    problem.check()?;
    let mut most: Vec<usize> = Vec::with_capacity(problem.nodes.len());
    for (value, node) in problem.nodes.iter().enumerate() {
        let have = problem.operand_level(value, &most);
        let Some(level) = node.highest(have) else {
            return Err(too_deep(problem, value, &most));
        };
        most.push(level);
    }
    let output = problem.output;
    if most[output] < problem.output_floor {
        return Err(PlacementError::Output {
            value: output,
            name: problem.nodes[output].name.clone(),
            needs: problem.output_floor,
            has: most[output],
            missing: problem.output_floor - most[output],
        });
    }
    let mut least = vec![0; problem.nodes.len()];
    least[output] = problem.output_floor;
    for (value, node) in problem.nodes.iter().enumerate().rev() {
        let demand = node
            .demand(least[value])
            .expect("a level at or below the highest has a way");
        for &x in &node.operands {
            least[x] = least[x].max(demand);
        }
    }
    Ok(Reach { least, most })
}

fn too_deep(problem: &Problem, value: usize, most: &[usize]) -> PlacementError {
    let node = &problem.nodes[value];
    let operand = node
        .operands
        .iter()
        .copied()
        .min_by_key(|&x| most[x])
        .expect("a node without operands has a result");
    let needs = node
        .ways
        .iter()
        .filter_map(|way| way.demand(0))
        .min()
        .expect("every way has a result at level 0");
    PlacementError::TooDeep {
        value,
        name: node.name.clone(),
        operand,
        operand_name: problem.nodes[operand].name.clone(),
        needs,
        has: most[operand],
        missing: needs - most[operand],
    }
}
