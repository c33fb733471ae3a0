//! Small networks with seeded weights, written as ONNX models.

use prost::Message;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension};
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto,
    TensorShapeProto, TypeProto, ValueInfoProto, type_proto,
};

/// A tensor of the network: its name, and channels, rows, columns.
#[derive(Clone, Debug)]
pub struct Tensor {
    name: String,
    /// Channels, rows, columns.
    pub shape: [usize; 3],
}

impl Tensor {
    fn elements(&self) -> usize {
        self.shape.iter().product()
    }
}

/// An attribute of an operator.
enum Attribute<'a> {
    Int(usize),
    Float(f32),
    Ints(&'a [usize]),
}
use Attribute::{Float, Int, Ints};

/// A window that moves over rows and columns.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Window {
    /// Rows, columns.
    pub kernel: [usize; 2],
    /// Rows, columns.
    pub stride: [usize; 2],
    /// Top, left, bottom, right.
    pub pads: [usize; 4],
    /// Rows, columns.
    pub dilation: [usize; 2],
}

impl Window {
    /// `kernel` x `kernel` with the same stride and padding in both directions.
    pub fn square(kernel: usize, stride: usize, pad: usize) -> Self {
        Self {
            kernel: [kernel; 2],
            stride: [stride; 2],
            pads: [pad; 4],
            dilation: [1; 2],
        }
    }

    /// Rows and columns of the result; None where the window does not fit.
    fn positions(&self, shape: [usize; 3]) -> Option<[usize; 2]> {
        let along = |i: usize| {
            let padded = shape[i + 1] + self.pads[i] + self.pads[i + 2];
            let reach = self.dilation[i] * (self.kernel[i] - 1) + 1;
            Some(padded.checked_sub(reach)? / self.stride[i] + 1)
        };
        Some([along(0)?, along(1)?])
    }

    /// Whether the window fits a tensor of this shape.
    pub fn fits(&self, shape: [usize; 3]) -> bool {
        self.positions(shape).is_some()
    }

    fn result(&self, channels: usize, shape: [usize; 3]) -> [usize; 3] {
        let [rows, columns] = self.positions(shape).expect("the window fits");
        [channels, rows, columns]
    }
}

/// A network in the making. Weights keep values at about the magnitude of the image's.
pub struct Network {
    graph: GraphProto,
    random: ChaCha8Rng,
}

impl Network {
    /// A network that takes one image of this shape, and the image.
    pub fn new(shape: [usize; 3], seed: u64) -> (Self, Tensor) {
        let graph = GraphProto {
            name: "network".to_string(),
            input: vec![tensor_info("image", Some(shape))],
            ..GraphProto::default()
        };
        let random = ChaCha8Rng::seed_from_u64(seed);
        let image = Tensor {
            name: "image".to_string(),
            shape,
        };
        (Self { graph, random }, image)
    }

    /// The model that returns `output`, as bytes.
    pub fn finish(mut self, output: &Tensor) -> Vec<u8> {
        self.graph.output.push(tensor_info(&output.name, None));
        let opset = OperatorSetIdProto {
            domain: String::new(),
            version: 14,
        };
        let model = ModelProto {
            ir_version: 8,
            opset_import: vec![opset],
            graph: Some(self.graph),
            ..ModelProto::default()
        };
        model.encode_to_vec()
    }

    fn node(
        &mut self,
        op: &str,
        inputs: &[&str],
        shape: [usize; 3],
        attributes: &[(&str, Attribute)],
    ) -> Tensor {
        let name = format!("{}_{}", op.to_lowercase(), self.graph.node.len());
        self.graph.node.push(NodeProto {
            op_type: op.to_string(),
            name: name.clone(),
            input: inputs.iter().map(|i| i.to_string()).collect(),
            output: vec![name.clone()],
            attribute: attributes.iter().map(attribute).collect(),
            ..NodeProto::default()
        });
        Tensor { name, shape }
    }

    fn constant(&mut self, dims: &[usize], values: Vec<f32>) -> String {
        let name = format!("constant_{}", self.graph.initializer.len());
        self.graph.initializer.push(TensorProto {
            name: name.clone(),
            dims: dims.iter().map(|&d| d as i64).collect(),
            data_type: DataType::Float as i32,
            float_data: values,
            ..TensorProto::default()
        });
        name
    }

