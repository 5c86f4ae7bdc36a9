//! `--params FILE`: parameters as a RON or JSON map.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

/// Reads `{"name": value, ...}` as texts, as if each had been given with `--set`.
pub(crate) fn read(path: &Path) -> Result<Vec<(String, String)>> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    // JSON is RON as far as maps of plain values go.
    let value: ron::Value =
        ron::from_str(&text).with_context(|| format!("`{}` is not a RON or JSON map", path.display()))?;
    let ron::Value::Map(map) = value else {
        bail!("`{}` must be a map `{{\"name\": value}}`", path.display());
    };
    map.iter()
        .map(|(name, value)| {
            let ron::Value::String(name) = name else {
                bail!("`{}`: names must be texts in quotes", path.display());
            };
            Ok((name.clone(), plain(value).with_context(|| format!("`{}`: `{name}`", path.display()))?))
        })
        .collect()
}

fn plain(value: &ron::Value) -> Result<String> {
    match value {
        ron::Value::String(text) => Ok(text.clone()),
        ron::Value::Bool(value) => Ok(value.to_string()),
        ron::Value::Number(number) => {
            let number = number.into_f64();
            // A whole number keeps its form: `3` must not become `3.0`.
            Ok(if number.fract() == 0.0 && number.abs() < 9e15 {
                format!("{number:.0}")
            } else {
                number.to_string()
            })
        }
        _ => bail!("only texts, numbers and truth values can be parameters"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ron_and_json_are_read_alike() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in
            [("a.ron", "{ \"s\": \"x\", /* c */ \"n\": 3, }"), ("a.json", "{\"s\": \"x\", \"n\": 3}")]
        {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            let values = read(&path).unwrap();
            assert_eq!(values, [("n".to_owned(), "3".to_owned()), ("s".to_owned(), "x".to_owned())]);
        }
    }
}
