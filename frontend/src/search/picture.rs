//! front.svg: accuracy against predicted seconds.

mod labels;

use super::scale::{Scale, number};
use crate::svg::{BOOTSTRAP, INK, LEVEL, LINE, SKIP, Svg, WORK};
use labels::{Labels, Rectangle};

/// The picture, and the field of points in it, in pixels.
const WIDTH: usize = 960;
const HEIGHT: usize = 640;
const LEFT: f64 = 76.0;
const RIGHT: f64 = 932.0;
const TOP: f64 = 76.0;
const BOTTOM: f64 = 580.0;
/// Half the side of a mark.
const MARK: f64 = 4.5;

/// What is drawn.
#[derive(Clone, Debug)]
pub struct Chart {
    /// Over the picture.
    pub title: String,
    /// What accuracy means, beside the axis.
    pub accuracy: String,
    /// The front and what was trained from it.
    pub points: Vec<Spot>,
    /// What it is compared with.
    pub baselines: Vec<Spot>,
    /// Accuracy of the network itself, 0 to 1.
    pub network: Option<f64>,
}

/// One mark.
#[derive(Clone, Debug)]
pub struct Spot {
    /// Beside the mark, with the bootstraps: the point's number, or the baseline's name.
    pub name: String,
    /// Predicted.
    pub seconds: f64,
    /// 0 to 1.
    pub accuracy: f64,
    /// Ends of the interval around the accuracy, 0 to 1.
    pub interval: Option<(f64, f64)>,
    /// Bootstraps of one ciphertext each.
    pub bootstraps: usize,
    /// Whether it was trained.
    pub tuned: bool,
}

/// The whole file.
pub fn picture(chart: &Chart) -> String {
    let all = || chart.points.iter().chain(&chart.baselines);
    let x = Scale::seconds(all().map(|s| s.seconds));
    let network = chart.network.into_iter();
    let y = Scale::accuracy(all().map(|s| s.accuracy).chain(network).map(|a| 100.0 * a));
    let frame = Frame { x, y };
    let mut svg = Svg::new(WIDTH, HEIGHT);
    svg.text(LEFT, 24.0, INK, &chart.title);
    axes(&mut svg, &frame, &chart.accuracy);
    if let Some(network) = chart.network {
        let height = frame.y(network);
        svg.line((LEFT, height), (RIGHT, height), SKIP, 1.0);
        let text = format!("the network itself, {:.2} %", 100.0 * network);
        svg.text(RIGHT - 6.2 * text.len() as f64, height - 4.0, SKIP, &text);
    }
    for spot in all() {
        if let Some((low, high)) = spot.interval {
            let x = frame.x(spot.seconds);
            svg.line((x, frame.y(low)), (x, frame.y(high)), LEVEL, 1.5);
        }
    }
    let steps = staircase(&mut svg, &frame, &chart.points);
    let mut labels = Labels::new(Rectangle {
        left: LEFT + 2.0,
        right: RIGHT,
        top: TOP,
        bottom: BOTTOM - 2.0,
    });
    if let Some(network) = chart.network {
        let height = frame.y(network);
        labels.keep_clear(Rectangle {
            left: RIGHT - 190.0,
            right: RIGHT,
            top: height - 15.0,
            bottom: height + 1.0,
        });
    }
    for spot in all() {
        let (x, y) = (frame.x(spot.seconds), frame.y(spot.accuracy));
        labels.keep_clear(Rectangle::around(x, y, MARK + 1.0));
    }
    for pair in steps.windows(2) {
        labels.keep_clear(Rectangle::along(pair[0], pair[1]));
    }
    for (spot, baseline) in chart
        .points
        .iter()
        .map(|s| (s, false))
        .chain(chart.baselines.iter().map(|s| (s, true)))
    {
        mark(&mut svg, &frame, spot, baseline);
        let (x, y) = (frame.x(spot.seconds), frame.y(spot.accuracy));
        labels.place(&mut svg, (x, y), &label(spot));
    }
    legend(&mut svg, chart);
    svg.finish()
}

struct Frame {
    x: Scale,
    y: Scale,
}

impl Frame {
    fn x(&self, seconds: f64) -> f64 {
        LEFT + (RIGHT - LEFT) * self.x.place(seconds).clamp(0.0, 1.0)
    }

    fn y(&self, accuracy: f64) -> f64 {
        BOTTOM - (BOTTOM - TOP) * self.y.place(100.0 * accuracy).clamp(0.0, 1.0)
    }
}

fn axes(svg: &mut Svg, frame: &Frame, accuracy: &str) {
    for tick in frame.y.ticks(10) {
        let y = frame.y(tick / 100.0);
        svg.line((LEFT, y), (RIGHT, y), LEVEL, 1.0);
        let text = format!("{} %", number(tick));
        svg.text(LEFT - 8.0 - 6.2 * text.len() as f64, y + 4.0, INK, &text);
    }
    for tick in frame.x.ticks(12) {
        let x = frame.x(tick);
        svg.line((x, BOTTOM), (x, BOTTOM + 5.0), LINE, 1.0);
        let text = format!("{} s", number(tick));
        svg.text(x - 3.0 * text.len() as f64, BOTTOM + 18.0, INK, &text);
    }
    svg.line((LEFT, TOP), (LEFT, BOTTOM), LINE, 1.0);
    svg.line((LEFT, BOTTOM), (RIGHT, BOTTOM), LINE, 1.0);
    svg.text(
        LEFT,
        BOTTOM + 38.0,
        INK,
        "predicted seconds of one evaluation",
    );
    let scale = if frame.y.is_loss() {
        "; great losses on a logarithmic scale"
    } else {
        ""
    };
    svg.text(LEFT, TOP - 10.0, INK, &format!("{accuracy}{scale}"));
}

