use super::*;
use crate::dominance::Limits;

fn point(accuracy: usize, loss: f64, seconds: f64, genome: &[u8]) -> Point {
    Point {
        genome: genome.to_vec(),
        accuracy: Share {
            correct: accuracy,
            images: 1000,
        },
        loss: Some(loss),
        searched: 0.9,
        cost: Cost {
            seconds,
            bootstraps: 3,
            log_n: 15,
            levels: 20,
        },
        peak_bytes: 1 << 32,
        plan: format!("point-{accuracy}.plan.bin"),
        tuned: None,
    }
}

fn front() -> Front {
    let line = Replacement::Line {
        scale: vec![0.5; 2],
        shift: vec![0.1; 2],
    };
    let alternative = |kind, replacement| Alternative {
        kind,
        method: Method::LeastSquares,
        error: 0.1,
        trials: vec![Trial {
            method: Method::Identity,
            error: 0.125,
        }],
        replacement,
    };
    let row = vec![0.25, 0.5, 0.125];
    let quadratic = Function::Polynomial {
        coefficients: vec![row],
    };
    Front {
        version: FRONT_VERSION,
        model: "m.onnx".into(),
        model_hash: "0".repeat(64),
        command: "hecc search m.onnx".into(),
        versions: BTreeMap::from([("hecc".into(), "0.1.0".into())]),
        settings: Settings {
            limits: Limits {
                max_seconds: Some(9.0),
                min_accuracy: None,
            },
            ..Settings::default()
        },
        data: Data {
            calibration: 10,
            search: 20,
            confirmation: 1000,
            labels: true,
        },
        exact: Share {
            correct: 917,
            images: 1000,
        },
        activations: vec![Activation {
            name: "relu".into(),
            function: Function::Relu,
            shape: Shape::new(2, 4, 4),
            min: -1.0,
            max: 2.0,
            candidates: vec![
                alternative(Kind::Pruned, line),
                alternative(Kind::Quadratic, Replacement::Function(quadratic)),
            ],
        }],
        sensitivities: Some(Sensitivities {
            base: vec![1],
            accuracy: 0.9,
            loss: vec![vec![Some(0.5), Some(0.0)]],
            divergence: vec![vec![None, Some(0.0)]],
        }),
        points: vec![
            point(700, 0.3, 2.0, &[0]),
            point(900, 0.02, 4.0, &[1]),
            point(899, 0.01, 5.0, &[1]),
        ],
        baselines: vec![Baseline {
            name: "quadratic everywhere".into(),
            genome: Some(vec![1]),
            accuracy: Share {
                correct: 900,
                images: 1000,
            },
            loss: 0.02,
            cost: None,
            plan: Some("baseline-00.plan.bin".into()),
        }],
        measured: BTreeMap::from([(
            "point-900.plan.bin".into(),
            Measured {
                seconds: 3.5,
                runs: 2,
                threads: 2,
                machine: "here".into(),
            },
        )]),
        ablation: None,
        reference: Reference {
            accuracy: 0.0,
            seconds: 10.0,
        },
        history: vec![],
    }
}

#[test]
fn is_read_as_written() {
    let front = front();
    assert_eq!(Front::from_json(&front.to_json().unwrap()).unwrap(), front);
    let ops = front.ops(&[1]).unwrap();
    assert_eq!(
        Replacement::new(&ops[0]).unwrap(),
        front.activations[0].candidates[1].replacement
    );
    assert_eq!(front.kinds(&[0]).unwrap(), [Kind::Pruned]);
    assert!(front.ops(&[2]).is_err());
    assert_eq!(Replacement::new(&Op::Add), None);
}

