//! The bootstrap that evaluates a function: cos of the message, then any polynomial of the cosine
//! [BCKS24, AKP24], with slots-to-coefficients first and sparse-secret encapsulation [BTH22].
//!
//! N/2 real slots v travel as h = N/4 complex coefficients of Z[X^2]:
//! the slots are read as w_j = v_j + i v_{j+h}; slots-to-coefficients puts rho q_0/4 w into the
//! even coefficients, on top of a constant q_0/4; the mod-raise adds q_0 I; the trace removes the
//! odd coefficients; coefficients-to-slots and one conjugation give the real numbers
//! (1 + rho v)/4 + I; their cosine at 2 pi forgets I and is y = cos((pi/2)(1 + rho v)).

mod butterflies;

use crate::ciphertext::Ciphertext;
use crate::evaluator::{Evaluator, same_scale};
use crate::linear_transform::LinearTransform;
use crate::poly::{Coefficients, Evaluations, Limbs};
use crate::polynomial::depth;
use crate::ring::{BaseConversion, kernels};
use crate::{Context, Error};
use butterflies::Groups;
use rayon::prelude::*;
use std::f64::consts::PI;
use std::sync::Arc;

/// The circuit around the activation.
#[derive(Clone, Debug, PartialEq)]
pub struct BootstrapShape {
    /// log2 of the radix of each slots-to-coefficients group, first applied first; their sum is log2(N/4).
    pub stc: Vec<u32>,
    /// The same for coefficients-to-slots.
    pub cts: Vec<u32>,
    /// Degree of the Chebyshev series of the cosine, even.
    pub cos_degree: usize,
    /// Double-angle steps r: the series is of cos at 2^-r of the angle.
    pub double_angles: u32,
    /// K: the mod-raise adds less than K multiples of q_0.
    pub range: u32,
    /// Share of the half circle that |v| <= 1 fills.
    pub rho: f64,
    /// Scale of the operand.
    pub input_scale: f64,
}

impl BootstrapShape {
    /// Level of the operand: what slots-to-coefficients consumes.
    pub fn input_level(&self) -> usize {
        self.stc.len()
    }

    /// Levels from the top down to y.
    pub fn cosine_levels(&self) -> usize {
        self.cts.len() + depth(self.cos_degree) + self.double_angles as usize
    }
}

/// A bootstrap with its encoded transforms. At N = 2^15 these are a gigabyte: share it.
pub struct Bootstrapper {
    circuit: Arc<Circuit>,
    cts: Vec<Arc<LinearTransform>>,
    /// Whether its permutation leaves every slot in its half.
    keeps_halves: bool,
}

/// What bootstraps with different permutations have in common.
struct Circuit {
    context: Arc<Context>,
    shape: BootstrapShape,
    stc: Vec<LinearTransform>,
    cosine: Vec<f64>,
    /// q_0/4 in the even coefficients, modulo q_0.
    quarter: Evaluations,
    raise: BaseConversion,
}

impl Bootstrapper {
    /// Encodes the transforms. With `permutation`, output slot s holds the function of input slot
    /// `permutation[s]`; it must move whole blocks of N/4 / 2^cts\[0\] slots.
    ///
    /// # Errors
    /// When the shape does not fit the ring or its levels, or the permutation splits a block.
    pub fn new(
        context: &Arc<Context>,
        shape: BootstrapShape,
        permutation: Option<&[usize]>,
    ) -> Result<Self, Error> {
        let circuit = Arc::new(Circuit::new(context, shape)?);
        let cts = circuit.coefficients_to_slots(permutation, |_| None)?;
        Ok(Self {
            circuit,
            cts,
            keeps_halves: keeps_halves(permutation),
        })
    }

