//! The ckks language: a straight-line program on ciphertexts, level and scale explicit.
//!
//! A value is a tensor, in as many ciphertexts as its layout has parts, all of one level and scale.
//! Operands may stand higher than an operator needs: they are dropped first, which is exact and
//! costs nothing. A value's slots hold real numbers of magnitude about 1: the value of the network divided by the
//! value's `unit`. A level is the index of the topmost limb (level 0 = one limb).

use crate::function::Function;
use crate::layout::Layout;
use crate::nn::Linear;

/// A value of the program, printed `v3`: the index of the node that defines it.
pub type Value = usize;

/// An affine map between two layouts, one level.
///
/// `out = fold( sum_d diagonal_d * rotate(in, d) ) + bias`, where the matrix is the product of
/// `stages` (first applied first) times `gain`, and the biases of the stages propagate likewise.
#[derive(Clone, Debug, PartialEq)]
pub struct LinearMap {
    /// nn operators, applied left to right; shapes chain from the input layout's shape.
    pub stages: Vec<Linear>,
    /// Factor on the matrix: unit of the input / unit of the output.
    pub gain: f64,
    /// Factor on the accumulated bias: 1 / unit of the output.
    pub bias_gain: f64,
    /// When true, each term of the sum is computed in one copy only and the copies are added up by
    /// log2(copies) rotations afterwards; the output layout then has no twist.
    pub fold: bool,
    /// Giant step of baby-step giant-step, in slots: offset d = giant * j + baby.
    pub giant: usize,
}

/// An operator of the ckks language.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// The encrypted image.
    Input,
    /// An affine map; one level.
    Linear {
        /// Operand.
        x: Value,
        /// Index into [`Program::maps`].
        map: usize,
    },
    /// Multiplication by a real constant, encoded so that the result has the node's scale exactly; one
    /// level, same layout.
    MulConst {
        /// Operand.
        x: Value,
        /// The constant.
        factor: f64,
    },
    /// Sum of two values of equal scale and layout, no level.
    Add {
        /// Left operand.
        x: Value,
        /// Right operand.
        y: Value,
    },
    /// Product of two values of equal layout, slot by slot; one level. The result's scale is the product
    /// of the operands' scales over the prime that is divided away.
    Mul {
        /// Left operand.
        x: Value,
        /// Right operand; may be the left one.
        y: Value,
    },
    /// A Chebyshev series of the slots, as many levels as its degree has bits; same layout.
    Polynomial {
        /// Operand, |x| <= 1 within the calibrated range.
        x: Value,
        /// c_0.. .
        coefficients: Vec<f64>,
    },
    /// The activation inside the bootstrap: `out = P(cos((pi/2)(1 + rho * x)))`, P in the Chebyshev
    /// basis. Operand at level `stc levels` or more; result at most at the level the parameter set leaves.
    /// The output layout may differ from the input's in `twist` only.
    Activate {
        /// Operand, |x| <= 1 within the calibrated range.
        x: Value,
        /// Chebyshev coefficients c_0.. of P.
        coefficients: Vec<f64>,
        /// Share of the half circle the calibrated range fills, in (0, 1].
        rho: f64,
    },
}

/// A node: the operator and the type of the value it defines.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// The operator.
    pub op: Op,
    /// ONNX name it comes from.
    pub name: String,
    /// Where the elements sit.
    pub layout: Layout,
    /// Index of the topmost limb.
    pub level: usize,
    /// Encoding scale of the ciphertext.
    pub scale: f64,
    /// network value = slot value * unit.
    pub unit: f64,
    /// What the network itself has here, where that is not the operator applied to its operands.
    pub target: Option<Target>,
}

/// What the network computes where a program approximates.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// The value it is a function of.
    pub x: Value,
    /// The function; None for a plain bootstrap, which is to leave x as it is.
    pub function: Option<Function>,
}

/// A straight-line program; `nodes[i]` defines value i and uses only values below i. Node 0 is the
/// input, the last node the output.
#[derive(Clone, Debug, PartialEq)]
pub struct Program {
    /// In execution order.
    pub nodes: Vec<Node>,
    /// Affine maps, with their constants.
    pub maps: Vec<LinearMap>,
}
