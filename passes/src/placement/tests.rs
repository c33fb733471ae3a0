//! Against exhaustive search, and on families of networks.

use proptest::prelude::*;

use super::*;

/// The least cost over all ways, levels and bootstraps; `None` if nothing is valid.
fn exhaustive(problem: &Problem) -> Option<f64> {
    fn search(problem: &Problem, choices: &mut Vec<Choice>, least: &mut Option<f64>) {
        let Some(node) = problem.nodes.get(choices.len()) else {
            if let Ok(seconds) = evaluate(problem, choices) {
                *least = Some(least.map_or(seconds, |least| least.min(seconds)));
            }
            return;
        };
        for (way, how) in node.ways.iter().enumerate() {
            for level in 0..how.seconds().len() {
                let leaves = node
                    .refresh
                    .iter()
                    .flat_map(|r| (0..r.seconds.len()).map(Some));
                for refreshed in leaves.chain([None]) {
                    choices.push(Choice {
                        way,
                        level,
                        refreshed,
                    });
                    search(problem, choices, least);
                    choices.pop();
                }
            }
        }
    }
    let mut least = None;
    search(problem, &mut Vec::new(), &mut least);
    least
}

/// Seconds that go up and down with the level, for up to so many levels.
fn seconds(levels: usize) -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec((0u32..40).prop_map(f64::from), 1..=levels)
}

fn way(levels: usize) -> impl Strategy<Value = Way> {
    let levelled = |(depth, seconds)| Way::Levelled { depth, seconds };
    let fused = |(enter, seconds)| Way::Fused { enter, seconds };
    prop_oneof![
        3 => (0..levels, seconds(levels)).prop_map(levelled),
        1 => (0..levels, seconds(levels)).prop_map(fused),
    ]
}

/// Programs of any shape: up to three operands a node, equal ones among them, dead values too.
fn small(nodes: usize, ways: usize, levels: usize) -> impl Strategy<Value = Problem> {
    let refresh = |(enter, seconds)| Refresh { enter, seconds };
    let node = (
        prop::collection::vec(any::<prop::sample::Index>(), 0..4),
        prop::collection::vec(way(levels), 1..=ways),
        prop::option::of((0..levels, seconds(levels)).prop_map(refresh)),
        any::<bool>(),
    );
    let nodes = prop::collection::vec(node, 1..=nodes);
    (nodes, any::<prop::sample::Index>(), 0..levels).prop_map(|(nodes, output, output_floor)| {
        let nodes: Vec<Node> = nodes
            .into_iter()
            .enumerate()
            .map(|(value, (operands, ways, refresh, activation))| Node {
                name: format!("n{value}"),
                operands: operands
                    .into_iter()
                    .filter(|_| value > 0)
                    .map(|x| x.index(value))
                    .collect(),
                ways,
                refresh,
                activation,
            })
            .collect();
        Problem {
            output: output.index(nodes.len()),
            nodes,
            output_floor,
        }
    })
}

