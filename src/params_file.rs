//! `--params FILE`: parameters as a RON or JSON map.

use std::fs;
use std::path::Path;

use lumina_engine::{Code, Diagnostic, Expression, Source, parse_values};

use crate::arguments::ColorChoice;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::messages::diagnostics;

/// Reads `{"name": value, ...}` as texts, as if each had been given with `--set`; mistakes in RON are printed with their places.
pub(crate) fn read(path: &Path, color: ColorChoice) -> Result<Vec<(String, String)>, Failure> {
    let text = fs::read_to_string(path).map_err(|cause| {
        Failure::new(Exit::File, format!("cannot read the parameters `{}`: {cause}", path.display()))
    })?;
    let is_json = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
    if is_json { json(path, text.trim_start_matches('\u{feff}')) } else { ron(path, text, color) }
}

fn json(path: &Path, text: &str) -> Result<Vec<(String, String)>, Failure> {
    let wrong = |reason: String| {
        let message = format!("`{}` is not a JSON object of plain values: {reason}", path.display());
        Failure::new(Exit::Usage, message)
    };
    let map: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(text).map_err(|cause| wrong(cause.to_string()))?;
    map.into_iter()
        .map(|(name, value)| match value {
            serde_json::Value::String(text) => Ok((name, text)),
            serde_json::Value::Bool(value) => Ok((name, value.to_string())),
            serde_json::Value::Number(number) => Ok((name, number.to_string())),
            _ => Err(wrong(format!("`{name}` is neither a text nor a number nor a truth value"))),
        })
        .collect()
}

fn ron(path: &Path, text: String, color: ColorChoice) -> Result<Vec<(String, String)>, Failure> {
    let source = Source::new(path, text);
    let (entries, mut wrong) = parse_values(&source);
    let mut values = Vec::new();
    for (name, expression) in entries {
        let value = match expression.value {
            Expression::Text(text) => text,
            Expression::Bool(value) => value.to_string(),
            Expression::Int(value) => value.to_string(),
            Expression::Float(value) => value.to_string(),
            other => {
                let message = format!("`{}` must be a plain value, not {}", name.value, other.describe());
                wrong.push(
                    Diagnostic::new(Code::BadOverride, expression.span, message).label("not a plain value"),
                );
                continue;
            }
        };
        values.push((name.value, value));
    }
    if wrong.is_empty() {
        return Ok(values);
    }
    diagnostics(&[source], &wrong, color, false);
    let reasons: Vec<String> = wrong.into_iter().map(|diagnostic| diagnostic.message).collect();
    Err(Failure::told(Exit::Usage, format!("`{}`: {}", path.display(), reasons.join("; "))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(name: &str, text: &str) -> Result<Vec<(String, String)>, Failure> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        read(&path, ColorChoice::Never)
    }

    #[test]
    fn ron_and_json_are_read_alike() {
        let expected = [("s".to_owned(), "é".to_owned()), ("n".to_owned(), "9007199254740993".to_owned())];
        assert_eq!(
            read_text("a.ron", "{ \"s\": \"é\", /* c */ \"n\": 9007199254740993, }").unwrap(),
            expected
        );
        assert_eq!(read_text("a.json", "{\"s\": \"\\u00e9\", \"n\": 9007199254740993}").unwrap(), expected);
    }

    #[test]
    fn what_is_no_map_of_plain_values_is_refused() {
        for (name, text) in [
            ("a.ron", "{ \"a\": 1, \"a\": 2 }"),
            ("a.ron", "{ \"a\": [1] }"),
            ("a.ron", "(a: 1)"),
            ("a.ron", "{ \"a\": Param(\"b\") }"),
            ("a.json", "{\"a\": null}"),
            ("a.json", "[1]"),
            ("a.json", ""),
        ] {
            let failure = read_text(name, text).unwrap_err();
            assert!(failure.tell() == Exit::Usage && failure.message().contains(name), "{text}: {failure:?}");
        }
    }
}
