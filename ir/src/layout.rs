//! Where tensor elements sit in the slots of a ciphertext.

use crate::nn::Shape;

/// Largest number of slots of a ciphertext.
pub const MAX_SLOTS: usize = 1 << 17;
/// Largest number of ciphertexts of a tensor.
pub const MAX_PARTS: usize = 256;
/// Largest number of slots of a tensor, all parts together.
pub const MAX_VIRTUAL_SLOTS: usize = 1 << 23;

/// A layout that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("layout: {what}")]
pub struct LayoutError {
    /// Expected and got.
    pub what: String,
}

/// A multiplexed layout of one tensor [LLK+22, Orion]: replicated in one ciphertext of `slots` real
/// slots, or spread over `parts` ciphertexts. Slots are numbered through all parts: virtual slot v is
/// slot `v % slots` of part `v / slots`.
///
/// Channels are grouped by `gap^2`: the group's channels interleave in the `gap x gap` cell that
/// one spatial position owns in a physical grid of `rows x cols` slots; groups follow each other.
/// The whole is written `copies` times, copy k starting at slot `k * slots / copies`. Copy k is
/// rotated by `k * twist` slots inside its own region, so that different copies show a rotation
/// different channels. Slots that hold no element hold zero.
#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Layout {
    /// Real slots of a ciphertext (N/2).
    pub slots: usize,
    /// Ciphertexts. More than one only with one copy and no twist.
    pub parts: usize,
    /// The tensor.
    pub shape: Shape,
    /// Spatial distance, in grid cells, of neighbouring elements of a channel.
    pub gap: usize,
    /// Physical rows of a group's grid, at least `shape.h * gap`.
    pub rows: usize,
    /// Physical columns of a group's grid, at least `shape.w * gap`.
    pub cols: usize,
    /// Replicas; divides `slots`.
    pub copies: usize,
    /// Rotation of copy k, in units of k slots, inside its region. 0 = plain replication.
    pub twist: usize,
}

impl Layout {
    /// Slots of all parts together.
    pub fn virtual_slots(&self) -> usize {
        self.parts * self.slots
    }

    /// Slots between two copies; all virtual slots where there is only one.
    pub fn stride(&self) -> usize {
        self.virtual_slots() / self.copies
    }

    /// Slots one copy uses, gaps and padding included.
    pub fn used(&self) -> usize {
        self.shape.c.div_ceil(self.gap * self.gap) * self.rows * self.cols
    }

    /// The virtual slot of element `(c, y, x)` in copy `k`.
    pub fn slot(&self, c: usize, y: usize, x: usize, k: usize) -> usize {
        self.copy_slot(self.inside(c, y, x), k)
    }

    /// Where copy `k` holds what the untwisted copy 0 holds in slot `inside`.
    pub fn copy_slot(&self, inside: usize, k: usize) -> usize {
        k * self.stride() + (inside + k * self.twist) % self.stride()
    }

    /// The virtual slot of element `(c, y, x)` in copy 0.
    pub fn inside(&self, c: usize, y: usize, x: usize) -> usize {
        let (group, cell) = (c / (self.gap * self.gap), c % (self.gap * self.gap));
        let row = y * self.gap + cell / self.gap;
        let col = x * self.gap + cell % self.gap;
        (group * self.rows + row) * self.cols + col
    }

    /// The virtual slot in copy 0 of every element, in c-major order.
    pub fn insides(&self) -> Vec<usize> {
        let Shape { c, h, w } = self.shape;
        let mut slots = Vec::with_capacity(self.shape.elements());
        for channel in 0..c {
            for y in 0..h {
                slots.extend((0..w).map(|x| self.inside(channel, y, x)));
            }
        }
        slots
    }

    /// The virtual slots that hold `values` (c-major, one per element) in every copy: part after part.
    pub fn pack(&self, values: &[f64]) -> Vec<f64> {
        let mut slots = vec![0.0; self.virtual_slots()];
        for (&inside, &value) in self.insides().iter().zip(values) {
            for k in 0..self.copies {
                slots[self.copy_slot(inside, k)] = value;
            }
        }
        slots
    }

