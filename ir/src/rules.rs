//! Rules that the slots language and the ckks language share: definition before use, layouts, units,
//! affine maps, coefficients, and what a node claims the network has in its place.

use crate::function::Function;
use crate::layout::Layout;
use crate::program::{self, LinearMap, Target, Value};
use crate::slots;

/// Most Chebyshev coefficients of a polynomial.
pub const MAX_COEFFICIENTS: usize = 1024;
/// Units are products of calibrated ranges: factors agree to rounding.
const UNIT_TOLERANCE: f64 = 1e-9;

/// The type of a value in either language.
pub(crate) trait Typed {
    fn operands(&self) -> Vec<Value>;
    fn is_input(&self) -> bool;
    fn layout(&self) -> &Layout;
    fn unit(&self) -> f64;
    fn target(&self) -> Option<&Target>;
}

/// Both languages give the parts of a node the same names.
macro_rules! typed {
    ($language:ident) => {
        impl Typed for $language::Node {
            fn operands(&self) -> Vec<Value> {
                self.op.operands()
            }
            fn is_input(&self) -> bool {
                self.op == $language::Op::Input
            }
            fn layout(&self) -> &Layout {
                &self.layout
            }
            fn unit(&self) -> f64 {
                self.unit
            }
            fn target(&self) -> Option<&Target> {
                self.target.as_ref()
            }
        }
    };
}

typed!(slots);
typed!(program);

/// Checks order, input, use, layouts, units and targets of `nodes`, and `rule` on each of them once its
/// operands are known to exist.
///
/// # Errors
/// The first broken rule and its node; node 0 when there are no nodes.
pub(crate) fn verify_nodes<N: Typed>(
    nodes: &[N],
    mut rule: impl FnMut(Value) -> Result<(), String>,
) -> Result<(), (Value, String)> {
    let mut used = vec![false; nodes.len()];
    for (value, node) in nodes.iter().enumerate() {
        let at = |what: String| (value, what);
        for x in node.operands() {
            if x >= value {
                return Err(at(format!("uses v{x}, which is not defined before it")));
            }
            used[x] = true;
        }
        verify_type(nodes, value).map_err(at)?;
        rule(value).map_err(at)?;
    }
    let Some((_, inner)) = used.split_last() else {
        return Err((0, "a program without nodes".to_string()));
    };
    match inner.iter().position(|used| !used) {
        Some(value) => Err((value, "is neither used nor the output".to_string())),
        None => Ok(()),
    }
}

fn verify_type<N: Typed>(nodes: &[N], value: Value) -> Result<(), String> {
    let (node, slots) = (&nodes[value], nodes[0].layout().slots);
    node.layout().verify().map_err(|e| e.to_string())?;
    if node.layout().slots != slots {
        let found = node.layout().slots;
        return Err(format!("has {found} slots, the input has {slots}"));
    }
    if !(node.unit().is_finite() && node.unit() > 0.0) {
        return Err(format!(
            "has unit {}, expected a positive number",
            node.unit()
        ));
    }
    match (node.is_input(), value) {
        (true, 0) | (false, 1..) => {}
        (true, _) => return Err("is a second input".to_string()),
        (false, 0) => return Err("node 0 is not the input".to_string()),
    }
    let Some(target) = node.target() else {
        return Ok(());
    };
    if target.x >= value {
        return Err(format!(
            "stands for a function of v{}, not defined before it",
            target.x
        ));
    }
    let (from, to) = (nodes[target.x].layout().shape, node.layout().shape);
    if from != to {
        return Err(format!(
            "stands for a function of v{}, {from}, but holds {to}",
            target.x
        ));
    }
    target
        .function
        .as_ref()
        .map_or(Ok(()), |f| verify_function(f, to.c))
}

/// Coefficients of a polynomial are one row, or one a channel, of equal lengths.
fn verify_function(function: &Function, channels: usize) -> Result<(), String> {
    let Function::Polynomial { coefficients } = function else {
        return Ok(());
    };
    let length = coefficients.first().map_or(0, Vec::len);
    let rows = coefficients.len() == 1 || coefficients.len() == channels;
    if rows && length > 0 && coefficients.iter().all(|row| row.len() == length) {
        return Ok(());
    }
    let rows = coefficients.len();
    Err(format!(
        "stands for a polynomial of {rows} rows on {channels} channels"
    ))
}

