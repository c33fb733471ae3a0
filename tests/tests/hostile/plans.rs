//! Plans that are whole but wrong: the checker refuses what no compiler would write.

use hecc_ir::params::Bootstrap;
use hecc_ir::plan::Plan;
use hecc_ir::program::{Node, Op, Target};
use hecc_runtime::plan_file::load_plan;

use crate::setup::Setup;

#[test]
fn lying_plans_are_refused() {
    let setup = Setup::new();
    let plan = load_plan(&setup.session.file("plan.bin")).unwrap();
    let check = |what: &str, edit: &dyn Fn(&mut Plan)| {
        let mut lie = plan.clone();
        edit(&mut lie);
        let bad = setup.bad_file(&lie.to_bytes());
        println!("{what}");
        setup.refuses("keygen", "plan.bin", &bad, "");
    };
    check("security hidden", &|p| p.insecure = false);
    check("security invented", &|p| p.certificate[0].security = 200.0);
    check("no certificate", &|p| p.certificate.clear());
    check("huge ring", &|p| p.parameters.log_n = 63);
    check("no digits", &|p| p.parameters.digit = 0);
    check("composite prime", &|p| p.parameters.q[1] += 2);
    check("no primes", &|p| p.parameters.q.clear());
    let bootstrap = |p: &mut Plan, edit: fn(&mut Bootstrap)| {
        p.parameters.bootstrap.iter_mut().for_each(edit);
    };
    check("huge cosine", &|p| {
        bootstrap(p, |b| b.cos_degree = usize::MAX >> 1)
    });
    check("no transforms", &|p| bootstrap(p, |b| b.stc = vec![]));
    check("no bootstrap", &|p| p.parameters.bootstrap = None);
    check("keys missing", &|p| p.keys.rotations.truncate(3));
    check("key above the top", &|p| p.keys.rotations[0].level = 1000);
    check("no relinearisation", &|p| p.keys.relinearisation = None);
    check("no encapsulation", &|p| p.keys.encapsulation = false);
    check("no program", &|p| p.program.nodes.clear());
    check("no maps", &|p| p.program.maps.clear());
    check("wrong level", &|p| p.program.nodes[1].level += 1);
    check("sum of other scales", &|p| {
        let sum = |node: &&mut Node| matches!(node.op, Op::Add { .. });
        let node = p.program.nodes.iter_mut().find(sum);
        node.expect("digits has a residual").scale *= 2.0;
    });
    check("scale not a number", &|p| {
        p.program.nodes[0].scale = f64::NAN
    });
    check("unit zero", &|p| p.program.nodes[0].unit = 0.0);
    check("huge layout", &|p| {
        p.program.nodes[0].layout.slots = 1 << 40
    });
    check("no parts", &|p| p.program.nodes[0].layout.parts = 0);
    check("huge parts", &|p| p.program.nodes[0].layout.parts = 1 << 40);
    check("parts of a small tensor", &|p| {
        p.program.nodes[0].layout.parts = 2
    });
    check("a target ahead", &|p| {
        let ahead = Target {
            x: 1 << 40,
            function: None,
        };
        p.program.nodes[1].target = Some(ahead);
    });
    check("a product across layouts", &|p| {
        let last = p.program.nodes.len() - 1;
        p.program.nodes[last].op = Op::Mul { x: 0, y: last - 1 };
    });
    check("a series of nothing", &|p| {
        let coefficients = Vec::new();
        p.program.nodes[1].op = Op::Polynomial { x: 0, coefficients };
    });
    check("a prediction too short", &|p| {
        p.prediction.nodes.pop();
    });
    check("seconds not a number", &|p| {
        p.prediction.nodes[0] = f64::NAN
    });
    check("another target of security", &|p| p.target_security = 127);
    check("odd copies", &|p| p.program.nodes[0].layout.copies = 3);
    check("operators out of order", &|p| p.program.nodes.swap(1, 2));
    check("map without stages", &|p| p.program.maps[0].stages.clear());
    check("colours", &|p| p.preprocess.channels = 3);
    check("no width", &|p| p.preprocess.width = 0);
    check("deviation zero", &|p| p.preprocess.std = vec![0.0]);
}