    /// The elements, c-major, read from copy 0 of the virtual slots.
    pub fn unpack(&self, slots: &[f64]) -> Vec<f64> {
        self.insides().iter().map(|&inside| slots[inside]).collect()
    }

    /// For every virtual slot, the one of this layout whose content it takes when the twist becomes `twist`.
    pub fn retwist(&self, twist: usize) -> Vec<usize> {
        let stride = self.stride();
        let source = |slot: usize| {
            let (k, here) = (slot / stride, slot % stride);
            let inside = (here + stride - k * twist % stride) % stride;
            self.copy_slot(inside, k)
        };
        (0..self.virtual_slots()).map(source).collect()
    }

    /// Checks that slots and copies are powers of two, that several parts hold one copy without twist,
    /// that the grid holds the tensor, and that every copy fits in its region. All other methods assume a layout that passed.
    ///
    /// # Errors
    /// The first rule broken.
    pub fn verify(&self) -> Result<(), LayoutError> {
        let broken = |what: String| Err(LayoutError { what });
        let Shape { c, h, w } = self.shape;
        let sizes = [c, h, w, self.gap, self.rows, self.cols];
        if !self.slots.is_power_of_two() || self.slots > MAX_SLOTS {
            return broken(format!(
                "{} slots, expected a power of two up to {MAX_SLOTS}",
                self.slots
            ));
        }
        if !self.copies.is_power_of_two() || self.copies > self.slots {
            return broken(format!(
                "{} copies in {} slots, expected a power of two",
                self.copies, self.slots
            ));
        }
        if self.parts == 0 || self.parts > MAX_PARTS || self.virtual_slots() > MAX_VIRTUAL_SLOTS {
            return broken(format!(
                "{} parts of {} slots, expected 1 to {MAX_PARTS} and at most {MAX_VIRTUAL_SLOTS} slots",
                self.parts, self.slots
            ));
        }
        if self.parts > 1 && (self.copies > 1 || self.twist > 0) {
            return broken(format!(
                "{} parts hold {} copies with twist {}, expected one copy without",
                self.parts, self.copies, self.twist
            ));
        }
        if sizes
            .iter()
            .any(|&size| size == 0 || size > self.virtual_slots())
        {
            return broken(format!(
                "a size of 0 or over {} slots in {self}",
                self.virtual_slots()
            ));
        }
        // Sizes of at most 2^23: products of two fit.
        if h * self.gap > self.rows || w * self.gap > self.cols {
            return broken(format!(
                "{} with gap {} does not fit a grid of {}x{}",
                self.shape, self.gap, self.rows, self.cols
            ));
        }
        let groups = c.div_ceil(self.gap * self.gap);
        let used = (self.rows * self.cols).saturating_mul(groups);
        if used > self.stride() {
            return broken(format!(
                "{used} slots for a copy of {self}, which has {}",
                self.stride()
            ));
        }
        if self.twist >= self.stride() {
            return broken(format!(
                "a twist of {}, expected less than {}",
                self.twist,
                self.stride()
            ));
        }
        Ok(())
    }
}

