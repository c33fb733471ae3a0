//! Evaluation keys that never leave the process: for measurements and for debugging.

use hecc_ckks::{Context, EvaluationKeys};
use hecc_client::{KeyGenerator, SecretKey};
use hecc_ir::plan::{KeyManifest, RotationKey};
use rayon::prelude::*;

use crate::failure::{Failure, no_randomness};

/// The keys of `manifest` for `secret`. `sparse_weight` is the weight of the bootstrap's sparse secret,
/// None where there is no bootstrap.
pub fn evaluation_keys(
    context: &Context,
    secret: &SecretKey,
    manifest: &KeyManifest,
    sparse_weight: Option<usize>,
) -> Result<EvaluationKeys, Failure> {
    // A generator draws from one stream, so each thread has its own, seeded by the system.
    let generator = || KeyGenerator::new(context, secret).map_err(no_randomness);
    let mut single = generator()?;
    let rotation = |generator: &mut Result<KeyGenerator, Failure>, key: &RotationKey| {
        let generator = generator.as_mut().map_err(|failure| failure.clone())?;
        Ok((key.steps, generator.rotation(key.steps, key.level)))
    };
    let rotations = manifest.rotations.par_iter().map_init(generator, rotation);
    let rotations: Vec<_> = rotations.collect::<Result<_, Failure>>()?;
    let encapsulation = sparse_weight.filter(|_| manifest.encapsulation);
    Ok(EvaluationKeys {
        relinearisation: manifest.relinearisation.map(|l| single.relinearisation(l)),
        rotations: rotations.into_iter().collect(),
        conjugation: manifest.conjugation.map(|l| single.conjugation(l)),
        encapsulation: encapsulation.map(|weight| single.encapsulation(weight)),
    })
}
