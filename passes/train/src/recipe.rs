//! How a network is trained: every number that changes the result.

use serde::{Deserialize, Serialize};

use crate::TrainError;

/// When the activations change from the original to what replaces them: y = (1 - t) f(x) + t p(x).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Homotopy {
    /// t rises from 0 to 1 in all activations alike.
    Together,
    /// t rises in one activation after the other, from the image to the logits; half of them are on the
    /// way at a time.
    FrontToBack,
}

/// All that a run depends on besides network and data. Two runs of one recipe give the same bits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Recipe {
    /// Passes over the training images.
    pub epochs: usize,
    /// Images of a step.
    pub batch: usize,
    /// Peak of the learning rate.
    pub rate: f32,
    /// Epochs over which the rate rises linearly from 0; a cosine leads back to 0 at the end.
    pub warmup: f32,
    /// Nesterov momentum.
    pub momentum: f32,
    /// Weight decay, of weights only.
    pub decay: f32,
    /// Largest norm of the whole gradient.
    pub clip: f32,
    /// Rate of polynomial coefficients over that of weights. Coefficients are trained in units of their
    /// channel's standard deviation.
    pub coefficient_rate: f32,
    /// Share of the divergence from the teacher in the loss; the rest is the cross-entropy of the
    /// labels.
    pub soft: f32,
    /// Softens teacher and student.
    pub temperature: f32,
    /// Order of the change to the new activations.
    pub homotopy: Homotopy,
    /// Epochs that the change takes; 0 for none.
    pub homotopy_epochs: f32,
    /// Weight of sum (|x| / B - 1)^2 over the operands x of an image that leave their range B.
    pub penalty: f32,
    /// B over the largest operand that was measured, for approximations.
    pub margin: f64,
    /// B of a channel over the standard deviation of its operands, for polynomials that are trained.
    pub reach: f32,
    /// Whether polynomials that are trained become lines beyond their range in training (never in
    /// evaluation), so that one image cannot blow up a step.
    pub tangent: bool,
    /// Images on which ranges and distributions are measured.
    pub measured: usize,
    /// Batches over which the statistics of batch normalisation are averaged after an epoch.
    pub settled: usize,
    /// Pixels that a random crop may be off, with zeros of `fill` around.
    pub shift: usize,
    /// Whether images are mirrored at random.
    pub mirror: bool,
    /// Normalised value of what is outside of an image, per channel; black is -mean/std. Empty: 0.
    pub fill: Vec<f32>,
    /// Order of the images, crops and mirrors.
    pub seed: u64,
    /// Steps between two checkpoints within an epoch; 0 for one after every epoch only.
    pub checkpoint_steps: usize,
}

impl Default for Recipe {
    fn default() -> Self {
        Self {
            epochs: 12,
            batch: 128,
            rate: 0.05,
            warmup: 0.5,
            momentum: 0.9,
            decay: 5e-4,
            clip: 5.0,
            coefficient_rate: 0.1,
            soft: 0.9,
            temperature: 2.0,
            homotopy: Homotopy::Together,
            homotopy_epochs: 1.0,
            penalty: 0.05,
            margin: 1.1,
            reach: 5.0,
            tangent: true,
            measured: 1000,
            settled: 16,
            shift: 4,
            mirror: true,
            fill: Vec::new(),
            seed: 1,
            checkpoint_steps: 0,
        }
    }
}

impl Recipe {
    /// Checks every number, for a network of `channels` input channels.
    ///
    /// # Errors
    /// The first one out of bounds.
    pub fn verify(&self, channels: usize) -> Result<(), TrainError> {
        let whole =
            |name, value: usize, low: usize, high: usize| match (low..=high).contains(&value) {
                true => Ok(()),
                false => Err(TrainError::Recipe {
                    name,
                    expected: format!("{low} to {high}"),
                    got: value.to_string(),
                }),
            };
        let number = |name, value: f32, low: f32, high: f32| match (low..=high).contains(&value) {
            true => Ok(()),
            false => Err(TrainError::Recipe {
                name,
                expected: format!("{low} to {high}"),
                got: value.to_string(),
            }),
        };
        whole("epochs", self.epochs, 1, 100_000)?;
        whole("batch", self.batch, 1, 65_536)?;
        whole("measured", self.measured, 1, 1 << 24)?;
        whole("settled", self.settled, 1, 1 << 16)?;
        whole("shift", self.shift, 0, 1 << 12)?;
        number("rate", self.rate, 0.0, 100.0)?;
        number("warmup", self.warmup, 0.0, self.epochs as f32)?;
        number("momentum", self.momentum, 0.0, 0.9999)?;
        number("decay", self.decay, 0.0, 1.0)?;
        number("clip", self.clip, f32::MIN_POSITIVE, f32::MAX)?;
        number("coefficient_rate", self.coefficient_rate, 0.0, 100.0)?;
        number("soft", self.soft, 0.0, 1.0)?;
        number("temperature", self.temperature, 0.1, 100.0)?;
        let epochs = self.epochs as f32;
        number("homotopy_epochs", self.homotopy_epochs, 0.0, epochs)?;
        number("penalty", self.penalty, 0.0, 1e6)?;
        number("margin", self.margin as f32, 1.0, 100.0)?;
        number("reach", self.reach, 0.01, 1e6)?;
        if let Some(fill) = self.fill.iter().find(|f| !f.is_finite()) {
            number("fill", *fill, f32::MIN, f32::MAX)?;
        }
        match self.fill.len() {
            0 => Ok(()),
            n => whole("values of fill", n, channels, channels),
        }
    }

