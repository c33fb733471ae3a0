//! The search: NSGA-II [DPAM02] on an archive of all genomes ever evaluated.
//!
//! The first generation is the given seeds, one uniform genome an index, and a Latin hypercube; every
//! further one mixes and changes parents found by tournaments of three on (layer, crowding). Nothing
//! is evaluated twice: a child that is known is changed again. The random numbers of a generation
//! depend on the seed and its number only, and scores on genomes only, so that the course is the same
//! at any number of threads, and when it is resumed.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::time::Instant;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::dominance::{Rated, crowding, layers};
use crate::error::SearchError;
use crate::objective::{Genome, Objective, Score};
use crate::settings::{Budget, Settings, Stop};
use crate::state::{Generation, State};
use crate::variation;

/// Attempts to make a child that is new by changing it, before any genome will do.
const ATTEMPTS: usize = 20;

/// Evolves `state` until the budget is spent. `each` sees the state after every generation (to show
/// and save it) and may break off.
///
/// # Errors
/// [`SearchError::BudgetTooShort`] when the first part of the first generation shows that the whole
/// does not fit the time, even without its Latin hypercube; the scores found are in `state`. [`SearchError::Genome`] when `state` is of
/// another objective, and what the objective itself reports, but an interruption, which ends the
/// search as [`Stop::Interrupted`].
pub fn search(
    objective: &dyn Objective,
    state: &mut State,
    budget: &Budget,
    each: &mut dyn FnMut(&State, &Generation) -> ControlFlow<()>,
) -> Result<Stop, SearchError> {
    if objective.sizes() != state.sizes() {
        return Err(SearchError::Genome {
            genome: format!("sizes {:?}", state.sizes()),
            what: format!("the network has alternatives {:?}", objective.sizes()),
        });
    }
    match run(objective, state, budget, each) {
        Err(SearchError::Interrupted) => Ok(Stop::Interrupted),
        other => other,
    }
}

fn run(
    objective: &dyn Objective,
    state: &mut State,
    budget: &Budget,
    each: &mut dyn FnMut(&State, &Generation) -> ControlFlow<()>,
) -> Result<Stop, SearchError> {
    let start = Instant::now();
    // The first generation is of another size than the others.
    let mut last = match state.history() {
        [.., before, last] => last.seconds - before.seconds,
        _ => 0.0,
    };
    loop {
        let number = state.history().len();
        if let (Some(stop), true) = (spent(state, budget, &start, last), number > 0) {
            return Ok(stop);
        }
        let generation = Instant::now();
        let population = match number {
            0 => first(objective, state, budget)?,
            _ => match next(objective, state)? {
                Some(population) => population,
                None => return Ok(Stop::Exhausted),
            },
        };
        last = generation.elapsed().as_secs_f64();
        let record = state.complete(population, last);
        if each(state, &record).is_break() {
            return Ok(Stop::Interrupted);
        }
    }
}

/// The bound that forbids another generation, if any.
fn spent(state: &State, budget: &Budget, start: &Instant, last: f64) -> Option<Stop> {
    let evaluations = state.archive().len() + state.settings().offspring;
    if budget
        .generations
        .is_some_and(|most| state.history().len() >= most)
    {
        Some(Stop::Generations)
    } else if budget.evaluations.is_some_and(|most| evaluations > most) {
        Some(Stop::Evaluations)
    } else if budget
        .time
        .is_some_and(|time| start.elapsed().as_secs_f64() + last > time.as_secs_f64())
    {
        Some(Stop::Time)
    } else {
        None
    }
}

/// Seeds, uniform genomes and a Latin hypercube, evaluated in parts; then the best of the archive. The
/// hypercube takes no more than what is left of the first half of the time.
fn first(
    objective: &dyn Objective,
    state: &mut State,
    budget: &Budget,
) -> Result<Vec<Genome>, SearchError> {
    let start = Instant::now();
    let mut rng = stream(state.settings(), 0);
    let mut met = BTreeSet::new();
    let mut new = |state: &State, mut genomes: Vec<Genome>| {
        genomes.retain(|g| state.score(g).is_none() && met.insert(g.clone()));
        genomes
    };
    let mut given = state.seeds().to_vec();
    given.extend(variation::uniform(state.sizes()));
    let given = new(state, given);
    let population = state.settings().population;
    let spread = variation::latin_hypercube(&mut rng, state.sizes(), population);
    let spread = new(state, spread);

    let time = budget.time.map_or(f64::INFINITY, |time| time.as_secs_f64());
    let mut done = 0;
    for part in given.chunks(state.settings().offspring) {
        evaluate(objective, state, part)?;
        done += part.len();
        let needed = start.elapsed().as_secs_f64() / done as f64 * given.len() as f64;
        if needed > time && done < given.len() {
            return Err(SearchError::BudgetTooShort {
                given: time,
                needed,
            });
        }
    }
    for part in spread.chunks(state.settings().offspring) {
        if start.elapsed().as_secs_f64() > time / 2.0 {
            break;
        }
        evaluate(objective, state, part)?;
    }
    let all: Vec<Genome> = state.archive().iter().map(|r| r.genome.clone()).collect();
    Ok(select(state, all, state.settings().population))
}

