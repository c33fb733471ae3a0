//! A plan as bytes: `HECCPLAN`, version (u32, little-endian), BLAKE3 of the body, body
//! ([`crate::wire`]).
//!
//! There is one byte string for one plan: what does not encode to itself is refused, so that the hash of
//! the bytes identifies the plan. Memory for decoding is bounded by the bytes at hand: structure is at
//! most [`MAX_STRUCTURE`] bytes, constants are read where they lie.

use prost::Message;

use crate::checker::{self, CheckError};
use crate::layout::Layout;
use crate::nn::{Linear, Shape};
use crate::params::{Bootstrap, Parameters};
use crate::plan::{KeyCertificate, KeyManifest, Plan, Preprocess, RotationKey};
use crate::program::{LinearMap, Node, Op, Program};
use crate::wire;

/// Version of the format.
pub const VERSION: u32 = 1;
/// Most bytes of everything but constants: a message of two bytes takes some two hundred in memory.
pub const MAX_STRUCTURE: usize = 2 << 20;
const MAGIC: &[u8; 8] = b"HECCPLAN";
const HEADER: usize = 8 + 4 + 32;

/// Bytes that are no usable plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Another kind of file.
    #[error("not a hecc plan; give the file that `hecc compile` wrote")]
    Magic,
    /// Another version of the format.
    #[error(
        "a plan of format {found}, this program reads format {VERSION}; compile the model again"
    )]
    Version {
        /// What the file says.
        found: u32,
    },
    /// The content is not what was written.
    #[error("the plan is damaged or cut short; copy it again or compile the model again")]
    Damaged,
    /// The content hash is right but the content is not a plan's.
    #[error("the plan is malformed: {0}; compile the model again")]
    Malformed(String),
    /// The plan contradicts itself.
    #[error("the plan is refused: {0}; compile the model again")]
    Refused(#[from] CheckError),
}

impl Plan {
    /// The file's bytes; the same for equal plans.
    pub fn to_bytes(&self) -> Vec<u8> {
        let envelope = wire::Envelope {
            plan: structure(self).encode_to_vec(),
            constants: self
                .program
                .maps
                .iter()
                .flat_map(|map| &map.stages)
                .flat_map(Linear::constants)
                .flatten()
                .flat_map(|value| value.to_le_bytes())
                .collect(),
        };
        let body = envelope.encode_to_vec();
        let mut bytes = MAGIC.to_vec();
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend(blake3::hash(&body).as_bytes());
        bytes.extend(body);
        bytes
    }

    /// BLAKE3 of [`Plan::to_bytes`]: what keys and ciphertexts are bound to.
    pub fn id(&self) -> [u8; 32] {
        *blake3::hash(&self.to_bytes()).as_bytes()
    }

    /// Reads and checks a plan.
    ///
    /// # Errors
    /// For anything but the bytes of a plan that passes its checker.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, PlanError> {
        if bytes.len() < 8 || !bytes.starts_with(MAGIC) {
            return Err(PlanError::Magic);
        }
        let (Some(version), Some(hash)) = (bytes[8..].first_chunk::<4>(), bytes.get(12..HEADER))
        else {
            return Err(PlanError::Damaged);
        };
        let found = u32::from_le_bytes(*version);
        if found != VERSION {
            return Err(PlanError::Version { found });
        }
        let body = &bytes[HEADER..];
        if blake3::hash(body).as_bytes() != hash {
            return Err(PlanError::Damaged);
        }
        let malformed = PlanError::Malformed;
        let envelope = wire::Envelope::decode(body).map_err(|e| malformed(e.to_string()))?;
        if envelope.plan.len() > MAX_STRUCTURE {
            let found = envelope.plan.len();
            return Err(malformed(format!(
                "{found} bytes of structure, at most {MAX_STRUCTURE}"
            )));
        }
        let plan =
            wire::Plan::decode(envelope.plan.as_slice()).map_err(|e| malformed(e.to_string()))?;
        let plan = read(plan, &envelope.constants).map_err(malformed)?;
        if plan.to_bytes() != bytes {
            return Err(malformed(
                "it is not in the form this program writes".to_string(),
            ));
        }
        checker::check(&plan)?;
        Ok(plan)
    }
}

