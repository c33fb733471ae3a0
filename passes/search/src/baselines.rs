//! What other systems would choose, as genomes: one kind everywhere.
//!
//! - MPCNN [LLK+22]: composites of degrees 15, 15, 27 everywhere;
//! - AESPA [PKK+22]: quadratics everywhere (trained, which these are not);
//! - AutoFHE [AB24]: a search over what is evaluated between bootstraps, for the least number of
//!   bootstraps: [`unfused`] with [`crate::CountBootstraps`] on a planner that places greedily.

use std::collections::BTreeSet;

use hecc_passes::candidates::Kind;

use crate::objective::Genome;

/// For every kind that some activation has, the genome with that kind everywhere. An activation
/// without it (a polynomial of the model's own has few alternatives) has its dearest. By kind; each
/// genome once.
pub fn uniform(kinds: &[Vec<Kind>]) -> Vec<(Kind, Genome)> {
    let all: BTreeSet<&Kind> = kinds.iter().flatten().collect();
    let mut found: Vec<(Kind, Genome)> = Vec::new();
    for kind in all {
        let genome = everywhere(kinds, kind);
        if !found.iter().any(|(_, other)| *other == genome) {
            found.push((kind.clone(), genome));
        }
    }
    found
}

/// The genome with `kind` wherever there is such an alternative, and the dearest elsewhere.
pub fn everywhere(kinds: &[Vec<Kind>], kind: &Kind) -> Genome {
    let at = |kinds: &Vec<Kind>| {
        let place = kinds.iter().position(|other| other == kind);
        place.unwrap_or(kinds.len().saturating_sub(1)) as u8
    };
    kinds.iter().map(at).collect()
}

/// For [`crate::Restricted`]: the alternatives that need no bootstrap; all of an activation that has
/// only fused ones.
pub fn unfused(kinds: &[Vec<Kind>]) -> Vec<Vec<u8>> {
    let places = |kinds: &Vec<Kind>, keep: fn(&Kind) -> bool| -> Vec<u8> {
        let kept = kinds.iter().enumerate().filter(|(_, kind)| keep(kind));
        kept.map(|(place, _)| place as u8).collect()
    };
    let one = |kinds: &Vec<Kind>| match places(kinds, |kind| !kind.is_fused()) {
        none if none.is_empty() => places(kinds, |_| true),
        some => some,
    };
    kinds.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_kind_everywhere() {
        use Kind::{Composite, Fused, Pruned, Quadratic};
        let composite = Composite(vec![15, 15, 27]);
        let relu = vec![Pruned, Quadratic, composite.clone(), Fused(15), Fused(31)];
        let other = vec![Pruned, Quadratic, Fused(31)];
        let square = vec![Pruned, Quadratic];
        let kinds = [relu, other, square];
        assert_eq!(everywhere(&kinds, &composite), [2, 2, 1]);
        let expect = [
            (Pruned, vec![0, 0, 0]),
            (Quadratic, vec![1, 1, 1]),
            (composite, vec![2, 2, 1]),
            (Fused(15), vec![3, 2, 1]),
            (Fused(31), vec![4, 2, 1]),
        ];
        assert_eq!(uniform(&kinds), expect);
        assert_eq!(unfused(&kinds), [vec![0, 1, 2], vec![0, 1], vec![0, 1]]);
        assert_eq!(unfused(&[vec![Fused(7)]]), [vec![0]]);
    }
}
