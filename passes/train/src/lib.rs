//! Polynomial-aware training.
