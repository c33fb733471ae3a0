//! Multi-objective search over activations.
