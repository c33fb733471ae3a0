//! x (a + b sgn x) with the sign composed of odd polynomials [AB24, LLL+21]: which degrees, and how
//! coefficients are found.

use hecc_ir::function::{Approximation, Function};
use hecc_ir::nn::Op;
use rayon::prelude::*;

use super::gauss_newton::{gauss_newton, square_error};
use super::measured::Measured;
use super::memo::Memo;
use super::{Candidate, Kind, Method, Options, best, odd, rccde};
use crate::approximate::{made_of_sign, rounded};
use crate::minimax;

/// Polynomials of degree at most 7 whose merged compositions take 3 to 12 levels: for every depth those
/// of the largest product of degrees, which is what precision follows. One that has more than one order
/// or split is there in each; the best of a depth is kept.
const EVOLVED: [&[usize]; 14] = [
    &[3],
    &[7],
    &[5, 3],
    &[3, 3, 3],
    &[7, 7],
    &[7, 5, 3],
    &[5, 3, 7],
    &[5, 3, 5, 3],
    &[7, 7, 7],
    &[5, 3, 3, 3, 3],
    &[7, 7, 5, 3],
    &[3, 3, 3, 3, 3, 3],
    &[5, 3, 5, 3, 7],
    &[7, 5, 3, 5, 3],
];
/// What [LLK+22] use for 13 bits of precision; more than six polynomials of degree 7 can make.
const PRECISE: [usize; 3] = [15, 15, 27];
/// Points of the least squares.
const POINTS: usize = 768;
/// Where minimax compositions start to be one, over where the published balance puts it: on a
/// distribution much narrower than the range it pays to look closer at zero, or less close.
const EPSILONS: [f64; 5] = [0.25, 0.5, 1.0, 2.0, 4.0];

/// The composite candidates: the best of every depth. None for a function that is not made of a sign.
pub(super) fn composites(
    function: &Function,
    options: &Options,
    measured: &Measured,
) -> Vec<Candidate> {
    let Some(parts) = made_of_sign(function) else {
        return Vec::new();
    };
    let points = measured.folded(POINTS);
    let ways = |evolved: Option<&[usize]>, degrees: &[usize]| {
        let mut ways = vec![
            (Method::LeastSquares, least_squares(degrees, &points)),
            (Method::Remez, remez(degrees)),
        ];
        let found = evolved.and_then(|evolved| evolution(evolved, options));
        ways.extend(found.map(|found| (Method::Rccde, found)));
        let ops = ways.into_iter().map(|(method, polynomials)| {
            let op = approximation(&polynomials, parts, measured.range());
            (method, Op::Activation(Function::Approximated(op)))
        });
        best(Kind::Composite(degrees.to_vec()), ops.collect(), measured)
    };
    let mut found: Vec<Candidate> = EVOLVED
        .par_iter()
        .map(|evolved| ways(Some(evolved), &rccde::merged(evolved)))
        .collect();
    found.push(ways(None, &PRECISE));
    found.sort_by(|a, b| {
        let depths = a.kind.depth().cmp(&b.kind.depth());
        depths.then(a.error.total_cmp(&b.error))
    });
    found.dedup_by_key(|c| c.kind.depth());
    found
}

/// x (a + b composition), over `range`.
fn approximation(polynomials: &[Vec<f64>], (a, b): (f64, f64), range: f64) -> Approximation {
    let mut series: Vec<Vec<f64>> = polynomials.iter().map(|p| odd::series(p)).collect();
    if let Some(last) = series.last_mut() {
        last.iter_mut().for_each(|c| *c *= b);
        last[0] += a;
    }
    // A leading coefficient may vanish in rounding; the degree is then lower.
    let trimmed = |series: Vec<f64>| {
        let mut series = rounded(series);
        while series.len() > 2 && series.last() == Some(&0.0) {
            series.pop();
        }
        series
    };
    Approximation::Levelled {
        range,
        polynomials: series.into_iter().map(trimmed).collect(),
        times_x: true,
    }
}

/// The published minimax composition.
fn remez(degrees: &[usize]) -> Vec<Vec<f64>> {
    starts(degrees).swap_remove(0)
}

/// Least squares from the minimax composition that is best on `points`.
fn least_squares(degrees: &[usize], points: &[(f64, f64)]) -> Vec<Vec<f64>> {
    let start = starts(degrees)
        .into_iter()
        .map(|start| (square_error(&start, points), start))
        .min_by(|a, b| a.0.total_cmp(&b.0));
    let mut found = gauss_newton(start.map(|(_, start)| start).unwrap_or_default(), points);
    odd::normalise(&mut found);
    found
}

