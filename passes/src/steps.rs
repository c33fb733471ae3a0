//! The normal form that `fold_linear` leaves, read as a list: every activation, and the output, is a
//! sum of chains of linear operators on earlier activations or the input.

use hecc_ir::nn::{Graph, Linear, Op, Shape, ValueId};

use crate::PassError;

/// A chain of linear operators on one source.
#[derive(Clone, Debug)]
pub struct Addend {
    /// 0 = the input, i + 1 = the activation of step i.
    pub source: usize,
    /// First applied first; empty for a plain skip.
    pub stages: Vec<Linear>,
    /// Canonical name of the chain's first operator, or of the sum for a plain skip.
    pub name: String,
}

/// One sum, and the activation on it.
#[derive(Clone, Debug)]
pub struct Step {
    /// Canonical name of the sum's last operator.
    pub name: String,
    /// Shape of the sum.
    pub shape: Shape,
    /// At least one.
    pub addends: Vec<Addend>,
    /// Canonical name of the activation; `None` for the output.
    pub activation: Option<String>,
}

/// All steps in execution order.
#[derive(Clone, Debug)]
pub struct Steps {
    /// Shape of the input.
    pub input: Shape,
    /// Only the last can lack an activation.
    pub steps: Vec<Step>,
}

impl Steps {
    /// Shape of source `i`.
    pub fn shape(&self, source: usize) -> Shape {
        if source == 0 {
            self.input
        } else {
            self.steps[source - 1].shape
        }
    }

    /// Reads a graph in normal form.
    ///
    /// # Errors
    /// [`PassError::NotNormal`] for a graph that `fold_linear` did not make.
    pub fn read(graph: &Graph) -> Result<Self, PassError> {
        let mut sources = vec![graph.input];
        let mut steps = Vec::new();
        let ends = graph
            .nodes
            .node_indices()
            .filter(|&id| matches!(graph.nodes[id].op, Op::Relu));
        for relu in ends {
            let operand = graph.operands(relu)[0];
            steps.push(step(
                graph,
                operand,
                Some(graph.nodes[relu].name.clone()),
                &sources,
            )?);
            sources.push(relu);
        }
        if !matches!(graph.nodes[graph.output].op, Op::Relu) {
            steps.push(step(graph, graph.output, None, &sources)?);
        }
        Ok(Self {
            input: graph.nodes[graph.input].shape,
            steps,
        })
    }
}

fn step(
    graph: &Graph,
    end: ValueId,
    activation: Option<String>,
    sources: &[ValueId],
) -> Result<Step, PassError> {
    let mut addends = Vec::new();
    let mut tails = vec![end];
    while let Some(tail) = tails.pop() {
        match graph.nodes[tail].op {
            Op::Add => {
                let operands = graph.operands(tail);
                tails.extend(operands.iter().rev());
            }
            Op::Linear(_) | Op::Input | Op::Relu => addends.push(addend(graph, tail, sources)?),
        }
    }
    let node = &graph.nodes[end];
    Ok(Step {
        name: node.name.clone(),
        shape: node.shape,
        addends,
        activation,
    })
}

fn addend(graph: &Graph, tail: ValueId, sources: &[ValueId]) -> Result<Addend, PassError> {
    let mut stages = Vec::new();
    let mut name = graph.nodes[tail].name.clone();
    let mut at = tail;
    while let Op::Linear(linear) = &graph.nodes[at].op {
        stages.push(linear.clone());
        name.clone_from(&graph.nodes[at].name);
        at = graph.operands(at)[0];
    }
    stages.reverse();
    let Some(source) = sources.iter().position(|&s| s == at) else {
        return Err(PassError::NotNormal {
            name: graph.nodes[at].name.clone(),
        });
    };
    Ok(Addend {
        source,
        stages,
        name,
    })
}