    /// Learning rate at `epoch`, fractions counted.
    pub fn rate_at(&self, epoch: f32) -> f32 {
        if epoch < self.warmup {
            return self.rate * epoch / self.warmup;
        }
        let rest = (self.epochs as f32 - self.warmup).max(f32::MIN_POSITIVE);
        let turn = std::f32::consts::PI * ((epoch - self.warmup) / rest).min(1.0);
        0.5 * self.rate * (1.0 + turn.cos())
    }

    /// Share t of the new activation in activation `index` of `count` at `epoch`.
    pub fn share_at(&self, epoch: f32, index: usize, count: usize) -> f32 {
        if self.homotopy_epochs <= 0.0 {
            return 1.0;
        }
        let time = (epoch / self.homotopy_epochs).clamp(0.0, 1.0);
        match self.homotopy {
            Homotopy::Together => time,
            Homotopy::FrontToBack => {
                // Each takes half of the time; the last one starts when half of it is over.
                let start = 0.5 * index as f32 / (count.max(2) - 1) as f32;
                ((time - start) / 0.5).clamp(0.0, 1.0)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_rise_and_fall() {
        let recipe = Recipe {
            epochs: 10,
            rate: 0.4,
            warmup: 2.0,
            ..Recipe::default()
        };
        let check = |epoch: f32, expect: f32| {
            let got = recipe.rate_at(epoch);
            assert!((got - expect).abs() < 1e-6, "{epoch}: {got}");
        };
        check(0.0, 0.0);
        check(1.0, 0.2);
        check(2.0, 0.4);
        check(6.0, 0.2);
        check(10.0, 0.0);
    }

    #[test]
    fn shares_rise_to_one() {
        let check = |homotopy, epoch: f32, index: usize, expect: f32| {
            let recipe = Recipe {
                homotopy,
                homotopy_epochs: 4.0,
                ..Recipe::default()
            };
            let got = recipe.share_at(epoch, index, 5);
            assert!((got - expect).abs() < 1e-6, "{epoch} {index}: {got}");
        };
        check(Homotopy::Together, 1.0, 4, 0.25);
        check(Homotopy::Together, 5.0, 0, 1.0);
        check(Homotopy::FrontToBack, 1.0, 0, 0.5);
        check(Homotopy::FrontToBack, 2.0, 0, 1.0);
        check(Homotopy::FrontToBack, 2.0, 4, 0.0);
        check(Homotopy::FrontToBack, 3.0, 4, 0.5);
        check(Homotopy::FrontToBack, 4.0, 4, 1.0);
    }

    #[test]
    fn numbers_out_of_bounds_are_named() {
        let check = |edit: fn(&mut Recipe), expect: &str| {
            let mut recipe = Recipe::default();
            recipe.verify(3).unwrap();
            edit(&mut recipe);
            let message = recipe.verify(3).unwrap_err().to_string();
            assert!(message.contains(expect), "{message}");
        };
        check(|r| r.epochs = 0, "epochs is 0, expected 1 to 100000");
        check(|r| r.rate = f32::NAN, "rate is NaN");
        check(|r| r.warmup = 13.0, "warmup is 13, expected 0 to 12");
        check(|r| r.fill = vec![0.0; 2], "values of fill is 2");
        check(|r| r.fill = vec![f32::NAN; 3], "fill is NaN");
        check(|r| r.clip = 0.0, "clip is 0");
    }
}
