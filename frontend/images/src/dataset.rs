//! Many network inputs: a folder of images, or one array.

use crate::error::{Error, Result};
use crate::image_file::{self, EXTENSIONS};
use crate::npy::{self, Array, Values};
use crate::preprocess::normalise;
use hecc_ir::plan::Preprocess;
use std::path::{Path, PathBuf};

/// Images in a folder, subfolders included.
const MAX_FILES: usize = 1 << 20;
/// Subfolders inside each other.
const MAX_DEPTH: usize = 16;

/// A sequence of network inputs `[c, h, w]`, read one by one.
#[derive(Debug)]
pub struct Dataset {
    path: PathBuf,
    preprocess: Preprocess,
    source: Source,
}

#[derive(Debug)]
enum Source {
    Files(Vec<PathBuf>),
    Floats(Vec<f32>),
    Pixels(Vec<u8>),
}

impl Dataset {
    /// Opens a folder of images (png, jpeg, webp, bmp; with its subfolders; sorted by path), or a
    /// `.npy` array: float32 `[n, c, h, w]` taken as it is, or uint8 `[n, h, w, c]` (for one channel
    /// also `[n, h, w]`) that goes through `preprocess`.
    ///
    /// # Errors
    /// [`Error`] for an empty folder, another array shape or type, or non-finite numbers.
    pub fn open(path: &Path, preprocess: &Preprocess) -> Result<Self> {
        let source = if path.is_dir() {
            let mut files = Vec::new();
            collect(path, MAX_DEPTH, &mut files)?;
            files.sort_unstable();
            Source::Files(files)
        } else if npy::is_npy(path) {
            from_npy(path, preprocess)?
        } else {
            let help =
                "give a folder of images, or a .npy array (float32 [n,c,h,w] or uint8 [n,h,w,c])";
            return Err(match std::fs::metadata(path) {
                Ok(_) => Error::with_help(path, "is neither a folder nor a .npy file", help),
                Err(e) => Error::read(path, e),
            });
        };
        let set = Self {
            path: path.to_path_buf(),
            preprocess: preprocess.clone(),
            source,
        };
        if set.is_empty() {
            return Err(Error::with_help(
                path,
                "holds no images",
                format!("image files end in {}", EXTENSIONS.join(", ")),
            ));
        }
        Ok(set)
    }

    /// Number of inputs, at least 1.
    pub fn len(&self) -> usize {
        match &self.source {
            Source::Files(files) => files.len(),
            Source::Floats(values) => values.len() / self.elements(),
            Source::Pixels(values) => values.len() / self.elements(),
        }
    }

    /// Never true for an opened data set.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the values were taken as they are, without preprocessing.
    pub fn is_raw(&self) -> bool {
        matches!(self.source, Source::Floats(_))
    }

    /// Where input `index` comes from, for messages.
    pub fn name(&self, index: usize) -> String {
        match &self.source {
            Source::Files(files) => files[index].display().to_string(),
            Source::Floats(_) | Source::Pixels(_) => format!("{}[{index}]", self.path.display()),
        }
    }

    /// Input `index` < `len`, `[c, h, w]` in c-major order.
    ///
    /// # Errors
    /// [`Error`] for an image file that cannot be read.
    pub fn get(&self, index: usize) -> Result<Vec<f32>> {
        let range = index * self.elements()..(index + 1) * self.elements();
        match &self.source {
            Source::Files(files) => Ok(normalise(
                &image_file::load_pixels(&files[index], &self.preprocess)?,
                &self.preprocess,
            )),
            Source::Floats(values) => Ok(values[range].to_vec()),
            Source::Pixels(values) => Ok(normalise(&values[range], &self.preprocess)),
        }
    }

    fn elements(&self) -> usize {
        self.preprocess.channels * self.preprocess.height * self.preprocess.width
    }
}

/// One input from a `.npy` file; see [`crate::load_image`].
pub(crate) fn one_from_npy(path: &Path, preprocess: &Preprocess) -> Result<Vec<f32>> {
    let mut array = npy::read_npy(path)?;
    let one_image = match array.values {
        Values::U8(_) => {
            array.shape == hwc(preprocess)
                || (preprocess.channels == 1 && array.shape == hw(preprocess))
        }
        Values::F32(_) | Values::I64(_) => array.shape == chw(preprocess),
    };
    if one_image {
        array.shape.insert(0, 1);
    }
    match array_source(path, array, preprocess)? {
        Source::Pixels(pixels)
            if pixels.len() == preprocess.channels * preprocess.height * preprocess.width =>
        {
            Ok(normalise(&pixels, preprocess))
        }
        Source::Floats(values)
            if values.len() == preprocess.channels * preprocess.height * preprocess.width =>
        {
            Ok(values)
        }
        Source::Pixels(_) | Source::Floats(_) | Source::Files(_) => Err(Error::with_help(
            path,
            "holds several images, expected one",
            "save one of them, a[0]",
        )),
    }
}

fn from_npy(path: &Path, preprocess: &Preprocess) -> Result<Source> {
    array_source(path, npy::read_npy(path)?, preprocess)
}

