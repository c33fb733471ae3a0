//! Cost tables, calibrations, statistics, and what a model states about itself.

use std::path::Path;

use hecc_ir::calibration::Calibration;
use hecc_tests::folders;
use prost::Message;
use tract_onnx::pb::ModelProto;

use crate::common::commands;
use crate::setup::{Setup, mutations};

/// Texts that are no JSON, or not the JSON that is asked for.
const FOREIGN_JSON: [&str; 6] = ["", "{}", "null", "[1, 2", "{\"version\": 1}", "\"\u{0}\""];

#[test]
fn hostile_costs() {
    let setup = Setup::new();
    let row = r#"{"operation": "add", "log_n": 15, "level": 3, "specials": 4, "digit": 5, "seconds": 0.001}"#;
    let table =
        |rows: &str| format!(r#"{{"version": 1, "machine": "m", "threads": 2, "rows": [{rows}]}}"#);
    let good = table(row);
    setup.survives("compile", "costs.json", &setup.bad_file(good.as_bytes()));
    let check = |text: &str| {
        let bad = setup.bad_file(text.as_bytes());
        setup.refuses("compile", "costs.json", &bad, "");
    };
    FOREIGN_JSON.into_iter().for_each(check);
    check(&"[".repeat(100_000));
    check(&table(&format!("{row}, {row}")));
    for (from, to) in [
        ("\"version\": 1", "\"version\": 2"),
        ("\"threads\": 2", "\"threads\": 0"),
        ("\"m\"", &format!("\"{}\"", "m".repeat(2000))),
        ("\"add\"", "\"subtract\""),
        ("\"log_n\": 15", "\"log_n\": 63"),
        ("\"level\": 3", "\"level\": 18446744073709551615"),
        ("\"digit\": 5", "\"digit\": 0"),
        ("0.001", "-1.0"),
        ("0.001", "1e999"),
        ("0.001", "0.001, \"degree\": 3"),
    ] {
        let bad = good.replace(from, to);
        assert_ne!(good, bad, "{from}");
        check(&bad);
    }
    let rows: Vec<String> = (0..10_001)
        .map(|i| row.replace("0.001", &format!("{}", i + 1)))
        .collect();
    check(&table(&rows.join(",")));
}

#[test]
fn hostile_calibrations() {
    let setup = Setup::new();
    let good = std::fs::read_to_string(folders::model("digits/digits.calib.json")).unwrap();
    for bytes in mutations(good.as_bytes(), 30, 3) {
        setup.survives("compile", "digits.calib.json", &setup.bad_file(&bytes));
    }
    FOREIGN_JSON.into_iter().for_each(|text| {
        let bad = setup.bad_file(text.as_bytes());
        setup.refuses("compile", "digits.calib.json", &bad, "calibrat");
    });
    let check = |what: &str, edit: &dyn Fn(&mut Calibration)| {
        let mut lie: Calibration = serde_json::from_str(&good).unwrap();
        edit(&mut lie);
        println!("{what}");
        let bad = setup.bad_file(&serde_json::to_vec(&lie).unwrap());
        setup.refuses("compile", "digits.calib.json", &bad, "calibrat");
    };
    check("the first version", &|c| {
        (c.version, c.values) = (1, vec![])
    });
    check("a later version", &|c| c.version = 3);
    check("no images", &|c| c.images = 0);
    check("another network", &|c| c.model_hash = "0".repeat(64));
    check("no hash", &|c| c.model_hash.clear());
    check("logits of zero", &|c| c.logits = 0.0);
    check("a range upside down", &|c| c.activations[0].min = 1e9);
    check("few bins", &|c| c.activations[0].histogram.truncate(7));
    check("counts that overflow", &|c| {
        c.activations[0].histogram.fill(u64::MAX)
    });
    check("no activations", &|c| c.activations.clear());
    check("negative magnitudes", &|c| c.values[0].largest = -1.0);
    check("a long name", &|c| c.values[0].name = "v".repeat(5000));
    check("an impossible share", &|c| c.agreement[0].same_class = 7.0);
    let text = good.replacen("\"logits\"", "\"logits\": 1.0, \"logit\"", 1);
    let bad = setup.bad_file(text.as_bytes());
    setup.refuses("compile", "digits.calib.json", &bad, "calibrat");
}

#[test]
fn hostile_statistics() {
    let setup = Setup::new();
    let good = std::fs::read_to_string(setup.session.file("stats.json")).unwrap();
    let outcome = setup.run("diff", "nothing", Path::new("nothing"));
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let check = |text: &str| {
        let bad = setup.bad_file(text.as_bytes());
        setup.refuses("diff", "stats.json", &bad, "");
    };
    FOREIGN_JSON.into_iter().for_each(check);
    check(&good[..good.len() / 2]);
    check(&good.replacen("\"seconds\": ", "\"seconds\": -", 1));
    check(&good.replacen("\"seconds\": ", "\"seconds\": 1e300, \"second\": ", 1));
    check(&good.replacen("\"nodes\": [", "\"nodes\": [], \"node\": [", 1));
    check(&good.replace("\"predicted_seconds\"", "\"other\""));
    for bytes in mutations(good.as_bytes(), 30, 4) {
        let bad = setup.bad_file(&bytes);
        let outcome = setup.run("diff", "stats.json", &bad);
        match outcome.code {
            Some(0) => {}
            _ => setup.refuses("diff", "stats.json", &bad, ""),
        }
    }
}

/// What an exported model states about itself is believed only where it is true.
#[test]
fn hostile_statements() {
    let setup = Setup::new();
    let model = setup.session.file("export.onnx");
    let plan = setup.session.file("plan.bin");
    let line = ["hecc".into(), "export".into(), plan, "-o".into(), model];
    commands().succeed(line).unwrap();
    let good = std::fs::read(setup.session.file("export.onnx")).unwrap();
    let decoded = || ModelProto::decode(&good[..]).unwrap();
    assert_eq!(decoded().metadata_props.len(), 2);
    setup.survives("compile", "export.onnx", &setup.bad_file(&good));
    let run = |edit: &dyn Fn(&str) -> String, entry: usize| {
        let mut lie = decoded();
        let value = &mut lie.metadata_props[entry].value;
        let text = edit(value);
        assert_ne!(text, *value);
        *value = text;
        let bad = setup.bad_file(&lie.encode_to_vec());
        setup.refuses("compile", "export.onnx", &bad, "");
    };
    for entry in 0..2 {
        for text in FOREIGN_JSON {
            run(&|_| text.to_string(), entry);
        }
        run(&|_| "[".repeat(100_000), entry);
        run(&|good| good[..good.len() / 2].to_string(), entry);
    }
    run(&|good| good.replace("\"range\":", "\"range\":1"), 0);
    run(
        &|good| good.replace("\"refresh\":false", "\"refresh\":true"),
        0,
    );
    run(
        &|good| good.replacen("\"approximation\"", "\"approximations\"", 1),
        0,
    );
    run(&|good| good.replace("\"rho\":0.9", "\"rho\":-0.9"), 0);
    run(&|good| good.replace("\"version\":2", "\"version\":9"), 1);
    run(&|good| good.replace("\"largest\":", "\"largest\":-"), 1);
}