    /// The same bootstrap with another permutation; shares what does not depend on it, most of its
    /// transforms.
    ///
    /// # Errors
    /// When the permutation splits a block.
    pub fn permuted(&self, permutation: Option<&[usize]>) -> Result<Self, Error> {
        let keeps_halves = keeps_halves(permutation);
        let last = self.cts.len().saturating_sub(1);
        // Permutations move blocks as long as the period of what follows the first group, but for the
        // last one's different halves.
        let unchanged =
            |group: usize| group > 0 && (group < last || keeps_halves && self.keeps_halves);
        let shared = |group: usize| unchanged(group).then(|| self.cts[group].clone());
        let cts = self.circuit.coefficients_to_slots(permutation, shared)?;
        Ok(Self {
            circuit: self.circuit.clone(),
            cts,
            keeps_halves,
        })
    }

    /// The shape it was made for.
    pub fn shape(&self) -> &BootstrapShape {
        &self.circuit.shape
    }

    /// Rotations it needs, with the level of each.
    pub fn rotations(&self) -> Vec<(usize, usize)> {
        let levels = (1..=self.circuit.stc.len())
            .rev()
            .chain((0..=self.circuit.context.top()).rev());
        let at = |(transform, level): (&LinearTransform, usize)| {
            transform
                .rotations()
                .into_iter()
                .map(move |steps| (steps, level))
                .collect::<Vec<_>>()
        };
        self.circuit
            .stc
            .iter()
            .chain(self.cts.iter().map(|transform| &**transform))
            .zip(levels)
            .flat_map(at)
            .collect()
    }

    /// P(cos((pi/2)(1 + rho v))) for the real slots v of `x`, |v| <= 1, with P a Chebyshev series;
    /// the result has scale `scale`.
    ///
    /// # Errors
    /// When the operand's level or scale is not the shape's, P is constant or too deep, or a key is
    /// missing.
    pub fn activate(
        &self,
        e: &Evaluator,
        x: &Ciphertext,
        series: &[f64],
        scale: f64,
    ) -> Result<Ciphertext, Error> {
        let y = self.cosine(e, x)?;
        e.chebyshev(&y, series, scale)
    }

    /// y = cos((pi/2)(1 + rho v)).
    ///
    /// # Errors
    /// As [`Bootstrapper::activate`].
    pub fn cosine(&self, e: &Evaluator, x: &Ciphertext) -> Result<Ciphertext, Error> {
        let circuit = &self.circuit;
        same_scale("bootstrap", x.scale(), circuit.shape.input_scale)?;
        let low = circuit
            .stc
            .iter()
            .try_fold(x.clone(), |x, transform| e.transform(transform, &x))?;
        let raised = circuit.mod_raise(e, low)?;
        let z = self
            .cts
            .iter()
            .try_fold(raised, |x, transform| e.transform(transform, &x))?;
        circuit.cosine(e, &e.add(&z, &e.conjugate(&z)?)?)
    }
}

