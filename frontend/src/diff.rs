//! `hecc diff`: what an evaluation took, beside what its plan predicted.

use crate::args::Diff;
use crate::failure::Failure;
use crate::files;
use crate::inspect;
use crate::print::say;
use hecc_ir::plan::Plan;
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use std::path::Path;

/// Largest file of statistics read, in bytes.
const LIMIT: u64 = 64 << 20;
/// Most nodes that are compared; a program has fewer.
const MAX_NODES: usize = 1 << 18;
/// Layers in the table; the JSON has them all.
const SHOWN: usize = 12;

/// What `hecc-run eval --stats` writes, as far as it is compared.
#[derive(Debug, Deserialize)]
pub struct Stats {
    model: String,
    /// Identity of the plan, in hexadecimal.
    #[serde(default)]
    pub plan: String,
    /// Threads used.
    pub threads: usize,
    /// The processor that computed.
    #[serde(default)]
    pub machine: String,
    /// The whole evaluation.
    pub seconds: f64,
    #[serde(default)]
    setup_seconds: f64,
    #[serde(default)]
    predicted: Option<Predicted>,
    nodes: Vec<Node>,
}

#[derive(Debug, Deserialize)]
struct Predicted {
    setup_seconds: f64,
    threads: usize,
    machine: String,
}

#[derive(Debug, Deserialize)]
struct Node {
    name: String,
    op: String,
    seconds: f64,
    #[serde(default)]
    predicted_seconds: Option<f64>,
}

/// Seconds of some nodes.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Row {
    /// Kind of node, or name of the layer.
    pub name: String,
    /// Nodes added up.
    pub nodes: usize,
    /// Seconds predicted.
    pub predicted: f64,
    /// Seconds measured.
    pub measured: f64,
    /// Measured over predicted; None where nothing was predicted.
    pub ratio: Option<f64>,
}

impl Row {
    fn add(&mut self, predicted: f64, measured: f64) {
        self.nodes += 1;
        self.predicted += predicted;
        self.measured += measured;
        self.ratio = (self.predicted > 0.0).then(|| self.measured / self.predicted);
    }

    fn difference(&self) -> f64 {
        self.measured - self.predicted
    }
}

/// Predicted against measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// The model's file name.
    pub model: String,
    /// Threads and machine of the prediction.
    pub predicted_on: String,
    /// Threads and machine of the measurement.
    pub measured_on: String,
    /// The whole evaluation, setup included.
    pub total: Row,
    /// Per kind of node, the largest difference first.
    pub kinds: Vec<Row>,
    /// Per layer, the largest difference first.
    pub layers: Vec<Row>,
}

/// Runs the command.
pub fn diff(args: &Diff) -> Result<(), Failure> {
    let stats = read(&args.stats)?;
    let plan = match &args.plan {
        Some(path) => Some(inspect::load(path)?.0),
        None => None,
    };
    let comparison = compare(&stats, plan.as_ref()).map_err(|what| {
        Failure::in_file(&args.stats, what)
            .help("give the statistics and the plan of one evaluation: hecc-run eval --stats FILE")
    })?;
    if args.json {
        let json = serde_json::to_string_pretty(&comparison);
        say!("{}", json.map_err(|e| Failure::in_file(&args.stats, e))?)?;
    } else {
        say!("{}", comparison.text().trim_end())?;
    }
    Ok(())
}

