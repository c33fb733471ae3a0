use hecc_ir::function::Function;
use hecc_ir::layout::Layout;
use hecc_ir::nn::{Linear, Shape};
use hecc_ir::program::{LinearMap, Target};

use super::*;

/// `linear(act(linear(x))) + x`, both linear maps the identity.
fn block(ways: Vec<Approximation>, unit: f64) -> (Graph, Vec<MapCounts>) {
    let layout = Layout {
        slots: 1 << 10,
        parts: 1,
        shape: Shape::new(4, 8, 8),
        gap: 1,
        rows: 8,
        cols: 8,
        copies: 4,
        twist: 0,
    };
    let mut graph = Graph::default();
    let input = graph.push(Op::Input, "input", layout.clone(), 1.0);
    let map = |from: f64, to: f64| LinearMap {
        stages: vec![Linear::Affine {
            scale: vec![1.0; 4],
            shift: vec![0.0; 4],
        }],
        gain: from / to,
        bias_gain: 1.0 / to,
        fold: false,
        giant: 1,
    };
    graph.maps = vec![map(1.0, 1.0), map(unit, 1.0)];
    let first = graph.push(
        Op::Linear { x: input, map: 0 },
        "first",
        layout.clone(),
        1.0,
    );
    let act = graph.push(
        Op::Activation { x: first, ways },
        "act",
        layout.clone(),
        unit,
    );
    graph.nodes[act].target = Some(Target {
        x: first,
        function: Some(Function::Relu),
    });
    let second = graph.push(Op::Linear { x: act, map: 1 }, "second", layout.clone(), 1.0);
    graph.push(
        Op::Add {
            x: second,
            y: input,
        },
        "sum",
        layout,
        1.0,
    );
    graph.verify().unwrap();
    let one = MapCounts {
        diagonals: 1,
        babies: 0,
        giants: 0,
        folds: 0,
        inputs: 1,
        outputs: 1,
    };
    (graph, vec![one; 2])
}

#[test]
fn a_residual_block_is_placed() {
    let fused = Approximation::Fused {
        range: 1.0,
        rho: 0.92,
        coefficients: vec![0.25; 16],
    };
    let composed = Approximation::Levelled {
        range: 1.0,
        polynomials: vec![vec![0.0, 0.5, 0.0, 0.25], vec![0.5, 0.5]],
        times_x: true,
    };
    let square = Approximation::Square { range: 1.0 };
    let check = |ways: Vec<Approximation>, levels: usize, mode: Mode, bootstraps: usize| {
        let (graph, counts) = block(ways, 1.0);
        let parameters = match levels {
            0 => Parameters::fused(11, 15),
            levels => {
                let constraints = crate::choose_parameters::Constraints {
                    ring: Some(11),
                    security: 128,
                    precision: 20,
                    allow_insecure: true,
                };
                let sets = crate::choose_parameters::without_bootstrap(11, levels, &constraints);
                sets.sets[0].clone()
            }
        };
        let placed = place(&graph, &counts, &parameters, CostTable::reference(), mode).unwrap();
        assert_eq!(placed.bootstraps, bootstraps);
        let program = emit_program(&graph, &placed, &parameters);
        program.verify(&parameters).unwrap();
        let image: Vec<f64> = (0..256).map(|i| f64::from(i) / 256.0 - 0.5).collect();
        let way = match &graph.nodes[2].op {
            Op::Activation { ways, .. } => ways[placed.placement.choices[2].way].clone(),
            other => panic!("{other:?}"),
        };
        let expect = image.iter().map(|&x| way.apply(x) + x);
        let got = program.evaluate(&image).unwrap();
        let worst = got
            .iter()
            .zip(expect)
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f64::max);
        assert!(worst < 1e-9, "{worst}");
    };
    check(vec![fused.clone()], 0, Mode::Exact, 1);
    check(vec![fused.clone(), square.clone()], 0, Mode::Greedy, 0);
    check(vec![square.clone()], 3, Mode::Exact, 0);
    check(vec![composed.clone()], 6, Mode::Exact, 0);
    assert_eq!(levelled_depth(&block(vec![square], 1.0).0), Some(3));
    assert_eq!(levelled_depth(&block(vec![composed], 1.0).0), Some(6));
    assert_eq!(levelled_depth(&block(vec![fused], 1.0).0), None);
}

#[test]
fn too_few_levels_are_named() {
    let way = Approximation::Levelled {
        range: 1.0,
        polynomials: vec![vec![0.5; 64]],
        times_x: false,
    };
    let (graph, counts) = block(vec![way], 1.0);
    let parameters = Parameters::fused(11, 15);
    let e = place(
        &graph,
        &counts,
        &parameters,
        CostTable::reference(),
        Mode::Exact,
    )
    .unwrap_err();
    assert!(e.to_string().contains("act"), "{e}");
}
