//! Images and labels, and the batches made of them.

use hecc_batch::Batch;
use hecc_ir::nn::Shape;
use rand::Rng;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use crate::{Recipe, TrainError};

/// A source of images.
pub trait Images: Sync {
    /// Writes image `index`, normalised, `[c][h][w]`, into `target`, which has as many elements as the
    /// network's input.
    ///
    /// # Errors
    /// What is wrong with the image.
    fn copy(&self, index: usize, target: &mut [f32]) -> Result<(), String>;
}

impl Images for Vec<Vec<f32>> {
    fn copy(&self, index: usize, target: &mut [f32]) -> Result<(), String> {
        let image = self
            .get(index)
            .ok_or_else(|| format!("there are {} images", self.len()))?;
        if image.len() != target.len() {
            let (got, expected) = (image.len(), target.len());
            return Err(format!("{got} values, the network takes {expected}"));
        }
        target.copy_from_slice(image);
        Ok(())
    }
}

/// What to learn from, and what to judge by.
#[derive(Clone, Copy)]
pub struct Data<'a> {
    /// The images.
    pub images: &'a dyn Images,
    /// Class of every image, below the number of logits.
    pub labels: &'a [usize],
    /// Images to learn from.
    pub training: &'a [usize],
    /// Images to judge by, none of which is among those to learn from.
    pub held_out: &'a [usize],
}

impl Data<'_> {
    /// Checks labels and the two parts, for a network with `classes` logits.
    ///
    /// # Errors
    /// [`TrainError::Data`].
    pub fn verify(&self, classes: usize) -> Result<(), TrainError> {
        let fail = |what: String| Err(TrainError::Data(what));
        if self.training.is_empty() || self.held_out.is_empty() {
            return fail(format!(
                "{} images to learn from and {} held out; give at least one of each",
                self.training.len(),
                self.held_out.len()
            ));
        }
        let mut held_out = vec![false; self.labels.len()];
        for &i in self.held_out {
            match held_out.get_mut(i) {
                Some(slot) => *slot = true,
                None => return fail(format!("no label for image {i}")),
            }
        }
        for &i in self.training {
            match held_out.get(i) {
                Some(false) => {}
                Some(true) => return fail(format!("image {i} is held out and learned from")),
                None => return fail(format!("no label for image {i}")),
            }
        }
        match self.labels.iter().position(|&l| l >= classes) {
            Some(i) => fail(format!(
                "label {} of image {i}, the network knows classes 0 to {}",
                self.labels[i],
                classes.saturating_sub(1)
            )),
            None => Ok(()),
        }
    }

    /// Images as they are.
    pub(crate) fn plain(&self, shape: Shape, indices: &[usize]) -> Result<Batch, TrainError> {
        self.batch(shape, indices, |_, image, target| {
            place(shape, image, [0, 0], false, &[], target);
        })
    }

    /// Images at `position`.. of the epoch's order, moved and mirrored at random: the same for the same
    /// recipe, epoch and position.
    pub(crate) fn augmented(
        &self,
        shape: Shape,
        indices: &[usize],
        recipe: &Recipe,
        epoch: usize,
        position: usize,
    ) -> Result<Batch, TrainError> {
        self.batch(shape, indices, |k, image, target| {
            // A stream of its own for every epoch, a block of sixteen words for every image.
            let mut random = stream(recipe.seed, epoch, 1);
            random.set_word_pos(16 * (position + k) as u128);
            let reach = recipe.shift as i64;
            let mut off = || match reach {
                0 => 0,
                _ => random.random_range(-reach..=reach),
            };
            let shift = [off(), off()];
            let mirror = recipe.mirror && random.random::<bool>();
            place(shape, image, shift, mirror, &recipe.fill, target);
        })
    }

    fn batch(
        &self,
        shape: Shape,
        indices: &[usize],
        write: impl Fn(usize, &[f32], &mut [f32]) + Sync,
    ) -> Result<Batch, TrainError> {
        let mut batch = Batch::zeros(indices.len(), shape);
        let targets = batch.data.par_chunks_mut(shape.elements().max(1));
        targets.zip(indices).enumerate().try_for_each_init(
            || vec![0.0; shape.elements()],
            |image, (k, (target, &index))| {
                self.images
                    .copy(index, image)
                    .map_err(|what| TrainError::Image { index, what })?;
                write(k, image, target);
                Ok::<(), TrainError>(())
            },
        )?;
        Ok(batch)
    }

    /// The images to learn from, in the order of `epoch`.
    pub(crate) fn order(&self, seed: u64, epoch: usize) -> Vec<usize> {
        let mut order = self.training.to_vec();
        order.shuffle(&mut stream(seed, epoch, 0));
        order
    }
}

