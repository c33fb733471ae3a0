//! A search and what follows it, on the digits model.

use crate::tests::{folder, hecc};
use hecc_ir::plan::Plan;
use hecc_search::Front;
use std::path::Path;

/// Small enough for a test: two generations on a few random images.
const SEARCH: &str = "search digits.onnx --data images.npy --budget 5m --images 24 \
                      --search-images 24 --calibration-images 16 --no-ablation --restarts 0 -o front.d";

fn front(folder: &Path) -> Front {
    Front::from_json(&std::fs::read(folder.join("front.d/front.json")).unwrap()).unwrap()
}

#[test]
fn search_pick_finetune() {
    let folder = folder(96);
    let at = |name: &str| folder.path().join(name);
    let labels: Vec<u8> = (0..96).map(|i| i % 10).collect();
    std::fs::write(at("l.labels"), labels).unwrap();
    let run = |line: &str| hecc(folder.path(), line).unwrap();
    let fails = |line: &str, expect: &[&str]| {
        let failure = hecc(folder.path(), line).unwrap_err();
        let text = format!("{}; {}", failure.what, failure.help.unwrap_or_default());
        for part in expect {
            assert!(text.contains(part), "{text:?} lacks {part:?}");
        }
    };
    run(&format!("{SEARCH} --generations 1"));
    let first = front(folder.path());
    assert_eq!(first.history.len(), 1);
    // The network agrees with itself, and with fewer levels less often.
    assert_eq!(first.exact.value(), 1.0);
    assert!(
        first.points.len() > 2 && !first.baselines.is_empty(),
        "{}",
        first.points.len()
    );
    assert_eq!((first.data.search, first.exact.images), (24, 24));
    assert!(
        first
            .points
            .is_sorted_by(|a, b| a.cost.seconds < b.cost.seconds && a.loss > b.loss)
    );
    // What is nearest to the network is a point, whatever it costs.
    let least = |losses: &mut dyn Iterator<Item = f64>| losses.fold(1.0, f64::min);
    let baselines = &mut first
        .baselines
        .iter()
        .filter(|b| b.cost.is_some())
        .map(|b| b.loss);
    assert!(least(&mut first.points.iter().filter_map(|p| p.loss)) <= least(baselines));
    for point in &first.points {
        let plan =
            Plan::from_bytes(&std::fs::read(at("front.d").join(&point.plan)).unwrap()).unwrap();
        assert_eq!(plan.prediction.seconds(), point.cost.seconds);
    }
    for name in [
        "front.svg",
        "report.md",
        "state.json",
        "model.onnx",
        "model.preprocess.toml",
    ] {
        assert!(at("front.d").join(name).exists(), "{name}");
    }
    let report = std::fs::read_to_string(at("front.d/report.md")).unwrap();
    for part in ["## The front", "## Baselines", "pruned", "| seed | 0 |"] {
        assert!(report.contains(part), "{part}");
    }
    // Goes on from there, and only from there.
    fails(
        &format!("{SEARCH} --generations 2"),
        &["holds a search already", "--resume"],
    );
    fails(
        &format!("{SEARCH} --resume --generations 2 --seed 1"),
        &["state.json", "another --seed"],
    );
    run(&format!("{SEARCH} --resume --generations 2"));
    let second = front(folder.path());
    assert_eq!(second.history.len(), 2);
    let timeless = |f: &Front| {
        f.history
            .iter()
            .map(|g| (g.evaluations, g.hypervolume))
            .collect::<Vec<_>>()
    };
    assert_eq!(timeless(&second)[..1], timeless(&first));
    // Measured seconds.
    let plan = &second.points[0].plan;
    let compiled = Plan::from_bytes(&std::fs::read(at("front.d").join(plan)).unwrap()).unwrap();
    let stats = |id: &str, seconds: f64| {
        format!(
            r#"{{"model": "m", "plan": "{id}", "threads": 2, "machine": "a `machine`", "seconds": {seconds},
                "nodes": [{{"name": "x", "op": "input", "seconds": 0}}]}}"#
        )
    };
    for (name, seconds) in [("a.json", 5.25), ("b.json", 7.5), ("c.json", 1.0)] {
        std::fs::write(at(name), stats(&compiled.identity(), seconds)).unwrap();
    }
    run("report front.d --stats a.json b.json c.json");
    let measured = front(folder.path()).measured[plan].clone();
    assert_eq!(
        (measured.seconds, measured.runs, measured.threads),
        (5.25, 3, 2)
    );
    let report = std::fs::read_to_string(at("front.d/report.md")).unwrap();
    for part in ["| 5.25 |", "2 threads of a \\`machine\\`: 3 evaluations"] {
        assert!(report.contains(part), "{part}");
    }
    std::fs::write(at("a.json"), stats(&"0".repeat(64), 1.0)).unwrap();
    fails(
        "report front.d --stats a.json",
        &["a.json", "not in the folder"],
    );
    // What other systems would choose can be measured too.
    for baseline in second.baselines.iter().filter(|b| b.name.contains(", as ")) {
        let plan = baseline.plan.as_ref().unwrap();
        Plan::from_bytes(&std::fs::read(at("front.d").join(plan)).unwrap()).unwrap();
    }
    // Picks.
    let last = second.points.len() - 1;
    run("pick front.d --max-latency 1h -o best.bin");
    let plan = std::fs::read(at("best.bin")).unwrap();
    let expect = std::fs::read(at("front.d").join(&second.points[last].plan)).unwrap();
    assert_eq!(plan, expect);
    run("pick front.d --min-accuracy 0% -o fast.bin");
    run("pick front.d --point 0 -o zero.bin");
    assert_eq!(
        std::fs::read(at("fast.bin")).unwrap(),
        std::fs::read(at("zero.bin")).unwrap()
    );
    fails(
        "pick front.d --max-latency 0.0001s -o x.bin",
        &["no point is within", "the fastest is"],
    );
    fails("pick front.d --point 99 -o x.bin", &["no point 99"]);
    fails(
        "pick dumps.d --point 0 -o x.bin",
        &["no folder of a search"],
    );
    assert!(!at("x.bin").exists());
    // Training.
    let train =
        format!("finetune front.d --point {last} --data images.npy --labels l.labels --batch 8");
    fails(
        &format!("{train} --epochs 1 --resume"),
        &["no training to go on from"],
    );
    run(&format!("{train} --epochs 2"));
    let third = front(folder.path());
    let tuned = third.points.last().unwrap();
    assert_eq!(third.points.len(), second.points.len() + 1);
    assert_eq!(tuned.tuned.as_ref().unwrap().epochs, 2);
    run(&format!("pick front.d --point {} -o tuned.bin", last + 1));
    let model = &tuned.tuned.as_ref().unwrap().model;
    run(&format!("compile front.d/{model} -o again.bin"));
    fails(
        &format!("{train} --epochs 2"),
        &["holds a training", "--resume"],
    );
    fails(
        &format!(
            "finetune front.d --point {} --data images.npy --labels l.labels",
            last + 1
        ),
        &["trained already"],
    );
    // Choices of one's own.
    let train = "finetune front.d --data images.npy --labels l.labels --batch 8 --epochs 1";
    fails(
        &format!("{train} --choices cheb"),
        &["--choices", "cannot be \"cheb\", only pruned, quadratic"],
    );
    run(&format!("{train} --choices quadratic"));
    let fourth = front(folder.path());
    assert_eq!(fourth.points.len(), third.points.len() + 1);
    let all = fourth.kinds(&fourth.points.last().unwrap().genome).unwrap();
    assert!(all.iter().all(|kind| kind.to_string() == "quadratic"));
}

