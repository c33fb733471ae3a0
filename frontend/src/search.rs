//! `hecc search`: the front of accuracy against latency, every point a plan.
//!
//! Images are drawn for three purposes: some measure ranges, some judge candidates, and the accuracies
//! that are stated come of images that nothing was chosen by. The time goes, in this order, to
//! candidates, to what each of them costs alone, to evolution, to comparisons, and to measuring and
//! compiling the points; what the last ones will take is kept back from the start.

pub mod binding;
mod chart;
mod clock;
mod compare;
pub mod emit;
pub mod finish;
pub mod folder;
pub mod images;
mod inputs;
pub mod interrupt;
mod needs;
mod picture;
mod plot;
pub mod progress;
mod report;
mod scale;
mod session;

use crate::args::Search;
use crate::failure::Failure;
use crate::print::say;
use binding::Binding;
use clock::Clock;
use finish::{Found, finish, write_network};
use folder::{Folder, STATE};
use hecc_search::baselines::{prices, uniform};
use hecc_search::{
    Ablation, Budget, Front, Generation, Limits, SearchError, Sensitivities, Settings, State, Stop,
    search as evolve, seeds, worthwhile,
};
use inputs::Inputs;
use needs::Needs;
use progress::{Progress, words};
use session::Session;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

pub use interrupt::INTERRUPTED;

/// Where the sensitivities are kept for `--resume`.
const SENSITIVITIES: &str = "sensitivities.json";
/// Placements that the sensitivities are turned into seeds with.
const SEEDS: usize = 40;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// As it should.
    Done,
    /// By Ctrl-C; what was found is written.
    Interrupted,
}

/// Runs the command.
pub fn search(args: &Search) -> Result<End, Failure> {
    interrupt::listen()?;
    let clock = Clock::start(args.budget);
    let fresh = !args.output.exists();
    let mut progress = Progress::new();
    let result = run(args, &clock, &mut progress);
    progress.finish();
    if result.is_err() && fresh {
        // Only an empty folder goes.
        let _ = std::fs::remove_dir(&args.output);
    }
    result
}

fn run(args: &Search, clock: &Clock, progress: &mut Progress) -> Result<End, Failure> {
    let folder = match args.resume {
        true => Folder::open(&args.output, STATE)?,
        false => Folder::create(&args.output)?,
    };
    progress.phase("reading the model and the images");
    let inputs = Inputs::load(args)?;
    let binding = binding(args, &inputs)?;
    let saved = match args.resume {
        true => Some(saved(&folder, &binding)?),
        false => None,
    };
    progress.phase("measuring ranges");
    let calibration = inputs.calibrate(&folder)?;
    progress.phase("fitting candidates");
    let session = Session::new(&inputs, &calibration, args)?;
    interrupt::tell(session.objective.interrupted());
    let mut needs = Needs::measure(&session, args, clock, saved.is_some())?;
    if saved.is_none() {
        write_network(&folder, &session)?;
    }
    let begun = begin(args, &session, &folder, &binding, saved, progress);
    let Some((mut state, sensitivities)) = unless_interrupted(begun)? else {
        say!("ended before there was a front")?;
        return Ok(End::Interrupted);
    };
    let stop = generations(
        args, &session, &folder, &mut state, &mut needs, clock, progress,
    )?;
    let interrupted = stop == Stop::Interrupted || interrupt::asked();
    // What is left to do is short, and asked for.
    session
        .objective
        .interrupted()
        .store(false, std::sync::atomic::Ordering::Relaxed);
    if state.history().is_empty() {
        say!("ended before there was a front")?;
        return Ok(End::Interrupted);
    }
    let mut found = Found {
        state,
        sensitivities,
        rivals: Vec::new(),
        ablation: None,
    };
    if !interrupted {
        compare(args, &session, &mut found, &needs, clock, progress)?;
    }
    let front = finish(
        &folder,
        &session,
        found,
        args.max_memory,
        (&needs, clock),
        progress,
    )?;
    progress.finish();
    show(&front, &args.output, clock)?;
    Ok(match interrupted {
        true => End::Interrupted,
        false => End::Done,
    })
}