    /// `count` numbers from `low` to `high`, as a constant.
    fn numbers(&mut self, dims: &[usize], low: f32, high: f32) -> String {
        let count = dims.iter().product();
        let values = (0..count).map(|_| self.random.random_range(low..high));
        let values = values.collect();
        self.constant(dims, values)
    }

    /// Weights of operators that sum `fan` products each.
    fn weights(&mut self, dims: &[usize], fan: usize) -> String {
        let size = (3.0 / fan as f32).sqrt();
        self.numbers(dims, -size, size)
    }

    /// A convolution with biases; `groups` divides both channel counts.
    pub fn conv(&mut self, x: &Tensor, out: usize, groups: usize, window: Window) -> Tensor {
        let [kh, kw] = window.kernel;
        let inside = x.shape[0] / groups;
        let weight = self.weights(&[out, inside, kh, kw], inside * kh * kw);
        let bias = self.numbers(&[out], -0.3, 0.3);
        let attributes = [
            ("kernel_shape", Ints(&window.kernel)),
            ("strides", Ints(&window.stride)),
            ("pads", Ints(&window.pads)),
            ("dilations", Ints(&window.dilation)),
            ("group", Int(groups)),
        ];
        let shape = window.result(out, x.shape);
        self.node("Conv", &[&x.name, &weight, &bias], shape, &attributes)
    }

    /// A transposed convolution with a 2x2 or 3x3 window that multiplies rows and columns by `stride`.
    pub fn conv_transpose(
        &mut self,
        x: &Tensor,
        out: usize,
        groups: usize,
        kernel: usize,
        stride: usize,
    ) -> Tensor {
        let [channels, h, w] = x.shape;
        let fan = channels / groups * kernel * kernel / (stride * stride).min(kernel * kernel);
        let weight = self.weights(&[channels, out / groups, kernel, kernel], fan.max(1));
        let bias = self.numbers(&[out], -0.3, 0.3);
        let attributes = [
            ("kernel_shape", Ints(&[kernel, kernel])),
            ("strides", Ints(&[stride, stride])),
            ("group", Int(groups)),
        ];
        let along = |n: usize| (n - 1) * stride + kernel;
        let shape = [out, along(h), along(w)];
        let inputs = [x.name.as_str(), &weight, &bias];
        self.node("ConvTranspose", &inputs, shape, &attributes)
    }

    /// A batch normalisation.
    pub fn batch_norm(&mut self, x: &Tensor) -> Tensor {
        let channels = [x.shape[0]];
        let ranges = [(0.7, 1.3), (-0.3, 0.3), (-0.2, 0.2), (0.6, 1.4)];
        let [scale, shift, mean, variance] =
            ranges.map(|(low, high)| self.numbers(&channels, low, high));
        let inputs = [x.name.as_str(), &scale, &shift, &mean, &variance];
        let epsilon = [("epsilon", Float(1e-3))];
        self.node("BatchNormalization", &inputs, x.shape, &epsilon)
    }

    /// An activation without parameters, e.g. `Relu`.
    pub fn activation(&mut self, op: &str, x: &Tensor) -> Tensor {
        self.node(op, &[&x.name], x.shape, &[])
    }

    /// max(x, 0.1 x).
    pub fn leaky_relu(&mut self, x: &Tensor) -> Tensor {
        self.node("LeakyRelu", &[&x.name], x.shape, &[("alpha", Float(0.1))])
    }

    /// x limited to a range.
    pub fn clip(&mut self, x: &Tensor, low: f32, high: f32) -> Tensor {
        let [low, high] = [low, high].map(|limit| self.constant(&[], vec![limit]));
        self.node("Clip", &[&x.name, &low, &high], x.shape, &[])
    }

    /// x sigmoid(x), as exporters write it.
    pub fn silu(&mut self, x: &Tensor) -> Tensor {
        let gate = self.activation("Sigmoid", x);
        self.mul(x, &gate)
    }

