//! Where tensor elements sit in the slots of a ciphertext.

use crate::nn::Shape;

/// A multiplexed, replicated layout of one tensor in one ciphertext of `slots` real slots
/// [LLK+22, Orion].
///
/// Channels are grouped by `gap^2`: the group's channels interleave in the `gap x gap` cell that
/// one spatial position owns in a physical grid of `rows x cols` slots; groups follow each other.
/// The whole is written `copies` times, copy k starting at slot `k * slots / copies`. Copy k is
/// rotated by `k * twist` slots inside its own region, so that different copies show a rotation
/// different channels. Slots that hold no element hold zero.
#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Layout {
    /// Real slots of the ciphertext (N/2).
    pub slots: usize,
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
    /// Slots between two copies.
    pub fn stride(&self) -> usize {
        self.slots / self.copies
    }

    /// The slot of element `(c, y, x)` in copy `k`.
    pub fn slot(&self, c: usize, y: usize, x: usize, k: usize) -> usize {
        let (group, cell) = (c / (self.gap * self.gap), c % (self.gap * self.gap));
        let row = y * self.gap + cell / self.gap;
        let col = x * self.gap + cell % self.gap;
        let inside = (group * self.rows + row) * self.cols + col;
        k * self.stride() + (inside + k * self.twist) % self.stride()
    }
}
