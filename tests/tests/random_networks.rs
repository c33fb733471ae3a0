//! Random networks through everything: what tract computes from the ONNX file, the imported graph, the
//! plan in the clear by elements and by slots, the simulator, and ciphertexts on a small insecure ring.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use hecc_ir::plan::Plan;
use hecc_ir::program::Op;
use hecc_passes::{Mode, Options, Ways};
use hecc_tests::agree::{Check, check_clear, check_encrypted, insecure};
use hecc_tests::onnx::{Network, Tensor, Window};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// What stands between two convolutions.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Function {
    Relu,
    LeakyRelu,
    Sigmoid,
    Tanh,
    Silu,
    HardSwish,
    Clip,
    Quadratic,
}
use Function::{Clip, HardSwish, LeakyRelu, Quadratic, Relu, Sigmoid, Silu, Tanh};

const FUNCTIONS: [Function; 8] = [
    Relu, LeakyRelu, Sigmoid, Tanh, Silu, HardSwish, Clip, Quadratic,
];

/// A part of a network; whatever does not fit the tensor it gets is made to fit.
#[derive(Clone, Debug)]
enum Block {
    Conv {
        channels: usize,
        window: Window,
        groups: usize,
        norm: bool,
        function: Function,
    },
    ConvTranspose {
        channels: usize,
        kernel: usize,
        stride: usize,
        function: Function,
    },
    /// x + conv(f(conv(x))).
    Residual {
        pre_activation: bool,
        function: Function,
    },
    /// Channels of x beside those of f(conv(x)).
    Concat {
        channels: usize,
        function: Function,
    },
    SqueezeExcite,
    AveragePool {
        kernel: usize,
        stride: usize,
    },
    /// Maxima over 2x2 windows.
    MaxPool,
}

#[derive(Clone, Debug)]
struct Description {
    input: [usize; 3],
    blocks: Vec<Block>,
    classes: usize,
    seed: u64,
    activation: usize,
    placement: usize,
    bootstraps: bool,
}

/// Most elements of a tensor, so that a case stays small.
const MAX_ELEMENTS: usize = 4000;

fn greatest_divisor(of: usize, at_most: usize) -> usize {
    (1..=at_most.min(of))
        .rev()
        .find(|g| of.is_multiple_of(*g))
        .unwrap_or(1)
}

fn apply(n: &mut Network, x: &Tensor, function: Function) -> Tensor {
    match function {
        Relu => n.activation("Relu", x),
        LeakyRelu => n.leaky_relu(x),
        Sigmoid => n.activation("Sigmoid", x),
        Tanh => n.activation("Tanh", x),
        Silu => n.silu(x),
        HardSwish => n.activation("HardSwish", x),
        Clip => n.clip(x, 0.0, 1.5),
        Quadratic => n.quadratic(x),
    }
}

/// A window that fits: less dilated, then smaller, then padded.
fn fitting(mut window: Window, shape: [usize; 3]) -> Window {
    if !window.fits(shape) {
        window.dilation = [1; 2];
    }
    if !window.fits(shape) {
        window.kernel = [1; 2];
    }
    // Padding wider than the window leaves results that see nothing of the image.
    let reach = |i: usize| window.dilation[i] * (window.kernel[i] - 1);
    window.pads = [0, 1, 2, 3].map(|side| window.pads[side].min(reach(side % 2)));
    match window.fits(shape) {
        true => window,
        false => Window::square(1, 1, 0),
    }
}