fn any_small() -> impl Strategy<Value = Problem> {
    prop_oneof![small(4, 2, 3), small(6, 1, 2)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn exact_is_the_exhaustive_minimum(problem in any_small(), entries in 1u64..60) {
        let expect = exhaustive(&problem);
        let found = exact(&problem);
        prop_assert_eq!(expect.is_some(), found.is_ok(), "{:?}", found);
        let Some(expect) = expect else { return Ok(()) };
        let found = found.unwrap();
        validate(&problem, &found).unwrap();
        prop_assert!(found.optimal);
        prop_assert_eq!(found.seconds, expect);
        let narrow = exact_within(&problem, entries).unwrap();
        validate(&problem, &narrow).unwrap();
        prop_assert!(narrow.bound <= expect && expect <= narrow.seconds);
        for baseline in [greedy(&problem).unwrap(), before_every_activation(&problem).unwrap()] {
            validate(&problem, &baseline).unwrap();
            prop_assert!(baseline.seconds >= narrow.seconds);
        }
    }
}

/// Networks at a realistic size: twenty levels, bootstraps from level 2 to level 12, seconds that
/// grow with the level.
struct Net {
    nodes: Vec<Node>,
    top: usize,
    leave: usize,
}

impl Net {
    fn new(top: usize, leave: usize) -> (Net, usize) {
        let mut net = Net {
            nodes: Vec::new(),
            top,
            leave,
        };
        let input = net.levelled(&[], 0, 0.0);
        (net, input)
    }

    fn levelled(&mut self, operands: &[usize], depth: usize, seconds: f64) -> usize {
        let leave = self.leave;
        self.nodes.push(Node {
            name: format!("n{}", self.nodes.len()),
            operands: operands.to_vec(),
            ways: vec![Way::Levelled {
                depth,
                seconds: (0..=self.top)
                    .map(|level| seconds * (level + 1) as f64)
                    .collect(),
            }],
            refresh: (!operands.is_empty()).then(|| Refresh {
                enter: 2,
                seconds: (0..=leave).map(|level| 1.5 + 0.01 * level as f64).collect(),
            }),
            activation: false,
        });
        self.nodes.len() - 1
    }

    fn conv(&mut self, x: usize) -> usize {
        self.levelled(&[x], 1, 0.02)
    }

    fn add(&mut self, x: usize, y: usize) -> usize {
        self.levelled(&[x, y], 0, 0.0001)
    }

    /// A polynomial of a depth, or a bootstrap that leaves that much less.
    fn activation(&mut self, x: usize, depth: usize) -> usize {
        let value = self.levelled(&[x], depth, 0.01 * depth as f64);
        let leave = self.leave - depth;
        let node = &mut self.nodes[value];
        node.activation = true;
        node.ways.push(Way::Fused {
            enter: 2,
            seconds: (0..=leave).map(|level| 1.7 + 0.01 * level as f64).collect(),
        });
        value
    }

    fn ends_with(self, output: usize) -> Problem {
        Problem {
            output,
            nodes: self.nodes,
            output_floor: 0,
        }
    }
}

fn resnet(blocks: usize, depth: usize, top: usize, leave: usize) -> Problem {
    let (mut net, input) = Net::new(top, leave);
    let x = net.conv(input);
    let mut x = net.activation(x, depth);
    for block in 0..3 * blocks {
        let main = net.conv(x);
        let main = net.activation(main, depth);
        let main = net.conv(main);
        let skip = net.levelled(&[x], 1, 0.001);
        let skip = if block > 0 && block % blocks == 0 {
            net.conv(x)
        } else {
            skip
        };
        let sum = net.add(main, skip);
        x = net.activation(sum, depth);
    }
    let output = net.conv(x);
    net.ends_with(output)
}

fn dense(layers: usize, blocks: usize) -> Problem {
    let (mut net, input) = Net::new(20, 12);
    let mut x = net.conv(input);
    for _ in 0..blocks {
        let mut features = vec![x];
        for _ in 0..layers {
            let terms: Vec<usize> = features.iter().map(|&f| net.conv(f)).collect();
            let sum = terms.into_iter().reduce(|a, b| net.add(a, b)).unwrap();
            features.push(net.activation(sum, 2));
        }
        let terms: Vec<usize> = features.iter().map(|&f| net.conv(f)).collect();
        x = terms.into_iter().reduce(|a, b| net.add(a, b)).unwrap();
    }
    net.ends_with(x)
}

/// Blocks of four branches of several convolutions each.
fn inception(blocks: usize) -> Problem {
    let (mut net, input) = Net::new(20, 12);
    let mut x = net.conv(input);
    for _ in 0..blocks {
        let branch = |net: &mut Net, length: usize| {
            let start = net.conv(x);
            (0..length).fold(start, |x, _| {
                let x = net.activation(x, 3);
                net.conv(x)
            })
        };
        let branches: Vec<usize> = (0..4).map(|length| branch(&mut net, length)).collect();
        x = branches.into_iter().reduce(|a, b| net.add(a, b)).unwrap();
        x = net.activation(x, 3);
    }
    net.ends_with(x)
}

/// Residual blocks whose features are multiplied by a gate, and activations x * gate(x).
fn squeeze_excite(blocks: usize) -> Problem {
    let (mut net, input) = Net::new(20, 12);
    let mut x = net.conv(input);
    for _ in 0..blocks {
        let gate = net.activation(x, 4);
        let features = net.levelled(&[x, gate], 1, 0.01);
        let features = net.conv(features);
        let squeezed = net.conv(features);
        let squeezed = net.activation(squeezed, 3);
        let squeezed = net.conv(squeezed);
        let gate = net.activation(squeezed, 4);
        let gated = net.levelled(&[features, gate], 1, 0.01);
        x = net.add(x, gated);
    }
    net.ends_with(x)
}

/// Skip connections inside skip connections.
fn u_net(levels: usize) -> Problem {
    fn descend(net: &mut Net, x: usize, levels: usize) -> usize {
        let x = net.conv(x);
        let x = net.activation(x, 3);
        if levels == 0 {
            return x;
        }
        let inner = net.conv(x);
        let inner = descend(net, inner, levels - 1);
        let skip = net.conv(x);
        let inner = net.conv(inner);
        let sum = net.add(skip, inner);
        net.activation(sum, 3)
    }
    let (mut net, input) = Net::new(20, 12);
    let output = descend(&mut net, input, levels);
    net.ends_with(output)
}

fn check(name: &str, problem: &Problem, entries: u64, optimal: bool) -> Placement {
    let found = exact_within(problem, entries).unwrap();
    validate(problem, &found).unwrap();
    assert_eq!(found.optimal, optimal, "{name}");
    assert!(found.bound > 0.0, "{name}");
    for baseline in [greedy(problem), before_every_activation(problem)] {
        let baseline = baseline.unwrap();
        validate(problem, &baseline).unwrap();
        assert!(found.seconds <= baseline.seconds, "{name}");
    }
    found
}

#[test]
fn series_parallel_networks_are_solved_exactly() {
    check("ResNet-20", &resnet(3, 4, 20, 12), 1 << 24, true);
    check("ResNet-20, squares", &resnet(3, 1, 45, 30), 1 << 24, true);
    check("inception", &inception(8), 1 << 24, true);
    check("squeeze and excite", &squeeze_excite(8), 1 << 24, true);
    check("U-Net", &u_net(8), 1 << 24, true);
}

#[test]
fn effort_is_linear_in_the_depth() {
    let effort = |blocks: usize| {
        let problem = resnet(blocks, 4, 20, 12);
        let found = check("ResNet", &problem, 1 << 24, true);
        found.effort as f64 / problem.nodes.len() as f64
    };
    let shallow = effort(3);
    for blocks in [5, 7, 9, 18, 50] {
        assert!(effort(blocks) < 1.2 * shallow, "{blocks} blocks");
    }
}

#[test]
fn wide_networks_get_a_placement_and_a_bound() {
    check("dense, 4 layers", &dense(4, 1), 1 << 25, true);
    let wide = check("dense, 12 layers", &dense(12, 1), 1 << 22, false);
    assert!(wide.effort <= 1 << 23, "{}", wide.effort);
    check("dense, no entries", &dense(12, 2), 0, false);
}

#[test]
fn baselines_bootstrap_where_they_say() {
    // Polynomials of depth 7, bootstraps from level 2 to level 10: one activation fits, and a
    // convolution before it.
    let mut problem = resnet(3, 7, 18, 10);
    problem
        .nodes
        .iter_mut()
        .for_each(|node| node.ways.truncate(1));
    let before = before_every_activation(&problem).unwrap();
    let late = greedy(&problem).unwrap();
    for (value, node) in problem
        .nodes
        .iter()
        .enumerate()
        .filter(|(_, node)| node.activation)
    {
        // The input stands higher than a bootstrap leaves.
        let first = node.operands[0] == 1;
        assert_eq!(
            before.choices[node.operands[0]].refreshed.is_none(),
            first,
            "v{value}"
        );
    }
    // The input's levels reach one convolution further: late, nothing is left to bootstrap at the end.
    assert_eq!(
        (before.bootstraps(&problem), late.bootstraps(&problem)),
        (18, 17)
    );
}

#[test]
fn what_does_not_fit_is_named() {
    let (mut net, input) = Net::new(5, 12);
    let x = net.conv(input);
    let x = net.levelled(&[x], 6, 0.0);
    let mut problem = net.ends_with(x);
    problem
        .nodes
        .iter_mut()
        .for_each(|node| node.refresh = None);
    let message = |problem: &Problem| exact(problem).unwrap_err().to_string();
    assert!(
        message(&problem).starts_with(
            "n2 (v2) is 2 levels too deep: its operand n1 (v1) has to stand at level 6 and reaches 4 at most"
        ),
        "{}",
        message(&problem)
    );
    problem.nodes.truncate(2);
    (problem.output, problem.output_floor) = (1, 5);
    assert!(
        message(&problem).starts_with(
            "the output n1 (v1) is 1 levels short: it has to leave at level 5 and reaches 4 at most"
        ),
        "{}",
        message(&problem)
    );
    problem.nodes[1].operands = vec![1];
    assert_eq!(
        message(&problem),
        "n1 (v1): an operand is not defined before it"
    );
    assert_eq!(greedy(&problem).unwrap_err().to_string(), message(&problem));
    problem.nodes[1].operands = vec![0];
    problem.nodes[0].ways.clear();
    assert_eq!(message(&problem), "n0 (v0): there is no way to compute it");
}

#[test]
fn wrong_placements_are_refused() {
    let problem = resnet(1, 4, 20, 12);
    let good = exact(&problem).unwrap();
    let wrong: [fn(&mut Placement); 8] = [
        |p| p.choices[1].level += 1,
        |p| p.choices[1].way = 7,
        |p| p.choices[0].refreshed = Some(0),
        |p| p.choices[2].refreshed = Some(99),
        |p| p.choices.truncate(3),
        |p| p.choices.push(p.choices[0]),
        |p| p.seconds += 0.1,
        |p| p.bound = 2.0 * p.seconds,
    ];
    for (case, break_it) in wrong.iter().enumerate() {
        let mut placement = good.clone();
        break_it(&mut placement);
        assert!(validate(&problem, &placement).is_err(), "case {case}");
    }
}
