//! New genomes: Latin hypercube, tournament, crossover, mutation.
//!
//! Crossover and mutation are AutoFHE's [AB24] with the index of an alternative in the place of a
//! degree; two moves are added that know of bootstraps: what counts for latency is less how dear one
//! activation is than whether a stretch of cheap ones fits between two refreshments.

use rand::Rng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::objective::Genome;

/// `count` genomes of which, for every gene, the alternatives are met equally often [MBC79].
pub(crate) fn latin_hypercube(rng: &mut ChaCha8Rng, sizes: &[usize], count: usize) -> Vec<Genome> {
    let mut genomes = vec![Genome::with_capacity(sizes.len()); count];
    for &size in sizes {
        let mut strata: Vec<usize> = (0..count).collect();
        strata.shuffle(rng);
        for (genome, stratum) in genomes.iter_mut().zip(strata) {
            let place = (stratum as f64 + rng.random::<f64>()) / count as f64;
            genome.push(((place * size as f64) as usize).min(size - 1) as u8);
        }
    }
    genomes
}

/// Genome with gene by gene the same alternative counted from the cheapest, as far as a gene goes:
/// one for every index that some gene has.
pub(crate) fn uniform(sizes: &[usize]) -> Vec<Genome> {
    let most = sizes.iter().copied().max().unwrap_or(0);
    let at = |index: usize| sizes.iter().map(move |&s| index.min(s - 1) as u8);
    (0..most).map(|index| at(index).collect()).collect()
}

/// Any genome.
pub(crate) fn random(rng: &mut ChaCha8Rng, sizes: &[usize]) -> Genome {
    sizes.iter().map(|&size| below(rng, size) as u8).collect()
}

/// The best of three positions drawn from `0..count`, where `better` orders them.
pub(crate) fn tournament(
    rng: &mut ChaCha8Rng,
    count: usize,
    better: impl Fn(usize, usize) -> bool,
) -> usize {
    let mut best = below(rng, count);
    for _ in 1..3 {
        let other = below(rng, count);
        if better(other, best) {
            best = other;
        }
    }
    best
}

/// `a` with genes of `b`: by half the calls every gene from either, as likely [AB24]; else few of them,
/// which makes a step from one point of a front towards another.
pub(crate) fn crossover(rng: &mut ChaCha8Rng, a: &[u8], b: &[u8]) -> Genome {
    let share = match rng.random::<bool>() {
        true => 0.5,
        false => 0.25 * rng.random::<f64>(),
    };
    a.iter()
        .zip(b)
        .map(|(&a, &b)| if rng.random::<f64>() < share { b } else { a })
        .collect()
}

/// Changes `genome` by one of three moves, among the alternatives `steps` of every gene, ascending and at
/// least one.
pub(crate) fn mutate(rng: &mut ChaCha8Rng, steps: &[Vec<u8>], rate: f64, genome: &mut [u8]) {
    let move_ = rng.random::<f64>();
    if move_ < 0.7 {
        points(rng, steps, rate, genome);
    } else if move_ < 0.85 {
        exchange(rng, steps, genome);
    } else {
        stretch(rng, steps, genome);
    }
}

/// Every gene with probability `rate`, and one in any case: down with probability 0.5, up with 0.3
/// [AB24], by one or two alternatives; else to any.
fn points(rng: &mut ChaCha8Rng, steps: &[Vec<u8>], rate: f64, genome: &mut [u8]) {
    let certain = below(rng, genome.len());
    for (place, (gene, steps)) in genome.iter_mut().zip(steps).enumerate() {
        if place != certain && rng.random::<f64>() >= rate {
            continue;
        }
        let by = rng.random_range(1..=2u8);
        let direction = rng.random::<f64>();
        *gene = if direction < 0.5 {
            down(steps, *gene, by)
        } else if direction < 0.8 {
            up(steps, *gene, by)
        } else {
            steps[below(rng, steps.len())]
        };
    }
}

/// One activation dearer, another cheaper: the precision goes where it is worth more.
fn exchange(rng: &mut ChaCha8Rng, steps: &[Vec<u8>], genome: &mut [u8]) {
    let (dearer, cheaper) = (below(rng, genome.len()), below(rng, genome.len()));
    let by = rng.random_range(1..=3u8);
    genome[cheaper] = down(&steps[cheaper], genome[cheaper], by);
    genome[dearer] = up(&steps[dearer], genome[dearer], by);
}

