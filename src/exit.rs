//! Exit codes. They are part of the interface: scripts rely on them.

use std::process::ExitCode;

use lumina_engine::{Class, Diagnostic, NodeError, Outcome, Report};

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Everything that was asked for was done.
    Ok = 0,
    /// The run failed.
    Failed = 1,
    /// The command line asks for something that does not exist. `clap` uses this code too.
    Usage = 2,
    /// The graph is invalid.
    InvalidGraph = 3,
    /// A model or file is missing, damaged or cannot be written.
    File = 4,
    /// It does not fit into memory.
    OutOfMemory = 5,
    /// Some of what was asked for was done.
    Partial = 6,
    /// Stopped by Ctrl-C.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

impl Exit {
    /// For a graph that did not pass its check: mistakes of the graph weigh more than missing files.
    pub(crate) fn of_diagnostics(diagnostics: &[Diagnostic]) -> Self {
        let any = |class| diagnostics.iter().any(|diagnostic| diagnostic.code.class() == class);
        if any(Class::Usage) {
            Exit::Usage
        } else if any(Class::Graph) {
            Exit::InvalidGraph
        } else if any(Class::File) {
            Exit::File
        } else {
            Exit::Ok
        }
    }

    /// For a run that has come to its end.
    pub(crate) fn of_report(report: &Report, targets: &[String]) -> Self {
        if report.interrupted {
            return Exit::Interrupted;
        }
        let failures = report.failures();
        let Some((_, first)) = failures.first() else { return Exit::Ok };
        let reached = |target: &&String| {
            let is = |(name, outcome): &(String, Outcome)| {
                name == *target && matches!(outcome, Outcome::Ran | Outcome::Cached)
            };
            report.nodes.iter().any(is)
        };
        if targets.iter().any(|target| reached(&target)) {
            return Exit::Partial;
        }
        match first {
            NodeError::File { .. } => Exit::File,
            NodeError::OutOfMemory { .. } => Exit::OutOfMemory,
            _ => Exit::Failed,
        }
    }
}
