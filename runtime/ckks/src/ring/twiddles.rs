//! The roots of unity of the transform, in the order in which its passes read them.
//!
//! The butterflies form a tree: the whole polynomial is block 1, block k splits into 2k and 2k + 1, and all butterflies
//! of block k multiply by psi^brv(k). Each root comes with its Shoup quotient.

use super::Modulus;
use super::simd::AlignedWords;

/// Layers of the passes over `layers` layers, from the largest blocks to the smallest.
///
/// Four layers are the most: their 16 vectors leave 16 registers for constants and temporaries. Where rows lie a multiple
/// of 4 KiB apart, 16 lines of a column do not fit the 8 ways of their cache set, and three layers are best: on Zen 4 with
/// 2^15 elements of 46 bits, passes of 1, 3, 4, 4 layers take 48 us, and 4, 4, 4 take 52 us.
fn plan(layers: u32) -> Vec<u32> {
    let mut passes = Vec::new();
    let mut left = layers;
    while left > 0 {
        let most = if passes.len() < 2 { 4 } else { 3 };
        passes.push(left.min(most));
        left -= left.min(most);
    }
    passes.reverse();
    passes
}

/// Tables for one direction of the transform, for vectors of a certain number of lanes.
#[derive(Clone, Debug)]
pub(super) struct Twiddles {
    lanes: usize,
    /// From the largest blocks to the smallest, for the layers at distances of at least a vector.
    pub passes: Vec<Pass>,
    within: AlignedWords,
}

/// The layers that turn a block into 2^log_rows blocks.
#[derive(Clone, Debug)]
pub(super) struct Pass {
    pub log_rows: u32,
    /// For each block of this size: the roots of the log_rows layers below it at 1, 2..4, 4..8 and so on, and then their
    /// quotients.
    roots: AlignedWords,
}

impl Pass {
    /// Whether its only block is the whole polynomial.
    #[inline(always)]
    pub fn is_whole(&self) -> bool {
        self.roots.len() == 2 << self.log_rows
    }

    /// Roots and quotients for block `index` of those of its size; entry 0 is for the scaling of the whole.
    #[inline(always)]
    pub fn roots<const R: usize>(&self, index: usize) -> (&[u64; R], &[u64; R]) {
        let pairs = self.roots.as_chunks::<R>().0;
        (&pairs[2 * index], &pairs[2 * index + 1])
    }
}

impl Twiddles {
    /// The root of the whole polynomial and entry 0 are multiplied by `scale`.
    pub fn new(m: &Modulus, log_n: u32, lanes: usize, psi: u64, scale: u64) -> Self {
        let n = 1usize << log_n;
        let mut roots = vec![0; n];
        let mut power = 1;
        for i in 0..n {
            roots[i.reverse_bits() >> (usize::BITS - log_n)] = power;
            power = m.mul(power, psi);
        }
        roots[0] = scale;
        roots[1] = m.mul(roots[1], scale);

        let layers = log_n - lanes.trailing_zeros();
        let mut passes = Vec::new();
        let mut blocks = 1;
        for log_rows in plan(layers) {
            let tree = |block: usize| {
                let below = (0..log_rows).flat_map(move |d| (block << d)..((block + 1) << d));
                std::iter::once(0).chain(below)
            };
            let nodes =
                (blocks..2 * blocks).map(|block| tree(block).map(|node| roots[node]).collect());
            passes.push(Pass {
                log_rows,
                roots: with_quotients(m, nodes),
            });
            blocks <<= log_rows;
        }

        // For each 8 vectors, or for all: all roots at distance LANES / 2, then at LANES / 4, ..., those of each pair of
        // vectors in bit-reversed order.
        let vectors = n / lanes;
        let rows = vectors.min(8);
        let pairs = (vectors / rows..2 * vectors / rows).flat_map(|block| {
            (1..=lanes.trailing_zeros()).flat_map(move |d| {
                let first = (block * rows) << (d - 1);
                (0..rows / 2).map(move |pair| {
                    let order = move |k: usize| k.reverse_bits() >> (usize::BITS - d);
                    (0..1 << d).map(move |k| first + (pair << d) + order(k))
                })
            })
        });
        let within = with_quotients(
            m,
            pairs.map(|nodes| nodes.map(|node| roots[node]).collect()),
        );
        Twiddles {
            lanes,
            passes,
            within,
        }
    }

    /// Lanes of the vectors that these tables are for.
    pub fn lanes(&self) -> usize {
        self.lanes
    }

    /// Vectors of a block of the last pass.
    pub fn last_rows(&self) -> usize {
        1 << self.passes.last().map_or(0, |pass| pass.log_rows)
    }

    /// For block `index` of R vectors, R being 8 or all of them: roots and quotients of the layers at distances below a vector.
    #[inline(always)]
    pub fn within<const R: usize>(&self, index: usize) -> &[u64] {
        let len = R * (2 * self.lanes - 2);
        &self.within[index * len..][..len]
    }
}

/// Each group, followed by its quotients.
fn with_quotients(m: &Modulus, groups: impl Iterator<Item = Vec<u64>>) -> AlignedWords {
    let words: Vec<u64> = groups
        .flat_map(|roots| {
            let quotients: Vec<u64> = roots.iter().map(|&w| m.shoup(w)).collect();
            [roots, quotients].concat()
        })
        .collect();
    AlignedWords::from(&words[..])
}
