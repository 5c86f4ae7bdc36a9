//! The acceptance cases: what a user of a node-graph engine may expect, each over all cache policies.
//!
//! The README beside this file says where the ids come from and which cases are told elsewhere, or cannot be told.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[macro_use]
mod harness;
mod images;
mod probes;
#[path = "../support/mod.rs"]
mod support;
mod validators;

mod branches;
mod execution;
mod failures;
mod folds;
mod graphs;
mod iterations;
mod keys;
mod parallel;
mod restarts;
mod sockets;
mod targets;
mod validation;
