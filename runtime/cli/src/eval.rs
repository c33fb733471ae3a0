//! `hecc-run eval`: the server's side, without any secret.

use std::io::Write;
use std::path::Path;
use std::time::Instant;

use hecc_runtime::ciphertext_file::{read_input, write_output};
use hecc_runtime::output_file::OutputFile;
use hecc_runtime::plan_file::{context, load_plan};
use hecc_runtime::server_key::ServerKeyFile;
use hecc_runtime::stats::{Stats, peak_memory};
use hecc_runtime::{Error, Session};
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::args::Eval;
use crate::failure::Failure;
use crate::progress::{EvalBar, readable_bytes};
use crate::stats_table;

/// Evaluates the plan on an encrypted image.
pub fn eval(args: &Eval) -> Result<(), Failure> {
    // Before the work, not after: a folder that does not exist should not cost a minute.
    for path in [Some(&args.output), args.stats.as_ref()]
        .into_iter()
        .flatten()
    {
        drop(OutputFile::create(path, false)?);
    }
    let stats = pool(args.threads)?.install(|| evaluate(args))?;
    if let Some(path) = &args.stats {
        write_stats(path, &stats)?;
    }
    if args.verbose {
        print!("{}", stats_table::table(&stats));
    }
    println!(
        "{}: {:.1} s on {} threads, after {:.1} s for the server key; peak memory {}",
        args.output.display(),
        stats.seconds,
        stats.threads,
        stats.load_seconds,
        stats
            .peak_memory_bytes
            .map_or("unknown".into(), readable_bytes)
    );
    Ok(())
}

/// A pool of this many threads, or of as many as the machine has.
pub fn pool(threads: Option<u16>) -> Result<ThreadPool, Failure> {
    let mut builder = ThreadPoolBuilder::new();
    if let Some(threads) = threads {
        builder = builder.num_threads(threads.into());
    }
    builder.build().map_err(|e| {
        Failure::new(
            format!("cannot start the threads: {e}"),
            "give a smaller --threads",
        )
    })
}

fn evaluate(args: &Eval) -> Result<Stats, Error> {
    let plan = load_plan(&args.plan)?;
    let context = context(&plan)?;
    let server = ServerKeyFile::open(&args.server, &plan, &context)?;
    let key = server.key();
    let input = read_input(&args.input, &plan, &key, &context)?;

    let mut bar = EvalBar::new(plan.prediction.seconds(), plan.program.nodes.len());
    let begun = Instant::now();
    bar.message("reading the server key");
    let keys = server.load(&context)?;
    let session = Session::new(plan, context, keys);
    session.reserve();
    let load_seconds = begun.elapsed().as_secs_f64();
    let (output, mut stats) = session.run(input, &mut bar)?;
    drop(bar);
    write_output(
        &args.output,
        session.plan(),
        &key,
        session.context(),
        &output,
    )?;
    stats.load_seconds = load_seconds;
    stats.peak_memory_bytes = peak_memory();
    Ok(stats)
}

fn write_stats(path: &Path, stats: &Stats) -> Result<(), Error> {
    let mut file = OutputFile::create(path, false)?;
    let json = serde_json::to_vec_pretty(stats).map_err(std::io::Error::from);
    json.and_then(|json| file.write_all(&json))
        .map_err(|source| file.error(source))?;
    file.commit()
}
