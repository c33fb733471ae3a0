//! **choose_degree**: the degree of every activation's polynomial.
//!
//! Does: takes the lowest degree in [`DEGREES`] whose agreement, measured by calibration as the share
//! of images that keep the class of the model in f32, is at least 1 - tolerance; or the degree the
//! user asks for, measured or not.
//!
//! Does not: measure anything, choose a degree per layer.
//!
//! In: a valid calibration. Out: a degree in 3..=127.
//!
//! Depth: ceil(log2(degree + 1)) levels in every bootstrap. Rotations: none.
//!
//! Test: `lowest_degree_that_agrees` below.

use hecc_ir::calibration::Calibration;

use crate::PassError;

/// Degrees tried, the deepest polynomials of 4, 5 and 6 levels.
pub const DEGREES: [usize; 3] = [15, 31, 63];

/// Runs the pass.
///
/// # Errors
/// [`PassError::Option`] for an asked degree outside 3..=127 or a tolerance outside 0..=1,
/// [`PassError::NoDegree`] when no measured degree agrees often enough.
pub fn choose_degree(
    calibration: &Calibration,
    asked: Option<usize>,
    tolerance: f64,
) -> Result<usize, PassError> {
    let option = |name: &str, expected: &str, got: String| {
        Err(PassError::Option {
            name: name.to_string(),
            expected: expected.to_string(),
            got,
        })
    };
    if let Some(degree) = asked {
        return match degree {
            3..=127 => Ok(degree),
            _ => option("degree", "3 to 127", degree.to_string()),
        };
    }
    if !(0.0..=1.0).contains(&tolerance) {
        return option("tolerance", "0 to 1", tolerance.to_string());
    }
    let agreement = |degree: usize| {
        calibration
            .agreement
            .iter()
            .find(|a| a.degree == degree)
            .map(|a| a.same_class)
    };
    let enough = |degree: &usize| agreement(*degree).is_some_and(|share| share >= 1.0 - tolerance);
    DEGREES
        .into_iter()
        .find(enough)
        .ok_or_else(|| PassError::NoDegree {
            needed: 100.0 * (1.0 - tolerance),
            measured: measured(calibration),
        })
}

fn measured(calibration: &Calibration) -> String {
    if calibration.agreement.is_empty() {
        return "no degree was measured".to_string();
    }
    let each = calibration
        .agreement
        .iter()
        .map(|a| format!("degree {}: {:.1} %", a.degree, 100.0 * a.same_class));
    each.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use hecc_ir::calibration::{Agreement, VERSION};

    use super::*;

    #[test]
    fn lowest_degree_that_agrees() {
        let calibration = Calibration {
            version: VERSION,
            model: "m".into(),
            model_hash: String::new(),
            images: 1,
            activations: Vec::new(),
            values: Vec::new(),
            logits: 1.0,
            agreement: [(15, 0.97), (31, 0.988), (63, 0.993)]
                .map(|(degree, same_class)| Agreement { degree, same_class })
                .to_vec(),
        };
        let check = |asked, tolerance, expect: Result<usize, &str>| {
            let got = choose_degree(&calibration, asked, tolerance).map_err(|e| e.to_string());
            match expect {
                Ok(degree) => assert_eq!(got, Ok(degree)),
                Err(part) => assert!(got.as_ref().is_err_and(|e| e.contains(part)), "{got:?}"),
            }
        };
        check(None, 0.05, Ok(15));
        check(None, 0.015, Ok(31));
        check(None, 0.01, Ok(63));
        check(None, 0.001, Err("degree 31: 98.8 %"));
        check(Some(23), 0.0, Ok(23));
        check(Some(2), 0.0, Err("3 to 127"));
        check(None, f64::NAN, Err("tolerance"));
    }
}
