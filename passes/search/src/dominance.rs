//! Who is better than whom: Pareto dominance under limits, its layers, and crowding [DPAM02].

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use crate::objective::Score;

/// What a user does not want to see on the front.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Most predicted seconds.
    pub max_seconds: Option<f64>,
    /// Least accuracy, 0 to 1.
    pub min_accuracy: Option<f64>,
}

impl Limits {
    /// By how much a score misses the limits: 0 within them, infinite for what cannot be run.
    pub fn violation(&self, score: Option<&Score>) -> f64 {
        let Some(score) = score else {
            return f64::INFINITY;
        };
        let late = self.max_seconds.map_or(0.0, |m| score.seconds / m - 1.0);
        let wrong = self.min_accuracy.map_or(0.0, |m| m - score.accuracy);
        late.max(0.0) + wrong.max(0.0)
    }
}

/// A score as the selection sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rated {
    violation: f64,
    loss: f64,
    divergence: f64,
    seconds: f64,
}

impl Rated {
    pub(crate) fn new(score: Option<&Score>, limits: &Limits) -> Self {
        Self {
            violation: limits.violation(score),
            loss: score.map_or(1.0, |s| s.loss),
            divergence: score.map_or(f64::INFINITY, |s| s.divergence),
            seconds: score.map_or(f64::INFINITY, |s| s.seconds),
        }
    }

    /// Greater is better: less loss, then less divergence. Total, so that the front stays
    /// two-dimensional, and its end is the genome nearest to the exact network, whatever that costs.
    fn quality(&self, other: &Self) -> Ordering {
        let loss = other.loss.total_cmp(&self.loss);
        loss.then(other.divergence.total_cmp(&self.divergence))
    }

    /// Where a point lies when distances count: to halve a loss, or the seconds, is worth the same
    /// wherever it happens, until the loss is too small to matter.
    fn place(&self) -> [f64; 2] {
        [-(self.loss + NONE).ln(), self.seconds.ln_1p()]
    }

    /// Within the limits before beyond them; beyond them the smaller violation; within them no worse
    /// in both and better in one.
    #[cfg(test)]
    fn dominates(&self, other: &Self) -> bool {
        if self.violation > 0.0 || other.violation > 0.0 {
            return self.violation < other.violation;
        }
        let (quality, seconds) = (
            self.quality(other),
            other.seconds.total_cmp(&self.seconds), // greater: self is faster
        );
        quality.is_ge() && seconds.is_ge() && (quality.is_gt() || seconds.is_gt())
    }
}

/// Losses well below a tenth of a point are none.
const NONE: f64 = 0.001;

/// The layers of non-dominated points: indices, best layer first, every layer by ascending seconds.
///
/// With two objectives a sweep by seconds finds the layer of a point by bisection: a layer dominates
/// the point exactly if its last and best member does [Jen03].
pub(crate) fn layers(points: &[Rated]) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..points.len()).collect();
    order.sort_by(|&a, &b| {
        let (p, q) = (&points[a], &points[b]);
        let seconds = p.seconds.total_cmp(&q.seconds);
        seconds.then(q.quality(p)).then(a.cmp(&b))
    });
    let (within, mut beyond): (Vec<usize>, Vec<usize>) =
        order.into_iter().partition(|&i| points[i].violation == 0.0);
    let mut layers: Vec<Vec<usize>> = Vec::new();
    for i in within {
        let place = layers.partition_point(|layer| {
            let best = &points[layer[layer.len() - 1]];
            let quality = best.quality(&points[i]);
            quality.is_gt() || (quality.is_eq() && best.seconds < points[i].seconds)
        });
        match layers.get_mut(place) {
            Some(layer) => layer.push(i),
            None => layers.push(vec![i]),
        }
    }
    beyond.sort_by(|&a, &b| points[a].violation.total_cmp(&points[b].violation));
    for group in beyond.chunk_by(|&a, &b| points[a].violation == points[b].violation) {
        layers.push(group.to_vec());
    }
    layers
}

