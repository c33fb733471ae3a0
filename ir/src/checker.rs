//! The independent checker of a finished plan.
//!
//! It derives shapes, levels, scales, units, keys and the certificate anew from the program's operators
//! and the primes, and shares no code with the passes, the backend or the languages' verifiers. A
//! disagreement means that the compiler has a bug or that the plan was tampered with.

use std::collections::BTreeMap;

use crate::function::Function;
use crate::layout::Layout;
use crate::linear::LinearError;
use crate::params::ParametersError;
use crate::plan::{KeyManifest, Plan, Prediction};
use crate::program::{LinearMap, Node, Op, Target};
use crate::security;
use crate::sparse::entry_bound;

/// What is wrong with a plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckError {
    /// The parameter set cannot be computed with.
    #[error(transparent)]
    Parameters(#[from] ParametersError),
    /// A node of the program.
    #[error("v{value} ({name}): {what}")]
    Node {
        /// Index of the node.
        value: usize,
        /// ONNX name.
        name: String,
        /// Expected and got.
        what: String,
    },
    /// The keys are not those the program needs.
    #[error("keys: {0}")]
    Keys(String),
    /// The certificate does not say what the keys are worth.
    #[error("certificate: {0}")]
    Certificate(String),
    /// Preprocessing does not fit the program's ends.
    #[error("preprocessing: {0}")]
    Preprocess(String),
}

/// Largest number of nodes or maps.
const MAX_NODES: usize = 10_000;
/// Most matrix entries of all maps together: about a minute's work, and several times a ResNet-50's.
const MAX_WORK: usize = 1 << 35;
/// Largest part by which derived and stored numbers may differ.
const TOLERANCE: f64 = 1e-6;

type Keys = BTreeMap<usize, usize>;

/// What the operators seen so far need, and what deriving it has cost.
#[derive(Default)]
struct Needed {
    rotations: Keys,
    /// Highest level at which two ciphertexts are multiplied.
    product: Option<usize>,
    bootstrap: bool,
    /// Entries of maps visited.
    work: usize,
}

impl Needed {
    fn multiply(&mut self, level: usize) {
        self.product = self.product.max(Some(level));
    }
}

/// Checks a plan.
///
/// # Errors
/// The first disagreement.
pub fn check(plan: &Plan) -> Result<(), CheckError> {
    plan.parameters.verify()?;
    let nodes = &plan.program.nodes;
    if nodes.is_empty() || nodes.len().max(plan.program.maps.len()) > MAX_NODES {
        let what = format!("{} nodes, {} maps", nodes.len(), plan.program.maps.len());
        return Err(CheckError::Node {
            value: 0,
            name: String::new(),
            what,
        });
    }
    let mut needed = Needed::default();
    for (value, node) in nodes.iter().enumerate() {
        let wrong = |what: String| CheckError::Node {
            value,
            name: node.name.clone(),
            what,
        };
        check_node(plan, value, &mut needed).map_err(wrong)?;
    }
    if needed.bootstrap {
        bootstrap_keys(plan, &mut needed.rotations);
    }
    needed.rotations.remove(&0);
    check_keys(plan, &needed).map_err(CheckError::Keys)?;
    check_certificate(plan).map_err(CheckError::Certificate)?;
    check_ends(plan).map_err(CheckError::Preprocess)
}