/// Minimax compositions, the published one first.
fn starts(degrees: &[usize]) -> Vec<Vec<Vec<f64>>> {
    static FOUND: Memo<Vec<usize>, Vec<Vec<Vec<f64>>>> = Memo::new();
    FOUND.get(degrees.to_vec(), || {
        let published = minimax::balanced_epsilon(degrees);
        let compose = |epsilon: f64| -> Vec<Vec<f64>> {
            let composed = minimax::compose(degrees, epsilon).0;
            composed.iter().map(|p| odd::of_series(p)).collect()
        };
        let others = EPSILONS.iter().map(|factor| factor * published);
        std::iter::once(published)
            .chain(others.filter(|&e| e != published && e < 0.95))
            .map(compose)
            .collect()
    })
}

/// R-CCDE; depends on degrees, restarts and seed only.
fn evolution(degrees: &[usize], options: &Options) -> Option<Vec<Vec<f64>>> {
    type Key = (Vec<usize>, u64, u64);
    static FOUND: Memo<Key, Option<Vec<Vec<f64>>>> = Memo::new();
    let (restarts, seed) = (options.restarts, options.seed);
    FOUND.get((degrees.to_vec(), restarts, seed), || {
        rccde::rccde(degrees, restarts, seed)
    })
}

#[cfg(test)]
mod tests {
    use super::super::measured::grid;
    use super::*;

    #[test]
    fn every_depth_has_its_composition() {
        let depths = |degrees: &[usize]| Kind::Composite(degrees.to_vec()).depth();
        for evolved in EVOLVED {
            assert!(evolved.len() <= 6);
            assert!(evolved.iter().all(|&d| d <= rccde::MAX_DEGREE));
        }
        for depth in 3..=12 {
            let mut all = EVOLVED.iter().map(|evolved| rccde::merged(evolved));
            assert!(all.any(|degrees| depths(&degrees) == depth), "{depth}");
        }
        assert_eq!(depths(&PRECISE), 14);
    }

    fn worst(function: &Function, found: &Approximation) -> f64 {
        let range = found.range();
        (-2000..=2000)
            .map(|i| range * f64::from(i) / 2000.0)
            .map(|x| (found.apply(x) - function.apply(0, x)).abs() / range)
            .fold(0.0, f64::max)
    }

    #[test]
    fn minimax_compositions_reach_their_precision() {
        let check = |function: Function, degrees: &[usize], bits: f64| {
            let parts = made_of_sign(&function).unwrap();
            let found = approximation(&remez(degrees), parts, 10.0);
            found.verify().unwrap();
            let worst = -worst(&function, &found).log2();
            assert!(
                worst > bits && worst < bits + 1.5,
                "{degrees:?}: 2^-{worst}"
            );
        };
        check(Function::Relu, &[7, 7], 6.5);
        check(Function::Relu, &[15, 15], 8.2);
        check(Function::Relu, &[15, 15, 27], 12.0);
        check(Function::Abs, &[15, 15, 27], 11.0);
        check(Function::LeakyRelu { slope: 0.5 }, &[15, 15], 9.2);
    }

    #[test]
    fn least_squares_gain_where_values_are_and_keep_the_range() {
        // A bell of a tenth of the range.
        let density = |x: f64| 0.01 + 8.0 * (-50.0 * x * x).exp();
        let points: Vec<(f64, f64)> = grid(POINTS)
            .map(|(x, width)| (x, width * x * x * density(x)))
            .collect();
        for degrees in [&[7][..], &[15], &[7, 7], &[7, 15], &[15, 15], &[7, 7, 15]] {
            let published = square_error(&remez(degrees), &points);
            let found = least_squares(degrees, &points);
            let error = square_error(&found, &points);
            assert!(
                error < 0.99 * published,
                "{degrees:?}: {error}, {published}"
            );
            let outside = worst(&Function::Relu, &approximation(&found, (0.5, 0.5), 1.0));
            assert!(outside < 0.2, "{degrees:?}: {outside} at worst");
            for i in 0..=1000 {
                let x = f64::from(i) / 1000.0;
                let inner = odd::composed(&found[..degrees.len() - 1], x);
                assert!(inner.abs() <= 1.0, "{degrees:?} at {x}: {inner}");
            }
        }
    }
}
