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
    accuracy: f64,
    divergence: f64,
    seconds: f64,
}

impl Rated {
    pub(crate) fn new(score: Option<&Score>, limits: &Limits) -> Self {
        Self {
            violation: limits.violation(score),
            accuracy: score.map_or(0.0, |s| s.accuracy),
            divergence: score.map_or(f64::INFINITY, |s| s.divergence),
            seconds: score.map_or(f64::INFINITY, |s| s.seconds),
        }
    }

    /// Greater is better: accuracy, then divergence. Total, so that the front stays two-dimensional.
    fn quality(&self, other: &Self) -> Ordering {
        let accuracy = self.accuracy.total_cmp(&other.accuracy);
        accuracy.then(other.divergence.total_cmp(&self.divergence))
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

/// Losses of accuracy below half a point count as equal in [`crowding`].
const EQUAL: f64 = 0.005;

/// How far every member of a layer is from its neighbours in accuracy and seconds, relative to the
/// extent of the layer; infinite at the ends. Accuracy counts as the logarithm of what is lost against
/// the layer's best: to halve a loss of two points is worth as much as to halve one of twenty.
pub(crate) fn crowding(points: &[Rated], layer: &[usize]) -> Vec<f64> {
    let mut distance = vec![0.0; layer.len()];
    let best = layer
        .iter()
        .map(|&i| points[i].accuracy)
        .fold(0.0, f64::max);
    let axes: [&dyn Fn(&Rated) -> f64; 2] =
        [&|p| -(best - p.accuracy + EQUAL).ln(), &|p| p.seconds];
    for axis in axes {
        let at = |position: usize| axis(&points[layer[position]]);
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

/// The points no other is better than in accuracy and seconds, within the limits: indices by
/// ascending seconds and strictly ascending accuracy.
pub fn front(scores: &[Option<Score>], limits: &Limits) -> Vec<usize> {
    let mut order: Vec<(usize, &Score)> = scores
        .iter()
        .enumerate()
        .filter_map(|(i, score)| score.as_ref().map(|s| (i, s)))
        .filter(|(_, score)| limits.violation(Some(score)) == 0.0)
        .collect();
    order.sort_by(|(i, a), (j, b)| {
        let seconds = a.seconds.total_cmp(&b.seconds);
        let accuracy = b.accuracy.total_cmp(&a.accuracy);
        let divergence = a.divergence.total_cmp(&b.divergence);
        seconds.then(accuracy).then(divergence).then(i.cmp(j))
    });
    let mut best = f64::NEG_INFINITY;
    order.retain(|(_, score)| {
        let better = score.accuracy > best;
        best = best.max(score.accuracy);
        better
    });
    order.into_iter().map(|(i, _)| i).collect()
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
            let worth = |i: usize| scores[i].map(|s| (s.accuracy, s.seconds));
            let inside: Vec<(f64, f64)> = (0..scores.len())
                .filter_map(worth)
                .filter(|&(_, seconds)| seconds <= 1.8)
                .collect();
            let beaten = |(a, s): (f64, f64)| {
                inside
                    .iter()
                    .any(|&(b, t)| b >= a && t <= s && (b > a || t < s))
            };
            let mut expect: Vec<_> = inside.iter().copied().filter(|&p| !beaten(p)).collect();
            expect.sort_by(|a, b| a.1.total_cmp(&b.1));
            expect.dedup();
            let got: Vec<_> = front.iter().filter_map(|&i| worth(i)).collect();
            assert_eq!(got, expect, "seed {seed}");
        }
    }

    #[test]
    fn crowding_by_hand() {
        let score = |accuracy, seconds| {
            let score = Score {
                accuracy,
                seconds,
                divergence: 0.0,
                bootstraps: 0,
            };
            Rated::new(Some(&score), &Limits::default())
        };
        let points = [
            score(0.9, 5.0),
            score(0.5, 1.0),
            score(0.8, 2.0),
            score(0.6, 1.5),
        ];
        let layer = &layers(&points)[0];
        assert_eq!(*layer, [1, 3, 2, 0]);
        let distance = crowding(&points, layer);
        assert!(distance[0].is_infinite() && distance[3].is_infinite());
        let loss = |accuracy: f64| (0.9 - accuracy + EQUAL).ln();
        let extent = loss(0.5) - loss(0.9);
        let first = (loss(0.5) - loss(0.8)) / extent + 1.0 / 4.0;
        let second = (loss(0.6) - loss(0.9)) / extent + 3.5 / 4.0;
        assert!((distance[1] - first).abs() < 1e-12);
        assert!((distance[2] - second).abs() < 1e-12);
    }
}