impl Circuit {
    fn new(context: &Arc<Context>, shape: BootstrapShape) -> Result<Self, Error> {
        let top = context.top();
        let half_slots = context.n() / 4;
        let total = |radices: &[u32]| radices.iter().sum::<u32>();
        let expected = half_slots.trailing_zeros();
        if shape
            .stc
            .iter()
            .chain(&shape.cts)
            .any(|&r| r == 0 || r > expected)
            || total(&shape.stc) != expected
            || total(&shape.cts) != expected
        {
            return Err(Error::Parameters(format!(
                "the radices of both transforms must multiply to 2^{expected}"
            )));
        }
        if shape.cos_degree < 4
            || shape.cos_degree % 2 == 1
            || shape.cos_degree > 254
            || shape.double_angles > 16
        {
            return Err(Error::Parameters(
                "the cosine needs an even degree, 4 to 254".into(),
            ));
        }
        if !(shape.rho > 0.0 && shape.rho <= 1.0 && shape.range >= 1 && shape.input_scale > 1.0) {
            return Err(Error::Parameters(
                "rho must lie in (0, 1], the range and the scale be positive".into(),
            ));
        }
        if shape.cosine_levels() >= top || shape.input_level() > top {
            return Err(Error::Parameters(format!(
                "{} levels are too few for this bootstrap",
                top
            )));
        }
        let q = |i: usize| context.q(i).value() as f64;
        let groups = Groups::new(half_slots);

        // Half of rho q_0/2 survives in the even coefficients: the trace doubles them.
        let reached: f64 = (1..=shape.stc.len()).map(q).product();
        let plain = shape.rho * q(0) / 2.0 * reached / shape.input_scale;
        let plain = plain.powf(1.0 / shape.stc.len() as f64);
        let stc = groups
            .slots_to_coefficients(&shape.stc)
            .into_iter()
            .enumerate()
            .map(|(i, group)| {
                LinearTransform::new(
                    context,
                    group.diagonals,
                    group.giant,
                    shape.stc.len() - i,
                    plain,
                )
            })
            .collect::<Result<_, _>>()?;

        let quarter = (context.q(0).value() / 4) as i64;
        let coefficients: Vec<i64> = (0..context.n())
            .map(|k| if k % 2 == 0 { quarter } else { 0 })
            .collect();
        let basis: Vec<_> = context
            .basis(top, context.specials())
            .iter()
            .map(|t| *t.modulus())
            .collect();
        let angle = 2.0 * PI * f64::from(shape.range) / f64::from(1u32 << shape.double_angles);
        Ok(Self {
            quarter: context.lift(&coefficients, 0, 0),
            raise: BaseConversion::new(&basis[..1], &basis[1..]),
            cosine: cosine_series(angle, shape.cos_degree),
            context: context.clone(),
            shape,
            stc,
        })
    }

    /// The encoded transforms from the raised coefficients back to the slots; those that `known` has
    /// are taken from there.
    fn coefficients_to_slots(
        &self,
        permutation: Option<&[usize]>,
        known: impl Fn(usize) -> Option<Arc<LinearTransform>>,
    ) -> Result<Vec<Arc<LinearTransform>>, Error> {
        let (context, shape, top) = (&self.context, &self.shape, self.context.top());
        let q = |i: usize| context.q(i).value() as f64;
        let reached: f64 = (0..shape.cts.len()).map(|i| q(top - i)).product();
        let wanted = q(top - shape.cts.len());
        let plain = wanted * reached / (4.0 * q(0) * f64::from(shape.range));
        let plain = plain.powf(1.0 / shape.cts.len() as f64);
        Groups::new(context.n() / 4)
            .coefficients_to_slots(&shape.cts, permutation)?
            .into_iter()
            .enumerate()
            .map(|(i, group)| match known(i) {
                Some(transform) => Ok(transform),
                None => {
                    let level = top - i;
                    LinearTransform::new(context, group.diagonals, group.giant, level, plain)
                        .map(Arc::new)
                }
            })
            .collect()
    }

    /// The cosine of the real slots z, which hold 1/K of the number of turns.
    fn cosine(&self, e: &Evaluator, z: &Ciphertext) -> Result<Ciphertext, Error> {
        // Scales of the double-angle chain, solved backwards: s_i = sqrt(s_{i+1} q).
        let r = self.shape.double_angles as usize;
        let last = z
            .level()
            .checked_sub(depth(self.shape.cos_degree) + r)
            .ok_or(Error::Level {
                operation: "bootstrap",
                expected: "a longer modulus chain".into(),
                got: z.level(),
            })?;
        let q = |i: usize| self.context.q(i).value() as f64;
        let mut scale = q(last);
        for step in 1..=r {
            scale = (scale * q(last + step)).sqrt();
        }
        let mut y = e.chebyshev_even(z, &self.cosine, scale)?;
        for _ in 0..r {
            y = e.double_angle(&y)?;
        }
        Ok(y)
    }

