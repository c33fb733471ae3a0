//! **choose_parameters**: the cheapest parameter set for a degree that is secure and large enough.
//!
//! Does: lays the chain of primes out for one activation per bootstrap, bottom to top
//! `q0 | slots-to-coefficients and linear map | P | double angles | cosine | coefficients-to-slots`,
//! takes the smallest ring whose log2(QP) the 128-bit table allows for it, and finds the primes.
//! Refuses a set below 128 bits unless the user allows an insecure one.
//!
//! Does not: look at the graph, except for the elements of its largest tensor.
//!
//! In: a degree in 1..=127. Out: parameters whose primes are distinct, below 2^50, 1 modulo 2N.
//!
//! Depth: fixed here, 13 levels and ceil(log2(degree + 1)). Rotations: radices of the bootstrap's
//! transforms.
//!
//! Source: sets FBT15 and FBT16 (measured by simulation, see `ARCHITECTURE.md`); security from
//! [2024/463]; sparse-secret encapsulation [BTH22].
//!
//! Test: `sets_are_secure` below.

use hecc_ir::nn::Shape;
use hecc_ir::params::{Bootstrap, Parameters, max_log_qp};
use hecc_ir::primes::ntt_primes;

use crate::PassError;

/// Bits of the primes of one family of sets; the lengths of the chain's parts are common to all.
struct Family {
    log_n: u32,
    /// q0: twice the message.
    bottom: u32,
    /// Slots-to-coefficients and the linear map.
    linear: u32,
    /// P.
    polynomial: u32,
    /// Double angles, cosine, coefficients-to-slots.
    upper: u32,
    /// Special primes: bits and number.
    special: (u32, usize),
    /// Ciphertext primes a digit.
    digit: usize,
}

/// Smallest first.
const FAMILIES: [Family; 2] = [
    Family {
        log_n: 15,
        bottom: 32,
        linear: 30,
        polynomial: 34,
        upper: 35,
        special: (48, 4),
        digit: 5,
    },
    Family {
        log_n: 16,
        bottom: 40,
        linear: 35,
        polynomial: 40,
        upper: 42,
        special: (48, 10),
        digit: 10,
    },
];

/// Degree of the cosine's series: 1/8 of the angle over 16 turns to 2^-20.
const COS_DEGREE: usize = 30;
/// log2(8).
const DOUBLE_ANGLES: u32 = 3;
/// Overflow of the mod-raise in multiples of q0: beyond it with probability below 2^-130 at h = 32.
const RANGE: u32 = 16;
/// Hamming weight of the encapsulation's secret.
const SPARSE_WEIGHT: usize = 32;

/// Runs the pass for a graph whose largest tensor is `largest`. `insecure_ring` is the log2 of a ring
/// degree to use whatever its security.
///
/// # Errors
/// [`PassError::TooLarge`] when `largest` fits no ring, [`PassError::NoParameters`] when no ring that it
/// fits is secure, [`PassError::Option`] for a bad `insecure_ring`.
pub fn choose_parameters(
    degree: usize,
    largest: (&str, Shape),
    insecure_ring: Option<u32>,
    allow_insecure: bool,
) -> Result<Parameters, PassError> {
    let (name, shape) = largest;
    let region = shape.elements().next_power_of_two();
    let too_large = |slots: usize| PassError::TooLarge {
        name: name.to_string(),
        shape,
        elements: shape.elements(),
        slots,
    };
    if let Some(log_n) = insecure_ring {
        if !(10..=16).contains(&log_n) {
            return Err(PassError::Option {
                name: "insecure ring".to_string(),
                expected: "10 to 16".to_string(),
                got: log_n.to_string(),
            });
        }
        if region > 1 << (log_n - 1) {
            return Err(too_large(1 << (log_n - 1)));
        }
        let parameters = build(&FAMILIES[0], log_n, degree)?;
        return if allow_insecure || is_secure(&parameters) {
            Ok(parameters)
        } else {
            Err(PassError::NoParameters(format!(
                "the ring 2^{log_n} has less than 128 bits of security at log2(QP) = {:.0}; allow insecure parameters to use it in tests",
                log_qp(&parameters)
            )))
        };
    }
    let largest_ring = FAMILIES
        .iter()
        .map(|family| 1usize << (family.log_n - 1))
        .max()
        .unwrap_or(0);
    if region > largest_ring {
        return Err(too_large(largest_ring));
    }
    let mut reasons = Vec::new();
    for family in FAMILIES
        .iter()
        .filter(|family| region <= 1 << (family.log_n - 1))
    {
        let parameters = build(family, family.log_n, degree)?;
        if is_secure(&parameters) {
            return Ok(parameters);
        }
        reasons.push(format!(
            "the ring 2^{} would need log2(QP) = {:.0} for degree {degree}, 128 bits of security allow {:.0}",
            family.log_n,
            log_qp(&parameters),
            max_log_qp(family.log_n).unwrap_or(0.0)
        ));
    }
    Err(PassError::NoParameters(reasons.join("; ")))
}

