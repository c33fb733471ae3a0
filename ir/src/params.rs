//! Parameter sets and what they are worth in bits.

/// An RNS-CKKS parameter set with the actual primes.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameters {
    /// log2 of the ring degree N; a ciphertext has N/2 real slots.
    pub log_n: u32,
    /// Ciphertext primes, bottom to top; the level of a ciphertext is the index of its last prime.
    pub q: Vec<u64>,
    /// Special primes of key switching.
    pub p: Vec<u64>,
    /// Ciphertext primes per key-switching digit.
    pub digit: usize,
    /// The bootstrap's shape.
    pub bootstrap: Bootstrap,
}

/// Shape of the fused bootstrap: slots-to-coefficients, mod-raise, coefficients-to-slots, cosine,
/// double angles, P.
///
/// The transforms act on h = N/4 complex slots: butterfly stages in groups, one level a group.
/// The level bookkeeping: StC enters at level `stc.len()` and leaves at 0; the mod-raise goes to
/// the top level; CtS takes `cts.len()`, the cosine ceil(log2(cos_degree + 1)), each double angle
/// one, P ceil(log2(degree + 1)).
#[derive(Clone, Debug, PartialEq)]
pub struct Bootstrap {
    /// log2 of the radix of each slots-to-coefficients group, first applied first; sums to log_n - 2.
    pub stc: Vec<u32>,
    /// The same for coefficients-to-slots.
    pub cts: Vec<u32>,
    /// Degree of the Chebyshev series of the cosine (even).
    pub cos_degree: usize,
    /// Number of double-angle steps.
    pub double_angles: u32,
    /// The mod-raise overflow is at most this many multiples of q0.
    pub range: u32,
    /// Hamming weight of the sparse secret of the mod-raise [BTH22].
    pub sparse_weight: usize,
}