fn array_source(path: &Path, array: Array, preprocess: &Preprocess) -> Result<Source> {
    let rest = array.shape.get(1..).unwrap_or(&[]);
    let wrong = |expected: &[usize], layout: &str| {
        Error::invalid(
            path,
            format!(
                "has shape {:?}, expected {layout} = [n, {}]",
                array.shape,
                join(expected)
            ),
        )
    };
    match array.values {
        Values::F32(values) => {
            if rest != chw(preprocess) {
                return Err(wrong(&chw(preprocess), "float32 [n, c, h, w]"));
            }
            if let Some(i) = values.iter().position(|v| !v.is_finite()) {
                return Err(Error::invalid(
                    path,
                    format!("element {i} is {}, expected finite numbers", values[i]),
                ));
            }
            Ok(Source::Floats(values))
        }
        Values::U8(values) => {
            if rest != hwc(preprocess) && !(preprocess.channels == 1 && rest == hw(preprocess)) {
                return Err(wrong(&hwc(preprocess), "uint8 [n, h, w, c]"));
            }
            Ok(Source::Pixels(values))
        }
        Values::I64(_) => Err(Error::invalid(
            path,
            "holds integers, expected float32 [n, c, h, w] or uint8 [n, h, w, c]",
        )),
    }
}

fn chw(p: &Preprocess) -> [usize; 3] {
    [p.channels, p.height, p.width]
}

fn hwc(p: &Preprocess) -> [usize; 3] {
    [p.height, p.width, p.channels]
}

fn hw(p: &Preprocess) -> [usize; 2] {
    [p.height, p.width]
}

fn join(axes: &[usize]) -> String {
    axes.iter()
        .map(usize::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}

fn collect(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(folder).map_err(|e| Error::read(folder, e))? {
        let path = entry.map_err(|e| Error::read(folder, e))?.path();
        if path.is_dir() {
            if depth == 0 {
                return Err(Error::invalid(
                    &path,
                    format!("folders are nested more than {MAX_DEPTH} deep"),
                ));
            }
            collect(&path, depth - 1, files)?;
        } else if path
            .extension()
            .is_some_and(|e| EXTENSIONS.iter().any(|known| e.eq_ignore_ascii_case(known)))
        {
            files.push(path);
        }
        if files.len() > MAX_FILES {
            return Err(Error::invalid(
                folder,
                format!("holds more than {MAX_FILES} images"),
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load_image;
    use crate::npy::tests::npy;

    fn grey2x2() -> Preprocess {
        Preprocess {
            mean: vec![0.0],
            std: vec![1.0],
            width: 2,
            height: 2,
            channels: 1,
            classes: vec![],
        }
    }

    #[test]
    fn arrays_and_folders() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("images")).unwrap();
        image::RgbImage::from_pixel(9, 5, image::Rgb([255, 255, 255]))
            .save(at("images/b.png"))
            .unwrap();
        image::GrayImage::from_vec(2, 2, vec![0, 51, 102, 255])
            .unwrap()
            .save(at("images/a.bmp"))
            .unwrap();
        let set = Dataset::open(&at("images"), &grey2x2()).unwrap();
        assert_eq!((set.len(), set.is_raw()), (2, false));
        assert_eq!(set.get(0).unwrap(), [0.0, 0.2, 0.4, 1.0]);
        assert_eq!(set.get(1).unwrap(), [1.0; 4]);

        let pixels = [0, 0, 0, 255, 51, 51, 51, 51];
        std::fs::write(at("u.npy"), npy("|u1", "(2, 2, 2, 1)", &pixels)).unwrap();
        let set = Dataset::open(&at("u.npy"), &grey2x2()).unwrap();
        assert_eq!(set.get(1).unwrap(), [0.2; 4]);
        std::fs::write(at("one.npy"), npy("|u1", "(2, 2)", &pixels[..4])).unwrap();
        assert_eq!(
            load_image(&at("one.npy"), &grey2x2()).unwrap(),
            [0.0, 0.0, 0.0, 1.0]
        );
        std::fs::write(at("f.npy"), npy("<f4", "(1, 2, 2)", &[0; 16])).unwrap();
        assert_eq!(load_image(&at("f.npy"), &grey2x2()).unwrap(), [0.0; 4]);
    }

    #[test]
    fn refuses_what_does_not_fit() {
        let folder = tempfile::tempdir().unwrap();
        let check = |name: &str, bytes: &[u8], expect: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            let error = load_image(&path, &grey2x2()).unwrap_err().to_string();
            assert!(
                error.contains(expect) && error.contains(name),
                "{error} lacks {expect:?}"
            );
        };
        check(
            "two.npy",
            &npy("|u1", "(2, 2, 2, 1)", &[0; 8]),
            "several images",
        );
        check(
            "shape.npy",
            &npy("|u1", "(1, 3, 2, 1)", &[0; 6]),
            "expected uint8",
        );
        check("nan.npy", &npy("<f4", "(1, 2, 2)", &[255; 16]), "finite");
        check("int.npy", &npy("<i8", "(1, 2, 2)", &[0; 32]), "integers");
        check("noise.png", b"not an image", "not a readable image");
        // A png header that announces 2^31-1 x 2^31-1 pixels.
        let bomb = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x7f\xff\xff\xff\x7f\xff\xff\xff\x08\x02\x00\x00\x00\x8d\x6b\x9c\x1f";
        check("bomb.png", bomb, "not a readable image");
        let empty = folder.path().join("empty");
        std::fs::create_dir(&empty).unwrap();
        assert!(
            Dataset::open(&empty, &grey2x2())
                .unwrap_err()
                .to_string()
                .contains("no images")
        );
        assert!(Dataset::open(&folder.path().join("absent"), &grey2x2()).is_err());
    }
}