fn append(n: &mut Network, x: &Tensor, block: &Block) -> Tensor {
    let [channels, h, w] = x.shape;
    let same = Window::square(3, 1, 1);
    match block {
        Block::Conv {
            channels: out,
            window,
            groups,
            norm,
            function,
        } => {
            let window = fitting(*window, x.shape);
            let groups = greatest_divisor(channels, *groups);
            let out = out.next_multiple_of(groups);
            let mut y = n.conv(x, out, groups, window);
            if *norm {
                y = n.batch_norm(&y);
            }
            apply(n, &y, *function)
        }
        Block::ConvTranspose {
            channels: out,
            kernel,
            stride,
            function,
        } => {
            let larger = out * (h * stride + kernel) * (w * stride + kernel);
            let stride = if larger > MAX_ELEMENTS { 1 } else { *stride };
            let y = n.conv_transpose(x, *out, 1, *kernel, stride);
            apply(n, &y, *function)
        }
        Block::Residual {
            pre_activation,
            function,
        } => {
            let inner = match pre_activation {
                true => {
                    let normal = n.batch_norm(x);
                    apply(n, &normal, *function)
                }
                false => {
                    let inner = n.conv(x, channels, 1, same);
                    apply(n, &inner, *function)
                }
            };
            let inner = n.conv(&inner, channels, 1, same);
            n.add(&inner, x)
        }
        Block::Concat {
            channels: out,
            function,
        } => {
            let more = n.conv(x, *out, 1, same);
            let more = apply(n, &more, *function);
            n.concat(x, &more)
        }
        Block::SqueezeExcite => n.squeeze_excite(x),
        Block::AveragePool { kernel, stride } => match h.min(w) >= *kernel {
            true => n.pool("AveragePool", x, *kernel, *stride),
            false => x.clone(),
        },
        Block::MaxPool => match h.min(w) >= 2 {
            true => n.pool("MaxPool", x, 2, 2),
            false => x.clone(),
        },
    }
}

impl Description {
    fn bytes(&self) -> Vec<u8> {
        let (mut n, mut x) = Network::new(self.input, self.seed);
        for block in &self.blocks {
            x = append(&mut n, &x, block);
        }
        let logits = n.gemm(&x, self.classes);
        n.finish(&logits)
    }

    fn options(&self) -> Options {
        Options {
            ways: [
                Ways::Fused,
                Ways::Any,
                Ways::Levelled,
                Ways::Composite(vec![7, 7]),
            ][self.activation]
                .clone(),
            mode: [Mode::Exact, Mode::Greedy, Mode::Always][self.placement],
            ..insecure()
        }
    }
}

fn windows() -> impl Strategy<Value = Window> {
    let pair = |from: usize, to: usize| [from..=to, from..=to];
    let pads = [0usize..=2, 0..=2, 0..=2, 0..=2];
    (pair(1, 4), pair(1, 3), pads, pair(1, 2)).prop_map(|(kernel, stride, pads, dilation)| Window {
        kernel,
        stride,
        pads,
        dilation,
    })
}

fn blocks() -> impl Strategy<Value = Block> {
    let function = || proptest::sample::select(&FUNCTIONS[..]);
    let channels = || 1usize..=16;
    prop_oneof![
        4 => (channels(), windows(), 1usize..=4, any::<bool>(), function()).prop_map(
            |(channels, window, groups, norm, function)| Block::Conv {
                channels,
                window,
                groups,
                norm,
                function
            }
        ),
        1 => (1usize..=4, 2usize..=3, 1usize..=2, function()).prop_map(
            |(channels, kernel, stride, function)| Block::ConvTranspose {
                channels,
                kernel,
                stride,
                function
            }
        ),
        2 => (any::<bool>(), function()).prop_map(|(pre_activation, function)| Block::Residual {
            pre_activation,
            function
        }),
        1 => (1usize..=4, function())
            .prop_map(|(channels, function)| Block::Concat { channels, function }),
        1 => Just(Block::SqueezeExcite),
        1 => (2usize..=3, 1usize..=2)
            .prop_map(|(kernel, stride)| Block::AveragePool { kernel, stride }),
        1 => Just(Block::MaxPool),
    ]
}

fn descriptions() -> impl Strategy<Value = Description> {
    (
        (1usize..=3, 3usize..=20, 3usize..=20),
        vec(blocks(), 1..=3),
        2usize..=10,
        any::<u64>(),
        0usize..4,
        0usize..3,
        any::<bool>(),
    )
        .prop_map(
            |((c, h, w), blocks, classes, seed, activation, placement, bootstraps)| Description {
                input: [c, h, w],
                blocks,
                classes,
                seed,
                activation,
                placement,
                bootstraps,
            },
        )
}

