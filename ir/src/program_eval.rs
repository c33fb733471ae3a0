//! The meaning of the ckks language in f64: element by element, which is fast, and slot by slot, which
//! shows what the ciphertexts hold.

use std::f64::consts::FRAC_PI_2;

use crate::kernel;
use crate::layout::Layout;
use crate::program::{Node, Op, Program, Target, Value};
use crate::program_verify::ProgramError;

/// `sum_k c_k T_k(y)` [Cle55].
pub fn chebyshev(coefficients: &[f64], y: f64) -> f64 {
    let tail = coefficients.iter().skip(1).rev();
    let (b1, b2) = tail.fold((0.0, 0.0), |(b1, b2), c| (c + 2.0 * y * b1 - b2, b1));
    coefficients.first().copied().unwrap_or(0.0) + y * b1 - b2
}

/// `P(cos((pi/2)(1 + rho x)))`: what an activation makes of a slot.
pub fn activate(coefficients: &[f64], rho: f64, x: f64) -> f64 {
    chebyshev(coefficients, (FRAC_PI_2 * (1.0 + rho * x)).cos())
}

impl Program {
    /// The output (network values) for one image (network values, c-major), computed on elements.
    ///
    /// # Errors
    /// When the program breaks a rule of its structure, or the image has the wrong length.
    pub fn evaluate(&self, image: &[f64]) -> Result<Vec<f64>, ProgramError> {
        let input = |node: &Node| image.iter().map(|v| v / node.unit).collect();
        let linear = |x: &[f64], from: &Node, node: &Node, map: usize| {
            let network: Vec<f64> = x.iter().map(|v| v * from.unit).collect();
            let mut value = self.stages(&network, from, map)?;
            value.iter_mut().for_each(|v| *v /= node.unit);
            Ok(value)
        };
        let output = self.interpret(image.len(), input, linear, |_, _| None, &mut |_, _| ())?;
        Ok(self.to_network(output))
    }

    /// The output for one image, computed on slots with diagonals, folds and twists, as ciphertexts
    /// are. `observe` sees the slots of every value.
    ///
    /// # Errors
    /// As [`Program::evaluate`].
    pub fn evaluate_slots(
        &self,
        image: &[f64],
        observe: &mut dyn FnMut(Value, &[f64]),
    ) -> Result<Vec<f64>, ProgramError> {
        let input = |node: &Node| {
            node.layout
                .pack(&image.iter().map(|v| v / node.unit).collect::<Vec<_>>())
        };
        let linear = |x: &[f64], from: &Node, node: &Node, map: usize| {
            let diagonals = self.maps[map].diagonals(&from.layout, &node.layout);
            Ok(diagonals.map_err(|e| e.to_string())?.apply(x))
        };
        let moved = |from: &Layout, to: &Layout| (from != to).then(|| from.retwist(to.twist));
        let output = self.interpret(image.len(), input, linear, moved, observe)?;
        let output = self.nodes[self.nodes.len() - 1].layout.unpack(&output);
        Ok(self.to_network(output))
    }

    /// The network's own value of every node (network values, c-major): exact operators, and where the
    /// program approximates, the function that a node's target names. None for the nodes that are no
    /// more than a step on the way to an approximation.
    ///
    /// # Errors
    /// As [`Program::evaluate`].
    pub fn reference(&self, image: &[f64]) -> Result<Vec<Option<Vec<f64>>>, ProgramError> {
        self.verify_structure()?;
        self.image_fits(image.len())?;
        let mut needed = vec![false; self.nodes.len()];
        if let Some(output) = needed.last_mut() {
            *output = true;
        }
        for (value, node) in self.nodes.iter().enumerate().rev() {
            if needed[value] {
                match &node.target {
                    Some(target) => needed[target.x] = true,
                    None => node
                        .op
                        .operands()
                        .into_iter()
                        .for_each(|x| needed[x] = true),
                }
            }
        }
        let mut values: Vec<Option<Vec<f64>>> = Vec::with_capacity(self.nodes.len());
        for (value, node) in self.nodes.iter().enumerate() {
            let result = match needed[value] {
                true => Some(
                    self.exact(node, image, &values)
                        .map_err(|what| self.broken(value, what))?,
                ),
                false => None,
            };
            values.push(result);
        }
        Ok(values)
    }

