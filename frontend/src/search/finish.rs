//! From the genomes that a search found to the files of its front.

use super::chart::chart;
use super::compare::Rival;
use super::emit::cost;
use super::folder::{self, FRONT, Folder, PICTURE, REPORT, Staged, plan_name};
use super::picture::picture;
use super::progress::Progress;
use super::report::report;
use super::session::Session;
use crate::failure::Failure;
use hecc_ir::plan::Plan;
use hecc_search::{
    Ablation, Baseline, Data, FRONT_VERSION, Front, Genome, Limits, Point, Reference, Score,
    Sensitivities, Share, State, front,
};
use rayon::prelude::*;
use std::collections::BTreeMap;

/// Most points that become plans.
pub const MAX_POINTS: usize = 20;

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

/// A genome with a plan.
struct Emitted {
    genome: Genome,
    score: Score,
    share: Share,
    plan: Plan,
}

/// Measures the points on images of their own, compiles them, and writes the folder.
///
/// # Errors
/// When no point can be compiled, or a file cannot be written; the folder is as it was then.
pub fn finish(
    folder: &Folder,
    session: &Session,
    found: Found,
    max_memory: Option<u64>,
    progress: &mut Progress,
) -> Result<Front, Failure> {
    let mut chosen: Vec<(Genome, Score)> = thin(
        found
            .state
            .front()
            .into_iter()
            .map(|(g, s)| (g.clone(), s))
            .collect(),
        MAX_POINTS,
    );
    if chosen.is_empty() {
        return Err(Failure::new("no candidate that was tried keeps to the limits")
            .help("raise --max-latency or --max-accuracy-loss, or give a longer --budget with --resume"));
    }
    // What is the same everywhere has no advantage by chance: it is measured again like the points.
    for rival in &found.rivals {
        let known = chosen.iter().any(|(genome, _)| *genome == rival.genome);
        let score = found.state.score(&rival.genome).flatten();
        if let Some(score) = score.filter(|s| !known && keeps_to(&found.state.settings().limits, s))
        {
            chosen.push((rival.genome.clone(), score));
        }
    }
    progress.phase("measuring the points on other images");
    let judge = session.objective.on(session.confirmation.clone())?;
    let rivals = found.rivals.iter().map(|r| &r.genome);
    let genomes: Vec<Genome> = chosen
        .iter()
        .map(|(g, _)| g)
        .chain(rivals)
        .cloned()
        .collect();
    let shares = judge.shares(&genomes)?;
    progress.phase("compiling the points");
    let shares_of_rivals = &shares[chosen.len()..];
    let best = best(&chosen, &shares);
    let points = emit(session, &best, max_memory, progress)?;
    let exact = judge.exact_share();
    let baselines = found
        .rivals
        .iter()
        .zip(shares_of_rivals)
        .map(|(rival, share)| Baseline {
            name: rival.name.clone(),
            genome: Some(rival.genome.clone()),
            accuracy: *share,
            cost: rival.cost,
        });
    let inputs = session.inputs;
    let [calibration, search, confirmation] = inputs.drawn.counts();
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
        baselines: baselines.collect(),
        ablation: found.ablation,
        reference: state.reference().unwrap_or(Reference {
            accuracy: 0.0,
            seconds: 1.0,
        }),
        history: state.history().to_vec(),
    };
    let mut staged = Staged::new(folder);
    for (number, emitted) in points.into_iter().enumerate() {
        let name = plan_name(number);
        staged.add(&name, &emitted.plan.to_bytes())?;
        front.points.push(Point {
            searched: emitted.score.accuracy,
            genome: emitted.genome,
            accuracy: emitted.share,
            cost: cost(&emitted.plan),
            peak_bytes: emitted.plan.prediction.peak_bytes,
            plan: name,
            tuned: None,
        });
    }
    let kept: Vec<String> = front.points.iter().map(|p| p.plan.clone()).collect();
    // Points that were trained stay: their plans do not depend on the search.
    if folder.at(FRONT).exists() {
        let before = folder.front()?;
        front
            .points
            .extend(before.points.into_iter().filter(|p| p.tuned.is_some()));
    }
    stage_texts(&mut staged, &front)?;
    staged.publish()?;
    folder.remove_plans(&kept);
    Ok(front)
}

