//! Which of the given images measure ranges, and which measure accuracy: drawn by the seed, disjoint.

use crate::evaluate::labels;
use crate::failure::Failure;
use hecc_images::Dataset;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use std::path::Path;

/// Fewest images on which ranges, or an accuracy, mean anything.
const FEWEST: usize = 8;

/// Images in memory, with what they are.
#[derive(Debug)]
pub struct Held {
    /// `[c][h][w]`, normalised.
    pub images: Vec<Vec<f32>>,
    /// One an image, if labels were given.
    pub labels: Option<Vec<usize>>,
}

/// How many images are drawn for what; no image serves two purposes.
#[derive(Clone, Copy, Debug)]
pub struct Counts {
    /// For ranges and distributions; 0 where a calibration is given.
    pub calibration: usize,
    /// To judge candidates on.
    pub search: usize,
    /// For the accuracies that are stated at the end.
    pub confirmation: usize,
}

impl Counts {
    /// What `total` images allow: where they are too few, all purposes shrink alike.
    fn of(self, total: usize) -> Result<[usize; 3], String> {
        let wanted = [self.calibration, self.search, self.confirmation];
        let sum: usize = wanted.iter().sum();
        let share = |count: usize| match sum <= total {
            true => count,
            false => (total as u128 * count as u128 / sum as u128) as usize,
        };
        let counts = wanted.map(share);
        let few = |(count, wanted): (&usize, &usize)| *wanted > 0 && *count < FEWEST;
        match counts.iter().zip(&wanted).any(few) {
            true => Err(format!(
                "holds {total} images, of which {} would measure ranges, {} judge candidates and {} \
                 measure accuracy; expected at least {FEWEST} for each",
                counts[0], counts[1], counts[2]
            )),
            false => Ok(counts),
        }
    }
}

/// Draws disjoint places out of `total`, `counts` of them, each in the order drawn: the first of them are
/// as good a sample as all. The first two do not depend on how many the last one takes.
pub fn draw(total: usize, counts: [usize; 3], seed: u64) -> [Vec<usize>; 3] {
    let mut places: Vec<usize> = (0..total).collect();
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut start = 0;
    counts.map(|count| {
        for i in start..start + count {
            places.swap(i, random.random_range(i..total));
        }
        let drawn = places[start..start + count].to_vec();
        start += count;
        drawn
    })
}

/// Images of the three purposes.
#[derive(Debug)]
pub struct Drawn {
    /// For ranges and distributions.
    pub calibration: Held,
    /// To judge candidates on.
    pub search: Held,
    /// For the accuracies that are stated at the end.
    pub confirmation: Held,
}

/// Reads the images that the seed draws. `classes` is the number of the model's outputs.
///
/// # Errors
/// Too few images, an image that cannot be read, labels that are not one an image or no class.
pub fn load(
    data: &Dataset,
    path: &Path,
    labels: Option<&Path>,
    classes: usize,
    counts: Counts,
    seed: u64,
) -> Result<Drawn, Failure> {
    let labels = labels
        .map(|path| all_labels(path, data.len(), classes))
        .transpose()?;
    let counts = counts
        .of(data.len())
        .map_err(|what| Failure::in_file(path, what).help("give more images"))?;
    let held = |places: Vec<usize>| -> Result<Held, Failure> {
        let read = |&place: &usize| data.get(place).map_err(Failure::from);
        Ok(Held {
            images: places.par_iter().map(read).collect::<Result<_, _>>()?,
            labels: labels
                .as_ref()
                .map(|labels| places.iter().map(|&place| labels[place]).collect()),
        })
    };
    let [calibration, search, confirmation] = draw(data.len(), counts, seed);
    Ok(Drawn {
        calibration: held(calibration)?,
        search: held(search)?,
        confirmation: held(confirmation)?,
    })
}

/// One class for each of `images` images, below `classes`; more labels than images are refused: they
/// belong to other images.
pub fn all_labels(path: &Path, images: usize, classes: usize) -> Result<Vec<usize>, Failure> {
    let help = "labels are one an image, in the order of the data, classes from 0";
    let labels = labels(path, None).map_err(|e| Failure {
        help: e.help.or(Some(help.into())),
        ..e
    })?;
    if labels.len() != images {
        return Err(Failure::in_file(
            path,
            format!("has {} labels for {images} images", labels.len()),
        )
        .help(help));
    }
    if let Some(place) = labels.iter().position(|&label| label >= classes) {
        return Err(Failure::in_file(
            path,
            format!(
                "label {place} is {}, the model has the classes 0 to {}",
                labels[place],
                classes.saturating_sub(1)
            ),
        )
        .help(help));
    }
    Ok(labels)
}

impl Drawn {
    /// How many of each.
    pub fn counts(&self) -> [usize; 3] {
        [&self.calibration, &self.search, &self.confirmation].map(|held| held.images.len())
    }

    /// Hexadecimal hash of images and labels.
    pub fn hash(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        for held in [&self.calibration, &self.search, &self.confirmation] {
            for image in &held.images {
                let bytes: Vec<u8> = image.iter().flat_map(|v| v.to_le_bytes()).collect();
                hasher.update(&bytes);
            }
            for &label in held.labels.iter().flatten() {
                hasher.update(&(label as u64).to_le_bytes());
            }
        }
        hasher.finalize().to_hex().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subsets_are_disjoint_and_the_seed_s() {
        let counts = [30, 20, 40];
        let drawn = draw(100, counts, 1);
        assert_eq!(drawn.clone().map(|d| d.len()), counts);
        let mut all: Vec<usize> = drawn.iter().flatten().copied().collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 90);
        assert!(all.iter().all(|&i| i < 100));
        assert_eq!(draw(100, counts, 1), drawn);
        assert_ne!(draw(100, counts, 2), drawn);
        // Fewer of the last are the first of them.
        let fewer = draw(100, [30, 20, 15], 1);
        assert_eq!(fewer[..2], drawn[..2]);
        assert_eq!(fewer[2], drawn[2][..15]);
    }

    #[test]
    fn few_images_shrink_all_purposes() {
        let counts = Counts {
            calibration: 30,
            search: 30,
            confirmation: 60,
        };
        assert_eq!(counts.of(1000), Ok([30, 30, 60]));
        assert_eq!(counts.of(60), Ok([15, 15, 30]));
        assert!(counts.of(20).unwrap_err().contains("holds 20 images"));
        let given = Counts {
            calibration: 0,
            ..counts
        };
        assert_eq!(given.of(30), Ok([0, 10, 20]));
    }
}
