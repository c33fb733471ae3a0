//! AutoFHE's level rules as a placement problem.
//!
//! Sixteen levels after a bootstrap; a convolution with its BatchNorm takes two, an activation its
//! depth, a skip connection one (with downsampling one, or two where the shortcut is a convolution),
//! the average pool and the last linear layer one each. The first convolution ends with sixteen
//! levels left. A bootstrap may stand before and after every activation but before the first, and
//! takes its operand at any level. With these rules [`super::greedy`] places the bootstraps where the
//! authors' search does: `tests` below holds it against their published networks [AB24].
//!
//! A bootstrap costs one second and nothing else costs any, so seconds are a count, and
//! [`super::exact()`] gives the least possible number.

use super::{Node, PlacementError, Problem, Refresh, Way, greedy};

/// Levels after a bootstrap.
const LEVELS: usize = 16;

/// The networks the rules are published for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// ResNet of 6n + 2 layers for CIFAR: three stages of `blocks` = n residual blocks.
    ResNet {
        /// Blocks a stage.
        blocks: usize,
        /// Levels of the skip connection at the start of the second and third stage: 1 where it
        /// subsamples, 2 where it is a convolution.
        shortcut: usize,
    },
    /// Convolutions one after the other, each with its activation.
    Plain {
        /// Convolutions, the first included.
        convolutions: usize,
    },
}

impl Network {
    /// Activations of the network.
    pub fn activations(&self) -> usize {
        match self {
            Network::ResNet { blocks, .. } => 6 * blocks + 1,
            Network::Plain { convolutions } => *convolutions,
        }
    }
}

/// The placement problem of a network whose activations have the given depths, in order.
///
/// # Errors
/// [`PlacementError::Depths`] if there is not one depth an activation.
pub fn autofhe_problem(network: Network, depths: &[usize]) -> Result<Problem, PlacementError> {
    if depths.len() != network.activations() {
        return Err(PlacementError::Depths {
            expected: network.activations(),
            got: depths.len(),
        });
    }
    let mut builder = Builder { nodes: Vec::new() };
    let mut depths = depths.iter().copied();
    let input = builder.push("first convolution", vec![], 0, false);
    let mut x = builder.activation(input, &mut depths, false);
    match network {
        Network::ResNet { blocks, shortcut } => {
            for block in 0..3 * blocks {
                let downsamples = block > 0 && block % blocks == 0;
                let inner = builder.push("convolution", vec![x], 2, true);
                let inner = builder.activation(inner, &mut depths, true);
                let main = builder.push("convolution", vec![inner], 2, false);
                let skip = if downsamples { shortcut } else { 1 };
                let skip = builder.push("skip", vec![x], skip, false);
                let sum = builder.push("sum", vec![main, skip], 0, true);
                x = builder.activation(sum, &mut depths, true);
            }
        }
        Network::Plain { convolutions } => {
            for _ in 1..convolutions {
                let inner = builder.push("convolution", vec![x], 2, true);
                x = builder.activation(inner, &mut depths, true);
            }
        }
    }
    let pool = builder.push("average pool", vec![x], 1, false);
    let output = builder.push("linear layer", vec![pool], 1, false);
    Ok(Problem {
        nodes: builder.nodes,
        output,
        output_floor: 0,
    })
}

/// The number of bootstraps AutoFHE's search counts for a network, given the depth of each
/// activation: polynomial (15, 15, 27) has depth 14, a square with its coefficients 2, a pruned
/// activation 0.
///
/// # Errors
/// [`PlacementError::Depths`]; [`PlacementError::TooDeep`] for a depth above sixteen.
pub fn autofhe_count(network: Network, depths: &[usize]) -> Result<usize, PlacementError> {
    let problem = autofhe_problem(network, depths)?;
    Ok(greedy(&problem)?.bootstraps(&problem))
}

struct Builder {
    nodes: Vec<Node>,
}

impl Builder {
    fn push(&mut self, name: &str, operands: Vec<usize>, depth: usize, refresh: bool) -> usize {
        let value = self.nodes.len();
        self.nodes.push(Node {
            name: format!("{name} {value}"),
            operands,
            ways: vec![Way::Levelled {
                depth,
                seconds: vec![0.0; LEVELS + 1],
            }],
            refresh: refresh.then(|| Refresh {
                enter: 0,
                seconds: vec![1.0; LEVELS + 1],
            }),
            activation: false,
        });
        value
    }

    fn activation(
        &mut self,
        x: usize,
        depths: &mut impl Iterator<Item = usize>,
        refresh: bool,
    ) -> usize {
        let depth = depths.next().unwrap_or(0);
        let value = self.push("activation", vec![x], depth, refresh);
        self.nodes[value].activation = true;
        value
    }
}

#[cfg(test)]
mod tests {
    use super::super::{exact, greedy};
    use super::*;

    /// One bit a place where a bootstrap may stand: before and after every activation but the first.
    fn places(network: Network, depths: &[usize]) -> (usize, String) {
        let problem = autofhe_problem(network, depths).unwrap();
        let placement = greedy(&problem).unwrap();
        let mut places = String::new();
        for value in (0..problem.nodes.len())
            .filter(|&v| problem.nodes[v].activation)
            .skip(1)
        {
            for x in [problem.nodes[value].operands[0], value] {
                let bit = placement.choices[x].refreshed.is_some();
                places.push(if bit { '1' } else { '0' });
            }
        }
        (placement.bootstraps(&problem), places)
    }

