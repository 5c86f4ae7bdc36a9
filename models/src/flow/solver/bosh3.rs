//! The method of Bogacki and Shampine.

use super::embedded::{Embedded, PARAMETERS};
use super::{SolverKind, Tableau};

pub(super) const KIND: SolverKind = SolverKind {
    name: "bosh3",
    about: "Bogacki-Shampine 3(2) with steps of its own choice",
    parameters: PARAMETERS,
    build: |settings| Embedded::from(&TABLEAU, settings),
};

/// The value halfway is that of the second stage alone, of order 1: values between the ends of a step are less exact than
/// the ends.
///
/// Source: torchdiffeq 0.2.5 `bosh3.py`.
pub(super) static TABLEAU: Tableau = Tableau {
    name: "bosh3",
    order: 3,
    nodes: &[0.5, 0.75, 1.0],
    stages: &[&[0.5], &[0.0, 0.75], &[2.0 / 9.0, 1.0 / 3.0, 4.0 / 9.0]],
    weights: &[2.0 / 9.0, 1.0 / 3.0, 4.0 / 9.0, 0.0],
    error: &[2.0 / 9.0 - 7.0 / 24.0, 1.0 / 3.0 - 1.0 / 4.0, 4.0 / 9.0 - 1.0 / 3.0, -1.0 / 8.0],
    middle: &[0.0, 0.5, 0.0, 0.0],
};
