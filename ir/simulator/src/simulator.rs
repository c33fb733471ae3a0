//! Runs a plan on tensor elements three times side by side: with the noise of every operation, without
//! it, and as the network itself has it.
//!
//! Elements stand for slots: copies of an element carry noise of their own, but whichever copy an
//! operator reads, the noise has the same distribution. Noise of different operations is taken as
//! independent.

use hecc_ir::kernel;
use hecc_ir::nn::Shape;
use hecc_ir::plan::Plan;
use hecc_ir::program::{Node, Op, Target, Value};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use crate::error::SimulatorError;
use crate::node_run::{NodeRun, Spread, magnitude, outside};
use crate::noise::{MapNoise, MapShape, Model};
use crate::sample::Tables;
use crate::series::{chebyshev, cosine};
use crate::series_noise::SeriesNoise;

/// Fewest runs of a prediction.
const RUNS: usize = 4;
/// Samples that a standard deviation of errors with long tails needs, within some per cent.
const SAMPLES: usize = 1 << 14;

/// A plan, ready to be simulated; shared by threads.
#[derive(Debug)]
pub struct Simulator<'p> {
    plan: &'p Plan,
    steps: Vec<Step>,
    tables: Tables,
}

/// What one image gives.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// The output with noise, network values; empty when the run diverged.
    pub output: Vec<f32>,
    /// The output without noise; empty when the run diverged.
    pub exact: Vec<f32>,
    /// The output of the network itself in f32; not finite where the network diverges.
    pub network: Vec<f32>,
    /// One per value, up to the one that diverged.
    pub nodes: Vec<NodeRun>,
    /// The value that is not a number, or too large for its modulus.
    pub diverged: Option<Value>,
}

/// A node, prepared.
#[derive(Debug)]
struct Step {
    /// Shapes along the stages of a linear map.
    shapes: Vec<Shape>,
    noise: Noise,
    /// Mean magnitude at which the coefficients wrap around the modulus.
    limit: f64,
    /// Last node that reads the value.
    last_use: Value,
    /// Whether the network has this value.
    in_network: bool,
}

/// What an operation adds to its exact result.
#[derive(Debug)]
enum Noise {
    None,
    Fresh(f64),
    Rounding(f64),
    Map(MapNoise),
    Series(Series),
    /// Standard deviation of y where it is 0, and the series P.
    Bootstrap(f64, Series),
}

#[derive(Debug)]
struct Series {
    coefficients: Vec<f32>,
    noise: SeriesNoise,
}

/// One value of the three evaluations.
#[derive(Default)]
struct Values {
    noisy: Vec<f32>,
    exact: Vec<f32>,
    /// None where the network has no such value.
    network: Option<Vec<f32>>,
}

impl Values {
    /// What the network has; nothing where it has no such value.
    fn network(&self) -> &[f32] {
        self.network.as_deref().unwrap_or_default()
    }
}

/// Standard deviation of the error of every value, in slot units: what an encrypted run should show.
///
/// From a few runs on pixels drawn at random; [`Simulator::predict`] does it for a given image.
///
/// # Errors
/// As [`Simulator::new`].
pub fn predict(plan: &Plan) -> Result<Vec<f64>, SimulatorError> {
    let simulator = Simulator::new(plan)?;
    let (shape, preprocess) = (plan.program.nodes[0].layout.shape, &plan.preprocess);
    let mut random = ChaCha8Rng::seed_from_u64(0);
    let plane = shape.h * shape.w;
    let pixel = |i: usize| {
        let of = |values: &[f64], other| values.get(i / plane).copied().unwrap_or(other);
        let value =
            (random.random::<f64>() - of(&preprocess.mean, 0.5)) / of(&preprocess.std, 0.25);
        value as f32
    };
    let image: Vec<f32> = (0..shape.elements()).map(pixel).collect();
    simulator.predict(&image, 1)
}