/// The best of parents and new children; None without new children.
fn next(objective: &dyn Objective, state: &mut State) -> Result<Option<Vec<Genome>>, SearchError> {
    let children = breed(state);
    if children.is_empty() {
        return Ok(None);
    }
    evaluate(objective, state, &children)?;
    let mut all = state.population().to_vec();
    all.extend(children);
    Ok(Some(select(state, all, state.settings().population)))
}

/// Up to [`Settings::offspring`] genomes that are new.
fn breed(state: &State) -> Vec<Genome> {
    let settings = state.settings();
    let mut rng = stream(settings, state.history().len());
    let parents = state.population();
    let worth = standing(state, parents);
    let better = |a: usize, b: usize| {
        let ((layer, crowding), (other, other_crowding)) = (worth[a], worth[b]);
        layer < other || (layer == other && crowding > other_crowding)
    };
    let mut children: Vec<Genome> = Vec::new();
    let mut met = BTreeSet::new();
    for _ in 0..settings.offspring {
        let mother = variation::tournament(&mut rng, parents.len(), better);
        let father = variation::tournament(&mut rng, parents.len(), better);
        let crossed = rng.random::<f64>() < settings.crossover;
        let mut child = match crossed {
            true => variation::crossover(&mut rng, &parents[mother], &parents[father]),
            false => parents[mother].clone(),
        };
        // What was crossed and is new may stay as it is.
        let unchanged = crossed && rng.random::<bool>();
        for attempt in 0..2 * ATTEMPTS {
            if attempt >= ATTEMPTS {
                child = variation::random(&mut rng, state.sizes());
            } else if attempt > 0 || !unchanged {
                variation::mutate(&mut rng, state.steps(), settings.mutation, &mut child);
            }
            if state.score(&child).is_none() && met.insert(child.clone()) {
                children.push(child);
                break;
            }
        }
    }
    children
}

/// Evaluates genomes that are not in the archive and puts them there.
pub(crate) fn evaluate(
    objective: &dyn Objective,
    state: &mut State,
    genomes: &[Genome],
) -> Result<(), SearchError> {
    let scores = objective.evaluate(genomes)?;
    for (genome, score) in genomes.iter().zip(scores) {
        state.insert(genome.clone(), score);
    }
    Ok(())
}

/// Layer and crowding of every genome among `genomes`, all of them evaluated.
fn standing(state: &State, genomes: &[Genome]) -> Vec<(usize, f64)> {
    let points = rate(state, genomes);
    let mut standing = vec![(0, 0.0); genomes.len()];
    for (number, layer) in layers(&points).iter().enumerate() {
        for (&i, distance) in layer.iter().zip(crowding(&points, layer)) {
            standing[i] = (number, distance);
        }
    }
    standing
}

/// The best `count` of `genomes`: whole layers, then the least crowded of the next.
pub(crate) fn select(state: &State, genomes: Vec<Genome>, count: usize) -> Vec<Genome> {
    let standing = standing(state, &genomes);
    let mut order: Vec<usize> = (0..genomes.len()).collect();
    order.sort_by(|&a, &b| {
        let ((layer, distance), (other, other_distance)) = (standing[a], standing[b]);
        let crowding = other_distance.total_cmp(&distance);
        layer.cmp(&other).then(crowding).then(a.cmp(&b))
    });
    order.truncate(count);
    order.into_iter().map(|i| genomes[i].clone()).collect()
}

fn rate(state: &State, genomes: &[Genome]) -> Vec<Rated> {
    let limits = &state.settings().limits;
    let score = |genome: &Genome| -> Option<Score> { state.score(genome).flatten() };
    genomes
        .iter()
        .map(|g| Rated::new(score(g).as_ref(), limits))
        .collect()
}

/// The random numbers of generation `number`.
fn stream(settings: &Settings, number: usize) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(settings.seed);
    rng.set_stream(number as u64);
    rng
}
