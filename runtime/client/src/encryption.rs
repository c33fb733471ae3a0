//! Encryption under the secret, and decryption.

use crate::SecretKey;
use crate::sampling;
use crate::secret::SecretPoly;
use hecc_ckks::poly::Evaluations;
use hecc_ckks::ring::kernels;
use hecc_ckks::uniform::Seed;
use hecc_ckks::{Ciphertext, Complex64, Context, Error, SeededCiphertext};
use rand::{RngCore, SeedableRng, TryRngCore, rngs::OsRng};
use rand_chacha::ChaCha20Rng;

/// Encrypts N/2 real numbers.
///
/// # Errors
/// When the values do not fit the ring or the scale, or the operating system has no randomness.
pub fn encrypt(
    context: &Context,
    secret: &SecretKey,
    values: &[f64],
    level: usize,
    scale: f64,
) -> Result<SeededCiphertext, Error> {
    let values: Vec<Complex64> = values.iter().map(|&v| v.into()).collect();
    encrypt_complex(context, secret, &values, level, scale)
}

/// Encrypts N/2 complex numbers.
///
/// # Errors
/// As [`encrypt`].
pub fn encrypt_complex(
    context: &Context,
    secret: &SecretKey,
    values: &[Complex64],
    level: usize,
    scale: f64,
) -> Result<SeededCiphertext, Error> {
    let mut entropy = [0; 32];
    OsRng
        .try_fill_bytes(&mut entropy)
        .map_err(|e| Error::Encoding(format!("no randomness: {e}")))?;
    let mut rng = ChaCha20Rng::from_seed(entropy);
    let mut seed = Seed::default();
    rng.fill_bytes(&mut seed);
    let mut integers = context.embedding().encode(values, scale)?;
    integers
        .iter_mut()
        .zip(sampling::error(&mut rng, context.n()).iter())
        .for_each(|(x, e)| *x += e);
    let plain = context.lift(&integers, level, 0);
    let mut c0 = SeededCiphertext::mask(context, level, &seed);
    let key = secret.lift(context, level, 0);
    for (i, (limb, table)) in c0.0.iter_mut().zip(context.basis(level, 0)).enumerate() {
        let m = table.modulus();
        kernels::mul_assign(m, limb, key.0.0.limb(i));
        kernels::neg_assign(m, limb);
        kernels::add_assign(m, limb, plain.0.limb(i));
    }
    Ok(SeededCiphertext::new(c0, seed, scale))
}

/// The real parts of the slots.
pub fn decrypt(context: &Context, secret: &SecretKey, ciphertext: &Ciphertext) -> Vec<f64> {
    decrypt_complex(context, secret, ciphertext)
        .into_iter()
        .map(|z| z.re)
        .collect()
}

/// The slots.
pub fn decrypt_complex(
    context: &Context,
    secret: &SecretKey,
    ciphertext: &Ciphertext,
) -> Vec<Complex64> {
    // Coefficients of a message are far below 2^120, so a few limbs determine them.
    let mut ciphertext = ciphertext.clone();
    let mut bits = 0.0;
    let limbs = (0..=ciphertext.level())
        .take_while(|&i| {
            bits += (context.q(i).value() as f64).log2();
            bits < 120.0
        })
        .count();
    ciphertext.drop_to(limbs - 1);
    let level = ciphertext.level();
    let key = secret.lift(context, level, 0);
    let [c0, c1] = ciphertext.halves();
    let mut sum = SecretPoly(Evaluations(c0.0.clone()));
    for (i, (limb, table)) in sum.0.0.iter_mut().zip(context.basis(level, 0)).enumerate() {
        kernels::mul_add_assign(table.modulus(), limb, c1.0.limb(i), key.0.0.limb(i));
        table.inverse(limb);
    }
    let coefficients: Vec<f64> = (0..context.n())
        .map(|j| {
            centred(
                context,
                &(0..=level).map(|i| sum.0.0.limb(i)[j]).collect::<Vec<_>>(),
            )
        })
        .collect();
    context
        .embedding()
        .decode(&coefficients, ciphertext.scale())
}

/// The centred integer with these residues modulo q_0, q_1, .. (mixed radix).
fn centred(context: &Context, residues: &[u64]) -> f64 {
    let (mut value, mut modulus) = (0i128, 1i128);
    for (i, &r) in residues.iter().enumerate() {
        let m = context.q(i);
        let product = m.reduce_i128(modulus);
        let digit = m.mul(
            m.sub(r, m.reduce_i128(value)),
            m.inv_vartime(product).unwrap_or(1),
        );
        value += i128::from(digit) * modulus;
        modulus *= i128::from(m.value());
    }
    if value > modulus / 2 {
        (value - modulus) as f64
    } else {
        value as f64
    }
}
