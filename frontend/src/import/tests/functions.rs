//! Functions that a model spells out in other operators.

use super::*;

#[test]
fn activations_that_exporters_spell_out() {
    let silu = |x: f64| x / (1.0 + (-x).exp());
    let check = |nodes: Vec<NodeProto>, constants: Vec<TensorProto>, f, expect: &str| {
        let graph = check_function(nodes, constants, f);
        assert_eq!(functions(&graph), [expect], "{}", graph.dump());
    };
    check(
        vec![
            node("Sigmoid", &["x"], "s", &[]),
            node("Mul", &["s", "x"], "y", &[]),
        ],
        vec![],
        silu,
        "silu",
    );
    check(
        vec![
            node("Mul", &["x", "b"], "bx", &[]),
            node("Sigmoid", &["bx"], "s", &[]),
            node("Mul", &["x", "s"], "y", &[]),
        ],
        vec![scalar("b", 1.702)],
        |x| x / (1.0 + (-1.702 * x).exp()),
        "silu",
    );
    check(
        vec![
            node("Neg", &["x"], "n", &[]),
            node("Exp", &["n"], "e", &[]),
            node("Add", &["one", "e"], "d", &[]),
            node("Div", &["x", "d"], "y", &[]),
        ],
        vec![scalar("one", 1.0)],
        silu,
        "silu",
    );
    let gelu = |x| Function::Gelu { tanh: false }.apply(0, x);
    check(
        vec![
            node("Div", &["x", "root"], "d", &[]),
            node("Erf", &["d"], "e", &[]),
            node("Add", &["e", "one"], "a", &[]),
            node("Mul", &["x", "a"], "m", &[]),
            node("Mul", &["m", "half"], "y", &[]),
        ],
        vec![
            scalar("root", std::f32::consts::SQRT_2),
            scalar("one", 1.0),
            scalar("half", 0.5),
        ],
        gelu,
        "gelu",
    );
    check(
        vec![
            node("Mul", &["x", "half"], "h", &[]),
            node("Mul", &["x", "root"], "d", &[]),
            node("Erf", &["d"], "e", &[]),
            node("Add", &["one", "e"], "a", &[]),
            node("Mul", &["h", "a"], "y", &[]),
        ],
        vec![
            scalar("root", 0.707_106_77),
            scalar("one", 1.0),
            scalar("half", 0.5),
        ],
        gelu,
        "gelu",
    );
    check(
        vec![
            node("Pow", &["x", "three"], "p", &[]),
            node("Mul", &["p", "k"], "kp", &[]),
            node("Add", &["x", "kp"], "i", &[]),
            node("Mul", &["i", "root"], "r", &[]),
            node("Tanh", &["r"], "t", &[]),
            node("Add", &["t", "one"], "a", &[]),
            node("Mul", &["x", "a"], "m", &[]),
            node("Mul", &["m", "half"], "y", &[]),
        ],
        vec![
            scalar("three", 3.0),
            scalar("k", 0.044_715),
            scalar("root", 0.797_884_6),
            scalar("one", 1.0),
            scalar("half", 0.5),
        ],
        |x| Function::Gelu { tanh: true }.apply(0, x),
        "gelu_tanh",
    );
    check(
        vec![
            node("Softplus", &["x"], "s", &[]),
            node("Tanh", &["s"], "t", &[]),
            node("Mul", &["x", "t"], "y", &[]),
        ],
        vec![],
        |x| Function::Mish.apply(0, x),
        "mish",
    );
    check(
        vec![
            node("Add", &["x", "three"], "a", &[]),
            node("Clip", &["a", "zero", "six"], "c", &[]),
            node("Mul", &["x", "c"], "m", &[]),
            node("Div", &["m", "six"], "y", &[]),
        ],
        vec![
            scalar("three", 3.0),
            scalar("zero", 0.0),
            scalar("six", 6.0),
        ],
        |x| Function::HardSwish.apply(0, x),
        "hard_swish",
    );
    check(
        vec![
            node(
                "HardSigmoid",
                &["x"],
                "s",
                &[("alpha", F(1.0 / 6.0)), ("beta", F(0.5))],
            ),
            node("Mul", &["s", "x"], "y", &[]),
        ],
        vec![],
        |x| Function::HardSwish.apply(0, x),
        "hard_swish",
    );
    check(
        vec![node("Mish", &["x"], "y", &[])],
        vec![],
        |x| Function::Mish.apply(0, x),
        "mish",
    );
    check(
        vec![node("Gelu", &["x"], "y", &[("approximate", S("tanh"))])],
        vec![],
        |x| Function::Gelu { tanh: true }.apply(0, x),
        "gelu_tanh",
    );
    // Close to a Silu, but none: it stays what it is.
    let graph = check_function(
        vec![
            node("Sigmoid", &["x"], "s", &[]),
            node("Mul", &["s", "b"], "bs", &[]),
            node("Add", &["bs", "b"], "a", &[]),
            node("Mul", &["x", "a"], "y", &[]),
        ],
        vec![scalar("b", 0.5)],
        |x| x * (0.5 + 0.5 / (1.0 + (-x).exp())),
    );
    assert_eq!(functions(&graph), ["sigmoid"]);
}

