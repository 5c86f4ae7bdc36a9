//! The method of Dormand and Prince of order 5.

use super::embedded::{Embedded, PARAMETERS};
use super::{SolverKind, Tableau};

pub(super) const KIND: SolverKind = SolverKind {
    name: "dopri5",
    about: "Dormand-Prince 5(4) with steps of its own choice",
    parameters: PARAMETERS,
    build: |settings| Embedded::from(&TABLEAU, settings),
};

/// Source: torchdiffeq 0.2.5 `dopri5.py`; the value halfway is by Shampine.
pub(super) static TABLEAU: Tableau = Tableau {
    name: "dopri5",
    order: 5,
    nodes: &[1.0 / 5.0, 3.0 / 10.0, 4.0 / 5.0, 8.0 / 9.0, 1.0, 1.0],
    stages: &[
        &[1.0 / 5.0],
        &[3.0 / 40.0, 9.0 / 40.0],
        &[44.0 / 45.0, -56.0 / 15.0, 32.0 / 9.0],
        &[19372.0 / 6561.0, -25360.0 / 2187.0, 64448.0 / 6561.0, -212.0 / 729.0],
        &[9017.0 / 3168.0, -355.0 / 33.0, 46732.0 / 5247.0, 49.0 / 176.0, -5103.0 / 18656.0],
        &[35.0 / 384.0, 0.0, 500.0 / 1113.0, 125.0 / 192.0, -2187.0 / 6784.0, 11.0 / 84.0],
    ],
    weights: &[35.0 / 384.0, 0.0, 500.0 / 1113.0, 125.0 / 192.0, -2187.0 / 6784.0, 11.0 / 84.0, 0.0],
    error: &[
        35.0 / 384.0 - 1951.0 / 21600.0,
        0.0,
        500.0 / 1113.0 - 22642.0 / 50085.0,
        125.0 / 192.0 - 451.0 / 720.0,
        -2187.0 / 6784.0 + 12231.0 / 42400.0,
        11.0 / 84.0 - 649.0 / 6300.0,
        -1.0 / 60.0,
    ],
    middle: &[
        0.5 * 6025192743.0 / 30085553152.0,
        0.0,
        0.5 * 51252292925.0 / 65400821598.0,
        -0.5 * 2691868925.0 / 45128329728.0,
        0.5 * 187940372067.0 / 1594534317056.0,
        -0.5 * 1776094331.0 / 19743644256.0,
        0.5 * 11237099.0 / 235043384.0,
    ],
};
