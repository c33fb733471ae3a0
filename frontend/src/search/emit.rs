//! A plan of a genome: the network with its operators, folded, measured and compiled as any other.

use crate::compile::Emission;
use crate::failure::Failure;
use crate::measure::measure;
use hecc_ir::nn::{Graph, Op};
use hecc_ir::plan::{Plan, Preprocess};
use hecc_ir::program;
use hecc_passes::replace::apply;
use hecc_passes::{Folded, Options, fold_linear, lower};
use hecc_search::Cost;

/// Compiles edited networks.
pub struct Emitter<'a> {
    /// The network.
    pub folded: &'a Folded,
    /// File name of the model, for the plan.
    pub name: &'a str,
    /// For the plan.
    pub preprocess: &'a Preprocess,
    /// On which values are measured, `[c][h][w]`.
    pub images: &'a [Vec<f32>],
    /// As the search predicts with.
    pub options: &'a Options,
    /// Most bytes of an evaluation.
    pub max_memory: Option<u64>,
}

impl Emitter<'_> {
    /// The plan with `ops` in the place of the activations.
    ///
    /// # Errors
    /// When the values of the edited network are not finite, or nothing serves it.
    pub fn plan(&self, ops: &[Op]) -> Result<Plan, Failure> {
        self.compile(&apply(&self.folded.graph, ops))
    }

    /// The plan of a graph that came of the network by changing its operators.
    ///
    /// # Errors
    /// As [`Emitter::plan`].
    pub fn compile(&self, graph: &Graph) -> Result<Plan, Failure> {
        let mut folded = fold_linear(graph)?;
        // Names of the folded network lead on to those of the model.
        for origin in folded.origins.values_mut() {
            if let Some(onnx) = self.folded.origins.get(origin) {
                *origin = onnx.clone();
            }
        }
        let (calibration, _) = measure(&folded.graph, self.name, self.images)?;
        let mut emission = Emission {
            name: self.name,
            preprocess: self.preprocess,
            options: self.options,
            max_memory: self.max_memory,
            max_key_bytes: None,
            attempts: 0,
        };
        let (plan, _) = lower(
            &folded,
            &calibration,
            self.options,
            &mut |_, _| (),
            &mut |lowered| emission.emit(lowered),
        )?;
        Ok(plan)
    }
}

/// What a plan costs, in the words of a search.
pub fn cost(plan: &Plan) -> Cost {
    let bootstrap = |op: &program::Op| match op {
        program::Op::Activate { .. } => true,
        program::Op::Input
        | program::Op::Linear { .. }
        | program::Op::MulConst { .. }
        | program::Op::Add { .. }
        | program::Op::Mul { .. }
        | program::Op::Polynomial { .. } => false,
    };
    let nodes = plan.program.nodes.iter().filter(|n| bootstrap(&n.op));
    Cost {
        seconds: plan.prediction.seconds(),
        bootstraps: nodes.map(|n| n.layout.parts).sum(),
        log_n: plan.parameters.log_n,
        levels: plan.parameters.top(),
    }
}
