//! Making the evaluation keys of a secret.

use crate::SecretKey;
use crate::sampling::{self, SmallPoly};
use crate::secret::{SecretPoly, automorphism};
use hecc_ckks::poly::Limbs;
use hecc_ckks::ring::kernels;
use hecc_ckks::uniform::Seed;
use hecc_ckks::{Context, Encapsulation, KeyShape, SwitchingKey};
use rand::{RngCore, SeedableRng, TryRngCore, rngs::OsRng};
use rand_chacha::ChaCha20Rng;
use rayon::prelude::*;

/// Makes evaluation keys; its randomness comes from the operating system.
pub struct KeyGenerator<'a> {
    context: &'a Context,
    secret: &'a SecretKey,
    rng: ChaCha20Rng,
}

impl<'a> KeyGenerator<'a> {
    /// A generator for the keys of `secret`.
    ///
    /// # Errors
    /// When the operating system has no randomness to give.
    pub fn new(
        context: &'a Context,
        secret: &'a SecretKey,
    ) -> Result<Self, rand::rand_core::OsError> {
        let mut seed = [0; 32];
        OsRng.try_fill_bytes(&mut seed)?;
        Ok(Self {
            context,
            secret,
            rng: ChaCha20Rng::from_seed(seed),
        })
    }

    /// From s^2 to s, for products at `level` and below.
    pub fn relinearisation(&mut self, level: usize) -> SwitchingKey {
        let mut square = self.secret.lift(self.context, level, 0);
        for (limb, table) in square.0.0.iter_mut().zip(self.context.basis(level, 0)) {
            let copy = zeroize::Zeroizing::new(limb.to_vec());
            kernels::mul_assign(table.modulus(), limb, &copy);
        }
        let shape = KeyShape::hybrid(self.context, level);
        let to = self.secret.lift(self.context, level, shape.specials);
        self.switching_key(shape, &square, &to)
    }

    /// Left rotation by `steps`, at `level` and below.
    pub fn rotation(&mut self, steps: usize, level: usize) -> SwitchingKey {
        self.galois(self.context.rotation_element(steps), level)
    }

    /// Complex conjugation, at `level` and below.
    pub fn conjugation(&mut self, level: usize) -> SwitchingKey {
        self.galois(self.context.conjugation_element(), level)
    }

    /// The keys of the mod-raise, around a fresh sparse secret of `weight` nonzero coefficients
    /// that is forgotten at once [BTH22].
    pub fn encapsulation(&mut self, weight: usize) -> Encapsulation {
        let sparse = sampling::sparse_ternary_vartime(&mut self.rng, self.context.n(), weight);
        let (down, up) = (KeyShape::to_sparse(), KeyShape::to_dense(self.context));
        let negation = self.context.n() as u64 + 1;
        let dense = self.secret.coefficients();
        Encapsulation {
            to_sparse: self.between(down, dense, &sparse),
            to_dense: self.between(up, &sparse, dense),
            to_dense_negated: self.between(up, &sparse, &automorphism(dense, negation)),
        }
    }

    fn galois(&mut self, galois: u64, level: usize) -> SwitchingKey {
        let inverse = self.context.inverse_element(galois);
        let image = automorphism(self.secret.coefficients(), inverse);
        self.between(
            KeyShape::hybrid(self.context, level),
            self.secret.coefficients(),
            &image,
        )
    }

    fn between(&mut self, shape: KeyShape, from: &SmallPoly, to: &SmallPoly) -> SwitchingKey {
        let from = SecretPoly(self.context.lift(from, shape.level, 0));
        let to = SecretPoly(self.context.lift(to, shape.level, shape.specials));
        self.switching_key(shape, &from, &to)
    }

    /// b_d = -a_d to + e + P g_d from.
    fn switching_key(
        &mut self,
        shape: KeyShape,
        from: &SecretPoly,
        to: &SecretPoly,
    ) -> SwitchingKey {
        let mut seed = Seed::default();
        self.rng.fill_bytes(&mut seed);
        let mut digit = |d| -> Limbs {
            let errors = sampling::error(&mut self.rng, self.context.n());
            let mut b = self.context.lift(&errors, shape.level, shape.specials).0;
            let mask = shape.mask(self.context, &seed, d);
            let carried = shape.digit_range(self.context, d);
            let basis = self.context.basis(shape.level, shape.specials);
            b.par_iter_mut()
                .zip(&basis)
                .enumerate()
                .for_each(|(i, (limb, table))| {
                    let m = table.modulus();
                    kernels::neg_assign(m, limb);
                    kernels::mul_add_assign(m, limb, mask.limb(i), to.0.0.limb(i));
                    kernels::neg_assign(m, limb);
                    if carried.contains(&i) {
                        let p = self.context.special_product(m, shape.specials);
                        kernels::mul_scalar_add_assign(m, limb, from.0.0.limb(i), p);
                    }
                });
            b
        };
        let b = (0..shape.digits(self.context)).map(&mut digit).collect();
        SwitchingKey::new(self.context, shape, seed, b)
    }
}
