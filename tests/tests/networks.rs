//! Small versions of well-known families with random weights: `hecc check` finds no problem, they
//! compile, and every way to evaluate them agrees. The compiler's work grows with the depth, no faster.

use hecc_passes::{Options, Ways};
use hecc_tests::agree::{Check, check_clear, insecure};
use hecc_tests::commands::Commands;
use hecc_tests::model::Model;
use hecc_tests::onnx::{Network, Tensor, Window};

const SAME: fn(usize) -> Window = |stride| Window::square(3, stride, 1);
const POINTWISE: fn(usize) -> Window = |stride| Window::square(1, stride, 0);

/// Checks a model with the command, and every evaluation of its plan; ciphertexts of its largest value.
fn check(input: [usize; 3], bytes: &[u8], options: Options) -> usize {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    std::fs::write(&path, bytes).unwrap();
    let commands = Commands::new(env!("CARGO_BIN_EXE_demo"), false);
    let line = ["hecc".as_ref(), "check".as_ref(), path.as_os_str()];
    let outcome = commands.succeed(line).unwrap();
    assert!(outcome.stdout.contains("problems     none"), "{outcome:?}");
    let check = Check {
        bytes,
        input,
        options,
        bootstraps: None,
    };
    let plan = check_clear(&check).unwrap();
    let parts = plan.program.nodes.iter().map(|node| node.layout.parts);
    parts.max().unwrap()
}

fn conv_bn(n: &mut Network, x: &Tensor, out: usize, groups: usize, window: Window) -> Tensor {
    let y = n.conv(x, out, groups, window);
    n.batch_norm(&y)
}

#[test]
fn vgg() {
    let input = [3, 8, 8];
    let (mut n, x) = Network::new(input, 1);
    // 64 channels of 8x8 fill four ciphertexts of 1024 slots.
    let x = conv_bn(&mut n, &x, 64, 1, SAME(1));
    let x = n.activation("Relu", &x);
    let x = n.pool("AveragePool", &x, 2, 2);
    let x = conv_bn(&mut n, &x, 64, 1, SAME(1));
    let x = n.activation("Relu", &x);
    let x = n.pool("AveragePool", &x, 2, 2);
    let x = n.gemm(&x, 32);
    let x = n.activation("Relu", &x);
    let logits = n.gemm(&x, 10);
    assert_eq!(check(input, &n.finish(&logits), insecure()), 4);
}

#[test]
fn mobilenet() {
    let input = [3, 16, 16];
    let (mut n, x) = Network::new(input, 2);
    let relu6 = |n: &mut Network, x: &Tensor| n.clip(x, 0.0, 6.0);
    let x = conv_bn(&mut n, &x, 8, 1, SAME(2));
    let mut x = relu6(&mut n, &x);
    for (out, stride) in [(8, 1), (16, 2)] {
        let y = conv_bn(&mut n, &x, 16, 1, POINTWISE(1));
        let y = relu6(&mut n, &y);
        let y = conv_bn(&mut n, &y, 16, 16, SAME(stride));
        let y = relu6(&mut n, &y);
        let y = conv_bn(&mut n, &y, out, 1, POINTWISE(1));
        x = match stride {
            1 => n.add(&x, &y),
            _ => y,
        };
    }
    let x = n.global_average_pool(&x);
    let logits = n.gemm(&x, 10);
    check(input, &n.finish(&logits), insecure());
}

#[test]
fn lenet() {
    let input = [1, 28, 28];
    let (mut n, x) = Network::new(input, 3);
    let x = n.conv(&x, 6, 1, Window::square(5, 1, 2));
    let x = n.activation("Tanh", &x);
    let x = n.pool("AveragePool", &x, 2, 2);
    let x = n.conv(&x, 16, 1, Window::square(5, 1, 0));
    let x = n.activation("Tanh", &x);
    let mut x = n.pool("AveragePool", &x, 2, 2);
    for out in [120, 84] {
        x = n.gemm(&x, out);
        x = n.activation("Tanh", &x);
    }
    let logits = n.gemm(&x, 10);
    // Between bootstraps, or without any: 31 is as good as it gets in five levels.
    let mut options = insecure();
    (options.constraints.ring, options.ways) = (Some(12), Ways::Levelled);
    assert!(check(input, &n.finish(&logits), options) > 1);
}

/// A residual network of `blocks` blocks; `function` is its activation.
fn resnet(
    blocks: usize,
    seed: u64,
    pre_activation: bool,
    function: fn(&mut Network, &Tensor) -> Tensor,
) -> ([usize; 3], Vec<u8>) {
    let input = [3, 8, 8];
    let (mut n, x) = Network::new(input, seed);
    let mut x = n.conv(&x, 8, 1, SAME(1));
    for block in 0..blocks {
        let out = if block < blocks.div_ceil(2) { 8 } else { 16 };
        let stride = out / x.shape[0];
        let short = match stride {
            1 => x.clone(),
            _ => n.conv(&x, out, 1, POINTWISE(stride)),
        };
        let inner = match pre_activation {
            true => {
                let y = n.batch_norm(&x);
                let y = function(&mut n, &y);
                let y = conv_bn(&mut n, &y, out, 1, SAME(stride));
                let y = function(&mut n, &y);
                n.conv(&y, out, 1, SAME(1))
            }
            false => {
                let y = conv_bn(&mut n, &x, out, 1, SAME(stride));
                let y = function(&mut n, &y);
                conv_bn(&mut n, &y, out, 1, SAME(1))
            }
        };
        let sum = n.add(&inner, &short);
        x = match pre_activation {
            true => sum,
            false => function(&mut n, &sum),
        };
    }
    let x = n.global_average_pool(&x);
    let logits = n.gemm(&x, 10);
    (input, n.finish(&logits))
}

fn relu(n: &mut Network, x: &Tensor) -> Tensor {
    n.activation("Relu", x)
}

#[test]
fn preactivation_resnet() {
    let (input, bytes) = resnet(3, 4, true, relu);
    check(input, &bytes, insecure());
}

#[test]
fn silu_resnet() {
    let (input, bytes) = resnet(3, 5, false, Network::silu);
    check(input, &bytes, insecure());
}

/// The search for the best placement computes about as many table entries a node in a deep network as
/// in a shallow one, and the program grows with the network.
#[test]
fn work_is_linear_in_the_depth() {
    let per_block = |blocks: usize| {
        let (_, bytes) = resnet(blocks, 6, true, relu);
        let model = Model::new(&bytes, 1).unwrap();
        let (plan, report) = model.compile(&insecure(), Some(true)).unwrap();
        let efforts = report.candidates.iter().map(|c| c.effort);
        let share = |count: u64| count as f64 / blocks as f64;
        [efforts.max().unwrap(), plan.program.nodes.len() as u64].map(share)
    };
    let shallow = per_block(4);
    for blocks in [8, 16] {
        let deep = per_block(blocks);
        let grown = |i: usize| deep[i] / shallow[i];
        assert!(
            grown(0) < 1.5 && grown(1) < 1.5,
            "{blocks} blocks: {shallow:?}, {deep:?}"
        );
    }
}
