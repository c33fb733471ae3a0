//! The nn language: a dataflow graph over tensors of one image (the batch axis is gone).
//!
//! Every value is a tensor `[c, h, w]`; a vector of length n is `[n, 1, 1]`, and flattening is a
//! change of shape in c-major order that moves nothing. Constants live inside the operators.

use petgraph::Direction;
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::EdgeRef;

use crate::function::Function;

/// Shape of one value: channels, rows, columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Shape {
    /// Channels.
    pub c: usize,
    /// Rows.
    pub h: usize,
    /// Columns.
    pub w: usize,
}

impl Shape {
    /// A tensor `[c, h, w]`.
    pub fn new(c: usize, h: usize, w: usize) -> Self {
        Self { c, h, w }
    }
    /// Number of elements.
    pub fn elements(&self) -> usize {
        self.c * self.h * self.w
    }
    /// Position of `(c, y, x)` in c-major order.
    pub fn index(&self, c: usize, y: usize, x: usize) -> usize {
        (c * self.h + y) * self.w + x
    }
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}x{}x{}", self.c, self.h, self.w)
    }
}

/// A value of the graph, printed `v12`.
pub type ValueId = NodeIndex<u32>;

/// Where a convolution meets its operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// `[kh, kw]`.
    pub kernel: [usize; 2],
    /// `[sy, sx]`.
    pub stride: [usize; 2],
    /// `[top, left, bottom, right]`.
    pub pads: [usize; 4],
    /// `[dy, dx]`.
    pub dilation: [usize; 2],
    /// Groups; divides both channel counts.
    pub groups: usize,
}

impl Window {
    /// The same of so many groups.
    pub fn grouped(self, groups: usize) -> Self {
        Self { groups, ..self }
    }

    /// Rows and columns from the first tap to tap `tap`, row-major.
    pub fn offset(&self, tap: usize) -> [usize; 2] {
        let [row, column] = [tap / self.kernel[1], tap % self.kernel[1]];
        [row * self.dilation[0], column * self.dilation[1]]
    }

    /// Which position along `axis` (0 rows, 1 columns) of the operand tap `tap` of the kernel meets for
    /// position `at` of the result; beyond any operand, wrapped around, in the padding before it.
    pub fn met(&self, axis: usize, at: usize, tap: usize) -> usize {
        (at * self.stride[axis] + tap * self.dilation[axis]).wrapping_sub(self.pads[axis])
    }

    /// Taps of the kernel.
    pub fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// Of one group, without dilation, padded so that `size` gives `size / stride` where `kernel` is odd.
    pub fn same(kernel: usize, stride: usize) -> Self {
        Self {
            kernel: [kernel; 2],
            stride: [stride; 2],
            pads: [kernel / 2; 4],
            dilation: [1; 2],
            groups: 1,
        }
    }
}

/// A linear operator with its constants: one input, one output, affine in its input.
#[derive(Clone, Debug, PartialEq)]
pub enum Linear {
    /// Cross-correlation, `weight` as `[out][in/groups][kh][kw]`.
    Conv {
        /// `[out][in/groups][kh][kw]`, row-major.
        weight: Vec<f32>,
        /// One per output channel.
        bias: Vec<f32>,
        /// Output channels.
        out_channels: usize,
        /// Where it meets its operand.
        window: Window,
    },
    /// Transposed convolution: every input element adds `weight` times itself to a window of the output.
    ConvTranspose {
        /// `[in][out/groups][kh][kw]`, row-major.
        weight: Vec<f32>,
        /// One per output channel.
        bias: Vec<f32>,
        /// Output channels.
        out_channels: usize,
        /// That of the convolution it transposes: the pads are cut from the full output.
        window: Window,
        /// Rows and columns added at the bottom and the right.
        output_padding: [usize; 2],
    },
    /// `y = W x + b` on the flattened input; the output is `[rows, 1, 1]`.
    Gemm {
        /// `[rows][cols]`, row-major; `cols` = elements of the input.
        weight: Vec<f32>,
        /// One per row.
        bias: Vec<f32>,
        /// Output length.
        rows: usize,
    },
    /// Mean over windows without padding; global pooling has `kernel` = spatial size.
    AveragePool {
        /// `[kh, kw]`.
        kernel: [usize; 2],
        /// `[sy, sx]`.
        stride: [usize; 2],
    },
    /// Per-channel `scale * x + shift` (batch normalisation).
    Affine {
        /// One per channel.
        scale: Vec<f32>,
        /// One per channel.
        shift: Vec<f32>,
    },
    /// Per-element `scale * x + shift`.
    Elementwise {
        /// One per element, c-major.
        scale: Vec<f32>,
        /// One per element, c-major.
        shift: Vec<f32>,
    },
    /// Sub-tensor: `start + k*step` along c, y, x, for as many elements as the output shape has.
    Slice {
        /// First index along c, y, x.
        start: [usize; 3],
        /// Step along c, y, x (at least 1).
        step: [usize; 3],
        /// Output shape.
        shape: Shape,
    },
    /// Zero padding before and after along c, y, x.
    Pad {
        /// Elements added before, along c, y, x.
        before: [usize; 3],
        /// Elements added after, along c, y, x.
        after: [usize; 3],
    },
    /// Any selection of elements: transposes, nearest-neighbour resizes, broadcasts, reversals.
    Gather {
        /// Output shape.
        shape: Shape,
        /// For every output element, c-major, the input element it takes.
        source: Vec<u32>,
    },
    /// Flatten or unflatten in c-major order.
    Reshape {
        /// Output shape; same number of elements.
        shape: Shape,
    },
}

/// An operator of the nn language.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// The image.
    Input,
    /// One input.
    Linear(Linear),
    /// Two inputs of equal shape.
    Add,
    /// Product element by element, two inputs of equal shape.
    Mul,
    /// One input, element by element.
    Activation(Function),
}

/// A node: an operator, the value it defines, and the ONNX name it came from.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// The operator.
    pub op: Op,
    /// ONNX node name, for messages.
    pub name: String,
    /// Shape of the value it defines.
    pub shape: Shape,
}

/// The graph: node weights are operators, an edge carries the operand's position at its target.
#[derive(Clone, Debug)]
pub struct Graph {
    /// The dataflow graph. Edges run from producer to consumer.
    pub nodes: DiGraph<Node, u8, u32>,
    /// The image.
    pub input: ValueId,
    /// The logits.
    pub output: ValueId,
}

impl Graph {
    /// A graph that returns its input.
    pub fn new(name: &str, shape: Shape) -> Self {
        let mut nodes = DiGraph::default();
        let input = nodes.add_node(Node {
            op: Op::Input,
            name: name.to_string(),
            shape,
        });
        Self {
            nodes,
            input,
            output: input,
        }
    }

    /// Appends an operator on `operands`; the shape is the caller's claim, verified by `verify`.
    pub fn push(&mut self, op: Op, name: &str, shape: Shape, operands: &[ValueId]) -> ValueId {
        let id = self.nodes.add_node(Node {
            op,
            name: name.to_string(),
            shape,
        });
        for (position, &operand) in operands.iter().enumerate() {
            self.nodes.add_edge(operand, id, position as u8);
        }
        id
    }

    /// Operands of `id` in order.
    pub fn operands(&self, id: ValueId) -> Vec<ValueId> {
        let mut edges: Vec<_> = self
            .nodes
            .edges_directed(id, Direction::Incoming)
            .map(|e| (*e.weight(), e.source()))
            .collect();
        edges.sort_unstable_by_key(|&(position, _)| position);
        edges.into_iter().map(|(_, source)| source).collect()
    }
}