/// An affine map between these values: stages that chain, the units' factors, a giant step.
pub(crate) fn verify_map<N: Typed>(
    maps: &[LinearMap],
    map: usize,
    from: &N,
    to: &N,
) -> Result<(), String> {
    let Some(linear) = maps.get(map) else {
        return Err(format!("uses map {map} of {}", maps.len()));
    };
    let (input, output) = (from.layout(), to.layout());
    let shapes = linear.shapes(input.shape).map_err(|e| e.to_string())?;
    if shapes.last() != Some(&output.shape) {
        return Err(format!(
            "the stages of map {map} do not give {}",
            output.shape
        ));
    }
    if linear.fold && output.twist != 0 {
        return Err(format!("folds into a layout with twist {}", output.twist));
    }
    if !(1..=output.slots).contains(&linear.giant) {
        return Err(format!(
            "has a giant step of {}, expected 1 to {}",
            linear.giant, output.slots
        ));
    }
    agrees("gain", linear.gain, from.unit() / to.unit())?;
    agrees("bias gain", linear.bias_gain, 1.0 / to.unit())
}

/// A multiplication by a constant changes the unit and nothing else.
pub(crate) fn verify_factor<N: Typed>(factor: f64, from: &N, to: &N) -> Result<(), String> {
    same_layout(from, to)?;
    agrees("factor", factor, from.unit() / to.unit())
}

/// Operands of a sum: the layout and unit of the result.
pub(crate) fn verify_sum<N: Typed>(operands: [(Value, &N); 2], to: &N) -> Result<(), String> {
    for (x, from) in operands {
        if from.layout() != to.layout() {
            let (found, expected) = (from.layout(), to.layout());
            return Err(format!(
                "adds v{x} laid out as {found}, expected {expected}"
            ));
        }
        if from.unit() != to.unit() {
            let (found, expected) = (from.unit(), to.unit());
            return Err(format!("adds v{x} of unit {found}, expected {expected}"));
        }
    }
    Ok(())
}

/// Operands of a product: the layout of the result, whose unit is the product of theirs.
pub(crate) fn verify_product<N: Typed>(operands: [&N; 2], to: &N) -> Result<(), String> {
    operands
        .iter()
        .try_for_each(|from| same_layout(*from, to))?;
    agrees("unit", to.unit(), operands[0].unit() * operands[1].unit())
}

/// The operator moves nothing.
pub(crate) fn same_layout<N: Typed>(from: &N, to: &N) -> Result<(), String> {
    match from.layout() == to.layout() {
        true => Ok(()),
        false => Err(format!(
            "moves values from {} to {}",
            from.layout(),
            to.layout()
        )),
    }
}

/// The operator moves values by a twist at most.
pub(crate) fn same_but_twist<N: Typed>(from: &N, to: &N) -> Result<(), String> {
    let layout = Layout {
        twist: to.layout().twist,
        ..from.layout().clone()
    };
    match layout == *to.layout() {
        true => Ok(()),
        false => Err(format!(
            "changes more of the layout than the twist, to {}",
            to.layout()
        )),
    }
}

/// Two to [`MAX_COEFFICIENTS`] finite coefficients, the last one nonzero.
pub(crate) fn verify_coefficients(coefficients: &[f64]) -> Result<(), String> {
    let sane = (2..=MAX_COEFFICIENTS).contains(&coefficients.len())
        && coefficients.iter().all(|c| c.is_finite())
        && coefficients.last() != Some(&0.0);
    match sane {
        true => Ok(()),
        false => Err(format!(
            "has {} coefficients, expected 2 to {MAX_COEFFICIENTS} finite ones, the last nonzero",
            coefficients.len()
        )),
    }
}

pub(crate) fn verify_rho(rho: f64) -> Result<(), String> {
    match rho > 0.0 && rho <= 1.0 {
        true => Ok(()),
        false => Err(format!("has rho {rho}, expected 0 < rho <= 1")),
    }
}

pub(crate) fn agrees(what: &str, found: f64, expected: f64) -> Result<(), String> {
    let close = (found - expected).abs() <= UNIT_TOLERANCE * expected.abs();
    match close {
        true => Ok(()),
        false => Err(format!("has {what} {found}, the units ask for {expected}")),
    }
}
