//! Images to learn from, and the others.

use crate::args::Finetune;
use crate::calibrate::open;
use crate::failure::Failure;
use crate::files;
use crate::print::note;
use crate::search::images::{all_labels, draw};
use hecc_images::Dataset;
use hecc_ir::nn::Graph;
use hecc_ir::plan::Preprocess;
use hecc_search::Front;
use rayon::prelude::*;
use std::collections::BTreeSet;
use std::path::Path;

/// Fewest images to learn from.
const FEWEST: usize = 32;

/// The images as they come, with their classes.
pub struct Source {
    set: Dataset,
    /// One an image.
    pub labels: Vec<usize>,
    /// For plans.
    pub preprocess: Preprocess,
}

impl Source {
    /// Opens what `args` names; `model` is the network's file, beside which the description lies.
    ///
    /// # Errors
    /// Images that do not fit the model, labels that are not one an image.
    pub fn open(args: &Finetune, model: &Path, graph: &Graph) -> Result<Self, Failure> {
        let classes = graph.nodes[graph.output].shape.elements();
        let set = open(model, None, &args.data, graph)?;
        Ok(Self {
            labels: all_labels(&args.labels, set.len(), classes)?,
            preprocess: files::preprocess(None, model, graph)?.preprocess,
            set,
        })
    }

    /// Some images, `[c][h][w]`.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn images(&self, places: &[usize]) -> Result<Vec<Vec<f32>>, Failure> {
        let read = |&place: &usize| self.set.get(place).map_err(Failure::from);
        places.par_iter().map(read).collect()
    }

    /// What a black pixel is, per channel; nothing is known of raw arrays.
    pub fn black(&self) -> Vec<f32> {
        if self.set.is_raw() {
            return Vec::new();
        }
        let p = &self.preprocess;
        p.mean
            .iter()
            .zip(&p.std)
            .map(|(mean, std)| (-mean / std) as f32)
            .collect()
    }
}

impl hecc_train::Images for Source {
    fn copy(&self, index: usize, target: &mut [f32]) -> Result<(), String> {
        let image = self.set.get(index).map_err(|e| e.to_string())?;
        if image.len() != target.len() {
            return Err(format!(
                "{} values, the network takes {}",
                image.len(),
                target.len()
            ));
        }
        target.copy_from_slice(&image);
        Ok(())
    }
}

/// Places in the data. Those that measure ranges are learned from too.
pub struct Parts {
    /// To learn from.
    pub training: Vec<usize>,
    /// For the ranges of the plan.
    pub calibration: Vec<usize>,
    /// To say which epoch is best.
    pub search: Vec<usize>,
    /// For the accuracies that are stated.
    pub confirmation: Vec<usize>,
}

impl Parts {
    /// Draws as the search did: the same images where the data are the same.
    ///
    /// # Errors
    /// When too few images are left to learn from.
    pub fn draw(front: &Front, source: &Source, path: &Path) -> Result<Self, Failure> {
        let d = &front.data;
        let total = source.labels.len();
        let counts = [d.calibration, d.search, d.confirmation];
        let kept = d.search + d.confirmation;
        if total < counts.iter().sum() || total - kept < FEWEST {
            return Err(Failure::in_file(
                path,
                format!(
                    "holds {total} images, of which {kept} are kept to judge by; expected at least {} in all",
                    (kept + FEWEST).max(counts.iter().sum())
                ),
            )
            .help("give more images, or the data of the search and others"));
        }
        let [calibration, search, confirmation] = draw(total, counts, front.settings.seed);
        let out: BTreeSet<usize> = search.iter().chain(&confirmation).copied().collect();
        let training = (0..total).filter(|place| !out.contains(place)).collect();
        if !d.labels {
            note!(
                "note: the search had no labels; the accuracies of other points are agreement with the teacher"
            );
        }
        Ok(Self {
            // A calibration that was given had images of its own.
            calibration: match calibration.is_empty() {
                true => search.clone(),
                false => calibration,
            },
            training,
            search,
            confirmation,
        })
    }
}
