//! Scalable vector graphics, as little of them as a picture needs. Nothing refers to another file; the
//! colours are legible on light and on dark paper.

use std::fmt::Write as _;

/// The background.
pub const PAPER: &str = "#f6f6f4";
/// Text.
pub const INK: &str = "#33383d";
/// Lines of levels.
pub const LEVEL: &str = "#dcdcd8";
/// From a node to the next.
pub const LINE: &str = "#8a9097";
/// From a node to a later one.
pub const SKIP: &str = "#3f7fb5";
/// A bootstrap that computes an activation.
pub const BOOTSTRAP: &str = "#d1702b";
/// A plain bootstrap.
pub const REFRESH: &str = "#dfb48f";
/// Any other node.
pub const WORK: &str = "#5d8a66";

/// A picture that is being written.
pub struct Svg {
    out: String,
}

type Point = (f64, f64);

// Writing to a string cannot fail: the results of write! are dropped.
impl Svg {
    /// An empty picture of this many pixels.
    pub fn new(width: usize, height: usize) -> Self {
        let mut out = String::new();
        let _ = writeln!(
            out,
            r#"<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="11">"#
        );
        let _ = writeln!(
            out,
            r#"<rect width="{width}" height="{height}" fill="{PAPER}"/>"#
        );
        Self { out }
    }

    /// Text from (x, y) to the right.
    pub fn text(&mut self, x: f64, y: f64, colour: &str, text: &str) {
        let text = escaped(text);
        let _ = writeln!(
            self.out,
            r#"<text x="{x:.1}" y="{y:.1}" fill="{colour}">{text}</text>"#
        );
    }

    /// Small text from (x, y) upwards.
    pub fn turned(&mut self, x: f64, y: f64, text: &str) {
        let text = escaped(text);
        let _ = writeln!(
            self.out,
            r#"<text transform="translate({x:.1} {y:.1}) rotate(-90)" font-size="9" fill="{INK}">{text}</text>"#
        );
    }

    /// Text from (x, y) downwards.
    pub fn hanging(&mut self, x: f64, y: f64, text: &str) {
        let text = escaped(text);
        let _ = writeln!(
            self.out,
            r#"<text transform="translate({x:.1} {y:.1}) rotate(90)" fill="{INK}">{text}</text>"#
        );
    }

    /// A straight line.
    pub fn line(&mut self, from: Point, to: Point, colour: &str, width: f64) {
        let _ = writeln!(
            self.out,
            r#"<path d="M{:.1} {:.1}L{:.1} {:.1}" stroke="{colour}" stroke-width="{width}" fill="none"/>"#,
            from.0, from.1, to.0, to.1
        );
    }

    /// A curve over the height `top`.
    pub fn arc(&mut self, from: Point, top: f64, to: Point, colour: &str) {
        let _ = writeln!(
            self.out,
            r#"<path d="M{:.1} {:.1}C{:.1} {top:.1} {:.1} {top:.1} {:.1} {:.1}" stroke="{colour}" stroke-width="1.5" fill="none"/>"#,
            from.0, from.1, from.0, to.0, to.0, to.1
        );
    }

    /// A filled diamond around (x, y), with a text for who points at it.
    pub fn diamond(&mut self, x: f64, y: f64, half: f64, colour: &str, title: &str) {
        let (left, right, top, bottom) = (x - half, x + half, y - half, y + half);
        let _ = writeln!(
            self.out,
            r#"<path d="M{left:.1} {y:.1}L{x:.1} {top:.1}L{right:.1} {y:.1}L{x:.1} {bottom:.1}Z" fill="{colour}">{}</path>"#,
            titled(title)
        );
    }

    /// A filled square around (x, y), with a text.
    pub fn square(&mut self, x: f64, y: f64, half: f64, colour: &str, title: &str) {
        let _ = writeln!(
            self.out,
            r#"<rect x="{:.1}" y="{:.1}" width="{2:.1}" height="{2:.1}" fill="{colour}">{3}</rect>"#,
            x - half,
            y - half,
            2.0 * half,
            titled(title)
        );
    }

    /// A line through several points.
    pub fn polyline(&mut self, points: &[Point], colour: &str, width: f64) {
        let mut d = String::new();
        for (i, (x, y)) in points.iter().enumerate() {
            let _ = write!(d, "{}{x:.1} {y:.1}", if i == 0 { 'M' } else { 'L' });
        }
        let _ = writeln!(
            self.out,
            r#"<path d="{d}" stroke="{colour}" stroke-width="{width}" fill="none"/>"#
        );
    }

    /// A filled circle around (x, y), with a text.
    pub fn circle(&mut self, x: f64, y: f64, radius: f64, colour: &str, title: &str) {
        let _ = writeln!(
            self.out,
            r#"<circle cx="{x:.1}" cy="{y:.1}" r="{radius:.1}" fill="{colour}">{}</circle>"#,
            titled(title)
        );
    }

    /// The whole file.
    pub fn finish(mut self) -> String {
        self.out.push_str("</svg>\n");
        self.out
    }
}

fn titled(title: &str) -> String {
    match title {
        "" => String::new(),
        title => format!("<title>{}</title>", escaped(title)),
    }
}

/// Text as XML may hold it: no markup, no control characters.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push(' '),
            c => out.push(c),
        }
    }
    out
}