#[test]
fn random_networks_mean_the_same_everywhere() {
    let config = Config {
        cases: 48,
        failure_persistence: None,
        max_shrink_iters: 40,
        ..Config::default()
    };
    let random = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let mut runner = TestRunner::new_with_rng(config, random);
    let seen = RefCell::new(BTreeMap::new());
    let outcome = runner.run(&descriptions(), |description| {
        let check = Check {
            bytes: &description.bytes(),
            input: description.input,
            options: description.options(),
            bootstraps: description.bootstraps.then_some(true),
        };
        let plan = check_clear(&check).map_err(TestCaseError::fail)?;
        for kind in kinds(&plan) {
            *seen.borrow_mut().entry(kind).or_insert(0) += 1;
        }
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
    // The cases are always the same: each kind of program is among them.
    let seen = seen.into_inner();
    println!("{seen:?}");
    for kind in KINDS {
        assert!(seen.get(kind) >= Some(&3), "{kind}: {seen:?}");
    }
}

const KINDS: [&str; 7] = [
    "several ciphertexts",
    "no bootstrap",
    "fused",
    "refreshed",
    "polynomial",
    "product",
    "folded map",
];

/// What a plan shows, of [`KINDS`].
fn kinds(plan: &Plan) -> BTreeSet<&'static str> {
    let program = &plan.program;
    let mut kinds = BTreeSet::new();
    if plan.parameters.bootstrap.is_none() {
        kinds.insert("no bootstrap");
    }
    for node in &program.nodes {
        if node.layout.parts > 1 {
            kinds.insert("several ciphertexts");
        }
        let refresh = node.target.as_ref().is_some_and(|t| t.function.is_none());
        kinds.extend(match &node.op {
            Op::Activate { .. } if refresh => Some("refreshed"),
            Op::Activate { .. } => Some("fused"),
            Op::Polynomial { .. } => Some("polynomial"),
            Op::Mul { .. } => Some("product"),
            Op::Linear { map, .. } => program.maps[*map].fold.then_some("folded map"),
            Op::Input | Op::MulConst { .. } | Op::Add { .. } => None,
        });
    }
    kinds
}

fn conv(channels: usize, function: Function) -> Block {
    Block::Conv {
        channels,
        window: Window::square(3, 1, 1),
        groups: 1,
        norm: true,
        function,
    }
}

/// Compiles a fixed network, and runs it in the clear and encrypted; `expect` says of the plan which
/// of [`KINDS`] it is to show.
fn encrypted(input: [usize; 3], blocks: Vec<Block>, ways: Ways, mode: Mode, expect: &[&str]) {
    let description = Description {
        input,
        blocks,
        classes: 4,
        seed: 5,
        activation: 0,
        placement: 0,
        bootstraps: true,
    };
    let check = Check {
        bytes: &description.bytes(),
        input,
        options: Options {
            ways,
            mode,
            ..insecure()
        },
        bootstraps: Some(!expect.contains(&"no bootstrap")),
    };
    let plan = check_clear(&check).unwrap();
    let kinds = kinds(&plan);
    assert!(expect.iter().all(|kind| kinds.contains(kind)), "{kinds:?}");
    check_encrypted(plan).unwrap();
}

#[test]
fn encrypted_with_fused_activations() {
    let residual = Block::Residual {
        pre_activation: false,
        function: Relu,
    };
    let blocks = vec![conv(4, Relu), residual, conv(4, Silu)];
    encrypted([2, 7, 7], blocks, Ways::Fused, Mode::Exact, &["fused"]);
}

#[test]
fn encrypted_in_several_ciphertexts_without_bootstraps() {
    let blocks = vec![
        conv(16, Quadratic),
        Block::AveragePool {
            kernel: 2,
            stride: 2,
        },
        Block::SqueezeExcite,
    ];
    encrypted(
        [3, 10, 10],
        blocks,
        Ways::Levelled,
        Mode::Exact,
        &["several ciphertexts", "no bootstrap"],
    );
}

#[test]
fn encrypted_in_several_ciphertexts_with_bootstraps_before_every_activation() {
    let residual = Block::Residual {
        pre_activation: true,
        function: HardSwish,
    };
    let blocks = vec![conv(12, Relu), residual, Block::SqueezeExcite];
    encrypted(
        [3, 10, 10],
        blocks,
        Ways::Any,
        Mode::Always,
        &["several ciphertexts", "refreshed"],
    );
}

#[test]
fn encrypted_with_composite_activations() {
    let blocks = vec![
        conv(4, Relu),
        Block::Conv {
            channels: 6,
            window: Window {
                kernel: [3, 2],
                stride: [2, 1],
                pads: [1, 0, 0, 1],
                dilation: [1, 2],
            },
            groups: 2,
            norm: true,
            function: LeakyRelu,
        },
    ];
    let ways = Ways::Composite(vec![7, 7]);
    encrypted(
        [2, 7, 9],
        blocks,
        ways,
        Mode::Exact,
        &["no bootstrap", "polynomial"],
    );
}