impl std::fmt::Display for Layout {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} gap {} grid {}x{} x{}",
            self.shape, self.gap, self.rows, self.cols, self.copies
        )?;
        if self.parts > 1 {
            write!(f, " parts {}", self.parts)?;
        }
        match self.twist {
            0 => Ok(()),
            twist => write!(f, " twist {twist}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(shape: Shape, gap: usize, grid: usize, copies: usize, twist: usize) -> Layout {
        Layout {
            slots: 1024,
            parts: 1,
            shape,
            gap,
            rows: grid,
            cols: grid,
            copies,
            twist,
        }
    }

    #[test]
    fn pack_then_unpack_returns_the_tensor_and_retwist_moves_copies() {
        for (gap, copies, twist) in [(1, 1, 0), (2, 4, 0), (2, 4, 64), (4, 16, 0)] {
            let l = layout(Shape::new(4, 2, 2), gap, 8, copies, twist);
            let l = Layout {
                shape: Shape::new(4.min(gap * gap * 1024 / copies / 64), 2, 2),
                ..l
            };
            l.verify().unwrap();
            let values: Vec<f64> = (0..l.shape.elements()).map(|i| i as f64 + 1.0).collect();
            let slots = l.pack(&values);
            assert_eq!(
                slots.iter().filter(|&&v| v != 0.0).count(),
                values.len() * copies
            );
            assert_eq!(l.unpack(&slots), values);
            let twisted = Layout {
                twist: 128 % l.stride(),
                ..l.clone()
            };
            let moved: Vec<f64> = l.retwist(twisted.twist).iter().map(|&s| slots[s]).collect();
            assert_eq!(moved, twisted.pack(&values));
        }
    }

    #[test]
    fn odd_shapes_spread_over_parts() {
        let l = Layout {
            parts: 3,
            rows: 15,
            cols: 22,
            ..layout(Shape::new(7, 13, 21), 1, 0, 1, 0)
        };
        l.verify().unwrap();
        let values: Vec<f64> = (0..l.shape.elements()).map(|i| i as f64 + 1.0).collect();
        let slots = l.pack(&values);
        assert_eq!((slots.len(), l.used()), (3 * 1024, 7 * 15 * 22));
        assert_eq!(l.unpack(&slots), values);
        // Channel 3 starts in the first part and ends in the second.
        let [first, last] = [l.slot(3, 0, 0, 0), l.slot(3, 12, 20, 0)];
        assert_eq!((first, last / 1024), (990, 1));
        assert_eq!(slots[last], values[l.shape.index(3, 12, 20)]);
        assert!(l.retwist(0).into_iter().eq(0..3 * 1024));
    }

    #[test]
    fn verify_refuses_what_does_not_fit() {
        let check = |l: Layout, expect: &str| match l.verify() {
            Ok(()) => assert_eq!(expect, "ok"),
            Err(e) => assert!(e.to_string().contains(expect), "{e}"),
        };
        let good = layout(Shape::new(4, 4, 4), 2, 8, 4, 64);
        check(good.clone(), "ok");
        check(
            Layout {
                slots: 1000,
                ..good.clone()
            },
            "1000 slots",
        );
        check(
            Layout {
                copies: 3,
                ..good.clone()
            },
            "3 copies",
        );
        check(
            Layout {
                gap: 0,
                ..good.clone()
            },
            "size of 0",
        );
        check(
            Layout {
                gap: 4,
                ..good.clone()
            },
            "does not fit",
        );
        check(
            Layout {
                shape: Shape::new(17, 4, 4),
                ..good.clone()
            },
            "320 slots for a copy",
        );
        check(
            Layout {
                twist: 256,
                ..good.clone()
            },
            "twist of 256",
        );
        let parts = |parts, copies, twist| Layout {
            parts,
            copies,
            twist,
            shape: Shape::new(80, 4, 4),
            ..good.clone()
        };
        check(parts(2, 1, 0), "ok");
        check(parts(1, 1, 0), "1280 slots for a copy");
        check(parts(2, 2, 0), "2 parts hold 2 copies");
        check(parts(2, 1, 64), "with twist 64");
        check(parts(0, 1, 0), "0 parts");
        check(parts(257, 1, 0), "257 parts");
        assert!(parts(2, 1, 0).to_string().ends_with("x1 parts 2"));
        check(
            Layout {
                slots: 1 << 17,
                ..parts(65, 1, 0)
            },
            "at most 8388608 slots",
        );
        check(
            Layout {
                shape: Shape::new(usize::MAX, 4, 4),
                ..good
            },
            "over 1024 slots",
        );
    }
}
