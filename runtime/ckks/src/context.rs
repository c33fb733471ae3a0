//! A parameter set with its tables.

use crate::Error;
use crate::encoding::Embedding;
use crate::ring::{BaseConversion, Modulus, NttPermutation, NttTable, is_prime};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

/// The primes of an RNS-CKKS instance.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameters {
    /// log2 of the ring degree N.
    pub log_n: u32,
    /// Ciphertext primes, bottom to top; level l uses the first l + 1.
    pub q: Vec<u64>,
    /// Special primes of key switching [HK20].
    pub p: Vec<u64>,
    /// Ciphertext primes per key-switching digit.
    pub digit: usize,
}

/// Parameters, transforms and conversion tables, shared by everything that computes.
pub struct Context {
    parameters: Parameters,
    q: Vec<NttTable>,
    p: Vec<NttTable>,
    embedding: Embedding,
    raises: Mutex<HashMap<[usize; 3], Arc<BaseConversion>>>,
    divisions: Mutex<HashMap<[usize; 3], Arc<Division>>>,
    permutations: Mutex<HashMap<u64, Arc<NttPermutation>>>,
}

/// Division by a product of primes, with rounding: x -> (x - [x]_D) / D.
pub(crate) struct Division {
    /// From the primes divided away (dropped q, then p) to the ones that stay.
    pub conversion: BaseConversion,
    /// D^-1 modulo each prime that stays.
    pub inverse: Vec<u64>,
}

impl Context {
    /// Tables for `parameters`.
    ///
    /// # Errors
    /// When a modulus is no NTT prime below 2^50 for this ring, when two are equal, or when a digit
    /// is larger than the special primes.
    pub fn new(parameters: Parameters) -> Result<Arc<Self>, Error> {
        let bad = |what: String| Err(Error::Parameters(what));
        let log_n = parameters.log_n;
        if !(4..=16).contains(&log_n) {
            return bad(format!("log2 N = {log_n}, supported 4 to 16"));
        }
        let all: Vec<u64> = parameters.q.iter().chain(&parameters.p).copied().collect();
        if parameters.q.is_empty()
            || all.len() > 128
            || all.iter().collect::<HashSet<_>>().len() != all.len()
        {
            return bad("the moduli must be 1 to 128 distinct primes".into());
        }
        if !parameters.p.is_empty() {
            if parameters.digit == 0 {
                return bad("a key-switching digit must hold at least one prime".into());
            }
            let bits = |primes: &[u64]| primes.iter().map(|&x| (x as f64).log2()).sum::<f64>();
            let largest = parameters
                .q
                .chunks(parameters.digit)
                .map(bits)
                .fold(0.0, f64::max);
            if largest > bits(&parameters.p) {
                return bad(format!(
                    "a digit of {largest:.1} bits exceeds the special modulus"
                ));
            }
        }
        let table = |&q: &u64| {
            Modulus::new(q)
                .filter(|_| is_prime(q))
                .and_then(|m| NttTable::new(m, log_n))
                .ok_or_else(|| {
                    Error::Parameters(format!(
                        "{q} is not an NTT prime below 2^50 for N = 2^{log_n}"
                    ))
                })
        };
        Ok(Arc::new(Self {
            q: parameters.q.iter().map(table).collect::<Result<_, _>>()?,
            p: parameters.p.iter().map(table).collect::<Result<_, _>>()?,
            embedding: Embedding::new(log_n),
            parameters,
            raises: Mutex::default(),
            divisions: Mutex::default(),
            permutations: Mutex::default(),
        }))
    }

    /// The primes.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// Ring degree N.
    pub fn n(&self) -> usize {
        1 << self.parameters.log_n
    }

    /// Slots of a ciphertext, N/2.
    pub fn slots(&self) -> usize {
        self.n() / 2
    }

    /// The highest level.
    pub fn top(&self) -> usize {
        self.q.len() - 1
    }

    /// The canonical embedding of this ring.
    pub fn embedding(&self) -> &Embedding {
        &self.embedding
    }