    /// What the network has at `node`, from the values before it.
    fn exact(
        &self,
        node: &Node,
        image: &[f64],
        values: &[Option<Vec<f64>>],
    ) -> Result<Vec<f64>, String> {
        let of = |x: Value| values[x].as_deref().unwrap_or_default();
        if let Some(Target { x, function }) = &node.target {
            let Some(function) = function else {
                return Ok(of(*x).to_vec());
            };
            let area = node.layout.shape.h * node.layout.shape.w;
            let apply = |(i, &v): (usize, &f64)| function.apply(i / area, v);
            return Ok(of(*x).iter().enumerate().map(apply).collect());
        }
        let each = |x: Value, f: &dyn Fn(f64) -> f64| of(x).iter().map(|&v| f(v)).collect();
        let both = |x: Value, y: Value, f: fn(f64, f64) -> f64| {
            of(x).iter().zip(of(y)).map(|(&x, &y)| f(x, y)).collect()
        };
        Ok(match &node.op {
            Op::Input => image.to_vec(),
            Op::Linear { x, map } => self.stages(of(*x), &self.nodes[*x], *map)?,
            // A change of unit: the network's value is the same.
            Op::MulConst { x, .. } => of(*x).to_vec(),
            Op::Add { x, y } => both(*x, *y, |x, y| x + y),
            Op::Mul { x, y } => both(*x, *y, |x, y| x * y),
            Op::Polynomial { x, coefficients } => {
                let unit = self.nodes[*x].unit;
                each(*x, &|v| node.unit * chebyshev(coefficients, v / unit))
            }
            Op::Activate {
                x,
                coefficients,
                rho,
            } => {
                let unit = self.nodes[*x].unit;
                each(*x, &|v| node.unit * activate(coefficients, *rho, v / unit))
            }
        })
    }

    /// The stages of a map on network values.
    fn stages(&self, x: &[f64], from: &Node, map: usize) -> Result<Vec<f64>, String> {
        let map = &self.maps[map];
        let shapes = map.shapes(from.layout.shape).map_err(|e| e.to_string())?;
        let mut value = x.to_vec();
        for (stage, step) in map.stages.iter().zip(shapes.windows(2)) {
            value = kernel::apply(stage, step[0], step[1], &value, true);
        }
        Ok(value)
    }

    fn image_fits(&self, image: usize) -> Result<(), ProgramError> {
        let expected = self.nodes[0].layout.shape.elements();
        match image == expected {
            true => Ok(()),
            false => {
                let what = format!("takes {expected} values, the image has {image}");
                Err(self.broken(0, what))
            }
        }
    }

    fn to_network(&self, mut output: Vec<f64>) -> Vec<f64> {
        let unit = self.nodes[self.nodes.len() - 1].unit;
        output.iter_mut().for_each(|v| *v *= unit);
        output
    }

