//! Statistics of an evaluation as a short table: one row an operator, measured next to predicted.

use std::fmt::Write as _;

use hecc_runtime::stats::Stats;

/// Sums over the nodes of one operator.
#[derive(Default)]
struct Row {
    op: &'static str,
    nodes: usize,
    seconds: f64,
    encode: f64,
    predicted: f64,
    rotations: usize,
    diagonals: usize,
    bootstraps: usize,
}

/// The table, the largest share first.
pub fn table(stats: &Stats) -> String {
    let mut rows: Vec<Row> = Vec::new();
    for node in &stats.nodes {
        let at = rows.iter().position(|row| row.op == node.op);
        let at = at.unwrap_or_else(|| {
            rows.push(Row {
                op: node.op,
                ..Row::default()
            });
            rows.len() - 1
        });
        let row = &mut rows[at];
        row.nodes += 1;
        row.seconds += node.seconds;
        row.encode += node.encode_seconds;
        row.predicted += node.predicted_seconds;
        row.rotations += node.rotations;
        row.diagonals += node.diagonals;
        row.bootstraps += node.bootstraps;
    }
    rows.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
    let mut out = format!(
        "{:11} {:>5} {:>9} {:>9} {:>9}  {}\n",
        "operator", "nodes", "seconds", "encoding", "predicted", "work"
    );
    for row in &rows {
        let counts = [
            (row.bootstraps, "bootstraps"),
            (row.rotations, "rotations"),
            (row.diagonals, "diagonals"),
        ];
        let work: Vec<String> = counts
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        // Writing to a string cannot fail.
        let _ = writeln!(
            out,
            "{:11} {:5} {:9.3} {:9.3} {:9.3}  {}",
            row.op,
            row.nodes,
            row.seconds,
            row.encode,
            row.predicted,
            work.join(", ")
        );
    }
    for (what, seconds, predicted) in [
        ("setup", stats.setup_seconds, stats.predicted.setup_seconds),
        ("all", stats.seconds, stats.predicted.seconds),
    ] {
        let _ = writeln!(
            out,
            "{what:11} {:5} {seconds:9.3} {:9} {predicted:9.3}",
            "", ""
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use hecc_runtime::stats::NodeStats;

    #[test]
    fn operators_are_summed_and_sorted() {
        let node = |op, seconds, rotations| NodeStats {
            op,
            seconds,
            rotations,
            predicted_seconds: 0.5,
            ..NodeStats::default()
        };
        let stats = Stats {
            nodes: vec![
                node("add", 0.01, 0),
                node("linear", 0.25, 23),
                node("linear", 0.5, 7),
            ],
            seconds: 0.76,
            ..Stats::default()
        };
        let table = table(&stats);
        let rows: Vec<Vec<&str>> = table
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        assert_eq!(
            rows[1],
            ["linear", "2", "0.750", "0.000", "1.000", "30", "rotations"]
        );
        assert_eq!(rows[2][..2], ["add", "1"]);
        assert_eq!(rows[4], ["all", "0.760", "0.000"]);
    }
}
