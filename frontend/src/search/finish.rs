//! From the genomes that a search found to the files of its front.

use super::chart::chart;
use super::clock::Clock;
use super::compare::Rival;
use super::emit::cost;
use super::folder::{self, FRONT, Folder, PICTURE, REPORT, Staged, baseline_name, plan_name};
use super::needs::Needs;
use super::picture::picture;
use super::progress::Progress;
use super::report::report;
use super::session::Session;
use crate::failure::Failure;
use hecc_ir::plan::Plan;
use hecc_passes::Options;
use hecc_search::{
    Ablation, Baseline, Confirmed, Data, FRONT_VERSION, Front, Genome, Limits, Point, Reference,
    Score, Sensitivities, Share, State, confirm, front, thin,
};
use rayon::prelude::*;
use std::collections::BTreeMap;

/// Most points that become plans.
pub const MAX_POINTS: usize = 20;
/// Genomes that are measured on the images for confirmation.
pub const CONFIRMED: usize = 40;

/// What a search leaves to be written.
pub struct Found {
    /// Where it stands.
    pub state: State,
    /// What every candidate costs alone.
    pub sensitivities: Option<Sensitivities>,
    /// What it is compared with.
    pub rivals: Vec<Rival>,
    /// What evolution was worth.
    pub ablation: Option<Ablation>,
}

