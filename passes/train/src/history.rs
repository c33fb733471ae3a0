//! What happened in training, and its picture.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

/// A run so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct History {
    /// Epochs finished.
    pub epochs: Vec<Epoch>,
    /// Mean loss of about every twentieth of an epoch: epoch, fractions counted, and loss.
    pub losses: Vec<[f32; 2]>,
}

/// One epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Epoch {
    /// Mean loss over the steps, without the penalty.
    pub loss: f64,
    /// Mean penalty over the steps.
    pub penalty: f64,
    /// Share of the (augmented) images to learn from that got their class while learning.
    pub training_accuracy: f64,
    /// Held-out images that get their class with the activations of `share`.
    pub correct: usize,
    /// Held-out images.
    pub held_out: usize,
    /// Least share of the new activation over the network: the network is what it is to become from 1 on.
    pub share: f32,
    /// Share of the operands of replaced activations that lay beyond their range.
    pub outside: f64,
    /// Mean norm of the gradient before clipping.
    pub norm: f64,
}

impl Epoch {
    /// Share of the held-out images that get their class.
    pub fn accuracy(&self) -> f64 {
        self.correct as f64 / self.held_out.max(1) as f64
    }
}

impl History {
    /// The epoch whose network is the result: the one with most held-out images right among those with
    /// nothing left of the original activations, the last of equals.
    pub fn best(&self) -> Option<usize> {
        let done = self
            .epochs
            .iter()
            .enumerate()
            .filter(|(_, e)| e.share >= 1.0);
        done.max_by_key(|(_, e)| e.correct).map(|(i, _)| i)
    }

    /// Loss (left axis) and held-out accuracy (right axis) over the epochs, as an SVG picture.
    pub fn svg(&self) -> String {
        const SIZE: [f32; 2] = [720.0, 400.0];
        const EDGE: [f32; 4] = [56.0, 24.0, 56.0, 44.0];
        let [left, top, right, bottom] = [EDGE[0], EDGE[1], SIZE[0] - EDGE[2], SIZE[1] - EDGE[3]];
        let last = self.losses.iter().map(|l| l[0]).fold(0.0, f32::max);
        let epochs = last.max(self.epochs.len() as f32).max(1.0);
        let losses = self.losses.iter().filter(|l| l[1].is_finite());
        let most = losses.clone().map(|l| l[1]).fold(1e-6, f32::max);
        let accuracies: Vec<f32> = self.epochs.iter().map(|e| e.accuracy() as f32).collect();
        let least = accuracies.iter().copied().fold(1.0, f32::min);
        let floor = (10.0 * least).floor().min(9.0) / 10.0;
        let x = |epoch: f32| left + (right - left) * epoch / epochs;
        let y = |part: f32| bottom - (bottom - top) * part;
        let mut svg = String::new();
        let mut line = |text: std::fmt::Arguments<'_>| {
            // Writing to a string cannot fail.
            let _ = svg.write_fmt(text);
        };
        line(format_args!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{}\" height=\"{}\" \
             font-family=\"sans-serif\" font-size=\"12\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
             <path d=\"M{left} {top}V{bottom}H{right}V{top}\" fill=\"none\" stroke=\"black\"/>\n",
            SIZE[0], SIZE[1]
        ));
        for tick in 0..=5 {
            let part = tick as f32 / 5.0;
            line(format_args!(
                "<text x=\"{}\" y=\"{}\" text-anchor=\"end\" fill=\"#1f77b4\">{:.2}</text>\n\
                 <text x=\"{}\" y=\"{}\" fill=\"#d62728\">{:.1} %</text>\n",
                left - 6.0,
                y(part) + 4.0,
                most * part,
                right + 6.0,
                y(part) + 4.0,
                100.0 * (floor + (1.0 - floor) * part),
            ));
        }
        let step = (epochs / 10.0).ceil().max(1.0);
        let mut epoch = 0.0;
        while epoch <= epochs {
            line(format_args!(
                "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{epoch}</text>\n",
                x(epoch),
                bottom + 16.0
            ));
            epoch += step;
        }
        line(format_args!(
            "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">epoch</text>\n\
             <text x=\"{left}\" y=\"14\" text-anchor=\"middle\" fill=\"#1f77b4\">loss</text>\n\
             <text x=\"{right}\" y=\"14\" text-anchor=\"middle\" fill=\"#d62728\">accuracy</text>\n",
            0.5 * (left + right),
            bottom + 34.0
        ));
        let path = |points: &mut dyn Iterator<Item = [f32; 2]>| -> String {
            let points = points.map(|[x, y]| format!("{x:.1},{y:.1}"));
            points.collect::<Vec<_>>().join(" ")
        };
        let loss = path(&mut losses.map(|l| [x(l[0]), y(l[1] / most)]));
        line(format_args!(
            "<polyline points=\"{loss}\" fill=\"none\" stroke=\"#1f77b4\"/>\n"
        ));
        let of = |a: f32| y((a - floor) / (1.0 - floor));
        let marks = accuracies.iter().enumerate();
        let accuracy = path(&mut marks.clone().map(|(i, &a)| [x(i as f32 + 1.0), of(a)]));
        line(format_args!(
            "<polyline points=\"{accuracy}\" fill=\"none\" stroke=\"#d62728\"/>\n"
        ));
        for (i, &a) in marks {
            // Open circles: something of the original activations is left.
            let full = self.epochs[i].share >= 1.0;
            line(format_args!(
                "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\" stroke=\"#d62728\" fill=\"{}\"/>\n",
                x(i as f32 + 1.0),
                of(a),
                if full { "#d62728" } else { "white" }
            ));
        }
        line(format_args!("</svg>\n"));
        svg
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn picture_and_best_epoch() {
        let epoch = |correct, share| Epoch {
            loss: 1.0,
            penalty: 0.0,
            training_accuracy: 0.5,
            correct,
            held_out: 100,
            share,
            outside: 0.0,
            norm: 1.0,
        };
        let mut history = History::default();
        assert_eq!(history.best(), None);
        assert!(history.svg().ends_with("</svg>\n"));
        history.epochs = vec![
            epoch(99, 0.5),
            epoch(80, 1.0),
            epoch(80, 1.0),
            epoch(70, 1.0),
        ];
        history.losses = vec![[0.5, 2.0], [1.0, 1.0], [2.0, f32::NAN]];
        assert_eq!(history.best(), Some(2));
        let svg = history.svg();
        assert_eq!(svg.matches("<circle").count(), 4);
        assert!(!svg.contains("NaN"), "{svg}");
    }
}