impl<'p> Simulator<'p> {
    /// Checks the program and works out the noise of every operation.
    ///
    /// # Errors
    /// When the program breaks a rule, or a map does not fit its layouts.
    pub fn new(plan: &'p Plan) -> Result<Self, SimulatorError> {
        plan.program.verify(&plan.parameters)?;
        let nodes = &plan.program.nodes;
        let mut steps: Vec<Step> = (0..nodes.len())
            .into_par_iter()
            .map(|value| Step::new(plan, value))
            .collect::<Result<_, _>>()?;
        for (value, node) in nodes.iter().enumerate() {
            let read = node.target.iter().map(|target| target.x);
            read.chain(node.op.operands())
                .for_each(|x| steps[x].last_use = value);
        }
        // Backwards from the output: an approximated value needs what its function is of.
        if let Some(output) = steps.last_mut() {
            output.in_network = true;
        }
        for (value, node) in nodes.iter().enumerate().rev() {
            if steps[value].in_network {
                let read = match &node.target {
                    Some(target) => vec![target.x],
                    None => node.op.operands(),
                };
                read.into_iter().for_each(|x| steps[x].in_network = true);
            }
        }
        Ok(Self {
            plan,
            steps,
            tables: Tables::new(),
        })
    }

    /// The plan.
    pub fn plan(&self) -> &'p Plan {
        self.plan
    }

    /// Standard deviation of the noise that the operation of `value` adds itself, in slot units, for
    /// operands of root mean square `operand`.
    pub fn own_noise(&self, value: Value, operand: f64) -> f64 {
        match &self.steps[value].noise {
            Noise::None => 0.0,
            Noise::Fresh(sd) | Noise::Rounding(sd) => *sd,
            Noise::Map(noise) => noise.sd(operand * operand),
            Noise::Series(series) | Noise::Bootstrap(_, series) => series.noise.mean(),
        }
    }

    /// Standard deviation of the error of every value on this image, in slot units, from a few runs;
    /// infinite from where a run diverges.
    ///
    /// # Errors
    /// When the image does not fit.
    pub fn predict(&self, image: &[f32], seed: u64) -> Result<Vec<f64>, SimulatorError> {
        let nodes = &self.plan.program.nodes;
        let typical = nodes[nodes.len() / 2].layout.shape.elements();
        let runs = RUNS.max(SAMPLES / typical.max(1)).min(SAMPLES / 256) as u64;
        let runs: Vec<Run> = (0..runs)
            .into_par_iter()
            .map(|i| self.run(image, seed.wrapping_add(i)))
            .collect::<Result<_, _>>()?;
        let of = |value: Value| {
            let mut nodes = runs.iter().map(|run| match run.diverged {
                None => run.nodes.get(value).copied(),
                Some(at) => run.nodes.get(value).copied().filter(|_| value < at),
            });
            nodes.try_fold(NodeRun::default(), |sum, node| Some(sum.merge(node?)))
        };
        let sd = |value: Value| {
            let Some(node) = of(value) else {
                return f64::INFINITY;
            };
            let operand = nodes[value].op.operands().first().and_then(|&x| of(x));
            let magnitude = operand.map_or(0.0, |x| x.mean_magnitude());
            // Noise below the resolution of f32 gets lost in the runs.
            node.noise_sd().max(self.own_noise(value, magnitude))
        };
        Ok((0..nodes.len()).map(sd).collect())
    }

    /// One image (network values, c-major) with the noise of `seed`.
    ///
    /// # Errors
    /// When the image does not fit.
    pub fn run(&self, image: &[f32], seed: u64) -> Result<Run, SimulatorError> {
        let nodes = &self.plan.program.nodes;
        let (expected, got) = (nodes[0].layout.shape.elements(), image.len());
        if got != expected {
            return Err(SimulatorError::Image { expected, got });
        }
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut values: Vec<Values> = Vec::with_capacity(nodes.len());
        let mut run = Run {
            output: Vec::new(),
            exact: Vec::new(),
            network: Vec::new(),
            nodes: Vec::with_capacity(nodes.len()),
            diverged: None,
        };
        for (value, step) in self.steps.iter().enumerate() {
            let mut result = Values {
                network: step.in_network.then(|| self.network(value, image, &values)),
                ..Values::default()
            };
            // Beyond a divergence only the network goes on.
            if run.diverged.is_none() {
                result.noisy = self.noisy(value, image, &values, &mut random);
                result.exact = self.exact(value, image, &values, |v| &v.exact);
                let stats = self.compare(value, &result, &values);
                // Not a number fails the comparison too.
                let fits = stats.magnitude < step.limit * stats.elements as f64;
                if !fits || !stats.noise.square.is_finite() {
                    run.diverged = Some(value);
                }
                run.nodes.push(stats);
            }
            values.push(result);
            for x in self.read_by(value) {
                if self.steps[x].last_use == value {
                    values[x] = Values::default();
                }
            }
        }
        if let (Some(last), Some(node)) = (values.pop(), nodes.last()) {
            let unit = node.unit as f32;
            let to_network = |mut x: Vec<f32>| {
                x.iter_mut().for_each(|v| *v *= unit);
                x
            };
            run.network = to_network(last.network.unwrap_or_default());
            if run.diverged.is_none() {
                run.output = to_network(last.noisy);
                run.exact = to_network(last.exact);
            }
        }
        Ok(run)
    }

    /// What the three evaluations of a value show.
    fn compare(&self, value: Value, result: &Values, values: &[Values]) -> NodeRun {
        NodeRun {
            elements: result.noisy.len(),
            noise: Spread::between(&result.noisy, &result.exact),
            approximation: result
                .network
                .as_ref()
                .map(|network| Spread::between(&result.exact, network))
                .filter(|spread| spread.square.is_finite()),
            magnitude: magnitude(&result.noisy),
            outside: match self.plan.program.nodes[value].op {
                Op::Polynomial { x, .. } | Op::Activate { x, .. } => {
                    Some(outside(&values[x].noisy))
                }
                Op::Input
                | Op::Linear { .. }
                | Op::MulConst { .. }
                | Op::Add { .. }
                | Op::Mul { .. } => None,
            },
        }
    }

    /// Values that a step reads, in any of the three evaluations.
    fn read_by(&self, value: Value) -> impl Iterator<Item = Value> + use<'p> {
        let node = &self.plan.program.nodes[value];
        let target = node.target.iter().map(|target| target.x);
        node.op.operands().into_iter().chain(target)
    }

    /// The operator on operands that `of` picks; exact.
    fn exact<'v>(
        &self,
        value: Value,
        image: &[f32],
        values: &'v [Values],
        of: impl Fn(&'v Values) -> &'v [f32],
    ) -> Vec<f32> {
        let (node, step) = (&self.plan.program.nodes[value], &self.steps[value]);
        let operand = |x: Value| of(&values[x]);
        let pairs = |x, y| operand(x).iter().zip(operand(y));
        match &node.op {
            Op::Input => image.iter().map(|v| v / node.unit as f32).collect(),
            Op::Linear { x, map } => {
                let map = &self.plan.program.maps[*map];
                // In network units the stages apply as they are.
                let unit = self.plan.program.nodes[*x].unit as f32;
                let mut out: Vec<f32> = operand(*x).iter().map(|v| v * unit).collect();
                for (stage, shapes) in map.stages.iter().zip(step.shapes.windows(2)) {
                    out = kernel::apply(stage, shapes[0], shapes[1], &out, true);
                }
                let back = (1.0 / node.unit) as f32;
                out.iter_mut().for_each(|v| *v *= back);
                out
            }
            Op::MulConst { x, factor } => {
                let factor = *factor as f32;
                operand(*x).iter().map(|v| v * factor).collect()
            }
            Op::Add { x, y } => pairs(*x, *y).map(|(x, y)| x + y).collect(),
            Op::Mul { x, y } => pairs(*x, *y).map(|(x, y)| x * y).collect(),
            Op::Polynomial { x, .. } => {
                let mut out = operand(*x).to_vec();
                if let Noise::Series(series) = &step.noise {
                    chebyshev(&series.coefficients, &mut out);
                }
                out
            }
            Op::Activate { x, rho, .. } => {
                let mut out = operand(*x).to_vec();
                if let Noise::Bootstrap(_, series) = &step.noise {
                    cosine(*rho as f32, &mut out);
                    chebyshev(&series.coefficients, &mut out);
                }
                out
            }
        }
    }

    /// The operator on noisy operands, with its own noise.
    fn noisy(
        &self,
        value: Value,
        image: &[f32],
        values: &[Values],
        random: &mut ChaCha8Rng,
    ) -> Vec<f32> {
        let (node, tables) = (&self.plan.program.nodes[value], &self.tables);
        let series_noise = |series: &Series, at: &[f32], out: &mut [f32], random: &mut _| {
            tables.laplace.for_each(out.len(), random, |i, error| {
                out[i] += series.noise.at(at[i]) * error
            });
        };
        if let (Noise::Bootstrap(sd, series), Op::Activate { x, rho, .. }) =
            (&self.steps[value].noise, &node.op)
        {
            let mut y = values[*x].noisy.clone();
            cosine(*rho as f32, &mut y);
            let sd = *sd as f32;
            tables.cosine.for_each(y.len(), random, |i, error| {
                y[i] += sd * (1.0 + y[i]).max(0.0).sqrt() * error
            });
            let mut out = y.clone();
            chebyshev(&series.coefficients, &mut out);
            series_noise(series, &y, &mut out, random);
            return out;
        }
        let mut out = self.exact(value, image, values, |v| &v.noisy);
        let operand = |i: usize| &values[node.op.operands()[i]].noisy;
        match &self.steps[value].noise {
            Noise::None | Noise::Bootstrap(..) => {}
            Noise::Fresh(sd) => tables.normal.add(&mut out, *sd, random),
            Noise::Rounding(sd) => tables.laplace.add(&mut out, *sd, random),
            Noise::Map(noise) => {
                let x = operand(0);
                let square: f64 = x.iter().map(|&v| f64::from(v * v)).sum();
                let sd = noise.sd(square / x.len().max(1) as f64);
                tables.laplace.add(&mut out, sd, random);
            }
            Noise::Series(series) => series_noise(series, operand(0), &mut out, random),
        }
        out
    }

    /// The value the network itself has, over the node's unit.
    fn network(&self, value: Value, image: &[f32], values: &[Values]) -> Vec<f32> {
        let nodes = &self.plan.program.nodes;
        match &nodes[value].target {
            None => self.exact(value, image, values, Values::network),
            Some(target) => {
                let x = values[target.x].network();
                apply_target(target, &nodes[target.x], &nodes[value], x)
            }
        }
    }
}

