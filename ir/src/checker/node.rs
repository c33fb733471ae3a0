//! One node: its type, its target, the level and scale its operator leads to, and what it needs.

use super::expect;
use super::keys::{Needed, need};
use crate::function::Function;
use crate::layout::Layout;
use crate::linear::LinearError;
use crate::plan::Plan;
use crate::program::{LinearMap, Node, Op, Target};
use crate::sparse::entry_bound;

/// Most matrix entries of all maps together: about a minute's work, and several times a ResNet-50's.
const MAX_WORK: usize = 1 << 35;

/// Adds up in `work` what deriving the maps will cost, before anything is derived. What is malformed costs
/// nothing: it is refused later.
pub(super) fn check_work(plan: &Plan, value: usize, work: &mut usize) -> Result<(), String> {
    let nodes = &plan.program.nodes;
    let Op::Linear { x, map } = nodes[value].op else {
        return Ok(());
    };
    let (Some(from), Some(map)) = (nodes.get(x), plan.program.maps.get(map)) else {
        return Ok(());
    };
    let (from, to) = (&from.layout, &nodes[value].layout);
    if from.verify().is_ok() && to.verify().is_ok() {
        *work = work.saturating_add(work_of(map, from, to).unwrap_or(0));
    }
    match *work > MAX_WORK {
        true => Err(format!("maps of over {MAX_WORK} entries up to here")),
        false => Ok(()),
    }
}

pub(super) fn check_node(plan: &Plan, value: usize, needed: &mut Needed) -> Result<(), String> {
    let (nodes, node, q) = (
        &plan.program.nodes,
        &plan.program.nodes[value],
        &plan.parameters.q,
    );
    let defined = |x: usize| match x < value {
        true => Ok(&nodes[x]),
        false => Err(format!("uses v{x} before it exists")),
    };
    node.layout.verify().map_err(|e| e.to_string())?;
    expect(
        "the number of slots",
        node.layout.slots as f64,
        f64::from(1 << (plan.parameters.log_n - 1)),
    )?;
    if !(node.unit.is_normal() && node.unit > 0.0 && node.scale.is_normal() && node.level < q.len())
    {
        let (unit, scale, level, levels) = (node.unit, node.scale, node.level, q.len());
        return Err(format!(
            "unit {unit}, scale {scale}, level {level} of {levels}"
        ));
    }
    let fits = |scale: f64, level: usize| {
        let room: f64 = q[..=level].iter().map(|&q| (q as f64).log2()).sum();
        match (1.0..room).contains(&scale.log2()) {
            true => Ok(()),
            false => Err(format!(
                "a scale of 2^{:.1} in {room:.0} bits",
                scale.log2()
            )),
        }
    };
    fits(node.scale, node.level)?;
    check_target(plan, value)?;
    // An operand that loses limbs until it stands `above` levels over the result.
    let dropped = |x: usize, above: usize| {
        let (x, level) = (defined(x)?, node.level + above);
        match level <= x.level {
            true => fits(x.scale, level).map(|()| (x, level)),
            false => Err(format!(
                "an operand at level {}, expected {level} at least",
                x.level
            )),
        }
    };
    // The plaintext scale of an operator that multiplies once and rescales.
    let one_down = |x: usize| {
        let (x, level) = dropped(x, 1)?;
        let plain = node.scale / x.scale * q[level] as f64;
        match plain >= 1024.0 {
            true => Ok((x, level)),
            false => Err(format!("constants at a scale of only {plain}")),
        }
    };
    let unmoved = |x: &Node| match x.layout == node.layout {
        true => Ok(()),
        false => Err("it changes the layout".to_string()),
    };
    match &node.op {
        Op::Input => expect("the input's position", value as f64, 0.0),
        _ if value == 0 => Err("the first node is not the input".to_string()),
        Op::Linear { x, map } => {
            let (x, level) = one_down(*x)?;
            let map = plan.program.maps.get(*map).ok_or("its map is missing")?;
            expect("the gain", map.gain, x.unit / node.unit)?;
            expect("the bias gain", map.bias_gain, 1.0 / node.unit)?;
            if map.giant == 0 || map.giant > node.layout.slots {
                return Err(format!("a giant step of {}", map.giant));
            }
            let structure = map
                .offsets(&x.layout, &node.layout)
                .map_err(|e: LinearError| e.to_string())?;
            for place in structure.offsets {
                need(&mut needed.rotations, place.offset % map.giant, level);
                need(
                    &mut needed.rotations,
                    place.offset / map.giant * map.giant,
                    level,
                );
            }
            for steps in structure.folds {
                need(&mut needed.rotations, steps, node.level);
            }
            Ok(())
        }
        Op::MulConst { x, factor } => {
            let (x, _) = one_down(*x)?;
            expect("the factor", *factor, x.unit / node.unit)?;
            unmoved(x)
        }
        Op::Add { x, y } => {
            for operand in [x, y] {
                let (operand, _) = dropped(*operand, 0)?;
                let kind = |n: &Node| (n.scale.to_bits(), n.unit.to_bits(), n.layout.clone());
                if kind(operand) != kind(node) {
                    return Err("operands of another scale, unit or layout".to_string());
                }
            }
            Ok(())
        }
        Op::Mul { x, y } => {
            let ((x, level), (y, _)) = (dropped(*x, 1)?, dropped(*y, 1)?);
            unmoved(x)?;
            unmoved(y)?;
            expect("the unit", node.unit, x.unit * y.unit)?;
            exactly("the scale", node.scale, x.scale / q[level] as f64 * y.scale)?;
            needed.multiply(level);
            Ok(())
        }
        Op::Polynomial { x, coefficients } => {
            let degree = degree_of(coefficients)?;
            let (x, level) = dropped(*x, levels_of(degree))?;
            unmoved(x)?;
            // T_2, T_4, ..., each one level below the one before.
            let (mut scale, mut at) = (x.scale, level);
            for _ in 1..levels_of(degree) {
                needed.multiply(level);
                scale = scale / q[at] as f64 * scale;
                at -= 1;
                fits(scale, at)?;
                if scale < 1024.0 {
                    return Err(format!("powers at a scale of only {scale}"));
                }
            }
            Ok(())
        }
        Op::Activate {
            x,
            coefficients,
            rho,
        } => {
            let Some(b) = &plan.parameters.bootstrap else {
                return Err("it activates without a bootstrap".to_string());
            };
            let x = defined(*x)?;
            if x.level < b.stc.len() {
                let (found, expected) = (x.level, b.stc.len());
                return Err(format!(
                    "an operand at level {found}, expected {expected} at least"
                ));
            }
            fits(x.scale, b.stc.len())?;
            let degree = degree_of(coefficients)?;
            let above = b.cts.len() + levels_of(b.cos_degree) + b.double_angles as usize;
            let (start, top) = (node.level + above + levels_of(degree), q.len() - 1);
            if start > top {
                let level = node.level;
                return Err(format!(
                    "a result at level {level} needs a chain up to {start}, the top is {top}"
                ));
            }
            if !(*rho > 0.0 && *rho <= 1.0) {
                return Err(format!("rho {rho}"));
            }
            needed.bootstrap = true;
            needed.multiply(q.len() - 1 - b.cts.len());
            let untwisted = |l: &Layout| Layout {
                twist: 0,
                ..l.clone()
            };
            // Coefficients-to-slots moves whole blocks only.
            let block = 1usize << (plan.parameters.log_n - 2 - b.cts[0]);
            if untwisted(&x.layout) != untwisted(&node.layout)
                || (x.layout.twist != node.layout.twist
                    && [&x.layout, &node.layout]
                        .iter()
                        .any(|l| l.twist % block != 0))
            {
                return Err(format!(
                    "it turns {} into {}, in blocks of {block}",
                    x.layout, node.layout
                ));
            }
            Ok(())
        }
    }
}

