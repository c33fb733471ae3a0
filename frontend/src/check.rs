//! `hecc check`: everything in a model that cannot be compiled, or what the network is made of.

use crate::args::Check;
use crate::failure::Failure;
use crate::import::{ImportError, Imported, MaxPool, MaximumPrice, examine};
use crate::print::say;
use hecc_ir::nn::{Graph, Op};
use hecc_passes::fold_linear;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Slots of the ring that most plans use: a bootstrap refreshes so many values.
const SLOTS: usize = 1 << 14;

/// What is reported.
#[derive(Debug, serde::Serialize)]
struct Report {
    model: String,
    problems: Vec<Problem>,
    network: Option<Network>,
}

/// One thing that cannot be compiled.
#[derive(Debug, serde::Serialize)]
struct Problem {
    /// `node 'name' (Operator)`; none for the file as a whole.
    node: Option<String>,
    what: String,
    help: Option<String>,
}

/// What a network without problems is made of.
#[derive(Debug, serde::Serialize)]
struct Network {
    /// Channels, rows, columns.
    input: String,
    output: String,
    /// ONNX operators that depend on the image.
    operators: BTreeMap<String, usize>,
    /// Activations after folding.
    activations: BTreeMap<String, usize>,
    /// Products of two values.
    products: usize,
    /// Numbers in the weights.
    parameters: usize,
    maxima: Vec<Maxima>,
    notes: Vec<String>,
}

/// The price of one MaxPool.
#[derive(Debug, serde::Serialize)]
struct Maxima {
    node: String,
    /// Absolute values, one after the other.
    rounds: usize,
    /// Bootstraps they need at least, with as many slots as most plans have.
    bootstraps: usize,
}

/// Runs the command.
pub fn check(args: &Check) -> Result<(), Failure> {
    let (problems, network) = match examine(&args.model, args.maxpool) {
        Ok(imported) => match fold_linear(&imported.graph) {
            Ok(folded) => (Vec::new(), Some(Network::new(imported, &folded.graph))),
            Err(e) => {
                let whole = Problem {
                    node: None,
                    what: e.to_string(),
                    help: None,
                };
                (vec![whole], None)
            }
        },
        Err(problems) => (problems.into_iter().map(Problem::from).collect(), None),
    };
    let report = Report {
        model: args.model.display().to_string(),
        problems,
        network,
    };
    if args.json {
        say!(
            "{}",
            serde_json::to_string_pretty(&report).map_err(|e| Failure::in_file(&args.model, e))?
        )?;
    } else {
        say!("{}", report.text(args.maxpool).trim_end())?;
    }
    match report.problems.len() {
        0 => Ok(()),
        1 => Err(Failure::in_file(&args.model, "has a problem")
            .help("change the model where it is, and export it again")),
        n => Err(Failure::in_file(&args.model, format!("has {n} problems"))
            .help("change the model where they are, and export it again")),
    }
}

impl From<ImportError> for Problem {
    fn from(e: ImportError) -> Self {
        Self {
            node: e.node,
            what: e.what,
            help: e.help,
        }
    }
}

impl Network {
    fn new(imported: Imported, graph: &Graph) -> Self {
        let mut activations = BTreeMap::new();
        let mut products = 0;
        for node in graph.nodes.node_weights() {
            match &node.op {
                Op::Activation(f) => *activations.entry(f.name().to_string()).or_insert(0) += 1,
                Op::Mul => products += 1,
                Op::Input | Op::Add | Op::Linear(_) => {}
            }
        }
        // Folding may use a weight more than once.
        let weights = imported.graph.nodes.node_weights().map(|n| match &n.op {
            Op::Linear(linear) => linear.constants().iter().map(|c| c.len()).sum(),
            Op::Input | Op::Add | Op::Mul | Op::Activation(_) => 0,
        });
        let parameters = weights.sum();
        Self {
            input: graph.nodes[graph.input].shape.to_string(),
            output: graph.nodes[graph.output].shape.to_string(),
            operators: imported.operators,
            activations,
            products,
            parameters,
            maxima: imported.maxima.into_iter().map(Maxima::from).collect(),
            notes: imported.notes,
        }
    }
}

impl From<MaximumPrice> for Maxima {
    fn from(price: MaximumPrice) -> Self {
        Self {
            rounds: price.elements.len(),
            bootstraps: price.elements.iter().map(|n| n.div_ceil(SLOTS)).sum(),
            node: price.node,
        }
    }
}

impl Report {
    fn text(&self, maxpool: MaxPool) -> String {
        let mut out = String::new();
        // Writing to a string does not fail.
        for problem in &self.problems {
            let place = problem
                .node
                .as_deref()
                .map_or(String::new(), |n| format!("{n}: "));
            let _ = writeln!(out, "problem: {place}{}", problem.what);
            if let Some(help) = &problem.help {
                let _ = writeln!(out, "         {help}");
            }
        }
        let Some(network) = &self.network else {
            return out;
        };
        let counted = |all: &BTreeMap<String, usize>| {
            let each: Vec<String> = all.iter().map(|(name, n)| format!("{n} {name}")).collect();
            if each.is_empty() {
                "none".to_string()
            } else {
                each.join(", ")
            }
        };
        let mut line = |what: &str, value: &str| {
            let _ = writeln!(out, "{what:<12} {value}");
        };
        line("input", &network.input);
        line("output", &network.output);
        line("operators", &counted(&network.operators));
        line("activations", &counted(&network.activations));
        if network.products > 0 {
            line("products", &format!("{} of two values", network.products));
        }
        line("parameters", &network.parameters.to_string());
        for m in &network.maxima {
            line(
                "maximum",
                &format!(
                    "{}: {} absolute values one after the other, some {} bootstraps",
                    m.node, m.rounds, m.bootstraps
                ),
            );
        }
        if !network.maxima.is_empty() && maxpool == MaxPool::Exact {
            line(
                "",
                "--maxpool average replaces MaxPool by the mean, for a network trained so",
            );
        }
        for note in &network.notes {
            line("note", note);
        }
        line("problems", "none");
        out
    }
}
