//! Plans beyond the first one: tensors over several ciphertexts, products, levelled polynomials,
//! operands above the level they are needed at, with and without bootstraps.

use hecc_ir::costs::CostTable;
use hecc_ir::layout::Layout;
use hecc_ir::nn::{Linear, Shape, Window};
use hecc_ir::params::{BootstrapChain, Chain, Parameters};
use hecc_ir::plan::{Plan, Preprocess};
use hecc_ir::program::{LinearMap, Node, Op, Program, Value};

use super::numbers;

const LOG_N: u32 = 11;
const SLOTS: usize = 1 << (LOG_N - 1);
/// Channels: four times 16x16 fill a ciphertext.
const CHANNELS: usize = 8;
const SIDE: usize = 16;

/// The image of these plans, [8, 16, 16]: two ciphertexts.
pub fn wide_image() -> Vec<f32> {
    numbers(CHANNELS * SIDE * SIDE, 98)
}

/// A program under construction.
struct Builder {
    parameters: Parameters,
    program: Program,
}

impl Builder {
    fn new(chain: &Chain) -> Self {
        let program = Program {
            nodes: Vec::new(),
            maps: Vec::new(),
        };
        Self {
            parameters: Parameters::from_chain(chain).unwrap(),
            program,
        }
    }

    /// Appends a node at this level, scale and unit, with the layout of its operand.
    fn push(&mut self, op: Op, level: usize, scale: f64, unit: f64) -> Value {
        let wide = Layout {
            slots: SLOTS,
            parts: 2,
            shape: Shape::new(CHANNELS, SIDE, SIDE),
            gap: 1,
            rows: SIDE,
            cols: SIDE,
            copies: 1,
            twist: 0,
        };
        let operand = op.operands().first().copied();
        let layout = operand.map_or(wide, |x| self.program.nodes[x].layout.clone());
        let nodes = &mut self.program.nodes;
        nodes.push(Node {
            op,
            name: format!("node{}", nodes.len()),
            layout,
            level,
            scale,
            unit,
            target: None,
        });
        nodes.len() - 1
    }

    /// Appends an affine map to the unit 1, to the operand's layout; or to another one, from a level above.
    fn linear(&mut self, x: Value, stages: Vec<Linear>, fold: bool, to: Option<Layout>) -> Value {
        let from = self.program.nodes[x].clone();
        self.program.maps.push(LinearMap {
            stages,
            gain: from.unit,
            bias_gain: 1.0,
            fold,
            giant: 16,
        });
        let map = self.program.maps.len() - 1;
        let scale = self.parameters.scale();
        let value = self.push(Op::Linear { x, map }, from.level - 1, scale, 1.0);
        if let Some(to) = to {
            let node = &mut self.program.nodes[value];
            (node.layout, node.level) = (to, node.level - 1);
        }
        value
    }

    /// A 3x3 convolution that keeps the shape and does not enlarge values.
    fn conv(&mut self, x: Value, seed: u64) -> Value {
        let weight = numbers(CHANNELS * CHANNELS * 9, seed);
        let conv = Linear::Conv {
            weight: weight.iter().map(|w| w * 0.06).collect(),
            bias: numbers(CHANNELS, seed + 1)
                .iter()
                .map(|b| b * 0.2)
                .collect(),
            out_channels: CHANNELS,
            window: Window::same(3, 1),
        };
        self.linear(x, vec![conv], false, None)
    }

    /// x^2 + x: the product takes operands from a level above its own, the sum one of its operands.
    fn square_plus(&mut self, x: Value) -> Value {
        let node = self.program.nodes[x].clone();
        let level = node.level - 2;
        let scale = node.scale * node.scale / self.parameters.q[level + 1] as f64;
        let unit = node.unit * node.unit;
        let square = self.push(Op::Mul { x, y: x }, level, scale, unit);
        let factor = node.unit / unit;
        let skip = self.push(Op::MulConst { x, factor }, level + 1, scale, unit);
        let (x, y) = (square, skip);
        self.push(Op::Add { x, y }, level, scale, unit)
    }

    /// Pooling and a classifier of five classes, from two ciphertexts into one.
    fn classify(&mut self, x: Value) -> Value {
        let classes = Layout {
            slots: SLOTS,
            parts: 1,
            shape: Shape::new(5, 1, 1),
            gap: 1,
            rows: 1,
            cols: 1,
            copies: SLOTS / 8,
            twist: 0,
        };
        let side = SIDE / 2;
        let stages = vec![
            Linear::AveragePool {
                kernel: [2, 2],
                stride: [2, 2],
            },
            Linear::Gemm {
                weight: numbers(5 * CHANNELS * side * side, 50)
                    .iter()
                    .map(|w| w * 0.2)
                    .collect(),
                bias: numbers(5, 51),
                rows: 5,
            },
        ];
        self.linear(x, stages, true, Some(classes))
    }

    fn plan(self) -> Plan {
        let preprocess = Preprocess {
            mean: vec![0.0; CHANNELS],
            std: vec![1.0; CHANNELS],
            width: SIDE,
            height: SIDE,
            channels: CHANNELS,
            classes: Vec::new(),
        };
        hecc_backend::emit(
            self.program,
            self.parameters,
            128,
            true,
            "wide.onnx",
            preprocess,
            CostTable::reference(),
        )
        .unwrap()
    }
}

/// Without any bootstrap: convolution, square and skip, a cubic, classifier; some levels left over.
pub fn levelled() -> Plan {
    let mut b = Builder::new(&Chain {
        log_n: LOG_N,
        bottom: 44,
        levelled: (8, 34),
        bootstrap: None,
        special: (2, 48),
        digit: 2,
    });
    let (top, scale) = (b.parameters.top(), b.parameters.scale());
    let x = b.push(Op::Input, top, scale, 2.0);
    let x = b.conv(x, 1);
    let x = b.square_plus(x);
    // Two levels for the cubic; its operand stands one higher.
    let coefficients = vec![0.1, 0.5, 0.2, -0.1];
    let level = b.program.nodes[x].level - 3;
    let x = b.push(Op::Polynomial { x, coefficients }, level, scale, 1.0);
    b.classify(x);
    b.plan()
}

/// Two activations of two ciphertexts each, one of a lower degree than the chain is for, one that
/// leaves its operand as it is; a product in between.
pub fn bootstrapped() -> Plan {
    let mut b = Builder::new(&Chain {
        log_n: LOG_N,
        bottom: 32,
        levelled: (3, 30),
        bootstrap: Some(BootstrapChain {
            p: (4, 34),
            cosine: 35,
            cts_groups: 3,
        }),
        special: (4, 46),
        digit: 5,
    });
    let scale = b.parameters.scale();
    let out = b.parameters.activation_out(15).unwrap();
    let x = b.push(Op::Input, out, scale, 1.0);
    let x = b.conv(x, 1);
    // sin((pi/2) 0.9 x) / 2, at a level below the one that degree 7 leaves, of an operand that stands
    // above the bootstrap's entry.
    let activate = |x, coefficients, rho| Op::Activate {
        x,
        coefficients,
        rho,
    };
    let sine = vec![0.0, -0.5, 0.0, 0.0, 0.0, 0.0, 0.0, 1e-3];
    let x = b.push(activate(x, sine, 0.9), out, scale, 1.0);
    let x = b.square_plus(x);
    let x = b.push(
        activate(x, vec![0.0, -0.9, 0.0, 0.05], 0.6),
        out,
        scale,
        1.0,
    );
    b.classify(x);
    b.plan()
}
