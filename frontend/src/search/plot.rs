//! The front as a small plot of text, accuracy over seconds.

use super::scale::{Scale, number};

/// Rows of the plot itself.
const ROWS: usize = 10;
/// Columns for the numbers of the accuracy axis.
const LEFT: usize = 9;
/// Widest plot: wider ones are no more legible.
const WIDEST: usize = 100;
/// Narrowest terminal with room for a plot.
const NARROWEST: usize = 40;

/// Lines of at most `width` characters; `points` are (seconds, accuracy from 0 to 1). Empty without
/// points or room.
pub fn plot(points: &[(f64, f64)], width: usize) -> Vec<String> {
    if points.is_empty() || width < NARROWEST {
        return Vec::new();
    }
    let columns = width.min(WIDEST) - LEFT - 2;
    let x = Scale::seconds(points.iter().map(|p| p.0));
    let y = Scale::accuracy(points.iter().map(|p| 100.0 * p.1));
    let cell = |place: f64, cells: usize| ((place * cells as f64).max(0.0) as usize).min(cells - 1);
    let row = |accuracy: f64| ROWS - 1 - cell(y.place(accuracy), ROWS);
    let mut grid = vec![vec![' '; columns]; ROWS];
    // The staircase: what is bought at every number of seconds.
    let mut sorted = points.to_vec();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    for pair in sorted.windows(2) {
        let (from, to) = (
            cell(x.place(pair[0].0), columns),
            cell(x.place(pair[1].0), columns),
        );
        let line = row(100.0 * pair[0].1);
        grid[line][from..to].fill('-');
    }
    for &(seconds, accuracy) in &sorted {
        grid[row(100.0 * accuracy)][cell(x.place(seconds), columns)] = 'o';
    }
    let mut names = vec![String::new(); ROWS];
    for tick in y.ticks(ROWS / 2) {
        names[row(tick)] = format!("{} %", number(tick));
    }
    let mut lines: Vec<String> = grid
        .into_iter()
        .zip(names)
        .map(|(cells, name)| {
            let line = format!("{name:>LEFT$} |{}", cells.into_iter().collect::<String>());
            line.trim_end().to_string()
        })
        .collect();
    lines.push(format!("{:>LEFT$} +{}", "", "-".repeat(columns)));
    let mut axis = String::new();
    for tick in x.ticks(columns / 10) {
        let text = format!("{} s", number(tick));
        let start = LEFT + 2 + cell(x.place(tick), columns);
        if start >= axis.len() + usize::from(!axis.is_empty()) && start + text.len() <= width {
            axis = format!("{axis:<start$}{text}");
        }
    }
    lines.push(axis);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fits_and_shows_every_point() {
        let points = [(4.0, 0.85), (5.5, 0.90), (8.0, 0.912), (12.0, 0.917)];
        for width in [40, 57, 80, 300] {
            let lines = plot(&points, width);
            assert_eq!(lines.len(), ROWS + 2);
            assert!(
                lines.iter().all(|l| l.chars().count() <= width),
                "{lines:#?}"
            );
            let text = lines.join("\n");
            assert_eq!(text.matches('o').count(), 4, "{text}");
            assert!(text.contains(" s") && text.contains('%'), "{text}");
        }
        assert!(plot(&[], 80).is_empty() && plot(&points, 20).is_empty());
        assert!(!plot(&[(1.0, 0.5)], 80).is_empty());
    }
}
