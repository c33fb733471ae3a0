//! Bytes of the server's keys, and the most an evaluation has in memory.

use hecc_ir::bootstrappers::Lifetimes;
use hecc_ir::linear::baby_giant;
use hecc_ir::params::{Parameters, Transform};
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
/// ciphertexts, the living bootstrappers' encoded transforms, and what the node works on. That is, for a
/// map its diagonals as numbers and as encoded integers, the rotations of its operand, and the sums that
/// are rotated by giant steps; for a bootstrap
/// some ten ciphertexts at the top, and the map that follows, made and encoded beside it; for a
/// polynomial some ten ciphertexts at its operand's level.
pub fn peak_bytes(
    program: &Program,
    parameters: &Parameters,
    offsets: &MapOffsets,
    keys: &KeyManifest,
    bootstrappers: &Lifetimes,
) -> u64 {
    // Bytes of a vector of N residues.
    let vector = WORD << parameters.log_n;
    let limbs = |level: usize| level as u64 + 1;
    let specials = parameters.p.len();
    let ciphertext = |level: usize, parts: usize| 2 * limbs(level) * vector * parts as u64;
    let expanded = |(level, specials, digits): Shape| {
        2 * digits as u64 * (limbs(level) + specials as u64) * vector
    };
    let keys: u64 = shapes(parameters, keys).into_iter().map(expanded).sum();
    // Low in the chain, transforms are encoded without special primes.
    let encoded = |transform: &Transform| {
        let above = if transform.level < 2 * specials {
            0
        } else {
            specials
        };
        transform.offsets.len() as u64 * (limbs(transform.level) + above as u64) * vector
    };
    let transforms = parameters.bootstrap_transforms();
    let bootstrapper: u64 = transforms.iter().map(encoded).sum();
    // All that one has of its own whose relative lives: the first group of coefficients-to-slots.
    let derived = transforms.first().map_or(0, encoded);
    // A value a slot: half a vector a diagonal.
    let numbers = |map: usize| offsets[map].offsets.len() as u64 * vector / 2;

    let dying = last_uses(program);
    let (mut living, mut worst) = (0, 0);
    for (value, node) in program.nodes.iter().enumerate() {
        living += ciphertext(node.level, node.layout.parts);
        let enter = enters_at(node, parameters);
        let work = match &node.op {
            Op::Input | Op::MulConst { .. } | Op::Add { .. } | Op::Mul { .. } => {
                ciphertext(enter, 2 * node.layout.parts)
            }
            Op::Linear { map, .. } => {
                let (babies, giants) = baby_giant(&offsets[*map].offsets, program.maps[*map].giant);
                2 * numbers(*map) + ciphertext(enter + specials, babies.len() + giants.len())
            }
            Op::Polynomial { .. } => ciphertext(enter, 10),
            Op::Activate { .. } => {
                let next = program.nodes[value..]
                    .iter()
                    .find_map(|node| match node.op {
                        Op::Linear { map, .. } => Some(numbers(map)),
                        Op::Input
                        | Op::MulConst { .. }
                        | Op::Add { .. }
                        | Op::Mul { .. }
                        | Op::Polynomial { .. }
                        | Op::Activate { .. } => None,
                    });
                ciphertext(parameters.top(), 10) + 2 * next.unwrap_or(0)
            }
        };
        let (whole, related) = bootstrappers.alive(value);
        let built = whole as u64 * bootstrapper + related as u64 * derived;
        worst = worst.max(living + work + built);
        for &dead in &dying[value] {
            let node = &program.nodes[dead];
            living -= ciphertext(node.level, node.layout.parts);
        }
    }
    keys + worst
}

/// For each node the values that nothing uses after it.
fn last_uses(program: &Program) -> Vec<Vec<usize>> {
    let mut last: Vec<usize> = (0..program.nodes.len()).collect();
    for (value, node) in program.nodes.iter().enumerate() {
        for x in node.op.operands() {
            last[x] = value;
        }
    }
    let mut dying = vec![Vec::new(); program.nodes.len()];
    for (value, &last) in last.iter().enumerate() {
        dying[last].push(value);
    }
    dying
}
