//! `hecc graph`: the program as a picture, level over time.

use crate::args::Graph;
use crate::failure::Failure;
use crate::files;
use crate::inspect;
use crate::print::say;
use crate::svg::{BOOTSTRAP, INK, LEVEL, LINE, REFRESH, SKIP, Svg, WORK};
use hecc_ir::plan::Plan;
use hecc_ir::program::{Op, Program, Value};
use std::collections::BTreeMap;

/// Width of one node's column, in pixels.
const COLUMN: usize = 22;
/// Height of one level's row.
const ROW: usize = 34;
/// Space for the names of levels, for the title, and for the names of layers.
const LEFT: usize = 64;
const TOP: usize = 64;
const BOTTOM: usize = 230;
/// Half the side of the smallest and the largest node.
const SMALL: f64 = 4.0;
const LARGE: f64 = 10.0;

/// Runs the command.
pub fn graph(args: &Graph) -> Result<(), Failure> {
    let (plan, _) = inspect::load(&args.plan)?;
    files::write(&args.output, picture(&plan).as_bytes())?;
    say!(
        "{} nodes, {} of them bootstraps, written to {}",
        plan.program.nodes.len(),
        plan.program
            .nodes
            .iter()
            .filter(|n| is_bootstrap(&n.op))
            .count(),
        args.output.display()
    )?;
    Ok(())
}

fn is_bootstrap(op: &Op) -> bool {
    match op {
        Op::Activate { .. } => true,
        Op::Input
        | Op::Linear { .. }
        | Op::MulConst { .. }
        | Op::Add { .. }
        | Op::Mul { .. }
        | Op::Polynomial { .. } => false,
    }
}

/// Where a node is drawn.
struct Places {
    levels: usize,
}

impl Places {
    fn x(&self, value: Value) -> f64 {
        (LEFT + COLUMN * value + COLUMN / 2) as f64
    }

    fn y(&self, level: usize) -> f64 {
        (TOP + ROW * (self.levels - level) + ROW / 2) as f64
    }

    fn bottom(&self) -> f64 {
        (TOP + ROW * (self.levels + 1)) as f64
    }
}

/// The picture of a checked plan: x is the order of execution, y the level, 0 at the bottom.
fn picture(plan: &Plan) -> String {
    let nodes = &plan.program.nodes;
    let places = Places {
        levels: nodes.iter().map(|n| n.level).max().unwrap_or(0),
    };
    let width = LEFT + COLUMN * nodes.len() + 24;
    let height = TOP + ROW * (places.levels + 1) + BOTTOM;
    let mut svg = Svg::new(width, height);
    svg.text(8.0, 24.0, INK, &title(plan));
    legend(&mut svg);
    for level in 0..=places.levels {
        let y = places.y(level);
        svg.line((LEFT as f64, y), ((width - 16) as f64, y), LEVEL, 1.0);
        svg.text(8.0, y + 4.0, INK, &format!("level {level}"));
    }
    edges(&mut svg, &plan.program, &places);
    let largest = plan.prediction.nodes.iter().copied().fold(0.0, f64::max);
    for value in 0..nodes.len() {
        draw(&mut svg, plan, value, largest, &places);
    }
    names(&mut svg, &plan.program, &places);
    svg.finish()
}

fn title(plan: &Plan) -> String {
    let program = &plan.program;
    let bootstraps: usize = program
        .nodes
        .iter()
        .filter(|n| is_bootstrap(&n.op))
        .map(|n| n.layout.parts)
        .sum();
    format!(
        "{}: {} nodes, {bootstraps} bootstraps, {:.1} s predicted ({} threads)",
        plan.model,
        program.nodes.len(),
        plan.prediction.seconds(),
        plan.prediction.threads
    )
}

/// What the marks mean.
fn legend(svg: &mut Svg) {
    let y = 46.0;
    let mut x = 12.0;
    for (mark, text) in [
        (Mark::Bootstrap, "activation in a bootstrap"),
        (Mark::Refresh, "plain bootstrap"),
        (Mark::Work, "other node; its size grows with its seconds"),
    ] {
        mark.draw(svg, x, y - 4.0, 5.0, "");
        svg.text(x + 10.0, y, INK, text);
        x += 30.0 + 7.0 * text.len() as f64;
    }
    svg.line((x, y - 4.0), (x + 22.0, y - 4.0), SKIP, 1.5);
    svg.text(x + 28.0, y, INK, "skip: a value that is used later");
}

enum Mark {
    Bootstrap,
    Refresh,
    Work,
}

impl Mark {
    fn draw(&self, svg: &mut Svg, x: f64, y: f64, half: f64, title: &str) {
        match self {
            Self::Bootstrap => svg.diamond(x, y, 1.3 * half, BOOTSTRAP, title),
            Self::Refresh => svg.diamond(x, y, 1.3 * half, REFRESH, title),
            Self::Work => svg.square(x, y, half, WORK, title),
        }
    }
}

