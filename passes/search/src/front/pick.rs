//! Choosing a point by what a user wants.

use super::{Front, Point};
use crate::error::SearchError;

impl Front {
    /// The index of the most accurate point within `max_latency` seconds; or, where `min_accuracy`
    /// (0 to 1) is given, of the fastest point of at least that accuracy, and within `max_latency` if
    /// that is given too. Of equals the one that is better in the other respect.
    ///
    /// Among the points of the search the most accurate is the one of the least estimated loss: counted
    /// accuracies may differ by chance. What was trained is compared with that one by accuracy.
    ///
    /// # Errors
    /// [`SearchError::Pick`] says how near the front comes.
    pub fn pick(
        &self,
        max_latency: Option<f64>,
        min_accuracy: Option<f64>,
    ) -> Result<usize, SearchError> {
        let refuse = |what: String| Err(SearchError::Pick(what));
        let worth = |p: &Point| (p.accuracy.value(), p.cost.seconds);
        let show = |p: &Point| {
            let (accuracy, seconds) = worth(p);
            format!("{seconds:.2} s at {:.2} %", 100.0 * accuracy)
        };
        if max_latency.is_none() && min_accuracy.is_none() {
            return refuse("nothing to pick by: give a largest latency or a least accuracy".into());
        }
        let fast = |p: &&Point| max_latency.is_none_or(|most| p.cost.seconds <= most);
        let good = |p: &&Point| min_accuracy.is_none_or(|least| p.accuracy.value() >= least);
        let points: Vec<(usize, &Point)> = self.points.iter().enumerate().collect();
        let fits = |(_, p): &&(usize, &Point)| fast(p) && good(p);
        let inside = || points.iter().filter(fits);
        let descending = |a: f64, b: f64| b.total_cmp(&a);
        let found = match min_accuracy {
            Some(_) => inside().min_by(|(_, p), (_, q)| {
                let ((accuracy, seconds), (other, other_seconds)) = (worth(p), worth(q));
                let faster = seconds.total_cmp(&other_seconds);
                faster.then(descending(accuracy, other))
            }),
            None => {
                let loss = |p: &Point| p.loss.unwrap_or(f64::INFINITY);
                let searched = inside().filter(|(_, p)| p.loss.is_some()).min_by(|p, q| {
                    let nearer = loss(p.1).total_cmp(&loss(q.1));
                    nearer.then(worth(p.1).1.total_cmp(&worth(q.1).1))
                });
                let trained = inside().filter(|(_, p)| p.loss.is_none());
                searched
                    .into_iter()
                    .chain(trained)
                    .min_by(|(_, p), (_, q)| {
                        let ((accuracy, seconds), (other, other_seconds)) = (worth(p), worth(q));
                        let better = descending(accuracy, other);
                        better.then(seconds.total_cmp(&other_seconds))
                    })
            }
        };
        if let Some((place, _)) = found {
            return Ok(*place);
        }
        let by = |f: fn(&Point) -> f64| {
            points
                .iter()
                .map(|(_, p)| *p)
                .min_by(|a, b| f(a).total_cmp(&f(b)))
        };
        let fastest = by(|p| p.cost.seconds);
        let best = by(|p| -p.accuracy.value());
        let (Some(fastest), Some(best)) = (fastest, best) else {
            return refuse("the front has no points".into());
        };
        match (max_latency, min_accuracy) {
            (Some(most), Some(least)) => refuse(format!(
                "no point has {:.2} % within {most} s; the fastest is {}, the most accurate {}",
                100.0 * least,
                show(fastest),
                show(best)
            )),
            (Some(most), None) => refuse(format!(
                "no point is within {most} s; the fastest is {}",
                show(fastest)
            )),
            (None, least) => refuse(format!(
                "no point has {:.2} %; the most accurate is {}",
                100.0 * least.unwrap_or_default(),
                show(best)
            )),
        }
    }
}
