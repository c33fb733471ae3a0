//! Which bootstrappers an execution builds, while which steps they are alive, and how much of them it
//! encodes: one home for the placement, which prices them, and for the plan, which predicts them.
//!
//! A bootstrapper is built at its first use and dropped after its last one, for each holds encoded
//! transforms of a gigabyte or two. One that is built while another lives that differs in the turn of the
//! copies only takes over all but the first group of coefficients-to-slots.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use crate::layout::Layout;
use crate::program::{Op, Program};

/// What the encoded transforms of a bootstrapper depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Variant {
    /// Slots between two copies, and the rotation of copy k over k; zeros where copies stay.
    turn: (usize, usize),
    family: Family,
}

/// What variants must have in common to share most of their transforms: bits of rho and of the operand's
/// scale, both positive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Family(u64, u64);

impl Variant {
    /// Of an activation from one layout to the other with this `rho`, on an operand of this scale.
    pub fn new(from: &Layout, to: &Layout, rho: f64, input_scale: f64) -> Self {
        let stride = from.stride();
        let by = (from.twist + stride - to.twist) % stride;
        Self {
            // Without a turn the distance is of no account.
            turn: if by == 0 { (0, 0) } else { (stride, by) },
            family: Family(rho.to_bits(), input_scale.to_bits()),
        }
    }

    /// Of the activation that is this node of a program; None of another node.
    pub fn of(program: &Program, node: usize) -> Option<Self> {
        let output = &program.nodes[node];
        let Op::Activate { x, rho, .. } = output.op else {
            return None;
        };
        let input = &program.nodes[x];
        Some(Self::new(&input.layout, &output.layout, rho, input.scale))
    }

    /// Whether copies turn.
    pub fn turns(&self) -> bool {
        self.turn != (0, 0)
    }

    /// Those that it can share with.
    pub fn family(&self) -> Family {
        self.family
    }
}

/// Of every bootstrapper, the steps from its first use to its last. Steps are numbered in the order of
/// execution, by nodes or otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lifetimes(BTreeMap<Variant, RangeInclusive<usize>>);

impl FromIterator<(usize, Variant)> for Lifetimes {
    /// From all uses, in any order.
    fn from_iter<I: IntoIterator<Item = (usize, Variant)>>(uses: I) -> Self {
        let mut lives = BTreeMap::new();
        for (step, variant) in uses {
            let life = lives.entry(variant).or_insert(step..=step);
            *life = *life.start().min(&step)..=*life.end().max(&step);
        }
        Self(lives)
    }
}

impl Lifetimes {
    /// Of a program's nodes.
    pub fn of(program: &Program) -> Self {
        let steps = 0..program.nodes.len();
        steps
            .filter_map(|step| Some((step, Variant::of(program, step)?)))
            .collect()
    }

    /// The last step that uses a bootstrapper; None where none does.
    pub fn last_use(&self, variant: &Variant) -> Option<usize> {
        self.0.get(variant).map(|life| *life.end())
    }

    /// How many bootstrappers are alive at `step`: such that share with no other one, and such that share
    /// with one of those.
    pub fn alive(&self, step: usize) -> (usize, usize) {
        let alive = || self.0.iter().filter(|(_, life)| life.contains(&step));
        let families: BTreeSet<Family> = alive().map(|(variant, _)| variant.family).collect();
        (families.len(), alive().count() - families.len())
    }

    /// What is encoded, in whole bootstrappers, where coefficients-to-slots has `groups`; see [`encoded`].
    pub fn encoded(&self, groups: usize) -> f64 {
        let lives = self.0.iter();
        encoded(
            lives.map(|(variant, life)| (variant.family, *life.start(), *life.end())),
            groups,
        )
    }
}

/// What is encoded, in whole bootstrappers, for these families, first uses and last uses: one that is built
/// while another of its family lives is a share of 1 in `groups`.
pub fn encoded<F: PartialEq>(
    lives: impl Iterator<Item = (F, usize, usize)> + Clone,
    groups: usize,
) -> f64 {
    let share = |(family, built, _): (F, usize, usize)| {
        let related = lives
            .clone()
            .any(|(other, first, last)| other == family && first < built && built <= last);
        if related {
            1.0 / groups.max(1) as f64
        } else {
            1.0
        }
    };
    // The sum of nothing is -0.
    lives.clone().map(share).fold(0.0, |sum, share| sum + share)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::Shape;

    fn layout(twist: usize) -> Layout {
        Layout {
            slots: 512,
            parts: 1,
            shape: Shape::new(2, 4, 4),
            gap: 1,
            rows: 4,
            cols: 4,
            copies: 4,
            twist,
        }
    }

    #[test]
    fn relatives_share_while_they_live() {
        let check = |uses: &[(usize, usize, f64)], expect: f64| {
            let variant =
                |&(step, twist, rho)| (step, Variant::new(&layout(0), &layout(twist), rho, 2.0));
            let lives: Lifetimes = uses.iter().map(variant).collect();
            let got = lives.encoded(4);
            assert_eq!(got, expect, "{uses:?}");
            assert!(got.is_sign_positive());
        };
        check(&[], 0.0);
        check(&[(1, 0, 0.5), (3, 0, 0.5)], 1.0);
        // Beside a relative, after one, beside a stranger.
        check(&[(1, 0, 0.5), (2, 16, 0.5), (3, 0, 0.5)], 1.25);
        check(&[(1, 0, 0.5), (2, 16, 0.5), (3, 16, 0.5)], 2.0);
        check(&[(1, 0, 0.5), (2, 16, 0.25), (3, 0, 0.5)], 2.0);
        // A chain: each is built beside the one before it.
        check(
            &[
                (1, 0, 0.5),
                (2, 16, 0.5),
                (3, 0, 0.5),
                (4, 32, 0.5),
                (5, 16, 0.5),
            ],
            1.5,
        );
    }

    /// Activations that share a bootstrapper need the same permutation, others another.
    #[test]
    fn equal_variants_are_equal_permutations() {
        let of = |copies, twist| Layout {
            copies,
            ..layout(twist)
        };
        let identity: Vec<usize> = (0..512).collect();
        let seen: Vec<(Variant, Vec<usize>)> =
            [(8, 0), (8, 16), (4, 0), (4, 64), (2, 240), (2, 16)]
                .into_iter()
                .flat_map(|(copies, twist)| [(copies, twist, 0), (copies, 0, twist)])
                .map(|(copies, from, to)| {
                    let (input, output) = (of(copies, from), of(copies, to));
                    (Variant::new(&input, &output, 0.5, 1.0), input.retwist(to))
                })
                .collect();
        for (variant, table) in &seen {
            assert_eq!(variant.turns(), *table != identity);
            for (other, other_table) in &seen {
                assert_eq!(
                    variant == other,
                    table == other_table,
                    "{variant:?} {other:?}"
                );
            }
        }
    }

    #[test]
    fn copies_that_stay_need_no_turn() {
        let variant = |from, to| Variant::new(&layout(from), &layout(to), 0.5, 1.0);
        assert_eq!(variant(0, 0), variant(16, 16));
        assert_eq!(variant(0, 16), variant(16, 32));
        assert_ne!(variant(0, 16), variant(16, 0));
        let lives: Lifetimes = [(2, variant(0, 0)), (5, variant(0, 16)), (7, variant(0, 0))]
            .into_iter()
            .collect();
        assert_eq!(
            [1, 2, 5, 6, 8].map(|step| lives.alive(step)),
            [(0, 0), (1, 0), (1, 1), (1, 0), (0, 0)]
        );
    }
}