    fn resnet(blocks: usize) -> Network {
        Network::ResNet {
            blocks,
            shortcut: 1,
        }
    }

    /// The released networks of [AB24] (github.com/human-analysis/AutoFHE, `weights/`): the depth of
    /// every activation, the bootstraps of the name, the least possible, and the places in
    /// `boot_loc.txt`.
    #[test]
    fn greedy_bootstraps_where_the_published_networks_do() {
        let vgg = Network::Plain { convolutions: 10 };
        let convolution = Network::ResNet {
            blocks: 5,
            shortcut: 2,
        };
        let published: [(Network, &[usize], usize, usize, &str); 10] = [
            (
                resnet(3),
                &[6, 7, 0, 5, 2, 2, 0, 2, 2, 5, 0, 0, 4, 2, 0, 2, 2, 2, 2],
                5,
                5,
                "010000100000000100000010000000100000",
            ),
            (
                resnet(3),
                &[6, 8, 6, 8, 8, 2, 0, 6, 7, 5, 0, 5, 7, 8, 8, 6, 9, 9, 2],
                11,
                11,
                "010010100000101000010001001001101000",
            ),
            (
                resnet(5),
                &[
                    0, 2, 2, 2, 0, 2, 0, 0, 0, 2, 0, 2, 2, 2, 0, 2, 0, 0, 0, 2, 0, 2, 0, 2, 2, 0,
                    0, 2, 2, 0, 2,
                ],
                8,
                6,
                "000000001001000000000010000000000101000000000101000000000010",
            ),
            (
                resnet(5),
                &[
                    0, 9, 10, 8, 0, 9, 12, 0, 0, 5, 0, 12, 0, 8, 11, 10, 0, 2, 0, 6, 9, 2, 5, 5, 9,
                    8, 7, 9, 8, 7, 0,
                ],
                19,
                18,
                "001010001010000100001000101010000100101000100010101010101000",
            ),
            (
                convolution,
                &[
                    10, 12, 8, 2, 9, 9, 0, 14, 8, 13, 0, 2, 9, 0, 7, 6, 6, 6, 0, 0, 0, 0, 8, 8, 9,
                    14, 0, 2, 2, 2, 0,
                ],
                16,
                16,
                "101000101000101010010001000010100001000000010010100100000000",
            ),
            (
                resnet(7),
                &[
                    0, 2, 0, 2, 0, 0, 0, 0, 0, 0, 2, 0, 0, 2, 0, 2, 0, 0, 0, 2, 0, 2, 0, 2, 0, 0,
                    0, 2, 0, 2, 0, 0, 2, 0, 0, 2, 2, 2, 0, 2, 0, 0, 2,
                ],
                8,
                7,
                "000000000001000000000000100100000000000100000000000100000000001000000000100100000000",
            ),
            (
                resnet(7),
                &[
                    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 6, 13, 9, 7, 8, 0, 8, 8, 0, 0, 9, 0, 8, 0, 8,
                    11, 6, 0, 3, 0, 10, 7, 12, 0, 2, 11, 10, 0, 9, 0, 10, 14,
                ],
                22,
                22,
                "000000000000000100000010101010001010000010001000101010001000101010001010100010001010",
            ),
            (
                vgg,
                &[2, 2, 0, 2, 2, 0, 2, 0, 2, 0],
                1,
                1,
                "000000010000000000",
            ),
            (
                vgg,
                &[10, 11, 9, 5, 2, 3, 2, 2, 6, 2],
                4,
                4,
                "101001000000100000",
            ),
            (
                vgg,
                &[8, 9, 12, 7, 7, 12, 7, 5, 9, 8],
                7,
                7,
                "101010010010001010",
            ),
        ];
        for (network, depths, count, least, expect) in published {
            assert_eq!(
                places(network, depths),
                (count, expect.to_string()),
                "{network:?}"
            );
            assert_eq!(autofhe_count(network, depths), Ok(count));
            let problem = autofhe_problem(network, depths).unwrap();
            let found = exact(&problem).unwrap();
            assert_eq!(
                (found.optimal, found.bootstraps(&problem)),
                (true, least),
                "{network:?}"
            );
        }
    }

    #[test]
    fn composites_of_high_degree_take_a_bootstrap_an_activation() {
        // (15, 15, 27) and the product with x: 4 + 4 + 5 + 1 levels. [LLK+22] bootstraps before every
        // activation but the first.
        for (blocks, count) in [(3, 18), (5, 30), (7, 42), (9, 54), (18, 108)] {
            assert_eq!(
                autofhe_count(resnet(blocks), &vec![14; 6 * blocks + 1]),
                Ok(count)
            );
        }
    }

    #[test]
    fn depths_are_checked() {
        let expected = 19;
        assert_eq!(
            autofhe_count(resnet(3), &[2; 18]),
            Err(PlacementError::Depths { expected, got: 18 })
        );
        let missing = match autofhe_count(resnet(3), &[17; 19]) {
            Err(PlacementError::TooDeep { missing, .. }) => missing,
            other => panic!("{other:?}"),
        };
        assert_eq!(missing, 1);
    }
}