/// Reads what `hecc-run eval --stats` wrote.
///
/// # Errors
/// Anything else; numbers that are no seconds.
pub fn read(path: &Path) -> Result<Stats, Failure> {
    let foreign = |what: String| {
        Failure::in_file(
            path,
            format!("holds no statistics of an evaluation: {what}"),
        )
        .help("hecc-run eval --stats FILE writes them")
    };
    let stats: Stats =
        serde_json::from_slice(&files::read(path, LIMIT)?).map_err(|e| foreign(e.to_string()))?;
    if stats.nodes.is_empty() || stats.nodes.len() > MAX_NODES {
        return Err(foreign(format!(
            "{} nodes, expected 1 to {MAX_NODES}",
            stats.nodes.len()
        )));
    }
    let usable = |s: f64| s.is_finite() && (0.0..1e12).contains(&s);
    let numbers = stats
        .nodes
        .iter()
        .flat_map(|n| [n.seconds, n.predicted_seconds.unwrap_or(0.0)]);
    let setup = stats.predicted.as_ref().map_or(0.0, |p| p.setup_seconds);
    match numbers
        .chain([stats.seconds, stats.setup_seconds, setup])
        .find(|s| !usable(*s))
    {
        Some(s) => Err(foreign(format!("{s} seconds"))),
        None => Ok(stats),
    }
}

/// The plan's predictions where there is a plan, else those that the statistics carry.
fn compare(stats: &Stats, plan: Option<&Plan>) -> Result<Comparison, String> {
    let predictions: Vec<f64> = match plan {
        Some(plan) => of_plan(stats, plan)?,
        None => {
            let each = stats.nodes.iter().map(|node| node.predicted_seconds);
            each.collect::<Option<_>>()
                .ok_or("carries no predictions; give --plan")?
        }
    };
    let (mut kinds, mut layers) = (Vec::new(), Vec::new());
    let mut total = Row::default();
    for (node, predicted) in stats.nodes.iter().zip(predictions) {
        row(&mut kinds, &node.op).add(predicted, node.seconds);
        row(&mut layers, &node.name).add(predicted, node.seconds);
        total.add(predicted, node.seconds);
    }
    let (setup, on) = match (plan, &stats.predicted) {
        (Some(plan), _) => (
            plan.prediction.setup,
            (plan.prediction.threads, &plan.prediction.machine),
        ),
        (None, Some(p)) => (p.setup_seconds, (p.threads, &p.machine)),
        (None, None) => (0.0, (stats.threads, &stats.machine)),
    };
    if setup > 0.0 || stats.setup_seconds > 0.0 {
        for rows in [&mut kinds, &mut layers] {
            row(rows, "setup").add(setup, stats.setup_seconds);
        }
    }
    // What the nodes leave of the whole: setup, waiting, freeing.
    total.name = "total".to_string();
    total.nodes = stats.nodes.len();
    total.predicted += setup;
    total.measured = stats.seconds;
    total.ratio = (total.predicted > 0.0).then(|| total.measured / total.predicted);
    for rows in [&mut kinds, &mut layers] {
        rows.sort_by(|a, b| b.difference().abs().total_cmp(&a.difference().abs()));
    }
    Ok(Comparison {
        model: stats.model.clone(),
        predicted_on: place(on.0, on.1),
        measured_on: place(stats.threads, &stats.machine),
        total,
        kinds,
        layers,
    })
}

fn of_plan(stats: &Stats, plan: &Plan) -> Result<Vec<f64>, String> {
    let nodes = &plan.program.nodes;
    if nodes.len() != stats.nodes.len() {
        return Err(format!(
            "is of {} nodes, the plan has {}",
            stats.nodes.len(),
            nodes.len()
        ));
    }
    for (value, (node, measured)) in nodes.iter().zip(&stats.nodes).enumerate() {
        if node.name != measured.name {
            let (found, expected) = (shorten(&measured.name), shorten(&node.name));
            return Err(format!("has '{found}' at v{value}, the plan '{expected}'"));
        }
    }
    match plan.prediction.nodes.len() == nodes.len() {
        true => Ok(plan.prediction.nodes.clone()),
        false => Err("the plan predicts nothing; compile it again".to_string()),
    }
}

fn shorten(name: &str) -> String {
    name.chars().take(80).collect()
}

fn place(threads: usize, machine: &str) -> String {
    match machine {
        "" => format!("{threads} threads"),
        machine => format!("{threads} threads, {}", shorten(machine)),
    }
}