fn wide(values: &[usize]) -> Vec<u64> {
    values.iter().map(|&v| v as u64).collect()
}

fn structure(plan: &Plan) -> wire::Plan {
    let (p, b, pre, keys) = (
        &plan.parameters,
        &plan.parameters.bootstrap,
        &plan.preprocess,
        &plan.keys,
    );
    wire::Plan {
        model: plan.model.clone(),
        parameters: Some(wire::Parameters {
            log_n: p.log_n,
            q: p.q.clone(),
            p: p.p.clone(),
            digit: p.digit as u64,
            stc: b.stc.clone(),
            cts: b.cts.clone(),
            cos_degree: b.cos_degree as u64,
            double_angles: b.double_angles,
            range: b.range,
            sparse_weight: b.sparse_weight as u64,
        }),
        insecure: plan.insecure,
        certificate: plan
            .certificate
            .iter()
            .map(|c| wire::Certificate {
                key: c.key.clone(),
                log_n: c.log_n,
                log_qp: c.log_qp,
                secret: c.secret.clone(),
                security: c.security,
                source: c.source.clone(),
            })
            .collect(),
        preprocess: Some(wire::Preprocess {
            mean: pre.mean.clone(),
            std: pre.std.clone(),
            width: pre.width as u64,
            height: pre.height as u64,
            channels: pre.channels as u64,
            classes: pre.classes.clone(),
        }),
        nodes: plan.program.nodes.iter().map(write_node).collect(),
        maps: plan.program.maps.iter().map(write_map).collect(),
        keys: Some(wire::Keys {
            steps: keys.rotations.iter().map(|key| key.steps as u64).collect(),
            levels: keys.rotations.iter().map(|key| key.level as u64).collect(),
            relinearisation: keys.relinearisation.map(|level| level as u64),
            conjugation: keys.conjugation.map(|level| level as u64),
            encapsulation: keys.encapsulation,
        }),
        predicted_seconds: plan.predicted_seconds,
    }
}

fn write_node(node: &Node) -> wire::Node {
    let l = &node.layout;
    let (op, map, numbers) = match &node.op {
        Op::Input => (0, 0, Vec::new()),
        Op::Linear { map, .. } => (1, *map as u64, Vec::new()),
        Op::MulConst { factor, .. } => (2, 0, vec![*factor]),
        Op::Add { .. } => (3, 0, Vec::new()),
        Op::Activate {
            coefficients, rho, ..
        } => (4, 0, [&[*rho], coefficients.as_slice()].concat()),
    };
    wire::Node {
        name: node.name.clone(),
        layout: wide(&[
            l.slots, l.shape.c, l.shape.h, l.shape.w, l.gap, l.rows, l.cols, l.copies, l.twist,
        ]),
        level: node.level as u64,
        scale: node.scale,
        unit: node.unit,
        op,
        operands: wide(&node.op.operands()),
        map,
        numbers,
    }
}

fn write_map(map: &LinearMap) -> wire::Map {
    let stage = |stage: &Linear| {
        let (op, integers) = match stage {
            Linear::Conv {
                out_channels,
                kernel,
                stride,
                pads,
                dilation,
                groups,
                ..
            } => (
                0,
                [
                    &[*out_channels],
                    &kernel[..],
                    stride,
                    pads,
                    dilation,
                    &[*groups],
                ]
                .concat(),
            ),
            Linear::Gemm { rows, .. } => (1, vec![*rows]),
            Linear::AveragePool { kernel, stride } => (2, [*kernel, *stride].concat()),
            Linear::Affine { .. } => (3, Vec::new()),
            Linear::Slice { start, step, shape } => (4, [*start, *step, shape.axes()].concat()),
            Linear::Pad { before, after } => (5, [*before, *after].concat()),
            Linear::Reshape { shape } => (6, shape.axes().to_vec()),
        };
        let constants = wide(&stage.constants().map(<[f32]>::len));
        wire::Stage {
            op,
            integers: wide(&integers),
            constants,
        }
    };
    wire::Map {
        stages: map.stages.iter().map(stage).collect(),
        gain: map.gain,
        bias_gain: map.bias_gain,
        fold: map.fold,
        giant: map.giant as u64,
    }
}