fn keeps_to(limits: &Limits, score: &Score) -> bool {
    limits.max_seconds.is_none_or(|most| score.seconds <= most)
        && limits
            .min_accuracy
            .is_none_or(|least| score.accuracy >= least)
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

/// Plans of the points that have one and that no other beats, by ascending seconds.
fn emit(
    session: &Session,
    chosen: &[(Genome, Score, Share)],
    max_memory: Option<u64>,
    progress: &Progress,
) -> Result<Vec<Emitted>, Failure> {
    let emitter = session.emitter(max_memory);
    let plans: Vec<Result<Plan, Failure>> = chosen
        .par_iter()
        .map(|(genome, _, _)| emitter.plan(&session.objective.planner().ops(genome)?))
        .collect();
    let mut failed = None;
    let mut emitted = Vec::new();
    for ((genome, score, share), plan) in chosen.iter().zip(plans) {
        match plan {
            Ok(plan) => emitted.push(Emitted {
                genome: genome.clone(),
                score: *score,
                share: *share,
                plan,
            }),
            Err(e) => {
                progress.note(&format!(
                    "a point of {:.2} s is left out: {}",
                    score.seconds, e.what
                ));
                failed = Some(e);
            }
        }
    }
    if let (Some(failure), true) = (failed, emitted.is_empty()) {
        return Err(failure);
    }
    let scores: Vec<Option<Score>> = emitted
        .iter()
        .map(|e| {
            Some(Score {
                seconds: e.plan.prediction.seconds(),
                ..confirmed(&e.score, &e.share)
            })
        })
        .collect();
    let kept = front(&scores, &Limits::default());
    let mut slots: Vec<Option<Emitted>> = emitted.into_iter().map(Some).collect();
    Ok(kept.into_iter().filter_map(|i| slots[i].take()).collect())
}

fn confirmed(score: &Score, share: &Share) -> Score {
    Score {
        accuracy: share.value(),
        ..*score
    }
}

/// Those that no other beats on the images for confirmation.
fn best(chosen: &[(Genome, Score)], shares: &[Share]) -> Vec<(Genome, Score, Share)> {
    let of = || chosen.iter().zip(shares);
    let scores: Vec<Option<Score>> = of()
        .map(|((_, s), share)| Some(confirmed(s, share)))
        .collect();
    let all: Vec<_> = of()
        .map(|((g, s), share)| (g.clone(), *s, *share))
        .collect();
    let kept = front(&scores, &Limits::default());
    kept.into_iter().map(|i| all[i].clone()).collect()
}

/// At most `most` points: those go first between whose neighbours least lies.
fn thin(mut points: Vec<(Genome, Score)>, most: usize) -> Vec<(Genome, Score)> {
    let span =
        |f: fn(&Score) -> f64, points: &[(Genome, Score)]| match (points.first(), points.last()) {
            (Some(first), Some(last)) => (f(&last.1) - f(&first.1)).abs().max(f64::MIN_POSITIVE),
            _ => 1.0,
        };
    let seconds = span(|s| s.seconds, &points);
    let accuracy = span(|s| s.accuracy, &points);
    while points.len() > most.max(2) {
        let between = |i: usize| {
            let (before, after) = (&points[i - 1].1, &points[i + 1].1);
            (after.seconds - before.seconds) / seconds
                + (after.accuracy - before.accuracy) / accuracy
        };
        let least = (1..points.len() - 1).min_by(|&a, &b| between(a).total_cmp(&between(b)));
        match least {
            Some(least) => points.remove(least),
            None => break,
        };
    }
    points
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thinning_keeps_the_ends() {
        let point = |seconds: f64, accuracy: f64| {
            let score = Score {
                accuracy,
                divergence: 0.0,
                seconds,
                bootstraps: 0,
            };
            (vec![], score)
        };
        let points = vec![
            point(1.0, 0.1),
            point(2.0, 0.5),
            point(2.1, 0.51),
            point(2.2, 0.52),
            point(4.0, 0.9),
        ];
        let seconds = |p: &[(Genome, Score)]| p.iter().map(|p| p.1.seconds).collect::<Vec<_>>();
        assert_eq!(seconds(&thin(points.clone(), 4)), [1.0, 2.0, 2.2, 4.0]);
        assert_eq!(seconds(&thin(points.clone(), 9)).len(), 5);
        assert_eq!(seconds(&thin(points, 1)), [1.0, 4.0]);
        assert!(thin(Vec::new(), 3).is_empty());
    }
}