#[test]
fn what_is_out_of_bounds_is_refused() {
    let check = |edit: fn(&mut Front), expect: &str| {
        let mut edited = front();
        edit(&mut edited);
        let json = serde_json::to_vec(&edited).unwrap();
        let message = Front::from_json(&json).unwrap_err().to_string();
        assert!(message.starts_with("front.json: "), "{message}");
        assert!(message.contains(expect), "{message}");
        assert!(edited.to_json().is_err());
    };
    check(|f| f.version = 9, "version 9, expected 3");
    check(|f| f.model = "../m.onnx".into(), "without a folder");
    check(|f| f.model_hash.push('0'), "64 hexadecimal");
    check(|f| f.points[1].plan = "..".into(), "point 1: plan: '..'");
    check(|f| f.points[0].plan = "a\\b".into(), "without a folder");
    check(|f| f.points[0].plan = String::new(), "without a folder");
    check(|f| f.points[0].plan = "a\nb".into(), "control characters");
    check(|f| f.points[0].genome = vec![2], "gene 0 is 2");
    check(|f| f.points[0].genome = vec![], "0 genes");
    check(|f| f.points[0].accuracy.correct = 1001, "1001 of 1000");
    check(|f| f.points[0].cost.seconds = -1.0, "point 0: cost");
    check(|f| f.points[1].loss = Some(2.0), "point 1: loss: 2");
    check(|f| f.baselines[0].loss = -0.5, "loss: -0.5");
    check(|f| f.exact.images = 0, "917 of 0");
    check(
        |f| f.baselines[0].genome = Some(vec![7]),
        "baseline 'quadratic everywhere'",
    );
    check(|f| f.settings.population = 0, "population is 0");
    check(|f| f.reference.accuracy = 1.0, "reference accuracy");
    check(
        |f| f.activations[0].name = "n".repeat(10_001),
        "at most 10000",
    );
    check(|f| f.activations[0].candidates.clear(), "0 candidates");
    check(
        |f| {
            f.activations[0].candidates[0].replacement = Replacement::Line {
                scale: vec![1.0],
                shift: vec![],
            }
        },
        "pruned: expected 2 finite",
    );
    check(
        |f| {
            f.activations[0].candidates[1].replacement =
                Replacement::Function(Function::Power { exponent: 99 })
        },
        "exponent 99",
    );
    check(
        |f| f.sensitivities.as_mut().unwrap().loss[0].push(None),
        "not one number a candidate",
    );
    // Infinite numbers are no JSON: null.
    let json = |f: &Front| serde_json::to_vec(f).unwrap();
    let mut infinite = front();
    infinite.points[0].cost.seconds = f64::INFINITY;
    assert!(Front::from_json(&json(&infinite)).is_err());
    assert!(
        infinite
            .to_json()
            .unwrap_err()
            .to_string()
            .contains("finite")
    );
    assert!(Front::from_json(b"{}").is_err());
    let message = Front::from_json(b"{\"version\":1}")
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("version 1, expected 3; search again"),
        "{message}"
    );
}

#[test]
fn picks_what_is_wanted_or_says_how_near_it_comes() {
    let mut front = front();
    let check = |front: &Front, seconds, accuracy, expect: Result<usize, &str>| {
        let got = front.pick(seconds, accuracy).map_err(|e| e.to_string());
        match expect {
            Ok(place) => assert_eq!(got, Ok(place)),
            Err(text) => assert!(got.clone().is_err_and(|e| e.contains(text)), "{got:?}"),
        }
    };
    check(&front, Some(3.0), None, Ok(0));
    check(&front, Some(9.0), None, Ok(2));
    check(&front, None, Some(0.5), Ok(0));
    check(&front, None, Some(0.9), Ok(1));
    check(&front, Some(4.0), Some(0.8), Ok(1));
    check(
        &front,
        Some(1.0),
        None,
        Err("no point is within 1 s; the fastest is 2.00 s at 70.00 %"),
    );
    check(
        &front,
        None,
        Some(0.95),
        Err("no point has 95.00 %; the most accurate is 4.00 s at 90.00 %"),
    );
    check(
        &front,
        Some(3.0),
        Some(0.8),
        Err("no point has 80.00 % within 3 s"),
    );
    check(&front, None, None, Err("nothing to pick by"));
    // What was trained is better only by its accuracy.
    front.points[1].loss = None;
    front.points[1].accuracy.correct = 898;
    check(&front, Some(9.0), None, Ok(2));
    front.points[1].accuracy.correct = 900;
    check(&front, Some(9.0), None, Ok(1));
}

#[test]
fn kinds_name_genomes() {
    let front = front();
    let genome = front.points[0].genome.clone();
    let names = |g: &[u8]| -> Vec<String> {
        let kinds = front.kinds(g).unwrap();
        kinds.iter().map(ToString::to_string).collect()
    };
    assert_eq!(front.genome(&names(&genome)).unwrap(), genome);
    let one = front.genome(&[" pruned "]).unwrap();
    assert!(names(&one).iter().all(|name| name == "pruned"));
    let check = |names: &[&str], expect: &str| {
        let message = front.genome(names).unwrap_err().to_string();
        assert!(message.contains(expect), "{message}");
    };
    check(&["pruned"; 9], "9 kinds for");
    check(&["fused 8"], "cannot be \"fused 8\", only pruned");
}