/// Measures the points on images of their own, as many as there is time for, compiles them, and writes the
/// folder.
///
/// # Errors
/// When no point can be compiled, or a file cannot be written; the folder is as it was then.
pub fn finish(
    folder: &Folder,
    session: &Session,
    found: Found,
    max_memory: Option<u64>,
    (needs, clock): (&Needs, &Clock),
    progress: &mut Progress,
) -> Result<Front, Failure> {
    progress.phase("measuring the points on other images");
    let drawn = session.confirmation.count();
    let confirmation = needs.images(clock, CONFIRMED + found.rivals.len(), drawn);
    if confirmation < drawn {
        progress.note(&format!(
            "accuracies are measured on {confirmation} images: the time does not last for {drawn}; \
             --resume with more --budget measures them again"
        ));
    }
    let judge = session
        .objective
        .on(session.confirmation.first(confirmation))?;
    let exact = judge.exact_share();
    let limits = limits(&found.state, session, exact);
    let mut chosen = confirm(&judge, &found.state, CONFIRMED, &limits)?;
    let genomes: Vec<Genome> = found.rivals.iter().map(|r| r.genome.clone()).collect();
    let verdicts = judge.verdicts(&genomes)?;
    for (rival, verdict) in found.rivals.iter().zip(&verdicts) {
        // What is the same everywhere may be as good as a point.
        let known = chosen.iter().any(|c| c.genome == rival.genome);
        let score = found.state.score(&rival.genome).flatten();
        if let (Some(score), Some(cost), false) = (score, rival.cost, known) {
            chosen.push(Confirmed {
                genome: rival.genome.clone(),
                verdict: *verdict,
                searched: score.accuracy,
                cost,
            });
        }
    }
    let chosen = best(chosen, &limits);
    let scores: Vec<Score> = chosen.iter().map(Confirmed::score).collect();
    let costed = found.rivals.iter().zip(&verdicts);
    let rivals: Vec<Score> = costed
        .filter_map(|(rival, verdict)| Some(verdict.score(&rival.cost?)))
        .collect();
    let kept = thin(&scores, &rivals, MAX_POINTS).into_iter();
    let chosen: Vec<Confirmed> = kept.map(|i| chosen[i].clone()).collect();
    if chosen.is_empty() {
        return Err(
            Failure::new("no candidate that was tried keeps to the limits").help(
                "raise --max-latency or --max-accuracy-loss, or give a longer --budget with --resume",
            ),
        );
    }
    progress.phase("compiling the points");
    let points = emit(session, &chosen, max_memory, progress)?;
    let inputs = session.inputs;
    let [calibration, search, _] = inputs.drawn.counts();
    let state = &found.state;
    let mut front = Front {
        version: FRONT_VERSION,
        model: inputs.name.clone(),
        model_hash: inputs.hash.clone(),
        command: command(),
        versions: versions(session),
        settings: *state.settings(),
        data: Data {
            calibration,
            search,
            confirmation,
            labels: inputs.drawn.search.labels.is_some(),
        },
        exact,
        activations: session.activations()?,
        sensitivities: found.sensitivities,
        points: Vec::new(),
        baselines: Vec::new(),
        measured: BTreeMap::new(),
        ablation: found.ablation,
        reference: state.reference().unwrap_or(Reference {
            accuracy: 0.0,
            seconds: 1.0,
        }),
        history: state.history().to_vec(),
    };
    let mut staged = Staged::new(folder);
    for (number, (point, plan)) in points.into_iter().enumerate() {
        let name = plan_name(number);
        staged.add(&name, &plan.to_bytes())?;
        front.points.push(Point {
            searched: point.searched,
            genome: point.genome,
            accuracy: point.verdict.accuracy,
            loss: Some(point.verdict.loss),
            cost: point.cost,
            peak_bytes: plan.prediction.peak_bytes,
            plan: name,
            tuned: None,
        });
    }
    let plans: Vec<Result<Option<RivalPlan>, Failure>> = found
        .rivals
        .par_iter()
        .map(|rival| rival_plan(session, rival, &front.points, max_memory))
        .collect();
    let costed = found.rivals.iter().zip(&verdicts).zip(plans);
    for (number, ((rival, verdict), plan)) in costed.enumerate() {
        let plan = plan.unwrap_or_else(|e| {
            progress.note(&format!("{} gets no plan: {}", rival.name, e.what));
            None
        });
        let plan = plan.map(|plan| match plan {
            RivalPlan::Point(name) => Ok(name),
            RivalPlan::Own(plan) => {
                let name = baseline_name(number);
                staged.add(&name, &plan.to_bytes()).map(|()| name)
            }
        });
        front.baselines.push(Baseline {
            name: rival.name.clone(),
            genome: Some(rival.genome.clone()),
            accuracy: verdict.accuracy,
            loss: verdict.loss,
            cost: rival.cost,
            plan: plan.transpose()?,
        });
    }
    // Points that were trained stay: their plans do not depend on the search.
    if folder.at(FRONT).exists() {
        let mut before = folder.front()?;
        before.points.retain(|p| p.tuned.is_some());
        for point in &before.points {
            let measured = before.measured.remove_entry(&point.plan);
            front.measured.extend(measured);
        }
        front.points.extend(before.points);
    }
    stage_texts(&mut staged, &front)?;
    staged.publish()?;
    folder.remove_plans(&front.plans());
    Ok(front)
}

/// Those of the search, as losses of accuracy are on the images for confirmation.
fn limits(state: &State, session: &Session, exact: Share) -> Limits {
    let limits = state.settings().limits;
    let searched = session.objective.exact_share().value();
    Limits {
        min_accuracy: limits
            .min_accuracy
            .map(|least| (least + exact.value() - searched).max(0.0)),
        ..limits
    }
}

/// front.json, and what is made of it.
///
/// # Errors
/// When they cannot be written.
pub fn stage_texts(staged: &mut Staged, front: &Front) -> Result<(), Failure> {
    staged.add(FRONT, &front.to_json()?)?;
    staged.add(PICTURE, picture(&chart(front)).as_bytes())?;
    staged.add(REPORT, report(front).as_bytes())
}