/// An integer within what any field may hold; the checker knows the rest.
fn size(value: u64) -> Result<usize, String> {
    match usize::try_from(value) {
        Ok(size) if value <= 1 << 32 => Ok(size),
        _ => Err(format!("an integer of {value}")),
    }
}

fn sizes<const N: usize>(values: &[u64]) -> Result<[usize; N], String> {
    let values = values
        .iter()
        .map(|&v| size(v))
        .collect::<Result<Vec<_>, _>>()?;
    let found = values.len();
    values
        .try_into()
        .map_err(|_| format!("{found} integers, expected {N}"))
}

fn finite(value: f64) -> Result<f64, String> {
    match value.is_finite() {
        true => Ok(value),
        false => Err(format!("a number that is {value}")),
    }
}

fn all_finite(values: Vec<f64>) -> Result<Vec<f64>, String> {
    values.into_iter().map(finite).collect()
}

fn read(plan: wire::Plan, constants: &[u8]) -> Result<Plan, String> {
    let missing = |what: &str| format!("it has no {what}");
    let p = plan.parameters.ok_or_else(|| missing("parameters"))?;
    let pre = plan.preprocess.ok_or_else(|| missing("preprocessing"))?;
    let keys = plan.keys.ok_or_else(|| missing("keys"))?;
    if keys.steps.len() != keys.levels.len() {
        return Err(format!(
            "{} rotations at {} levels",
            keys.steps.len(),
            keys.levels.len()
        ));
    }
    let rotation = |(&steps, &level)| {
        Ok(RotationKey {
            steps: size(steps)?,
            level: size(level)?,
        })
    };
    let certificate = |c: wire::Certificate| {
        Ok(KeyCertificate {
            key: c.key,
            log_n: c.log_n,
            log_qp: finite(c.log_qp)?,
            secret: c.secret,
            security: finite(c.security)?,
            source: c.source,
        })
    };
    let mut constants = constants;
    let maps = plan
        .maps
        .iter()
        .map(|map| read_map(map, &mut constants))
        .collect::<Result<_, _>>()?;
    if !constants.is_empty() {
        return Err(format!(
            "{} bytes of constants that nothing uses",
            constants.len()
        ));
    }
    Ok(Plan {
        model: plan.model,
        parameters: Parameters {
            log_n: p.log_n,
            q: p.q,
            p: p.p,
            digit: size(p.digit)?,
            bootstrap: Bootstrap {
                stc: p.stc,
                cts: p.cts,
                cos_degree: size(p.cos_degree)?,
                double_angles: p.double_angles,
                range: p.range,
                sparse_weight: size(p.sparse_weight)?,
            },
        },
        insecure: plan.insecure,
        certificate: plan
            .certificate
            .into_iter()
            .map(certificate)
            .collect::<Result<_, String>>()?,
        preprocess: Preprocess {
            mean: all_finite(pre.mean)?,
            std: all_finite(pre.std)?,
            width: size(pre.width)?,
            height: size(pre.height)?,
            channels: size(pre.channels)?,
            classes: pre.classes,
        },
        program: Program {
            nodes: plan
                .nodes
                .into_iter()
                .map(read_node)
                .collect::<Result<_, _>>()?,
            maps,
        },
        keys: KeyManifest {
            rotations: keys
                .steps
                .iter()
                .zip(&keys.levels)
                .map(rotation)
                .collect::<Result<_, String>>()?,
            relinearisation: keys.relinearisation.map(size).transpose()?,
            conjugation: keys.conjugation.map(size).transpose()?,
            encapsulation: keys.encapsulation,
        },
        predicted_seconds: finite(plan.predicted_seconds)?,
    })
}