/// The target's function on `x`, a value with the unit of `from`, as a value with the unit of `node`.
fn apply_target(target: &Target, from: &Node, node: &Node, x: &[f32]) -> Vec<f32> {
    let Some(function) = &target.function else {
        let factor = (from.unit / node.unit) as f32;
        return x.iter().map(|v| v * factor).collect();
    };
    let Shape { h, w, .. } = node.layout.shape;
    let planes = x.chunks(h * w).enumerate();
    let apply = |channel, v: &f32| function.apply(channel, f64::from(*v) * from.unit) / node.unit;
    planes
        .flat_map(|(channel, plane)| plane.iter().map(move |v| apply(channel, v) as f32))
        .collect()
}

impl MapNoise {
    /// Standard deviation for an operand of this mean square.
    fn sd(&self, square: f64) -> f64 {
        (self.fixed + self.per_square * square).sqrt()
    }
}

impl Step {
    fn new(plan: &Plan, value: Value) -> Result<Self, SimulatorError> {
        let (nodes, parameters) = (&plan.program.nodes, &plan.parameters);
        let node = &nodes[value];
        let model = Model::new(parameters);
        let mut shapes = Vec::new();
        let series = |coefficients: &[f64], level: usize, scale_in: f64| Series {
            coefficients: coefficients.iter().map(|&c| c as f32).collect(),
            noise: SeriesNoise::new(parameters, coefficients, level, scale_in, node.scale),
        };
        let noise = match &node.op {
            Op::Input => Noise::Fresh(model.fresh(node.scale)),
            Op::Linear { x, map } => {
                let (from, map) = (&nodes[*x], &plan.program.maps[*map]);
                let failed = |source| SimulatorError::Map {
                    value,
                    name: node.name.clone(),
                    source,
                };
                shapes = map.shapes(from.layout.shape).map_err(failed)?;
                let offsets = map.offsets(&from.layout, &node.layout).map_err(failed)?;
                Noise::Map(model.map(&MapShape {
                    level: node.level + 1,
                    scale_in: from.scale,
                    scale_out: node.scale,
                    diagonals: offsets.offsets.len().div_ceil(node.layout.parts),
                    row_square: row_square(plan, value, *x, &shapes),
                    folds: offsets.folds.len(),
                }))
            }
            Op::MulConst { .. } | Op::Mul { .. } => {
                Noise::Rounding(model.step(node.level + 1, node.scale))
            }
            Op::Add { .. } => Noise::None,
            Op::Polynomial { x, coefficients } => {
                Noise::Series(series(coefficients, node.level, nodes[*x].scale))
            }
            Op::Activate { coefficients, .. } => {
                let bootstrap = parameters.bootstrap.as_ref();
                let bootstrap = bootstrap.ok_or_else(|| SimulatorError::NoBootstrap {
                    value,
                    name: node.name.clone(),
                })?;
                // The double angles leave y at the scale of the prime at its level; P follows at once,
                // and the result is dropped.
                let level = |degree| parameters.activation_out(degree).unwrap_or(node.level);
                let scale = parameters.q[level(0)] as f64;
                let p = series(coefficients, level(coefficients.len() - 1), scale);
                Noise::Bootstrap(model.cosine(bootstrap), p)
            }
        };
        let modulus: f64 = parameters.q[..=node.level]
            .iter()
            .map(|&q| (q as f64).log2())
            .sum();
        Ok(Self {
            shapes,
            noise,
            // Beyond 2^120 f32 ends.
            limit: (modulus - 1.0 - node.scale.log2()).min(120.0).exp2(),
            last_use: nodes.len(),
            in_network: false,
        })
    }
}

/// Mean over the output's elements of the sum of the squares of their matrix row, estimated from the
/// image of a vector of random signs: its expected square is the sum of all squares.
fn row_square(plan: &Plan, value: Value, x: Value, shapes: &[Shape]) -> f64 {
    let Op::Linear { map, .. } = plan.program.nodes[value].op else {
        return 0.0;
    };
    let map = &plan.program.maps[map];
    let mut random = ChaCha8Rng::seed_from_u64(value as u64);
    let elements = plan.program.nodes[x].layout.shape.elements();
    // Of few outputs, one vector says little.
    let rounds = 1 + 256 / plan.program.nodes[value].layout.shape.elements().max(1);
    let mut square = 0.0;
    for _ in 0..rounds {
        let signs = (0..elements).map(|_| if random.random() { 1.0 } else { -1.0 });
        let mut out: Vec<f32> = signs.collect();
        for (stage, shapes) in map.stages.iter().zip(shapes.windows(2)) {
            out = kernel::apply(stage, shapes[0], shapes[1], &out, false);
        }
        square += out.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>() / out.len().max(1) as f64;
    }
    square / rounds as f64 * map.gain * map.gain
}
