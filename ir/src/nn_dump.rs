//! The nn language as text, one value a line; constants as shape and hash.

use crate::function::Function;
use crate::nn::{Graph, Linear, Op, ValueId};

impl Graph {
    /// One line per value in dataflow order: `v12 = conv v11 ... : 16x32x32  // name`. A graph with a
    /// cycle prints in index order.
    pub fn dump(&self) -> String {
        let order = petgraph::algo::toposort(&self.nodes, None);
        let order = order.unwrap_or_else(|_| self.nodes.node_indices().collect());
        let mut text: String = order.into_iter().map(|id| self.line(id)).collect();
        text += &format!("return v{}\n", self.output.index());
        text
    }

    fn line(&self, id: ValueId) -> String {
        let node = &self.nodes[id];
        let operator = match &node.op {
            Op::Input => "input".to_string(),
            Op::Add => "add".to_string(),
            Op::Mul => "mul".to_string(),
            Op::Activation(function) => function.name().to_string(),
            Op::Linear(linear) => linear.name().to_string(),
        };
        let operands: String = self
            .operands(id)
            .iter()
            .map(|v| format!(" v{}", v.index()))
            .collect();
        let attributes = match &node.op {
            Op::Linear(linear) => attributes(linear),
            Op::Activation(function) => parameters(function),
            Op::Input | Op::Add | Op::Mul => String::new(),
        };
        let name: String = node.name.chars().filter(|c| !c.is_control()).collect();
        format!(
            "v{} = {operator}{operands}{attributes} : {}  // {name}\n",
            id.index(),
            node.shape
        )
    }
}

/// Parameters of `function`, with a leading space; nothing where there are none.
pub fn parameters(function: &Function) -> String {
    match function {
        Function::LeakyRelu { slope } => format!(" slope {slope}"),
        Function::Clip { min, max } => format!(" {min}..{max}"),
        Function::HardSigmoid { alpha, beta } => format!(" alpha {alpha} beta {beta}"),
        Function::Elu { alpha } => format!(" alpha {alpha}"),
        Function::Selu { alpha, gamma } => format!(" alpha {alpha} gamma {gamma}"),
        Function::Power { exponent } => format!(" exponent {exponent}"),
        Function::Polynomial { coefficients } => {
            let all: Vec<f32> = coefficients.concat();
            let (rows, columns) = (coefficients.len(), all.len() / coefficients.len().max(1));
            format!(" coefficients {rows}x{columns}#{}", short_hash(&all))
        }
        Function::Approximated(approximation) => format!(" {approximation}"),
        Function::Relu
        | Function::Sigmoid
        | Function::HardSwish
        | Function::Silu
        | Function::Gelu { .. }
        | Function::Tanh
        | Function::Softplus
        | Function::Mish
        | Function::Abs
        | Function::Sqrt
        | Function::Exp
        | Function::Reciprocal => String::new(),
    }
}

/// Attributes and constants of `linear`, with a leading space; nothing for defaults.
pub fn attributes(linear: &Linear) -> String {
    let mut text = String::new();
    let mut put = |what: &str, values: &[usize], default: usize| {
        if values.iter().any(|&v| v != default) {
            let list: Vec<String> = values.iter().map(usize::to_string).collect();
            text += &format!(" {what} {}", list.join("x"));
        }
    };
    match linear {
        Linear::Conv { window, .. } | Linear::ConvTranspose { window, .. } => {
            put("kernel", &window.kernel, 0);
            put("stride", &window.stride, 1);
            put("pads", &window.pads, 0);
            if let Linear::ConvTranspose { output_padding, .. } = linear {
                put("output_padding", output_padding, 0);
            }
            put("dilation", &window.dilation, 1);
            put("groups", &[window.groups], 1);
        }
        Linear::Gemm { .. } | Linear::Affine { .. } | Linear::Elementwise { .. } => (),
        Linear::AveragePool { kernel, stride } => {
            put("kernel", kernel, 0);
            put("stride", stride, 1);
        }
        Linear::Slice { start, step, .. } => {
            put("start", start, 0);
            put("step", step, 1);
        }
        Linear::Pad { before, after } => {
            put("before", before, 0);
            put("after", after, 0);
        }
        Linear::Gather { source, .. } => {
            let bytes = source.iter().flat_map(|s| s.to_le_bytes()).collect();
            text += &format!(" source {}#{}", source.len(), hash_of(bytes));
        }
        // The shape after the colon says it all.
        Linear::Reshape { .. } => (),
    }
    let names = match linear {
        Linear::Affine { .. } | Linear::Elementwise { .. } => ["scale", "shift"],
        _ => ["weight", "bias"],
    };
    for (name, values) in names.iter().zip(linear.constants()) {
        if !values.is_empty() {
            text += &format!(" {name} {}#{}", values.len(), short_hash(values));
        }
    }
    text
}

/// Eight hexadecimal digits of BLAKE3 over the little-endian bytes.
pub fn short_hash(values: &[f32]) -> String {
    hash_of(values.iter().flat_map(|v| v.to_le_bytes()).collect())
}

fn hash_of(bytes: Vec<u8>) -> String {
    blake3::hash(&bytes).to_hex()[..8].to_string()
}
