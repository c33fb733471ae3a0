//! **choose_parameters**: which parameter sets are worth a look.
//!
//! Does: lists, for a ring, the chains of primes that the security table allows: with a bootstrap and
//! some levels more than one linear map needs, or without one and as many levels as the network has;
//! each with the special primes that its digits need. The pipeline places the network on all of them
//! and takes the fastest.
//!
//! Does not: look at the graph, except through the levels it takes.
//!
//! In: degrees in 1..=127. Out: verified parameters at the security asked for.
//!
//! Depth: levels a ciphertext can have, fixed here. Rotations: radices of the bootstrap's transforms.
//!
//! Precision: a rescale adds an error of N/6 over the scale, relative to a value's unit (standard
//! deviation in a slot, dense ternary secret). Without a bootstrap the scale follows from the bits that
//! are to be left. Sets with a bootstrap are FBT15 and FBT16, whose precision is measured.
//!
//! Source: [2024/463]; sparse-secret encapsulation [BTH22]; digits as in [HK20].
//!
//! Test: `sets_are_secure` below.

use hecc_ir::params::{Chain, Parameters};
use hecc_ir::security::max_log_qp;

use crate::PassError;

/// log2 of the ring degrees of plans, the smallest first.
pub const RINGS: [u32; 4] = [13, 14, 15, 16];
/// The smallest ring in which a bootstrap can be secure.
const SMALLEST_BOOTSTRAP: u32 = 15;
/// Levels that sets with a bootstrap have for linear maps and products; a map and a sign of degrees 15, 15
/// and 27 times x take 15.
const LEVELLED: [usize; 11] = [1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 16];
/// Key-switching digits tried without a bootstrap.
const DIGITS: [usize; 8] = [1, 2, 3, 4, 5, 6, 8, 10];
/// Bits of special primes without a bootstrap: the largest there are.
const SPECIAL_BITS: u32 = 50;
/// Bits by which special primes exceed a digit, so that key switching adds less noise than a rescale.
const SPECIAL_MARGIN: u32 = 8;
/// Bits by which q0 exceeds the scale: outputs up to 2^9 units.
const BOTTOM_MARGIN: u32 = 10;
/// Most primes of a chain.
const MAX_PRIMES: usize = 60;

/// What the user demands.
#[derive(Clone, Debug, PartialEq)]
pub struct Constraints {
    /// log2 of the one ring degree to use; None for any.
    pub ring: Option<u32>,
    /// Bits of security: 128, 192 or 256.
    pub security: u32,
    /// Bits left in a linear map's result without a bootstrap.
    pub precision: u32,
    /// Accept sets below the security.
    pub allow_insecure: bool,
}

/// Sets for one ring, and why there are not more.
#[derive(Clone, Debug, Default)]
pub struct Sets {
    /// Each at the security asked for, or accepted without.
    pub sets: Vec<Parameters>,
    /// What was too large, by how much.
    pub refused: Vec<String>,
}

/// Checks the numbers a user may give.
///
/// # Errors
/// [`PassError::Option`].
pub fn check(constraints: &Constraints) -> Result<(), PassError> {
    let option = |name: &str, expected: &str, got: String| {
        Err(PassError::Option {
            name: name.to_string(),
            expected: expected.to_string(),
            got,
        })
    };
    if ![128, 192, 256].contains(&constraints.security) {
        return option(
            "security",
            "128, 192 or 256",
            constraints.security.to_string(),
        );
    }
    if !(8..=26).contains(&constraints.precision) {
        return option("precision", "8 to 26", constraints.precision.to_string());
    }
    match (constraints.ring, constraints.allow_insecure) {
        (Some(10..=12), true) | (None | Some(13..=16), _) => Ok(()),
        (Some(ring), true) => option("ring", "10 to 16", ring.to_string()),
        (Some(ring), false) => option("ring", "13 to 16", ring.to_string()),
    }
}

/// Sets with a bootstrap for series of up to `degree`, in the ring 2^log_n.
pub fn with_bootstrap(log_n: u32, degree: usize, constraints: &Constraints) -> Sets {
    let mut found = Sets::default();
    if log_n < SMALLEST_BOOTSTRAP && !constraints.allow_insecure {
        return found;
    }
    if constraints.security > 128 && !constraints.allow_insecure {
        found.refused.push(format!(
            "the sparse secret of a bootstrap in the ring 2^{log_n} is worth 128 bits, not {}",
            constraints.security
        ));
        return found;
    }
    for levels in LEVELLED {
        let chain = |groups| {
            let one = Chain::fused(log_n, degree, groups);
            Chain {
                levelled: (levels, one.levelled.1),
                ..one
            }
        };
        // Three groups halve the work of coefficients-to-slots, for one more level.
        let fits = found.add(&chain(3), constraints) || found.add(&chain(2), constraints);
        if !fits {
            break;
        }
    }
    found.keep_last_refusal();
    found
}

