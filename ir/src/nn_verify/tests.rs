use super::*;
use crate::function::Function;

fn conv(out: usize, input: usize, kernel: usize, stride: usize, pad: usize) -> Linear {
    Linear::Conv {
        weight: vec![1.0; out * input * kernel * kernel],
        bias: vec![0.0; out],
        out_channels: out,
        window: Window {
            kernel: [kernel; 2],
            stride: [stride; 2],
            pads: [pad; 4],
            dilation: [1; 2],
            groups: 1,
        },
    }
}

#[test]
fn output_shapes() {
    let input = Shape::new(3, 32, 32);
    let check = |op: Linear, expect: Result<&str, &str>| match (op.output_shape(input), expect) {
        (Ok(shape), Ok(expect)) => assert_eq!(shape.to_string(), expect),
        (Err(e), Err(expect)) => assert!(e.to_string().contains(expect), "{e}"),
        (got, expect) => panic!("{got:?}, expected {expect:?}"),
    };
    check(conv(16, 3, 3, 1, 1), Ok("16x32x32"));
    check(conv(16, 3, 3, 2, 1), Ok("16x16x16"));
    check(conv(16, 4, 3, 1, 1), Err("weight has 576 values"));
    check(conv(16, 3, 33, 1, 0), Err("does not fit"));
    check(conv(16, 3, 3, 0, 1), Err("stride of 0"));
    check(conv(16, 3, 3, 1, usize::MAX), Err("pad of"));
    let mut padded = conv(16, 3, 1, 60_000, 60_000);
    check(padded.clone(), Err("with padding"));
    if let Linear::Conv { window, .. } = &mut padded {
        window.pads = [0, 40_000, 0, 40_000];
    }
    check(padded, Ok("16x1x2"));
    check(
        Linear::AveragePool {
            kernel: [32, 32],
            stride: [32, 32],
        },
        Ok("3x1x1"),
    );
    check(
        Linear::AveragePool {
            kernel: [0, 1],
            stride: [1, 1],
        },
        Err("kernel of 0"),
    );
    let transposed = |stride: usize, pad: usize, extra: usize| Linear::ConvTranspose {
        weight: vec![1.0; 3 * 8 * 9],
        bias: vec![0.0; 8],
        out_channels: 8,
        window: Window {
            kernel: [3; 2],
            stride: [stride; 2],
            pads: [pad; 4],
            dilation: [1; 2],
            groups: 1,
        },
        output_padding: [extra; 2],
    };
    check(transposed(2, 1, 1), Ok("8x64x64"));
    check(transposed(1, 0, 0), Ok("8x34x34"));
    check(transposed(1, 17, 0), Err("pads of 34 leave nothing of 34"));
    check(transposed(0, 0, 0), Err("stride of 0"));
    check(transposed(1, 0, usize::MAX), Err("output padding of"));
    check(transposed(1 << 16, 0, 0), Err("at most 65536"));
    let gather = |source| Linear::Gather {
        shape: Shape::new(2, 1, 1),
        source,
    };
    check(gather(vec![0, 3071]), Ok("2x1x1"));
    check(gather(vec![0, 3072]), Err("takes element 3072"));
    check(gather(vec![0; 3]), Err("takes 3 elements"));
    let elementwise = |n| Linear::Elementwise {
        scale: vec![1.0; 3072],
        shift: vec![1.0; n],
    };
    check(elementwise(3072), Ok("3x32x32"));
    check(elementwise(3), Err("shift has 3 values"));
    let slice = |step| Linear::Slice {
        start: [0, 1, 0],
        step: [1, step, 2],
        shape: Shape::new(3, 16, 16),
    };
    check(slice(2), Ok("3x16x16"));
    check(slice(3), Err("takes 3x16x16"));
    check(slice(usize::MAX), Err("step of"));
    check(
        Linear::Pad {
            before: [8, 0, 0],
            after: [8, 0, 0],
        },
        Ok("19x32x32"),
    );
    check(
        Linear::Reshape {
            shape: Shape::new(3072, 1, 1),
        },
        Ok("3072x1x1"),
    );
    check(
        Linear::Reshape {
            shape: Shape::new(3073, 1, 1),
        },
        Err("elements"),
    );
    check(
        Linear::Pad {
            before: [0; 3],
            after: [60_000, 60_000, 0],
        },
        Err("elements, at most"),
    );
}

#[test]
fn verify_names_the_broken_rule() {
    let shape = Shape::new(3, 8, 8);
    let check = |edit: fn(&mut Graph), expect: &str| {
        let mut graph = Graph::new("image", shape);
        let conv = graph.push(
            Op::Linear(conv(4, 3, 3, 1, 1)),
            "conv",
            Shape::new(4, 8, 8),
            &[graph.input],
        );
        let relu = graph.push(
            Op::Activation(Function::Relu),
            "relu",
            Shape::new(4, 8, 8),
            &[conv],
        );
        graph.output = graph.push(Op::Add, "add", Shape::new(4, 8, 8), &[relu, conv]);
        edit(&mut graph);
        match graph.verify() {
            Ok(()) => assert_eq!(expect, "ok"),
            Err(e) => assert!(e.to_string().contains(expect), "{e}"),
        }
    };
    check(|_| (), "ok");
    check(
        |g| g.nodes[ValueId::new(1)].shape.h = 9,
        "v1 (conv): claims the shape 4x9x8, expected 4x8x8",
    );
    check(
        |g| {
            g.push(Op::Input, "x", Shape::new(1, 1, 1), &[]);
        },
        "second input",
    );
    check(
        |g| {
            g.nodes.add_edge(ValueId::new(3), ValueId::new(2), 1);
        },
        "cycle",
    );
    check(
        |g| {
            g.push(Op::Add, "sum", Shape::new(3, 8, 8), &[ValueId::new(0)]);
        },
        "operands at [0]",
    );
    check(|g| g.output = ValueId::new(9), "v9");
    check(
        |g| g.nodes[ValueId::new(2)].op = Op::Activation(Function::Power { exponent: 0 }),
        "v2 (relu): power: exponent 0",
    );
    check(|g| g.nodes[ValueId::new(3)].op = Op::Mul, "ok");
    check(
        |g| {
            let x = [ValueId::new(0), ValueId::new(1)];
            g.push(Op::Mul, "product", Shape::new(3, 8, 8), &x);
        },
        "combines 3x8x8 and 4x8x8",
    );
}
