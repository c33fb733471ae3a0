//! The Galois automorphisms X -> X^g of Z_q[X]/(X^N + 1), g odd.

use super::Modulus;
use super::lanes::Lanes;
use super::simd::simd;

/// X -> X^g on evaluations in the order of [`super::NttTable::forward`]: a permutation of the slots.
///
/// Slot i holds the evaluation at psi^(2 brv(i) + 1), so that the low three bits of i are the high three of brv(i).
/// With k = brv(i) mod N/8, which the block i / 8 fixes, and t = floor(8 brv(i) / N), the slot's source has
/// k' = g k + (g - 1)/2 mod N/8, hence lies in one block for all t, and t' = g t + c mod 8 for a carry c of the block.
#[derive(Clone, Debug)]
pub struct NttPermutation {
    log_n: u32,
    galois: u64,
    /// For each block of eight slots: the block of their sources, times 8, plus the carry c.
    blocks: Vec<u32>,
    /// For each carry: where the eight slots of a block lie in the block of their sources.
    within: [[u64; 8]; 8],
}

impl NttPermutation {
    /// For an odd g, taken mod 2N, and N = 2^log_n in 2^3..=2^28.
    pub fn new(log_n: u32, galois: u64) -> Self {
        assert!(galois % 2 == 1, "Galois element {galois} is even");
        assert!((3..=28).contains(&log_n), "ring degree 2^{log_n}");
        let galois = galois & ((2 << log_n) - 1);
        let (log_blocks, count) = (log_n - 3, 1u64 << (log_n - 3));
        let reverse =
            |x: u64, bits: u32| x.reverse_bits().checked_shr(u64::BITS - bits).unwrap_or(0);
        let blocks = (0..count)
            .map(|block| {
                let k = galois * reverse(block, log_blocks) + galois / 2;
                (reverse(k % count, log_blocks) << 3 | (k >> log_blocks) & 7) as u32
            })
            .collect();
        let within = std::array::from_fn(|c| {
            std::array::from_fn(|lane| {
                let t = galois
                    .wrapping_mul(reverse(lane as u64, 3))
                    .wrapping_add(c as u64);
                reverse(t & 7, 3)
            })
        });
        NttPermutation {
            log_n,
            galois,
            blocks,
            within,
        }
    }

    /// The Galois element g, mod 2N.
    pub fn galois(&self) -> u64 {
        self.galois
    }

    /// `dst` = X -> X^g of `src`.
    pub fn apply(&self, src: &[u64], dst: &mut [u64]) {
        assert!(src.len() == 1 << self.log_n && dst.len() == 1 << self.log_n);
        permute(&self.blocks, &self.within, src, dst);
    }

    /// `dst` += X -> X^g of `src`.
    pub fn apply_add(&self, m: &Modulus, src: &[u64], dst: &mut [u64]) {
        assert!(src.len() == 1 << self.log_n && dst.len() == 1 << self.log_n);
        permute_add(m, &self.blocks, &self.within, src, dst);
    }

    /// X -> X^(1/g).
    pub fn inverse(&self) -> Self {
        // Newton: g is its own inverse mod 8, and each step doubles the number of correct low bits.
        let g = self.galois;
        let inverse = (0..5).fold(g, |x, _| {
            x.wrapping_mul(2u64.wrapping_sub(g.wrapping_mul(x)))
        });
        NttPermutation::new(self.log_n, inverse)
    }
}

simd! {
    fn permute(s, blocks: &[u32], within: &[[u64; 8]; 8], src: &[u64], dst: &mut [u64]) {
        let src = src.as_chunks::<8>().0;
        for (to, &block) in dst.as_chunks_mut::<8>().0.iter_mut().zip(blocks) {
            s.permute(&src[(block >> 3) as usize], &within[(block & 7) as usize], to);
        }
    }

    fn permute_add(s, m: &Modulus, blocks: &[u32], within: &[[u64; 8]; 8], src: &[u64], dst: &mut [u64]) {
        let (src, l) = (src.as_chunks::<8>().0, Lanes::new(s, m));
        for (to, &block) in dst.as_chunks_mut::<8>().0.iter_mut().zip(blocks) {
            let mut turned = [0; 8];
            s.permute(&src[(block >> 3) as usize], &within[(block & 7) as usize], &mut turned);
            for (x, y) in s.chunks_mut(to).0.iter_mut().zip(s.chunks(&turned).0) {
                s.store(x, l.add(s.load(x), s.load(y)));
            }
        }
    }
}

/// X -> X^g on coefficients, g odd: `dst` = `src`(X^g).
pub fn automorphism_coeffs(m: &Modulus, galois: u64, src: &[u64], dst: &mut [u64]) {
    let n = src.len();
    assert!(n.is_power_of_two() && dst.len() == n && galois % 2 == 1);
    for (i, &x) in src.iter().enumerate() {
        let exponent = i.wrapping_mul(galois as usize) & (2 * n - 1);
        dst[exponent & (n - 1)] = if exponent < n { x } else { m.neg(x) };
    }
}