fn row<'a>(rows: &'a mut Vec<Row>, name: &str) -> &'a mut Row {
    let at = rows.iter().position(|row| row.name == name);
    let at = at.unwrap_or_else(|| {
        rows.push(Row {
            name: name.to_string(),
            ..Row::default()
        });
        rows.len() - 1
    });
    &mut rows[at]
}

impl Comparison {
    /// Tables for people.
    fn text(&self) -> String {
        let mut out = String::new();
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{:<10} {}", "model", shorten(&self.model));
        let _ = writeln!(out, "{:<10} {}", "predicted", self.predicted_on);
        let _ = writeln!(out, "{:<10} {}", "measured", self.measured_on);
        let total = std::slice::from_ref(&self.total);
        table(&mut out, "kind", &[&self.kinds, total].concat());
        table(
            &mut out,
            "worst layers",
            &self.layers[..self.layers.len().min(SHOWN)],
        );
        out
    }
}

fn table(out: &mut String, title: &str, rows: &[Row]) {
    let _ = writeln!(
        out,
        "\n{title:<24} {:>5} {:>10} {:>10} {:>10} {:>6}",
        "nodes", "predicted", "measured", "difference", "ratio"
    );
    for row in rows {
        let name: String = row.name.chars().take(24).collect();
        let ratio = row.ratio.map_or("-".to_string(), |r| format!("{r:.2}"));
        let _ = writeln!(
            out,
            "{name:<24} {:>5} {:>10.3} {:>10.3} {:>+10.3} {ratio:>6}",
            row.nodes,
            row.predicted,
            row.measured,
            row.difference()
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATS: &str = r#"{"model": "m.onnx", "plan": "00", "threads": 2, "machine": "here",
        "seconds": 7.5, "setup_seconds": 1.0,
        "predicted": {"seconds": 6.5, "setup_seconds": 0.5, "threads": 4, "machine": "there"},
        "nodes": [
            {"name": "input", "op": "input", "seconds": 0.0, "predicted_seconds": 0.0},
            {"name": "conv1", "op": "linear", "seconds": 2.0, "predicted_seconds": 1.5},
            {"name": "relu1", "op": "activate", "seconds": 3.0, "predicted_seconds": 4.0},
            {"name": "conv2", "op": "linear", "seconds": 1.0, "predicted_seconds": 0.5}]}"#;

    fn load(text: &str) -> Result<Stats, Failure> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        read(file.path())
    }

    #[test]
    fn differences_add_up_and_the_largest_comes_first() {
        let comparison = compare(&load(STATS).unwrap(), None).unwrap();
        let kinds: Vec<_> = comparison
            .kinds
            .iter()
            .map(|r| (r.name.as_str(), r.difference()))
            .collect();
        assert_eq!(kinds[..2], [("linear", 1.0), ("activate", -1.0)]);
        assert_eq!(kinds[2..], [("setup", 0.5), ("input", 0.0)]);
        assert_eq!(comparison.layers[0].name, "relu1");
        assert_eq!(comparison.layers[0].ratio, Some(0.75));
        let total = &comparison.total;
        assert_eq!((total.predicted, total.measured), (6.5, 7.5));
        assert_eq!(comparison.predicted_on, "4 threads, there");
        assert!(
            comparison.text().contains("-1.000   0.75"),
            "{}",
            comparison.text()
        );
    }

    #[test]
    fn foreign_files_are_refused() {
        let check = |text: &str, expect: &str| {
            let e = load(text).unwrap_err();
            assert!(e.what.contains(expect) && e.help.is_some(), "{}", e.what);
        };
        check("{}", "no statistics");
        check("[1, 2", "no statistics");
        check(&STATS.replace("7.5", "-7.5"), "-7.5 seconds");
        check(&STATS.replace("7.5", "1e300"), "seconds");
        let without = STATS.replace("predicted_seconds", "other");
        let e = compare(&load(&without).unwrap(), None).unwrap_err();
        assert!(e.contains("--plan"), "{e}");
    }
}