#[test]
fn polynomials_that_are_spelled_out() {
    // w2 x^2 + w1 x + w0 per channel, as the quadratic networks have it.
    let c = |n: &str| floats(n, &[1, 4, 1, 1]);
    let quadratic = |factor: &str, last: &str| {
        let mut nodes = vec![
            node("Mul", &["x", factor], "q", &[]),
            node("Mul", &["w2", "q"], "a", &[]),
            node("Mul", &["w111", "x"], "b", &[]),
            node("Add", &["a", "b"], "ab", &[]),
            node("Add", &["ab", "w0000"], last, &[]),
        ];
        nodes.insert(0, node("Mul", &["x", "x"], "xx", &[]));
        nodes.push(node(
            "Relu",
            &[last],
            if last == "y" { "z" } else { "y" },
            &[],
        ));
        check_value(&model(nodes, vec![c("w2"), c("w111"), c("w0000")]))
    };
    // At the end of the network, or beyond the square, powers and their coefficients stay apart.
    assert_eq!(functions(&quadratic("x", "y")), ["power"]);
    assert_eq!(functions(&quadratic("xx", "p")), ["power", "relu"]);
    let graph = quadratic("x", "p");
    let polynomial = graph.nodes.node_weights().find_map(|n| match &n.op {
        Op::Activation(Function::Polynomial { coefficients }) => Some(coefficients.clone()),
        _ => None,
    });
    let rows = polynomial.unwrap();
    assert_eq!((rows.len(), rows[0].len()), (4, 3));
    assert_eq!(graph.nodes.node_count(), 3);
    // Horner to degree 7.
    let mut nodes = vec![node("Mul", &["x", "k"], "h0", &[])];
    for i in 0..6 {
        let (from, sum, to) = (format!("h{i}"), format!("s{i}"), format!("h{}", i + 1));
        nodes.push(node("Add", &[&from, "k"], &sum, &[]));
        nodes.push(node("Mul", &["x", &sum], &to, &[]));
    }
    nodes.push(node("Identity", &["h6"], "y", &[]));
    let graph = check_value(&model(nodes, vec![scalar("k", 0.5)]));
    assert_eq!(functions(&graph), ["polynomial"]);
    assert_eq!(graph.nodes.node_count(), 2);
    let squares = vec![
        node("Mul", &["x", "x"], "q", &[]),
        node("Concat", &["q", "x"], "qx", &[("axis", I(1))]),
        node("Add", &["q", "x"], "s", &[]),
        node("Concat", &["qx", "s"], "y", &[("axis", I(1))]),
    ];
    assert_eq!(
        functions(&check_value(&model(squares, vec![]))),
        ["polynomial"; 2]
    );
}

