//! Bytes of the server's keys, and the most an evaluation has in memory.

use std::ops::RangeInclusive;

use hecc_ir::params::Parameters;
use hecc_ir::plan::KeyManifest;
use hecc_ir::program::{Op, Program};

use crate::keys::{MapOffsets, enters_at};

/// A key's seed, and the digest of its section of the file.
const PER_KEY: u64 = 32 + 32;
/// The file's header.
const HEADER: u64 = 120;
/// Bytes of a residue in memory.
const WORD: u64 = 8;

/// Where a key lives: level, special primes, digits.
type Shape = (usize, usize, usize);

/// All keys of the manifest: three of one digit for the mod-raise, one for each other.
fn shapes(parameters: &Parameters, keys: &KeyManifest) -> Vec<Shape> {
    let (specials, top) = (parameters.p.len(), parameters.top());
    let mut shapes = Vec::new();
    if keys.encapsulation {
        shapes.extend([(0, 1, 1), (top, specials, 1), (top, specials, 1)]);
    }
    let levels = keys.rotations.iter().map(|key| key.level);
    let levels = levels.chain(keys.relinearisation).chain(keys.conjugation);
    let digits = |level: usize| (level + 1).div_ceil(parameters.digit);
    shapes.extend(levels.map(|level| (level, specials, digits(level))));
    shapes
}

/// Bytes of the server key file: for every key the digits' computed halves, each residue in as many bits
/// as its prime has; the uniform halves are seeds.
pub fn key_bytes(parameters: &Parameters, keys: &KeyManifest) -> u64 {
    let n = 1u64 << parameters.log_n;
    let bits = |primes: &[u64]| primes.iter().map(|q| u64::from(q.ilog2()) + 1).sum::<u64>();
    let key = |(level, specials, digits): Shape| {
        let limbs = bits(&parameters.q[..=level]) + bits(&parameters.p[..specials]);
        PER_KEY + digits as u64 * (n / 8 * limbs)
    };
    HEADER + shapes(parameters, keys).into_iter().map(key).sum::<u64>()
}

/// An estimate of the most bytes alive at once: all keys, expanded; and at the worst node the living
/// ciphertexts, the living bootstrappers' encoded transforms, and either the encoded diagonals of the node's
/// map with the numbers they come from, or some ten ciphertexts at the top for a bootstrap, or at the
/// node's level for a polynomial.
pub fn peak_bytes(
    program: &Program,
    parameters: &Parameters,
    offsets: &MapOffsets,
    keys: &KeyManifest,
    bootstrappers: &[RangeInclusive<usize>],
) -> u64 {
    let n = 1u64 << parameters.log_n;
    let limbs = |level: usize| level as u64 + 1;
    let specials = parameters.p.len() as u64;
    let ciphertext = |level: usize, parts: usize| 2 * limbs(level) * n * WORD * parts as u64;
    let expanded = |(level, specials, digits): Shape| {
        2 * digits as u64 * (limbs(level) + specials as u64) * n * WORD
    };
    let keys: u64 = shapes(parameters, keys).into_iter().map(expanded).sum();
    let encoded =
        |level: usize, diagonals: usize| diagonals as u64 * (limbs(level) + specials) * n * WORD;
    let transforms = parameters.bootstrap_transforms();
    let transforms = transforms.iter().map(|t| encoded(t.level, t.offsets.len()));
    let bootstrapper: u64 = transforms.sum();

    let mut last_use: Vec<usize> = (0..program.nodes.len()).collect();
    for (value, node) in program.nodes.iter().enumerate() {
        for x in node.op.operands() {
            last_use[x] = value;
        }
    }
    let mut dies_at = vec![Vec::new(); program.nodes.len()];
    for (value, &last) in last_use.iter().enumerate() {
        dies_at[last].push(value);
    }
    let (mut living, mut worst) = (0, 0);
    for (value, node) in program.nodes.iter().enumerate() {
        living += ciphertext(node.level, node.layout.parts);
        let enter = enters_at(node, parameters);
        let work = match &node.op {
            Op::Input | Op::MulConst { .. } | Op::Add { .. } | Op::Mul { .. } => {
                ciphertext(enter, 2 * node.layout.parts)
            }
            Op::Linear { map, .. } => {
                let diagonals = offsets[*map].offsets.len();
                // Slots are half of N, complex numbers two words.
                encoded(enter, diagonals) + diagonals as u64 * n * WORD
            }
            Op::Polynomial { .. } => ciphertext(enter, 10),
            Op::Activate { .. } => ciphertext(parameters.top(), 10),
        };
        let built = bootstrappers
            .iter()
            .filter(|uses| uses.contains(&value))
            .count() as u64;
        worst = worst.max(living + work + built * bootstrapper);
        for &dead in &dies_at[value] {
            let node = &program.nodes[dead];
            living -= ciphertext(node.level, node.layout.parts);
        }
    }
    keys + worst
}
