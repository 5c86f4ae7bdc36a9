//! Heun's method with steps chosen by Euler's.

use super::embedded::{Embedded, PARAMETERS};
use super::{SolverKind, Tableau};

pub(super) const KIND: SolverKind = SolverKind {
    name: "adaptive_heun",
    about: "heun2 with steps of its own choice",
    parameters: PARAMETERS,
    build: |settings| Embedded::from(&TABLEAU, settings),
};

/// Source: torchdiffeq 0.2.5 `adaptive_heun.py`.
pub(super) static TABLEAU: Tableau = Tableau {
    name: "adaptive_heun",
    order: 2,
    nodes: &[1.0],
    stages: &[&[1.0]],
    weights: &[0.5, 0.5],
    error: &[0.5, -0.5],
    middle: &[0.5, 0.0],
};
