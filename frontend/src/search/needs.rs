//! Time that is kept back from evolution, and the least budget.

use super::SEEDS;
use super::clock::Clock;
use super::finish::{CONFIRMED, MAX_POINTS};
use super::progress::words;
use super::session::Session;
use crate::args::Search;
use crate::failure::Failure;
use hecc_search::Settings;
use std::time::{Duration, Instant};

/// Share of the budget for comparisons.
const COMPARISONS: f64 = 0.15;
/// Kinds that are compared as uniform choices, about.
const UNIFORM: f64 = 25.0;
/// Plans of networks to compare with, about; they are dear ones.
const RIVALS: usize = 6;
/// Mixed networks take longer to place than the one that is tried.
const MIXED: f64 = 1.8;
/// Share of the budget that is left over where estimates hold.
const SLACK: f64 = 0.04;
/// Share of the time left that is kept for the points at most: estimates may be too high.
const MOST: f64 = 0.4;
/// Fewest images for the accuracies that are stated, where there are more but no time.
const LEAST: usize = 200;
/// Points of a front that is worth searching for.
const FEW: f64 = 6.0;
/// Runs of which the fastest counts: others share the machine.
const RUNS: usize = 3;

/// Time that is kept back.
pub struct Needs {
    /// One point compiled.
    compiling: Duration,
    /// One image in one network.
    image: Duration,
    /// For measuring and compiling the points.
    pub points: Duration,
    /// For comparisons.
    pub comparisons: Duration,
}

impl Needs {
    /// Estimates it from one network compiled and evaluated, and refuses a budget that cannot do.
    ///
    /// # Errors
    /// A budget that is too short, with the least that would do; a network that cannot be compiled.
    pub fn measure(
        session: &Session,
        args: &Search,
        clock: &Clock,
        resumed: bool,
    ) -> Result<Self, Failure> {
        let dearest: Vec<u8> = session.found.iter().map(|c| (c.len() - 1) as u8).collect();
        let begun = Instant::now();
        let ops = session.objective.planner().ops(&dearest)?;
        match session
            .emitter(&session.options, args.max_memory)
            .plan(&ops)
        {
            // What takes less memory may be found yet.
            Err(failure) if args.max_memory.is_none() => return Err(failure),
            Ok(_) | Err(_) => {}
        }
        let compiling = begun
            .elapsed()
            .mul_f64(MIXED / rayon::current_num_threads() as f64);
        let image = image(session)?;
        let [_, searching, confirming] = session.inputs.drawn.counts();
        let points = |points: f64, judged: f64, images: usize| {
            compiling.mul_f64(points) + image.mul_f64(judged * images as f64)
        };
        let candidates: usize = session.found.iter().map(Vec::len).sum();
        // Those that differ in one activation share the network up to there: half of it on average.
        let sensitivities = match resumed {
            true => Duration::ZERO,
            false => image.mul_f64(0.5 * (candidates * session.first.count()) as f64),
        };
        let generation = Settings::default().offspring.min(SEEDS) * searching;
        let least = sensitivities
            + image.mul_f64(generation as f64)
            + points(FEW, FEW, confirming.min(LEAST));
        let comparisons = match args.no_ablation {
            true => 0.0,
            false => COMPARISONS,
        };
        let needs = Self {
            compiling,
            image,
            points: points(
                (MAX_POINTS + RIVALS) as f64,
                CONFIRMED as f64 + UNIFORM,
                confirming,
            )
            .saturating_add(clock.budget().mul_f64(SLACK))
            .min(clock.left().saturating_sub(sensitivities).mul_f64(MOST)),
            comparisons: clock.budget().mul_f64(comparisons),
        };
        match least + needs.comparisons > clock.left() {
            true => Err(needs.too_short(clock, least)),
            false => Ok(needs),
        }
    }

    /// How many of `images` images there is time to judge `genomes` genomes on, before the points are
    /// compiled.
    pub fn images(&self, clock: &Clock, genomes: usize, images: usize) -> usize {
        let time = clock
            .left()
            .saturating_sub(clock.budget().mul_f64(SLACK))
            .saturating_sub(self.compiling.mul_f64((MAX_POINTS + RIVALS) as f64));
        affordable(time, self.image.mul_f64(genomes as f64), images)
    }

    /// The error of a budget that does not last for another `more`, comparisons apart.
    pub fn too_short(&self, clock: &Clock, more: Duration) -> Failure {
        // Comparisons take a share of what is given.
        let share = self.comparisons.as_secs_f64() / clock.budget().as_secs_f64();
        let needed = (clock.spent() + more).as_secs_f64() / (1.0 - share);
        Failure::new(format!(
            "a budget of {} is too short: with one generation of candidates the search takes about {}",
            words(clock.budget()),
            words(Duration::from_secs_f64(needed.ceil()))
        ))
        .help("give more --budget, or fewer --search-images; --no-ablation saves the comparisons")
    }
}

/// How many of `images` the time allows at `each`; some in any case.
fn affordable(time: Duration, each: Duration, images: usize) -> usize {
    let count = time.as_secs_f64() / each.as_secs_f64().max(f64::MIN_POSITIVE);
    (count as usize).clamp(LEAST.min(images), images)
}

/// Time that one image takes in the network.
fn image(session: &Session) -> Result<Duration, Failure> {
    let judge = session.objective.on(session.first.clone())?;
    let run = |_| {
        let begun = Instant::now();
        judge.exact_share();
        begun.elapsed()
    };
    let fastest = (0..RUNS).map(run).min().unwrap_or_default();
    Ok(fastest.div_f64(session.first.count() as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_shrink_with_the_time() {
        let seconds = Duration::from_secs_f64;
        let check = |time: f64, each: f64, images: usize, expect: usize| {
            assert_eq!(affordable(seconds(time), seconds(each), images), expect);
        };
        check(100.0, 0.04, 2000, 2000);
        check(60.0, 0.04, 2000, 1500);
        check(0.0, 0.04, 2000, LEAST);
        check(0.0, 0.04, 50, 50);
        check(1.0, 0.0, 2000, 2000);
    }
}
