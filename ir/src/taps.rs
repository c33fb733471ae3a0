//! A convolution weight by weight.

use crate::nn::{Linear, Shape};

/// One nonzero weight of a convolution, and where it meets the image.
pub struct Tap {
    /// The weight.
    pub weight: f64,
    /// Element of the output at the first position, c-major.
    pub row: usize,
    /// Element of the input that the weight meets there, c-major.
    pub col: usize,
    /// Rows and columns of the output where it meets the image, from the first position on.
    pub counts: [usize; 2],
}

/// The weights of a convolution, numbered as they are stored.
pub struct Taps<'a> {
    weight: &'a [f32],
    input: Shape,
    output: Shape,
    /// Input channels of a group.
    in_group: usize,
    /// Output channels of a group.
    out_group: usize,
    /// For every place in the kernel, where it meets the image, along rows and along columns.
    meets: Vec<Option<[Meet; 2]>>,
}

/// Positions along one axis where a weight meets the image.
#[derive(Clone, Copy)]
struct Meet {
    /// First output position.
    at: usize,
    /// The input position it takes there.
    from: usize,
    /// Number of positions.
    count: usize,
}

impl<'a> Taps<'a> {
    /// Of `conv` between these shapes; None for another operator than `Conv`.
    pub fn new(conv: &'a Linear, input: Shape, output: Shape) -> Option<Self> {
        let Linear::Conv { weight, window, .. } = conv else {
            return None;
        };
        let meet = |axis: usize, tap: usize, from: usize, to: usize| {
            let reach = tap * window.dilation[axis];
            let at = window.pads[axis]
                .saturating_sub(reach)
                .div_ceil(window.stride[axis]);
            let end = (from + window.pads[axis])
                .saturating_sub(reach)
                .div_ceil(window.stride[axis])
                .min(to);
            (at < end).then(|| Meet {
                at,
                from: at * window.stride[axis] + reach - window.pads[axis],
                count: end - at,
            })
        };
        let both = |tap: usize| {
            let rows = meet(0, tap / window.kernel[1], input.h, output.h)?;
            Some([rows, meet(1, tap % window.kernel[1], input.w, output.w)?])
        };
        Some(Self {
            weight,
            input,
            output,
            in_group: input.c / window.groups,
            out_group: output.c / window.groups,
            meets: (0..window.taps()).map(both).collect(),
        })
    }

    /// Number of weights.
    pub fn len(&self) -> usize {
        self.weight.len()
    }

    /// Weight `index`; None if it is zero or meets nothing but padding.
    #[inline]
    pub fn get(&self, index: usize) -> Option<Tap> {
        let (pair, tap) = (index / self.meets.len(), index % self.meets.len());
        self.tap(self.weight[index], self.channels(pair), self.meets[tap])
    }

    /// All weights that [`Taps::get`] gives, with their numbers, in order.
    #[inline]
    pub fn for_each(&self, mut visit: impl FnMut(usize, &Tap)) {
        let taps = self.meets.len();
        for (pair, weights) in self.weight.chunks_exact(taps).enumerate() {
            let channels = self.channels(pair);
            for (i, (&weight, &meets)) in weights.iter().zip(&self.meets).enumerate() {
                if let Some(tap) = self.tap(weight, channels, meets) {
                    visit(pair * taps + i, &tap);
                }
            }
        }
    }

    /// Output and input channel of a kernel.
    #[inline]
    fn channels(&self, pair: usize) -> (usize, usize) {
        let (co, ci) = (pair / self.in_group, pair % self.in_group);
        (co, co / self.out_group * self.in_group + ci)
    }

    #[inline]
    fn tap(&self, weight: f32, (co, ci): (usize, usize), meets: Option<[Meet; 2]>) -> Option<Tap> {
        let [rows, columns] = meets.filter(|_| weight != 0.0)?;
        Some(Tap {
            weight: f64::from(weight),
            row: self.output.index(co, rows.at, columns.at),
            col: self.input.index(ci, rows.from, columns.from),
            counts: [rows.count, columns.count],
        })
    }
}
