//! The keys that the operators need, against the manifest.

use std::collections::BTreeMap;

use crate::plan::{KeyManifest, Plan};

pub(super) type Keys = BTreeMap<usize, usize>;

/// What the operators seen so far need.
#[derive(Default)]
pub(super) struct Needed {
    pub rotations: Keys,
    /// Highest level at which two ciphertexts are multiplied.
    pub product: Option<usize>,
    pub bootstrap: bool,
}

impl Needed {
    pub fn multiply(&mut self, level: usize) {
        self.product = self.product.max(Some(level));
    }
}

pub(super) fn need(keys: &mut Keys, steps: usize, level: usize) {
    let highest = keys.entry(steps).or_insert(level);
    *highest = level.max(*highest);
}

/// Adds the rotations of both transforms. A butterfly stage of half-length s joins slots 0 and s
/// apart, either way; a group of stages joins all sums of its stages' distances.
pub(super) fn bootstrap_keys(plan: &Plan, keys: &mut Keys) {
    let p = &plan.parameters;
    let Some(shape) = &p.bootstrap else {
        return;
    };
    let (half, slots) = (1i64 << (p.log_n - 2), 1i64 << (p.log_n - 1));
    let mut group = |stages: &[i64], wraps: bool, level: usize| {
        let mut reach = std::collections::BTreeSet::from([0i64]);
        for s in stages {
            reach = reach.iter().flat_map(|d| [*d, d + s, d - s]).collect();
        }
        let stride = stages.iter().min().copied().unwrap_or(1);
        let bits = stages.len() as u32 + u32::from(!wraps);
        let giant = (stride << bits.div_ceil(2)) as usize;
        for d in reach {
            let d = d.rem_euclid(if wraps { half } else { slots }) as usize;
            need(keys, d % giant, level);
            need(keys, d / giant * giant, level);
        }
    };
    let mut s = half;
    for (i, &radix) in shape.cts.iter().enumerate() {
        let stages: Vec<i64> = (1..=radix).map(|k| s >> k).collect();
        s >>= radix;
        group(&stages, i == 0, p.q.len() - 1 - i);
    }
    let groups = shape.stc.len();
    let mut s = 1;
    for (i, &radix) in shape.stc.iter().enumerate() {
        let stages: Vec<i64> = (0..radix).map(|k| s << k).collect();
        s <<= radix;
        group(&stages, i + 1 == groups, groups - i);
    }
}

pub(super) fn check_keys(plan: &Plan, needed: &Needed) -> Result<(), String> {
    let KeyManifest {
        rotations,
        relinearisation,
        conjugation,
        encapsulation,
    } = &plan.keys;
    let shape = plan
        .parameters
        .bootstrap
        .as_ref()
        .filter(|_| needed.bootstrap);
    let conjugated = shape.map(|b| plan.parameters.q.len() - 1 - b.cts.len());
    let expected = (needed.product, conjugated, needed.bootstrap);
    if (*relinearisation, *conjugation, *encapsulation) != expected {
        let (product, conjugated, sparse) = expected;
        return Err(format!(
            "relinearisation {relinearisation:?}, conjugation {conjugation:?}, encapsulation {encapsulation}, expected {product:?}, {conjugated:?}, {sparse}"
        ));
    }
    let needed = &needed.rotations;
    if !rotations
        .iter()
        .map(|key| (key.steps, key.level))
        .eq(needed.iter().map(|(&s, &l)| (s, l)))
    {
        let wrong = rotations
            .iter()
            .find(|key| needed.get(&key.steps) != Some(&key.level));
        let (found, expected) = (rotations.len(), needed.len());
        return Err(format!(
            "{found} rotations, expected {expected}; the first wrong one: {wrong:?}"
        ));
    }
    Ok(())
}
