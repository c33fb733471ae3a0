//! report.md: everything a table of a paper could be made from.

mod tables;

use hecc_passes::candidates::Kind;
use hecc_search::{Baseline, Course, Front, Point};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use tables::Table;

/// Accuracies that differ by less are equal, 0 to 1.
const EQUAL: f64 = 0.002;
/// A plan's seconds are those of its placement up to this.
const SAME: f64 = 1.001;

/// The whole file. Writing to a string does not fail: results of write! are dropped.
pub fn report(front: &Front) -> String {
    let mut out = format!("# {}\n\n", tables::plain(&front.model));
    introduction(&mut out, front);
    points(&mut out, front);
    baselines(&mut out, front);
    measurements(&mut out, front);
    choices(&mut out, front);
    activations(&mut out, front);
    candidates(&mut out, front);
    ablation(&mut out, front);
    course(&mut out, front);
    origin(&mut out, front);
    out
}

fn percent(share: f64) -> String {
    format!("{:.2} %", 100.0 * share)
}

fn introduction(out: &mut String, front: &Front) {
    let right = match front.data.labels {
        true => "the image's label",
        false => "the teacher's class",
    };
    let (low, high) = front.exact.interval();
    let _ = writeln!(
        out,
        "Accuracy is the share of {} held-out images whose class is {right}, by the network in the clear; \
         {} other images judged candidates during the search, {} others measured ranges. In brackets the \
         95 % interval. The network itself: {} ({} to {}). Seconds are predicted for one evaluation; \
         what `hecc-run eval --stats` measured of a plan stands beside them after `hecc report --stats`.\n",
        front.data.confirmation,
        front.data.search,
        front.data.calibration,
        percent(front.exact.value()),
        percent(low),
        percent(high)
    );
    let _ = writeln!(out, "![the front](front.svg)\n");
}

fn points(out: &mut String, front: &Front) {
    let _ = writeln!(out, "## The front\n");
    let mut table = Table::new(&[
        "point",
        "accuracy",
        "95 %",
        "estimated loss",
        "while searching",
        "seconds",
        "measured",
        "bootstraps",
        "ring",
        "levels",
        "memory",
        "choices",
        "plan",
    ]);
    for (number, p) in front.points.iter().enumerate() {
        let (low, high) = p.accuracy.interval();
        let trained = match &p.tuned {
            Some(t) => format!(
                ", {} epochs of training (before: {})",
                t.epochs,
                percent(t.before.value())
            ),
            None => String::new(),
        };
        table.row([
            number.to_string(),
            percent(p.accuracy.value()),
            format!("{} to {}", percent(low), percent(high)),
            p.loss.map_or("-".to_string(), percent),
            percent(p.searched),
            format!("{:.2}", p.cost.seconds),
            measured(front, Some(&p.plan)),
            p.cost.bootstraps.to_string(),
            format!("2^{}", p.cost.log_n),
            p.cost.levels.to_string(),
            crate::summary::bytes(p.peak_bytes),
            format!("{}{trained}", counts(front, p)),
            p.plan.clone(),
        ]);
    }
    table.write(out);
    let _ = writeln!(
        out,
        "The order is that of the estimated loss: the share of images that the network itself gets right and \
         the point does not, guessed from how far its outputs are off on all images, and corrected by how many \
         are lost. Accuracies of neighbours may differ by chance. What another point of fewer seconds is as \
         good as is left out.\n"
    );
}

fn measured(front: &Front, plan: Option<&String>) -> String {
    let measured = plan.and_then(|plan| front.measured.get(plan));
    measured.map_or("-".to_string(), |m| format!("{:.2}", m.seconds))
}

/// What was measured, and where.
fn measurements(out: &mut String, front: &Front) {
    let mut places: BTreeMap<(usize, &str), usize> = BTreeMap::new();
    for m in front.measured.values() {
        *places.entry((m.threads, &m.machine)).or_default() += m.runs;
    }
    for ((threads, machine), runs) in places {
        let _ = writeln!(
            out,
            "Measured on {threads} threads of {}: {runs} evaluations; a plan's seconds are those of its \
             evaluation in the middle.\n",
            tables::plain(machine)
        );
    }
}

/// How often every family of kinds is chosen.
fn counts(front: &Front, point: &Point) -> String {
    let kinds = front.kinds(&point.genome).unwrap_or_default();
    let mut families: Vec<(&str, usize)> = Vec::new();
    for kind in &kinds {
        let family = match kind {
            Kind::Pruned => "pruned",
            Kind::Quadratic => "quadratic",
            Kind::Levelled(_) => "series",
            Kind::Composite(_) => "composite",
            Kind::Fused(_) => "fused",
        };
        match families.iter_mut().find(|(name, _)| *name == family) {
            Some((_, count)) => *count += 1,
            None => families.push((family, 1)),
        }
    }
    let texts: Vec<String> = families.iter().map(|(f, n)| format!("{n} {f}")).collect();
    texts.join(", ")
}

