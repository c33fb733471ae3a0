//! The protobuf messages of a plan file. Tags are for ever: a change of meaning takes a new tag, and a
//! new [`crate::plan_bytes::VERSION`].

/// The body of the file.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Envelope {
    /// A [`Plan`].
    #[prost(bytes = "vec", tag = "1")]
    pub plan: Vec<u8>,
    /// All constants in four bytes each, little-endian, in the order of maps, stages, weight, bias: f32,
    /// and u32 for the sources of a gather.
    #[prost(bytes = "vec", tag = "2")]
    pub constants: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Plan {
    #[prost(string, tag = "1")]
    pub model: String,
    #[prost(message, optional, tag = "2")]
    pub parameters: Option<Parameters>,
    #[prost(bool, tag = "3")]
    pub insecure: bool,
    #[prost(message, repeated, tag = "4")]
    pub certificate: Vec<Certificate>,
    #[prost(message, optional, tag = "5")]
    pub preprocess: Option<Preprocess>,
    #[prost(message, repeated, tag = "6")]
    pub nodes: Vec<Node>,
    #[prost(message, repeated, tag = "7")]
    pub maps: Vec<Map>,
    #[prost(message, optional, tag = "8")]
    pub keys: Option<Keys>,
    #[prost(message, optional, tag = "10")]
    pub prediction: Option<Prediction>,
    #[prost(uint32, tag = "11")]
    pub target_security: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Parameters {
    #[prost(uint32, tag = "1")]
    pub log_n: u32,
    #[prost(uint64, repeated, tag = "2")]
    pub q: Vec<u64>,
    #[prost(uint64, repeated, tag = "3")]
    pub p: Vec<u64>,
    #[prost(uint64, tag = "4")]
    pub digit: u64,
    #[prost(message, optional, tag = "11")]
    pub bootstrap: Option<Bootstrap>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Bootstrap {
    #[prost(uint32, repeated, tag = "1")]
    pub stc: Vec<u32>,
    #[prost(uint32, repeated, tag = "2")]
    pub cts: Vec<u32>,
    #[prost(uint64, tag = "3")]
    pub cos_degree: u64,
    #[prost(uint32, tag = "4")]
    pub double_angles: u32,
    #[prost(uint32, tag = "5")]
    pub range: u32,
    #[prost(uint64, tag = "6")]
    pub sparse_weight: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Prediction {
    /// As many as nodes of the program.
    #[prost(double, repeated, tag = "1")]
    pub nodes: Vec<f64>,
    #[prost(double, tag = "2")]
    pub setup: f64,
    #[prost(uint64, tag = "3")]
    pub threads: u64,
    #[prost(string, tag = "4")]
    pub machine: String,
    #[prost(uint64, tag = "5")]
    pub peak_bytes: u64,
    #[prost(uint64, tag = "6")]
    pub key_bytes: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Certificate {
    #[prost(string, tag = "1")]
    pub key: String,
    #[prost(uint32, tag = "2")]
    pub log_n: u32,
    #[prost(double, tag = "3")]
    pub log_qp: f64,
    #[prost(string, tag = "4")]
    pub secret: String,
    #[prost(double, tag = "5")]
    pub security: f64,
    #[prost(string, tag = "6")]
    pub source: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Preprocess {
    #[prost(double, repeated, tag = "1")]
    pub mean: Vec<f64>,
    #[prost(double, repeated, tag = "2")]
    pub std: Vec<f64>,
    #[prost(uint64, tag = "3")]
    pub width: u64,
    #[prost(uint64, tag = "4")]
    pub height: u64,
    #[prost(uint64, tag = "5")]
    pub channels: u64,
    #[prost(string, repeated, tag = "6")]
    pub classes: Vec<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Keys {
    #[prost(uint64, repeated, tag = "1")]
    pub steps: Vec<u64>,
    /// As many as `steps`.
    #[prost(uint64, repeated, tag = "2")]
    pub levels: Vec<u64>,
    #[prost(uint64, optional, tag = "3")]
    pub relinearisation: Option<u64>,
    #[prost(uint64, optional, tag = "4")]
    pub conjugation: Option<u64>,
    #[prost(bool, tag = "5")]
    pub encapsulation: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Node {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(uint64, tag = "3")]
    pub level: u64,
    #[prost(double, tag = "4")]
    pub scale: f64,
    #[prost(double, tag = "5")]
    pub unit: f64,
    /// 0 input, 1 linear, 2 mul_const, 3 add, 4 activate, 5 mul, 6 polynomial.
    #[prost(uint32, tag = "6")]
    pub op: u32,
    /// Operands.
    #[prost(uint64, repeated, tag = "7")]
    pub operands: Vec<u64>,
    /// Of a linear.
    #[prost(uint64, tag = "8")]
    pub map: u64,
    /// Factor of a mul_const; rho and coefficients of an activate; coefficients of a polynomial.
    #[prost(double, repeated, tag = "9")]
    pub numbers: Vec<f64>,
    /// Slots, parts, c, h, w, gap, rows, cols, copies, twist.
    #[prost(uint64, repeated, tag = "10")]
    pub layout: Vec<u64>,
    /// Boxed: most nodes have none.
    #[prost(message, optional, boxed, tag = "11")]
    pub target: Option<Box<Target>>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Target {
    #[prost(uint64, tag = "1")]
    pub x: u64,
    #[prost(message, optional, tag = "2")]
    pub function: Option<Function>,
}

/// A scalar function; [`crate::plan_function`] knows the operators.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Function {
    #[prost(uint32, tag = "1")]
    pub op: u32,
    /// Its numbers, in the order of its fields.
    #[prost(double, repeated, tag = "2")]
    pub numbers: Vec<f64>,
    /// Lengths of the lists at the end of the numbers, where it has several.
    #[prost(uint64, repeated, tag = "3")]
    pub lengths: Vec<u64>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Map {
    #[prost(message, repeated, tag = "1")]
    pub stages: Vec<Stage>,
    #[prost(double, tag = "2")]
    pub gain: f64,
    #[prost(double, tag = "3")]
    pub bias_gain: f64,
    #[prost(bool, tag = "4")]
    pub fold: bool,
    #[prost(uint64, tag = "5")]
    pub giant: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Stage {
    /// 0 conv, 1 gemm, 2 average_pool, 3 affine, 4 slice, 5 pad, 6 reshape, 7 conv_transpose,
    /// 8 elementwise, 9 gather.
    #[prost(uint32, tag = "1")]
    pub op: u32,
    /// The operator's integers, in the order of its fields in [`crate::nn::Linear`].
    #[prost(uint64, repeated, tag = "2")]
    pub integers: Vec<u64>,
    /// Numbers of constants: weight or scale or source, bias or shift.
    #[prost(uint64, repeated, tag = "3")]
    pub constants: Vec<u64>,
}
