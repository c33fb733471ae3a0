//! Many tensors of one shape, channels last.

use hecc_ir::nn::Shape;
use rayon::prelude::*;

/// A batch of tensors of one shape, stored `[n][h][w][c]`: the channels of a pixel are neighbours, so
/// that one vector holds several of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// Number of tensors.
    pub n: usize,
    /// Shape of each.
    pub shape: Shape,
    /// `[n][h][w][c]`.
    pub data: Vec<f32>,
}

impl Batch {
    /// `n` tensors of zeros.
    pub fn zeros(n: usize, shape: Shape) -> Self {
        Self {
            n,
            shape,
            data: vec![0.0; n * shape.elements()],
        }
    }

    /// From tensors `[c][h][w]`, as the rest of the compiler keeps them.
    ///
    /// # Panics
    /// When an image has not as many elements as `shape`.
    pub fn from_images(shape: Shape, images: &[&[f32]]) -> Self {
        let mut batch = Self::zeros(images.len(), shape);
        for (image, target) in images
            .iter()
            .zip(batch.data.chunks_exact_mut(shape.elements()))
        {
            assert_eq!(
                image.len(),
                shape.elements(),
                "elements of an image of {shape}"
            );
            to_last(shape, image, target);
        }
        batch
    }

    /// Tensor `i`, `[h][w][c]`.
    pub fn image(&self, i: usize) -> &[f32] {
        &self.data[i * self.shape.elements()..][..self.shape.elements()]
    }

    /// Tensor `i`, `[h][w][c]`.
    pub fn image_mut(&mut self, i: usize) -> &mut [f32] {
        let elements = self.shape.elements();
        &mut self.data[i * elements..][..elements]
    }

    /// Tensor `i` as `[c][h][w]`.
    pub fn channels_first(&self, i: usize) -> Vec<f32> {
        let (plane, channels) = (self.shape.h * self.shape.w, self.shape.c);
        let image = self.image(i);
        let element = |e: usize| image[e % plane * channels + e / plane];
        (0..self.shape.elements()).map(element).collect()
    }

    /// Tensors `range` as a batch of their own.
    pub fn slice(&self, range: std::ops::Range<usize>) -> Self {
        let elements = self.shape.elements();
        Self {
            n: range.len(),
            shape: self.shape,
            data: self.data[range.start * elements..range.end * elements].to_vec(),
        }
    }

    /// Runs `work` on every tensor of `self` and the tensor of `target` at the same place, on all cores;
    /// each of them keeps one `Scratch`.
    pub(crate) fn each_into<Scratch: Default>(
        &self,
        target: &mut Self,
        work: impl Fn(&[f32], &mut [f32], &mut Scratch) + Sync,
    ) {
        let (from, to) = (self.shape.elements(), target.shape.elements());
        self.data
            .par_chunks_exact(from)
            .zip(target.data.par_chunks_exact_mut(to))
            .for_each_init(Scratch::default, |scratch, (x, y)| work(x, y, scratch));
    }
}

/// `[c][h][w]` to `[h][w][c]`.
pub(crate) fn to_last<T: Copy>(shape: Shape, from: &[T], to: &mut [T]) {
    let plane = shape.h * shape.w;
    for (channel, values) in from.chunks_exact(plane).enumerate() {
        for (pixel, &value) in values.iter().enumerate() {
            to[pixel * shape.c + channel] = value;
        }
    }
}

/// Where element `index` of `[c][h][w]` sits in `[h][w][c]`.
pub(crate) fn last(shape: Shape, index: usize) -> usize {
    let plane = shape.h * shape.w;
    index % plane * shape.c + index / plane
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_move_last_and_back() {
        let shape = Shape::new(2, 1, 3);
        let image = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let batch = Batch::from_images(shape, &[&[0.0; 6], &image]);
        assert_eq!(batch.image(1), [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
        assert_eq!(batch.channels_first(1), image);
        assert_eq!(batch.slice(1..2).data, batch.image(1));
        assert_eq!([0, 1, 3, 5].map(|i| last(shape, i)), [0, 2, 1, 5]);
    }
}
