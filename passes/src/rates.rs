//! The prices of one parameter set, looked up once.

use std::sync::Arc;

use hecc_ir::costs::{CostTable, MapPrices};
use hecc_ir::params::Parameters;

use crate::known::Memo;

/// Prices in seconds on one ciphertext; levels are those of operands.
#[derive(Debug)]
pub struct Rates {
    /// The set.
    pub parameters: Parameters,
    /// Of linear maps, by level.
    pub maps: Vec<MapPrices>,
    /// Of a multiplication by a constant, by level.
    pub mul_const: Vec<f64>,
    /// Of a sum, by level.
    pub add: Vec<f64>,
    /// Of a product, by level.
    pub mul: Vec<f64>,
    /// Of building one bootstrapper.
    pub setup: f64,
    /// Groups of coefficients-to-slots; 1 for a set without bootstrap.
    pub groups: usize,
    costs: Arc<CostTable>,
    /// By level and degree.
    polynomials: Memo<(usize, usize), f64>,
    /// By degree.
    bootstraps: Memo<usize, f64>,
}

/// Degrees are below 1024, levels below 64.
const CAPACITY: usize = 1 << 16;

impl Rates {
    /// The prices of a set under a cost table.
    pub fn new(parameters: Parameters, costs: &Arc<CostTable>) -> Self {
        let levels = || 0..=parameters.top();
        let all = |price: &dyn Fn(usize) -> f64| levels().map(price).collect();
        Self {
            maps: levels().map(|l| costs.map_prices(&parameters, l)).collect(),
            mul_const: all(&|l| costs.mul_const(&parameters, l)),
            add: all(&|l| costs.add(&parameters, l)),
            mul: all(&|l| costs.mul(&parameters, l)),
            setup: costs.bootstrap_setup(&parameters),
            groups: parameters.bootstrap.as_ref().map_or(1, |b| b.cts.len()),
            costs: Arc::clone(costs),
            polynomials: Memo::new(CAPACITY),
            bootstraps: Memo::new(CAPACITY),
            parameters,
        }
    }

    /// Of a Chebyshev series.
    pub fn polynomial(&self, level: usize, degree: usize) -> f64 {
        let price = |_: &_| self.costs.polynomial(&self.parameters, level, degree);
        self.polynomials.of((level, degree), price)
    }

    /// Of a bootstrap with a P of this degree; 0 for a set without.
    pub fn bootstrap(&self, degree: usize) -> f64 {
        let price = |_: &_| self.costs.bootstrap(&self.parameters, degree);
        self.bootstraps.of(degree, price)
    }
}
