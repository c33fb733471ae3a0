//! The search on objectives whose front is known.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rayon::prelude::*;

use crate::*;

/// Every gene g of `size` alternatives adds g to the seconds and takes weight * (1 - g/(size-1))^2 of
/// accuracy away: the front is that of a knapsack, known by dynamic programming. What lies between
/// bootstraps is mimicked by a step: every further four seconds take two more.
struct Knapsack {
    sizes: Vec<usize>,
    weights: Vec<f64>,
    evaluations: AtomicUsize,
    interrupt_after: usize,
}

impl Knapsack {
    fn new(genes: usize, size: usize) -> Self {
        Self {
            sizes: vec![size; genes],
            weights: (0..genes).map(|i| 1.0 + (i * 7 % 5) as f64).collect(),
            evaluations: AtomicUsize::new(0),
            interrupt_after: usize::MAX,
        }
    }

    fn loss(&self, place: usize, gene: usize) -> f64 {
        let total: f64 = self.weights.iter().sum();
        let short = 1.0 - gene as f64 / (self.sizes[place] - 1) as f64;
        self.weights[place] * short * short / total
    }

    fn seconds(work: usize) -> f64 {
        1.0 + work as f64 + 2.0 * (work / 4) as f64
    }

    fn score(&self, genome: &[u8]) -> Option<Score> {
        let losses = genome
            .iter()
            .enumerate()
            .map(|(i, &g)| self.loss(i, g.into()));
        let loss: f64 = losses.sum();
        let work: usize = genome.iter().map(|&g| usize::from(g)).sum();
        // Some genomes cannot be run.
        (work % 23 != 22).then(|| Score {
            accuracy: ((1.0 - loss).clamp(0.0, 1.0) * 200.0).round() / 200.0,
            loss: loss.clamp(0.0, 1.0),
            divergence: loss,
            seconds: Self::seconds(work),
            bootstraps: work / 4,
        })
    }

    /// The genome of the least loss for every amount of work, by dynamic programming.
    fn best(&self, loss: &dyn Fn(usize, usize) -> f64) -> Vec<Genome> {
        let mut least = vec![(0.0, Genome::new())];
        for place in 0..self.sizes.len() {
            let mut next: Vec<(f64, Genome)> = Vec::new();
            for (work, (before, genome)) in least.iter().enumerate() {
                for gene in 0..self.sizes[place] {
                    let mut genome = genome.clone();
                    genome.push(gene as u8);
                    let new = (before + loss(place, gene), genome);
                    match next.get_mut(work + gene) {
                        Some(old) if old.0 <= new.0 => {}
                        Some(old) => *old = new,
                        None => next.push(new),
                    }
                }
            }
            least = next;
        }
        least.into_iter().map(|(_, genome)| genome).collect()
    }
}

impl Planner for Knapsack {
    fn predict(&self, genome: &[u8]) -> Result<Option<Cost>, SearchError> {
        Ok(self.score(genome).map(|score| Cost {
            seconds: score.seconds,
            bootstraps: score.bootstraps,
            log_n: 15,
            levels: 9,
        }))
    }

    fn best(&self, errors: &[Vec<f64>], lambda: f64) -> Result<Genome, SearchError> {
        let price = |genome: &Genome| {
            let errors: f64 = genome
                .iter()
                .zip(errors)
                .map(|(&g, row)| row[usize::from(g)])
                .sum();
            let seconds = self.score(genome).map_or(f64::INFINITY, |s| s.seconds);
            seconds + lambda * errors
        };
        let genomes = self.best(&|place, gene| errors[place][gene]);
        let best = genomes
            .into_iter()
            .min_by(|a, b| price(a).total_cmp(&price(b)));
        Ok(best.unwrap_or_default())
    }
}

impl Objective for Knapsack {
    fn sizes(&self) -> Vec<usize> {
        self.sizes.clone()
    }

    fn evaluate(&self, genomes: &[Genome]) -> Result<Vec<Option<Score>>, SearchError> {
        let before = self.evaluations.fetch_add(genomes.len(), Ordering::SeqCst);
        if before >= self.interrupt_after {
            return Err(SearchError::Interrupted);
        }
        Ok(genomes.par_iter().map(|g| self.score(g)).collect())
    }
}

