use super::*;
use crate::kernel;
use crate::nn::Window;
use crate::testing::{Random, conv, linear_samples};

const SLOTS: usize = 1024;

fn layout(shape: Shape, gap: usize, grid: usize, copies: usize, twist: usize) -> Layout {
    Layout {
        slots: SLOTS,
        parts: 1,
        shape,
        gap,
        rows: grid,
        cols: grid,
        copies,
        twist,
    }
}

/// Diagonals applied to a packed vector, unpacked from every copy, against the stages applied one
/// after the other; and the offsets against the diagonals. Returns the number of diagonals.
fn check(stages: Vec<Linear>, input: &Layout, output: &Layout, fold: bool) -> usize {
    let mut random = Random::new(7);
    let map = LinearMap {
        stages,
        gain: 0.5,
        bias_gain: 0.25,
        fold,
        giant: 1,
    };
    let x: Vec<f64> = (0..input.shape.elements()).map(|_| random.unit()).collect();
    let (mut linear, mut bias, mut shape) = (x.clone(), vec![0.0; x.len()], input.shape);
    for stage in &map.stages {
        let next = stage.output_shape(shape).unwrap();
        linear = kernel::apply(stage, shape, next, &linear, false);
        bias = kernel::apply(stage, shape, next, &bias, true);
        shape = next;
    }
    let expect: Vec<f64> = linear
        .iter()
        .zip(&bias)
        .map(|(v, b)| v * 0.5 + b * 0.25)
        .collect();
    let diagonals = map.diagonals(input, output).unwrap();
    let got = diagonals.apply(&input.pack(&x));
    let worst = got
        .iter()
        .zip(output.pack(&expect))
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f64::max);
    let structure = map.offsets(input, output).unwrap();
    assert!(worst < 1e-12, "{input} to {output}, fold {fold}: {worst}");
    assert!(
        structure.offsets.iter().eq(diagonals.diagonals.keys()),
        "{input} to {output}"
    );
    assert_eq!(structure.folds, diagonals.folds);
    diagonals.diagonals.len()
}

#[test]
fn diagonals_and_offsets_mean_the_stages() {
    let mut random = Random::new(3);
    let shape = Shape::new;
    let plain = layout(shape(4, 8, 8), 1, 8, 4, 0);
    let twisted = Layout {
        twist: 64,
        ..plain.clone()
    };
    let full = layout(shape(4, 8, 8), 1, 8, 1, 0);
    let same = |r: &mut Random| vec![conv(r, [4, 4], Window::same(3, 1))];
    assert_eq!(check(same(&mut random), &plain, &plain, false), 36);
    assert_eq!(check(same(&mut random), &full, &full, false), 7 * 9);
    assert_eq!(check(same(&mut random), &twisted, &plain, true), 9);
    check(same(&mut random), &plain, &twisted, false);
    check(same(&mut random), &twisted, &twisted, false);
    check(same(&mut random), &plain, &plain, true);
    check(same(&mut random), &twisted, &full, true);
    check(same(&mut random), &full, &plain, false);
    check(same(&mut random), &full, &plain, true);

    let down = |r: &mut Random| vec![conv(r, [4, 8], Window::same(3, 2))];
    let dense = layout(shape(8, 4, 4), 1, 4, 8, 0);
    let gapped = layout(shape(8, 4, 4), 2, 8, 8, 0);
    let wide = layout(shape(8, 4, 4), 1, 8, 2, 0);
    for output in [&dense, &gapped, &wide] {
        for fold in [false, true] {
            check(down(&mut random), &plain, output, fold);
            check(down(&mut random), &twisted, output, fold);
        }
    }
    let gap4 = layout(shape(16, 2, 2), 4, 8, 16, 0);
    check(
        vec![conv(&mut random, [8, 16], Window::same(3, 2))],
        &gapped,
        &gap4,
        false,
    );
    let gap4_twisted = Layout {
        twist: 16,
        ..gap4.clone()
    };
    check(
        vec![conv(&mut random, [16, 16], Window::same(3, 1))],
        &gap4_twisted,
        &gap4,
        true,
    );

    let gemm = |r: &mut Random, cols: usize| Linear::Gemm {
        weight: r.floats(5 * cols),
        bias: r.floats(5),
        rows: 5,
    };
    let logits = layout(shape(5, 1, 1), 1, 1, 128, 0);
    let pool = Linear::AveragePool {
        kernel: [8, 8],
        stride: [8, 8],
    };
    assert_eq!(
        check(
            vec![pool.clone(), gemm(&mut random, 4)],
            &plain,
            &logits,
            true
        ),
        8
    );
    check(vec![pool, gemm(&mut random, 4)], &twisted, &logits, false);
    check(vec![gemm(&mut random, 64)], &gap4, &logits, true);
    let shortcut = vec![
        Linear::Slice {
            start: [0; 3],
            step: [1, 2, 2],
            shape: shape(4, 4, 4),
        },
        Linear::Affine {
            scale: random.floats(4),
            shift: random.floats(4),
        },
        Linear::Pad {
            before: [2, 0, 0],
            after: [2, 0, 0],
        },
    ];
    check(shortcut.clone(), &plain, &gapped, false);
    check(shortcut, &twisted, &dense, true);
    // Powers of two: their products with weights are exact in f32.
    let scaled = Linear::Affine {
        scale: vec![0.5, -2.0, 0.0, 4.0],
        shift: random.floats(4),
    };
    let scaled = vec![scaled, conv(&mut random, [4, 4], Window::same(3, 1))];
    assert_eq!(check(scaled.clone(), &plain, &plain, false), 36);
    check(scaled, &twisted, &plain, true);
    assert_eq!(check(Vec::new(), &twisted, &plain, false), 4);
}

