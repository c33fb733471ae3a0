//! What choose_layouts decides.

mod networks;

use hecc_ir::nn::{Graph, Shape};
use hecc_passes::PassError;
use hecc_passes::choose_layouts::{Layouts, Request, choose_layouts};
use hecc_passes::cost::Prices;
use hecc_passes::fold_linear::fold_linear;
use hecc_passes::steps::{HubKind, Steps};
use networks::{Builder, Style, lenet, mobile, resnet, vgg};

fn steps(graph: &Graph) -> Steps {
    Steps::read(&fold_linear(graph).unwrap().graph).unwrap()
}

fn choose(steps: &Steps, slots: usize, granularity: usize) -> Result<Layouts, PassError> {
    let request = Request {
        slots,
        granularity,
        fused: &fused(steps, granularity),
        prices: &Prices::reference(),
    };
    choose_layouts(steps, &request)
}

/// Every activation, where there are bootstraps.
fn fused(steps: &Steps, granularity: usize) -> Vec<bool> {
    let of = |kind: &HubKind| granularity > 0 && matches!(kind, HubKind::Activation { .. });
    steps.hubs.iter().map(|hub| of(&hub.kind)).collect()
}

/// Diagonals of every sum's maps; 0 is a hub that keeps its layout.
fn diagonals(layouts: &Layouts) -> Vec<Vec<usize>> {
    let of = |m: &Option<_>| m.map_or(0, |m: hecc_passes::cost::MapChoice| m.diagonals);
    let sums = layouts.maps.iter();
    sums.map(|maps| maps.iter().map(of).collect()).collect()
}

#[test]
fn resnet20_diagonals() {
    let steps = steps(&resnet(Style::Folded, 3, 16, 32));
    let layouts = choose(&steps, 1 << 14, 64).unwrap();
    let diagonals = diagonals(&layouts);
    let first =
        |sums: std::ops::Range<usize>| diagonals[sums].iter().map(|d| d[0]).collect::<Vec<_>>();
    assert_eq!(first(0..7), [36, 144, 144, 144, 144, 144, 144]);
    assert_eq!(diagonals[2], [144, 0]);
    assert!(
        first(7..8)[0] <= 144 && first(13..14)[0] <= 324,
        "{diagonals:?}"
    );
    assert!(first(8..13).iter().all(|&d| d <= 196), "{diagonals:?}");
    assert!(first(14..19).iter().all(|&d| d <= 225), "{diagonals:?}");
    assert_eq!(first(19..20), [16]);
    let activations = steps.activations().count() as f64 * Prices::reference().activation;
    assert!(layouts.cost - activations < 7.48, "{}", layouts.cost);
    for hub in &layouts.hubs[1..] {
        assert_eq!(hub.sum.twist, 0);
        assert_eq!(hub.sum.copies * hub.sum.stride(), 1 << 14);
    }
}

#[test]
fn several_ciphertexts() {
    let mut b = Builder::new(Shape::new(3, 32, 32), Style::Folded, 1);
    let x = b.conv_bn(b.graph.input, 64, 1);
    let x = b.relu(x);
    let x = b.conv_bn(x, 64, 2);
    let x = b.relu(x);
    let steps = steps(&b.head(x, 10));
    for (slots, expect) in [(1 << 14, [4, 1]), (1 << 13, [8, 2]), (1 << 16, [1, 1])] {
        let layouts = choose(&steps, slots, 64).unwrap();
        let parts: Vec<usize> = layouts.hubs[1..3].iter().map(|h| h.seen.parts).collect();
        assert_eq!(parts, expect);
        // 64 x 64 channels, 9 taps, a quarter of the positions.
        let least = 64 * 64 * 9 * 256 / slots;
        let most = if slots == 1 << 16 { 16 } else { 4 };
        assert!(
            diagonals(&layouts)[1][0] <= most * least,
            "{:?}",
            diagonals(&layouts)
        );
    }
}

#[test]
fn chains_are_cut_where_a_level_pays() {
    let maps = |build: fn(&mut Builder) -> hecc_ir::nn::ValueId| {
        let mut b = Builder::new(Shape::new(64, 16, 16), Style::Folded, 1);
        b.graph.output = build(&mut b);
        steps(&b.graph).sums.len()
    };
    // Depthwise, then 1x1.
    let separable = |b: &mut Builder| {
        let x = b.conv(b.graph.input, 64, [3, 1, 1, 64]);
        b.conv(x, 128, [1, 1, 0, 1])
    };
    assert_eq!(maps(separable), 2);
    let pooled = |b: &mut Builder| {
        let x = b.pool(b.graph.input, [2, 2]);
        b.conv(x, 256, [3, 1, 1, 1])
    };
    assert_eq!(maps(pooled), 2);
    let head = |b: &mut Builder| {
        let x = b.pool(b.graph.input, [16, 16]);
        b.gemm(x, 10)
    };
    assert_eq!(maps(head), 1);
    assert_eq!(maps(|b| b.shortcut(b.graph.input)), 1);
}

/// The networks of the size that counts: maps that are counted, and what the search asks for.
#[test]
fn effort() {
    let check = |name: &str, graph: Graph, most_maps: usize, most_lookups: u64| {
        let steps = steps(&graph);
        let layouts = choose(&steps, 1 << 14, 64).unwrap();
        for hub in &layouts.hubs {
            hub.seen.verify().unwrap();
        }
        let (effort, addends) = (layouts.effort, layouts.maps.iter().flatten().count() as u64);
        let got = (effort.maps, effort.lookups / addends);
        assert!(
            got.0 <= most_maps && got.1 <= most_lookups,
            "{name}: {got:?} maps and lookups an addend"
        );
    };
    let eleven = [
        (64, true),
        (128, true),
        (256, false),
        (256, true),
        (512, false),
        (512, true),
        (512, false),
        (512, true),
    ];
    check("resnet20", resnet(Style::Folded, 3, 16, 32), 200, 300);
    // No more maps than three blocks a stage have, no more lookups for each of its addends.
    check("resnet110", resnet(Style::Folded, 18, 16, 32), 200, 300);
    check("lenet", lenet(Style::Folded), 100, 250);
    check("mobile", mobile(Style::Folded, 32, 16), 250, 350);
    check("vgg11", vgg(Style::Folded, 32, &eleven, 512), 550, 500);
}
