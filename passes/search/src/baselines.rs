//! What other systems would choose, as genomes: one kind everywhere.
//!
//! - MPCNN [LLK+22]: composites of degrees 15, 15, 27 everywhere;
//! - AESPA [PKK+22]: quadratics everywhere (trained, which these are not);
//! - AutoFHE [AB24]: a search over what is evaluated between bootstraps, for the least number of
//!   bootstraps: [`unfused`] with [`crate::CountBootstraps`] on a planner that places greedily.

use std::collections::{BTreeMap, BTreeSet};

use hecc_passes::candidates::Kind;

use crate::error::SearchError;
use crate::objective::Genome;
use crate::planner::Planner;

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

/// What every alternative costs where its kind stands everywhere, in seconds; infinite where that cannot be
/// run.
///
/// # Errors
/// When a pass fails.
pub fn prices(kinds: &[Vec<Kind>], planner: &dyn Planner) -> Result<Vec<Vec<f64>>, SearchError> {
    let mut seconds: BTreeMap<&Kind, f64> = BTreeMap::new();
    for kind in kinds.iter().flatten() {
        if !seconds.contains_key(kind) {
            let cost = planner.predict(&everywhere(kinds, kind))?;
            seconds.insert(kind, cost.map_or(f64::INFINITY, |cost| cost.seconds));
        }
    }
    let row = |row: &Vec<Kind>| row.iter().map(|kind| seconds[kind]).collect();
    Ok(kinds.iter().map(row).collect())
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
    use crate::planner::Cost;

    /// Seconds are the squared sum of the genes; 9 cannot be run.
    struct Squares;

    impl Planner for Squares {
        fn predict(&self, genome: &[u8]) -> Result<Option<Cost>, SearchError> {
            let sum: u8 = genome.iter().sum();
            Ok((sum != 3).then(|| Cost {
                seconds: f64::from(sum).powi(2),
                bootstraps: 0,
                log_n: 15,
                levels: 9,
            }))
        }
        fn best(&self, errors: &[Vec<f64>], _lambda: f64) -> Result<Genome, SearchError> {
            Ok(vec![0; errors.len()])
        }
    }

    #[test]
    fn a_price_is_that_of_the_kind_everywhere() {
        use Kind::{Fused, Pruned, Quadratic};
        let kinds = [vec![Pruned, Quadratic, Fused(7)], vec![Pruned, Fused(7)]];
        let expect = [vec![0.0, 4.0, f64::INFINITY], vec![0.0, f64::INFINITY]];
        assert_eq!(prices(&kinds, &Squares).unwrap(), expect);
    }

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
