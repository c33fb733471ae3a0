//! Bounds of a front that is read: counts, lengths, finite numbers, plain names.

use super::{FRONT_VERSION, Front, Replacement};
use crate::objective::check_genome;
use crate::planner::Cost;
use crate::settings::Settings;
use crate::share::Share;

/// Most activations.
const MAX_ACTIVATIONS: usize = 10_000;
/// Most points, baselines, generations, samples of a curve.
const MAX_POINTS: usize = 100_000;
/// Longest text, bytes.
const MAX_TEXT: usize = 10_000;

impl Front {
    pub(super) fn check(&self) -> Result<(), String> {
        ensure(self.version == FRONT_VERSION, || {
            format!(
                "version {}, expected {FRONT_VERSION}; search again",
                self.version
            )
        })?;
        file_name("model", &self.model)?;
        let hex =
            self.model_hash.len() == 64 && self.model_hash.bytes().all(|b| b.is_ascii_hexdigit());
        ensure(hex, || "model_hash is not 64 hexadecimal digits".into())?;
        text("command", &self.command)?;
        count("versions", self.versions.len(), 100)?;
        for (name, version) in &self.versions {
            text("a name of versions", name)?;
            text("a version", version)?;
        }
        self.settings.check().map_err(|e| e.to_string())?;
        let reference = Settings {
            reference: Some(self.reference),
            ..Settings::default()
        };
        reference.check().map_err(|e| e.to_string())?;
        share("exact", &self.exact)?;
        self.check_activations()?;
        self.check_points()?;
        self.check_sensitivities()?;
        count("generations", self.history.len(), MAX_POINTS)?;
        for g in &self.history {
            finite("a generation", &[g.seconds, g.hypervolume])?;
        }
        let Some(ablation) = &self.ablation else {
            return Ok(());
        };
        for course in [&ablation.random, &ablation.greedy, &ablation.evolution] {
            count("curve of the ablation", course.curve.len(), MAX_POINTS)?;
            count("front of the ablation", course.front.len(), MAX_POINTS)?;
            finite("the ablation", &[course.hypervolume])?;
            course
                .curve
                .iter()
                .try_for_each(|&(_, v)| finite("the ablation", &[v]))?;
            course
                .front
                .iter()
                .try_for_each(|&(s, a)| finite("the ablation", &[s, a]))?;
        }
        Ok(())
    }

    fn check_activations(&self) -> Result<(), String> {
        count("activations", self.activations.len(), MAX_ACTIVATIONS)?;
        for a in &self.activations {
            text("an activation's name", &a.name)?;
            let of = |what: &str| format!("activation '{}': {what}", a.name);
            let verify = |f: &hecc_ir::function::Function| {
                f.verify(a.shape.c).map_err(|e| of(&e.to_string()))
            };
            verify(&a.function)?;
            finite(&of("range"), &[a.min, a.max])?;
            ensure((1..=256).contains(&a.candidates.len()), || {
                of(&format!(
                    "{} candidates, expected 1 to 256",
                    a.candidates.len()
                ))
            })?;
            for c in &a.candidates {
                let of = |what: &str| of(&format!("{}: {what}", c.kind));
                finite(&of("error"), &[c.error])?;
                count(&of("trials"), c.trials.len(), 100)?;
                c.trials
                    .iter()
                    .try_for_each(|t| finite(&of("error"), &[t.error]))?;
                match &c.replacement {
                    Replacement::Function(function) => verify(function)?,
                    Replacement::Line { scale, shift } => {
                        let numbers = || scale.iter().chain(shift);
                        let sound = scale.len() == a.shape.c
                            && shift.len() == a.shape.c
                            && numbers().all(|x| x.is_finite());
                        ensure(sound, || {
                            of(&format!("expected {} finite scales and shifts", a.shape.c))
                        })?;
                    }
                }
            }
        }
        Ok(())
    }

