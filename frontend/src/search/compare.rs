//! What the front is compared with: one kind everywhere, and AutoFHE's own objective.

use super::session::Session;
use crate::failure::Failure;
use hecc_passes::Mode;
use hecc_passes::candidates::Kind;
use hecc_search::baselines::{unfused, uniform};
use hecc_search::{
    Budget, Cost, CountBootstraps, Genome, Planner, Restricted, SearchError, Settings, State,
    search,
};
use std::ops::ControlFlow;
use std::time::Duration;

/// Points of AutoFHE's front that become baselines.
const POINTS: usize = 4;
/// Share of the population of the search that AutoFHE's has: its time is a share too.
const POPULATION: usize = 16;

/// A network to compare with.
pub struct Rival {
    /// What it is.
    pub name: String,
    /// Of the search's candidates.
    pub genome: Genome,
    /// None where no parameter set serves it.
    pub cost: Option<Cost>,
    /// How bootstraps are placed in its plan; None where it gets none.
    pub plan: Option<Mode>,
}

/// One kind everywhere, for every kind.
///
/// # Errors
/// When a pass fails.
pub fn uniforms(session: &Session) -> Result<Vec<Rival>, Failure> {
    uniform(&session.kinds())
        .into_iter()
        .map(|(kind, genome)| {
            let system = system(&kind);
            Ok(Rival {
                name: format!("{kind} everywhere{}", system.unwrap_or_default()),
                cost: session.objective.planner().predict(&genome)?,
                plan: system.map(|_| Mode::Exact),
                genome,
            })
        })
        .collect()
}

/// Who has one kind everywhere.
fn system(kind: &Kind) -> Option<&'static str> {
    match kind {
        Kind::Quadratic => Some(", as AESPA but untrained"),
        Kind::Composite(degrees) if degrees == &[15, 15, 27] => Some(", as MPCNN"),
        Kind::Pruned | Kind::Levelled(_) | Kind::Composite(_) | Kind::Fused(_) => None,
    }
}

/// AutoFHE's setting: activations between bootstraps, the fewest bootstraps as the objective, placed as
/// late as possible. None when the time is too short for one generation, or all is fused.
///
/// # Errors
/// When a pass fails.
pub fn autofhe(
    session: &Session,
    settings: &Settings,
    time: Duration,
) -> Result<Vec<Rival>, Failure> {
    let greedy = session.greedy()?;
    let allowed = unfused(&session.kinds());
    let counting = session.objective.priced(CountBootstraps(&greedy));
    let objective = Restricted::new(&counting, allowed.clone())?;
    let settings = Settings {
        population: POPULATION,
        offspring: POPULATION,
        limits: Default::default(),
        reference: None,
        ..*settings
    };
    let sizes = allowed.iter().map(Vec::len).collect();
    let mut state = match State::new(sizes, settings, Vec::new(), "") {
        Ok(state) => state,
        Err(SearchError::NothingToSearch) => return Ok(Vec::new()),
        Err(e) => return Err(e.into()),
    };
    let budget = Budget {
        time: Some(time),
        ..Budget::default()
    };
    match search(&objective, &mut state, &budget, &mut |_, _| {
        ControlFlow::Continue(())
    }) {
        Ok(_) | Err(SearchError::BudgetTooShort { .. }) => {}
        Err(e) => return Err(e.into()),
    }
    let front: Vec<Genome> = state
        .front()
        .into_iter()
        .map(|(genome, _)| genome.clone())
        .collect();
    // The most accurate ones: the others are as far off as the uniform ones.
    let first = front.len().saturating_sub(POINTS);
    front[first..]
        .iter()
        .map(|genome| {
            let genome = objective.translate(genome)?;
            let cost = greedy.predict(&genome)?;
            Ok(Rival {
                name: "AutoFHE's objective".to_string(),
                cost,
                plan: Some(Mode::Greedy),
                genome,
            })
        })
        .collect()
}
