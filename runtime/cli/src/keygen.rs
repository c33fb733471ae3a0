//! `hecc-run keygen`.

use hecc_ckks::Context;
use hecc_client::{KeyGenerator, SecretKey};
use hecc_ir::plan::Plan;
use hecc_runtime::output_file::OutputFile;
use hecc_runtime::plan_file::{context, load_plan};
use hecc_runtime::server_key::{ServerKeyWriter, key_entries};
use rayon::prelude::*;

use crate::args::Keygen;
use crate::client_key::ClientKey;
use crate::failure::{Failure, no_randomness};
use crate::progress::{bytes_bar, readable_bytes};

/// Rotation keys made at a time: some ten megabytes each, in long chains a hundred.
const BATCH: usize = 16;

/// Makes a key pair for a plan. Both files appear at the end, or neither.
pub fn keygen(args: &Keygen) -> Result<(), Failure> {
    let start = std::time::Instant::now();
    if args.client == args.server {
        return Err(Failure::new(
            "--client and --server name the same file",
            "the client key is secret and the server key is not: give them two files",
        ));
    }
    if args.client.exists() && !args.force {
        return Err(Failure::new(
            format!("{}: there is a file already", args.client.display()),
            "give another --client, or replace the key for good with --force",
        ));
    }
    let plan = load_plan(&args.plan)?;
    let context = context(&plan)?;
    let mut client_file = OutputFile::create(&args.client, true)?;
    let server_file = OutputFile::create(&args.server, false)?;
    if plan.insecure {
        eprintln!(
            "warning: {}: below 128 bits of security, for tests only",
            args.plan.display()
        );
    }

    let client = ClientKey::generate()?;
    client.write(&mut client_file, &plan)?;
    let mut writer = ServerKeyWriter::new(server_file, &plan, client.id(), &context)?;
    let entries = key_entries(&plan, &context);
    let total = entries
        .iter()
        .map(|entry| entry.shape.byte_len(&context) as u64)
        .sum();
    let bar = bytes_bar("keys", total);
    make_keys(&plan, &context, &client.secret(&context), |key| {
        bar.inc(key.len() as u64);
        writer.push(key)
    })?;
    bar.finish_and_clear();
    let server_file = writer.finish()?;
    server_file.commit()?;
    client_file.commit()?;
    println!(
        "{}: the secret key, keep it\n{}: {} evaluation keys, {} ({:.1} s)",
        args.client.display(),
        args.server.display(),
        entries.len(),
        readable_bytes(total),
        start.elapsed().as_secs_f64()
    );
    Ok(())
}

/// Makes every key of the plan and hands it over, in the order of [`key_entries`].
fn make_keys(
    plan: &Plan,
    context: &Context,
    secret: &SecretKey,
    mut push: impl FnMut(&[u8]) -> hecc_runtime::Result<()>,
) -> Result<(), Failure> {
    let generator = || KeyGenerator::new(context, secret).map_err(no_randomness);
    let keys = &plan.keys;
    let mut single = generator()?;
    let bootstrap = plan.parameters.bootstrap.as_ref();
    if let Some(bootstrap) = bootstrap.filter(|_| keys.encapsulation) {
        let keys = single.encapsulation(bootstrap.sparse_weight);
        for key in [keys.to_sparse, keys.to_dense, keys.to_dense_negated] {
            push(&key.to_bytes(context))?;
        }
    }
    if let Some(level) = keys.relinearisation {
        push(&single.relinearisation(level).to_bytes(context))?;
    }
    if let Some(level) = keys.conjugation {
        push(&single.conjugation(level).to_bytes(context))?;
    }
    // A generator draws from one stream, so each thread has its own, seeded by the system.
    for batch in keys.rotations.chunks(BATCH) {
        let made: Vec<Vec<u8>> = batch
            .par_iter()
            .map_init(generator, |generator, key| match generator {
                Ok(generator) => Ok(generator.rotation(key.steps, key.level).to_bytes(context)),
                Err(failure) => Err(failure.clone()),
            })
            .collect::<Result<_, Failure>>()?;
        for bytes in &made {
            push(bytes)?;
        }
    }
    Ok(())
}
