#![doc = include_str!("../README.md")]

mod error;
mod objective;

mod dominance;
mod hypervolume;

mod settings;
mod state;
mod variation;

mod evolution;

mod planner;

mod oracle_planner;
mod sensitivity;

mod share;

mod loss;

mod images;
mod network_objective;

mod confirm;

pub mod baselines;

mod ablation;

mod front;

pub use ablation::{Ablation, Course};
pub use confirm::{Confirmed, confirm};
pub use dominance::{Limits, front, thin};
pub use error::SearchError;
pub use evolution::search;
pub use front::{
    Activation, Alternative, Baseline, Data, FRONT_VERSION, Front, Measured, Point, Replacement,
    Tuned,
};
pub use hypervolume::{Reference, hypervolume};
pub use images::Images;
pub use network_objective::{NetworkObjective, Screen, Verdict};
pub use objective::{Genome, Judgement, Objective, Restricted, Score, check_genome};
pub use oracle_planner::OraclePlanner;
pub use planner::{Cost, CountBootstraps, Planner};
pub use sensitivity::{Sensitivities, seeds, worthwhile};
pub use settings::{Budget, Settings, Stop};
pub use share::Share;
pub use state::{Generation, Record, STATE_VERSION, State};

#[cfg(test)]
mod tests;