fn settings(seed: u64) -> Settings {
    Settings {
        seed,
        reference: Some(Reference {
            accuracy: 0.0,
            seconds: 80.0,
        }),
        ..Settings::default()
    }
}

fn generations(count: usize) -> Budget {
    Budget {
        generations: Some(count),
        ..Budget::default()
    }
}

fn quiet(_: &State, _: &Generation) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

#[test]
fn approaches_the_known_front() {
    let problem = Knapsack::new(10, 6);
    let reference = Reference {
        accuracy: 0.0,
        seconds: 80.0,
    };
    let genomes = Knapsack::best(&problem, &|place, gene| problem.loss(place, gene));
    let scores: Vec<_> = genomes.iter().map(|g| problem.score(g)).collect();
    let best = hypervolume(&scores, &reference);
    let mut state = State::new(problem.sizes(), settings(1), vec![], "").unwrap();
    let mut volumes = Vec::new();
    let mut each = |state: &State, generation: &Generation| {
        assert_eq!(generation.evaluations, state.archive().len());
        volumes.push(generation.hypervolume);
        ControlFlow::Continue(())
    };
    let stop = search(&problem, &mut state, &generations(40), &mut each).unwrap();
    assert_eq!(stop, Stop::Generations);
    assert!(volumes.is_sorted());
    let reached = volumes[39];
    assert!(
        reached > 0.98 * best && reached <= best + 1e-12,
        "{reached} of {best}"
    );
    // Nothing twice.
    assert_eq!(
        problem.evaluations.load(Ordering::SeqCst),
        state.archive().len()
    );
    let front = state.front();
    assert!(
        front
            .windows(2)
            .all(|w| w[0].1.seconds < w[1].1.seconds && w[0].1.loss > w[1].1.loss)
    );
}

#[test]
fn is_the_same_at_any_number_of_threads_and_for_a_seed_only() {
    let run = |seed: u64, threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        let problem = Knapsack::new(8, 5);
        let mut state = State::new(problem.sizes(), settings(seed), vec![vec![1; 8]], "").unwrap();
        pool.install(|| search(&problem, &mut state, &generations(6), &mut quiet))
            .unwrap();
        state.archive().to_vec()
    };
    let once = run(5, 1);
    assert_eq!(once, run(5, 3));
    assert_ne!(once, run(6, 1));
}

#[test]
fn a_resumed_search_is_the_uninterrupted_one() {
    let problem = Knapsack::new(8, 5);
    let seeds = vec![vec![4; 8], vec![2; 8]];
    let new = || State::new(problem.sizes(), settings(9), seeds.clone(), "model").unwrap();
    let mut whole = new();
    search(&problem, &mut whole, &generations(9), &mut quiet).unwrap();

    // Interrupted in the middle of the first generation, in the middle of a later one, and after one.
    for interrupt_after in [1, 41, 150, usize::MAX] {
        let mut state = new();
        let interrupting = Knapsack {
            interrupt_after,
            ..Knapsack::new(8, 5)
        };
        let mut each = |_: &State, g: &Generation| match g.number {
            5 => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        };
        let stop = search(&interrupting, &mut state, &generations(9), &mut each).unwrap();
        assert_eq!(stop, Stop::Interrupted);
        let mut state = State::from_json(&state.to_json().unwrap()).unwrap();
        assert_eq!(state.binding(), "model");
        search(&problem, &mut state, &generations(9), &mut quiet).unwrap();
        assert_eq!(state.archive(), whole.archive());
        assert_eq!(state.population(), whole.population());
        for (a, b) in state.history().iter().zip(whole.history()) {
            assert_eq!((a.hypervolume, a.front), (b.hypervolume, b.front));
        }
    }
}