    fn check_points(&self) -> Result<(), String> {
        let sizes: Vec<usize> = self
            .activations
            .iter()
            .map(|a| a.candidates.len())
            .collect();
        let genome = |g: &[u8]| check_genome(g, &sizes).map_err(|e| e.to_string());
        count("points", self.points.len(), MAX_POINTS)?;
        for (place, p) in self.points.iter().enumerate() {
            let of = |what: &str| format!("point {place}: {what}");
            genome(&p.genome).map_err(|e| of(&e))?;
            share(&of("accuracy"), &p.accuracy)?;
            loss(&of("loss"), p.loss.unwrap_or(0.0))?;
            finite(&of("searched"), &[p.searched])?;
            cost(&of("cost"), &p.cost)?;
            file_name(&of("plan"), &p.plan)?;
            if let Some(tuned) = &p.tuned {
                file_name(&of("model"), &tuned.model)?;
                share(&of("accuracy before"), &tuned.before)?;
            }
        }
        count("baselines", self.baselines.len(), MAX_POINTS)?;
        for b in &self.baselines {
            text("a baseline's name", &b.name)?;
            let of = |what: &str| format!("baseline '{}': {what}", b.name);
            b.genome
                .as_ref()
                .map_or(Ok(()), |g| genome(g))
                .map_err(|e| of(&e))?;
            share(&of("accuracy"), &b.accuracy)?;
            loss(&of("loss"), b.loss)?;
            b.cost.as_ref().map_or(Ok(()), |c| cost(&of("cost"), c))?;
            b.plan
                .as_ref()
                .map_or(Ok(()), |p| file_name(&of("plan"), p))?;
        }
        let plans = self.plans();
        for (plan, measured) in &self.measured {
            let of = |what: &str| format!("measured: {plan:?}: {what}");
            ensure(plans.contains(plan.as_str()), || of("no plan of the front"))?;
            finite(&of("seconds"), &[measured.seconds])?;
            ensure(measured.seconds >= 0.0 && measured.runs > 0, || {
                of(&format!("{} runs of {} s", measured.runs, measured.seconds))
            })?;
            text(&of("machine"), &measured.machine)?;
        }
        Ok(())
    }

    fn check_sensitivities(&self) -> Result<(), String> {
        let Some(s) = &self.sensitivities else {
            return Ok(());
        };
        let sizes: Vec<usize> = self
            .activations
            .iter()
            .map(|a| a.candidates.len())
            .collect();
        check_genome(&s.base, &sizes).map_err(|e| format!("sensitivities: {e}"))?;
        finite("sensitivities", &[s.accuracy])?;
        for rows in [&s.loss, &s.divergence] {
            let fits = rows.iter().map(Vec::len).eq(sizes.iter().copied());
            ensure(fits, || "sensitivities: not one number a candidate".into())?;
            let numbers: Vec<f64> = rows.iter().flatten().flatten().copied().collect();
            finite("sensitivities", &numbers)?;
        }
        Ok(())
    }
}

fn ensure(holds: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what()) }
}

fn count(name: &str, got: usize, most: usize) -> Result<(), String> {
    ensure(got <= most, || format!("{name}: {got}, at most {most}"))
}

fn finite(name: &str, numbers: &[f64]) -> Result<(), String> {
    match numbers.iter().find(|x| !x.is_finite()) {
        Some(x) => Err(format!("{name}: {x}, expected a finite number")),
        None => Ok(()),
    }
}

fn share(name: &str, share: &Share) -> Result<(), String> {
    ensure(share.images > 0 && share.correct <= share.images, || {
        format!("{name}: {} of {} images", share.correct, share.images)
    })
}

fn loss(name: &str, loss: f64) -> Result<(), String> {
    ensure((0.0..=1.0).contains(&loss), || {
        format!("{name}: {loss}, expected 0 to 1")
    })
}

fn cost(name: &str, cost: &Cost) -> Result<(), String> {
    finite(name, &[cost.seconds])?;
    let sound = cost.seconds >= 0.0 && cost.log_n <= 32;
    ensure(sound, || format!("{name}: {cost:?}"))
}

/// No control characters: it is shown.
fn text(name: &str, text: &str) -> Result<(), String> {
    count(&format!("{name}, bytes"), text.len(), MAX_TEXT)?;
    let plain = !text.chars().any(char::is_control);
    ensure(plain, || format!("{name} has control characters"))
}

/// A name in the front's own folder, and nothing that leads out of it.
fn file_name(name: &str, file: &str) -> Result<(), String> {
    text(name, file)?;
    let plain = (1..=255).contains(&file.len())
        && !file.contains(['/', '\\', ':'])
        && ![".", ".."].contains(&file);
    ensure(plain, || {
        format!("{name}: '{file}', expected a file name without a folder")
    })
}
