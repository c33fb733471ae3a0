//! `hecc-run bench`: measures the table that the compiler prices plans with.

mod calm;
mod company;
mod fit;
mod measure;
mod party;
mod sets;
mod stopwatch;
mod values;

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use hecc_ir::costs::{CostTable, VERSION};
use hecc_runtime::output_file::OutputFile;
use hecc_runtime::stats::machine;

use crate::args::Bench;
use crate::eval::pool;
use crate::failure::Failure;
use crate::progress::steps_bar;
use company::Ticks;
use stopwatch::Stopwatch;

/// Share of the processors that other programs may take before the measurement is in doubt.
const COMPANY: f64 = 0.05;

/// Measures a cost table and writes it.
pub fn bench(args: &Bench) -> Result<(), Failure> {
    let begun = Instant::now();
    // Before the work, not after.
    drop(OutputFile::create(&args.output, false)?);
    let before = Ticks::now();
    let table = pool(args.threads)?.install(|| measure(args))?;
    let others = Ticks::now()
        .zip(before)
        .map_or(0.0, |(after, before)| after.others_since(&before));
    if others > COMPANY {
        eprintln!(
            "warning: other programs took {:.0} % of the processors meanwhile; measure again when \
             the machine is calm",
            100.0 * others
        );
    }
    table.validate().map_err(party::broken)?;
    write(&args.output, &table)?;
    println!(
        "{}: {} measurements on {} threads of {} ({:.0} s)",
        args.output.display(),
        table.rows.len(),
        table.threads,
        table.machine,
        begun.elapsed().as_secs_f64()
    );
    Ok(())
}

fn measure(args: &Bench) -> Result<CostTable, Failure> {
    let mut rings = args.rings.clone();
    rings.sort_unstable();
    rings.dedup();
    let watch = match args.quick {
        true => Stopwatch {
            runs: [2, 5],
            patience: Duration::from_millis(300),
        },
        false => Stopwatch {
            runs: [3, 15],
            patience: Duration::from_millis(1000),
        },
    };
    let mut sets = Vec::new();
    for &log_n in &rings {
        let log_n = u32::from(log_n);
        // The slowest bootstrap is left out where another ring's can stand for it.
        let bootstrap = !(args.quick && log_n == 16 && rings.len() > 1);
        sets.extend(sets::sets(log_n, args.quick, bootstrap).map_err(party::broken)?);
    }
    let bar = steps_bar(
        "measuring",
        sets.iter().map(sets::Set::steps).sum::<usize>() as u64,
    );
    let mut rows = Vec::new();
    for set in &sets {
        rows.extend(measure::measure(set, watch, &bar)?);
    }
    calm::calm(&mut rows);
    bar.finish_and_clear();
    Ok(CostTable {
        version: VERSION,
        machine: args.machine.clone().unwrap_or_else(machine),
        threads: rayon::current_num_threads(),
        rows,
    })
}

/// One row a line, so that tables can be compared.
fn write(path: &Path, table: &CostTable) -> Result<(), Failure> {
    let mut json = format!(
        "{{\n  \"version\": {},\n  \"machine\": {},\n  \"threads\": {},\n  \"rows\": [\n",
        table.version,
        json_of(&table.machine)?,
        table.threads
    );
    for (i, row) in table.rows.iter().enumerate() {
        let comma = if i + 1 < table.rows.len() { "," } else { "" };
        json += &format!("    {}{comma}\n", json_of(row)?);
    }
    json += "  ]\n}\n";
    let mut file = OutputFile::create(path, false)?;
    file.write_all(json.as_bytes())
        .map_err(|source| file.error(source))?;
    file.commit()?;
    Ok(())
}

fn json_of(value: &impl serde::Serialize) -> Result<String, Failure> {
    serde_json::to_string(value).map_err(party::broken)
}
