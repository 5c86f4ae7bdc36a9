//! `--sweep name=a,b,c` and `--zip`: parameters that take several values in one run.

use std::fs;
use std::path::{Path, PathBuf};

use lumina_engine::{Expression, Source, Sweep, parse_values};

use crate::exit::Exit;
use crate::failure::Failure;

/// More turns than this are taken for a mistake.
const MOST: usize = 100_000;

/// The sweeps that the command line asks for. With `zip` all go together: the first values, then the second, and so on.
///
/// # Errors
/// When values cannot be read, when there are none, and when sweeps that go together are of different lengths.
pub(crate) fn read(given: &[(String, String)], zip: bool) -> Result<Vec<Sweep>, Failure> {
    let mut sweeps = Vec::with_capacity(given.len());
    let mut turns = 1_usize;
    for (name, text) in given {
        let values = values(name, text)?;
        turns = if zip { turns.max(values.len()) } else { turns.saturating_mul(values.len()) };
        sweeps.push(Sweep::of(name, values));
    }
    if turns > MOST {
        let message =
            format!("`--sweep`: {turns} turns in one run are too many, at most {MOST} are possible");
        return Err(Failure::new(Exit::Usage, message));
    }
    if zip { together(sweeps) } else { Ok(sweeps) }
}

/// The files that values are taken from.
pub(crate) fn files(given: &[(String, String)]) -> impl Iterator<Item = PathBuf> {
    given.iter().filter_map(|(_, text)| text.trim().strip_prefix('@').map(PathBuf::from))
}

/// One sweep in which all take their values at the same time.
fn together(sweeps: Vec<Sweep>) -> Result<Vec<Sweep>, Failure> {
    let mut sweeps = sweeps.into_iter();
    let Some(mut all) = sweeps.next() else { return Ok(Vec::new()) };
    for sweep in sweeps {
        if sweep.rows.len() != all.rows.len() {
            let (first, other) = (&all.names[0], &sweep.names[0]);
            let (one, two) = (all.rows.len(), sweep.rows.len());
            let message = format!("`--zip`: `{first}` has {one} values and `{other}` has {two}");
            return Err(
                Failure::new(Exit::Usage, message).help(["sweeps that go together are of the same length"])
            );
        }
        all.names.extend(sweep.names);
        all.rows.iter_mut().zip(sweep.rows).for_each(|(row, values)| row.extend(values));
    }
    Ok(vec![all])
}

/// The values of one sweep, as `--set` would take them.
fn values(name: &str, text: &str) -> Result<Vec<String>, Failure> {
    let text = text.trim();
    let wrong = |reason: String| Failure::new(Exit::Usage, format!("`--sweep {name}={text}`: {reason}"));
    let values = match text.strip_prefix('@') {
        Some(path) => lines(Path::new(path))?,
        None if text.starts_with('[') => list(text).map_err(wrong)?,
        None => separated(text).map_err(wrong)?,
    };
    if values.is_empty() { Err(wrong("there are no values".to_owned())) } else { Ok(values) }
}

/// One value a line; lines without anything are left out.
fn lines(path: &Path) -> Result<Vec<String>, Failure> {
    let text = fs::read_to_string(path).map_err(|cause| {
        Failure::new(Exit::File, format!("cannot read the values `{}`: {cause}", path.display()))
    })?;
    let lines = text.trim_start_matches('\u{feff}').lines().map(str::trim);
    Ok(lines.filter(|line| !line.is_empty()).map(str::to_owned).collect())
}

/// `["a, b", "c"]`.
fn list(text: &str) -> Result<Vec<String>, String> {
    let help = "expected a list such as `[\"a, b\", \"c\"]`; a value that begins with a bracket is written in quotes";
    let Some(Expression::List(items)) = literal(text) else { return Err(help.to_owned()) };
    let plain = |expression| match expression {
        Expression::Text(text) => Ok(text),
        Expression::Bool(value) => Ok(value.to_string()),
        Expression::Int(value) => Ok(value.to_string()),
        Expression::Float(value) => Ok(format!("{value:?}")),
        other => Err(format!("every value must be a plain value, not {}", other.describe())),
    };
    items.into_iter().map(|item| plain(item.value)).collect()
}

/// `a, "b, c", 0..8`.
fn separated(text: &str) -> Result<Vec<String>, String> {
    let mut values = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        let behind = if rest.starts_with('"') {
            let (quoted, behind) = quoted(rest).ok_or("a quote is not closed")?;
            values.push(quoted);
            behind.trim_start()
        } else {
            let end = rest.find(',').unwrap_or(rest.len());
            match rest[..end].trim_end() {
                "" => return Err("a value is empty; an empty text is written as `\"\"`".to_owned()),
                value => match range(value)? {
                    Some(numbers) => values.extend(numbers.map(|number| number.to_string())),
                    None => values.push(value.to_owned()),
                },
            }
            &rest[end..]
        };
        match behind.strip_prefix(',') {
            Some(next) => rest = next,
            None if behind.is_empty() => return Ok(values),
            None => return Err("behind a value in quotes there must be a comma".to_owned()),
        }
    }
}