/// A layout of one copy on a grid of its own, in as many parts as it takes.
fn spread(shape: Shape, gap: usize, grid: [usize; 2]) -> Layout {
    let l = Layout {
        rows: grid[0],
        cols: grid[1],
        ..layout(shape, gap, 1, 1, 0)
    };
    Layout {
        parts: l.used().div_ceil(SLOTS),
        ..l
    }
}

#[test]
fn maps_between_several_ciphertexts_mean_the_stages() {
    let mut random = Random::new(9);
    let shape = Shape::new;
    // Parts that end with a channel, and parts that end in the middle of a row.
    let (even, odd) = (
        spread(shape(8, 16, 16), 1, [16, 16]),
        spread(shape(9, 13, 21), 1, [13, 22]),
    );
    assert_eq!((even.parts, odd.parts), (2, 3));
    let one = layout(shape(4, 16, 16), 1, 16, 1, 0);
    let mut conv = |channels, kernel, stride, groups| {
        vec![conv(
            &mut random,
            channels,
            Window::same(kernel, stride).grouped(groups),
        )]
    };
    // Four shifts between the channels of two parts, which wrap around; nine taps; four pairs of parts.
    assert_eq!(check(conv([8, 8], 3, 1, 1), &even, &even, false), 4 * 4 * 9);
    // Depthwise: nine taps, each part from itself.
    assert_eq!(check(conv([8, 8], 3, 1, 8), &even, &even, true), 2 * 9);
    check(conv([9, 9], 3, 1, 1), &odd, &odd, false);
    check(conv([9, 9], 5, 1, 9), &odd, &odd, false);
    check(
        conv([9, 6], 3, 1, 3),
        &odd,
        &spread(shape(6, 13, 21), 1, [13, 22]),
        false,
    );
    // One part to several, with and without copies.
    check(conv([4, 8], 3, 1, 1), &one, &even, false);
    let copied = layout(shape(2, 16, 16), 1, 16, 2, 0);
    let twisted = Layout {
        twist: 256,
        ..copied.clone()
    };
    for input in [&copied, &twisted] {
        assert_eq!(check(conv([2, 8], 1, 1, 1), input, &even, false), 2 * 2);
        check(conv([2, 8], 3, 1, 1), input, &even, true);
    }
    // Several parts to one, by strides, with copies, folded and not.
    let halved = layout(shape(4, 8, 8), 2, 16, 4, 0);
    let packed = layout(shape(4, 8, 8), 1, 8, 4, 0);
    let packed_twisted = Layout {
        twist: 64,
        ..packed.clone()
    };
    for output in [&halved, &packed] {
        check(conv([8, 4], 3, 2, 1), &even, output, false);
        check(conv([8, 4], 3, 2, 1), &even, output, true);
    }
    check(conv([8, 4], 3, 2, 1), &even, &packed_twisted, false);
    let pool = Linear::AveragePool {
        kernel: [13, 21],
        stride: [13, 21],
    };
    let logits = layout(shape(5, 1, 1), 1, 1, 128, 0);
    let gemm = Linear::Gemm {
        weight: random.floats(45),
        bias: random.floats(5),
        rows: 5,
    };
    check(vec![pool.clone(), gemm.clone()], &odd, &logits, true);
    check(vec![pool, gemm], &odd, &logits, false);
    // A plain move between layouts.
    let wide = spread(shape(9, 13, 21), 2, [29, 43]);
    check(Vec::new(), &odd, &wide, false);
    check(Vec::new(), &wide, &odd, false);
}

