//! Parameter sets from their sizes in bits.

use super::{Bootstrap, Parameters, ParametersError, depth, ensure};
use crate::primes::ntt_primes;
use crate::security::max_log_qp;

/// A parameter set in bits: what [`Parameters::from_chain`] finds primes for.
///
/// Levels from bottom to top: q0; with a bootstrap two for slots-to-coefficients; `levelled`; with a
/// bootstrap P, three double angles, five for the cosine, and coefficients-to-slots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// log2 of the ring degree, 10 to 17.
    pub log_n: u32,
    /// Bits of q0.
    pub bottom: u32,
    /// Levels for linear maps, products and levelled polynomials: how many, and the bits of each, which
    /// are also those of slots-to-coefficients and of the scale of values. With a bootstrap at least one.
    pub levelled: (usize, u32),
    /// The levels of a bootstrap, if there is to be one.
    pub bootstrap: Option<BootstrapChain>,
    /// Special primes: how many, and the bits of each. All of them together must exceed a digit, by
    /// some 8 bits for key switching to add less noise than a rescale.
    pub special: (usize, u32),
    /// Ciphertext primes per key-switching digit.
    pub digit: usize,
}

/// The levels of a bootstrap above the levelled ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BootstrapChain {
    /// Levels for P, that is [`depth`] of its largest degree, and the bits of each.
    pub p: (usize, u32),
    /// Bits of every level of the double angles, the cosine and coefficients-to-slots.
    pub cosine: u32,
    /// Groups, hence levels, of coefficients-to-slots: 2 or 3; three halve its work.
    pub cts_groups: u32,
}

impl Chain {
    /// FBT16 for the ring 2^16, FBT15 for every other: one linear map and one activation of `degree` per
    /// bootstrap.
    pub fn fused(log_n: u32, degree: usize, cts_groups: u32) -> Self {
        let (bottom, low, p, cosine, special, digit) = match log_n {
            16 => (40, 35, 40, 42, (10, 48), 10),
            _ => (32, 30, 34, 35, (4, 46), 5),
        };
        Self {
            log_n,
            bottom,
            levelled: (1, low),
            bootstrap: Some(BootstrapChain {
                p: (depth(degree), p),
                cosine,
                cts_groups,
            }),
            special,
            digit,
        }
    }
}

impl Parameters {
    /// The set of these sizes.
    ///
    /// # Errors
    /// When there are not as many primes of these sizes in the ring as asked for, or the set cannot be
    /// computed with ([`Parameters::verify`]). Says nothing about security.
    pub fn from_chain(chain: &Chain) -> Result<Self, ParametersError> {
        let log_n = chain.log_n;
        ensure((10..=17).contains(&log_n), || {
            format!("ring degree 2^{log_n}, expected 2^10 to 2^17")
        })?;
        let (count, bits) = chain.levelled;
        let mut lengths = vec![(1, chain.bottom)];
        let bootstrap = match chain.bootstrap {
            None => {
                lengths.push((count, bits));
                None
            }
            Some(levels) => {
                ensure((1..=8).contains(&levels.cts_groups), || {
                    format!("{} groups of coefficients-to-slots", levels.cts_groups)
                })?;
                let shape = Bootstrap::of(log_n, levels.cts_groups);
                lengths.push((shape.stc.len().saturating_add(count), bits));
                lengths.push(levels.p);
                lengths.push((shape.upper(), levels.cosine));
                Some(shape)
            }
        };
        let sizes = lengths.iter().chain([&chain.special]);
        let sane = sizes
            .clone()
            .all(|&(n, bits)| n <= 64 && (20..=50).contains(&bits));
        ensure(sane, || {
            format!(
                "levels {lengths:?}, special primes {:?}: expected up to 64 of 20 to 50 bits",
                chain.special
            )
        })?;
        let repeat = |&(n, bits): &(usize, u32)| std::iter::repeat_n(bits, n);
        let wanted: Vec<u32> = lengths.iter().flat_map(repeat).collect();
        let special: Vec<u32> = repeat(&chain.special).collect();
        let q = ntt_primes(&wanted, log_n + 1, &[]);
        let p = ntt_primes(&special, log_n + 1, &q);
        ensure((q.len(), p.len()) == (wanted.len(), special.len()), || {
            format!(
                "the ring 2^{log_n} has {} of {} primes of {wanted:?} and {special:?} bits",
                q.len() + p.len(),
                wanted.len() + special.len()
            )
        })?;
        let parameters = Self {
            log_n,
            q,
            p,
            digit: chain.digit,
            bootstrap,
        };
        parameters.verify()?;
        Ok(parameters)
    }