#[test]
fn limits_steer_and_bound_the_front() {
    let problem = Knapsack::new(8, 5);
    let limits = Limits {
        max_seconds: Some(20.0),
        min_accuracy: Some(0.5),
    };
    let with = Settings {
        limits,
        ..settings(2)
    };
    let mut state = State::new(problem.sizes(), with, vec![], "").unwrap();
    search(&problem, &mut state, &generations(12), &mut quiet).unwrap();
    let front = state.front();
    assert!(front.len() > 3);
    assert!(
        front
            .iter()
            .all(|(_, s)| s.seconds <= 20.0 && s.accuracy >= 0.5)
    );
    let inside = |g: &Genome| {
        state
            .score(g)
            .flatten()
            .is_some_and(|s| limits.violation(Some(&s)) == 0.0)
    };
    assert!(state.population().iter().filter(|g| inside(g)).count() > 20);
}

#[test]
fn ends_when_nothing_is_new_or_a_bound_is_met() {
    let small = Knapsack::new(3, 3);
    let mut state = State::new(small.sizes(), settings(0), vec![], "").unwrap();
    let stop = search(&small, &mut state, &Budget::default(), &mut quiet).unwrap();
    assert_eq!((stop, state.archive().len()), (Stop::Exhausted, 27));

    let problem = Knapsack::new(8, 5);
    let mut state = State::new(problem.sizes(), settings(0), vec![], "").unwrap();
    let budget = Budget {
        evaluations: Some(130),
        ..Budget::default()
    };
    assert_eq!(
        search(&problem, &mut state, &budget, &mut quiet).unwrap(),
        Stop::Evaluations
    );
    assert!((90..=130).contains(&state.archive().len()));
    let budget = Budget {
        time: Some(Duration::ZERO),
        ..Budget::default()
    };
    assert_eq!(
        search(&problem, &mut state, &budget, &mut quiet).unwrap(),
        Stop::Time
    );

    // Without time there is no hypercube, and too many seeds are too many.
    let mut state = State::new(problem.sizes(), settings(0), vec![], "").unwrap();
    let stop = search(&problem, &mut state, &budget, &mut quiet).unwrap();
    assert_eq!((stop, state.archive().len()), (Stop::Time, 5));
    let seeds = (0..60)
        .map(|i| vec![i / 25, i / 5 % 5, i % 5, 1, 2, 3, 4, 0])
        .collect();
    let mut state = State::new(problem.sizes(), settings(0), seeds, "").unwrap();
    let error = search(&problem, &mut state, &budget, &mut quiet)
        .unwrap_err()
        .to_string();
    assert!(error.starts_with("a budget of 0 s is too short"), "{error}");
    assert!(!state.archive().is_empty());

    let error = search(&small, &mut state, &budget, &mut quiet)
        .unwrap_err()
        .to_string();
    assert!(error.contains("alternatives [3, 3, 3]"), "{error}");
}

#[test]
fn a_state_out_of_bounds_is_refused() {
    let problem = Knapsack::new(4, 3);
    let mut state = State::new(problem.sizes(), settings(0), vec![], "m").unwrap();
    search(&problem, &mut state, &generations(2), &mut quiet).unwrap();
    let good = String::from_utf8(state.to_json().unwrap()).unwrap();
    let check = |from: &str, to: &str, expect: &str| {
        assert!(good.contains(from), "{from} is not in {good}");
        let message = match State::from_json(good.replacen(from, to, 1).as_bytes()) {
            Ok(_) => panic!("{to} is accepted"),
            Err(e) => e.to_string(),
        };
        assert!(message.contains(expect), "{message}");
    };
    assert_eq!(State::from_json(good.as_bytes()).unwrap(), state);
    check("\"version\":2", "\"version\":1", "version 1, expected 2");
    check("\"steps\":[[0", "\"steps\":[[3", "steps: expected");
    check("\"sizes\":[3", "\"sizes\":[2", "gene 0 is 2");
    check(
        "\"sizes\":[3",
        "\"sizes\":[3,3",
        "4 genes, the network has 5",
    );
    check("\"sizes\":[3", "\"sizes\":[999", "1 to 256");
    check("\"population\":40", "\"population\":0", "population is 0");
    check(
        "\"score\":{\"accuracy\":",
        "\"score\":{\"accuracy\":9",
        "has the score",
    );
    check("\"number\":2", "\"number\":7", "generation 2");
    check("\"binding\"", "\"binding2\"", "unknown field");
    check("{", "[", "state.json");
}