/// Sets without a bootstrap for `levels` levels, in the ring 2^log_n.
pub fn without_bootstrap(log_n: u32, levels: usize, constraints: &Constraints) -> Sets {
    let mut found = Sets::default();
    // N/6 is 2^(log_n - 2.6).
    let bits = (log_n - 2 + constraints.precision).clamp(25, 40);
    if levels + 1 > MAX_PRIMES {
        found.refused.push(format!(
            "{levels} levels without a bootstrap, at most {}",
            MAX_PRIMES - 1
        ));
        return found;
    }
    let mut last = 0;
    for digits in DIGITS {
        let digit = (levels + 1).div_ceil(digits);
        if digit == last {
            continue;
        }
        last = digit;
        let digit_bits = digit as u32 * bits + BOTTOM_MARGIN;
        let chain = Chain {
            log_n,
            bottom: bits + BOTTOM_MARGIN,
            levelled: (levels, bits),
            bootstrap: None,
            special: (
                (digit_bits + SPECIAL_MARGIN).div_ceil(SPECIAL_BITS) as usize,
                SPECIAL_BITS,
            ),
            digit,
        };
        found.add(&chain, constraints);
    }
    match found.sets.is_empty() {
        // More digits take fewer special primes: the last came closest.
        true => found.keep_last_refusal(),
        false => found.refused.clear(),
    }
    found
}

impl Sets {
    fn keep_last_refusal(&mut self) {
        self.refused = self.refused.pop().into_iter().collect();
    }

    /// Adds the set of a chain if it is secure enough; whether it is.
    fn add(&mut self, chain: &Chain, constraints: &Constraints) -> bool {
        let limit = max_log_qp(chain.log_n, constraints.security).unwrap_or(0.0);
        let parameters = match Parameters::from_chain(chain) {
            Ok(parameters) => parameters,
            Err(e) => {
                self.refused.push(e.to_string());
                return false;
            }
        };
        let needs = parameters.log_qp(parameters.top());
        if needs > limit && !constraints.allow_insecure {
            self.refused.push(format!(
                "the ring 2^{} with {} levels{} and {} bits of special primes needs log2(QP) = {needs:.0}, {} bits of security allow {limit:.0}",
                chain.log_n,
                parameters.top(),
                if chain.bootstrap.is_some() { " and a bootstrap" } else { "" },
                chain.special.0 as u32 * chain.special.1,
                constraints.security,
            ));
            return false;
        }
        self.sets.push(parameters);
        true
    }
}

/// Slots between two multiples of which an activation can move its values for nothing: the stride
/// of the first, wrapping group of coefficients-to-slots. 0 without a bootstrap.
pub fn twist_granularity(log_n: u32, bootstrap: bool) -> usize {
    match bootstrap {
        // The largest first group that with_bootstrap makes: of three, or of two.
        true => 1 << (log_n - 2 - (log_n - 2).div_ceil(3)),
        false => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn constraints() -> Constraints {
        Constraints {
            ring: None,
            security: 128,
            precision: 20,
            allow_insecure: false,
        }
    }

    #[test]
    fn sets_are_secure() {
        for log_n in RINGS {
            for degree in [15, 31, 63] {
                let found = with_bootstrap(log_n, degree, &constraints());
                for p in &found.sets {
                    assert!(p.log_qp(p.top()) <= max_log_qp(log_n, 128).unwrap());
                    assert!(p.activation_out(degree).unwrap() > p.activation_in().unwrap());
                }
                assert_eq!(
                    found.sets.is_empty(),
                    log_n < 15,
                    "2^{log_n}: {:?}",
                    found.refused
                );
            }
            for levels in [3, 8, 17, 39] {
                for p in without_bootstrap(log_n, levels, &constraints()).sets {
                    assert!(p.log_qp(p.top()) <= max_log_qp(log_n, 128).unwrap());
                    assert_eq!((p.top(), p.levelled_top()), (levels, levels));
                }
            }
        }
        assert!(!without_bootstrap(16, 39, &constraints()).sets.is_empty());
        assert!(!without_bootstrap(13, 3, &constraints()).sets.is_empty());
        assert!(without_bootstrap(13, 17, &constraints()).sets.is_empty());
        let high = Constraints {
            security: 192,
            ..constraints()
        };
        assert!(with_bootstrap(16, 15, &high).sets.is_empty());
        assert!(!without_bootstrap(15, 8, &high).sets.is_empty());
    }

    #[test]
    fn small_rings_need_permission() {
        let permits = |ring, allow_insecure, expect: bool| {
            let constraints = Constraints {
                ring: Some(ring),
                allow_insecure,
                ..constraints()
            };
            assert_eq!(
                check(&constraints).is_ok(),
                expect,
                "{ring} {allow_insecure}"
            );
        };
        permits(11, false, false);
        permits(11, true, true);
        permits(16, false, true);
        permits(20, true, false);
    }
}
