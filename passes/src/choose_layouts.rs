//! **choose_layouts**: where every tensor sits in the slots, and how every linear map is computed.
//!
//! Does: gives every hub a [`Layout`], its sums the same without twist, and every linear map its
//! fold flag and giant step. Candidates per tensor: the grids of its sources with a wider gap
//! (multiplexed), and dense; each as often repeated as the slots allow, or over as many ciphertexts
//! as it takes; each plain or twisted, so that the copies can share a following convolution. An
//! activation inside a bootstrap twists for nothing, elsewhere the maps that lead there do. Counts the diagonals, rotations and folds of every map between
//! candidates, the ciphertexts of every activation, and the bootstrappers that twists ask for, and
//! lowers the total: (min,+) dynamic programming over the tree of main operands, and four uniform
//! choices (multiplexed or dense, plain or twisted), are starts for coordinate descent: one hub's
//! layout at a time, then the twist of all hubs of one layout. What the chosen maps cost is then counted
//! exactly; for turned copies the counts of candidates are upper bounds.
//!
//! Does not: look at weights, levels or units.
//!
//! In: the steps of a folded graph; slots, the granularity of a twist, which activations may move slots,
//! prices. Out: a layout that fits for every hub; addends of one sum, and factors of one product, share
//! a layout; only such activations change a twist.
//!
//! Depth: none. Rotations: all of the linear maps' are decided here. Time: near-linear in the number
//! of sums; equal maps between equal candidates are counted once.
//!
//! Source: multiplexed packing [LLK+22]; layout choice by cost [Orion].
//!
//! Test: `resnet20_diagonals`, `several_ciphertexts` in `tests/layouts.rs`.

mod descent;
mod tables;

use hecc_ir::layout::Layout;

use crate::PassError;
use crate::cost::{MapChoice, Prices};
use crate::known::Known;
use crate::layout_candidates::Candidate;
use crate::steps::Steps;
use descent::Descent;
use tables::Tables;

/// What the choice is made for.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Real slots of a ciphertext.
    pub slots: usize,
    /// A twist is a multiple of so many slots; 0 where nothing can move slots for free.
    pub granularity: usize,
    /// For every hub, whether it is an activation inside a bootstrap, which may change the twist.
    pub fused: &'a [bool],
    /// What things cost.
    pub prices: &'a Prices,
}

/// Layouts of one hub.
#[derive(Clone, Debug, PartialEq)]
pub struct HubLayout {
    /// Of the sums it is made of; for the input as `seen`.
    pub sum: Layout,
    /// What its readers see: the same, or, behind an activation that may move slots, with a twist.
    pub seen: Layout,
}

/// The choice.
#[derive(Clone, Debug, PartialEq)]
pub struct Layouts {
    /// One per hub.
    pub hubs: Vec<HubLayout>,
    /// For every sum and addend how the map is computed; `None` for a hub that keeps its layout.
    pub maps: Vec<Vec<Option<MapChoice>>>,
    /// Seconds of all linear maps, activations and the building of bootstrappers together.
    pub cost: f64,
    /// What finding it took.
    pub effort: Effort,
}

/// How much was looked at, free of clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effort {
    /// Different maps between candidates: each is counted once at most.
    pub maps: usize,
    /// How often the search asked for the cost of one.
    pub lookups: u64,
}

/// Runs the pass.
///
/// # Errors
/// [`PassError::TooLarge`] for a tensor that is too large for any layout.
pub fn choose_layouts(steps: &Steps, request: &Request) -> Result<Layouts, PassError> {
    choose_layouts_knowing(steps, request, &Known::default())
}

/// [`choose_layouts`] with what is known of the maps.
pub(crate) fn choose_layouts_knowing(
    steps: &Steps,
    request: &Request,
    known: &Known,
) -> Result<Layouts, PassError> {
    let tables = Tables::new(steps, request, known)?;
    let search = Descent::new(&tables, request);
    let mut starts = vec![search.along_the_tree(false), search.along_the_tree(true)];
    for (last, twisted) in [(false, false), (false, true), (true, false), (true, true)] {
        starts.push(search.uniform(last, twisted));
    }
    let mut best: Option<(f64, Vec<usize>)> = None;
    for start in starts {
        let end = search.descend(start);
        if best.as_ref().is_none_or(|b| end.0 < b.0) {
            best = Some(end);
        }
    }
    let (cost, choice) = best.expect("there are six starts");
    Ok(tables.layouts(steps, &choice, cost))
}

/// The candidate that is this layout, twisted or not; the other where there is no such.
fn find(candidates: &[Candidate], plain: &Layout, twisted: bool) -> usize {
    let of_plain = || {
        candidates
            .iter()
            .enumerate()
            .filter(|(_, c)| untwisted(&c.seen) == *plain)
    };
    let wanted = of_plain().find(|(_, c)| (c.seen.twist != 0) == twisted);
    wanted.or_else(|| of_plain().next()).map_or(0, |(i, _)| i)
}

fn untwisted(layout: &Layout) -> Layout {
    Layout {
        twist: 0,
        ..layout.clone()
    }
}
