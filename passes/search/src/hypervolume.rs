//! The area a front dominates, as one number for how good it is [ZT98].

use serde::{Deserialize, Serialize};

use crate::objective::Score;

/// The worst point that counts: the corner of the area.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reference {
    /// Accuracies below count for nothing, 0 to below 1.
    pub accuracy: f64,
    /// Seconds above count for nothing, positive.
    pub seconds: f64,
}

/// The share of the rectangle from `reference` to (accuracy 1, 0 seconds) that some score is no worse
/// than: 0 to 1, exact.
pub fn hypervolume(scores: &[Option<Score>], reference: &Reference) -> f64 {
    let mut area = 0.0;
    let mut floor = reference.accuracy;
    let mut order: Vec<&Score> = scores.iter().flatten().collect();
    order.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
    for score in order {
        // By ascending seconds: every point adds the strip by which it is above those before it.
        let width = (reference.seconds - score.seconds.max(0.0)).max(0.0);
        area += (score.accuracy - floor).max(0.0) * width;
        floor = floor.max(score.accuracy);
    }
    area / (reference.seconds * (1.0 - reference.accuracy))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn is_the_share_of_random_points_dominated() {
        let mut random = ChaCha8Rng::seed_from_u64(7);
        let mut unit = move || random.random::<f64>();
        for reference in
            [(0.0, 1.0), (0.4, 0.7)].map(|(accuracy, seconds)| Reference { accuracy, seconds })
        {
            let mut scores: Vec<Option<Score>> = Vec::new();
            for _ in 0..12 {
                // Around a front, so that many count.
                let x: f64 = unit();
                let accuracy = 1.0 - 0.8 * (1.0 - x).powi(2) - 0.1 * unit();
                scores.push(Some(Score {
                    accuracy,
                    seconds: x,
                    loss: 1.0 - accuracy,
                    divergence: 0.0,
                    bootstraps: 0,
                }));
            }
            scores.push(None);
            let samples = 200_000;
            let hits = (0..samples)
                .filter(|_| {
                    let accuracy = reference.accuracy + (1.0 - reference.accuracy) * unit();
                    let seconds = reference.seconds * unit();
                    scores
                        .iter()
                        .flatten()
                        .any(|s| s.accuracy >= accuracy && s.seconds <= seconds)
                })
                .count();
            let (exact, sampled) = (
                hypervolume(&scores, &reference),
                hits as f64 / f64::from(samples),
            );
            // Four standard deviations.
            assert!(
                (exact - sampled).abs() < 2.0 / f64::from(samples).sqrt(),
                "{exact} {sampled}"
            );
        }
        let nothing = Reference {
            accuracy: 0.5,
            seconds: 2.0,
        };
        assert_eq!(hypervolume(&[None], &nothing), 0.0);
        let best = Score {
            accuracy: 1.0,
            seconds: 0.0,
            loss: 0.0,
            divergence: 0.0,
            bootstraps: 0,
        };
        assert_eq!(hypervolume(&[Some(best)], &nothing), 1.0);
    }
}