#[test]
fn what_does_not_fit_is_said_before_anything_is_written() {
    let folder = folder(40);
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("costs.json"), [1; 40]).unwrap();
    let check = |line: &str, expect: &[&str]| {
        let failure = hecc(folder.path(), line).unwrap_err();
        let text = format!("{}; {}", failure.what, failure.help.unwrap_or_default());
        for part in expect {
            assert!(text.contains(part), "{text:?} lacks {part:?}");
        }
        assert!(!at("front.d").exists(), "{line} wrote");
    };
    std::fs::write(at("short.labels"), [1; 39]).unwrap();
    std::fs::write(at("high.labels"), [10; 40]).unwrap();
    let with = |labels: &str| format!("{SEARCH} --labels {labels}");
    check(
        &with("short.labels"),
        &["short.labels", "39 labels for 40 images"],
    );
    check(&with("high.labels"), &["label 0 is 10", "0 to 9"]);
    check(&with("absent.labels"), &["absent.labels", "cannot be read"]);
    check(&SEARCH.replace("images.npy", "absent.npy"), &["absent.npy"]);
    check(
        &SEARCH.replace("--images 24", "--images 1000"),
        &["holds 40 images", "at least 8"],
    );
    check(&SEARCH.replace("5m", "0.001s"), &["too short", "--budget"]);
    check(
        &format!("{SEARCH} --calibration digits.onnx").replace("--calibration-images 16 ", ""),
        &["digits.onnx", "no calibration"],
    );
    check(&format!("{SEARCH} --resume"), &["no folder of a search"]);
    check(
        &format!("{SEARCH} --costs costs.json"),
        &["costs.json", "hecc-run bench"],
    );
    check(&format!("{SEARCH} --teacher costs.json"), &["costs.json"]);
}
