//! What is measured: parameter sets as networks get them, and at which levels.

use hecc_ir::params::{Chain, Parameters, ParametersError};

/// A parameter set and what to measure under it.
pub struct Set {
    /// The set.
    pub parameters: Parameters,
    /// Levels of operands for maps, products and sums.
    pub levels: Vec<usize>,
    /// Levels and degrees of polynomials.
    pub polynomials: [Vec<usize>; 2],
    /// Groups of coefficients-to-slots when its bootstrap is to be measured.
    pub bootstrap: Option<usize>,
}

/// Levels up to here have maps of full size.
const LONG: usize = 24;

/// Degree of P in the sets with a bootstrap.
pub const DEGREE: usize = 15;

/// The sets of the ring 2^log_n, 13 to 16: one for plans without bootstraps, where such plans are worth
/// it, and one for fused activations. Rings below 2^15 cannot hold the latter securely; they are
/// measured for what they cost. `quick` leaves out most levels, without `bootstrap` none is measured.
pub fn sets(log_n: u32, quick: bool, bootstrap: bool) -> Result<Vec<Set>, ParametersError> {
    let levelled = match log_n {
        13 => Some(((40, 3, 34), (1, 50), 1)),
        14 => Some(((44, 8, 34), (2, 48), 2)),
        16 => Some(((44, 39, 34), (7, 50), 7)),
        _ => None,
    };
    let mut sets = Vec::new();
    if let Some(((bottom, count, bits), special, digit)) = levelled {
        let parameters = Parameters::from_chain(&Chain {
            log_n,
            bottom,
            levelled: (count, bits),
            bootstrap: None,
            special,
            digit,
        })?;
        sets.push(Set::new(parameters, quick, false));
    }
    let fused = Parameters::from_chain(&Chain::fused(log_n, DEGREE, 3))?;
    sets.push(Set::new(fused, quick, bootstrap));
    Ok(sets)
}

impl Set {
    fn new(parameters: Parameters, quick: bool, bootstrap: bool) -> Self {
        let top = parameters.top();
        let (levels, degrees): (&[usize], &[usize]) = match quick {
            true => (&[1, 3, 8, 16, 30], &[2, 7, 15]),
            false => (&[1, 2, 3, 5, 8, 14, 20, 30, 39], &[2, 3, 7, 15, 27, 63]),
        };
        let up_to = |levels: &[usize]| levels.iter().copied().filter(|&l| l <= top).collect();
        let mut levels: Vec<usize> = up_to(levels);
        let long = top > LONG;
        if parameters.bootstrap.is_some() && !levels.contains(&top) && !quick {
            levels.push(top);
        }
        Self {
            levels,
            polynomials: [up_to(&[8, if long { 24 } else { 16 }]), degrees.to_vec()],
            bootstrap: parameters
                .bootstrap
                .as_ref()
                .filter(|_| bootstrap)
                .map(|b| b.cts.len()),
            parameters,
        }
    }

    /// Nonzero baby and giant steps of the largest map at `level`: as many as a convolution has, but for
    /// long chains, where every key has 300 MB.
    pub fn reach(&self, level: usize) -> [usize; 2] {
        if level > LONG { [4, 7] } else { [24, 15] }
    }

    /// Steps of progress that [`super::measure::measure`] reports.
    pub fn steps(&self) -> usize {
        let [levels, degrees] = &self.polynomials;
        let fitting = levels
            .iter()
            .flat_map(|l| degrees.iter().map(move |d| (*l, *d)));
        1 + 2 * self.levels.len()
            + fitting.filter(|&(l, d)| fits(l, d)).count()
            + 2 * usize::from(self.bootstrap.is_some())
    }
}

/// Whether a polynomial of this degree fits an operand at this level.
pub fn fits(level: usize, degree: usize) -> bool {
    hecc_ir::params::depth(degree) <= level
}