/// How far every member of a layer is from its neighbours in loss and seconds, relative to the extent of
/// the layer; infinite at the ends.
pub(crate) fn crowding(points: &[Rated], layer: &[usize]) -> Vec<f64> {
    let mut distance = vec![0.0; layer.len()];
    for axis in 0..2 {
        let at = |position: usize| points[layer[position]].place()[axis];
        let mut order: Vec<usize> = (0..layer.len()).collect();
        order.sort_by(|&a, &b| at(a).total_cmp(&at(b)).then(a.cmp(&b)));
        let (Some(&first), Some(&last)) = (order.first(), order.last()) else {
            continue;
        };
        let extent = at(last) - at(first);
        distance[first] = f64::INFINITY;
        distance[last] = f64::INFINITY;
        for three in order.windows(3) {
            // Not of what cannot be run, whose seconds are infinite.
            if extent > 0.0 && extent.is_finite() {
                distance[three[1]] += (at(three[2]) - at(three[0])) / extent;
            }
        }
    }
    distance
}

/// The points no other is better than in loss and seconds, within the limits: indices by ascending
/// seconds and strictly descending loss (or divergence, where losses are equal).
pub fn front(scores: &[Option<Score>], limits: &Limits) -> Vec<usize> {
    let rated = |score: &Option<Score>| Rated::new(score.as_ref(), limits);
    let points: Vec<Rated> = scores.iter().map(rated).collect();
    let mut order: Vec<usize> = (0..points.len())
        .filter(|&i| points[i].violation == 0.0)
        .collect();
    order.sort_by(|&a, &b| {
        let (p, q) = (&points[a], &points[b]);
        let seconds = p.seconds.total_cmp(&q.seconds);
        seconds.then(q.quality(p)).then(a.cmp(&b))
    });
    let mut best: Option<usize> = None;
    order.retain(|&i| {
        let better = best.is_none_or(|best| points[i].quality(&points[best]).is_gt());
        if better {
            best = Some(i);
        }
        better
    });
    order
}

