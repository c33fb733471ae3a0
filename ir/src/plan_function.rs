//! Scalar functions as protobuf messages, and back.

use crate::function::{Approximation, Function};
use crate::wire;

/// The message of a function: its operator's number, then its numbers in the order of its fields.
pub fn write_function(function: &Function) -> wire::Function {
    let plain = |op: u32, numbers: &[f64]| wire::Function {
        op,
        numbers: numbers.to_vec(),
        lengths: Vec::new(),
    };
    let single = |op: u32, numbers: &[f32]| {
        plain(
            op,
            &numbers.iter().map(|&v| f64::from(v)).collect::<Vec<_>>(),
        )
    };
    match function {
        Function::Relu => plain(0, &[]),
        Function::LeakyRelu { slope } => single(1, &[*slope]),
        Function::Clip { min, max } => single(2, &[*min, *max]),
        Function::Sigmoid => plain(3, &[]),
        Function::HardSigmoid { alpha, beta } => single(4, &[*alpha, *beta]),
        Function::HardSwish => plain(5, &[]),
        Function::Silu => plain(6, &[]),
        Function::Gelu { tanh: false } => plain(7, &[]),
        Function::Gelu { tanh: true } => plain(8, &[]),
        Function::Tanh => plain(9, &[]),
        Function::Elu { alpha } => single(10, &[*alpha]),
        Function::Selu { alpha, gamma } => single(11, &[*alpha, *gamma]),
        Function::Softplus => plain(12, &[]),
        Function::Mish => plain(13, &[]),
        Function::Abs => plain(14, &[]),
        Function::Sqrt => plain(15, &[]),
        Function::Exp => plain(16, &[]),
        Function::Reciprocal => plain(17, &[]),
        Function::Power { exponent } => plain(18, &[f64::from(*exponent)]),
        Function::Polynomial { coefficients } => wire::Function {
            lengths: coefficients.iter().map(|row| row.len() as u64).collect(),
            ..single(19, &coefficients.concat())
        },
        Function::Approximated(approximation) => match approximation {
            Approximation::Fused {
                range,
                rho,
                coefficients,
            } => plain(20, &[&[*range, *rho], coefficients.as_slice()].concat()),
            Approximation::Levelled {
                range,
                polynomials,
                times_x,
            } => {
                let flag = if *times_x { 1.0 } else { 0.0 };
                wire::Function {
                    lengths: polynomials.iter().map(|p| p.len() as u64).collect(),
                    ..plain(
                        21,
                        &[&[*range, flag], polynomials.concat().as_slice()].concat(),
                    )
                }
            }
            Approximation::Square { range } => plain(22, &[*range]),
        },
    }
}

/// The inverse of [`write_function`]; finiteness and lengths checked, meaning not.
///
/// # Errors
/// What is wrong, for a message.
pub fn read_function(function: &wire::Function) -> Result<Function, String> {
    if let Some(bad) = function.numbers.iter().find(|v| !v.is_finite()) {
        return Err(format!("a function with a number that is {bad}"));
    }
    let lengths = match (function.op, function.lengths.as_slice()) {
        (19 | 21, lengths) => lengths,
        (_, []) => &[],
        (op, lengths) => return Err(format!("function {op} of {} lists", lengths.len())),
    };
    Ok(match (function.op, function.numbers.as_slice()) {
        (0, []) => Function::Relu,
        (1, &[slope]) => Function::LeakyRelu {
            slope: single(slope)?,
        },
        (2, &[min, max]) => Function::Clip {
            min: single(min)?,
            max: single(max)?,
        },
        (3, []) => Function::Sigmoid,
        (4, &[alpha, beta]) => Function::HardSigmoid {
            alpha: single(alpha)?,
            beta: single(beta)?,
        },
        (5, []) => Function::HardSwish,
        (6, []) => Function::Silu,
        (7, []) => Function::Gelu { tanh: false },
        (8, []) => Function::Gelu { tanh: true },
        (9, []) => Function::Tanh,
        (10, &[alpha]) => Function::Elu {
            alpha: single(alpha)?,
        },
        (11, &[alpha, gamma]) => Function::Selu {
            alpha: single(alpha)?,
            gamma: single(gamma)?,
        },
        (12, []) => Function::Softplus,
        (13, []) => Function::Mish,
        (14, []) => Function::Abs,
        (15, []) => Function::Sqrt,
        (16, []) => Function::Exp,
        (17, []) => Function::Reciprocal,
        (18, &[exponent]) if (0.0..=1024.0).contains(&exponent) && exponent.fract() == 0.0 => {
            Function::Power {
                exponent: exponent as u32,
            }
        }
        (19, numbers) => {
            let numbers = numbers
                .iter()
                .map(|&v| single(v))
                .collect::<Result<Vec<_>, _>>()?;
            Function::Polynomial {
                coefficients: lists(&numbers, lengths)?,
            }
        }
        (20, &[range, rho, ref coefficients @ ..]) => {
            Function::Approximated(Approximation::Fused {
                range,
                rho,
                coefficients: coefficients.to_vec(),
            })
        }
        (21, &[range, flag, ref numbers @ ..]) if flag == 0.0 || flag == 1.0 => {
            Function::Approximated(Approximation::Levelled {
                range,
                polynomials: lists(numbers, lengths)?,
                times_x: flag == 1.0,
            })
        }
        (22, &[range]) => Function::Approximated(Approximation::Square { range }),
        (op, numbers) => return Err(format!("function {op} of {} numbers", numbers.len())),
    })
}

