//! Where the texts beside marks go: none over another, over a mark or outside the field.

use crate::svg::{INK, LEVEL, Svg};

/// Width of a character and height of a line, in pixels, on the safe side.
const CHARACTER: f64 = 6.3;
const LINE: f64 = 12.0;
/// Directions tried around a mark, in eighths of a turn from the lower right, where a rising
/// staircase leaves most room; then the upper left.
const DIRECTIONS: [usize; 8] = [1, 5, 0, 4, 2, 6, 7, 3];
/// Distance from a mark from which a line leads to its text.
const NEAR: f64 = 24.0;

/// A field of pixels; y grows downwards.
#[derive(Clone, Copy, Debug)]
pub struct Rectangle {
    /// Least x.
    pub left: f64,
    /// Largest x.
    pub right: f64,
    /// Least y.
    pub top: f64,
    /// Largest y.
    pub bottom: f64,
}

impl Rectangle {
    /// A square of side 2 `half`.
    pub fn around(x: f64, y: f64, half: f64) -> Self {
        Self {
            left: x - half,
            right: x + half,
            top: y - half,
            bottom: y + half,
        }
    }

    /// A horizontal or vertical line.
    pub fn along(from: (f64, f64), to: (f64, f64)) -> Self {
        Self {
            left: from.0.min(to.0) - 1.0,
            right: from.0.max(to.0) + 1.0,
            top: from.1.min(to.1) - 1.0,
            bottom: from.1.max(to.1) + 1.0,
        }
    }

    fn overlaps(&self, other: &Self) -> bool {
        self.left < other.right
            && other.left < self.right
            && self.top < other.bottom
            && other.top < self.bottom
    }

    fn is_inside(&self, other: &Self) -> bool {
        self.left >= other.left
            && self.right <= other.right
            && self.top >= other.top
            && self.bottom <= other.bottom
    }
}

/// Places texts one after the other.
pub struct Labels {
    field: Rectangle,
    taken: Vec<Rectangle>,
}

impl Labels {
    /// Texts stay in `field`.
    pub fn new(field: Rectangle) -> Self {
        Self {
            field,
            taken: Vec::new(),
        }
    }

    /// No text will be put there.
    pub fn keep_clear(&mut self, place: Rectangle) {
        self.taken.push(place);
    }

    /// Draws `text` as near to the mark at (x, y) as there is room; a line leads to it from afar.
    /// Where the field is full the text is left out: the mark has its own title.
    pub fn place(&mut self, svg: &mut Svg, mark: (f64, f64), text: &str) {
        let Some(place) = self.find(mark, text.chars().count()) else {
            return;
        };
        self.taken.push(place);
        let start = (place.left, 0.5 * (place.top + place.bottom));
        let end = (place.right, start.1);
        let nearest = if (start.0 - mark.0).abs() < (end.0 - mark.0).abs() {
            start
        } else {
            end
        };
        if (nearest.0 - mark.0).hypot(nearest.1 - mark.1) > NEAR {
            svg.line(mark, nearest, LEVEL, 1.0);
        }
        svg.text(place.left, place.bottom - 3.0, INK, text);
    }

    fn find(&self, (x, y): (f64, f64), characters: usize) -> Option<Rectangle> {
        let width = CHARACTER * characters as f64;
        let size = (self.field.right - self.field.left).max(self.field.bottom - self.field.top);
        let mut distance = 8.0;
        while distance < size {
            for direction in DIRECTIONS {
                let (dy, dx) = (std::f64::consts::FRAC_PI_4 * direction as f64).sin_cos();
                let (cx, cy) = (x + distance * dx, y + distance * dy);
                // The side that faces the mark stays at the distance.
                let left = match dx {
                    dx if dx > 0.3 => cx,
                    dx if dx < -0.3 => cx - width,
                    _ => cx - 0.5 * width,
                };
                let place = Rectangle {
                    left,
                    right: left + width,
                    top: cy - 0.5 * LINE,
                    bottom: cy + 0.5 * LINE,
                };
                if place.is_inside(&self.field) && !self.taken.iter().any(|t| t.overlaps(&place)) {
                    return Some(place);
                }
            }
            distance += 4.0;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crowded_labels_do_not_overlap() {
        let field = Rectangle {
            left: 0.0,
            right: 800.0,
            top: 0.0,
            bottom: 500.0,
        };
        let mut labels = Labels::new(field);
        let mut svg = Svg::new(800, 500);
        // Sixty marks on a spot of 60 by 40 pixels, some in the corner.
        let marks: Vec<(f64, f64)> = (0..60)
            .map(|k| (f64::from(k % 10) * 6.0, f64::from(k / 10) * 8.0))
            .collect();
        for &(x, y) in &marks {
            labels.keep_clear(Rectangle::around(x, y, 4.0));
        }
        for &mark in &marks {
            labels.place(&mut svg, mark, "12 · 19 bs");
        }
        let texts = &labels.taken[60..];
        assert_eq!(texts.len(), 60);
        for (i, a) in texts.iter().enumerate() {
            assert!(a.is_inside(&field));
            for b in labels.taken[..60].iter().chain(&texts[..i]) {
                assert!(!a.overlaps(b), "{a:?} {b:?}");
            }
        }
    }
}
