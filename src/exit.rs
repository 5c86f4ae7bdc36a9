//! Exit codes. They are part of the interface: scripts rely on them.

use std::process::ExitCode;

use lumina_engine::{Class, Diagnostic, NodeError, Report};

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
    pub(crate) fn of_report(report: &Report) -> Self {
        if report.refused.is_some() {
            return Exit::OutOfMemory;
        }
        if report.interrupted {
            return Exit::Interrupted;
        }
        let failures = report.failures();
        let Some((_, first)) = failures.first() else { return Exit::Ok };
        if !report.outputs.is_empty() {
            return Exit::Partial;
        }
        match first {
            NodeError::File { .. } => Exit::File,
            NodeError::OutOfMemory { .. } => Exit::OutOfMemory,
            _ => Exit::Failed,
        }
    }
}