fn expect(what: &str, found: f64, expected: f64) -> Result<(), String> {
    match (found - expected).abs() <= TOLERANCE * expected.abs() {
        true => Ok(()),
        false => Err(format!("{what} is {found}, expected {expected}")),
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

fn need(keys: &mut Keys, steps: usize, level: usize) {
    let highest = keys.entry(steps).or_insert(level);
    *highest = level.max(*highest);
}

fn check_node(plan: &Plan, value: usize, needed: &mut Needed) -> Result<(), String> {
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
            needed.work = needed
                .work
                .saturating_add(work_of(map, &x.layout, &node.layout)?);
            if needed.work > MAX_WORK {
                return Err(format!("maps of over {MAX_WORK} entries up to here"));
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
    let copies = match map.stages.len() {
        1 => output.copies,
        _ => width.saturating_mul(output.copies),
    };
    let terms = match map.stages.len() {
        1 => work,
        _ => output.shape.elements(),
    };
    Ok(work.saturating_add(terms.saturating_mul(copies)))
}

/// Adds the rotations of both transforms. A butterfly stage of half-length s joins slots 0 and s
/// apart, either way; a group of stages joins all sums of its stages' distances.
fn bootstrap_keys(plan: &Plan, keys: &mut Keys) {
    let p = &plan.parameters;
    let Some(shape) = &p.bootstrap else {
        return;
    };
    let (half, slots) = (1i64 << (p.log_n - 2), 1i64 << (p.log_n - 1));
    let mut group = |stages: &[i64], wraps: bool, level: usize| {
        let mut reach = std::collections::BTreeSet::from([0i64]);
        for s in stages {
            reach = reach.iter().flat_map(|d| [*d, d + s, d - s]).collect();
        }
        let stride = stages.iter().min().copied().unwrap_or(1);
        let bits = stages.len() as u32 + u32::from(!wraps);
        let giant = (stride << bits.div_ceil(2)) as usize;
        for d in reach {
            let d = d.rem_euclid(if wraps { half } else { slots }) as usize;
            need(keys, d % giant, level);
            need(keys, d / giant * giant, level);
        }
    };
    let mut s = half;
    for (i, &radix) in shape.cts.iter().enumerate() {
        let stages: Vec<i64> = (1..=radix).map(|k| s >> k).collect();
        s >>= radix;
        group(&stages, i == 0, p.q.len() - 1 - i);
    }
    let groups = shape.stc.len();
    let mut s = 1;
    for (i, &radix) in shape.stc.iter().enumerate() {
        let stages: Vec<i64> = (0..radix).map(|k| s << k).collect();
        s <<= radix;
        group(&stages, i + 1 == groups, groups - i);
    }
}

fn check_keys(plan: &Plan, needed: &Needed) -> Result<(), String> {
    let KeyManifest {
        rotations,
        relinearisation,
        conjugation,
        encapsulation,
    } = &plan.keys;
    let shape = plan
        .parameters
        .bootstrap
        .as_ref()
        .filter(|_| needed.bootstrap);
    let conjugated = shape.map(|b| plan.parameters.q.len() - 1 - b.cts.len());
    let expected = (needed.product, conjugated, needed.bootstrap);
    if (*relinearisation, *conjugation, *encapsulation) != expected {
        let (product, conjugated, sparse) = expected;
        return Err(format!(
            "relinearisation {relinearisation:?}, conjugation {conjugation:?}, encapsulation {encapsulation}, expected {product:?}, {conjugated:?}, {sparse}"
        ));
    }
    let needed = &needed.rotations;
    if !rotations
        .iter()
        .map(|key| (key.steps, key.level))
        .eq(needed.iter().map(|(&s, &l)| (s, l)))
    {
        let wrong = rotations
            .iter()
            .find(|key| needed.get(&key.steps) != Some(&key.level));
        let (found, expected) = (rotations.len(), needed.len());
        return Err(format!(
            "{found} rotations, expected {expected}; the first wrong one: {wrong:?}"
        ));
    }
    Ok(())
}

fn check_certificate(plan: &Plan) -> Result<(), String> {
    let (p, keys) = (&plan.parameters, &plan.keys);
    let bits = |primes: &[u64]| {
        primes
            .iter()
            .map(|&prime| (prime as f64).log2())
            .sum::<f64>()
    };
    let at = |level: usize| bits(&p.q[..=level]) + bits(&p.p);
    let top = p.q.len() - 1;
    let highest = keys.rotations.iter().map(|key| key.level).max();
    let sparse = p.bootstrap.as_ref().filter(|_| keys.encapsulation);
    let expected = [
        Some((at(top), None)),
        keys.relinearisation.map(|level| (at(level), None)),
        keys.conjugation.map(|level| (at(level), None)),
        highest.map(|level| (at(level), None)),
        sparse.map(|_| (at(top), None)),
        sparse.map(|b| (bits(&p.q[..1]) + bits(&p.p[..1]), Some(b.sparse_weight))),
    ];
    let mut entries = plan.certificate.iter();
    let mut weakest = f64::INFINITY;
    for (kind, expected) in security::KINDS.iter().zip(expected) {
        let Some((log_qp, weight)) = expected else {
            continue;
        };
        let (worth, source) = security::security(p.log_n, log_qp, weight);
        let secret = weight.map_or("dense ternary".to_string(), |h| {
            format!("sparse ternary, h = {h}")
        });
        let entry = entries
            .next()
            .ok_or_else(|| format!("nothing on the key '{kind}'"))?;
        if (
            entry.key.as_str(),
            entry.log_n,
            entry.secret.as_str(),
            entry.source.as_str(),
        ) != (kind, p.log_n, secret.as_str(), source)
        {
            return Err(format!(
                "{} in 2^{}, {}, where '{kind}' belongs",
                entry.key, entry.log_n, entry.secret
            ));
        }
        expect("log2(QP)", entry.log_qp, log_qp)?;
        expect("security", entry.security, worth)?;
        weakest = weakest.min(worth);
    }
    if let Some(entry) = entries.next() {
        return Err(format!("a key '{}' that the plan does not have", entry.key));
    }
    let target = plan.target_security;
    if !security::LEVELS.contains(&target) {
        return Err(format!(
            "a target of {target} bits, expected one of {:?}",
            security::LEVELS
        ));
    }
    if (weakest < f64::from(target)) != plan.insecure {
        return Err(format!(
            "the weakest key is worth {weakest:.0} bits of {target}, insecure is {}",
            plan.insecure
        ));
    }
    Ok(())
}

fn check_ends(plan: &Plan) -> Result<(), String> {
    let (pre, nodes) = (&plan.preprocess, &plan.program.nodes);
    let (image, outputs) = (
        nodes[0].layout.shape,
        nodes[nodes.len() - 1].layout.shape.elements(),
    );
    if [pre.channels, pre.height, pre.width] != [image.c, image.h, image.w] {
        return Err(format!(
            "images of {}x{}x{}, the input is {image}",
            pre.channels, pre.height, pre.width
        ));
    }
    if pre.mean.len() != image.c || pre.std.len() != image.c || pre.std.iter().any(|&s| s <= 0.0) {
        return Err(format!(
            "means {:?} and deviations {:?} for {} channels",
            pre.mean, pre.std, image.c
        ));
    }
    if !pre.classes.is_empty() && pre.classes.len() != outputs {
        return Err(format!(
            "{} class names for {outputs} outputs",
            pre.classes.len()
        ));
    }
    check_prediction(&plan.prediction, nodes.len())
}

fn check_prediction(prediction: &Prediction, nodes: usize) -> Result<(), String> {
    let seconds = |s: &f64| s.is_finite() && *s >= 0.0;
    if prediction.nodes.len() != nodes {
        let found = prediction.nodes.len();
        return Err(format!("a prediction for {found} nodes of {nodes}"));
    }
    match prediction
        .nodes
        .iter()
        .chain([&prediction.setup])
        .find(|s| !seconds(s))
    {
        Some(bad) => Err(format!("a prediction of {bad} seconds")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::RotationKey;
    use crate::testing::{levelled_plan, residual_plan};

    #[test]
    fn every_tampering_is_found() {
        check(&residual_plan()).unwrap();
        let refused = |edit: fn(&mut Plan), expect: &str| {
            let mut plan = residual_plan();
            edit(&mut plan);
            let message = check(&plan).unwrap_err().to_string();
            assert!(message.contains(expect), "{message}, expected {expect}");
        };
        refused(|p| p.parameters.q[3] += 2, "not a prime");
        refused(|p| p.program.nodes.clear(), "0 nodes");
        refused(
            |p| p.program.nodes[1].level = 3,
            "v1 (node1): an operand at level 3, expected 4 at least",
        );
        refused(|p| p.program.nodes[1].scale *= 1e-7, "constants at a scale");
        refused(|p| p.program.nodes[2].scale = f64::NAN, "scale NaN");
        refused(
            |p| p.program.nodes[2].scale *= 2.0_f64.powi(100),
            "in 122 bits",
        );
        refused(
            |p| p.program.nodes[2].level = 4,
            "a result at level 4 needs a chain up to 19, the top is 18",
        );
        refused(|p| p.program.nodes[2].layout.twist = 63, "in blocks of");
        refused(|p| p.program.nodes[3].unit = 5.5, "the gain is");
        refused(|p| p.program.maps[0].bias_gain = 1.0, "the bias gain");
        refused(|p| p.program.maps[0].giant = 0, "giant step of 0");
        refused(|p| p.program.maps[0].giant = 128, "keys: ");
        refused(
            |p| p.program.maps[2].stages = p.program.maps[0].stages.clone(),
            "weight has",
        );
        refused(
            |p| p.program.nodes[5].op = Op::Add { x: 3, y: 9 },
            "uses v9 before",
        );
        refused(
            |p| p.program.nodes[1].level = 1,
            "v2 (node2): an operand at level 1, expected 2 at least",
        );
        refused(
            |p| p.program.nodes[5].op = Op::Add { x: 3, y: 2 },
            "operands of another",
        );
        refused(
            |p| p.program.nodes[4].op = Op::Input,
            "the input's position",
        );
        refused(
            |p| p.program.nodes[13].op = Op::MulConst { x: 10, factor: 0.7 },
            "the factor",
        );
        refused(
            |p| {
                if let Op::Activate { coefficients, .. } = &mut p.program.nodes[2].op {
                    coefficients.extend([0.5; 16])
                }
            },
            "needs a chain up to 19",
        );
        refused(
            |p| {
                if let Op::Activate { rho, .. } = &mut p.program.nodes[2].op {
                    *rho = 1.5
                }
            },
            "rho 1.5",
        );
        refused(
            |p| {
                p.keys.rotations.pop();
            },
            "keys: ",
        );
        refused(|p| p.keys.rotations[0].level += 1, "the first wrong one");
        refused(
            |p| {
                p.keys.rotations.push(RotationKey {
                    steps: 1023,
                    level: 1,
                })
            },
            "keys: ",
        );
        refused(|p| p.keys.conjugation = None, "conjugation None");
        refused(|p| p.keys.encapsulation = false, "keys: ");
        refused(|p| p.insecure = false, "insecure is false");
        refused(|p| p.certificate[3].security = 128.0, "security is 128");
        refused(|p| p.certificate[5].log_qp = 60.0, "log2(QP)");
        refused(
            |p| p.certificate[5].secret = "dense ternary".to_string(),
            "where 'dense to sparse' belongs",
        );
        refused(
            |p| {
                p.certificate.pop();
            },
            "nothing on the key 'dense to sparse'",
        );
        refused(
            |p| p.certificate.push(p.certificate[0].clone()),
            "does not have",
        );
        refused(|p| p.target_security = 100, "a target of 100 bits");
        refused(|p| p.parameters.bootstrap = None, "without a bootstrap");
        refused(|p| p.preprocess.width = 9, "8x9");
        refused(|p| p.preprocess.std[1] = 0.0, "deviations");
        refused(
            |p| {
                p.preprocess.classes.pop();
            },
            "9 class names for 10",
        );
        refused(|p| p.prediction.nodes[3] = -1.0, "-1 seconds");
        refused(|p| p.prediction.setup = f64::NAN, "NaN seconds");
        refused(|p| p.prediction.nodes.truncate(3), "for 3 nodes of 18");
    }

    #[test]
    fn every_tampering_is_found_without_bootstraps() {
        check(&levelled_plan()).unwrap();
        let refused = |edit: fn(&mut Plan), expect: &str| {
            let mut plan = levelled_plan();
            edit(&mut plan);
            let message = check(&plan).unwrap_err().to_string();
            assert!(message.contains(expect), "{message}, expected {expect}");
        };
        refused(|p| p.program.nodes[2].level = 7, "expected 8 at least");
        refused(|p| p.program.nodes[2].unit = 17.0, "the unit is 17");
        refused(|p| p.program.nodes[2].scale *= 1.0 + 1e-8, "the scale is");
        refused(
            |p| p.program.nodes[2].op = Op::Mul { x: 1, y: 0 },
            "it changes the layout",
        );
        refused(
            |p| p.program.nodes[4].level = 4,
            "an operand at level 5, expected 6",
        );
        refused(
            |p| p.program.nodes[3].scale /= 2f64.powi(11),
            "powers at a scale of only",
        );
        refused(
            |p| p.program.nodes[3].scale *= 2f64.powi(80),
            "a scale of 2^190.0 in",
        );
        refused(
            |p| {
                let coefficients = vec![f64::NAN; 3];
                p.program.nodes[4].op = Op::Polynomial { x: 3, coefficients };
            },
            "3 coefficients",
        );
        refused(
            |p| p.program.nodes[5].target.as_mut().unwrap().x = 9,
            "a function of v9",
        );
        refused(
            |p| p.program.nodes[5].target.as_mut().unwrap().x = 0,
            "a function of v0",
        );
        refused(
            |p| {
                p.program.nodes[5].target.as_mut().unwrap().function = Some(Function::Polynomial {
                    coefficients: vec![vec![]],
                })
            },
            "stands for 1 polynomials",
        );
        refused(|p| p.keys.relinearisation = Some(6), "expected Some(7)");
        refused(|p| p.keys.relinearisation = None, "relinearisation None");
        refused(|p| p.keys.conjugation = Some(7), "conjugation Some(7)");
        refused(|p| p.keys.encapsulation = true, "encapsulation true");
        refused(|p| p.keys.rotations[0].level -= 1, "the first wrong one");
        refused(|p| p.insecure = false, "bits of 192, insecure is false");
        // A polynomial's first product is as high as its operand is taken.
        refused(
            |p| {
                p.program.nodes[2].op = Op::MulConst { x: 1, factor: 0.25 };
                p.program.nodes[2].scale = p.program.nodes[1].scale;
            },
            "expected Some(5)",
        );
    }
}