/// The points that have a plan and that no other beats, by ascending seconds; their costs are the plans'.
fn emit(
    session: &Session,
    chosen: &[Confirmed],
    max_memory: Option<u64>,
    progress: &Progress,
) -> Result<Vec<(Confirmed, Plan)>, Failure> {
    let emitter = session.emitter(&session.options, max_memory);
    let plans: Vec<Result<Plan, Failure>> = chosen
        .par_iter()
        .map(|point| emitter.plan(&session.objective.planner().ops(&point.genome)?))
        .collect();
    let mut failed = None;
    let mut emitted: BTreeMap<Genome, Plan> = BTreeMap::new();
    let mut costed = Vec::new();
    for (point, plan) in chosen.iter().zip(plans) {
        match plan {
            Ok(plan) => {
                costed.push(Confirmed {
                    cost: cost(&plan),
                    ..point.clone()
                });
                emitted.insert(point.genome.clone(), plan);
            }
            Err(e) => {
                progress.note(&format!(
                    "a point of {:.2} s is left out: {}",
                    point.cost.seconds, e.what
                ));
                failed = Some(e);
            }
        }
    }
    match failed {
        Some(failure) if costed.is_empty() => Err(failure),
        Some(_) | None => Ok(best(costed, &Limits::default())
            .into_iter()
            .filter_map(|point| {
                let plan = emitted.remove(&point.genome)?;
                Some((point, plan))
            })
            .collect()),
    }
}

/// Where the plan of a network to compare with is.
enum RivalPlan {
    /// It is a point too.
    Point(String),
    Own(Box<Plan>),
}

/// None where no plan is wanted.
fn rival_plan(
    session: &Session,
    rival: &Rival,
    points: &[Point],
    max_memory: Option<u64>,
) -> Result<Option<RivalPlan>, Failure> {
    let Some(mode) = rival.plan.filter(|_| rival.cost.is_some()) else {
        return Ok(None);
    };
    let same = points.iter().find(|p| p.genome == rival.genome);
    if let (Some(point), true) = (same, mode == session.options.mode) {
        return Ok(Some(RivalPlan::Point(point.plan.clone())));
    }
    let options = Options {
        mode,
        ..session.options.clone()
    };
    let emitter = session.emitter(&options, max_memory);
    let ops = session.objective.planner().ops(&rival.genome)?;
    Ok(Some(RivalPlan::Own(Box::new(emitter.plan(&ops)?))))
}

/// Those that no other beats, by ascending seconds and descending loss.
fn best(points: Vec<Confirmed>, limits: &Limits) -> Vec<Confirmed> {
    let scores: Vec<Option<Score>> = points.iter().map(|p| Some(p.score())).collect();
    let kept = front(&scores, limits).into_iter();
    kept.map(|i| points[i].clone()).collect()
}

fn versions(session: &Session) -> BTreeMap<String, String> {
    let costs = &session.options.costs;
    BTreeMap::from([
        ("hecc".to_string(), env!("CARGO_PKG_VERSION").to_string()),
        ("machine of the prices".to_string(), costs.machine.clone()),
        (
            "threads of the prices".to_string(),
            costs.threads.to_string(),
        ),
    ])
}

/// The command line, as a shell takes it.
fn command() -> String {
    let word = |word: std::ffi::OsString| {
        let word = word.to_string_lossy().into_owned();
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=%:,".contains(c);
        match word.chars().all(plain) {
            true => word,
            false => format!("'{}'", word.replace('\'', "'\\''")),
        }
    };
    let words: Vec<String> = std::env::args_os().map(word).collect();
    words.join(" ").chars().take(4000).collect()
}

/// Writes the network's files, before a search begins.
///
/// # Errors
/// When one cannot be written.
pub fn write_network(folder: &Folder, session: &Session) -> Result<(), Failure> {
    let mut staged = Staged::new(folder);
    staged.add(folder::MODEL, &session.inputs.bytes)?;
    if let Some(description) = &session.inputs.description {
        staged.add(folder::PREPROCESS, description)?;
    }
    let mut json = serde_json::to_vec(session.calibration)
        .map_err(|e| Failure::in_file(&folder.at(folder::CALIBRATION), e))?;
    json.push(b'\n');
    staged.add(folder::CALIBRATION, &json)?;
    staged.publish()
}
