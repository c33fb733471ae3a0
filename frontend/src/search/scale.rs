//! Axes: where a number lies between the ends, and which numbers are written beside it.

/// Ratio of largest to smallest from which seconds are drawn on a logarithmic axis.
const WIDE: f64 = 8.0;
/// Spread of accuracies, in points of percent, from which small losses are drawn larger than great ones.
const DEEP: f64 = 8.0;

/// A monotone map of numbers to [0, 1].
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    kind: Kind,
    low: f64,
    high: f64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Linear,
    Logarithmic,
    /// asinh of what is missing to this: linear near it, logarithmic far below.
    Loss(f64),
}

impl Scale {
    /// For seconds, positive ones; a twentieth of room on both sides.
    pub fn seconds(values: impl IntoIterator<Item = f64>) -> Self {
        let (low, high) = ends(values.into_iter().filter(|v| *v > 0.0)).unwrap_or((1.0, 2.0));
        let kind = match high > WIDE * low {
            true => Kind::Logarithmic,
            false => Kind::Linear,
        };
        Self { kind, low, high }.widened()
    }

    /// For accuracies in percent.
    pub fn accuracy(values: impl IntoIterator<Item = f64>) -> Self {
        let (low, high) = ends(values).unwrap_or((0.0, 100.0));
        let kind = match high - low > DEEP {
            true => Kind::Loss(high),
            false => Kind::Linear,
        };
        Self { kind, low, high }.widened()
    }

    /// Whether losses are drawn on a logarithmic axis.
    pub fn is_loss(&self) -> bool {
        matches!(self.kind, Kind::Loss(_))
    }

    fn raw(&self, value: f64) -> f64 {
        match self.kind {
            Kind::Linear => value,
            Kind::Logarithmic => value.max(f64::MIN_POSITIVE).ln(),
            Kind::Loss(best) => -(best - value).asinh(),
        }
    }

    fn back(&self, raw: f64) -> f64 {
        match self.kind {
            Kind::Linear => raw,
            Kind::Logarithmic => raw.exp(),
            Kind::Loss(best) => best - (-raw).sinh(),
        }
    }

    fn widened(self) -> Self {
        let (low, high) = (self.raw(self.low), self.raw(self.high));
        let room = match high - low {
            span if span > 0.0 => 0.05 * span,
            _ => (0.05 * low.abs()).max(0.05),
        };
        Self {
            low: self.back(low - room),
            high: self.back(high + room),
            ..self
        }
    }

    /// 0 at the low end, 1 at the high one; not limited to them.
    pub fn place(&self, value: f64) -> f64 {
        let (low, high) = (self.raw(self.low), self.raw(self.high));
        (self.raw(value) - low) / (high - low)
    }

    /// Round numbers between the ends, at most `count` of them, far enough from each other to stand
    /// at `count` places.
    pub fn ticks(&self, count: usize) -> Vec<f64> {
        let inside = |v: &f64| (0.0..=1.0).contains(&self.place(*v));
        let multiples = |step: f64| {
            let (from, to) = ((self.low / step).ceil(), (self.high / step).floor());
            (0..=(to - from).clamp(-1.0, 20.0 * count as f64) as i64)
                .map(move |k| (from + k as f64) * step)
                .filter(inside)
        };
        if self.kind == Kind::Linear {
            // The smallest step that leaves room.
            let mut best = Vec::new();
            for step in self.steps() {
                let ticks: Vec<f64> = multiples(step).collect();
                if ticks.len() > count {
                    break;
                }
                best = ticks;
            }
            return best;
        }
        // The rounder, the earlier: a number stands if nothing rounder is too close.
        let apart = 0.75 / count.max(1) as f64;
        let mut ticks: Vec<f64> = Vec::new();
        for step in self.steps() {
            for tick in multiples(step) {
                let place = self.place(tick);
                let free = |other: &f64| (self.place(*other) - place).abs() >= apart;
                if ticks.len() < count && ticks.iter().all(free) {
                    ticks.push(tick);
                }
            }
        }
        ticks.sort_by(f64::total_cmp);
        ticks
    }

    /// 1, 2, 5 times powers of ten, falling.
    fn steps(&self) -> impl Iterator<Item = f64> {
        let largest = self.high.abs().max(self.low.abs()).max(1e-9).log10().ceil() as i32;
        (largest - 6..=largest)
            .rev()
            .flat_map(|power| [5.0, 2.0, 1.0].map(|m| m * 10f64.powi(power)))
    }
}

fn ends(values: impl IntoIterator<Item = f64>) -> Option<(f64, f64)> {
    let mut finite = values.into_iter().filter(|v| v.is_finite());
    let first = finite.next()?;
    Some(finite.fold((first, first), |(low, high), v| (low.min(v), high.max(v))))
}

/// A number as an axis shows it: no more digits than it has.
pub fn number(value: f64) -> String {
    let text = format!("{value:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_apart() {
        let check = |scale: Scale, count: usize, expect: &[f64]| {
            let ticks: Vec<String> = scale.ticks(count).into_iter().map(number).collect();
            let expect: Vec<String> = expect.iter().copied().map(number).collect();
            assert_eq!(ticks, expect);
        };
        check(Scale::seconds([4.0, 12.0]), 6, &[4.0, 6.0, 8.0, 10.0, 12.0]);
        check(
            Scale::seconds([2.0, 90.0]),
            6,
            &[2.0, 5.0, 10.0, 20.0, 50.0, 100.0],
        );
        check(Scale::accuracy([89.9, 91.6]), 5, &[90.0, 90.5, 91.0, 91.5]);
        let deep = Scale::accuracy([10.0, 91.7]);
        assert!(deep.is_loss());
        let ticks = deep.ticks(7);
        assert!(ticks.contains(&50.0) && ticks.contains(&90.0), "{ticks:?}");
        // One value, or none.
        for scale in [
            Scale::seconds([3.0]),
            Scale::seconds([]),
            Scale::accuracy([f64::NAN]),
        ] {
            assert!(!scale.ticks(5).is_empty());
            assert!(scale.place(3.0).is_finite());
        }
    }

    #[test]
    fn places_grow_from_end_to_end() {
        for scale in [
            Scale::seconds([1.0, 3.0]),
            Scale::seconds([1.0, 300.0]),
            Scale::accuracy([90.0, 91.0]),
            Scale::accuracy([0.0, 99.0]),
        ] {
            let mut last = -0.1;
            for k in 0..=10 {
                let value = scale.low + (scale.high - scale.low) * f64::from(k) / 10.0;
                let place = scale.place(value);
                assert!(
                    place > last && place < 1.0 + 1e-9,
                    "{scale:?} {value} {place}"
                );
                last = place;
            }
        }
    }
}
