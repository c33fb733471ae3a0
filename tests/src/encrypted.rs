//! A plan on an encrypted image in one process, with a look into every value.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Result;
use hecc_ckks::{Ciphertext, Context, EvaluationKeys};
use hecc_client::{KeyGenerator, SecretKey, SecretSeed};
use hecc_ir::plan::Plan;
use hecc_ir::program::Value;
use hecc_runtime::{Observer, Session, plan_file};

/// An encrypted run.
#[derive(Clone, Debug)]
pub struct Encrypted {
    /// Decrypted, network values.
    pub output: Vec<f64>,
    /// Root mean square over the slots of every value's error, in slot units.
    pub errors: Vec<f64>,
}

struct Probe<'a> {
    context: &'a Context,
    secret: &'a SecretKey,
    exact: &'a [Vec<f64>],
    errors: Vec<f64>,
    last: Vec<f64>,
}

impl Observer for Probe<'_> {
    fn value(&mut self, value: Value, parts: &[Ciphertext]) {
        let decrypt = |part| hecc_client::decrypt(self.context, self.secret, part);
        let slots: Vec<f64> = parts.iter().flat_map(decrypt).collect();
        let exact = &self.exact[value];
        let square: f64 = slots.iter().zip(exact).map(|(a, b)| (a - b).powi(2)).sum();
        self.errors.push((square / exact.len() as f64).sqrt());
        self.last = slots;
    }
}

/// Makes keys, encrypts `image`, runs the plan and decrypts every value.
///
/// # Errors
/// When one of the steps refuses.
pub fn run(plan: Plan, image: &[f32]) -> Result<Encrypted> {
    let context = plan_file::context(&plan)?;
    let secret = SecretKey::from_seed(&context, &SecretSeed::random()?);
    let mut make = KeyGenerator::new(&context, &secret)?;
    let manifest = &plan.keys;
    let sparse = plan.parameters.bootstrap.as_ref().map(|b| b.sparse_weight);
    let sparse = sparse.filter(|_| manifest.encapsulation);
    let keys = EvaluationKeys {
        relinearisation: manifest.relinearisation.map(|l| make.relinearisation(l)),
        conjugation: manifest.conjugation.map(|l| make.conjugation(l)),
        encapsulation: sparse.map(|weight| make.encapsulation(weight)),
        rotations: manifest
            .rotations
            .iter()
            .map(|key| (key.steps, make.rotation(key.steps, key.level)))
            .collect::<BTreeMap<_, _>>(),
    };

    let wide: Vec<f64> = image.iter().copied().map(f64::from).collect();
    let mut exact = Vec::new();
    plan.program
        .evaluate_slots(&wide, &mut |_, slots| exact.push(slots.to_vec()))?;
    let input = &plan.program.nodes[0];
    let scaled: Vec<f64> = wide.iter().map(|v| v / input.unit).collect();
    let encrypt = |slots: &[f64]| {
        let part = hecc_client::encrypt(&context, &secret, slots, input.level, input.scale)?;
        Ok(part.expand(&context))
    };
    let slots = input.layout.pack(&scaled);
    let parts = slots.chunks(input.layout.slots).map(encrypt);
    let parts = parts.collect::<Result<Vec<_>>>()?;

    let mut probe = Probe {
        context: &context,
        secret: &secret,
        exact: &exact,
        errors: Vec::new(),
        last: Vec::new(),
    };
    let session = Session::new(plan, Arc::clone(&context), keys);
    session.run(parts, &mut probe)?;
    let nodes = &session.plan().program.nodes;
    let last = &nodes[nodes.len() - 1];
    let output = last.layout.unpack(&probe.last);
    Ok(Encrypted {
        output: output.iter().map(|v| v * last.unit).collect(),
        errors: probe.errors,
    })
}
