//! From a plan to its protobuf messages.

use crate::nn::{Linear, Window};
use crate::params::Bootstrap;
use crate::plan::Plan;
use crate::plan_function::write_function;
use crate::program::{LinearMap, Node, Op};
use crate::wire;

fn wide(values: &[usize]) -> Vec<u64> {
    values.iter().map(|&v| v as u64).collect()
}

/// Everything but the constants.
pub fn structure(plan: &Plan) -> wire::Plan {
    let (p, pre, keys) = (&plan.parameters, &plan.preprocess, &plan.keys);
    let bootstrap = |b: &Bootstrap| wire::Bootstrap {
        stc: b.stc.clone(),
        cts: b.cts.clone(),
        cos_degree: b.cos_degree as u64,
        double_angles: b.double_angles,
        range: b.range,
        sparse_weight: b.sparse_weight as u64,
    };
    let prediction = &plan.prediction;
    wire::Plan {
        model: plan.model.clone(),
        parameters: Some(wire::Parameters {
            log_n: p.log_n,
            q: p.q.clone(),
            p: p.p.clone(),
            digit: p.digit as u64,
            bootstrap: p.bootstrap.as_ref().map(bootstrap),
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
        prediction: Some(wire::Prediction {
            nodes: prediction.nodes.clone(),
            setup: prediction.setup,
            threads: prediction.threads as u64,
            machine: prediction.machine.clone(),
            peak_bytes: prediction.peak_bytes,
            key_bytes: prediction.key_bytes,
        }),
        target_security: plan.target_security,
    }
}

/// The constants of a stage, four bytes each.
pub fn constants(stage: &Linear) -> Vec<[u8; 4]> {
    match stage {
        Linear::Gather { source, .. } => source.iter().map(|v| v.to_le_bytes()).collect(),
        _ => stage
            .constants()
            .into_iter()
            .flatten()
            .map(|v| v.to_le_bytes())
            .collect(),
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
        Op::Mul { .. } => (5, 0, Vec::new()),
        Op::Polynomial { coefficients, .. } => (6, 0, coefficients.clone()),
    };
    wire::Node {
        name: node.name.clone(),
        layout: wide(&[
            l.slots, l.parts, l.shape.c, l.shape.h, l.shape.w, l.gap, l.rows, l.cols, l.copies,
            l.twist,
        ]),
        level: node.level as u64,
        scale: node.scale,
        unit: node.unit,
        op,
        operands: wide(&node.op.operands()),
        map,
        numbers,
        target: node.target.as_ref().map(|target| {
            Box::new(wire::Target {
                x: target.x as u64,
                function: target.function.as_ref().map(write_function),
            })
        }),
    }
}

fn write_window(out_channels: usize, window: &Window, output_padding: &[usize]) -> Vec<usize> {
    [
        &[out_channels],
        &window.kernel[..],
        &window.stride,
        &window.pads,
        output_padding,
        &window.dilation,
        &[window.groups],
    ]
    .concat()
}

fn write_map(map: &LinearMap) -> wire::Map {
    let stage = |stage: &Linear| {
        let (op, integers) = match stage {
            Linear::Conv {
                out_channels,
                window,
                ..
            } => (0, write_window(*out_channels, window, &[])),
            Linear::Gemm { rows, .. } => (1, vec![*rows]),
            Linear::AveragePool { kernel, stride } => (2, [*kernel, *stride].concat()),
            Linear::Affine { .. } => (3, Vec::new()),
            Linear::Slice { start, step, shape } => (4, [*start, *step, shape.axes()].concat()),
            Linear::Pad { before, after } => (5, [*before, *after].concat()),
            Linear::Reshape { shape } => (6, shape.axes().to_vec()),
            Linear::ConvTranspose {
                out_channels,
                window,
                output_padding,
                ..
            } => (7, write_window(*out_channels, window, output_padding)),
            Linear::Elementwise { .. } => (8, Vec::new()),
            Linear::Gather { shape, .. } => (9, shape.axes().to_vec()),
        };
        let constants = match stage {
            Linear::Gather { source, .. } => vec![source.len() as u64, 0],
            _ => wide(&stage.constants().map(<[f32]>::len)),
        };
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