    /// Prime `i` of the ciphertext modulus.
    pub fn q(&self, i: usize) -> &Modulus {
        self.q[i].modulus()
    }

    /// Number of special primes.
    pub fn specials(&self) -> usize {
        self.p.len()
    }

    /// Transforms of q_0..q_level, then of the first `specials` special primes.
    pub fn basis(&self, level: usize, specials: usize) -> Vec<&NttTable> {
        self.q[..=level].iter().chain(&self.p[..specials]).collect()
    }

    /// Number of key-switching digits at `level`.
    pub fn digits(&self, level: usize) -> usize {
        (level + 1).div_ceil(self.parameters.digit)
    }

    /// The primes of digit `d` at `level`, as indices.
    pub fn digit_range(&self, d: usize, level: usize) -> std::ops::Range<usize> {
        let width = self.parameters.digit;
        d * width..((d + 1) * width).min(level + 1)
    }

    /// From the primes of digit `d` to all others of (level, specials), in basis order.
    pub(crate) fn raise(&self, d: usize, level: usize, specials: usize) -> Arc<BaseConversion> {
        cached(&self.raises, [d, level, specials], || {
            let own = self.digit_range(d, level);
            let (mut from, mut to) = (Vec::new(), Vec::new());
            for (i, table) in self.basis(level, specials).into_iter().enumerate() {
                if own.contains(&i) { &mut from } else { &mut to }.push(*table.modulus());
            }
            BaseConversion::new(&from, &to)
        })
    }

    /// Division by the top `dropped` primes of `level` and the first `specials` special primes.
    pub(crate) fn division(&self, level: usize, dropped: usize, specials: usize) -> Arc<Division> {
        cached(&self.divisions, [level, dropped, specials], || {
            let moduli: Vec<Modulus> = self
                .basis(level, specials)
                .iter()
                .map(|t| *t.modulus())
                .collect();
            let (to, from) = moduli.split_at(level + 1 - dropped);
            let inverse = |m: &Modulus| {
                let product = from
                    .iter()
                    .fold(1, |x, d| m.mul(x, m.reduce_u64(d.value())));
                m.inv_vartime(product).expect("distinct primes")
            };
            Division {
                conversion: BaseConversion::new(from, to),
                inverse: to.iter().map(inverse).collect(),
            }
        })
    }

    /// The permutation of evaluations that X -> X^galois makes.
    pub(crate) fn permutation(&self, galois: u64) -> Arc<NttPermutation> {
        cached(&self.permutations, galois, || {
            NttPermutation::new(self.parameters.log_n, galois)
        })
    }

    /// The Galois element 5^steps mod 2N of a left rotation of the slots.
    pub fn rotation_element(&self, steps: usize) -> u64 {
        let mask = 2 * self.n() as u64 - 1;
        let (mut base, mut exponent, mut g) = (5u64, steps % self.slots(), 1u64);
        while exponent > 0 {
            if exponent & 1 == 1 {
                g = (g * base) & mask;
            }
            base = (base * base) & mask;
            exponent >>= 1;
        }
        g
    }

    /// The Galois element of complex conjugation.
    pub fn conjugation_element(&self) -> u64 {
        2 * self.n() as u64 - 1
    }

    /// The inverse of an odd Galois element mod 2N.
    pub fn inverse_element(&self, galois: u64) -> u64 {
        let mask = 2 * self.n() as u64 - 1;
        // Newton in Z/2^k: each step doubles the correct low bits, and g * g = 1 mod 8.
        let mut x = galois;
        for _ in 0..5 {
            x = x.wrapping_mul(2u64.wrapping_sub(galois.wrapping_mul(x)));
        }
        x & mask
    }
}

fn cached<K: std::hash::Hash + Eq, V>(
    map: &Mutex<HashMap<K, Arc<V>>>,
    key: K,
    make: impl FnOnce() -> V,
) -> Arc<V> {
    let mut map = map.lock().unwrap_or_else(|e| e.into_inner());
    map.entry(key).or_insert_with(|| Arc::new(make())).clone()
}