/// A text in quotes at the beginning, and what comes behind it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut escaped = false;
    for (at, character) in text.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => {
                let (quoted, behind) = text.split_at(at + 1);
                let Some(Expression::Text(quoted)) = literal(quoted) else { return None };
                return Some((quoted, behind));
            }
            _ => {}
        }
    }
    None
}

/// `0..8`: the whole numbers from 0 to 7. `None` for anything else.
fn range(text: &str) -> Result<Option<std::ops::Range<i64>>, String> {
    let number = |text: &str| text.trim().parse::<i64>().ok();
    let Some((first, end)) = text.split_once("..") else { return Ok(None) };
    let (Some(first), Some(end)) = (number(first), number(end)) else { return Ok(None) };
    match end.checked_sub(first).map(usize::try_from) {
        Some(Ok(1..=MOST)) => Ok(Some(first..end)),
        Some(Ok(0) | Err(_)) => Err(format!("there are no numbers in `{text}`")),
        _ => Err(format!("`{text}` are too many values, at most {MOST} are possible")),
    }
}

/// A value as it would stand in a graph.
fn literal(text: &str) -> Option<Expression> {
    let source = Source::new("", format!("{{\"\": {text}}}"));
    let (mut entries, wrong) = parse_values(&source);
    match (entries.pop(), entries.is_empty() && wrong.is_empty()) {
        (Some((_, expression)), true) => Some(expression.value),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_one(text: &str) -> Result<Vec<String>, String> {
        let sweeps = read(&[("p".to_owned(), text.to_owned())], false);
        sweeps.map(|sweeps| sweeps[0].rows.concat()).map_err(|failure| failure.message().to_owned())
    }

    #[test]
    fn values_stand_between_commas_in_quotes_or_in_a_list() {
        assert_eq!(read_one("1, 2,3").unwrap(), ["1", "2", "3"]);
        assert_eq!(read_one("a fox, a \"red\" bird").unwrap(), ["a fox", "a \"red\" bird"]);
        assert_eq!(read_one(r#""a, b" , c,"say \"é\"","""#).unwrap(), ["a, b", "c", "say \"é\"", ""]);
        assert_eq!(read_one(r#"["a, b", 3, 2.0, true]"#).unwrap(), ["a, b", "3", "2.0", "true"]);
    }

    #[test]
    fn two_numbers_with_dots_between_them_are_a_range() {
        assert_eq!(read_one("0..3,7").unwrap(), ["0", "1", "2", "7"]);
        assert_eq!(read_one("-1..1").unwrap(), ["-1", "0"]);
        assert_eq!(read_one("\"0..3\",and so on..").unwrap(), ["0..3", "and so on.."]);
        for wrong in ["3..3", "3..0", "0..100001", "-9223372036854775808..9223372036854775807"] {
            assert!(read_one(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_empty_or_torn_is_refused() {
        for wrong in ["", "a,,b", "a,", "[]", "[\"a\"", "[Link(\"a\")]", "\"a", "\"a\"b", "[1], 2"] {
            let message = read_one(wrong).unwrap_err();
            assert!(message.starts_with(&format!("`--sweep p={wrong}`: ")), "{message}");
        }
    }

    #[test]
    fn a_file_has_one_value_a_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("prompts.txt");
        fs::write(&path, "\u{feff}a fox, red\r\n\n  a bird\n").unwrap();
        let text = format!("@{}", path.display());
        assert_eq!(read_one(&text).unwrap(), ["a fox, red", "a bird"]);
        fs::write(&path, "\n\n").unwrap();
        assert!(read_one(&text).is_err());
        assert!(read_one("@nothing.txt").unwrap_err().starts_with("cannot read the values `nothing.txt`"));
    }

    #[test]
    fn sweeps_that_go_together_are_of_the_same_length() {
        let given = |a: &str, b: &str| [("a".to_owned(), a.to_owned()), ("b".to_owned(), b.to_owned())];
        let one = read(&given("1,2", "x,y"), true).unwrap();
        assert_eq!(one.len(), 1);
        assert_eq!(
            (&one[0].names[..], &one[0].rows[1][..]),
            (&["a".into(), "b".into()][..], &["2".into(), "y".into()][..])
        );
        let failure = read(&given("1,2", "x"), true).unwrap_err();
        assert_eq!(failure.message(), "`--zip`: `a` has 2 values and `b` has 1");
        assert_eq!(read(&given("1,2", "x"), false).unwrap().len(), 2);
        assert!(read(&given("0..1000", "0..1000"), false).is_err());
    }
}