/// Two to four neighbours get the same alternative, mostly one of the cheaper half: a bootstrap
/// between them may go.
fn stretch(rng: &mut ChaCha8Rng, steps: &[Vec<u8>], genome: &mut [u8]) {
    let start = below(rng, genome.len());
    let length = rng.random_range(2..=4usize);
    let cheaper = rng.random::<f64>() < 0.7;
    let share = rng.random::<f64>() * if cheaper { 0.5 } else { 1.0 };
    for (gene, steps) in genome.iter_mut().zip(steps).skip(start).take(length) {
        *gene = steps[((share * steps.len() as f64) as usize).min(steps.len() - 1)];
    }
}

/// `by` steps below `gene`, as far as there are any; it need not be a step itself.
fn down(steps: &[u8], gene: u8, by: u8) -> u8 {
    match steps.partition_point(|&step| step < gene) {
        0 => gene,
        smaller => steps[smaller.saturating_sub(by.into())],
    }
}

/// `by` steps above `gene`, likewise.
fn up(steps: &[u8], gene: u8, by: u8) -> u8 {
    let larger = steps.partition_point(|&step| step <= gene);
    match larger == steps.len() {
        true => gene,
        false => steps[(larger + usize::from(by) - 1).min(steps.len() - 1)],
    }
}

/// Uniform in `0..n`, n at least 1; by u32, so that it is the same on every machine.
fn below(rng: &mut ChaCha8Rng, n: usize) -> usize {
    rng.random_range(0..n as u32) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    const SIZES: [usize; 5] = [1, 2, 5, 12, 256];

    fn rng() -> ChaCha8Rng {
        ChaCha8Rng::seed_from_u64(3)
    }

    #[test]
    fn a_latin_hypercube_meets_alternatives_equally_often() {
        let genomes = latin_hypercube(&mut rng(), &[1, 2, 5, 12], 60);
        for (gene, size) in [1usize, 2, 5, 12].into_iter().enumerate() {
            for index in 0..size {
                let met = genomes
                    .iter()
                    .filter(|g| usize::from(g[gene]) == index)
                    .count();
                assert_eq!(met, 60 / size, "gene {gene} index {index}");
            }
        }
    }

    #[test]
    fn every_move_stays_within_the_alternatives_and_reaches_them() {
        let mut rng = rng();
        let mut genome = vec![0u8; SIZES.len()];
        let steps: Vec<Vec<u8>> = SIZES.map(|s| (0..=(s - 1) as u8).collect()).into();
        let mut met = [[false; 256]; SIZES.len()];
        for _ in 0..20_000 {
            mutate(&mut rng, &steps, 0.3, &mut genome);
            crate::objective::check_genome(&genome, &SIZES).unwrap();
            for (met, &gene) in met.iter_mut().zip(&genome) {
                met[usize::from(gene)] = true;
            }
        }
        for (met, size) in met.iter().zip(SIZES) {
            assert!(met[..size].iter().filter(|m| **m).count() > size * 9 / 10);
        }
        let uniform = uniform(&SIZES[..4]);
        assert_eq!(uniform.len(), 12);
        assert_eq!(uniform[3], [0, 1, 3, 3]);
    }

    #[test]
    fn steps_lead_past_what_is_not_worth_trying() {
        let steps = [0, 1, 13, 19];
        let check = |gene: u8, by: u8, below: u8, above: u8| {
            assert_eq!(
                (down(&steps, gene, by), up(&steps, gene, by)),
                (below, above)
            );
        };
        check(0, 1, 0, 1);
        check(1, 1, 0, 13);
        check(5, 1, 1, 13);
        check(5, 2, 0, 19);
        check(13, 3, 0, 19);
        check(19, 1, 13, 19);
        check(25, 1, 19, 25);
        let mut rng = rng();
        let mut genome = vec![13u8; 6];
        for _ in 0..500 {
            mutate(&mut rng, &vec![steps.to_vec(); 6], 0.3, &mut genome);
            assert!(genome.iter().all(|gene| steps.contains(gene)));
        }
    }
}
