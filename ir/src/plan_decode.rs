//! From protobuf messages to a plan.

use crate::layout::Layout;
use crate::nn::{Linear, Shape, Window};
use crate::params::{Bootstrap, Parameters};
use crate::plan::{KeyCertificate, KeyManifest, Plan, Prediction, Preprocess, RotationKey};
use crate::plan_function::read_function;
use crate::program::{LinearMap, Node, Op, Program, Target};
use crate::wire;

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

/// The plan of `plan` and its constants; sizes and finiteness checked, meaning not.
///
/// # Errors
/// What is wrong, for a message.
pub fn read(plan: wire::Plan, constants: &[u8]) -> Result<Plan, String> {
    let missing = |what: &str| format!("it has no {what}");
    let p = plan.parameters.ok_or_else(|| missing("parameters"))?;
    let pre = plan.preprocess.ok_or_else(|| missing("preprocessing"))?;
    let keys = plan.keys.ok_or_else(|| missing("keys"))?;
    let prediction = plan.prediction.ok_or_else(|| missing("prediction"))?;
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
    let bootstrap = |b: wire::Bootstrap| {
        Ok::<_, String>(Bootstrap {
            stc: b.stc,
            cts: b.cts,
            cos_degree: size(b.cos_degree)?,
            double_angles: b.double_angles,
            range: b.range,
            sparse_weight: size(b.sparse_weight)?,
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
            bootstrap: p.bootstrap.map(bootstrap).transpose()?,
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
        prediction: Prediction {
            nodes: all_finite(prediction.nodes)?,
            setup: finite(prediction.setup)?,
            threads: size(prediction.threads)?,
            machine: prediction.machine,
            peak_bytes: prediction.peak_bytes,
            key_bytes: prediction.key_bytes,
        },
        target_security: plan.target_security,
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
        (5, &[x, y], []) => Op::Mul { x, y },
        (6, &[x], coefficients) => Op::Polynomial {
            x,
            coefficients: coefficients.to_vec(),
        },
        (op, operands, numbers) => {
            return Err(format!(
                "operator {op} with {} operands and {} numbers",
                operands.len(),
                numbers.len()
            ));
        }
    };
    let [slots, parts, c, h, w, gap, rows, cols, copies, twist] = sizes(&node.layout)?;
    let shape = Shape::new(c, h, w);
    Ok(Node {
        op,
        name: node.name,
        layout: Layout {
            slots,
            parts,
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
        target: match node.target {
            None => None,
            Some(target) => Some(Target {
                x: size(target.x)?,
                function: target.function.as_ref().map(read_function).transpose()?,
            }),
        },
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
    let integers = stage.integers.as_slice();
    if stage.op == 9 {
        let ([c, h, w], 0) = (sizes(integers)?, second) else {
            return Err(format!("a gather with {second} biases"));
        };
        let source = words(constants, first)?.map(u32::from_le_bytes).collect();
        let shape = Shape::new(c, h, w);
        return Ok(Linear::Gather { shape, source });
    }
    let [first, second] = [take(constants, first)?, take(constants, second)?];
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
                window: Window {
                    kernel: [ky, kx],
                    stride: [sy, sx],
                    pads: [top, left, bottom, right],
                    dilation: [dy, dx],
                    groups,
                },
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
        7 => {
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
                py,
                px,
                dy,
                dx,
                groups,
            ] = sizes(integers)?;
            Linear::ConvTranspose {
                weight: first,
                bias: second,
                out_channels,
                window: Window {
                    kernel: [ky, kx],
                    stride: [sy, sx],
                    pads: [top, left, bottom, right],
                    dilation: [dy, dx],
                    groups,
                },
                output_padding: [py, px],
            }
        }
        8 => {
            let [] = sizes(integers)?;
            Linear::Elementwise {
                scale: first,
                shift: second,
            }
        }
        op => return Err(format!("linear operator {op}")),
    };
    Ok(linear)
}

/// The next `count` constants, four bytes each.
fn words<'a>(
    constants: &mut &'a [u8],
    count: usize,
) -> Result<impl Iterator<Item = [u8; 4]> + 'a, String> {
    let Some((here, rest)) = constants.split_at_checked(count.saturating_mul(4)) else {
        return Err(format!(
            "{count} constants claimed, {} bytes left",
            constants.len()
        ));
    };
    *constants = rest;
    Ok(here.chunks_exact(4).map(|b| [b[0], b[1], b[2], b[3]]))
}

/// The next `count` constants as finite numbers.
fn take(constants: &mut &[u8], count: usize) -> Result<Vec<f32>, String> {
    let values: Vec<f32> = words(constants, count)?.map(f32::from_le_bytes).collect();
    match values.iter().find(|v| !v.is_finite()) {
        Some(v) => Err(format!("a constant that is {v}")),
        None => Ok(values),
    }
}
