//! **choose_parameters**: the cheapest parameter set for a degree that is secure and large enough.
//!
//! Does: takes the smallest ring that holds the largest tensor and whose 128-bit limit allows the chain
//! of primes of one activation of this degree per bootstrap. Refuses a set below 128 bits unless
//! the user allows an insecure one.
//!
//! Does not: look at the graph, except for the elements of its largest tensor.
//!
//! In: a degree in 1..=127. Out: verified parameters.
//!
//! Depth: fixed here, 13 levels and ceil(log2(degree + 1)). Rotations: radices of the bootstrap's
//! transforms.
//!
//! Source: sets FBT15 and FBT16 (measured by simulation, see `ARCHITECTURE.md`); security from
//! [2024/463]; sparse-secret encapsulation [BTH22].
//!
//! Test: `sets_are_secure` below.

use hecc_ir::nn::Shape;
use hecc_ir::params::{Parameters, max_log_qp};

use crate::PassError;

/// log2 of the ring degrees of the sets, the cheapest first.
const RINGS: [u32; 2] = [15, 16];

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
        let parameters = Parameters::fused(log_n, degree);
        return if allow_insecure || is_secure(&parameters) {
            Ok(parameters)
        } else {
            Err(PassError::NoParameters(format!(
                "the ring 2^{log_n} has less than 128 bits of security at log2(QP) = {:.0}; allow insecure parameters to use it in tests",
                parameters.log_qp(parameters.top())
            )))
        };
    }
    let largest_ring = RINGS.iter().map(|log_n| 1usize << (log_n - 1)).max();
    if let Some(slots) = largest_ring.filter(|&slots| region > slots) {
        return Err(too_large(slots));
    }
    let mut reasons = Vec::new();
    for log_n in RINGS {
        if region > 1 << (log_n - 1) {
            continue;
        }
        let parameters = Parameters::fused(log_n, degree);
        if is_secure(&parameters) {
            return Ok(parameters);
        }
        reasons.push(format!(
            "the ring 2^{log_n} would need log2(QP) = {:.0} for degree {degree}, 128 bits of security allow {:.0}",
            parameters.log_qp(parameters.top()),
            max_log_qp(log_n).unwrap_or(0.0)
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

fn is_secure(parameters: &Parameters) -> bool {
    max_log_qp(parameters.log_n).is_some_and(|limit| parameters.log_qp(parameters.top()) <= limit)
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
                        p.log_qp(p.top()) <= bits && p.log_qp(p.top()) > bits - 0.5,
                        "{}",
                        p.log_qp(p.top())
                    );
                    assert!(is_secure(&p));
                    p.verify().unwrap();
                    assert_eq!(p.activation_out(degree), Some(p.activation_in() + 1));
                }
                Err(part) => assert!(
                    got.as_ref().is_err_and(|e| e.to_string().contains(part)),
                    "{got:?}"
                ),
            }
        };
        check(63, 1 << 14, Ok((15, 860.0)));
        check(31, 1 << 14, Ok((15, 861.0)));
        check(15, 1 << 14, Ok((15, 827.0)));
        check(15, 1 << 15, Ok((16, 1247.0)));
        check(127, 1 << 14, Ok((16, 1367.0)));
        check(15, 1 << 16, Err("65536 elements"));
    }

    #[test]
    fn small_rings_need_permission() {
        let largest = ("conv1", Shape::new(1000, 1, 1));
        assert!(choose_parameters(15, largest, Some(11), false).is_err());
        let p = choose_parameters(15, largest, Some(11), true).unwrap();
        assert_eq!((p.log_n, twist_granularity(&p)), (11, 64));
        assert!(choose_parameters(15, largest, Some(10), true).is_err());
        assert!(choose_parameters(15, largest, Some(20), true).is_err());
    }
}
