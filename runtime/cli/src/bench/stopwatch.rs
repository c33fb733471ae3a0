//! Times an operation as a program meets it: keys and constants come from memory, since a bootstrap or
//! another map has passed through the caches since their last use.

use std::hint::black_box;
use std::time::{Duration, Instant};

/// Words that are written before an operation, more than caches hold: 64 MiB.
const EVICTED: usize = 1 << 23;

/// How often and how long an operation is repeated.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch {
    /// Repetitions at least and at most, the first one, which fills pools of memory, not counted.
    pub runs: [usize; 2],
    /// After this time, no more than the least number.
    pub patience: Duration,
}

impl Stopwatch {
    /// Median seconds of `operation`.
    pub fn median<T, E>(&self, mut operation: impl FnMut() -> Result<T, E>) -> Result<f64, E> {
        drop(operation()?);
        let mut cold = vec![0u64; EVICTED];
        let begun = Instant::now();
        let [least, most] = self.runs;
        let mut seconds = Vec::with_capacity(most);
        while seconds.len() < least || (seconds.len() < most && begun.elapsed() < self.patience) {
            cold.iter_mut().for_each(|word| *word += 1);
            black_box(&mut cold);
            let start = Instant::now();
            let result = operation()?;
            seconds.push(start.elapsed().as_secs_f64());
            // Freeing is part of what follows, not of the operation.
            drop(result);
        }
        seconds.sort_by(f64::total_cmp);
        Ok(seconds[seconds.len() / 2])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_as_often_as_told_after_a_warm_up() {
        let watch = Stopwatch {
            runs: [3, 5],
            patience: Duration::from_secs(60),
        };
        let mut runs = 0;
        let seconds = watch.median(|| {
            runs += 1;
            Ok::<_, ()>(())
        });
        assert!(seconds.unwrap() < 1.0 && runs == 6, "{runs} runs");
        assert_eq!(watch.median(|| Err::<(), _>("no")), Err("no"));
    }
}
