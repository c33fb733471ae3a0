//! The command end to end on a small insecure ring: the plan on ciphertexts = the plan in the clear.

mod common;

use common::plans::{bootstrapped, levelled, wide_image};
use common::{Folder, image, plan};

#[test]
fn encrypted_evaluation_agrees_with_the_plan_in_the_clear() {
    let folder = Folder::new();
    folder.succeed("keygen plan.bin --client client.key --server server.key");
    #[cfg(unix)]
    assert!(common::is_private(&folder.path("client.key")));
    folder.succeed("encrypt plan.bin --client client.key image.npy -o in.ct");
    folder.succeed("eval plan.bin --server server.key in.ct -o out.ct --threads 2 --stats s.json");
    let json = folder.succeed("decrypt plan.bin --client client.key out.ct --json");

    let plan = plan(1);
    let wide: Vec<f64> = image().iter().copied().map(f64::from).collect();
    let clear = plan.program.evaluate(&wide).unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let classes = json["classes"].as_array().unwrap();
    assert_eq!(classes.len(), clear.len());
    let mut last = f64::INFINITY;
    for class in classes {
        let index = class["index"].as_u64().unwrap() as usize;
        let logit = class["logit"].as_f64().unwrap();
        assert_eq!(class["name"], plan.preprocess.classes[index]);
        assert!(
            (logit - clear[index]).abs() < 3e-3,
            "{json}, expected {clear:?}"
        );
        assert!(logit <= last, "not sorted: {json}");
        last = logit;
    }
    let text = folder.succeed("decrypt plan.bin --client client.key out.ct");
    assert!(
        text.starts_with(classes[0]["name"].as_str().unwrap()),
        "{text}"
    );

    let stats: serde_json::Value = serde_json::from_slice(&folder.read("s.json")).unwrap();
    let nodes = stats["nodes"].as_array().unwrap();
    let sum = |field: &str| {
        nodes
            .iter()
            .map(|n| n[field].as_u64().unwrap())
            .sum::<u64>()
    };
    assert_eq!(
        (nodes.len(), sum("bootstraps")),
        (plan.program.nodes.len(), 3)
    );
    assert_eq!(stats["threads"], 2);
    assert!(stats["seconds"].as_f64().unwrap() > 0.0 && sum("rotations") > 100);
    // The first convolution: nine taps for each distinct shift of two input channels.
    assert_eq!(
        (&nodes[1]["level_in"], &nodes[1]["level_out"]),
        (&3.into(), &2.into())
    );
    assert!(nodes[1]["diagonals"].as_u64().unwrap() <= 4 * 9);
}

/// Tensors over two ciphertexts, products, levelled polynomials, dropped levels, and plans without a
/// bootstrap: what decrypts is the plan in the clear.
#[test]
fn wide_tensors_and_levelled_plans_agree_with_the_clear() {
    let check = |plan: hecc_ir::plan::Plan, bootstraps: u64, tolerance: f64| {
        let folder = Folder::with(&plan, &wide_image());
        folder.succeed("keygen plan.bin --client client.key --server server.key");
        folder.succeed("encrypt plan.bin --client client.key image.npy -o in.ct");
        let table =
            folder.succeed("eval plan.bin --server server.key in.ct -o out.ct --stats s.json -v");
        let json = folder.succeed("decrypt plan.bin --client client.key out.ct --json");
        let wide: Vec<f64> = wide_image().into_iter().map(f64::from).collect();
        let clear = plan.program.evaluate(&wide).unwrap();
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        for class in json["classes"].as_array().unwrap() {
            let expect = clear[class["index"].as_u64().unwrap() as usize];
            let logit = class["logit"].as_f64().unwrap();
            assert!(
                (logit - expect).abs() < tolerance,
                "{json}, expected {clear:?}"
            );
        }
        assert!(
            clear.iter().any(|v| v.abs() > 20.0 * tolerance),
            "{clear:?}"
        );

        let stats: serde_json::Value = serde_json::from_slice(&folder.read("s.json")).unwrap();
        let nodes = stats["nodes"].as_array().unwrap();
        let of = |op: &str| nodes.iter().find(|n| n["op"] == op).unwrap();
        let count: u64 = nodes
            .iter()
            .map(|n| n["bootstraps"].as_u64().unwrap())
            .sum();
        assert_eq!(count, bootstraps);
        assert_eq!(
            (&of("mul")["parts"], &of("input")["parts"]),
            (&2.into(), &2.into())
        );
        for (node, predicted) in nodes.iter().zip(&plan.prediction.nodes) {
            // The reader of numbers may be off by a unit in the last place.
            let written = node["predicted_seconds"].as_f64().unwrap();
            assert!((written - predicted).abs() <= 1e-12 * predicted);
        }
        assert!(table.contains("mul_const"), "{table}");
        stats
    };
    let stats = check(levelled(), 0, 1e-3);
    assert_eq!(stats["setup_seconds"], 0.0);
    let stats = check(bootstrapped(), 4, 1e-2);
    assert!(stats["setup_seconds"].as_f64().unwrap() > 0.0);
}