/// A layout that holds `shape` in ciphertexts of [`SLOTS`] slots, in any of the ways there are.
fn any_layout(random: &mut Random, shape: Shape) -> Layout {
    let mut below = |n: usize| random.below(n);
    let gap = 1 + below(2);
    let grid = [shape.h * gap + below(3), shape.w * gap + below(3)];
    let mut l = spread(shape, gap, grid);
    if l.parts > 1 {
        l.parts += below(2);
        return l;
    }
    let room = (SLOTS / l.used().next_power_of_two()).ilog2() as usize;
    l.copies = 1 << below(room + 1);
    l.twist = [0, l.stride() / 2, below(l.stride())][below(3)];
    l
}

#[test]
fn any_operator_between_any_layouts_means_the_stage() {
    let mut random = Random::new(10);
    for _ in 0..3 {
        for (linear, input) in linear_samples(&mut random) {
            let output = linear.output_shape(input).unwrap();
            let (from, to) = (
                any_layout(&mut random, input),
                any_layout(&mut random, output),
            );
            check(vec![linear.clone()], &from, &to, false);
            check(vec![linear], &from, &Layout { twist: 0, ..to }, true);
        }
    }
}

#[test]
fn best_giant_finds_the_shape_of_a_convolution() {
    let shape = Shape::new(16, 32, 32);
    let l = Layout {
        slots: 1 << 14,
        parts: 1,
        shape,
        gap: 1,
        rows: 32,
        cols: 32,
        copies: 1,
        twist: 0,
    };
    let mut random = Random::new(5);
    let map = LinearMap {
        stages: vec![conv(&mut random, [16, 16], Window::same(3, 1))],
        gain: 1.0,
        bias_gain: 1.0,
        fold: false,
        giant: 1,
    };
    let offsets = map.offsets(&l, &l).unwrap();
    let giant = best_giant(&offsets.offsets, l.slots, |babies, giants| {
        (babies + giants) as f64
    });
    assert_eq!((offsets.offsets.len(), giant), (144, 1024));
    assert_eq!(offsets.rotations(giant).len(), 8 + 15);
}

#[test]
fn a_map_of_too_many_diagonals_is_an_error() {
    let wide = Layout {
        slots: 1 << 17,
        ..layout(Shape::new(5000, 1, 1), 1, 1, 1, 0)
    };
    let map = LinearMap {
        stages: vec![Linear::Gemm {
            weight: vec![1.0; 5000],
            bias: vec![0.0],
            rows: 1,
        }],
        gain: 1.0,
        bias_gain: 1.0,
        fold: false,
        giant: 1,
    };
    let one = Layout {
        shape: Shape::new(1, 1, 1),
        ..wide.clone()
    };
    let message = map.offsets(&wide, &one).unwrap_err().to_string();
    assert_eq!(message, "a map of more than 4096 diagonals of 131072 slots");
}

/// What a plan asks for is refused before it is done.
#[test]
fn a_product_that_takes_too_long_is_an_error() {
    let gemm = |rows: usize| Linear::Gemm {
        weight: vec![1.0; 4096 * rows],
        bias: vec![0.0; rows],
        rows,
    };
    let map = |rows| LinearMap {
        stages: vec![gemm(4096), gemm(rows)],
        gain: 1.0,
        bias_gain: 1.0,
        fold: false,
        giant: 1,
    };
    let input = Shape::new(4096, 1, 1);
    assert_eq!(map(2).matrix(input).unwrap().row(1)[4095], (4095, 4096.0));
    let message = map(1025).matrix(input).unwrap_err().to_string();
    assert_eq!(message, "a product of 2 stages that takes too long");
}

#[test]
fn mismatches_are_errors() {
    let plain = layout(Shape::new(4, 8, 8), 1, 8, 4, 0);
    let check = |stages: Vec<Linear>, fold, output: Layout, expect: &str| {
        let map = LinearMap {
            stages,
            gain: 1.0,
            bias_gain: 1.0,
            fold,
            giant: 1,
        };
        let message = map.diagonals(&plain, &output).unwrap_err().to_string();
        assert!(message.contains(expect), "{message}");
    };
    let same = |shape| Linear::Reshape { shape };
    check(
        vec![],
        false,
        layout(Shape::new(4, 4, 4), 1, 8, 4, 0),
        "the stages give 4x8x8",
    );
    check(
        vec![],
        true,
        Layout {
            twist: 64,
            ..plain.clone()
        },
        "twist 64",
    );
    check(
        vec![],
        false,
        Layout {
            slots: 512,
            copies: 2,
            ..plain.clone()
        },
        "512",
    );
    check(
        vec![same(Shape::new(5, 1, 1))],
        false,
        plain.clone(),
        "stage 0: reshape",
    );
    check(
        vec![same(Shape::new(4, 8, 8)); 17],
        false,
        plain.clone(),
        "17 stages",
    );
}
