use super::check;
use crate::function::Function;
use crate::layout::Layout;
use crate::nn::{Linear, Shape, Window};
use crate::plan::Plan;
use crate::plan::RotationKey;
use crate::program::Op;
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

#[test]
fn the_work_of_all_maps_is_bounded() {
    // A matrix of 2^26 entries, a thousand times.
    let mut plan = levelled_plan();
    let side = 128;
    let layout = Layout {
        parts: 16,
        shape: Shape::new(1, side, side),
        rows: side,
        cols: side,
        ..plan.program.nodes[0].layout.clone()
    };
    plan.program.maps[0].stages = vec![Linear::Conv {
        weight: vec![1.0; 65 * 65],
        bias: vec![0.0],
        out_channels: 1,
        window: Window::same(65, 1),
    }];
    plan.program.nodes.truncate(2);
    plan.program
        .nodes
        .iter_mut()
        .for_each(|node| node.layout = layout.clone());
    let node = plan.program.nodes[1].clone();
    plan.program.nodes.extend(vec![node; 1000]);
    let message = check(&plan).unwrap_err().to_string();
    assert!(
        message.contains("v497 (node1): maps of over 34359738368"),
        "{message}"
    );
}