/// Slots between two multiples of which an activation can move its values for nothing: the stride
/// of the first, wrapping group of coefficients-to-slots.
pub fn twist_granularity(parameters: &Parameters) -> usize {
    let first = parameters.bootstrap.cts.first().copied().unwrap_or(0);
    1 << (parameters.log_n - 2).saturating_sub(first)
}

/// log2 of the product of all primes.
fn log_qp(parameters: &Parameters) -> f64 {
    parameters
        .q
        .iter()
        .chain(&parameters.p)
        .map(|&p| (p as f64).log2())
        .sum()
}

fn is_secure(parameters: &Parameters) -> bool {
    max_log_qp(parameters.log_n).is_some_and(|limit| log_qp(parameters) <= limit)
}

fn build(family: &Family, log_n: u32, degree: usize) -> Result<Parameters, PassError> {
    let total = log_n - 2;
    let bootstrap = Bootstrap {
        stc: vec![total / 2, total.div_ceil(2)],
        cts: vec![total.div_ceil(2), total / 2],
        cos_degree: COS_DEGREE,
        double_angles: DOUBLE_ANGLES,
        range: RANGE,
        sparse_weight: SPARSE_WEIGHT,
    };
    let depth = depth(degree);
    let upper = bootstrap.cts.len() + self::depth(COS_DEGREE) + DOUBLE_ANGLES as usize;
    let bits: Vec<u32> = std::iter::once(family.bottom)
        .chain(std::iter::repeat_n(family.linear, bootstrap.stc.len() + 1))
        .chain(std::iter::repeat_n(family.polynomial, depth))
        .chain(std::iter::repeat_n(family.upper, upper))
        .chain(std::iter::repeat_n(family.special.0, family.special.1))
        .collect();
    let mut primes = ntt_primes(&bits, log_n + 1, &[]);
    if primes.len() < bits.len() {
        return Err(PassError::NoParameters(format!(
            "too few primes for the ring 2^{log_n}"
        )));
    }
    let p = primes.split_off(bits.len() - family.special.1);
    Ok(Parameters {
        log_n,
        q: primes,
        p,
        digit: family.digit,
        bootstrap,
    })
}

/// Levels of a polynomial in the Chebyshev basis: ceil(log2(degree + 1)).
pub fn depth(degree: usize) -> usize {
    (degree + 1).next_power_of_two().trailing_zeros() as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_secure() {
        let check = |degree: usize, region: usize, expect: Result<(u32, f64), &str>| {
            let got = choose_parameters(degree, ("conv1", Shape::new(region, 1, 1)), None, false);
            match expect {
                Ok((log_n, bits)) => {
                    let p = got.unwrap();
                    assert_eq!(p.log_n, log_n);
                    assert!(
                        log_qp(&p) <= bits && log_qp(&p) > bits - 0.5,
                        "{}",
                        log_qp(&p)
                    );
                    assert!(is_secure(&p));
                    assert_eq!(p.q.len(), 1 + 1 + 2 + depth(degree) + 3 + 5 + 2);
                    assert_eq!(p.bootstrap.stc.iter().sum::<u32>(), log_n - 2);
                    assert_eq!(p.bootstrap.cts.iter().sum::<u32>(), log_n - 2);
                    let mut all: Vec<u64> = p.q.iter().chain(&p.p).copied().collect();
                    assert!(all.iter().all(|q| q % (2 << log_n) == 1 && *q < 1 << 50));
                    all.sort_unstable();
                    all.dedup();
                    assert_eq!(all.len(), p.q.len() + p.p.len());
                }
                Err(part) => assert!(
                    got.as_ref().is_err_and(|e| e.to_string().contains(part)),
                    "{got:?}"
                ),
            }
        };
        check(63, 1 << 14, Ok((15, 868.0)));
        check(31, 1 << 14, Ok((15, 834.0)));
        check(15, 1 << 14, Ok((15, 800.0)));
        check(15, 1 << 15, Ok((16, 1205.0)));
        check(127, 1 << 14, Ok((16, 1325.0)));
        check(15, 1 << 16, Err("65536 elements"));
    }

    #[test]
    fn small_rings_need_permission() {
        let largest = ("conv1", Shape::new(1000, 1, 1));
        assert!(choose_parameters(15, largest, Some(11), false).is_err());
        let p = choose_parameters(15, largest, Some(11), true).unwrap();
        assert_eq!((p.log_n, twist_granularity(&p)), (11, 16));
        assert!(choose_parameters(15, largest, Some(10), true).is_err());
        assert!(choose_parameters(15, largest, Some(20), true).is_err());
    }
}