/// From every operand to its node; what skips nodes goes in an arc below or above.
fn edges(svg: &mut Svg, program: &Program, places: &Places) {
    for (value, node) in program.nodes.iter().enumerate() {
        let mut operands = node.op.operands();
        operands.dedup();
        for x in operands {
            let from = (places.x(x), places.y(program.nodes[x].level));
            let to = (places.x(value), places.y(node.level));
            if value == x + 1 {
                svg.line(from, to, LINE, 1.5);
            } else {
                let lift = (ROW as f64 * 0.5 + 2.0 * (value - x) as f64).min(3.0 * ROW as f64);
                let top = from.1.min(to.1) - lift;
                svg.arc(from, top.max(TOP as f64 - 10.0), to, SKIP);
            }
        }
    }
}

fn draw(svg: &mut Svg, plan: &Plan, value: Value, largest: f64, places: &Places) {
    let node = &plan.program.nodes[value];
    let seconds = plan.prediction.nodes.get(value).copied().unwrap_or(0.0);
    let share = if largest > 0.0 {
        (seconds / largest).sqrt()
    } else {
        0.0
    };
    let half = SMALL + (LARGE - SMALL) * share;
    let refresh = node.target.as_ref().is_some_and(|t| t.function.is_none());
    let (mark, kind) = match &node.op {
        Op::Input => (Mark::Work, "input".to_string()),
        Op::Linear { .. } => (Mark::Work, "linear".to_string()),
        Op::MulConst { factor, .. } => (Mark::Work, format!("times {factor:.4}")),
        Op::Add { .. } => (Mark::Work, "add".to_string()),
        Op::Mul { x, y } if x == y => (Mark::Work, "square".to_string()),
        Op::Mul { .. } => (Mark::Work, "multiply".to_string()),
        Op::Polynomial { coefficients, .. } => (
            Mark::Work,
            format!(
                "polynomial of degree {}",
                coefficients.len().saturating_sub(1)
            ),
        ),
        Op::Activate { coefficients, .. } => {
            let degree = coefficients.len().saturating_sub(1);
            match refresh {
                true => (Mark::Refresh, format!("plain bootstrap, degree {degree}")),
                false => (
                    Mark::Bootstrap,
                    format!("activation in a bootstrap, degree {degree}"),
                ),
            }
        }
    };
    let title = format!(
        "v{value} {}: {kind}, {} in {} ciphertexts, level {}, {seconds:.4} s",
        node.name, node.layout.shape, node.layout.parts, node.level
    );
    let (x, y) = (places.x(value), places.y(node.level));
    mark.draw(svg, x, y, half, &title);
    // Seconds stand over nodes that count.
    if seconds >= 0.01 && share >= 0.1 {
        svg.turned(x + 4.0, y - half - 6.0, &format!("{seconds:.2}"));
    }
}

/// Every layer once, under its first node.
fn names(svg: &mut Svg, program: &Program, places: &Places) {
    let mut first: BTreeMap<&str, Value> = BTreeMap::new();
    for (value, node) in program.nodes.iter().enumerate() {
        first.entry(node.name.as_str()).or_insert(value);
    }
    for (name, value) in first {
        let mut text: String = name.chars().take(32).collect();
        if text.len() < name.len() {
            text.push('…');
        }
        svg.hanging(places.x(value) - 3.0, places.bottom() + 8.0, &text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;
    use hecc_ir::function::Function;
    use hecc_passes::Ways;

    #[test]
    fn every_node_appears_once_and_names_are_escaped() {
        let mut plan = sample::plan(&sample::residual(Function::Relu), Ways::Fused);
        plan.model = "m&m.onnx".to_string();
        plan.program.nodes[1].name = "a<b>&\"'\u{1}c".to_string();
        let text = picture(&plan);
        assert_eq!(text, picture(&plan));
        for value in 0..plan.program.nodes.len() {
            assert_eq!(text.matches(&format!("<title>v{value} ")).count(), 1);
        }
        let bootstraps = plan
            .program
            .nodes
            .iter()
            .filter(|n| is_bootstrap(&n.op))
            .count();
        assert!(bootstraps > 0);
        let marked = |title: &&str| title.contains("bootstrap");
        assert_eq!(
            text.split("<title>").skip(1).filter(marked).count(),
            bootstraps
        );
        // One diamond more in the legend.
        assert_eq!(text.matches(BOOTSTRAP).count(), bootstraps + 1);
        assert!(text.contains("a&lt;b&gt;&amp;&quot;&#39; c") && text.contains("m&amp;m.onnx"));
        assert!(!text.contains("href") && !text.contains("url("));
        assert_eq!(text.matches('<').count(), text.matches('>').count());
        assert!(text.contains(SKIP));
    }
}