fn binding(args: &Search, inputs: &Inputs) -> Result<Binding, Failure> {
    let hash = |bytes: &[u8]| blake3::hash(bytes).to_hex().to_string();
    let calibration = match &inputs.calibration {
        Some(calibration) => Some(hash(&json(calibration)?)),
        None => None,
    };
    Ok(Binding {
        version: Binding::VERSION,
        model: inputs.hash.clone(),
        teacher: inputs.teacher.as_ref().map(crate::model_hash::model_hash),
        images: inputs.drawn.hash(),
        counts: inputs.drawn.counts(),
        labels: args.labels.is_some(),
        calibration,
        costs: hash(&json(&inputs.costs)?),
        seed: args.seed,
        restarts: args.restarts,
        max_latency: args.max_latency.map(|t| t.as_millis()),
        max_loss: args
            .max_accuracy_loss
            .map(|loss| (loss * 1e6).round() as u64),
        max_memory: args.max_memory,
    })
}

fn json(what: &impl serde::Serialize) -> Result<Vec<u8>, Failure> {
    serde_json::to_vec(what).map_err(|e| Failure::new(e.to_string()))
}

/// The state in the folder, if it is this search's.
fn saved(folder: &Folder, binding: &Binding) -> Result<State, Failure> {
    let path = folder.at(STATE);
    let state = State::from_json(&folder.read(STATE)?)
        .map_err(|e| Failure::in_file(&path, e).help("search again in another folder"))?;
    binding.check(state.binding(), &path)?;
    Ok(state)
}

/// The result, or None where Ctrl-C ended it.
fn unless_interrupted<T>(result: Result<T, Stopped>) -> Result<Option<T>, Failure> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Stopped::Interrupted) => Ok(None),
        Err(Stopped::Failed(failure)) => Err(failure),
        Err(Stopped::TooShort(needed)) => Err(Failure::new(format!(
            "the budget is too short by {}",
            words(needed)
        ))),
    }
}

/// Why a step has no result.
enum Stopped {
    Interrupted,
    /// The first generation takes this long.
    TooShort(Duration),
    Failed(Failure),
}

