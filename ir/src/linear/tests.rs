use super::*;
use crate::kernel;
use crate::testing::{Random, conv};

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
    let same = |r: &mut Random| vec![conv(r, [4, 4], 3, 1, 1)];
    assert_eq!(check(same(&mut random), &plain, &plain, false), 36);
    assert_eq!(check(same(&mut random), &full, &full, false), 7 * 9);
    assert_eq!(check(same(&mut random), &twisted, &plain, true), 9);
    check(same(&mut random), &plain, &twisted, false);
    check(same(&mut random), &twisted, &twisted, false);
    check(same(&mut random), &plain, &plain, true);
    check(same(&mut random), &twisted, &full, true);
    check(same(&mut random), &full, &plain, false);
    check(same(&mut random), &full, &plain, true);

    let down = |r: &mut Random| vec![conv(r, [4, 8], 3, 2, 1)];
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
        vec![conv(&mut random, [8, 16], 3, 2, 1)],
        &gapped,
        &gap4,
        false,
    );
    let gap4_twisted = Layout {
        twist: 16,
        ..gap4.clone()
    };
    check(
        vec![conv(&mut random, [16, 16], 3, 1, 1)],
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
    assert_eq!(check(Vec::new(), &twisted, &plain, false), 4);
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
        stages: vec![conv(&mut random, [16, 16], 3, 1, 1)],
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
