//! Which bootstrappers a program builds, and while which nodes they are alive.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use hecc_ir::program::{Node, Op, Program};

/// What the encoded transforms of a bootstrapper depend on: how it turns copies (their distance and the
/// rotation from one to the next), rho, and its operand's scale.
type Variant = (usize, usize, u64, u64);

fn variant(from: &Node, to: &Node, rho: f64) -> Variant {
    let stride = from.layout.stride();
    let turn = (from.layout.twist + stride - to.layout.twist) % stride;
    // Without a turn the distance is of no account.
    let distance = if turn == 0 { 0 } else { stride };
    (distance, turn, rho.to_bits(), from.scale.to_bits())
}

/// For every distinct bootstrapper, the nodes from its first use to its last.
pub fn lifetimes(program: &Program) -> Vec<RangeInclusive<usize>> {
    variants(program).into_values().collect()
}

/// What the program encodes, in whole bootstrappers: one that is built while another lives which differs in
/// the turn only takes over all but the first of `groups` of coefficients-to-slots.
pub fn encoded(program: &Program, groups: usize) -> f64 {
    let variants = variants(program);
    let share = |((_, _, rho, scale), uses): (&Variant, &RangeInclusive<usize>)| {
        let related = variants.iter().any(|(other, lives)| {
            (other.2, other.3) == (*rho, *scale)
                && lives.start() < uses.start()
                && lives.contains(uses.start())
        });
        if related {
            1.0 / groups.max(1) as f64
        } else {
            1.0
        }
    };
    // The sum of nothing is -0.
    variants
        .iter()
        .map(share)
        .fold(0.0, |sum, share| sum + share)
}

fn variants(program: &Program) -> BTreeMap<Variant, RangeInclusive<usize>> {
    let mut alive: BTreeMap<Variant, RangeInclusive<usize>> = BTreeMap::new();
    for (value, node) in program.nodes.iter().enumerate() {
        if let Op::Activate { x, rho, .. } = node.op {
            let uses = alive
                .entry(variant(&program.nodes[x], node, rho))
                .or_insert(value..=value);
            *uses = *uses.start()..=value;
        }
    }
    alive
}
