//! Counted places against the places of the maps themselves.

use std::collections::BTreeSet;
use std::slice::from_ref;

use hecc_ir::nn::Window;
use hecc_ir::program::LinearMap;

use super::*;

const SLOTS: usize = 1024;

fn conv(out: usize, inputs: usize, stride: usize, groups: usize) -> Linear {
    Linear::Conv {
        weight: vec![1.0; out * inputs / groups * 9],
        bias: vec![0.0; out],
        out_channels: out,
        window: Window {
            groups,
            ..Window::same(3, stride)
        },
    }
}

fn layout(shape: Shape, gap: usize, grid: [usize; 2], twist: usize) -> Layout {
    let groups = shape.c.div_ceil(gap * gap);
    let used = groups * grid[0] * grid[1];
    let layout = Layout {
        slots: SLOTS,
        parts: used.div_ceil(SLOTS),
        shape,
        gap,
        rows: grid[0],
        cols: grid[1],
        copies: (SLOTS / used.next_power_of_two()).max(1),
        twist,
    };
    layout.verify().unwrap();
    layout
}

/// Counted and real numbers of diagonals.
fn counts(stages: &[Linear], input: &Layout, output: &Layout, fold: bool) -> [usize; 2] {
    let relation = Relation::new(stages, input.shape, output.shape);
    let distances = relation.distances(input, output);
    let counted: BTreeSet<Place> = places(&distances, input, output, fold)
        .into_iter()
        .collect();
    let map = LinearMap {
        stages: stages.to_vec(),
        gain: 1.0,
        bias_gain: 1.0,
        fold,
        giant: 1,
    };
    let real = map.offsets(input, output).unwrap().offsets;
    assert!(real.is_subset(&counted), "{input} to {output}, fold {fold}");
    [counted.len(), real.len()]
}

#[test]
fn places_are_those_of_the_maps() {
    let check = |stages: &[Linear], input: &Layout, outputs: &[Layout]| {
        for output in outputs {
            for fold in [false, true] {
                let [counted, real] = counts(stages, input, output, fold);
                assert_eq!(counted, real, "{input} to {output}, fold {fold}");
            }
        }
    };
    let s = Shape::new;
    let full = layout(s(4, 16, 16), 1, [16; 2], 0);
    let halves = [
        layout(s(8, 8, 8), 2, [16; 2], 0),
        layout(s(8, 8, 8), 1, [8; 2], 0),
        layout(s(8, 8, 8), 1, [9; 2], 0),
    ];
    check(&[conv(4, 4, 1, 1)], &full, from_ref(&full));
    check(&[conv(8, 4, 2, 1)], &full, &halves);
    check(&[conv(8, 4, 2, 4)], &full, &halves);
    check(&[conv(8, 8, 1, 8), conv(8, 8, 1, 1)], &halves[1], &halves);
    check(&[conv(8, 8, 1, 2)], &halves[2], &halves);
    // Several ciphertexts.
    let wide = [
        layout(s(16, 16, 16), 1, [16; 2], 0),
        layout(s(16, 16, 16), 2, [32; 2], 0),
    ];
    check(&[conv(16, 4, 1, 1)], &full, &wide);
    check(&[conv(16, 16, 1, 1)], &wide[0], &wide);
    check(&[conv(8, 16, 2, 1)], &wide[0], &halves);
    // What is not a convolution.
    let up = Linear::ConvTranspose {
        weight: vec![1.0; 8 * 4 * 9],
        bias: vec![0.0; 4],
        out_channels: 4,
        window: Window::same(3, 2),
        output_padding: [1; 2],
    };
    check(&[up], &halves[0], from_ref(&full));
    let gemm = |cols: usize| Linear::Gemm {
        weight: vec![1.0; 10 * cols],
        bias: vec![0.0; 10],
        rows: 10,
    };
    let logits = layout(s(10, 1, 1), 1, [1; 2], 0);
    check(&[gemm(512)], &halves[1], from_ref(&logits));
    check(&[gemm(4096)], &wide[0], &[logits]);
    let spread = Linear::Gather {
        shape: s(8, 8, 8),
        source: (0..512).map(|i| i / 64).collect(),
    };
    check(&[spread], &layout(s(8, 1, 1), 1, [1; 2], 0), &halves);
    let turned = Linear::Gather {
        shape: s(8, 8, 8),
        source: (0..512).map(|i| i % 64 * 8 + i / 64).collect(),
    };
    check(&[turned], &halves[1], &halves);
}

#[test]
fn a_twist_divides_the_diagonals() {
    let half = Shape::new(8, 8, 8);
    let plain = layout(half, 2, [16; 2], 0);
    let twisted = layout(half, 2, [16; 2], 256);
    let stages = [conv(8, 8, 1, 1)];
    assert_eq!(counts(&stages, &plain, &plain, false), [2 * 49; 2]);
    assert_eq!(counts(&stages, &twisted, &plain, true), [49; 2]);
    // A map that twists pays for every copy.
    let same = Linear::Reshape { shape: half };
    assert_eq!(counts(&[same], &plain, &twisted, false), [2; 2]);
}