#[test]
fn restricted_alternatives_are_translated() {
    let problem = Knapsack::new(3, 5);
    let few = Restricted::new(&problem, vec![vec![0, 4], vec![2], vec![1, 2, 3]]).unwrap();
    assert_eq!(few.sizes(), [2, 1, 3]);
    assert_eq!(few.translate(&[1, 0, 2]).unwrap(), [4, 2, 3]);
    assert_eq!(
        few.evaluate(&[vec![1, 0, 2]]).unwrap(),
        [problem.score(&[4, 2, 3])]
    );
    assert!(few.evaluate(&[vec![2, 0, 0]]).is_err());
    assert!(Restricted::new(&problem, vec![vec![0], vec![], vec![0]]).is_err());
    assert!(Restricted::new(&problem, vec![vec![5], vec![0], vec![0]]).is_err());
}

/// Where the additive model is exact, the seeds are the supported points of the front.
#[test]
fn seeds_are_the_best_by_the_model() {
    let problem = Knapsack::new(8, 5);
    let mut done = 0;
    let sensitivities =
        Sensitivities::measure(&problem, &mut |activations| done = activations).unwrap();
    let evaluated = problem.evaluations.load(Ordering::SeqCst);
    assert_eq!((done, evaluated), (8, 1 + 8 * 4));
    assert_eq!(sensitivities.base, [4; 8]);
    for (place, row) in sensitivities.errors().iter().enumerate() {
        for (gene, error) in row.iter().enumerate() {
            assert!((error - problem.loss(place, gene)).abs() < 1e-12);
        }
    }
    let seeds = seeds(&problem, &sensitivities, 60).unwrap();
    assert!(seeds.contains(&vec![0; 8]) && seeds.contains(&vec![4; 8]));
    assert!(seeds.len() > 10);
    let best = Knapsack::best(&problem, &|place, gene| problem.loss(place, gene));
    let sum = sensitivity::sweep(&problem, &sensitivities.errors(), 30).unwrap();
    assert!(sum.iter().all(|seed| seeds.contains(seed)));
    for seed in &sum {
        let work: usize = seed.iter().map(|&g| usize::from(g)).sum();
        let difference = sensitivities.predict(seed) - sensitivities.predict(&best[work]);
        assert!(difference.abs() < 1e-12, "{seed:?}");
    }
}

#[test]
fn an_ablation_spends_the_same_everywhere() {
    let problem = Knapsack::new(12, 6);
    let sensitivities = Sensitivities::measure(&problem, &mut |_| ()).unwrap();
    let found = seeds(&problem, &sensitivities, 12).unwrap();
    let mut state = State::new(problem.sizes(), settings(3), found, "").unwrap();
    let refuse = Ablation::run(&problem, &problem, &state, &sensitivities, 9, &mut |_| ());
    assert!(refuse.unwrap_err().to_string().contains("1 or more"));
    search(&problem, &mut state, &generations(8), &mut quiet).unwrap();
    let count = state.archive().len();
    let mut last = 0;
    let ablation = Ablation::run(
        &problem,
        &problem,
        &state,
        &sensitivities,
        usize::MAX,
        &mut |done| last = done,
    )
    .unwrap();
    assert_eq!((ablation.evaluations, last), (count, 2 * count));
    let [random, greedy, evolution] = [&ablation.random, &ablation.greedy, &ablation.evolution];
    for course in [random, greedy, evolution] {
        assert_eq!(course.evaluations, count);
        assert!(course.curve.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1));
        assert_eq!(course.curve.last(), Some(&(count, course.hypervolume)));
    }
    // Greedy walks are nearly the best there is where losses add up.
    assert!(random.hypervolume < greedy.hypervolume.min(evolution.hypervolume));
    assert_eq!(evolution.hypervolume, state.history()[7].hypervolume);
}