    /// Runs the nodes in order on vectors that `input` and `linear` make; `moved` tells from which
    /// positions an activation takes its operands, if not from its own.
    fn interpret(
        &self,
        image: usize,
        input: impl Fn(&Node) -> Vec<f64>,
        linear: impl Fn(&[f64], &Node, &Node, usize) -> Result<Vec<f64>, String>,
        moved: impl Fn(&Layout, &Layout) -> Option<Vec<usize>>,
        observe: &mut dyn FnMut(Value, &[f64]),
    ) -> Result<Vec<f64>, ProgramError> {
        self.verify_structure()?;
        self.image_fits(image)?;
        let mut last_use = vec![self.nodes.len(); self.nodes.len()];
        for (value, node) in self.nodes.iter().enumerate() {
            node.op
                .operands()
                .into_iter()
                .for_each(|x| last_use[x] = value);
        }
        let mut values: Vec<Vec<f64>> = Vec::with_capacity(self.nodes.len());
        for (value, node) in self.nodes.iter().enumerate() {
            let result = match &node.op {
                Op::Input => input(node),
                Op::Linear { x, map } => linear(&values[*x], &self.nodes[*x], node, *map)
                    .map_err(|what| self.broken(value, what))?,
                Op::MulConst { x, factor } => values[*x].iter().map(|v| v * factor).collect(),
                Op::Add { x, y } => values[*x]
                    .iter()
                    .zip(&values[*y])
                    .map(|(x, y)| x + y)
                    .collect(),
                Op::Mul { x, y } => values[*x]
                    .iter()
                    .zip(&values[*y])
                    .map(|(x, y)| x * y)
                    .collect(),
                Op::Polynomial { x, coefficients } => values[*x]
                    .iter()
                    .map(|&v| chebyshev(coefficients, v))
                    .collect(),
                Op::Activate {
                    x,
                    coefficients,
                    rho,
                } => {
                    let act = |v: f64| activate(coefficients, *rho, v);
                    match moved(&self.nodes[*x].layout, &node.layout) {
                        Some(from) => from.into_iter().map(|slot| act(values[*x][slot])).collect(),
                        None => values[*x].iter().map(|&v| act(v)).collect(),
                    }
                }
            };
            observe(value, &result);
            values.push(result);
            for x in node.op.operands() {
                if last_use[x] == value {
                    values[x] = Vec::new();
                }
            }
        }
        Ok(values.pop().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::Shape;
    use crate::params::Parameters;
    use crate::testing::{Random, levelled_parameters, levelled_program, residual_program};

    #[test]
    fn elements_and_slots_agree() {
        let program = residual_program();
        let parameters = Parameters::fused(11, 15);
        program.verify(&parameters).unwrap();
        let mut random = Random::new(4);
        let shape = program.nodes[0].layout.shape;
        assert_eq!(shape, Shape::new(3, 8, 8));
        let image: Vec<f64> = (0..shape.elements()).map(|_| random.unit()).collect();
        let elements = program.evaluate(&image).unwrap();
        let mut seen = 0;
        let slots = program
            .evaluate_slots(&image, &mut |_, _| seen += 1)
            .unwrap();
        let worst = elements
            .iter()
            .zip(&slots)
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f64::max);
        assert!(
            elements.len() == 10 && slots.len() == 10 && worst < 1e-9,
            "{worst}"
        );
        assert!(elements.iter().any(|v| v.abs() > 1e-2), "{elements:?}");
        assert_eq!(seen, program.nodes.len());
        assert!(program.evaluate(&image[1..]).is_err());
    }

    #[test]
    fn elements_and_slots_agree_on_two_ciphertexts() {
        let program = levelled_program();
        program.verify(&levelled_parameters()).unwrap();
        let mut random = Random::new(4);
        let image: Vec<f64> = (0..192).map(|_| random.unit()).collect();
        let elements = program.evaluate(&image).unwrap();
        let mut lengths = Vec::new();
        let slots = program.evaluate_slots(&image, &mut |_, v| lengths.push(v.len()));
        let worst = elements
            .iter()
            .zip(slots.unwrap())
            .map(|(a, b)| (a - b).abs());
        assert!(worst.fold(0.0, f64::max) < 1e-9);
        assert_eq!(lengths[..4], [1024, 2048, 2048, 1024]);
    }

    #[test]
    fn the_reference_is_the_network_not_its_approximation() {
        let mut program = levelled_program();
        let mut random = Random::new(5);
        let image: Vec<f64> = (0..192).map(|_| random.unit()).collect();
        let reference = program.reference(&image).unwrap();
        let at = |value: usize| reference[value].as_ref().unwrap();
        assert_eq!(at(0), &image);
        let maps = |x: usize, y: usize, f: fn(f64) -> f64| {
            at(x)
                .iter()
                .zip(at(y))
                .all(|(&x, &y)| (f(x) - y).abs() < 1e-12)
        };
        assert!(maps(1, 2, |x| x * x) && maps(3, 5, |x| x.max(0.0)) && maps(3, 7, |x| x));
        assert_eq!(reference[4], None);
        // Where every step is exact, the program is its own reference.
        program.nodes[5].target = None;
        let reference = program.reference(&image).unwrap();
        let output = program.evaluate(&image).unwrap();
        let pairs = reference[9].as_ref().unwrap().iter().zip(output);
        assert!(pairs.into_iter().all(|(a, b)| (a - b).abs() < 1e-9));
        assert!(reference[4].is_some());
    }

    #[test]
    fn chebyshev_series_are_cosines() {
        let coefficients = [0.25, -1.0, 0.5, 2.0];
        for x in [-1.0, -0.3, 0.0, 0.8, 1.2] {
            let theta: f64 = FRAC_PI_2 * (1.0 + 0.9 * x);
            let expect: f64 = coefficients
                .iter()
                .enumerate()
                .map(|(k, c)| c * (k as f64 * theta).cos())
                .sum();
            assert!((activate(&coefficients, 0.9, x) - expect).abs() < 1e-12);
        }
    }
}
