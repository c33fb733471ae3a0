//! The places of a map, numbered while its entries are visited.

use super::{LinearError, MAX_VALUES, Place};
use crate::layout::Layout;
use crate::placement::Placement;
use crate::taps::Taps;

/// Numbers the places of a map in the order of their first appearance.
pub struct Places {
    /// Parts of the input.
    inputs: usize,
    slots: usize,
    /// For every pair of parts that has been seen, the numbers of its offsets; [`Places::NONE`] for none.
    numbers: Vec<Vec<u32>>,
    /// In the order of their numbers.
    pub places: Vec<Place>,
    most: usize,
    full: bool,
}

impl Places {
    const NONE: u32 = u32::MAX;

    pub fn new(input: &Layout, output: &Layout) -> Self {
        Self {
            inputs: input.parts,
            slots: input.slots,
            numbers: vec![Vec::new(); input.parts * output.parts],
            places: Vec::new(),
            most: MAX_VALUES / input.slots,
            full: false,
        }
    }

    /// The number of `place`; None for a new one when there are too many.
    #[inline]
    pub fn number(&mut self, place: Place) -> Option<u32> {
        let numbers = &mut self.numbers[place.output * self.inputs + place.input];
        match numbers.get(place.offset) {
            Some(&number) if number != Self::NONE => return Some(number),
            _ if self.places.len() == self.most => {
                self.full = true;
                return None;
            }
            Some(_) => (),
            None => numbers.resize(self.slots, Self::NONE),
        }
        let number = self.places.len() as u32;
        numbers[place.offset] = number;
        self.places.push(place);
        Some(number)
    }

    /// The values of `place` among `values`, which are in the order of the numbers; zeros for a new one.
    #[inline]
    pub fn values<'a>(
        &mut self,
        place: Place,
        values: &'a mut Vec<Vec<f64>>,
    ) -> Option<&'a mut [f64]> {
        let number = self.number(place)? as usize;
        while number >= values.len() {
            values.push(vec![0.0; self.slots]);
        }
        Some(&mut values[number])
    }

    /// Refuses a map with places beyond the limit.
    pub fn verify(&self) -> Result<(), LinearError> {
        match self.full {
            true => Err(LinearError::Mismatch(format!(
                "a map of more than {} diagonals of {} slots",
                self.most, self.slots
            ))),
            false => Ok(()),
        }
    }
}

/// The weights that meet the image, sorted by the number of the first place they lead to.
pub fn order(taps: &Taps, placement: &Placement, places: &mut Places) -> Vec<u32> {
    let mut first: Vec<(u32, u32)> = Vec::with_capacity(taps.len());
    taps.for_each(|index, tap| {
        let mut number = None;
        placement.for_each_run(tap, |place, _| {
            let found = places.number(place);
            number = number.or(found);
        });
        first.extend(number.map(|number| (number, index as u32)));
    });
    let mut starts = vec![0u32; places.places.len() + 1];
    for &(number, _) in &first {
        starts[number as usize + 1] += 1;
    }
    for number in 1..starts.len() {
        starts[number] += starts[number - 1];
    }
    let mut order = vec![0; first.len()];
    for (number, index) in first {
        let at = &mut starts[number as usize];
        order[*at as usize] = index;
        *at += 1;
    }
    order
}