fn baselines(out: &mut String, front: &Front) {
    if front.baselines.is_empty() {
        return;
    }
    let _ = writeln!(
        out,
        "## Baselines\n\nThe same network, images and runtime. \"As accurate\" is the fastest point that \
         loses at most {} against the baseline, \"as fast\" the most accurate point that takes no longer.\n",
        percent(EQUAL)
    );
    let mut table = Table::new(&[
        "baseline",
        "accuracy",
        "estimated loss",
        "seconds",
        "measured",
        "bootstraps",
        "plan",
        "as accurate",
        "faster by",
        "as fast",
        "more accurate by",
    ]);
    for b in &front.baselines {
        table.row(comparison(front, b));
    }
    table.write(out);
}

fn comparison(front: &Front, b: &Baseline) -> [String; 11] {
    let none = || "-".to_string();
    let accuracy = b.accuracy.value();
    let points = || front.points.iter().enumerate();
    let seconds = |p: &(usize, &Point)| p.1.cost.seconds;
    let worth = |p: &(usize, &Point)| p.1.accuracy.value();
    let as_accurate = points()
        .filter(|p| worth(p) >= accuracy - EQUAL)
        .min_by(|a, b| seconds(a).total_cmp(&seconds(b)));
    let as_fast = b.cost.and_then(|cost| {
        points()
            .filter(|p| seconds(p) <= SAME * cost.seconds)
            .filter(|p| p.1.loss.is_none_or(|loss| loss <= b.loss))
            .max_by(|a, b| worth(a).total_cmp(&worth(b)))
    });
    let number = |p: Option<(usize, &Point)>| p.map_or_else(none, |p| format!("point {}", p.0));
    [
        b.name.clone(),
        percent(accuracy),
        percent(b.loss),
        b.cost.map_or_else(
            || "cannot be run".to_string(),
            |c| format!("{:.2}", c.seconds),
        ),
        measured(front, b.plan.as_ref()),
        b.cost.map_or_else(none, |c| c.bootstraps.to_string()),
        b.plan.clone().unwrap_or_else(none),
        number(as_accurate),
        match (as_accurate, b.cost) {
            (Some(p), Some(cost)) => {
                let predicted = format!("{:.2} times", cost.seconds / seconds(&p));
                let measured = |plan: &String| Some(front.measured.get(plan)?.seconds);
                match (measured(&p.1.plan), b.plan.as_ref().and_then(measured)) {
                    (Some(p), Some(b)) => format!("{predicted}, measured {:.2}", b / p),
                    _ => predicted,
                }
            }
            _ => none(),
        },
        number(as_fast),
        as_fast.map_or_else(none, |p| {
            format!("{:.2} points", 100.0 * (worth(&p) - accuracy))
        }),
    ]
}

fn choices(out: &mut String, front: &Front) {
    let _ = writeln!(out, "## Choices per activation\n");
    let mut titles = vec!["activation".to_string()];
    titles.extend((0..front.points.len()).map(|n| n.to_string()));
    let titles: Vec<&str> = titles.iter().map(String::as_str).collect();
    let mut table = Table::new(&titles);
    let kinds: Vec<Vec<Kind>> = front
        .points
        .iter()
        .map(|p| front.kinds(&p.genome).unwrap_or_default())
        .collect();
    for (place, a) in front.activations.iter().enumerate() {
        let mut row = vec![a.name.clone()];
        row.extend(
            kinds
                .iter()
                .map(|k| k.get(place).map(Kind::to_string).unwrap_or_default()),
        );
        table.row(row);
    }
    table.write(out);
    let _ = writeln!(
        out,
        "cheb: one Chebyshev series; evo: x times composed polynomials of these degrees; fused: inside the \
         bootstrap.\n"
    );
}

fn activations(out: &mut String, front: &Front) {
    let _ = writeln!(out, "## Activations\n");
    let mut table = Table::new(&[
        "activation",
        "function",
        "shape",
        "least operand",
        "largest operand",
    ]);
    for a in &front.activations {
        table.row([
            a.name.clone(),
            a.function.name().to_string(),
            a.shape.to_string(),
            format!("{:.3}", a.min),
            format!("{:.3}", a.max),
        ]);
    }
    table.write(out);
}

