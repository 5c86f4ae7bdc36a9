//! "Did you mean": the nearest of the names that would have been possible.

/// A help line with the nearest candidate, or with all of them when none is near and they are few.
pub fn suggest<'a>(found: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let candidates: Vec<&str> = candidates.into_iter().collect();
    if let Some(near) = nearest(found, &candidates) {
        return Some(format!("did you mean `{near}`?"));
    }
    match candidates.len() {
        0 => None,
        1..=12 => Some(format!("possible here: {}", list(&candidates))),
        _ => None,
    }
}

/// Names between backticks, separated by commas.
pub(crate) fn list<'a>(names: impl IntoIterator<Item = &'a &'a str>) -> String {
    names.into_iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn nearest<'a>(found: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let found = found.to_lowercase();
    // A name may be off by a third of its letters, or lack its prefix (`encode` for `text.encode`).
    let allowed = (found.chars().count() / 3).max(1);
    candidates
        .iter()
        .map(|candidate| (strsim::osa_distance(&found, &candidate.to_lowercase()), *candidate))
        .filter(|(distance, candidate)| *distance <= allowed || is_part(&found, candidate))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

fn is_part(found: &str, candidate: &str) -> bool {
    found.len() >= 3 && candidate.split(['.', '_']).any(|part| part == found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_gets_the_nearest_name() {
        assert_eq!(suggest("encod", ["encode", "decode"]).as_deref(), Some("did you mean `encode`?"));
    }

    #[test]
    fn a_missing_prefix_is_found() {
        assert_eq!(suggest("encode", ["text.encode", "x"]).as_deref(), Some("did you mean `text.encode`?"));
    }

    #[test]
    fn nothing_near_lists_what_there_is() {
        assert_eq!(suggest("zzz", ["one", "two"]).as_deref(), Some("possible here: `one`, `two`"));
        assert_eq!(suggest("zzz", []), None);
    }
}
