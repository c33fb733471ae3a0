//! Stochastic gradient descent with Nesterov momentum, clipped as a whole.

use crate::Recipe;

/// What a block of parameters is, for its rate and decay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Group {
    /// Weights of linear operators: decay.
    Weight,
    /// Biases, scales and shifts of normalisations.
    Shift,
    /// Coefficients of polynomials: a rate of their own.
    Coefficient,
}

/// Momentum of every block.
pub(crate) struct Optimiser {
    pub velocity: Vec<Vec<f32>>,
}

impl Optimiser {
    /// At rest, for blocks of these lengths.
    pub fn new(lengths: impl Iterator<Item = usize>) -> Self {
        Self {
            velocity: lengths.map(|n| vec![0.0; n]).collect(),
        }
    }

    /// One step at `rate`; `gradients` has the lengths of the parameters. Returns the gradient's norm
    /// before clipping; where it is not finite nothing changes.
    pub fn step(
        &mut self,
        parameters: &mut [(Group, &mut [f32])],
        gradients: &[Vec<f32>],
        rate: f32,
        recipe: &Recipe,
    ) -> f64 {
        let squares = gradients.iter().flatten().map(|&g| f64::from(g).powi(2));
        let norm = squares.sum::<f64>().sqrt();
        if !norm.is_finite() {
            return norm;
        }
        let shrink = (f64::from(recipe.clip) / norm.max(f64::MIN_POSITIVE)).min(1.0) as f32;
        let blocks = parameters.iter_mut().zip(gradients).zip(&mut self.velocity);
        for (((group, values), gradient), velocity) in blocks {
            let (rate, decay) = match group {
                Group::Weight => (rate, recipe.decay),
                Group::Shift => (rate, 0.0),
                Group::Coefficient => (rate * recipe.coefficient_rate, 0.0),
            };
            for ((w, g), v) in values.iter_mut().zip(gradient).zip(velocity) {
                let g = shrink * g + decay * *w;
                *v = recipe.momentum * *v + g;
                *w -= rate * (g + recipe.momentum * *v);
            }
        }
        norm
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_steps_by_hand() {
        let recipe = Recipe {
            clip: 5.0,
            decay: 0.5,
            momentum: 0.5,
            coefficient_rate: 0.1,
            ..Recipe::default()
        };
        let (mut weight, mut coefficient) = (vec![2.0], vec![1.0]);
        let mut optimiser = Optimiser::new([1, 1].into_iter());
        let mut step = |gradient: [f32; 2]| {
            let mut parameters = [
                (Group::Weight, weight.as_mut_slice()),
                (Group::Coefficient, coefficient.as_mut_slice()),
            ];
            let gradients = gradient.map(|g| vec![g]);
            let norm = optimiser.step(&mut parameters, &gradients, 0.1, &recipe);
            (norm, weight[0], coefficient[0])
        };
        // Norm 10, halved: g = 3 + 0.5 * 2 = 4, v = 4, w -= 0.1 * 6; the coefficient 0.01 * 1.5 * 4.
        let (norm, w, c) = step([6.0, 8.0]);
        assert_eq!(norm, 10.0);
        assert!((w - 1.4).abs() < 1e-6 && (c - 0.94).abs() < 1e-6, "{w} {c}");
        // g = 0.7, v = 2 + 0.7, w -= 0.1 * (0.7 + 1.35); v = 2, c -= 0.01 * 1.
        let (_, w, c) = step([0.0, 0.0]);
        assert!(
            (w - 1.195).abs() < 1e-6 && (c - 0.93).abs() < 1e-6,
            "{w} {c}"
        );
        let (norm, again, _) = step([f32::NAN, 0.0]);
        assert!(norm.is_nan() && again == w);
    }
}
