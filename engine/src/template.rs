//! `out/{graph}_{seed}.png`: output paths with places that are filled in.

use thiserror::Error;

use crate::graph::Input;
use crate::value::Value;

/// A piece of an output path.
#[derive(Clone, Debug, PartialEq)]
pub enum Piece {
    /// Text that stays as it is.
    Text(String),
    /// The name of the node.
    Node,
    /// The value of an input, as a part of a file name.
    Hole(Input),
}

/// Why a template cannot be read.
#[derive(Debug, Error, PartialEq)]
pub(crate) enum BadTemplate {
    /// A placeholder names nothing.
    #[error("nothing is called `{0}` in this path")]
    Unknown(String),
    /// A brace is not closed, or not opened.
    #[error("a brace in this path is not closed")]
    Unbalanced,
    /// A placeholder names a parameter without a right value, which is reported where it stands.
    #[error("a parameter in this path has no value")]
    NoValue,
    /// A placeholder names a parameter that gets its value through a link.
    #[error("`{0}` in this path gets its value through a link, which only a run knows")]
    Linked(String),
}

/// Splits `text` at its placeholders; `{{` and `}}` stand for braces. `lookup` says what a name stands for.
pub(crate) fn split(
    text: &str,
    mut lookup: impl FnMut(&str) -> Result<Piece, BadTemplate>,
) -> Result<Vec<Piece>, BadTemplate> {
    let mut pieces = Vec::new();
    let mut plain = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        plain.push_str(&rest[..at]);
        let tail = &rest[at..];
        if let Some(after) = tail.strip_prefix("{{").or_else(|| tail.strip_prefix("}}")) {
            plain.push_str(&tail[..1]);
            rest = after;
            continue;
        }
        let end = tail.find('}').filter(|end| *end > 0).ok_or(BadTemplate::Unbalanced)?;
        pieces.push(Piece::Text(std::mem::take(&mut plain)));
        pieces.push(lookup(&tail[1..end])?);
        rest = &tail[end + 1..];
    }
    pieces.push(Piece::Text(plain + rest));
    Ok(pieces)
}

/// Puts the pieces together; `None` while a hole has no value yet.
pub(crate) fn join(pieces: &[Piece], node: &str) -> Option<String> {
    let mut text = String::new();
    for piece in pieces {
        match piece {
            Piece::Text(piece) => text.push_str(piece),
            Piece::Node => text.push_str(&file_name(node)),
            Piece::Hole(Input::Value(value)) => text.push_str(&file_name(&plain(value))),
            Piece::Hole(_) => return None,
        }
    }
    Some(text)
}

/// A path with `_1` before its extension.
pub(crate) fn numbered(path: &str, coordinates: &[u32]) -> String {
    let suffix: String = coordinates.iter().map(|coordinate| format!("_{coordinate}")).collect();
    let file = path.rfind(['/', '\\']).map_or(0, |at| at + 1);
    match path[file..].rfind('.').filter(|dot| *dot > 0) {
        Some(dot) => format!("{}{suffix}{}", &path[..file + dot], &path[file + dot..]),
        None => format!("{path}{suffix}"),
    }
}

/// A scalar as plain text: what `--set` takes and path templates show.
pub(crate) fn plain(value: &Value) -> String {
    match value {
        Value::Text(text) => text.to_string(),
        Value::Path(path) => path.display().to_string(),
        other => format!("{other:?}"),
    }
}

/// A value as a part of a file name: no separators, no control characters, not too long.
pub(crate) fn file_name(value: &str) -> String {
    let safe = |character: char| match character {
        '/' | '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|' => '_',
        character if character.is_control() => '_',
        character => character,
    };
    let name: String = value.chars().map(safe).take(80).collect();
    match name.trim_matches('.') {
        "" => "_".to_owned(),
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_seed(template: &str) -> Result<String, BadTemplate> {
        let pieces = split(template, |name| match name {
            "seed" => Ok(Piece::Hole(Input::Value(Value::text("../7")))),
            _ => Err(BadTemplate::Unknown(name.to_owned())),
        })?;
        join(&pieces, "node").ok_or(BadTemplate::NoValue)
    }

    #[test]
    fn a_value_cannot_leave_the_folder() {
        assert_eq!(with_seed("out/{seed}.png").as_deref(), Ok("out/.._7.png"));
    }

    #[test]
    fn doubled_braces_are_braces() {
        assert_eq!(with_seed("{{{seed}}}").as_deref(), Ok("{.._7}"));
    }

    #[test]
    fn unknown_and_unclosed_placeholders_are_named() {
        assert_eq!(with_seed("a{b}"), Err(BadTemplate::Unknown("b".into())));
        assert_eq!(with_seed("a{seed"), Err(BadTemplate::Unbalanced));
        assert_eq!(with_seed("a}"), Err(BadTemplate::Unbalanced));
    }

    #[test]
    fn a_number_goes_before_the_extension() {
        assert_eq!(numbered("out/a.png", &[2, 0]), "out/a_2_0.png");
        assert_eq!(numbered("out.d/a", &[1]), "out.d/a_1");
        assert_eq!(numbered("out/.hidden", &[1]), "out/.hidden_1");
    }
}