fn single(value: f64) -> Result<f32, String> {
    let narrow = value as f32;
    match f64::from(narrow) == value {
        true => Ok(narrow),
        false => Err(format!("{value} in single precision")),
    }
}

/// `numbers` cut into lists of these lengths.
fn lists<T: Copy>(mut numbers: &[T], lengths: &[u64]) -> Result<Vec<Vec<T>>, String> {
    let mut lists = Vec::new();
    for &length in lengths {
        let cut = usize::try_from(length)
            .ok()
            .and_then(|n| numbers.split_at_checked(n));
        let Some((here, rest)) = cut else {
            return Err(format!(
                "a list of {length} numbers, {} are left",
                numbers.len()
            ));
        };
        lists.push(here.to_vec());
        numbers = rest;
    }
    match numbers {
        [] => Ok(lists),
        _ => Err(format!("{} numbers in no list", numbers.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_survive_their_messages() {
        let fused = Approximation::Fused {
            range: 2.5,
            rho: 0.9,
            coefficients: vec![0.5, 1.0],
        };
        let levelled = Approximation::Levelled {
            range: 3.0,
            polynomials: vec![vec![0.0, 1.0], vec![0.25, 0.5, -1.0]],
            times_x: true,
        };
        for function in [
            Function::Relu,
            Function::LeakyRelu { slope: 0.1 },
            Function::Clip { min: 0.0, max: 6.0 },
            Function::Sigmoid,
            Function::HardSigmoid {
                alpha: 0.2,
                beta: 0.5,
            },
            Function::HardSwish,
            Function::Silu,
            Function::Gelu { tanh: false },
            Function::Gelu { tanh: true },
            Function::Tanh,
            Function::Elu { alpha: 1.0 },
            Function::Selu {
                alpha: 1.6,
                gamma: 1.05,
            },
            Function::Softplus,
            Function::Mish,
            Function::Abs,
            Function::Sqrt,
            Function::Exp,
            Function::Reciprocal,
            Function::Power { exponent: 3 },
            Function::Polynomial {
                coefficients: vec![vec![0.1, 0.2, 0.3], vec![0.4, 0.5, 0.6]],
            },
            Function::Approximated(fused),
            Function::Approximated(levelled),
            Function::Approximated(Approximation::Square { range: 4.0 }),
        ] {
            assert_eq!(read_function(&write_function(&function)), Ok(function));
        }
    }

    #[test]
    fn hostile_functions_are_refused() {
        let check = |op: u32, numbers: &[f64], lengths: &[u64], expect: &str| {
            let message = wire::Function {
                op,
                numbers: numbers.to_vec(),
                lengths: lengths.to_vec(),
            };
            let error = read_function(&message).unwrap_err();
            assert!(error.contains(expect), "{error}");
        };
        check(99, &[], &[], "function 99 of 0 numbers");
        check(0, &[1.0], &[], "function 0 of 1 numbers");
        check(1, &[f64::NAN], &[], "NaN");
        check(1, &[0.1], &[], "single precision");
        check(18, &[2.5], &[], "function 18");
        check(19, &[1.0], &[u64::MAX], "1 are left");
        check(19, &[1.0], &[], "in no list");
        check(3, &[], &[0], "function 3 of 1 lists");
        check(21, &[1.0, 0.5], &[], "function 21");
    }
}