    /// The set for one activation of `degree` per bootstrap in the ring `2^log_n`: FBT16 for 16, the
    /// chain of FBT15 for every other ring. Secure only from log_n = 15 on; smaller rings are for
    /// tests. `log_n` is 10 to 17.
    ///
    /// Coefficients-to-slots goes in three groups, which halves its work for one more level, unless
    /// only two keep the set within the 128-bit limit.
    ///
    /// # Panics
    /// For a ring or a degree out of range.
    pub fn fused(log_n: u32, degree: usize) -> Self {
        let set = |groups| {
            Self::from_chain(&Chain::fused(log_n, degree, groups)).expect("a ring of 2^10 to 2^17")
        };
        let three = set(3);
        match max_log_qp(log_n, 128) {
            Some(limit) if log_n >= 15 && three.log_qp(three.top()) > limit => set(2),
            _ => three,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fused_sets_have_their_sizes() {
        let check = |log_n, degree, levels, log_qp: f64| {
            let p = Parameters::fused(log_n, degree);
            p.verify().unwrap();
            let found = p.log_qp(p.top());
            assert_eq!(p.top(), levels);
            assert!(found <= log_qp && found > log_qp - 0.1, "{found}");
            assert_eq!(p.activation_out(degree), Some(3));
            assert_eq!(p.activation_in(), Some(2));
            assert_eq!(p.levelled_top(), 3);
        };
        check(15, 63, 19, 860.0);
        check(15, 31, 19, 861.0);
        check(15, 15, 18, 827.0);
        check(16, 63, 20, 1327.0);
        check(12, 15, 18, 827.0);
        check(11, 15, 18, 827.0);
    }

    #[test]
    fn chains_have_their_levels() {
        let quad = Chain {
            log_n: 16,
            bottom: 44,
            levelled: (39, 34),
            bootstrap: None,
            special: (7, 50),
            digit: 7,
        };
        let p = Parameters::from_chain(&quad).unwrap();
        assert_eq!(
            (p.top(), p.levelled_top(), p.scale()),
            (39, 39, 34f64.exp2())
        );
        assert_eq!(
            (
                p.activation_in(),
                p.activation_out(1),
                p.bootstrap_products()
            ),
            (None, None, None)
        );
        assert!(p.bootstrap_transforms().is_empty() && p.bootstrap_rotations().is_empty());
        let found = p.log_qp(p.top());
        assert!(found <= 1720.0 && found > 1719.9, "{found}");

        // Four further levels between the linear map and P: they are where results stand.
        let mut fused = Chain::fused(16, 15, 3);
        fused.levelled.0 += 4;
        let p = Parameters::from_chain(&fused).unwrap();
        assert_eq!(
            (p.activation_in(), p.activation_out(15)),
            (Some(2), Some(7))
        );
        assert_eq!((p.activation_out(3), p.levelled_top()), (Some(9), 7));
        assert_eq!(p.top(), Parameters::fused(16, 15).top() + 4);
        assert_eq!(p.scale(), 35f64.exp2());

        let refused = |edit: fn(&mut Chain), expect: &str| {
            let mut chain = Chain::fused(12, 15, 3);
            edit(&mut chain);
            let message = Parameters::from_chain(&chain).unwrap_err().to_string();
            assert!(message.contains(expect), "{message}");
        };
        refused(|c| c.log_n = 60, "2^60");
        refused(|c| c.levelled = (60, 20), "primes of");
        refused(|c| c.levelled.0 = usize::MAX, "up to 64 of 20 to 50 bits");
        refused(|c| c.special.1 = 51, "up to 64 of 20 to 50 bits");
        refused(|c| c.special.1 = 40, "exceeds the special primes");
        refused(|c| c.bootstrap.as_mut().unwrap().cts_groups = 0, "0 groups");
    }
}