/// At most `most` points of a front, the ends among them: those go first without which the front would
/// lose least area [BNE07]. One stays in any case without which none of the others would be as good as
/// some of `rivals`, in loss and seconds. Indices, ascending; `scores` by ascending seconds and descending
/// loss.
pub fn thin(scores: &[Score], rivals: &[Score], most: usize) -> Vec<usize> {
    let place = |score: &Score| Rated::new(Some(score), &Limits::default()).place();
    let places: Vec<[f64; 2]> = scores.iter().map(place).collect();
    let as_good = |i: usize, rival: &Score| {
        scores[i].seconds <= rival.seconds && scores[i].loss <= rival.loss
    };
    let mut kept: Vec<usize> = (0..scores.len()).collect();
    while kept.len() > most.max(2) {
        let area = |i: usize| {
            let [before, this, after] = [i - 1, i, i + 1].map(|i| places[kept[i]]);
            (this[0] - before[0]) * (after[1] - this[1])
        };
        let needed = |i: usize| {
            let others = || kept.iter().filter(|&&other| other != kept[i]);
            let only = |r: &Score| as_good(kept[i], r) && !others().any(|&o| as_good(o, r));
            rivals.iter().any(only)
        };
        let least = (1..kept.len() - 1)
            .filter(|&i| !needed(i))
            .min_by(|&a, &b| area(a).total_cmp(&area(b)));
        match least {
            Some(least) => kept.remove(least),
            None => break,
        };
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// Scores on a coarse grid, with ties and duplicates in plenty; some cannot be run.
    fn scores(seed: u64, count: usize, grid: u64) -> Vec<Option<Score>> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut draw = |n: u64| random.random_range(0..n) as f64 / n as f64;
        let mut one = || Score {
            accuracy: draw(grid),
            loss: draw(grid),
            divergence: draw(3),
            seconds: 1.0 + draw(grid),
            bootstraps: 0,
        };
        let mut scores: Vec<_> = (0..count).map(|_| Some(one())).collect();
        scores
            .iter_mut()
            .skip(3)
            .step_by(17)
            .for_each(|s| *s = None);
        scores
    }

    #[test]
    fn layers_are_those_of_the_definition() {
        let strict = Limits {
            max_seconds: Some(1.7),
            min_accuracy: Some(0.2),
        };
        for (seed, limits) in (0..40).map(|s| {
            (
                s,
                if s % 2 == 0 {
                    Limits::default()
                } else {
                    strict
                },
            )
        }) {
            let scores = scores(seed, 60, 4 + seed);
            let points: Vec<Rated> = scores
                .iter()
                .map(|s| Rated::new(s.as_ref(), &limits))
                .collect();
            let mut left: Vec<usize> = (0..points.len()).collect();
            for layer in layers(&points) {
                let (dominated, mut expect): (Vec<usize>, Vec<usize>) = left
                    .iter()
                    .partition(|&&i| left.iter().any(|&j| points[j].dominates(&points[i])));
                let mut got = layer;
                got.sort_unstable();
                expect.sort_unstable();
                assert_eq!(got, expect, "seed {seed}");
                left = dominated;
            }
            assert!(left.is_empty());
        }
    }

    #[test]
    fn front_is_what_nothing_beats() {
        for seed in 0..20 {
            let scores = scores(seed, 80, 5 + seed);
            let limits = Limits {
                max_seconds: Some(1.8),
                min_accuracy: None,
            };
            let front = front(&scores, &limits);
            let worth = |i: usize| scores[i].map(|s| (s.loss, s.divergence, s.seconds));
            let inside: Vec<(f64, f64, f64)> = (0..scores.len())
                .filter_map(worth)
                .filter(|&(_, _, seconds)| seconds <= 1.8)
                .collect();
            let beaten = |p: (f64, f64, f64)| {
                inside
                    .iter()
                    .any(|&q| (q.0, q.1) <= (p.0, p.1) && q.2 <= p.2 && q != p)
            };
            let mut expect: Vec<_> = inside.iter().copied().filter(|&p| !beaten(p)).collect();
            expect.sort_by(|a, b| a.2.total_cmp(&b.2));
            expect.dedup();
            let got: Vec<_> = front.iter().filter_map(|&i| worth(i)).collect();
            assert_eq!(got, expect, "seed {seed}");
        }
    }

    fn score(loss: f64, seconds: f64) -> Score {
        Score {
            accuracy: 0.5,
            loss,
            divergence: 0.0,
            seconds,
            bootstraps: 0,
        }
    }

    #[test]
    fn crowding_by_hand() {
        let rated = |s: &Score| Rated::new(Some(s), &Limits::default());
        let points = [(0.01, 5.0), (0.5, 1.0), (0.1, 2.0), (0.3, 1.5)];
        let points = points.map(|(loss, seconds)| rated(&score(loss, seconds)));
        let layer = &layers(&points)[0];
        assert_eq!(*layer, [1, 3, 2, 0]);
        let distance = crowding(&points, layer);
        assert!(distance[0].is_infinite() && distance[3].is_infinite());
        let lost = |loss: f64| (loss + NONE).ln();
        let time = |seconds: f64| (1.0 + seconds).ln();
        let extent = [lost(0.5) - lost(0.01), time(5.0) - time(1.0)];
        let first = (lost(0.5) - lost(0.1)) / extent[0] + (time(2.0) - time(1.0)) / extent[1];
        let second = (lost(0.3) - lost(0.01)) / extent[0] + (time(5.0) - time(1.5)) / extent[1];
        assert!((distance[1] - first).abs() < 1e-12);
        assert!((distance[2] - second).abs() < 1e-12);
    }

    #[test]
    fn thinning_keeps_the_ends_and_what_spans_most() {
        // Much slower for next to nothing; three close together; a wide step.
        let points = [
            (0.9, 1.0),
            (0.5, 2.0),
            (0.49, 2.1),
            (0.3, 2.2),
            (0.01, 4.0),
            (1e-6, 8.0),
            (1e-7, 20.0),
        ];
        let scores = points.map(|(loss, seconds)| score(loss, seconds));
        let check = |most: usize, expect: &[usize]| {
            assert_eq!(thin(&scores, &[], most), expect);
        };
        check(9, &[0, 1, 2, 3, 4, 5, 6]);
        check(6, &[0, 1, 3, 4, 5, 6]);
        check(4, &[0, 4, 5, 6]);
        check(1, &[0, 6]);
        // As good as the first is only the third; as the second, two; as the last, none.
        let rival = [score(0.49, 2.15), score(0.01, 9.0), score(0.001, 0.5)];
        assert_eq!(thin(&scores, &rival, 4), [0, 2, 4, 6]);
        assert_eq!(thin(&scores, &rival, 2), [0, 2, 4, 6]);
        assert!(thin(&[], &rival, 3).is_empty());
    }
}