/// What every number of seconds buys: only the points that no other one beats. Gives the corners.
fn staircase(svg: &mut Svg, frame: &Frame, points: &[Spot]) -> Vec<(f64, f64)> {
    let mut sorted: Vec<&Spot> = points.iter().collect();
    sorted.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
    let mut line: Vec<(f64, f64)> = Vec::new();
    let mut best = f64::NEG_INFINITY;
    for spot in sorted {
        if spot.accuracy <= best {
            continue;
        }
        best = spot.accuracy;
        let (x, y) = (frame.x(spot.seconds), frame.y(spot.accuracy));
        if let Some(&(_, before)) = line.last() {
            line.push((x, before));
        }
        line.push((x, y));
    }
    if let Some(&(_, last)) = line.last() {
        line.push((RIGHT, last));
        svg.polyline(&line, WORK, 1.5);
    }
    line
}

fn label(spot: &Spot) -> String {
    format!("{} · {} bs", spot.name, spot.bootstraps)
}

fn mark(svg: &mut Svg, frame: &Frame, spot: &Spot, baseline: bool) {
    let (x, y) = (frame.x(spot.seconds), frame.y(spot.accuracy));
    let title = format!(
        "{}: {:.2} %, {:.2} s predicted, {} bootstraps{}",
        spot.name,
        100.0 * spot.accuracy,
        spot.seconds,
        spot.bootstraps,
        if spot.tuned { ", trained" } else { "" }
    );
    match (baseline, spot.tuned) {
        (true, _) => svg.square(x, y, MARK, BOOTSTRAP, &title),
        (false, true) => svg.diamond(x, y, 1.3 * MARK, WORK, &title),
        (false, false) => svg.circle(x, y, MARK, WORK, &title),
    }
}

fn legend(svg: &mut Svg, chart: &Chart) {
    let y = 46.0;
    let mut x = LEFT + 6.0;
    let mut entry = |svg: &mut Svg, draw: &dyn Fn(&mut Svg, f64), text: &str| {
        draw(svg, x);
        svg.text(x + 10.0, y, INK, text);
        x += 36.0 + 6.0 * text.len() as f64;
    };
    let spot = |svg: &mut Svg, x: f64| svg.circle(x, y - 4.0, MARK, WORK, "");
    entry(svg, &spot, "point of the front: number · bootstraps");
    if chart.points.iter().any(|s| s.tuned) {
        let tuned = |svg: &mut Svg, x: f64| svg.diamond(x, y - 4.0, 1.3 * MARK, WORK, "");
        entry(svg, &tuned, "trained");
    }
    if !chart.baselines.is_empty() {
        let other = |svg: &mut Svg, x: f64| svg.square(x, y - 4.0, MARK, BOOTSTRAP, "");
        entry(svg, &other, "baseline");
    }
    if chart.points.iter().any(|s| s.interval.is_some()) {
        let bar = |svg: &mut Svg, x: f64| svg.line((x, y - 10.0), (x, y + 2.0), LEVEL, 1.5);
        entry(svg, &bar, "95 % interval of the images");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spot(name: &str, seconds: f64, accuracy: f64) -> Spot {
        Spot {
            name: name.to_string(),
            seconds,
            accuracy,
            interval: Some((accuracy - 0.01, accuracy + 0.01)),
            bootstraps: 9,
            tuned: false,
        }
    }

    #[test]
    fn every_point_once() {
        let mut chart = Chart {
            title: "m&m.onnx".to_string(),
            accuracy: "accuracy".to_string(),
            points: (0..12)
                .map(|k| {
                    spot(
                        &k.to_string(),
                        4.0 + f64::from(k),
                        0.9 + 0.001 * f64::from(k),
                    )
                })
                .collect(),
            baselines: vec![spot("quadratics <everywhere>", 11.0, 0.11)],
            network: Some(0.917),
        };
        chart.points[3].tuned = true;
        let text = picture(&chart);
        assert_eq!(text, picture(&chart));
        for k in 0..12 {
            assert_eq!(text.matches(&format!(">{k} · 9 bs<")).count(), 1, "{k}");
        }
        assert!(text.contains("quadratics &lt;everywhere&gt;") && text.contains("m&amp;m.onnx"));
        assert!(text.contains("logarithmic") && text.contains("trained"));
        assert_eq!(text.matches('<').count(), text.matches('>').count());
        assert!(!text.contains("NaN") && !text.contains("inf"));
    }

    #[test]
    fn an_empty_front_is_a_picture() {
        let chart = Chart {
            title: String::new(),
            accuracy: "accuracy".to_string(),
            points: Vec::new(),
            baselines: Vec::new(),
            network: None,
        };
        assert!(!picture(&chart).contains("NaN"));
    }
}
