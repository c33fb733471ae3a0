//! Sets of slot distances.

/// A set of numbers of magnitude up to `span`, as bits.
#[derive(Clone)]
pub struct Spread {
    words: Vec<u64>,
    span: isize,
}

impl Spread {
    /// The empty set.
    pub fn new(span: usize) -> Self {
        Self {
            words: vec![0; (2 * span + 1).div_ceil(64)],
            span: span as isize,
        }
    }

    /// Adds a number of magnitude up to the span.
    pub fn insert(&mut self, value: isize) {
        let bit = (value + self.span) as usize;
        self.words[bit / 64] |= 1 << (bit % 64);
    }

    /// All numbers, ascending.
    pub fn values(&self) -> Vec<isize> {
        let mut values = Vec::new();
        for (i, &word) in self.words.iter().enumerate() {
            let mut rest = word;
            while rest != 0 {
                values.push((64 * i) as isize + rest.trailing_zeros() as isize - self.span);
                rest &= rest - 1;
            }
        }
        values
    }

    /// Adds every number of `other` plus `by`, as long as it is within the span.
    pub fn insert_shifted(&mut self, other: &Spread, by: isize) {
        let bits = by + self.span - other.span;
        let (words, shift) = (bits.div_euclid(64), bits.rem_euclid(64) as u32);
        for (i, &word) in other.words.iter().enumerate() {
            if word == 0 {
                continue;
            }
            let at = i as isize + words;
            let mut put = |at: isize, word: u64| {
                if let Some(to) = usize::try_from(at)
                    .ok()
                    .and_then(|at| self.words.get_mut(at))
                {
                    *to |= word;
                }
            };
            put(at, word << shift);
            if shift != 0 {
                put(at + 1, word >> (64 - shift));
            }
        }
    }

    /// Every sum of a number of `self` and a number of `other` that is within the span.
    pub fn sum(&self, other: &Spread) -> Spread {
        let count = |set: &Spread| set.words.iter().map(|w| w.count_ones()).sum::<u32>();
        let (few, many) = match count(self) < count(other) {
            true => (self, other),
            false => (other, self),
        };
        let mut total = Spread {
            words: vec![0; self.words.len()],
            span: self.span,
        };
        for value in few.values() {
            total.insert_shifted(many, value);
        }
        total
    }
}
