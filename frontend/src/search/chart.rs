//! A front as a chart.

use super::picture::{Chart, Spot};
use hecc_search::{Baseline, Front, Point};

/// What `front.svg` shows.
pub fn chart(front: &Front) -> Chart {
    let images = front.exact.images;
    let accuracy = match front.data.labels {
        true => "accuracy on held-out images",
        false => "same class as the teacher, held-out images",
    };
    Chart {
        title: format!("{}, {images} held-out images", front.model),
        accuracy: accuracy.to_string(),
        points: front.points.iter().enumerate().map(point).collect(),
        baselines: front.baselines.iter().filter_map(baseline).collect(),
        network: Some(front.exact.value()),
    }
}

fn point((number, point): (usize, &Point)) -> Spot {
    Spot {
        name: number.to_string(),
        seconds: point.cost.seconds,
        accuracy: point.accuracy.value(),
        interval: Some(point.accuracy.interval()),
        bootstraps: point.cost.bootstraps,
        tuned: point.tuned.is_some(),
    }
}

/// None for what cannot be run.
fn baseline(baseline: &Baseline) -> Option<Spot> {
    let cost = baseline.cost?;
    Some(Spot {
        name: baseline.name.clone(),
        seconds: cost.seconds,
        accuracy: baseline.accuracy.value(),
        interval: None,
        bootstraps: cost.bootstraps,
        tuned: false,
    })
}