fn read_node(node: wire::Node) -> Result<Node, String> {
    let operands = node
        .operands
        .iter()
        .map(|&v| size(v))
        .collect::<Result<Vec<_>, _>>()?;
    let numbers = all_finite(node.numbers)?;
    let op = match (node.op, operands.as_slice(), numbers.as_slice()) {
        (0, [], []) => Op::Input,
        (1, &[x], []) => Op::Linear {
            x,
            map: size(node.map)?,
        },
        (2, &[x], &[factor]) => Op::MulConst { x, factor },
        (3, &[x, y], []) => Op::Add { x, y },
        (4, &[x], [rho, coefficients @ ..]) => Op::Activate {
            x,
            coefficients: coefficients.to_vec(),
            rho: *rho,
        },
        (op, operands, numbers) => {
            return Err(format!(
                "operator {op} with {} operands and {} numbers",
                operands.len(),
                numbers.len()
            ));
        }
    };
    let [slots, c, h, w, gap, rows, cols, copies, twist] = sizes(&node.layout)?;
    let shape = Shape::new(c, h, w);
    Ok(Node {
        op,
        name: node.name,
        layout: Layout {
            slots,
            shape,
            gap,
            rows,
            cols,
            copies,
            twist,
        },
        level: size(node.level)?,
        scale: finite(node.scale)?,
        unit: finite(node.unit)?,
    })
}

fn read_map(map: &wire::Map, constants: &mut &[u8]) -> Result<LinearMap, String> {
    Ok(LinearMap {
        stages: map
            .stages
            .iter()
            .map(|stage| read_stage(stage, constants))
            .collect::<Result<_, _>>()?,
        gain: finite(map.gain)?,
        bias_gain: finite(map.bias_gain)?,
        fold: map.fold,
        giant: size(map.giant)?,
    })
}

fn read_stage(stage: &wire::Stage, constants: &mut &[u8]) -> Result<Linear, String> {
    let [first, second] = sizes(&stage.constants)?;
    let [first, second] = [take(constants, first)?, take(constants, second)?];
    let integers = stage.integers.as_slice();
    let linear = match stage.op {
        0 => {
            let [
                out_channels,
                ky,
                kx,
                sy,
                sx,
                top,
                left,
                bottom,
                right,
                dy,
                dx,
                groups,
            ] = sizes(integers)?;
            Linear::Conv {
                weight: first,
                bias: second,
                out_channels,
                kernel: [ky, kx],
                stride: [sy, sx],
                pads: [top, left, bottom, right],
                dilation: [dy, dx],
                groups,
            }
        }
        1 => {
            let [rows] = sizes(integers)?;
            Linear::Gemm {
                weight: first,
                bias: second,
                rows,
            }
        }
        2 => {
            let [ky, kx, sy, sx] = sizes(integers)?;
            Linear::AveragePool {
                kernel: [ky, kx],
                stride: [sy, sx],
            }
        }
        3 => {
            let [] = sizes(integers)?;
            Linear::Affine {
                scale: first,
                shift: second,
            }
        }
        4 => {
            let [c0, y0, x0, dc, dy, dx, c, h, w] = sizes(integers)?;
            Linear::Slice {
                start: [c0, y0, x0],
                step: [dc, dy, dx],
                shape: Shape::new(c, h, w),
            }
        }
        5 => {
            let [c0, y0, x0, c1, y1, x1] = sizes(integers)?;
            Linear::Pad {
                before: [c0, y0, x0],
                after: [c1, y1, x1],
            }
        }
        6 => {
            let [c, h, w] = sizes(integers)?;
            Linear::Reshape {
                shape: Shape::new(c, h, w),
            }
        }
        op => return Err(format!("linear operator {op}")),
    };
    Ok(linear)
}

