//! `out/{graph}_{seed}.png`: placeholders in output paths.

use super::params::{Params, plain};

/// Why a template cannot be expanded.
#[derive(Debug, PartialEq)]
pub(super) enum BadTemplate {
    /// A placeholder names nothing.
    Unknown(String),
    /// A brace is not closed, or not opened.
    Unbalanced,
    /// A placeholder names a parameter without a right value, which is reported where it stands.
    NoValue,
}

/// Replaces `{graph}`, `{node}` and `{parameter}`; `{{` and `}}` stand for braces.
pub(super) fn expand(
    template: &str,
    graph: &str,
    node: &str,
    params: &Params<'_>,
) -> Result<String, BadTemplate> {
    replace(template, |name| match name {
        "graph" => Ok(graph.to_owned()),
        "node" => Ok(node.to_owned()),
        _ => {
            let param = params.get(name).ok_or_else(|| BadTemplate::Unknown(name.to_owned()))?;
            param.value.as_ref().map(plain).ok_or(BadTemplate::NoValue)
        }
    })
}

fn replace(
    template: &str,
    lookup: impl Fn(&str) -> Result<String, BadTemplate>,
) -> Result<String, BadTemplate> {
    let mut text = String::new();
    let mut rest = template;
    while let Some(at) = rest.find(['{', '}']) {
        text.push_str(&rest[..at]);
        let tail = &rest[at..];
        if let Some(after) = tail.strip_prefix("{{").or_else(|| tail.strip_prefix("}}")) {
            text.push_str(&tail[..1]);
            rest = after;
            continue;
        }
        let end = tail.find('}').filter(|end| *end > 0).ok_or(BadTemplate::Unbalanced)?;
        text.push_str(&file_name(&lookup(&tail[1..end])?));
        rest = &tail[end + 1..];
    }
    Ok(text + rest)
}

/// A value as a part of a file name: no separators, no control characters, not too long.
fn file_name(value: &str) -> String {
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
        replace(template, |name| match name {
            "seed" => Ok("../7".to_owned()),
            _ => Err(BadTemplate::Unknown(name.to_owned())),
        })
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
}
