//! Fehlberg's method of order 2.

use super::embedded::{Embedded, PARAMETERS};
use super::{SolverKind, Tableau};

pub(super) const KIND: SolverKind = SolverKind {
    name: "fehlberg2",
    about: "Runge-Kutta-Fehlberg 1(2) with steps of its own choice",
    parameters: PARAMETERS,
    build: |settings| Embedded::from(&TABLEAU, settings),
};

/// Source: torchdiffeq 0.2.5 `fehlberg2.py`.
pub(super) static TABLEAU: Tableau = Tableau {
    name: "fehlberg2",
    order: 2,
    nodes: &[0.5, 1.0],
    stages: &[&[0.5], &[1.0 / 256.0, 255.0 / 256.0]],
    weights: &[1.0 / 512.0, 255.0 / 256.0, 1.0 / 512.0],
    error: &[-1.0 / 512.0, 0.0, 1.0 / 512.0],
    middle: &[0.0, 0.5, 0.0],
};