/// Levels of a polynomial: halvings until the degree is gone.
fn levels_of(mut degree: usize) -> usize {
    let mut levels = 0;
    while degree > 0 {
        degree /= 2;
        levels += 1;
    }
    levels
}

/// As [`expect`], for numbers that rounding alone may change.
fn exactly(what: &str, found: f64, expected: f64) -> Result<(), String> {
    match (found - expected).abs() <= 1e-9 * expected.abs() {
        true => Ok(()),
        false => Err(format!("{what} is {found}, expected {expected}")),
    }
}

/// The degree of a series whose last coefficient counts.
fn degree_of(coefficients: &[f64]) -> Result<usize, String> {
    let degree = coefficients.iter().rposition(|c| *c != 0.0).unwrap_or(0);
    let bounded = coefficients.len() == degree + 1 && (1..1024).contains(&degree);
    match bounded && coefficients.iter().all(|c| c.is_finite()) {
        true => Ok(degree),
        false => Err(format!("{} coefficients", coefficients.len())),
    }
}

/// A target is a function of an earlier value of the same shape, with coefficients for its channels.
fn check_target(plan: &Plan, value: usize) -> Result<(), String> {
    let nodes = &plan.program.nodes;
    let Some(Target { x, function }) = &nodes[value].target else {
        return Ok(());
    };
    let shape = nodes[value].layout.shape;
    if *x >= value || nodes[*x].layout.shape != shape {
        return Err(format!("it stands for a function of v{x}"));
    }
    if let Some(Function::Polynomial { coefficients: rows }) = function {
        let lengths = rows
            .iter()
            .all(|row| !row.is_empty() && row.len() == rows[0].len());
        if !lengths || (rows.len() != 1 && rows.len() != shape.c) {
            return Err(format!("it stands for {} polynomials", rows.len()));
        }
    }
    Ok(())
}

/// A bound on the matrix entries visited and multiplied to find a map's diagonals.
fn work_of(map: &LinearMap, input: &Layout, output: &Layout) -> Result<usize, String> {
    let shapes = map.shapes(input.shape).map_err(|e| e.to_string())?;
    let (mut work, mut width) = (0usize, 1usize);
    for (stage, step) in map.stages.iter().zip(shapes.windows(2)) {
        let entries = entry_bound(stage, step[0], step[1]);
        work = work.saturating_add(entries.saturating_mul(width));
        // Entries of a row of the product so far.
        let row = entries / step[1].elements().max(1) + 1;
        width = width.saturating_mul(row).min(input.shape.elements());
    }
    let visited = match map.stages.len() {
        1 => work,
        _ => output.shape.elements().saturating_mul(width),
    };
    let multiplied = if map.stages.len() == 1 { 0 } else { work };
    Ok(multiplied.saturating_add(visited.saturating_mul(output.copies)))
}