fn candidates(out: &mut String, front: &Front) {
    let _ = writeln!(
        out,
        "## Candidates\n\nErrors are root mean squares on the measured distribution, relative to the range; the \
         first method is the one used. Loss of accuracy and divergence (nats) are those of the network in \
         which this activation alone is replaced{}.\n",
        match &front.sensitivities {
            Some(s) => format!(
                ", against {} with the dearest candidates",
                percent(s.accuracy)
            ),
            None => String::new(),
        }
    );
    let mut table = Table::new(&[
        "activation",
        "candidate",
        "levels",
        "error",
        "loss",
        "divergence",
    ]);
    for (place, a) in front.activations.iter().enumerate() {
        for (k, c) in a.candidates.iter().enumerate() {
            let measured = |rows: &[Vec<Option<f64>>]| rows.get(place)?.get(k).copied()?;
            let (loss, nats) = match &front.sensitivities {
                Some(s) => (measured(&s.loss), measured(&s.divergence)),
                None => (None, None),
            };
            let trials: Vec<String> = c
                .trials
                .iter()
                .map(|t| format!("{:.2e} {}", t.error, t.method))
                .collect();
            table.row([
                a.name.clone(),
                c.kind.to_string(),
                c.kind.depth().to_string(),
                trials.join(", "),
                loss.map_or("-".to_string(), |l| format!("{:.2}", 100.0 * l)),
                nats.map_or("-".to_string(), |d| format!("{d:.2e}")),
            ]);
        }
    }
    table.write(out);
    methods(out, front);
}

/// Which method wins how often, by family.
fn methods(out: &mut String, front: &Front) {
    let winners = front
        .activations
        .iter()
        .flat_map(|a| &a.candidates)
        .filter(|c| c.trials.len() > 1);
    let mut counts: Vec<(String, usize)> = Vec::new();
    for c in winners {
        let name = c.method.to_string();
        match counts.iter_mut().find(|(other, _)| *other == name) {
            Some((_, count)) => *count += 1,
            None => counts.push((name, 1)),
        }
    }
    if !counts.is_empty() {
        let texts: Vec<String> = counts
            .iter()
            .map(|(m, n)| format!("{m} {n} times"))
            .collect();
        let _ = writeln!(
            out,
            "Where several methods were tried, the least error was found by {}.\n",
            texts.join(", ")
        );
    }
}

fn ablation(out: &mut String, front: &Front) {
    let Some(a) = &front.ablation else {
        return;
    };
    let _ = writeln!(
        out,
        "## Ablation\n\nHypervolume of what each found in at most {} evaluations, against {} and {:.1} s; 1 would \
         be every image right in no time.\n",
        a.evaluations,
        percent(a.reference.accuracy),
        a.reference.seconds
    );
    let courses: [(&str, &Course); 3] = [
        ("random", &a.random),
        ("greedy by sensitivity", &a.greedy),
        ("evolution", &a.evolution),
    ];
    let mut table = Table::new(&["search", "evaluations", "hypervolume", "points"]);
    for (name, course) in courses {
        table.row([
            name.to_string(),
            course.evaluations.to_string(),
            format!("{:.4}", course.hypervolume),
            course.front.len().to_string(),
        ]);
    }
    table.write(out);
    let _ = writeln!(out, "On the way:\n");
    let mut table = Table::new(&["evaluations", "random", "greedy", "evolution"]);
    let at: BTreeSet<usize> = courses
        .iter()
        .flat_map(|(_, c)| c.curve.iter().map(|p| p.0))
        .collect();
    for evaluations in at {
        let mut row = vec![evaluations.to_string()];
        row.extend(courses.iter().map(|(_, c)| {
            let known = c.curve.iter().take_while(|p| p.0 <= evaluations).last();
            known.map_or("-".to_string(), |p| format!("{:.4}", p.1))
        }));
        table.row(row);
    }
    table.write(out);
}

fn course(out: &mut String, front: &Front) {
    let _ = writeln!(out, "## Course of the search\n");
    let mut table = Table::new(&[
        "generation",
        "evaluations",
        "seconds",
        "hypervolume",
        "points",
    ]);
    for g in &front.history {
        table.row([
            g.number.to_string(),
            g.evaluations.to_string(),
            format!("{:.1}", g.seconds),
            format!("{:.4}", g.hypervolume),
            g.front.to_string(),
        ]);
    }
    table.write(out);
}

fn origin(out: &mut String, front: &Front) {
    let s = &front.settings;
    let _ = writeln!(
        out,
        "## How it was made\n\n```sh\n{}\n```\n",
        front.command.replace('`', "'")
    );
    let mut table = Table::new(&["what", "value"]);
    let mut row = |what: &str, value: String| table.row([what.to_string(), value]);
    row("model hash", front.model_hash.clone());
    row("seed", s.seed.to_string());
    row("population", s.population.to_string());
    row("offspring", s.offspring.to_string());
    row("crossover", s.crossover.to_string());
    row("mutation", s.mutation.to_string());
    let seconds = s
        .limits
        .max_seconds
        .map_or("none".to_string(), |m| format!("{m} s"));
    row("largest latency", seconds);
    row(
        "least accuracy",
        s.limits.min_accuracy.map_or("none".to_string(), percent),
    );
    for (name, version) in &front.versions {
        row(name, version.clone());
    }
    table.write(out);
}
