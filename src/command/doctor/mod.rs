//! `lumina-graph doctor`: what a new user or a report of a mistake needs to know about program and machine.

mod machine;
mod places;

use serde_json::json;

use super::Context;
use crate::arguments::DoctorArguments;
use crate::exit::Exit;
use crate::messages::answer;

/// How something that was looked at stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    /// As it should be.
    Ok,
    /// Something will not work that not everybody needs.
    Warning,
    /// Something that every run needs, or that was asked for, does not work.
    Error,
}

impl Status {
    fn name(self) -> &'static str {
        match self {
            Status::Ok => "ok",
            Status::Warning => "warning",
            Status::Error => "error",
        }
    }
}

/// One thing that was looked at.
struct Finding {
    what: String,
    status: Status,
    detail: String,
}

impl Finding {
    fn new(what: impl Into<String>, status: Status, detail: impl Into<String>) -> Self {
        Self { what: what.into(), status, detail: detail.into() }
    }

    /// What was found, or why it does not work.
    fn of(what: impl Into<String>, result: Result<String, String>, otherwise: Status) -> Self {
        match result {
            Ok(detail) => Self::new(what, Status::Ok, detail),
            Err(detail) => Self::new(what, otherwise, detail),
        }
    }
}

pub(super) fn doctor(context: &Context, arguments: &DoctorArguments) -> Exit {
    let mut findings = vec![program(), node_kinds(context), hub()];
    findings.extend(machine::findings(&arguments.device));
    findings.extend(places::findings(&arguments.cache));
    let has_error = findings.iter().any(|finding| finding.status == Status::Error);
    let exit = if has_error { Exit::Failed } else { Exit::Ok };
    if arguments.json {
        let checks: Vec<_> = findings
            .iter()
            .map(|finding| {
                json!({"what": finding.what, "status": finding.status.name(), "detail": finding.detail})
            })
            .collect();
        let report = json!({"ok": !has_error, "exit_code": exit as u8, "checks": checks});
        answer(&report.to_string());
        return exit;
    }
    for finding in findings.iter().filter(|finding| !context.quiet || finding.status != Status::Ok) {
        answer(&format!("{:<7}  {:<16}  {}", finding.status.name(), finding.what, finding.detail));
    }
    exit
}

fn program() -> Finding {
    let version = env!("CARGO_PKG_VERSION");
    let (arch, system) = (std::env::consts::ARCH, std::env::consts::OS);
    let build = if cfg!(debug_assertions) { ", a debug build, which is slow" } else { "" };
    Finding::new("program", Status::Ok, format!("lumina-graph {version} for {arch} {system}{build}"))
}

fn node_kinds(context: &Context) -> Finding {
    match context.engine.registry().kinds().count() {
        0 => Finding::new("node kinds", Status::Error, "this program knows none"),
        count => Finding::new("node kinds", Status::Ok, count.to_string()),
    }
}

fn hub() -> Finding {
    let detail = match cfg!(feature = "hub") {
        true => "built in: models can be downloaded by name",
        false => "not built in: models are not downloaded (feature `hub`)",
    };
    Finding::new("downloads", Status::Ok, detail)
}
