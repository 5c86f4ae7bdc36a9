//! What verifying a file has come to, as text or JSON.

use std::path::Path;

use serde_json::{Value, json};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::lock::Difference;
use crate::messages::{answer, say, visible};
use crate::pixels::Comparison;

/// How one file compares with the one made now.
pub(super) struct Verdict {
    /// Which one, of the files that a lock file names.
    pub(super) output: Option<String>,
    /// How they compare; `None` when it was not made now.
    pub(super) comparison: Option<Comparison>,
}

impl Verdict {
    fn is_same(&self) -> bool {
        matches!(self.comparison, Some(Comparison::SameBytes | Comparison::SamePixels))
    }

    fn text(&self) -> String {
        match self.comparison {
            Some(Comparison::SameBytes) => "same bytes".to_owned(),
            Some(Comparison::SamePixels) => "same pixels, other metadata".to_owned(),
            Some(Comparison::Differs { largest, count, of }) => {
                format!("differs: {count} of {of} bytes, by at most {largest}")
            }
            Some(Comparison::OtherSize(before, now)) => {
                format!("differs: {}x{} pixels, now {}x{}", before.0, before.1, now.0, now.1)
            }
            Some(Comparison::Unknown) => "differs".to_owned(),
            None => "was not made again".to_owned(),
        }
    }

    fn json(&self, file: &Path, differences: &[Difference]) -> Value {
        let (largest, count, of) = match self.comparison {
            Some(Comparison::Differs { largest, count, of }) => (Some(largest), Some(count), Some(of)),
            Some(Comparison::SameBytes | Comparison::SamePixels) => (Some(0), Some(0), None),
            _ => (None, None, None),
        };
        let result = match self.comparison {
            Some(Comparison::SameBytes) => "same bytes",
            Some(Comparison::SamePixels) => "same pixels",
            Some(_) => "differs",
            None => "missing",
        };
        json!({
            "event": "verified", "file": file.display().to_string(), "output": self.output, "result": result,
            "largest": largest, "differing": count, "of": of,
            "differences": differences.iter().map(Difference::json).collect::<Vec<_>>(),
        })
    }
}

/// Prints how a file compares, and what is not as it was recorded.
pub(super) fn show(
    file: &Path,
    verdicts: &[Verdict],
    differences: &[Difference],
    as_json: bool,
    quiet: bool,
) -> Exit {
    let is_same = verdicts.iter().all(Verdict::is_same);
    for verdict in verdicts {
        match (as_json, &verdict.output) {
            (true, _) => answer(&verdict.json(file, differences).to_string()),
            (false, Some(output)) => {
                answer(&format!("{}: {}: {}", file.display(), visible(output), verdict.text()));
            }
            (false, None) => answer(&format!("{}: {}", file.display(), verdict.text())),
        }
    }
    let is_told = as_json || (quiet && is_same);
    if !differences.is_empty() && !is_told {
        let why = if is_same { "" } else { ", which may be why" };
        say(&format!("note: not everything is as it was recorded in `{}`{why}", file.display()));
        differences.iter().for_each(|difference| say(&difference.text()));
    }
    if is_same { Exit::Ok } else { Exit::Failed }
}

/// Prints why a file could not be verified.
pub(super) fn failed(file: &Path, failure: &Failure, as_json: bool) -> Exit {
    let exit = failure.tell();
    if as_json {
        let result = json!({
            "event": "verified", "file": file.display().to_string(), "result": "failed",
            "exit_code": exit as u8, "message": failure.message(), "help": failure.help_lines(),
        });
        answer(&result.to_string());
    }
    exit
}
