//! The planner of a network: the exact placement under measured costs.

use hecc_ir::nn::Op;
use hecc_passes::PassError;
use hecc_passes::latency::Oracle;

use crate::error::SearchError;
use crate::objective::{Genome, check_genome};
use crate::planner::{Cost, Planner};

/// An [`Oracle`] with the alternatives of every activation.
pub struct OraclePlanner {
    oracle: Oracle,
    candidates: Vec<Vec<Op>>,
}

impl OraclePlanner {
    /// `candidates[i]` are the alternatives of the oracle's activation i.
    pub fn new(oracle: Oracle, candidates: Vec<Vec<Op>>) -> Self {
        Self { oracle, candidates }
    }

    /// The operators of a genome.
    ///
    /// # Errors
    /// [`SearchError::Genome`].
    pub fn ops(&self, genome: &[u8]) -> Result<Vec<Op>, SearchError> {
        let sizes: Vec<usize> = self.candidates.iter().map(Vec::len).collect();
        check_genome(genome, &sizes)?;
        let chosen = self.candidates.iter().zip(genome);
        Ok(chosen
            .map(|(ops, &gene)| ops[usize::from(gene)].clone())
            .collect())
    }
}

impl Planner for OraclePlanner {
    fn predict(&self, genome: &[u8]) -> Result<Option<Cost>, SearchError> {
        match self.oracle.predict(&self.ops(genome)?) {
            Ok(found) => Ok(Some(Cost {
                seconds: found.seconds,
                bootstraps: found.bootstraps,
                log_n: found.log_n,
                levels: found.levels,
            })),
            Err(PassError::NoParameters(_)) => Ok(None),
            Err(other) => Err(other.into()),
        }
    }

    fn best(&self, errors: &[Vec<f64>], lambda: f64) -> Result<Genome, SearchError> {
        let found = self.oracle.best(&self.candidates, errors, lambda)?;
        Ok(found.into_iter().map(|index| index as u8).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hecc_ir::function::{Approximation, Function};
    use hecc_ir::nn::{Graph, Linear, Shape};
    use hecc_passes::choose_parameters::Constraints;
    use hecc_passes::{Options, fold_linear};

    #[test]
    fn costs_are_the_oracles_and_the_best_genome_is_one() {
        let shape = Shape::new(2, 4, 4);
        let relu = Op::Activation(Function::Relu);
        let line = |a: f32| {
            Op::Linear(Linear::Affine {
                scale: vec![a, a + 1.0],
                shift: vec![0.0; 2],
            })
        };
        let mut graph = Graph::new("image", shape);
        let x = graph.push(line(0.5), "scale", shape, &[graph.input]);
        let x = graph.push(relu.clone(), "first", shape, &[x]);
        let x = graph.push(line(0.25), "again", shape, &[x]);
        graph.output = graph.push(relu, "second", shape, &[x]);
        let folded = fold_linear(&graph).unwrap();
        let quadratic = Op::Activation(Function::Polynomial {
            coefficients: vec![vec![0.1, 0.5, 0.2]],
        });
        let levelled = |composed: usize| {
            let series = vec![0.1; 8];
            Op::Activation(Function::Approximated(Approximation::Levelled {
                range: 4.0,
                polynomials: vec![series; composed],
                times_x: false,
            }))
        };
        // Two of the last kind take more levels than any ring has without a bootstrap in between.
        let ops = vec![vec![line(0.5), quadratic, levelled(1), levelled(16)]; 2];
        let constraints = Constraints {
            ring: Some(14),
            ..Options::default().constraints
        };
        let options = Options {
            constraints,
            ..Options::default()
        };
        let oracle = || Oracle::new(&folded, &options).unwrap();
        let planner = OraclePlanner::new(oracle(), ops.clone());
        for genome in [[0, 0], [1, 0], [1, 1], [2, 1]] {
            let chosen = |(ops, gene): (&Vec<Op>, u8)| ops[usize::from(gene)].clone();
            let chosen: Vec<Op> = ops.iter().zip(genome).map(chosen).collect();
            let expect = oracle().predict(&chosen).unwrap();
            let cost = planner.predict(&genome).unwrap().unwrap();
            assert_eq!(
                (cost.seconds, cost.bootstraps),
                (expect.seconds, expect.bootstraps)
            );
            assert_eq!((cost.log_n, cost.levels), (expect.log_n, expect.levels));
        }
        assert_eq!(planner.predict(&[3, 3]).unwrap(), None);
        assert!(planner.predict(&[4, 0]).is_err());
        let errors = vec![vec![1.0, 0.0, 0.5, 0.5], vec![0.0, 0.5, 0.5, 0.5]];
        assert_eq!(planner.best(&errors, 1e6).unwrap(), [1, 0]);
    }
}
