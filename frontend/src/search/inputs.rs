//! What a search is given: the network, its teacher, the images.

use super::folder::{self, Folder};
use super::images::{self, Counts, Drawn};
use crate::args::Search;
use crate::calibrate::open;
use crate::compile::{cost_table, read_calibration};
use crate::failure::Failure;
use crate::files;
use crate::measure::measure;
use crate::model::load;
use crate::model_hash::model_hash;
use crate::print::note;
use hecc_ir::calibration::Calibration;
use hecc_ir::costs::CostTable;
use hecc_ir::nn::Graph;
use hecc_ir::plan::Preprocess;
use hecc_passes::Folded;
use std::path::Path;

/// Largest model copied, in bytes; the import's own limit is lower.
const LIMIT: u64 = 4 << 30;

/// All of it, checked.
pub struct Inputs {
    /// File name of the model.
    pub name: String,
    /// The model's bytes.
    pub bytes: Vec<u8>,
    /// The network.
    pub folded: Folded,
    /// Its hash.
    pub hash: String,
    /// The network to come near, and whose class counts where there are no labels.
    pub teacher: Option<Graph>,
    /// Normalisation and class names.
    pub preprocess: Preprocess,
    /// The description as it was found, if there was one.
    pub description: Option<Vec<u8>>,
    /// The images.
    pub drawn: Drawn,
    /// Prices.
    pub costs: CostTable,
    /// The calibration that was given.
    pub calibration: Option<Calibration>,
}

impl Inputs {
    /// Reads everything that `args` names.
    ///
    /// # Errors
    /// The first thing that is missing or does not fit the model.
    pub fn load(args: &Search) -> Result<Self, Failure> {
        let (folded, imported) = load(&args.model, args.maxpool)?;
        for text in &imported.notes {
            note!("note: {text}");
        }
        let graph = &folded.graph;
        let hash = model_hash(graph);
        let classes = graph.nodes[graph.output].shape.elements();
        let teacher = match &args.teacher {
            None => None,
            Some(path) => Some(teacher(path, args, graph)?),
        };
        let data = open(&args.model, args.preprocess.as_deref(), &args.data, graph)?;
        let described = files::preprocess(args.preprocess.as_deref(), &args.model, graph)?;
        let description = match &described.file {
            None => None,
            Some(path) => Some(files::read(path, LIMIT)?),
        };
        let calibration = match &args.calibration {
            None => None,
            Some(path) => {
                let command = format!("hecc calibrate {} --data IMAGES", args.model.display());
                Some(read_calibration(path, &args.model, graph, &command)?)
            }
        };
        let counts = Counts {
            calibration: match calibration {
                Some(_) => 0,
                None => args.calibration_images as usize,
            },
            search: args.search_images as usize,
            confirmation: args.images as usize,
        };
        let drawn = images::load(
            &data,
            &args.data,
            args.labels.as_deref(),
            classes,
            counts,
            args.seed,
        )?;
        Ok(Self {
            name: args
                .model
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
            bytes: files::read(&args.model, LIMIT)?,
            hash,
            teacher,
            preprocess: described.preprocess,
            description,
            drawn,
            costs: cost_table(args.costs.as_deref())?,
            calibration,
            folded,
        })
    }

    /// The calibration: given, or kept in the folder by the search that goes on, or measured now.
    ///
    /// # Errors
    /// When it cannot be read, or the model's values are not finite.
    pub fn calibrate(&self, folder: &Folder) -> Result<Calibration, Failure> {
        let kept = folder.at(folder::CALIBRATION);
        if let Some(calibration) = &self.calibration {
            return Ok(calibration.clone());
        }
        if kept.exists() {
            let model = folder.at(folder::MODEL);
            let command = "search in another folder, without --resume";
            return read_calibration(&kept, &model, &self.folded.graph, command);
        }
        let images = &self.drawn.calibration.images;
        let (calibration, divergent) = measure(&self.folded.graph, &self.name, images)?;
        if divergent > 0 {
            note!(
                "note: {divergent} images left out of the calibration: the model's values on them are not finite"
            );
        }
        Ok(calibration)
    }

    /// Images on which edited networks are measured: those of the calibration, or where it was given
    /// those that judge candidates.
    pub fn measured(&self) -> &[Vec<f32>] {
        match self.drawn.calibration.images.is_empty() {
            true => &self.drawn.search.images,
            false => &self.drawn.calibration.images,
        }
    }
}

/// The teacher's graph, which must have the model's shapes.
fn teacher(path: &Path, args: &Search, graph: &Graph) -> Result<Graph, Failure> {
    let (folded, _) = load(path, args.maxpool)?;
    let shapes = |g: &Graph| (g.nodes[g.input].shape, g.nodes[g.output].shape);
    let (got, expected) = (shapes(&folded.graph), shapes(graph));
    if got != expected {
        return Err(Failure::in_file(
            path,
            format!(
                "takes {} to {}, the model {} to {}",
                got.0, got.1, expected.0, expected.1
            ),
        )
        .help("a teacher has the inputs and the classes of the model"));
    }
    Ok(folded.graph)
}
