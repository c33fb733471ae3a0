//! Whether the machine does something else meanwhile: then a measurement is worth little.

use std::fs::read_to_string;

/// Processor time so far, in the system's ticks (Linux).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ticks {
    /// Of all processors, idle time included.
    all: f64,
    /// Of all processors, idle time excluded.
    busy: f64,
    /// Of this process.
    own: f64,
}

impl Ticks {
    /// Now; None where the system does not tell.
    pub fn now() -> Option<Self> {
        let system = read_to_string("/proc/stat").ok()?;
        Self::parse(&system, &read_to_string("/proc/self/stat").ok()?)
    }

    fn parse(system: &str, process: &str) -> Option<Self> {
        let line = system.lines().next()?.strip_prefix("cpu ")?;
        // User, nice, system, idle, iowait, irq, softirq, steal; what follows is counted in user time.
        let ticks: Vec<f64> = line
            .split_whitespace()
            .take(8)
            .map(|field| field.parse().ok())
            .collect::<Option<_>>()?;
        let all: f64 = ticks.iter().sum();
        let idle = ticks.get(3)? + ticks.get(4)?;
        // The name, in parentheses, may hold anything; user and system time are the 12th and 13th after.
        let (_, fields) = process.rsplit_once(')')?;
        let field = |index: usize| fields.split_whitespace().nth(index)?.parse::<f64>().ok();
        Some(Self {
            all,
            busy: all - idle,
            own: field(11)? + field(12)?,
        })
    }

    /// Share of all processors' time that others took since `before`, 0 to 1.
    pub fn others_since(&self, before: &Self) -> f64 {
        let others = (self.busy - before.busy) - (self.own - before.own);
        (others / (self.all - before.all).max(1.0)).clamp(0.0, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_are_what_is_busy_and_not_this() {
        let at = |system: &str, own: u64| {
            let process = format!("7 (a ) b) S 1 7 7 0 -1 4194560 9 0 0 0 {own} 5 0 0 20 0 3");
            Ticks::parse(system, &process).unwrap()
        };
        let before = at("cpu  100 0 50 800 50 0 0 0 0 0\ncpu0 1 2 3", 20);
        let after = at("cpu  180 0 60 890 70 0 0 0 0 0\n", 70);
        // 200 ticks, 90 of them busy, 50 by this process.
        assert_eq!(after.others_since(&before), 0.2);
        assert_eq!(before.others_since(&before), 0.0);
        assert_eq!(Ticks::parse("intr 5", "7 (x) S"), None);
        assert_eq!(Ticks::parse("cpu  1 2 3 4 5 6 7 8", "7 (x) S 1"), None);
    }
}
