//! Why there is no placement.

/// Why a problem has no placement, or a placement does not belong to it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PlacementError {
    /// No placement gives a node the levels it needs.
    #[error(
        "{name} (v{value}) is {missing} levels too deep: its operand {operand_name} (v{operand}) has to stand at level {needs} and reaches {has} at most; use a polynomial of lower degree, a longer modulus, or parameters with a bootstrap"
    )]
    TooDeep {
        /// The node.
        value: usize,
        /// Its name.
        name: String,
        /// The operand that reaches least.
        operand: usize,
        /// Its name.
        operand_name: String,
        /// The level the cheapest way in levels takes.
        needs: usize,
        /// The highest level of the operand in any placement.
        has: usize,
        /// The difference.
        missing: usize,
    },
    /// No placement brings the output to its least level.
    #[error(
        "the output {name} (v{value}) is {missing} levels short: it has to leave at level {needs} and reaches {has} at most; use a polynomial of lower degree, a longer modulus, or parameters with a bootstrap"
    )]
    Output {
        /// The output.
        value: usize,
        /// Its name.
        name: String,
        /// Its least level.
        needs: usize,
        /// The highest level in any placement.
        has: usize,
        /// The difference.
        missing: usize,
    },
    /// Not one depth an activation.
    #[error("{got} depths for {expected} activations")]
    Depths {
        /// Activations of the network.
        expected: usize,
        /// Depths given.
        got: usize,
    },
    /// The problem contradicts itself.
    #[error("{name} (v{value}): {what}")]
    Malformed {
        /// The node.
        value: usize,
        /// Its name.
        name: String,
        /// What is wrong.
        what: &'static str,
    },
    /// A placement breaks a rule of its problem.
    #[error("{name} (v{value}): the placement breaks a rule: {what}")]
    Invalid {
        /// The node.
        value: usize,
        /// Its name.
        name: String,
        /// Which rule, with the levels expected and got.
        what: String,
    },
}
