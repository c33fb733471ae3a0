//! What a linear map costs, for comparing layouts and giant steps.
//!
//! Milliseconds at level 3 of the 2^15 ring (4 limbs, 4 special primes), one thread. Only ratios matter
//! to the choices made here.

/// Encoding one diagonal, and multiplying with it.
pub const DIAGONAL: f64 = 1.15;
/// One rotation of the hoisted input.
pub const BABY: f64 = 1.5;
/// One rotation of a partial sum, with its mod-down.
pub const GIANT: f64 = 3.0;
/// One rotation after the map, one level lower.
pub const FOLD: f64 = 2.5;
/// A map's fixed part: decomposition, mod-down, rescaling.
pub const MAP: f64 = 3.0;
/// Multiplication by a constant.
pub const SCALE: f64 = 0.3;

/// Building one bootstrapper: encoding the transforms of both directions at the top of the chain.
/// Activations that turn their copies alike share one.
pub const BOOTSTRAPPER: f64 = 700.0;
/// Keeping one, of a gigabyte or two, over one further activation: a tie-breaker for memory.
pub const ALIVE: f64 = 4.0;

/// The way one linear map is computed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MapChoice {
    /// Whether copies share the terms of the sum.
    pub fold: bool,
    /// Giant step, in slots.
    pub giant: usize,
    /// Diagonals.
    pub diagonals: usize,
    /// Rotations of the input.
    pub babies: usize,
    /// Rotations of partial sums.
    pub giants: usize,
    /// Rotations that add up the copies.
    pub folds: usize,
    /// Milliseconds.
    pub cost: f64,
}

/// The cheapest giant step for diagonals at `offsets` (each below `slots`), plus `folds` rotations.
pub fn choose_giant(offsets: &[usize], slots: usize, fold: bool, folds: usize) -> MapChoice {
    let mut best: Option<MapChoice> = None;
    let mut seen = vec![false; slots];
    for giant in giant_candidates(slots) {
        let babies = distinct_nonzero(&mut seen, offsets.iter().map(|d| d % giant));
        let giants = distinct_nonzero(&mut seen, offsets.iter().map(|d| d - d % giant));
        let cost = MAP
            + DIAGONAL * offsets.len() as f64
            + BABY * babies as f64
            + GIANT * giants as f64
            + FOLD * folds as f64;
        if best.is_none_or(|b| cost < b.cost) {
            best = Some(MapChoice {
                fold,
                giant,
                diagonals: offsets.len(),
                babies,
                giants,
                folds,
                cost,
            });
        }
    }
    best.unwrap_or(MapChoice {
        fold,
        giant: slots,
        diagonals: 0,
        babies: 0,
        giants: 0,
        folds,
        cost: MAP,
    })
}

/// Giant steps worth trying: powers of two, which split channels, rows and columns where layouts do.
fn giant_candidates(slots: usize) -> impl Iterator<Item = usize> {
    (0..).map(|i| 1usize << i).take_while(move |&g| g <= slots)
}

/// How many different values but 0; all are below `seen.len()`.
fn distinct_nonzero(seen: &mut [bool], values: impl Iterator<Item = usize>) -> usize {
    seen.fill(false);
    values.for_each(|v| seen[v] = true);
    seen.iter().skip(1).filter(|&&s| s).count()
}