impl From<Failure> for Stopped {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<SearchError> for Stopped {
    fn from(e: SearchError) -> Self {
        match e {
            SearchError::Interrupted => Self::Interrupted,
            SearchError::BudgetTooShort { needed, .. } => {
                Self::TooShort(Duration::from_secs_f64(needed))
            }
            e => Self::Failed(e.into()),
        }
    }
}

/// A search that goes on, or a new one with its seeds.
fn begin(
    args: &Search,
    session: &Session,
    folder: &Folder,
    binding: &Binding,
    saved: Option<State>,
    progress: &mut Progress,
) -> Result<(State, Option<Sensitivities>), Stopped> {
    if let Some(state) = saved {
        // Only for the report: a search goes on without.
        let kept = folder.read(SENSITIVITIES).ok();
        let sensitivities = kept.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        return Ok((state, sensitivities));
    }
    let objective = &session.objective;
    let first = objective.on(session.first.clone())?;
    let count = session.found.len();
    let sensitivities = Sensitivities::measure(&first, &mut |done| {
        progress.step("what every candidate costs alone: activation", done, count);
    })?;
    folder.write(SENSITIVITIES, &json(&sensitivities)?)?;
    progress.phase("placing the best choices by sensitivity");
    let mut genomes = seeds(objective.planner(), &sensitivities, SEEDS)?;
    let kinds = session.kinds();
    genomes.extend(uniform(&kinds).into_iter().map(|(_, genome)| genome));
    let exact = objective.exact_share().value();
    let settings = Settings {
        seed: args.seed,
        limits: Limits {
            max_seconds: args.max_latency.map(|t| t.as_secs_f64()),
            min_accuracy: args.max_accuracy_loss.map(|loss| (exact - loss).max(0.0)),
        },
        ..Settings::default()
    };
    let sizes = session.found.iter().map(Vec::len).collect();
    let prices = prices(&kinds, objective.planner())?;
    let state = State::new(sizes, settings, genomes, &binding.text()?)?
        .stepping(worthwhile(&sensitivities, &prices))?;
    Ok((state, Some(sensitivities)))
}

/// Evolves until the time is up; saves the state after every generation. Where the time kept back leaves
/// too little for the first one, comparisons are given up.
fn generations(
    args: &Search,
    session: &Session,
    folder: &Folder,
    state: &mut State,
    needs: &mut Needs,
    clock: &Clock,
    progress: &mut Progress,
) -> Result<Stop, Failure> {
    loop {
        let time = clock
            .left()
            .saturating_sub(needs.points + needs.comparisons);
        match evolution(args, session, folder, state, time, progress) {
            Err(Stopped::TooShort(_)) if !needs.comparisons.is_zero() => {
                progress.note("too little time for comparisons with other searches: left out");
                needs.comparisons = Duration::ZERO;
                needs.points = needs.points.div_f64(2.0);
            }
            Err(Stopped::TooShort(needed)) => {
                return Err(needs.too_short(clock, needed + needs.points));
            }
            Err(Stopped::Failed(failure)) => return Err(failure),
            Err(Stopped::Interrupted) => return Ok(Stop::Interrupted),
            Ok(stop) => return Ok(stop),
        }
    }
}

fn evolution(
    args: &Search,
    session: &Session,
    folder: &Folder,
    state: &mut State,
    time: Duration,
    progress: &mut Progress,
) -> Result<Stop, Stopped> {
    let mut failed = None;
    let budget = Budget {
        time: Some(time),
        generations: args.generations,
        evaluations: None,
    };
    let evolving = Clock::start(time);
    progress.phase("first generation");
    let mut each = |state: &State, generation: &Generation| {
        progress.generation(state, generation, &evolving);
        let saved = state
            .to_json()
            .map_err(Failure::from)
            .and_then(|json| folder.write(STATE, &json));
        match saved {
            Ok(()) if interrupt::asked() => ControlFlow::Break(()),
            Ok(()) => ControlFlow::Continue(()),
            Err(e) => {
                failed = Some(e);
                ControlFlow::Break(())
            }
        }
    };
    let stop = evolve(&session.objective, state, &budget, &mut each);
    match failed {
        Some(failure) => Err(failure.into()),
        None => Ok(stop?),
    }
}

/// Comparisons, in the time kept for them.
fn compare(
    args: &Search,
    session: &Session,
    found: &mut Found,
    needs: &Needs,
    clock: &Clock,
    progress: &mut Progress,
) -> Result<(), Failure> {
    found.rivals = compare::uniforms(session)?;
    if args.no_ablation || needs.comparisons.is_zero() {
        return Ok(());
    }
    let time = needs
        .comparisons
        .min(clock.left().saturating_sub(needs.points));
    progress.phase("AutoFHE's objective, for comparison");
    let settings = *found.state.settings();
    found
        .rivals
        .extend(compare::autofhe(session, &settings, time.div_f64(3.0))?);
    let (Some(sensitivities), Some(last)) = (&found.sensitivities, found.state.history().last())
    else {
        return Ok(());
    };
    // Two further searches as fast as this one.
    let rate = last.evaluations as f64 / last.seconds.max(1e-3);
    let evaluations = (rate * time.as_secs_f64() / 3.0) as usize;
    let mut shown = |done| {
        progress.step(
            "random and greedy searches, for comparison",
            done,
            2 * evaluations,
        );
    };
    let ablation = Ablation::run(
        &session.objective,
        session.objective.planner(),
        &found.state,
        sensitivities,
        evaluations,
        &mut shown,
    );
    found.ablation = match ablation {
        Ok(ablation) => Some(ablation),
        Err(SearchError::Interrupted) => {
            session
                .objective
                .interrupted()
                .store(false, std::sync::atomic::Ordering::Relaxed);
            None
        }
        Err(e) => return Err(e.into()),
    };
    Ok(())
}

/// What is printed at the end.
fn show(front: &Front, path: &Path, clock: &Clock) -> Result<(), Failure> {
    say!(
        "{:>5}  {:>10}  {:>9}  {:>10}  plan",
        "point",
        "accuracy",
        "seconds",
        "bootstraps"
    )?;
    for (number, p) in front.points.iter().enumerate() {
        say!(
            "{number:>5}  {:>8.2} %  {:>9.2}  {:>10}  {}",
            100.0 * p.accuracy.value(),
            p.cost.seconds,
            p.cost.bootstraps,
            p.plan
        )?;
    }
    say!(
        "the network itself: {:.2} %; {} in {}, written to {}",
        100.0 * front.exact.value(),
        match front.history.last() {
            Some(last) => format!(
                "{} candidates in {} generations",
                last.evaluations, last.number
            ),
            None => "no generation".to_string(),
        },
        words(clock.spent()),
        path.display()
    )
}

#[cfg(test)]
mod tests;