    /// a x^2 + x, with an a for every channel.
    pub fn quadratic(&mut self, x: &Tensor) -> Tensor {
        let square = self.mul(x, x);
        let factor = self.numbers(&[x.shape[0], 1, 1], 0.1, 0.4);
        let scaled = self.node("Mul", &[&square.name, &factor], x.shape, &[]);
        self.add(&scaled, x)
    }

    /// Sum of two tensors of one shape.
    pub fn add(&mut self, x: &Tensor, y: &Tensor) -> Tensor {
        self.node("Add", &[&x.name, &y.name], x.shape, &[])
    }

    /// Product element by element; `y` may have one row and column.
    pub fn mul(&mut self, x: &Tensor, y: &Tensor) -> Tensor {
        self.node("Mul", &[&x.name, &y.name], x.shape, &[])
    }

    /// The channels of both.
    pub fn concat(&mut self, x: &Tensor, y: &Tensor) -> Tensor {
        let [_, h, w] = x.shape;
        let shape = [x.shape[0] + y.shape[0], h, w];
        let axis = [("axis", Int(1))];
        self.node("Concat", &[&x.name, &y.name], shape, &axis)
    }

    /// Average or maximum over windows; the maximum takes no padding into account.
    pub fn pool(&mut self, op: &str, x: &Tensor, kernel: usize, stride: usize) -> Tensor {
        let window = Window::square(kernel, stride, 0);
        let attributes = [
            ("kernel_shape", Ints(&window.kernel)),
            ("strides", Ints(&window.stride)),
        ];
        let shape = window.result(x.shape[0], x.shape);
        self.node(op, &[&x.name], shape, &attributes)
    }

    /// Mean over rows and columns.
    pub fn global_average_pool(&mut self, x: &Tensor) -> Tensor {
        let shape = [x.shape[0], 1, 1];
        self.node("GlobalAveragePool", &[&x.name], shape, &[])
    }

    /// x times a factor for every channel, a small network of the channels' means.
    pub fn squeeze_excite(&mut self, x: &Tensor) -> Tensor {
        let pointwise = Window::square(1, 1, 0);
        let channels = x.shape[0];
        let means = self.global_average_pool(x);
        let hidden = self.conv(&means, channels.div_ceil(2), 1, pointwise);
        let hidden = self.activation("Relu", &hidden);
        let factors = self.conv(&hidden, channels, 1, pointwise);
        let factors = self.activation("Sigmoid", &factors);
        self.mul(x, &factors)
    }

    /// The flattened tensor times a matrix.
    pub fn gemm(&mut self, x: &Tensor, out: usize) -> Tensor {
        let elements = x.elements();
        let flat = self.node("Flatten", &[&x.name], [elements, 1, 1], &[]);
        let weight = self.weights(&[out, elements], elements);
        let bias = self.numbers(&[out], -0.3, 0.3);
        let inputs = [flat.name.as_str(), &weight, &bias];
        self.node("Gemm", &inputs, [out, 1, 1], &[("transB", Int(1))])
    }
}

fn attribute((name, value): &(&str, Attribute)) -> AttributeProto {
    let mut out = AttributeProto {
        name: name.to_string(),
        ..AttributeProto::default()
    };
    match value {
        Int(i) => (out.i, out.r#type) = (*i as i64, AttributeType::Int as i32),
        Float(f) => (out.f, out.r#type) = (*f, AttributeType::Float as i32),
        Ints(v) => {
            out.ints = v.iter().map(|&i| i as i64).collect();
            out.r#type = AttributeType::Ints as i32;
        }
    }
    out
}

/// Floats, of batch 1 where the shape is stated.
fn tensor_info(name: &str, shape: Option<[usize; 3]>) -> ValueInfoProto {
    let dim = |d: usize| Dimension {
        value: Some(dimension::Value::DimValue(d as i64)),
        ..Dimension::default()
    };
    let shape = shape.map(|[c, h, w]| TensorShapeProto {
        dim: [1, c, h, w].map(dim).to_vec(),
    });
    let tensor = type_proto::Tensor {
        elem_type: DataType::Float as i32,
        shape,
    };
    ValueInfoProto {
        name: name.to_string(),
        r#type: Some(TypeProto {
            value: Some(type_proto::Value::TensorType(tensor)),
            ..TypeProto::default()
        }),
        ..ValueInfoProto::default()
    }
}