#[test]
fn cosine_series_come_back_as_they_were() {
    let (range, rho) = (3.0f64, 0.92f64);
    let coefficients: Vec<f64> = (0..32).map(|k| 0.5 / (1.0 + f64::from(k * k))).collect();
    let mut constants = vec![
        scalar("a", (std::f64::consts::FRAC_PI_2 * rho / range) as f32),
        scalar("b", std::f32::consts::FRAC_PI_2),
        scalar("range", range as f32),
        scalar("two", 2.0),
    ];
    // Clenshaw: b_k = c_k + 2 y b_{k+1} - b_{k+2}.
    let mut nodes = vec![
        node("Mul", &["x", "a"], "ax", &[]),
        node("Add", &["ax", "b"], "theta", &[]),
        node("Cos", &["theta"], "c", &[]),
        node("Mul", &["c", "two"], "cc", &[]),
        node("Mul", &["cc", "k31"], "t30", &[]),
        node("Add", &["t30", "k30"], "b30", &[]),
    ];
    for (k, c) in coefficients.iter().enumerate() {
        constants.push(scalar(&format!("k{k}"), *c as f32));
    }
    for k in (1..30).rev() {
        let before = if k == 29 {
            "k31".to_string()
        } else {
            format!("b{}", k + 2)
        };
        let (next, t, s, b) = (
            format!("b{}", k + 1),
            format!("t{k}"),
            format!("s{k}"),
            format!("b{k}"),
        );
        nodes.push(node("Mul", &["cc", &next], &t, &[]));
        nodes.push(node("Sub", &[&t, &before], &s, &[]));
        nodes.push(node("Add", &[&s, &format!("k{k}")], &b, &[]));
    }
    nodes.push(node("Mul", &["c", "b1"], "t0", &[]));
    nodes.push(node("Sub", &["t0", "b2"], "s0", &[]));
    nodes.push(node("Add", &["s0", "k0"], "p", &[]));
    nodes.push(node("Mul", &["p", "range"], "y", &[]));
    let graph = import_model(&model(nodes, constants)).unwrap();
    let found = graph.nodes.node_weights().find_map(|n| match &n.op {
        Op::Activation(Function::Approximated(a)) => Some(a.clone()),
        _ => None,
    });
    let Some(Approximation::Fused {
        range: r,
        rho: p,
        coefficients: c,
    }) = found
    else {
        panic!("{}", graph.dump());
    };
    assert_eq!((r, p, c.len()), (range, f64::from(rho as f32), 32));
    for (got, expect) in c.iter().zip(&coefficients) {
        assert_eq!(*got, f64::from(*expect as f32));
    }
    assert_eq!(graph.nodes.node_count(), 2);
}

/// `p` of the value `y` by the recursion of the T_k, with names that begin with `tag`.
fn series(
    tag: &str,
    y: &str,
    p: &[f32],
    nodes: &mut Vec<NodeProto>,
    constants: &mut Vec<TensorProto>,
) -> String {
    let name = |what: &str, k: usize| format!("{tag}{what}{k}");
    nodes.push(node("Mul", &["two", y], &name("double", 0), &[]));
    let mut t = vec![String::new(), y.to_string()];
    let mut sum = name("s", 0);
    for (k, c) in p.iter().enumerate() {
        constants.push(scalar(&name("c", k), *c));
        if k >= 2 {
            nodes.push(node(
                "Mul",
                &[&name("double", 0), &t[k - 1]],
                &name("m", k),
                &[],
            ));
            let before = if k == 2 { "one" } else { &t[k - 2] };
            nodes.push(node("Sub", &[&name("m", k), before], &name("t", k), &[]));
            t.push(name("t", k));
        }
        if k >= 1 {
            nodes.push(node("Mul", &[&t[k], &name("c", k)], &name("p", k), &[]));
            let so_far = if k == 1 { name("c", 0) } else { sum };
            sum = name("s", k);
            nodes.push(node("Add", &[&so_far, &name("p", k)], &sum, &[]));
        }
    }
    sum
}

#[test]
fn composed_series_come_back_as_they_were() {
    let range = 5.0f32;
    let first: Vec<f32> = (0..8).map(|k| 0.3 / (1.0 + k as f32)).collect();
    let second: Vec<f32> = (0..16).map(|k| 0.1 * (k as f32 * 0.7).sin()).collect();
    for times_x in [false, true] {
        let mut constants = vec![
            scalar("before", 1.0 / range),
            scalar("behind", range),
            scalar("two", 2.0),
            scalar("one", 1.0),
        ];
        let mut nodes = vec![node("Mul", &["x", "before"], "u", &[])];
        let inner = series("a", "u", &first, &mut nodes, &mut constants);
        let mut outer = series("b", &inner, &second, &mut nodes, &mut constants);
        if times_x {
            nodes.push(node("Mul", &["u", &outer], "ux", &[]));
            outer = "ux".to_string();
        }
        nodes.push(node("Mul", &[&outer, "behind"], "y", &[]));
        let model = model(nodes, constants);
        let graph = import_model(&model).unwrap();
        let wide = |p: &[f32]| p.iter().map(|&c| f64::from(c)).collect::<Vec<f64>>();
        let expect = Function::Approximated(Approximation::Levelled {
            range: f64::from(range),
            polynomials: vec![wide(&first), wide(&second)],
            times_x,
        });
        assert_eq!(graph.nodes[graph.output].op, Op::Activation(expect));
        assert_eq!(graph.nodes.node_count(), 2);
        check_value(&model);
    }
}
