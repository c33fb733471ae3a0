//! The geometry of a chain of linear operators as a word list: all that relations, strides and cuts look
//! at. Chains with equal lists have equal maps between equal layouts, whatever their weights.

use hecc_ir::nn::{Linear, Shape, Window};

/// Every attribute, and of the weights which output channels are all zero.
pub fn encode<'a>(stages: impl IntoIterator<Item = &'a Linear>, input: Shape) -> Vec<u32> {
    let mut words = Words(Vec::new());
    words.all(input.axes());
    for stage in stages {
        words.stage(stage);
    }
    words.0
}

struct Words(Vec<u32>);

impl Words {
    /// Sizes fit 32 bits wherever a tensor fits in memory; a larger one is cut off in every list alike.
    fn all(&mut self, sizes: impl IntoIterator<Item = usize>) {
        self.0.extend(sizes.into_iter().map(|n| n as u32));
    }

    fn shape(&mut self, shape: &Shape) {
        self.all(shape.axes());
    }

    fn window(&mut self, window: &Window) {
        let Window {
            kernel,
            stride,
            pads,
            dilation,
            groups,
        } = window;
        self.all([kernel, stride, dilation].into_iter().flatten().copied());
        self.all(*pads);
        self.all([*groups]);
    }

    fn stage(&mut self, stage: &Linear) {
        match stage {
            Linear::Conv {
                weight,
                bias: _,
                out_channels,
                window,
            } => {
                self.all([0, *out_channels]);
                self.window(window);
                self.zeros(weight, *out_channels);
            }
            Linear::ConvTranspose {
                weight: _,
                bias: _,
                out_channels,
                window,
                output_padding,
            } => {
                self.all([1, *out_channels]);
                self.window(window);
                self.all(*output_padding);
            }
            Linear::Gemm {
                weight: _,
                bias: _,
                rows,
            } => self.all([2, *rows]),
            Linear::AveragePool { kernel, stride } => {
                self.all([3]);
                self.all([kernel, stride].into_iter().flatten().copied());
            }
            Linear::Affine { .. } => self.all([4]),
            Linear::Elementwise { .. } => self.all([5]),
            Linear::Slice { start, step, shape } => {
                self.all([6]);
                self.all([start, step].into_iter().flatten().copied());
                self.shape(shape);
            }
            Linear::Pad { before, after } => {
                self.all([7]);
                self.all([before, after].into_iter().flatten().copied());
            }
            Linear::Gather { shape, source } => {
                self.all([8]);
                self.shape(shape);
                self.0.extend(source);
            }
            Linear::Reshape { shape } => {
                self.all([9]);
                self.shape(shape);
            }
        }
    }

    /// How many rows of a weight are zero, and which.
    fn zeros(&mut self, weight: &[f32], rows: usize) {
        let row = (weight.len() / rows.max(1)).max(1);
        let zero = |(_, row): &(usize, &[f32])| row.iter().all(|&w| w == 0.0);
        let found = weight.chunks(row).enumerate().filter(zero);
        let found: Vec<usize> = found.map(|(at, _)| at).collect();
        self.all([found.len()]);
        self.all(found);
    }
}