/// The next `count` constants.
fn take(constants: &mut &[u8], count: usize) -> Result<Vec<f32>, String> {
    let Some((here, rest)) = constants.split_at_checked(count.saturating_mul(4)) else {
        return Err(format!(
            "{count} constants claimed, {} bytes left",
            constants.len()
        ));
    };
    *constants = rest;
    let float = |bytes: &[u8]| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    let values: Vec<f32> = here.chunks_exact(4).map(float).collect();
    match values.iter().find(|v| !v.is_finite()) {
        Some(v) => Err(format!("a constant that is {v}")),
        None => Ok(values),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Random, residual_plan};

    /// The file for a body, with a hash that fits.
    fn sealed(body: &[u8]) -> Vec<u8> {
        [
            &MAGIC[..],
            &VERSION.to_le_bytes(),
            blake3::hash(body).as_bytes(),
            body,
        ]
        .concat()
    }

    #[test]
    fn a_plan_survives_its_bytes() {
        let plan = residual_plan();
        let bytes = plan.to_bytes();
        assert_eq!(Plan::from_bytes(&bytes).unwrap(), plan);
        assert_eq!(plan.id(), *blake3::hash(&bytes).as_bytes());
    }

    #[test]
    fn damage_is_an_error() {
        let bytes = residual_plan().to_bytes();
        let refused = |bytes: &[u8], expect: &str| {
            let message = Plan::from_bytes(bytes).unwrap_err().to_string();
            assert!(message.contains(expect), "{message}");
        };
        for length in (0..200).chain((200..bytes.len()).step_by(97)) {
            refused(
                &bytes[..length],
                if length < 8 {
                    "not a hecc plan"
                } else {
                    "damaged"
                },
            );
        }
        let mut random = Random::new(6);
        for _ in 0..200 {
            let mut bytes = bytes.clone();
            let at = random.next() as usize % bytes.len();
            bytes[at] ^= 1 << (random.next() % 8);
            assert!(Plan::from_bytes(&bytes).is_err());
        }
        let mut other = bytes.clone();
        other[8] = 9;
        refused(&other, "a plan of format 9");
        refused(&[bytes.as_slice(), &[0]].concat(), "damaged");
    }

    #[test]
    fn malformed_bodies_under_a_right_hash_are_errors() {
        let body = residual_plan().to_bytes()[HEADER..].to_vec();
        let mut random = Random::new(8);
        for round in 0..1000 {
            let mut body = body.clone();
            // Structure comes first: the last three quarters of the body are weights.
            let at = random.next() as usize % (body.len() / if round % 4 == 0 { 1 } else { 6 });
            match round % 3 {
                0 => body[at] ^= 1 << (random.next() % 8),
                1 => body[at] = 0xff,
                _ => body.truncate(at),
            }
            // A flipped bit of a weight or a name makes another plan; everything else is refused.
            if let Ok(plan) = Plan::from_bytes(&sealed(&body)) {
                assert_eq!(plan.to_bytes(), sealed(&body));
            }
        }
    }

    #[test]
    fn claims_are_bounded() {
        let refused = |edit: fn(&mut wire::Plan), expect: &str| {
            let plan = residual_plan();
            let envelope = wire::Envelope::decode(&plan.to_bytes()[HEADER..]).unwrap();
            let mut structure = structure(&plan);
            edit(&mut structure);
            let body = wire::Envelope {
                plan: structure.encode_to_vec(),
                ..envelope
            }
            .encode_to_vec();
            let message = Plan::from_bytes(&sealed(&body)).unwrap_err().to_string();
            assert!(message.contains(expect), "{message}, expected {expect}");
        };
        refused(
            |p| p.maps[0].stages[0].constants[0] = 1 << 32,
            "constants claimed",
        );
        refused(
            |p| p.maps[0].stages[0].constants[0] = u64::MAX,
            "an integer of",
        );
        refused(
            |p| p.maps[0].stages[0].integers[0] = 1 << 32,
            "output channels of 4294967296",
        );
        refused(
            |p| p.maps[0].stages[0].integers.clear(),
            "0 integers, expected 12",
        );
        refused(|p| p.maps[0].stages[0].op = 99, "linear operator 99");
        refused(|p| p.maps.truncate(7), "nothing uses");
        refused(|p| p.maps[0].gain = f64::NAN, "NaN");
        refused(|p| p.nodes[0].layout[0] = 1 << 32, "slots");
        refused(|p| p.nodes[0].layout[1] = 1 << 31, "a size of 0 or over");
        refused(|p| p.nodes[1].operands[0] = 1 << 31, "before it exists");
        refused(|p| p.nodes[2].numbers.clear(), "operator 4");
        refused(|p| p.nodes[2].numbers[3] = f64::INFINITY, "inf");
        refused(|p| p.parameters = None, "no parameters");
        refused(
            |p| p.parameters.as_mut().unwrap().log_n = u32::MAX,
            "2^4294967295",
        );
        refused(
            |p| p.keys.as_mut().unwrap().levels.clear(),
            "rotations at 0 levels",
        );
        refused(
            |p| p.nodes = vec![wire::Node::default(); 1 << 21],
            "of structure, at most",
        );
    }
}