fn stream(seed: u64, epoch: usize, purpose: u64) -> ChaCha8Rng {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(2 * epoch as u64 + purpose);
    random
}

/// `[c][h][w]` to `[h][w][c]`, moved by (`dy`, `dx`) with `fill` where nothing is, mirrored.
fn place(
    shape: Shape,
    image: &[f32],
    [dy, dx]: [i64; 2],
    mirror: bool,
    fill: &[f32],
    target: &mut [f32],
) {
    let Shape { c, h, w } = shape;
    for y in 0..h {
        let from_y = y as i64 + dy;
        for x in 0..w {
            let seen = if mirror { w - 1 - x } else { x };
            let from_x = seen as i64 + dx;
            let inside = (0..h as i64).contains(&from_y) && (0..w as i64).contains(&from_x);
            for channel in 0..c {
                target[(y * w + x) * c + channel] = match inside {
                    true => image[shape.index(channel, from_y as usize, from_x as usize)],
                    false => fill.get(channel).copied().unwrap_or(0.0),
                };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Shape = Shape { c: 2, h: 2, w: 3 };

    #[test]
    fn images_move_and_turn() {
        let image: Vec<f32> = (0..12u8).map(f32::from).collect();
        let check = |shift: [i64; 2], mirror: bool, expect: [f32; 6]| {
            let mut target = vec![0.0; 12];
            place(SHAPE, &image, shift, mirror, &[-1.0, -2.0], &mut target);
            let first: Vec<f32> = target.iter().step_by(2).copied().collect();
            assert_eq!(first, expect);
            for (a, b) in target
                .iter()
                .step_by(2)
                .zip(target.iter().skip(1).step_by(2))
            {
                assert_eq!(*b, if *a < 0.0 { -2.0 } else { a + 6.0 });
            }
        };
        check([0, 0], false, [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        check([0, 0], true, [2.0, 1.0, 0.0, 5.0, 4.0, 3.0]);
        check([1, 1], false, [4.0, 5.0, -1.0, -1.0, -1.0, -1.0]);
        check([-1, 0], false, [-1.0, -1.0, -1.0, 0.0, 1.0, 2.0]);
        check([0, 1], true, [-1.0, 2.0, 1.0, -1.0, 5.0, 4.0]);
    }

    #[test]
    fn batches_depend_on_position_alone() {
        let images: Vec<Vec<f32>> = (0..8).map(|i| vec![i as f32; 12]).collect();
        let all: Vec<usize> = (0..8).collect();
        let data = Data {
            images: &images,
            labels: &all,
            training: &all[..6],
            held_out: &all[6..],
        };
        data.verify(8).unwrap();
        let order = data.order(3, 1);
        assert_eq!(order, data.order(3, 1));
        assert_ne!(order, data.order(3, 2));
        let recipe = Recipe {
            shift: 1,
            ..Recipe::default()
        };
        let whole = data.augmented(SHAPE, &order, &recipe, 1, 0).unwrap();
        let tail = data.augmented(SHAPE, &order[4..], &recipe, 1, 4).unwrap();
        assert_eq!(whole.slice(4..6), tail);
        assert_eq!(data.plain(SHAPE, &[2]).unwrap().data, [2.0; 12]);
        let message = data.plain(SHAPE, &[9]).unwrap_err().to_string();
        assert!(message.contains("image 9: there are 8 images"), "{message}");
    }

    #[test]
    fn parts_and_labels_are_checked() {
        let images: Vec<Vec<f32>> = Vec::new();
        let check = |labels: &[usize], training: &[usize], held_out: &[usize], expect: &str| {
            let data = Data {
                images: &images,
                labels,
                training,
                held_out,
            };
            let message = data.verify(2).unwrap_err().to_string();
            assert!(message.contains(expect), "{message}");
        };
        check(&[0, 1], &[], &[1], "0 images to learn from");
        check(&[0, 1], &[0, 1], &[1], "image 1 is held out");
        check(&[0, 1], &[2], &[1], "no label for image 2");
        check(&[0, 2], &[0], &[1], "label 2 of image 1");
    }
}