    /// From (m modulo q_0, dense secret) to (Tr(m + q_0 I) modulo Q, dense secret).
    fn mod_raise(&self, e: &Evaluator, mut x: Ciphertext) -> Result<Ciphertext, Error> {
        let context = &self.context;
        let (top, specials) = (context.top(), context.specials());
        let keys = e
            .keys()
            .encapsulation
            .as_ref()
            .ok_or_else(|| Error::MissingKey("encapsulation".into()))?;
        x.drop_to(0);
        e.zip(&mut x.c0, &self.quarter, kernels::add_assign);

        let digits = context.decompose(&x.c1, 0, 1);
        let [mut u0, u1] = context.key_product(&digits, &keys.to_sparse, 0);
        context.add_raised(&mut u0, &x.c0, 1);
        let [c0, c1] = context.divide_both([u0, u1], 0, 0, 1);

        let c0 = Evaluations(self.lift(c0, top + 1));
        let c1 = [self.lift(c1, top + 1 + specials)];
        let halves = [&keys.to_dense, &keys.to_dense_negated].map(|key| {
            let [mut u0, u1] = context.key_product(&c1, key, top);
            context.add_raised(&mut u0, &c0, specials);
            [u0, u1]
        });
        let [plus, minus] = halves;
        let negation = context.permutation(context.n() as u64 + 1);
        let basis = context.basis(top, specials);
        let mut sums = plus;
        for (plus, minus) in sums.iter_mut().zip(minus) {
            plus.par_iter_mut()
                .zip(&basis)
                .enumerate()
                .for_each(|(i, (limb, table))| {
                    negation.apply_add(table.modulus(), minus.limb(i), limb);
                });
        }
        let [c0, c1] = context.divide_both(sums, top, 0, specials);
        let scale = 4.0 * context.q(0).value() as f64 * f64::from(self.shape.range);
        Ok(Ciphertext::new(c0, c1, scale))
    }

    /// The centred representative modulo q_0, as residues of `count` limbs of the top basis.
    fn lift(&self, half: Evaluations, count: usize) -> Limbs {
        let context = &self.context;
        let basis = context.basis(context.top(), context.specials());
        let Coefficients(low) = half.into_coefficients(&basis[..1]);
        let mut scaled = Limbs::dirty(context.n(), 1);
        let mut quotient = crate::Buffer::dirty(context.n());
        self.raise
            .prepare(&[low.limb(0)], &mut [scaled.limb_mut(0)], &mut quotient);
        let mut out = Limbs::dirty(context.n(), count);
        out.par_iter_mut().enumerate().for_each(|(i, limb)| {
            if i == 0 {
                limb.copy_from_slice(low.limb(0));
            } else {
                self.raise
                    .convert_limb(i - 1, &[scaled.limb(0)], &quotient, limb);
            }
            basis[i].forward(limb);
        });
        out
    }
}

/// Whether a permutation of the slots leaves each in its half.
fn keeps_halves(permutation: Option<&[usize]>) -> bool {
    permutation.is_none_or(|p| {
        let half = p.len() / 2;
        p.iter()
            .enumerate()
            .all(|(s, &from)| (s < half) == (from < half))
    })
}

/// Chebyshev coefficients of cos(angle * x) on [-1, 1], by interpolation at many more nodes than
/// the degree, then truncation; the odd ones are zero.
fn cosine_series(angle: f64, degree: usize) -> Vec<f64> {
    let nodes = 4 * (degree + 1);
    let theta = |j: usize| PI * (j as f64 + 0.5) / nodes as f64;
    (0..=degree)
        .map(|k| {
            if k % 2 == 1 {
                return 0.0;
            }
            let sum: f64 = (0..nodes)
                .map(|j| (angle * theta(j).cos()).cos() * (k as f64 * theta(j)).cos())
                .sum();
            sum * if k == 0 { 1.0 } else { 2.0 } / nodes as f64
        })
        .collect()
}
